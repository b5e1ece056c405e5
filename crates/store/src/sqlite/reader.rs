//! A thread that reads: one snapshot per question, and a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::connection::Lite;
use super::queue::Queue;
use crate::failure::{Failure, OpenError};
use crate::task::Job;
use crate::tx::Access;

/// How many steps of SQLite's machine lie between two looks at the clock: well below a
/// millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

/// A question that waits.
pub(super) struct Reading {
    pub(super) job: Box<dyn Job>,
    pub(super) until: Instant,
}

pub(super) struct Reader {
    lite: Lite,
    queue: Arc<Queue<Reading>>,
    began: Instant,
    /// When the present question must end, in microseconds since `began`.
    until_micros: Arc<AtomicU64>,
}

impl Reader {
    pub(super) fn new(lite: Lite, queue: Arc<Queue<Reading>>) -> Result<Self, OpenError> {
        let began = Instant::now();
        let until_micros = Arc::new(AtomicU64::new(u64::MAX));
        let until = Arc::clone(&until_micros);
        let too_late = move || micros(began.elapsed()) > until.load(Ordering::Relaxed);
        let mut reader = Self { lite, queue, began, until_micros };
        let watched = reader.lite.db.progress_handler(STEPS_BETWEEN_LOOKS, Some(too_late));
        watched.map_err(|error| OpenError::database("bounding the time of reads", error))?;
        Ok(reader)
    }

    pub(super) fn run(mut self) {
        let mut next = Vec::with_capacity(1);
        while self.queue.take(1, &mut next) {
            for Reading { mut job, until } in next.drain(..) {
                self.answer(&mut job, until);
                job.answer();
            }
        }
    }

    fn answer(&mut self, job: &mut Box<dyn Job>, until: Instant) {
        if Instant::now() > until {
            return job.fail(Failure::TimedOut { doing: "waiting for a reader" });
        }
        let allowed = until.duration_since(self.began);
        self.until_micros.store(micros(allowed), Ordering::Relaxed);
        match self.lite.control("BEGIN") {
            Ok(()) => drop(job.run(&mut self.lite, Access::Read)),
            Err(error) => job.fail(Failure::storage("beginning to read", error)),
        }
        // Ending a snapshot is not bounded: it must take place.
        self.until_micros.store(u64::MAX, Ordering::Relaxed);
        if !self.lite.is_outside()
            && let Err(error) = self.lite.control("ROLLBACK")
        {
            tracing::error!("a snapshot could not be ended: {error}");
        }
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
