//! A bound on how long a piece of work may take.

use std::time::{Duration, Instant};

/// The moment at which a piece of work must be given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

#[expect(
    clippy::disallowed_methods,
    reason = "work is measured here, on the machine's own clock; no value that is stored depends on it"
)]
impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    pub(crate) fn has_passed(self) -> bool {
        Instant::now() > self.0
    }
}
