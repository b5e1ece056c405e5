//! A page that waits until its client has what it was told before.
//!
//! An SDK gives a reply to its app at once and an event a timer's turn later. So a page that arrives together
//! with the events before it overtakes them inside the SDK, and what it brings first is not told. The client's
//! receipts say what it has: the page goes out a moment after the last one, or when the client has had its time.

use std::time::Duration;

use tokio::time::Instant;

/// How long a page waits for receipts at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a client takes from a receipt to the event, as a rule: one turn of its timers.
const PAUSE: Duration = Duration::from_millis(5);

/// Notifications of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipts {
    /// How many were sent.
    pub(super) told: u64,
    /// How many the client says it has.
    pub(super) heard: u64,
    /// When it last said so.
    pub(super) heard_at: Instant,
}

/// An answer that waits.
#[derive(Debug)]
pub(super) struct Held<A> {
    answer: A,
    /// So many receipts are waited for.
    told: u64,
    until: Instant,
}

impl<A> Held<A> {
    /// Holds an answer for what was told so far; gives it back when there is nothing to wait for.
    pub(super) fn new(answer: A, receipts: Receipts, now: Instant) -> Result<Self, A> {
        let until = match receipts.heard >= receipts.told {
            true => receipts.heard_at + PAUSE,
            false => now + PATIENCE,
        };
        if receipts.told == 0 || until <= now {
            return Err(answer);
        }
        Ok(Self { answer, told: receipts.told, until })
    }

    /// Receipts have come.
    pub(super) fn heard(&mut self, receipts: Receipts) {
        if receipts.heard >= self.told {
            self.until = self.until.min(receipts.heard_at + PAUSE);
        }
    }

    /// When it goes out at the latest.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// The answer.
    pub(super) fn into_answer(self) -> A {
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn begin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_page_waits_for_receipts_and_a_moment_more() {
        let begin = begin();
        let receipts = |told, heard, millis| Receipts { told, heard, heard_at: begin + Duration::from_millis(millis) };
        let now = begin + Duration::from_millis(100);
        let mut held = Held::new("page", receipts(3, 1, 10), now).unwrap();
        assert_eq!(held.until(), now + PATIENCE);
        held.heard(receipts(3, 2, 120));
        assert_eq!(held.until(), now + PATIENCE, "not all of it");
        held.heard(receipts(5, 3, 130));
        assert_eq!(held.until(), begin + Duration::from_millis(130) + PAUSE);
        held.heard(receipts(5, 5, 200));
        assert_eq!(held.until(), begin + Duration::from_millis(130) + PAUSE, "what came later is not waited for");
    }

    #[test]
    fn a_page_does_not_wait_when_nothing_is_on_its_way() {
        let begin = begin();
        let now = begin + Duration::from_millis(100);
        let receipts = |told, heard| Receipts { told, heard, heard_at: begin };
        assert_eq!(Held::new("page", receipts(0, 0), begin).unwrap_err(), "page");
        assert_eq!(Held::new("page", receipts(3, 3), now).unwrap_err(), "page");
        assert_eq!(Held::new("page", receipts(3, 3), begin).unwrap().until(), begin + PAUSE);
    }
}
