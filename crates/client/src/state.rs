//! Whether there is a connection.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::Disconnected;

/// The state of a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The first connection is being made.
    Connecting,
    /// There is one.
    Connected,
    /// It was cut, or an attempt to make another failed; calls wait a while.
    Reconnecting {
        /// What went wrong.
        why: Disconnected,
        /// How long until the next attempt.
        wait: Duration,
    },
    /// It is over for good.
    Ended(Disconnected),
}

/// The changes of a connection's state. Whoever looks seldom sees the latest only.
#[derive(Debug)]
pub struct ConnectionStates(pub(crate) watch::Receiver<ConnectionState>);

impl ConnectionStates {
    /// The state now.
    pub fn current(&self) -> ConnectionState {
        self.0.borrow().clone()
    }

    /// Waits for the next state that has not been seen; nothing follows [`ConnectionState::Ended`].
    pub async fn next(&mut self) -> Option<ConnectionState> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}
