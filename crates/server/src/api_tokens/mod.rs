//! API tokens: static credentials with which a device, a script or a bot logs in at the token endpoint.
//!
//! A token says which subject comes and what the policy may know of it. It is shown once, when it is
//! made; what is kept is a hash. It opens nothing but the token endpoint. Nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tertulia_protocol::{Code, Timestamp};

use crate::platform::{AccountNumber, Error};

/// What every API token begins with: it is told from a JWT by it, and found by scanners for secrets.
pub const PREFIX: &str = "tt_";

/// An API token, without itself.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The owner.
    pub account: AccountNumber,
    /// Its name: 16 hex digits, which the token has in it.
    pub id: String,
    /// SHA-256 of the token. It is random and long, so a slow hash would protect nothing.
    pub hash: Vec<u8>,
    /// Who comes with it.
    pub subject: String,
    /// What the policy may know: a JSON object.
    pub facts: String,
    /// What it is for.
    pub friendly_name: String,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
}

impl ApiToken {
    /// Whether this is the token, and it has not ended.
    pub fn is(&self, token: &str, now: Timestamp) -> bool {
        let same = self.hash.ct_eq(&hash(token));
        bool::from(same) && self.expires.is_none_or(|expires| now < expires)
    }
}

/// What is kept of a token.
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The id in a token; `None` for what is none.
pub fn id_of(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (is_id && secret.len() == 32).then_some(id)
}

/// Why something about an API token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such token in this account.
    NotFound,
    /// The facts are no JSON object of a fair size.
    Facts,
    /// The facts have a `sid`, which is the token's own id.
    Session,
    /// The subject is empty or too long.
    Subject,
    /// The name is too long.
    Name,
    /// It would have ended before it began.
    Expired,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::Facts => Self::parameter("Facts must be a JSON object of at most 4096 bytes"),
            Refusal::Session => Self::parameter("Facts cannot have a sid: the login session of an API token is its id"),
            Refusal::Subject => Self::parameter("Subject must have 1 to 256 characters"),
            Refusal::Name => Self::parameter("FriendlyName of an API token has at most 64 characters"),
            Refusal::Expired => Self::parameter("DateExpires must be in the future"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_others_by_its_shape() {
        let token = format!("tt_0123456789abcdef_{}", "x".repeat(32));
        assert_eq!(id_of(&token), Some("0123456789abcdef"));
        for other in ["", "tt_", "eyJhbGciOiJIUzI1NiJ9.e30.x", "tt_0123456789ABCDEF_x", &token[..50], &token[3..]] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }
}
