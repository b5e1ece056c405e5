//! An API token as a bearer token: made by the command line, kept as a hash.

use tertulia_protocol::Timestamp;

use super::Login;
use super::config::ApiTokenConfig;
use super::oidc::bearer;
use super::sources::{Asked, Found};
use crate::App;
use crate::api_tokens::commands::FindApiToken;
use crate::api_tokens::{ApiToken, id_of};
use crate::http::chain;
use crate::platform::{Caller, Outcome};

/// Who a request is, by the API token that it brings.
pub(super) async fn find(config: &ApiTokenConfig, app: &App, asked: &Asked<'_>, now: Timestamp) -> Found {
    let Some((token, id)) = bearer(asked.headers).and_then(|token| Some((token, id_of(token)?))) else {
        return Found::Stranger;
    };
    let stored = match stored(app, id).await {
        Ok(stored) => stored,
        Err(error) => return Found::Unavailable(chain(&error)),
    };
    let Some(stored) = stored.filter(|stored| stored.is(token, now)) else {
        return Found::Refused(format!("there is no API token {id} that is this one, or it has ended"));
    };
    match serde_json::from_str(&stored.facts) {
        Ok(facts) => Found::Login(Login { source: config.name.clone(), subject: stored.subject, facts }),
        Err(cause) => Found::Unavailable(format!("the facts of the API token {id}: {cause}")),
    }
}

async fn stored(app: &App, id: &str) -> Outcome<Option<ApiToken>> {
    let account = app.login_account().await?;
    app.db.ask(&Caller::system(account.number, account.sid), FindApiToken(id.to_owned())).await
}
