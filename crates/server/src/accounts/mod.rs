//! Accounts: the owners of everything else.
//!
//! An account is keyed by an internal number; its SID is what the outside knows. Its auth token signs
//! webhooks and authenticates REST calls, so it is kept readable, sealed. Here are its states and rules;
//! nothing in this file does IO.

pub mod queries;
pub mod commands;

use tertulia_protocol::sid::{Account as AccountKind, MessagingService, Service};
use tertulia_protocol::{Sid, Timestamp};

use crate::platform::AccountNumber;

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// Not for now.
    Suspended,
    /// Never again.
    Closed,
}

impl Status {
    /// The word in the store and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    /// The status with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Closed].into_iter().find(|status| status.word() == word)
    }
}

/// An account, without its secrets.
#[derive(Clone, Debug)]
pub struct Account {
    /// What its rows are keyed by.
    pub number: AccountNumber,
    /// What the outside knows it by.
    pub sid: Sid<AccountKind>,
    /// The owner, for a subaccount.
    pub parent: Option<AccountNumber>,
    /// Its name.
    pub friendly_name: String,
    /// Whether it may be used.
    pub status: Status,
    /// The chat service that short routes mean.
    pub default_service: Option<Sid<Service>>,
    /// Stored, without further meaning here.
    pub default_messaging_service: Option<Sid<MessagingService>>,
    /// ISO 8601 duration for new conversations.
    pub default_inactive_timer: Option<String>,
    /// ISO 8601 duration for new conversations.
    pub default_closed_timer: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}
