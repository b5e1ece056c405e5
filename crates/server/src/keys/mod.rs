//! API keys: they authenticate REST calls and sign Access Tokens.
//!
//! A key's secret is shown once, when it is created, and kept sealed, since it must be readable to check
//! a signature. Here are the kinds and what each may do; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;

use tertulia_protocol::sid::Key as KeyKind;
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_store::seal::Place;

use crate::platform::{AccountNumber, Error};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything that the auth token may.
    Main,
    /// Everything but accounts and keys.
    Standard,
    /// What its policy lists; it signs no tokens.
    Restricted,
}

impl Kind {
    /// The word in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Standard => "standard",
            Self::Restricted => "restricted",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Main, Self::Standard, Self::Restricted].into_iter().find(|kind| kind.word() == word)
    }
}

/// A key, without its secret.
#[derive(Clone, Debug)]
pub struct Key {
    /// The owner.
    pub account: AccountNumber,
    /// The key.
    pub sid: Sid<KeyKind>,
    /// What it may do.
    pub kind: Kind,
    /// Its name.
    pub friendly_name: String,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Where a key's secret is sealed for.
pub fn secret_place(sid: &Sid<KeyKind>) -> Place<'_> {
    Place { table: "keys", column: "secret", sid: sid.as_str() }
}

/// Why something about a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such key in this account.
    NotFound,
    /// The credentials may not manage keys.
    NotAllowed,
    /// The name has more than 64 characters.
    NameTooLong,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::NotAllowed => Self::refused(
                Code::NotAuthenticated,
                "A Standard or Restricted API key cannot manage accounts or keys; use the auth token or a Main key",
            ),
            Refusal::NameTooLong => Self::parameter("FriendlyName of an API key has at most 64 characters"),
        }
    }
}
