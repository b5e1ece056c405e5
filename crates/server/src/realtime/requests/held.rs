//! One page on its way out.

use std::time::Duration;

use tertulia_protocol::sync::Object;

use super::{Moment, PATIENCE, Receipts, Shown};

/// How long a client takes from a receipt to the event, as a rule: one turn of its timers.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// News that have not come at this look, after 31 ms, are not on their way but lost.
const LOOKS_PATIENT: u32 = 5;

/// What a page waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// That the client subscribes to the object, as it may be about to do.
    Unsubscribed,
    /// That its events are posted; this was looked at so often.
    Unposted { looks: u32 },
    /// That the mailbox goes out, which has its events.
    Posted,
    /// That the client has so many notifications.
    Unheard { told: u64 },
    /// That the client's timers have had a turn.
    Heard,
}

#[derive(Debug)]
pub(super) struct Held<A> {
    pub(super) answer: A,
    pub(super) bytes: usize,
    pub(super) page: Shown,
    pub(super) stage: Stage,
    /// When it goes out, whatever it waits for.
    deadline: Moment,
    /// A client that subscribes again and again does not keep it longer than this.
    deadline_max: Moment,
    /// When to look after it.
    pub(super) next: Moment,
}

impl<A> Held<A> {
    pub(super) fn new(answer: A, bytes: usize, page: Shown, stage: Stage, now: Moment) -> Self {
        let deadline = now + PATIENCE;
        let next = if stage == Stage::Unsubscribed { deadline } else { now };
        Self { answer, bytes, page, stage, deadline, deadline_max: deadline + PATIENCE, next }
    }

    /// The object is live: from now on its events are waited for.
    pub(super) fn subscribed(&mut self, now: Moment) {
        self.stage = Stage::Unposted { looks: 0 };
        self.deadline = self.deadline_max.min(now + PATIENCE);
        self.next = now;
    }

    /// Looks whether its events are posted. Gives the object when they seem lost.
    pub(super) fn look(&mut self, now: Moment, posted: impl FnOnce(Object) -> Option<i64>) -> Option<Object> {
        let Stage::Unposted { looks } = self.stage else { return None };
        let Some(posted) = posted(self.page.object) else {
            // The client has just asked for the object again, or has cancelled it.
            self.stage = Stage::Unsubscribed;
            self.next = self.deadline;
            return None;
        };
        if posted >= self.page.position {
            self.stage = Stage::Posted;
            return None;
        }
        self.stage = Stage::Unposted { looks: looks + 1 };
        // Ever less often, and often again once the store is being read.
        let wait = if looks < LOOKS_PATIENT { 1 << looks } else { 4 };
        self.next = self.deadline.min(now + Duration::from_millis(wait));
        (looks == LOOKS_PATIENT).then_some(self.page.object)
    }

    /// The mailbox has gone out.
    pub(super) fn sent(&mut self, receipts: Receipts, heard_at: Moment, now: Moment) {
        if self.stage != Stage::Posted {
            return;
        }
        self.stage = Stage::Unheard { told: receipts.told };
        self.deadline = now + PATIENCE;
        self.next = self.deadline;
        if receipts.told == 0 {
            self.next = Moment::ZERO;
        }
        self.heard(receipts.heard, heard_at);
    }

    /// The client has so many notifications.
    pub(super) fn heard(&mut self, heard: u64, at: Moment) {
        if let Stage::Unheard { told } = self.stage
            && heard >= told
        {
            self.stage = Stage::Heard;
            self.next = self.next.min(at + PAUSE);
        }
    }

    /// Whether it goes out now.
    pub(super) fn is_ready(&self, now: Moment) -> bool {
        self.deadline <= now || (self.stage == Stage::Heard && self.next <= now)
    }
}
