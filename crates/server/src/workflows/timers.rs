//! Conversations' timers.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tertulia_protocol::Sid;

use crate::conversations::commands::RunTimer;
use crate::jobs::{Next, Running, Work};
use crate::platform::{Error, Outcome};

/// Looks at one conversation's timers.
pub(super) struct Timer;

impl Work for Timer {
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>> {
        async move {
            let sid = Sid::parse(&job.claim.key).map_err(|cause| Error::Broken(format!("a timer's job: {cause}")))?;
            let next = job.perform(RunTimer(sid)).await?;
            Ok(next.map_or(Next::Done, Next::At))
        }
        .boxed()
    }
}
