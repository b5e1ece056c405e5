//! Access Tokens at the door: from a token to a user who may come in.
//!
//! The token crate decides what a token is worth; this noun looks up what the crate asks for. A refusal
//! has the documented code for the wire and the exact reason for the log; nothing here reveals whether a
//! key exists. Nothing in this file does IO.
//!
//! And Access Tokens on their way out: the token endpoint mints for whom a login says that somebody is. The
//! first subject that comes to an identity owns it; a login of anybody else that comes to the same identity
//! is refused until an operator releases it.

pub mod queries;
pub mod commands;
pub mod http;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use tertulia_protocol::sid::{Account, Key, Service};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::login::finding::Inquiry;
use crate::login::policy::Grants;
use crate::platform::{Caller, Error, UserRef};
use crate::revocations::{Bearer, Revocation, fingerprint};

/// Somebody who may come in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Who, for every request of the connection.
    pub caller: Caller,
    /// The user behind the identity.
    pub user: Arc<UserRef>,
    /// When the token expires (`exp`).
    pub expires: Timestamp,
    /// When the token is dead for the door and for the connection alike: `exp` and the grace.
    pub dies: Timestamp,
    /// What the token says of itself, to be revoked by.
    pub bearer: Arc<Bearer>,
    /// How many revocations this node had heard of before the token was looked at.
    pub ended_count: u64,
}

/// Why somebody may not come in.
#[derive(Debug)]
pub enum Refused {
    /// The token is no good.
    Token(tertulia_token::Refusal),
    /// It was revoked.
    Revoked(Box<Revocation>),
    /// The user could not be looked up, or brought into being.
    Other(Error),
}

impl Refused {
    /// The exact reason, in the same words in the log, in the audit log and in what explains a token.
    pub fn reason(&self) -> String {
        match self {
            Self::Token(refusal) => refusal.to_string(),
            Self::Revoked(entry) => entry.reason(),
            Self::Other(error) => error.to_string(),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// What an Access Token is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The chat service, by SID; `None` is the account's default.
    pub service: Option<String>,
    /// The identity.
    pub identity: String,
    /// A service role of the connection, by SID or name.
    pub role: Option<String>,
    /// Its lifetime.
    pub ttl_seconds: i64,
    /// What it grants beside chat.
    pub grants: Grants,
}

/// An Access Token that has just been minted.
#[derive(Clone)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// Its name, for the log; no secret.
    pub jti: String,
    /// The login session that it belongs to.
    pub session: Option<String>,
    /// Whom it is for.
    pub identity: String,
    /// The chat service.
    pub service: Sid<Service>,
    /// The key that signed it.
    pub key: Sid<Key>,
    /// When it was minted.
    pub now: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// When to ask for another one.
    pub refresh: Timestamp,
}

/// What is remembered of an Access Token that this server minted, until it is dead.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// Tells it from every other token: [`crate::revocations::fingerprint`].
    pub fingerprint: String,
    /// Its name.
    pub jti: String,
    /// Whom it is for.
    pub identity: String,
    /// The chat service.
    pub service: Sid<Service>,
    /// The key that signed it.
    pub key: Sid<Key>,
    /// The login session that it belongs to.
    pub session: Option<String>,
    /// When it was minted.
    pub issued: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
}

impl From<&Issued> for KnownToken {
    fn from(issued: &Issued) -> Self {
        Self {
            fingerprint: fingerprint(&issued.token),
            jti: issued.jti.clone(),
            identity: issued.identity.clone(),
            service: issued.service,
            key: issued.key,
            session: issued.session.clone(),
            issued: Timestamp::from_seconds(issued.now.seconds()),
            expires: issued.expires,
        }
    }
}

/// Whose an identity is: a source, and its own name for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The chat service.
    pub service: Sid<Service>,
    /// The identity.
    pub identity: String,
    /// The source's name.
    pub source: String,
    /// The source's own name for somebody.
    pub subject: String,
    /// Since when.
    pub created: Timestamp,
}

/// Seconds before its end within which a token should have been renewed: the SDK is warned three minutes
/// before, and that is the last chance and not the first.
const REFRESH_BEFORE_SECONDS: i64 = 240;

/// When to ask for another token: between half and four fifths of a lifetime, each client elsewhere, so that
/// those who came together do not come together again. `chance` is any number.
pub const fn refresh_after(ttl_seconds: i64, chance: u64) -> i64 {
    let (from, until) = (ttl_seconds / 2, ttl_seconds * 4 / 5);
    // Both are far below 2^31, and the remainder too.
    #[expect(clippy::cast_possible_wrap, reason = "a remainder of a small number")]
    let after = from + (chance % (until - from + 1) as u64) as i64;
    if ttl_seconds > 2 * REFRESH_BEFORE_SECONDS && after > ttl_seconds - REFRESH_BEFORE_SECONDS {
        return ttl_seconds - REFRESH_BEFORE_SECONDS;
    }
    after
}

/// Why no token is minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No source knows who this is.
    NotLoggedIn,
    /// The policy gives this login nothing.
    Denied,
    /// The identity is another login's.
    Taken,
    /// There are other ways to ask.
    Method,
    /// A page of an origin that is not listed brings a cookie.
    Origin {
        /// What its browser says of it.
        page: String,
        /// The origin at which the request came in.
        own: String,
    },
    /// Too often.
    TooMany {
        /// Seconds until there is room.
        retry_after: i64,
    },
    /// The login was ended: by its provider, or by a revocation.
    LoginEnded,
    /// The account that logins come into is suspended or closed.
    AccountNotActive,
    /// No key can sign just now; the text says why, and is not for whoever logs in.
    NoSigner(String),
    /// A source of logins does not answer.
    SourceSilent,
    /// A source of logins sends elsewhere instead of an answer.
    SourceRedirects,
    /// There is no source of logins.
    NoEndpoint,
    /// No such owner.
    NoOwner,
    /// The service has no such role.
    NoRole,
    /// A time to live out of bounds.
    Ttl {
        /// The longest.
        max: i64,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::NotLoggedIn => (Code::NotAuthenticated, "Nobody is logged in here".to_owned()),
            Refusal::Denied => (Code::Forbidden, "This login has no access to chat".to_owned()),
            Refusal::Taken => (
                Code::Conflict,
                "The identity of this login belongs to another login; an operator can release it".to_owned(),
            ),
            Refusal::Method => (Code::MethodNotAllowed, "Ask with POST".to_owned()),
            Refusal::Origin { page, own } => {
                let text = format!(
                    "Pages of {page} may not ask with a cookie: this server is {own} (http.public_url, or the request's \
                     Host), and login.allowed_origins lists the other origins that may"
                );
                (Code::Forbidden, text)
            }
            Refusal::TooMany { retry_after } => return Self::too_many(retry_after),
            Refusal::LoginEnded => (Code::NotAuthenticated, "This login has ended".to_owned()),
            // Final, whoever asks again: only an operator can change it.
            Refusal::AccountNotActive => {
                (Code::Forbidden, "The account of this chat is suspended or closed".to_owned())
            }
            Refusal::NoSigner(reason) => (Code::Unavailable, format!("No Access Token can be signed: {reason}")),
            Refusal::SourceSilent | Refusal::SourceRedirects => {
                (Code::Unavailable, "Who is logged in cannot be found out just now".to_owned())
            }
            Refusal::NoEndpoint => return Self::not_found(Code::NotFound),
            Refusal::NoOwner => return Self::not_found(Code::NotFound),
            Refusal::NoRole => (Code::ServiceRoleNotFound, "The chat service has no such service role".to_owned()),
            Refusal::Ttl { max } => (Code::ParameterInvalid, format!("Ttl must be 1 to {max} seconds")),
        };
        Self::refused(code, message)
    }
}

/// What is to be remembered of a token that was minted or refused.
#[derive(Clone, Debug)]
pub struct Noted<'a> {
    /// The account.
    pub account: Option<Sid<Account>>,
    /// The source that said who it is; `backend` for an account's own credentials, `dev` for the
    /// password of dev mode, empty where nobody knew.
    pub source: &'a str,
    /// The source's own name for somebody.
    pub subject: &'a str,
    /// The rule that decided.
    pub rule: &'a str,
    /// The identity.
    pub identity: &'a str,
    /// The login session; empty where the source names none.
    pub session: &'a str,
    /// The key that signed, or that the backend came with.
    pub key: Option<Sid<Key>>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The token's name, or why there is none.
    pub outcome: Result<&'a str, String>,
    /// What the sources and the rules said, where any were asked.
    pub inquiry: &'a Inquiry,
}

/// The source of tokens that a backend asked for.
pub const BACKEND: &str = "backend";

/// The source of tokens that dev mode gives to whoever has its password.
pub const DEV: &str = "dev";

/// Is told of every token that is minted or refused: the one place for the log and for whatever else
/// remembers. Never a token or a credential; of the facts only those that a condition compares.
pub fn note(noted: &Noted<'_>) {
    let text = |sid: Option<String>| sid.unwrap_or_default();
    let account = text(noted.account.map(|sid| sid.to_string()));
    let key = text(noted.key.map(|sid| sid.to_string()));
    let address = text(noted.address.map(|address| address.to_string()));
    let Noted { source, subject, rule, identity, session, .. } = noted;
    match &noted.outcome {
        Ok(jti) => {
            tracing::info!(target: "tokens", account, source, subject, rule, identity, session, key, address, jti, "minted");
        }
        Err(reason) => {
            let (sources, rules) = (noted.inquiry.sources_text(), noted.inquiry.rules_text());
            tracing::info!(
                target: "tokens", account, source, subject, rule, identity, session, key, address, reason, sources, rules, "refused"
            );
        }
    }
}
