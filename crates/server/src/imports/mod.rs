//! Bringing in accounts, API keys, chat services and roles under the SIDs and secrets that they have elsewhere, so that
//! the apps that know them, and the tokens that they mint, go on as they are.

pub mod commands;
pub mod http;

use serde::Deserialize;
use tertulia_protocol::sid::{Account, Key, Role, Service};
use tertulia_protocol::{Code, Sid};

use crate::keys;
use crate::platform::Error;
use crate::roles::Scope;

/// Things that one import may bring.
pub const THINGS_MAX: usize = 1000;

/// What is to be there. Every list may be left out; the order within one is the order of creation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// Accounts.
    pub accounts: Vec<NewAccount>,
    /// API keys.
    pub keys: Vec<NewKey>,
    /// Chat services. The first one of a new account becomes its default.
    pub services: Vec<NewService>,
    /// Roles beside those that a service is born with.
    pub roles: Vec<NewRole>,
}

/// An account, of this import or there already.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its SID.
    pub sid: Sid<Account>,
    /// Its name.
    #[serde(default)]
    pub friendly_name: String,
    /// Its auth token, 32 hex digits; a random one unless given.
    #[serde(default)]
    pub auth_token: Option<String>,
    /// `active`, `suspended` or `closed`.
    #[serde(default)]
    pub status: Option<String>,
}

/// An API key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its SID.
    pub sid: Sid<Key>,
    /// Whose it is.
    pub account_sid: Sid<Account>,
    /// Its secret, 16 to 128 characters.
    pub secret: String,
    /// `main`, `standard` (unless given) or `restricted`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Its name.
    #[serde(default)]
    pub friendly_name: String,
    /// What a Restricted key may do; without one it may do nothing.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// A chat service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// Its SID.
    pub sid: Sid<Service>,
    /// Whose it is.
    pub account_sid: Sid<Account>,
    /// Its name.
    #[serde(default)]
    pub friendly_name: Option<String>,
}

/// A role.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// Its SID.
    pub sid: Sid<Role>,
    /// Its chat service.
    pub service_sid: Sid<Service>,
    /// Its name.
    pub friendly_name: String,
    /// Where it counts.
    #[serde(rename = "type")]
    pub scope: Scope,
    /// What it allows.
    pub permissions: Vec<String>,
}

// Secrets are not for the eyes of whoever looks at a value.
impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("sid", &self.sid).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("sid", &self.sid).finish_non_exhaustive()
    }
}

impl World {
    /// Reads the JSON of a world. What is wrong is said without the text around it, where secrets stand.
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        let world: Self = serde_json::from_str(json).map_err(|cause| Refusal::Unreadable {
            line: cause.line(),
            cause: match cause.classify() {
                serde_json::error::Category::Data => without_values(&cause.to_string()),
                _ => "not JSON".to_owned(),
            },
        })?;
        let things = world.accounts.len() + world.keys.len() + world.services.len() + world.roles.len();
        if things > THINGS_MAX { Err(Refusal::TooMuch) } else { Ok(world) }
    }
}

/// No secret is as short as this. What stands in backquotes and is longer may be one: a number, or a name that is
/// none of ours.
const SHOWN_BYTES_MAX: usize = 15;

/// The names of fields and types stay; what was given goes: texts, which stand in double quotes and may have some
/// in them, and whatever of numbers and unknown names is long enough for a secret.
fn without_values(message: &str) -> String {
    let mut text = message.rsplit_once(" at line ").map_or(message, |(text, _)| text).to_owned();
    if let (Some(first), Some(last)) = (text.find('"'), text.rfind('"')) {
        text.replace_range(first..=last, "…");
    }
    if let (Some(first), Some(last)) = (text.find('`'), text.rfind("`, expected "))
        && last > first + 1 + SHOWN_BYTES_MAX
    {
        text.replace_range(first..=last, "…");
    }
    text
}

/// Why an import is refused. Nothing of it has happened then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a world.
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// More than [`THINGS_MAX`] things.
    TooMuch,
    /// The SID belongs to something else already.
    Taken(String),
    /// Something names an account or a service that is neither there nor brought.
    Missing {
        /// What names it.
        by: String,
        /// What is missing.
        what: String,
    },
    /// An auth token must be 32 hexadecimal digits.
    AuthToken(Sid<Account>),
    /// A secret that signs must be long enough.
    Secret(Sid<Key>),
    /// The kind of a key is none, or it has a policy and is not Restricted.
    Kind(Sid<Key>),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unreadable { line, cause } => Self::parameter(format!("World, line {line}: {cause}")),
            Refusal::TooMuch => Self::parameter(format!("World has more than {THINGS_MAX} things; bring it in parts")),
            Refusal::Taken(sid) => {
                Self::refused(Code::Conflict, format!("{sid} is there already and belongs to something else"))
            }
            Refusal::Missing { by, what } => {
                Self::parameter(format!("{by} belongs to {what}, which is not there: bring it too"))
            }
            Refusal::AuthToken(sid) => {
                Self::parameter(format!("The auth_token of {sid} must be 32 hexadecimal digits in lower case"))
            }
            Refusal::Secret(sid) => Self::parameter(format!("The secret of {sid} must have 16 to 128 characters")),
            Refusal::Kind(sid) => Self::parameter(format!(
                "The type of {sid} must be {}, {} or {}, and allow is for a restricted one",
                keys::Kind::Main.word(),
                keys::Kind::Standard.word(),
                keys::Kind::Restricted.word()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        let wrong = [
            (r#"{"keys": [{"sid": "a-secret-in-a-wrong-place"}]}"#, "line 1"),
            (r#"{"accounts": [{"secret": "a-secret"}]}"#, "unknown field `secret`"),
            ("{\"roles\": \n \"a-secret\"}", "line 2"),
            ("{\"keys\": [\n\n", "not JSON"),
            (r#"{"keys": "x\"a-secret\"y\"a-secret"}"#, "invalid type: string …"),
            (r#"{"keys": [{"a-secret-for-a-name": 1}]}"#, "unknown field …, expected one of `sid`"),
            (r#"{"a-secret at line 1, `, expected": 1}"#, "unknown field …, expected one of `accounts`"),
        ];
        for (json, expected) in wrong {
            let message = Error::from(World::parse(json).unwrap_err()).to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("a-secret"), "{message}");
        }
    }

    #[test]
    fn a_number_that_is_a_secret_is_not_told() {
        let world = r#"{"keys": [{"sid": "SK11111111111111111111111111111111", "secret": 1234567890123456}]}"#;
        let message = Error::from(World::parse(world).unwrap_err()).to_string();
        assert!(message.contains("invalid type: integer …, expected a string"), "{message}");
    }

    #[test]
    fn a_world_has_a_bound() {
        let role = format!(
            r#"{{"sid": "RL{0:032}", "service_sid": "IS{0:032}", "friendly_name": "x", "type": "service", "permissions": []}}"#,
            0
        );
        let json = format!(r#"{{"roles": [{}]}}"#, vec![role; THINGS_MAX + 1].join(","));
        assert_eq!(World::parse(&json).unwrap_err(), Refusal::TooMuch);
    }
}
