//! Work that spans several nouns, and runs as durable jobs: conversations' timers, purging what was deleted, and what
//! is kept for a limited time only.
//!
//! Nothing below may import this. A noun enqueues a job of a kind that it names; what the job does stands here.

mod purging;
pub mod retention;
mod timers;

use std::sync::Arc;

use crate::jobs::Runner;
use crate::{App, conversations, services};

/// The runner of every kind of durable job that there is.
pub(crate) fn runner(app: &App) -> Runner {
    let days = app.config.audit.retention_days;
    Runner::new(app.db.clone(), Arc::clone(&app.jobs))
        .with(conversations::TIMER, timers::Timer)
        .with(conversations::PURGE, purging::ConversationPurge)
        .with(services::PURGE, purging::ServicePurge)
        .with_recurring(retention::AUDIT, retention::Audit { days })
        .with_recurring(retention::REVOCATIONS, retention::Revocations)
}
