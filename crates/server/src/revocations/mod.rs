//! Revocations: what ends tokens before their time, and with them the connections that they opened.
//!
//! An entry names tokens by what they say of themselves: one token, a login session, an identity, a chat
//! service until a moment, or everything that a key signed. Whoever is named is refused at the next use,
//! and a live connection ends at once. An entry dies with the last token that it can name. Here is what an
//! entry names; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod events;

#[cfg(test)]
mod tests;

use tertulia_protocol::sid::{Key, Revocation as RevocationKind, Service};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_token::{AccessToken, LIFETIME_MAX, TOLERANCE_MAX};

use crate::platform::{AccountNumber, Error};

/// Bytes of a token's name or a session's that can be revoked; longer ones are nobody's.
pub const NAME_BYTES_MAX: usize = 255;

/// How long an entry stays that only ends connections: until every node has surely read it.
const SIGNAL_SECONDS: i64 = 3600;

/// What a token says of itself, as far as it can be revoked by it. Kept for each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The account.
    pub account: AccountNumber,
    /// The chat service.
    pub service: Sid<Service>,
    /// Whose token it is.
    pub identity: Box<str>,
    /// The key that signed it.
    pub key: Sid<Key>,
    /// Its name, unless it is too long.
    pub jti: Option<Box<str>>,
    /// The login session that it belongs to.
    pub session: Option<Box<str>>,
    /// When it was issued, as far as it says so.
    pub issued: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
}

impl Bearer {
    /// Of a verified token.
    pub fn of(token: &AccessToken, account: AccountNumber, service: Sid<Service>, key: Sid<Key>) -> Self {
        let short = |text: String| (text.len() <= NAME_BYTES_MAX).then(|| text.into_boxed_str());
        let session = token.payload().get("session").and_then(|claim| claim.as_str()).map(str::to_owned);
        Self {
            account,
            service,
            identity: token.identity().into(),
            key,
            jti: token.jti().and_then(short),
            session: session.and_then(short),
            issued: Timestamp::from_seconds(issued_at(token)),
            expires: Timestamp::from_seconds(token.expires_at()),
        }
    }
}

/// Most official libraries write no `iat`. Then `nbf`, which three of them set to now, or the seconds in the
/// token's name; a token that says nothing at all is as old as it can be.
fn issued_at(token: &AccessToken) -> i64 {
    let of_name = || token.jti()?.split('-').nth(1)?.parse().ok();
    token.issued_at().or(token.not_before()).or_else(of_name).unwrap_or(token.expires_at() - LIFETIME_MAX)
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// One token, by its `jti`.
    Token(String),
    /// All tokens of a login session.
    Session(String),
    /// All tokens of an identity, in one chat service or in all.
    Identity(String, Option<Sid<Service>>),
    /// All tokens of a chat service.
    Service(Sid<Service>),
    /// Everything that a key signed.
    Key(Sid<Key>),
    /// All tokens of the account.
    Account,
}

impl Named {
    /// The word in the store and on the wire.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Session(_) => "session",
            Self::Identity(..) => "identity",
            Self::Service(_) => "service",
            Self::Key(_) => "key",
            Self::Account => "account",
        }
    }

    /// What stands beside the word.
    pub fn value(&self) -> &str {
        match self {
            Self::Token(text) | Self::Session(text) | Self::Identity(text, _) => text,
            Self::Service(sid) => sid.as_str(),
            Self::Key(sid) => sid.as_str(),
            Self::Account => "",
        }
    }

    /// The chat service of an identity; empty for all.
    pub fn service(&self) -> &str {
        match self {
            Self::Identity(_, Some(service)) => service.as_str(),
            _ => "",
        }
    }

    /// From its three texts in the store.
    pub fn parse(word: &str, value: String, service: &str) -> Option<Self> {
        match word {
            "token" => Some(Self::Token(value)),
            "session" => Some(Self::Session(value)),
            "identity" if service.is_empty() => Some(Self::Identity(value, None)),
            "identity" => Some(Self::Identity(value, Some(Sid::parse(service).ok()?))),
            "service" => Sid::parse(&value).ok().map(Self::Service),
            "key" => Sid::parse(&value).ok().map(Self::Key),
            "account" => Some(Self::Account),
            _ => None,
        }
    }

    /// What the client hears: who logs in again gets another token, unless the key or the account is no good.
    pub const fn code(&self) -> Code {
        match self {
            Self::Key(_) | Self::Account => Code::TokenIssuer,
            _ => Code::TokenExpired,
        }
    }

    fn names(&self, bearer: &Bearer) -> bool {
        match self {
            Self::Token(jti) => bearer.jti.as_deref() == Some(jti),
            Self::Session(session) => bearer.session.as_deref() == Some(session),
            Self::Identity(identity, service) => {
                *bearer.identity == **identity && service.is_none_or(|service| bearer.service == service)
            }
            Self::Service(service) => bearer.service == *service,
            Self::Key(key) => bearer.key == *key,
            Self::Account => true,
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose tokens it names.
    pub account: AccountNumber,
    /// Its own SID.
    pub sid: Sid<RevocationKind>,
    /// What it names.
    pub named: Named,
    /// Of these, the ones that were issued until then.
    pub issued_before: Timestamp,
    /// Whether it refuses tokens, or only ends connections.
    pub refuses: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When the last token that it names is dead; `None`: it stays until it is taken back.
    pub expires: Option<Timestamp>,
}

impl Revocation {
    /// Whether it names this token.
    pub fn names(&self, bearer: &Bearer) -> bool {
        self.account == bearer.account && bearer.issued <= self.issued_before && self.named.names(bearer)
    }

    /// For the log: which entry refuses.
    pub fn reason(&self) -> String {
        format!("revoked by {} ({} {})", self.sid, self.named.word(), self.named.value())
    }
}

/// When the last token is dead that was issued until a moment. Leeway and grace are at most that long each.
pub fn last_death(issued_before: Timestamp) -> Timestamp {
    issued_before.plus_micros((LIFETIME_MAX + 2 * TOLERANCE_MAX) * 1_000_000)
}

/// When this token is dead.
pub fn death(bearer: &Bearer) -> Timestamp {
    bearer.expires.plus_micros(TOLERANCE_MAX * 1_000_000)
}

/// The end of an entry that is made now.
pub fn expiry(named: &Named, refuses: bool, issued_before: Timestamp, now: Timestamp) -> Option<Timestamp> {
    match named {
        _ if !refuses => Some(now.plus_micros(SIGNAL_SECONDS * 1_000_000)),
        // A key that is suspended can sign on and on.
        Named::Key(_) | Named::Account => None,
        Named::Token(_) | Named::Session(_) => Some(last_death(now)),
        Named::Identity(..) | Named::Service(_) => Some(last_death(issued_before)),
    }
}

/// Why a revocation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such entry.
    NotFound,
    /// Not exactly one thing is named.
    NotOne,
    /// A name that is too long.
    TooLong,
    /// A moment that lies ahead.
    Ahead,
    /// A text that is no token of this account.
    NoToken,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::NotOne => Self::parameter(
                "Name one thing: Token, Jti, Session, Identity (with ServiceSid for one chat service), KeySid, or \
                 ServiceSid with IssuedBefore",
            ),
            Refusal::TooLong => {
                Self::parameter(format!("The name of a token or a session has at most {NAME_BYTES_MAX} bytes"))
            }
            Refusal::Ahead => {
                Self::parameter(format!("IssuedBefore may be at most {TOLERANCE_MAX} seconds ahead of now"))
            }
            Refusal::NoToken => Self::parameter("Token is no valid Access Token of this account"),
        }
    }
}
