//! What accounts announce: that their standing changed, so that whatever rests on it can end.

use tertulia_protocol::Timestamp;
use tertulia_store::News;

use super::Account;
use crate::platform::DomainEvent;

/// Something happened to an account.
#[derive(Clone, Debug)]
pub enum AccountEvent {
    /// It came into being.
    Created {
        /// As it is.
        after: Box<Account>,
    },
    /// Its name or status changed; a subaccount's effective status changes with its parent's.
    Updated {
        /// As it was.
        before: Box<Account>,
        /// As it is.
        after: Box<Account>,
    },
}

impl DomainEvent for AccountEvent {
    /// No Sync object shows accounts. That a suspension ends live connections begins here.
    fn news(&self, _now: Timestamp) -> Vec<News> {
        Vec::new()
    }
}
