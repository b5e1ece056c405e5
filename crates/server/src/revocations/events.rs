//! What a revocation announces: control records, which no client hears. Every node listens to all of them
//! and ends the connections that they name.

use tertulia_protocol::Timestamp;
use tertulia_store::News;

use super::Revocation;
use crate::platform::DomainEvent;
use crate::realtime::news::revoked;

/// Tokens were revoked.
#[derive(Clone, Copy, Debug)]
pub struct Revoked<'a>(pub &'a Revocation);

impl DomainEvent for Revoked<'_> {
    fn news(&self, _: Timestamp) -> Vec<News> {
        vec![revoked(self.0)]
    }
}
