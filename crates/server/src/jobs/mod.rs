//! Durable jobs: work that must follow a change, and survives a crash of the node that began it.
//!
//! A job is a row, written by [`commands::enqueue`] in the transaction of the change that it follows. The
//! [`runner`] claims what is due and runs it: **at least once**. So the effects of a job must be ones that may
//! repeat. A claim is a lease with a fencing number. When a node stalls, its lease lapses, another node takes the
//! job over under the next number, and [`commands::Fenced`] refuses whatever the first one still tries to write.
//!
//! A job's due time is by its account's clock, a lease's end by the machine's. This module knows no kind of job:
//! what runs them is handed to the runner ([`crate::workflows`]).

pub mod queries;
pub mod commands;
pub mod http;
pub mod runner;

pub use commands::{Next, enqueue};
pub use runner::{Runner, Running, Work};

use tertulia_protocol::{Code, Timestamp};

use crate::platform::{AccountNumber, Error};

/// What a job is to do. The name is stored, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub &'static str);

/// A job that a node has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose rows it works on; 0 for work that belongs to no account.
    pub account: AccountNumber,
    /// The name of its [`Kind`].
    pub kind: String,
    /// Which thing it is about, such as a SID; with account and kind it names the job.
    pub key: String,
    /// When it was due.
    pub due: Timestamp,
    /// How often it was begun without success, this time included.
    pub attempts: i64,
    /// The fencing number: each claim of the job has a higher one.
    pub fence: i64,
    /// How often it had been enqueued. If it is enqueued again while it runs, it must run again.
    pub enqueued: i64,
}

/// How the jobs of one kind stand, for whoever runs the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Which kind.
    pub kind: String,
    /// How many there are, due or not.
    pub jobs: i64,
    /// How many of them have failed at least once since they last succeeded.
    pub failing: i64,
    /// When the oldest of them is, or was, due.
    pub oldest_due: Timestamp,
}

/// The first wait after a failure.
const BACKOFF_MIN_SECONDS: i64 = 1;
/// The longest wait.
const BACKOFF_MAX_SECONDS: i64 = 600;

/// Seconds to wait after so many attempts: doubling from one second up to ten minutes.
pub fn backoff_seconds(attempts: i64) -> i64 {
    let doublings = (attempts - 1).clamp(0, 16);
    (BACKOFF_MIN_SECONDS << doublings).min(BACKOFF_MAX_SECONDS)
}

/// Why a node may not go on with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The lease lapsed, and another node has claimed the job since.
    LeaseLost,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::LeaseLost => Self::refused(Code::Conflict, "another node has taken the job over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_ten_minutes() {
        let waits: Vec<i64> = (1..=12).map(backoff_seconds).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(backoff_seconds(i64::MAX), 600);
    }
}
