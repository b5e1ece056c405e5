//! What keys announce: that one is gone, so that whatever rests on it can end.

use tertulia_protocol::Timestamp;
use tertulia_store::News;

use super::Key;
use crate::platform::DomainEvent;

/// Something happened to a key.
#[derive(Clone, Debug)]
pub enum KeyEvent {
    /// It came into being.
    Created {
        /// As it is.
        after: Box<Key>,
    },
    /// Its name or policy changed.
    Updated {
        /// As it was.
        before: Box<Key>,
        /// As it is.
        after: Box<Key>,
    },
    /// It was deleted, and with it every token it signed.
    Deleted {
        /// As it was.
        before: Box<Key>,
    },
}

impl DomainEvent for KeyEvent {
    /// No Sync object shows keys. That a deletion ends live connections begins here.
    fn news(&self, _now: Timestamp) -> Vec<News> {
        Vec::new()
    }
}
