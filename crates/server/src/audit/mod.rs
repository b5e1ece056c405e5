//! The audit log: what happened to tokens, keys, accounts and roles, by whom and from where.
//!
//! An entry is written in the transaction of the change that it tells of, and never changed; after
//! `audit.retention_days` it goes. Refused tokens are noted a moment later, so many a minute for each account
//! at most. Beside it stands what is known of a key's use. Never a secret or a token in it. Nothing in this
//! file does IO.

pub mod queries;
pub mod commands;
pub mod http;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tertulia_protocol::sid::{Audit as AuditKind, Key, Service};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Caller, Error, Source, Who};

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $word:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $event,)*
        }
        impl Event {
            /// Every event.
            pub const ALL: &'static [Event] = &[$(Event::$event,)*];
            /// The word in the store and on the wire.
            pub const fn word(self) -> &'static str {
                match self { $(Event::$event => $word,)* }
            }
        }
    };
}

events! {
    /// A token was minted.
    TokenMinted = "token.minted";
    /// Somebody who asked for a token got none.
    MintRefused = "mint.refused";
    /// A token was refused at the door.
    TokenRefused = "token.refused";
    /// Tokens were revoked.
    RevocationCreated = "revocation.created";
    /// A revocation was taken back.
    RevocationDeleted = "revocation.deleted";
    /// A key came into being.
    KeyCreated = "key.created";
    /// A key's name or policy changed.
    KeyUpdated = "key.updated";
    /// A key was deleted.
    KeyDeleted = "key.deleted";
    /// An account came into being.
    AccountCreated = "account.created";
    /// An account's name or status changed.
    AccountUpdated = "account.updated";
    /// An auth token was made, promoted or taken away.
    AuthTokenChanged = "auth_token.changed";
    /// A role came into being.
    RoleCreated = "role.created";
    /// What a role allows changed.
    RoleUpdated = "role.updated";
    /// A role was deleted.
    RoleDeleted = "role.deleted";
    /// A chat service opened or closed its conversations to users who were not added.
    ServiceOpenConversations = "service.open_conversations";
    /// A user was given another role.
    UserRoleChanged = "user.role_changed";
    /// A participant was given another role.
    ParticipantRoleChanged = "participant.role_changed";
    /// An API token was made.
    ApiTokenCreated = "api_token.created";
    /// An API token was deleted.
    ApiTokenDeleted = "api_token.deleted";
    /// An identity was taken from the login that owned it: another one may have it now.
    IdentityReleased = "identity.released";
}

impl Event {
    /// The event with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.word() == word)
    }
}

/// What an entry says beside what happened, as far as there is something to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The source of logins that said who it is.
    pub source: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Whose token it is.
    pub identity: Option<String>,
    /// The chat service.
    pub service: Option<Sid<Service>>,
    /// The key that signed.
    pub key: Option<Sid<Key>>,
    /// The token's name.
    pub jti: Option<String>,
    /// The SID of what it was done to.
    pub target: Option<String>,
    /// What was answered to a refused token.
    pub code: Option<u32>,
    /// More, as a JSON object.
    pub detail: Option<serde_json::Value>,
}

/// Something that is to be noted. It has no SID and no date before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What happened.
    pub event: Event,
    /// Who did it.
    pub actor: String,
    /// From where.
    pub address: Option<String>,
    /// What else is to be said.
    pub facts: Facts,
}

impl Draft {
    /// Of something that a caller did.
    pub fn by(caller: &Caller, event: Event, facts: Facts) -> Self {
        let actor = match &caller.who {
            _ if caller.source == Source::System => "system".to_owned(),
            Who::User(user) => user.sid.to_string(),
            Who::Operator => "operator".to_owned(),
            Who::Account { key: Some(key), .. } => key.to_string(),
            Who::Account { key: None, .. } => "account".to_owned(),
        };
        Self { event, actor, address: caller.address.map(|address| address.to_string()), facts }
    }

    /// Of something that was done to whoever has this SID.
    pub fn on(caller: &Caller, event: Event, target: &str) -> Self {
        Self::by(caller, event, Facts { target: Some(target.to_owned()), ..Facts::default() })
    }
}

/// An entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its SID.
    pub sid: Sid<AuditKind>,
    /// When it happened, by the account's clock.
    pub created: Timestamp,
    /// What it says.
    pub draft: Draft,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this event.
    pub event: Option<Event>,
    /// Only of this identity.
    pub identity: Option<String>,
    /// Only of this key.
    pub key: Option<Sid<Key>>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only before this moment.
    pub before: Option<Timestamp>,
}

/// Something that was refused, to be noted in a quiet moment.
pub enum Refused {
    /// A token, at the door.
    Token(RefusedToken),
    /// Somebody who asked for a token.
    Mint(Caller, Box<Draft>),
}

/// A token that was refused, to be looked at in a quiet moment.
pub struct RefusedToken {
    /// The token; it goes nowhere but into the explanation.
    pub token: String,
    /// What the client heard.
    pub code: u32,
    /// The exact reason.
    pub reason: String,
    /// Where it came from.
    pub address: IpAddr,
}

/// What became of a key, or of its account.
#[derive(Clone, Debug)]
pub struct KeyHistory {
    /// Whether the key is gone; else it or its account does not count for now.
    pub is_deleted: bool,
    /// What happened, when, by whom, and which entry says so.
    pub sentence: String,
}

/// When a key was last used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// A token was minted with it, by this server.
    pub last_minted: i64,
    /// A token of it came in.
    pub last_used: i64,
    /// It came in over REST.
    pub last_called: i64,
    /// The latest expiry of the tokens that were minted here or came in.
    pub latest_expiry: i64,
}

impl Evidence {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            last_minted: self.last_minted.max(other.last_minted),
            last_used: self.last_used.max(other.last_used),
            last_called: self.last_called.max(other.last_called),
            latest_expiry: self.latest_expiry.max(other.latest_expiry),
        }
    }
}

/// What keys were used for since it was last written down. It is bounded by the keys there are.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<(AccountNumber, Sid<Key>), Evidence>>);

impl Uses {
    /// Remembers a use.
    pub fn note(&self, account: AccountNumber, key: Sid<Key>, use_: Evidence) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = uses.entry((account, key)).or_default();
        *known = known.and(use_);
    }

    /// What is to be written down; from then on it is forgotten here.
    pub fn take(&self) -> Vec<(AccountNumber, Sid<Key>, Evidence)> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        uses.into_iter().map(|((account, key), evidence)| (account, key, evidence)).collect()
    }
}

/// Why something about the audit log is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such entry.
    NotFound,
    /// There is no such event.
    EventUnknown,
    /// An entry that tells of no refused token.
    NotRefused,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::EventUnknown => {
                let words: Vec<_> = Event::ALL.iter().map(|event| event.word()).collect();
                Self::parameter(format!("Event is one of {}", words.join(", ")))
            }
            Refusal::NotRefused => Self::parameter("Refusal is the SID of an audit entry token.refused"),
        }
    }
}
