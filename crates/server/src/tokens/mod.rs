//! Access Tokens at the door: from a token to a user who may come in.
//!
//! The token crate decides what a token is worth; this noun looks up what the crate asks for. A refusal
//! has the documented code for the wire and the exact reason for the log; nothing here reveals whether a
//! key exists. Nothing in this file does IO.

pub mod commands;

use std::sync::Arc;

use tertulia_protocol::Timestamp;
use tertulia_token::Refusal;

use crate::platform::{Caller, Error, UserRef};
use crate::revocations::{Bearer, Revocation};

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
    Token(Refusal),
    /// It was revoked.
    Revoked(Box<Revocation>),
    /// The user could not be looked up, or brought into being.
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
