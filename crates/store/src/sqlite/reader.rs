//! A thread that reads: one snapshot per question, and a bounded time.

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Lite;
use super::queue::Queue;
use crate::deadline::Deadline;
use crate::failure::{Failure, OpenError};
use crate::task::Job;
use crate::tx::Access;

/// How many steps of SQLite's machine lie between two looks at the clock: well below a
/// millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

/// A question that waits.
pub(super) struct Reading {
    pub(super) job: Box<dyn Job>,
    pub(super) deadline: Deadline,
}

pub(super) struct Reader {
    lite: Lite,
    queue: Arc<Queue<Reading>>,
    /// Until when the present question may run. Only this thread ever takes the lock; SQLite's
    /// callback must be able to cross threads, though it never does.
    allowed: Arc<Mutex<Option<Deadline>>>,
}

impl Reader {
    pub(super) fn new(lite: Lite, queue: Arc<Queue<Reading>>) -> Result<Self, OpenError> {
        let allowed = Arc::new(Mutex::new(None));
        let looked_at = Arc::clone(&allowed);
        let too_late = move || present(&looked_at).is_some_and(Deadline::has_passed);
        let mut reader = Self { lite, queue, allowed };
        let watched = reader.lite.db.progress_handler(STEPS_BETWEEN_LOOKS, Some(too_late));
        watched.map_err(|error| OpenError::database("bounding the time of reads", error))?;
        Ok(reader)
    }

    pub(super) fn run(mut self) {
        let mut next = Vec::with_capacity(1);
        while self.queue.take(1, &mut next) {
            for Reading { mut job, deadline } in next.drain(..) {
                self.answer(&mut job, deadline);
                job.answer();
            }
        }
    }

    fn answer(&mut self, job: &mut Box<dyn Job>, deadline: Deadline) {
        if deadline.has_passed() {
            return job.fail(Failure::TimedOut { doing: "waiting for a reader" });
        }
        self.allow(Some(deadline));
        match self.lite.control("BEGIN") {
            Ok(()) => drop(job.run(&mut self.lite, Access::Read)),
            Err(error) => job.fail(Failure::storage("beginning to read", error)),
        }
        // Ending a snapshot is not bounded: it must take place.
        self.allow(None);
        if !self.lite.is_outside()
            && let Err(error) = self.lite.control("ROLLBACK")
        {
            tracing::error!("a snapshot could not be ended: {error}");
        }
    }

    fn allow(&self, deadline: Option<Deadline>) {
        *self.allowed.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

fn present(allowed: &Mutex<Option<Deadline>>) -> Option<Deadline> {
    *allowed.lock().unwrap_or_else(PoisonError::into_inner)
}
