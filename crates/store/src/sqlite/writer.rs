//! The one thread that writes, and its group commit.
//!
//! It takes what waits, runs each command under a savepoint of one transaction, commits once,
//! tells the news of the whole group, and answers. What it must never do: answer before the
//! commit, tell news of an undone command, or go on after a commit whose outcome it cannot know.

use std::sync::Arc;

use rusqlite::ErrorCode;

use super::checkpoint::Nudge;
use super::connection::Lite;
use super::queue::Queue;
use crate::failure::{Failure, OpenError};
use crate::news::{News, Publish, tell};
use crate::settings::Settings;
use crate::task::Job;
use crate::tx::{Access, went_on};

/// A write that waits.
pub(super) type Writing = Box<dyn Job>;

pub(super) struct Writer {
    lite: Lite,
    queue: Arc<Queue<Writing>>,
    nudge: Arc<Nudge>,
    publish: Arc<dyn Publish>,
    on_fatal: Arc<dyn Fn(&str) + Send + Sync>,
    group_commands_max: usize,
}

/// How the transaction of a group ended.
enum End {
    /// It is durable.
    Committed(Vec<News>),
    /// It did not even begin.
    NotBegun(rusqlite::Error),
    /// This member brought it down, and has its refusal already. Nothing was written.
    BroughtDown { by: usize },
    /// It could not be committed. Nothing was written.
    Refused(rusqlite::Error),
    /// The commit failed in a way that does not say whether it took place.
    Unknown(rusqlite::Error),
}

impl Writer {
    pub(super) fn new(
        mut lite: Lite,
        settings: &Settings,
        queue: &Arc<Queue<Writing>>,
        nudge: &Arc<Nudge>,
    ) -> Result<Self, OpenError> {
        let hook = Arc::clone(nudge);
        let counting = lite.db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            hook.log_has(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        counting.map_err(|error| OpenError::database("watching the log's length", error))?;
        nudge.due_at(settings.checkpoint_pages);
        Ok(Self {
            lite,
            queue: Arc::clone(queue),
            nudge: Arc::clone(nudge),
            publish: Arc::clone(&settings.publish),
            on_fatal: Arc::clone(&settings.on_fatal),
            group_commands_max: settings.group_commands_max.max(1),
        })
    }

    /// Writes until the queue is closed and empty. `last` runs before the connection is closed.
    pub(super) fn run(mut self, last: impl FnOnce()) {
        self.write_all();
        last();
    }

    fn write_all(&mut self) {
        let mut group = Vec::with_capacity(self.group_commands_max);
        while self.queue.take(self.group_commands_max, &mut group) {
            if let Err(error) = self.group(&mut group) {
                self.give_up(&error, group);
                return;
            }
            if self.nudge.log_is_overlong() {
                self.restart_log();
            }
        }
    }

    /// One group: together if that goes well, otherwise each command alone.
    fn group(&mut self, group: &mut Vec<Writing>) -> Result<(), rusqlite::Error> {
        match self.together(group) {
            End::Committed(news) => tell(&*self.publish, news),
            End::NotBegun(error) => fail_all(group, &error),
            End::BroughtDown { by } if group.len() > 1 => {
                group.remove(by).answer();
                return self.one_by_one(group);
            }
            // It was alone, and has its refusal.
            End::BroughtDown { .. } => {}
            End::Refused(error) if group.len() > 1 => {
                tracing::warn!("a group of {} writes runs one by one: {error}", group.len());
                return self.one_by_one(group);
            }
            End::Refused(error) => fail_all(group, &error),
            End::Unknown(error) => return Err(error),
        }
        group.drain(..).for_each(Job::answer);
        Ok(())
    }

    /// Nothing of the group was written, so each may run again, in a transaction of its own.
    fn one_by_one(&mut self, group: &mut Vec<Writing>) -> Result<(), rusqlite::Error> {
        for job in std::mem::take(group) {
            // Left in the group if its outcome is unknown; those after it hear that all is over.
            group.push(job);
            self.group(group)?;
        }
        Ok(())
    }

    fn together(&mut self, group: &mut [Writing]) -> End {
        if let Err(error) = self.lite.control("BEGIN IMMEDIATE") {
            return End::NotBegun(error);
        }
        let mut news = Vec::new();
        for (by, job) in group.iter_mut().enumerate() {
            if let Err(why) = self.one(job, &mut news) {
                keep_refusal_or_fail(job, why);
                return self.abandon(End::BroughtDown { by });
            }
        }
        match self.lite.control("COMMIT") {
            Ok(()) => End::Committed(news),
            Err(error) if surely_not_committed(&error) => self.abandon(End::Refused(error)),
            Err(error) => End::Unknown(error),
        }
    }

    /// One command under its savepoint. An error means the whole transaction is gone or unusable.
    fn one(&mut self, job: &mut Writing, news: &mut Vec<News>) -> Result<(), Option<Failure>> {
        let control = |lite: &Lite, text| {
            let done = lite.control(text);
            done.map_err(|error| Some(Failure::storage("setting a savepoint", error)))
        };
        control(&self.lite, "SAVEPOINT command")?;
        let kept = job.run(&mut self.lite, Access::Write);
        if self.lite.is_outside() {
            // A full disk, an I/O error or lack of memory ended the transaction of everyone.
            return Err(None);
        }
        match kept {
            Some(mut told) => news.append(&mut told),
            None => control(&self.lite, "ROLLBACK TO command")?,
        }
        control(&self.lite, "RELEASE command")?;
        Ok(())
    }

    /// Leaves no transaction open behind.
    fn abandon(&self, end: End) -> End {
        match self.lite.is_outside() || self.lite.control("ROLLBACK").is_ok() {
            true => end,
            // Whatever the next group did would belong to this transaction.
            false => End::Unknown(rusqlite::Error::InvalidQuery),
        }
    }

    /// Copies the rest of the log into the file and lets it begin anew. Under a steady load the
    /// checkpointer alone never reaches the log's end. A long read may be in the way; then the next
    /// checkpoint asks for it again.
    fn restart_log(&self) {
        if let Err(error) = self.lite.restart_log() {
            tracing::warn!("the log could not be restarted: {error}");
        }
    }

    fn give_up(&self, error: &rusqlite::Error, group: Vec<Writing>) {
        self.queue.close();
        (self.on_fatal)(&format!(
            "a commit failed and its outcome is unknown, so nothing more may be read or \
             written; start again, and the database will say what it holds: {error}"
        ));
        let mut left = group;
        let unknown = |mut job: Writing| {
            let source = "the commit failed".into();
            job.fail(Failure::Unknown { source });
            job.answer();
        };
        left.drain(..).for_each(unknown);
        while self.queue.take(usize::MAX, &mut left) {
            for mut job in left.drain(..) {
                job.fail(Failure::Closed);
                job.answer();
            }
        }
    }
}

/// A command that lost the transaction and still claims success must not be believed.
fn keep_refusal_or_fail(job: &mut Writing, why: Option<Failure>) {
    match why {
        Some(failure) => job.fail(failure),
        None if job.refused() => {}
        None => job.fail(went_on()),
    }
}

fn fail_all(group: &mut [Writing], error: &rusqlite::Error) {
    for job in group {
        job.fail(Failure::storage("writing", error.to_string()));
    }
}

/// Errors of `COMMIT` after which nothing was written for certain: no room was left to write the
/// log's last frame, or a deferred constraint was violated. Everything else, a failed fsync above
/// all, may or may not be on the disk.
fn surely_not_committed(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::ConstraintViolation | ErrorCode::DatabaseBusy)
    )
}
