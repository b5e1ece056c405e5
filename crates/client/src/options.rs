//! What can be chosen.

#[cfg(feature = "tls")]
use std::sync::Arc;

use crate::backoff::Backoff;

/// Choices of a client. The default is what a bot or an app wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to come back after a cut; `None`: not at all, the first cut is the end.
    pub reconnect: Option<Backoff>,
    /// Whether the server tells who is typing.
    pub typing: bool,
    /// Where chance comes from, which spreads attempts to connect; `None`: from the machine.
    pub seed: Option<u64>,
    /// Which certificates are believed at a `wss://` address; `None`: those of the authorities that the operating
    /// system trusts, for the address's name.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reconnect: Some(Backoff::default()),
            typing: true,
            seed: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Options {
    /// One connection and no other: for load, and for tests that look at a single connection.
    pub fn once() -> Self {
        Self { reconnect: None, typing: false, ..Self::default() }
    }
}
