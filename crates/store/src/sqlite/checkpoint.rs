//! The thread that copies the write-ahead log into the file, so that no writer has to.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::connection::Lite;
use crate::settings::Settings;

/// When the log is this many times longer than wanted, the writer itself restarts it.
const OVERLONG: u32 = 16;

/// What the writer tells the checkpointer.
#[derive(Default)]
pub(super) struct Nudge {
    state: Mutex<State>,
    told: Condvar,
    pages: AtomicU32,
    due: AtomicU32,
    overlong: AtomicBool,
}

#[derive(Default)]
struct State {
    wanted: bool,
    closed: bool,
}

impl Nudge {
    pub(super) fn due_at(&self, pages: u32) {
        self.due.store(pages.max(1), Ordering::Relaxed);
    }

    /// The log has this many pages now.
    pub(super) fn log_has(&self, pages: u32) {
        self.pages.store(pages, Ordering::Relaxed);
        if pages >= self.due.load(Ordering::Relaxed) {
            self.change(|state| state.wanted = true);
        }
    }

    /// Whether the writer should restart the log; asked once per request.
    pub(super) fn log_is_overlong(&self) -> bool {
        self.overlong.swap(false, Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_one();
    }

    /// Waits until a checkpoint is wanted; `false` when there will be none.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.wanted && !state.closed {
            state = self.told.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wanted = false;
        !state.closed
    }
}

pub(super) struct Checkpointer {
    lite: Lite,
    nudge: Arc<Nudge>,
    overlong_pages: u32,
}

impl Checkpointer {
    pub(super) fn new(lite: Lite, settings: &Settings, nudge: &Arc<Nudge>) -> Self {
        Self { lite, nudge: Arc::clone(nudge), overlong_pages: settings.checkpoint_pages.saturating_mul(OVERLONG) }
    }

    pub(super) fn run(self) {
        while self.nudge.wait() {
            let copied = self.lite.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            if let Err(error) = copied {
                tracing::warn!("the log could not be copied into the file: {error}");
            }
            if self.nudge.pages.load(Ordering::Relaxed) >= self.overlong_pages {
                self.nudge.overlong.store(true, Ordering::Relaxed);
            }
        }
    }
}
