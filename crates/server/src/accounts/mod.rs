//! Accounts: the owners of everything else.
//!
//! An account is keyed by an internal number; its SID is what the outside knows. Its auth token signs
//! webhooks and authenticates REST calls, so it is kept readable, sealed; a secondary one beside it works
//! too, until it is promoted or taken away. An account may own subaccounts, one level deep. Here are its
//! states and rules; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod events;

#[cfg(test)]
mod tests;

use tertulia_protocol::sid::{Account as AccountKind, MessagingService, Service};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Caller, Error, Who};

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
    const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Closed];

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
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// The status with this word in any letter case, as the wire has it.
    pub fn read(word: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|status| status.word().eq_ignore_ascii_case(word)).ok_or(Refusal::StatusUnknown)
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
    /// The parent of a subaccount; the account itself, when it is nobody's.
    pub owner: Sid<AccountKind>,
    /// The parent's status; the account's own, when it is nobody's.
    pub owner_status: Status,
}

impl Account {
    /// Whether its credentials and tokens are worth anything: a subaccount follows its parent, and what is closed, of the
    /// two, outweighs what is suspended.
    pub fn effective_status(&self) -> Status {
        match (self.status, self.owner_status) {
            (Status::Closed, _) | (_, Status::Closed) => Status::Closed,
            (Status::Active, of_owner) => of_owner,
            (own, _) => own,
        }
    }
}

/// Who changes an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// The account itself.
    Own,
    /// Its parent.
    Parent,
    /// Whoever runs the server.
    Operator,
}

/// Whose hand a caller's is on an account; `None` when the account is none of the caller's business.
pub fn hand(caller: &Caller, account: &Account) -> Option<Hand> {
    match &caller.who {
        Who::Operator => Some(Hand::Operator),
        Who::User(_) => None,
        Who::Account { .. } if account.number == caller.account => Some(Hand::Own),
        Who::Account { .. } => account.parent.filter(|parent| *parent == caller.account).map(|_| Hand::Parent),
    }
}

/// Whether an account may go from one status to another: only from above, and never back from closed.
pub fn may_become(hand: Hand, from: Status, to: Status) -> Result<(), Refusal> {
    match (hand, from) {
        _ if from == to => Ok(()),
        (Hand::Own, _) => Err(Refusal::NotFromWithin),
        (_, Status::Closed) => Err(Refusal::Closed),
        (Hand::Parent | Hand::Operator, Status::Active | Status::Suspended) => Ok(()),
    }
}

/// Why something about an account is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such account, or none of the caller's.
    NotFound,
    /// The name has more than 64 characters.
    NameTooLong,
    /// Not a status.
    StatusUnknown,
    /// An account cannot change its own status.
    NotFromWithin,
    /// Closed is final.
    Closed,
    /// A subaccount has no subaccounts.
    IsSubaccount,
    /// The account has as many subaccounts as it may.
    TooMany,
    /// There is no secondary auth token.
    NoSecondary,
    /// The operator has to say for which account.
    Unnamed,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound | Refusal::NoSecondary => Self::not_found(Code::NotFound),
            Refusal::NameTooLong => Self::parameter("FriendlyName of an account has at most 64 characters"),
            Refusal::StatusUnknown => Self::parameter("Status must be active, suspended or closed"),
            Refusal::NotFromWithin => Self::refused(
                Code::AccessDenied,
                "An account cannot change its own status: of a subaccount its parent can, of others whoever runs the server",
            ),
            Refusal::Closed => Self::parameter("A closed account stays closed"),
            Refusal::IsSubaccount => Self::refused(Code::AccessDenied, "A subaccount cannot have subaccounts"),
            Refusal::TooMany => Self::refused(
                Code::Conflict,
                "The account has as many subaccounts as limits.subaccounts_max allows; close one that is not used",
            ),
            Refusal::Unnamed => Self::parameter("Say for which account, in the header Tertulia-Account"),
        }
    }
}
