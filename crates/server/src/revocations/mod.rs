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

use sha2::{Digest, Sha256};
use tertulia_protocol::sid::{Key, Revocation as RevocationKind, Service};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_token::{AccessToken, LIFETIME_MAX, TOLERANCE_MAX};

use crate::login::policy::as_name;
use crate::platform::{AccountNumber, Error};

/// Bytes of a token's name or a session's that can be revoked; longer ones are nobody's.
pub const NAME_BYTES_MAX: usize = 255;

/// How long an entry stays that only ends connections: until every node has surely read it.
const SIGNAL_SECONDS: i64 = 3600;

/// Tokens that a revocation marks as ended, and counts, at most: marking more would hold up other writes. All of them
/// are refused, however many there are.
pub const COUNTED_MAX: i64 = 10_000;

/// What tells a token from every other one: SHA-256 of it, in hex digits. It is no secret, for nobody comes in with it.
pub fn fingerprint(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a `jti` is of the shape that the official libraries make: key and seconds, and so the same for all tokens that
/// one key signs in one second.
pub fn is_shared_by_shape(jti: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    jti.split_once('-').is_some_and(|(key, seconds)| Sid::<Key>::parse(key).is_ok() && is_number(seconds))
}

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
    /// Tells it from every other token.
    pub fingerprint: Box<str>,
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
    /// Of a verified token, whose text this is.
    pub fn of(text: &str, token: &AccessToken, account: AccountNumber, service: Sid<Service>, key: Sid<Key>) -> Self {
        let payload = token.payload();
        let name = |claim: &str| as_name(payload.get(claim)?).filter(|name| name.len() <= NAME_BYTES_MAX);
        Self {
            account,
            service,
            identity: token.identity().into(),
            key,
            fingerprint: fingerprint(text).into(),
            jti: name("jti").map(String::into_boxed_str),
            session: name("session").map(String::into_boxed_str),
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
    /// One token, by its fingerprint.
    Exact(String),
    /// The tokens with a `jti`: one, if the minting side makes it unique.
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
            Self::Exact(_) => "exact",
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
            Self::Exact(text) | Self::Token(text) | Self::Session(text) | Self::Identity(text, _) => text,
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
            "exact" => Some(Self::Exact(value)),
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
            Self::Exact(fingerprint) => *bearer.fingerprint == **fingerprint,
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
        match &self.named {
            Named::Exact(_) => format!("revoked by {} (this token alone)", self.sid),
            named => format!("revoked by {} ({} {})", self.sid, named.word(), named.value()),
        }
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
        Named::Exact(_) | Named::Token(_) | Named::Session(_) => Some(last_death(now)),
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
    /// A `jti` that several people's tokens may have.
    Shared {
        /// How many people are known to have one.
        people: usize,
    },
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
            Refusal::Shared { people } => Self::refused(
                Code::Conflict,
                format!(
                    "Several tokens may have this jti: {people} {} known to have one with it, and official libraries give all \
                     tokens that one key signs in one second the same jti. Shared=true ends all of them; Token, with the \
                     token itself, ends that one alone",
                    if people == 1 { "person is" } else { "people are" }
                ),
            ),
            Refusal::NoToken => Self::parameter("Token is no valid Access Token of this account"),
        }
    }
}
