//! What roles announce: that they allow something else, to whoever reads by the right of one.

use tertulia_protocol::sid::Service;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::News;

use crate::platform::DomainEvent;
use crate::realtime::news;

/// A role of a chat service was given other permissions, or deleted. A new one is no news: nobody has it yet.
#[derive(Clone, Copy, Debug)]
pub struct RightsChanged {
    /// The chat service.
    pub service: Sid<Service>,
}

impl DomainEvent for RightsChanged {
    fn news(&self, _now: Timestamp) -> Vec<News> {
        vec![news::rights_changed(news::rights(self.service), 0)]
    }
}
