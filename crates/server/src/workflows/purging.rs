//! Purging deleted conversations and chat services, in batches: each step is a transaction of its own and finds by
//! itself what is left, so that a purge that was interrupted goes on where it stopped.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation, Kind};

use crate::conversations::commands::PurgeConversation;
use crate::jobs::{Next, Running, Work};
use crate::platform::{Error, Outcome};
use crate::services::commands::{PurgeService, Purged};

/// Purges one deleted conversation.
pub(super) struct ConversationPurge;

impl Work for ConversationPurge {
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>> {
        async move {
            purge_conversation(job, sid(job)?).await?;
            Ok(Next::Done)
        }
        .boxed()
    }
}

/// Purges one deleted chat service and all that it holds.
pub(super) struct ServicePurge;

impl Work for ServicePurge {
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>> {
        async move {
            let step = PurgeService { account: job.claim.account, sid: sid(job)? };
            loop {
                match job.perform(step).await? {
                    Purged::Whole => return Ok(Next::Done),
                    Purged::Part => {}
                    // Its own job may be at it, too: each step finds what the other one has left.
                    Purged::Conversation(sid) => purge_conversation(job, sid).await?,
                }
            }
        }
        .boxed()
    }
}

async fn purge_conversation(job: &Running, sid: Sid<Conversation>) -> Outcome<()> {
    let step = PurgeConversation { account: job.claim.account, sid };
    while !job.perform(step.clone()).await? {}
    Ok(())
}

fn sid<K: Kind>(job: &Running) -> Outcome<Sid<K>> {
    Sid::parse(&job.claim.key).map_err(|cause| Error::Broken(format!("the job {}: {cause}", job.claim.kind)))
}
