//! Users: what they are called, and what an app keeps about them.

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::link::encoded;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub identity: String,
    /// A name to show.
    pub friendly_name: Option<String>,
    /// Its attributes, as JSON text.
    pub attributes: String,
}

/// What is to be another in the user; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name to show.
    pub friendly_name: Option<String>,
    /// The attributes, as JSON text.
    pub attributes: Option<String>,
}

impl Client {
    /// The user with this identity.
    pub async fn user(&self, identity: &str) -> Result<User, Error> {
        let row = self.link.json("GET", &format!("{}/{}", self.own.users, encoded(identity)), None).await?;
        Ok(read(&row))
    }

    /// Changes the client's own user.
    pub async fn update_own_user(&self, change: &UserChange) -> Result<User, Error> {
        let mut body = json!({});
        for (name, value) in [("friendly_name", &change.friendly_name), ("attributes", &change.attributes)] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        let path = format!("{}/{}", self.own.users, encoded(self.identity()));
        Ok(read(&self.link.json("POST", &path, Some(&body)).await?))
    }
}

fn read(row: &Value) -> User {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    User {
        identity: text("identity").unwrap_or_default(),
        friendly_name: text("friendly_name"),
        attributes: text("attributes").unwrap_or_default(),
    }
}
