//! What is kept for a limited time: entries of the audit log, and revocations whose tokens are all dead.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::audit::commands::{OldestEntries, PURGE_BATCH as AUDIT_BATCH, Purge as PurgeAudit};
use crate::jobs::{Kind, Next, Running, Work};
use crate::platform::{Caller, Outcome};
use crate::revocations::commands::{FirstDeaths, Purge as PurgeRevocations};

/// The job that removes old entries of every account's audit log.
pub const AUDIT: Kind = Kind("audit_retention");
/// The job that removes dead revocations of every account.
pub const REVOCATIONS: Kind = Kind("revocation_retention");

const AUDIT_EVERY_MICROS: i64 = 3600 * 1_000_000;
const REVOCATIONS_EVERY_MICROS: i64 = 600 * 1_000_000;
/// Revocations that are removed at once.
const REVOCATIONS_BATCH: usize = 500;

/// Removes entries that are older than they may be.
pub(super) struct Audit {
    /// Days that an entry is kept.
    pub(super) days: i64,
}

impl Work for Audit {
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>> {
        async move {
            let kept = self.days * 86_400 * 1_000_000;
            for (account, oldest) in job.db.ask(&job.caller, OldestEntries).await? {
                let before = job.db.clock.now(account).plus_micros(-kept);
                let caller = Caller::system(account, job.caller.account_sid);
                if oldest >= before {
                    continue;
                }
                while job.perform_as(&caller, PurgeAudit(before)).await? == AUDIT_BATCH.unsigned_abs() {}
            }
            Ok(Next::At(job.now().plus_micros(AUDIT_EVERY_MICROS)))
        }
        .boxed()
    }
}

/// Removes entries whose tokens are all dead.
pub(super) struct Revocations;

impl Work for Revocations {
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>> {
        async move {
            for (account, first) in job.db.ask(&job.caller, FirstDeaths).await? {
                let caller = Caller::system(account, job.caller.account_sid);
                while first <= job.db.clock.now(account) {
                    let purged = job.perform_as(&caller, PurgeRevocations(REVOCATIONS_BATCH)).await?;
                    if purged < REVOCATIONS_BATCH as u64 {
                        break;
                    }
                }
            }
            Ok(Next::At(job.now().plus_micros(REVOCATIONS_EVERY_MICROS)))
        }
        .boxed()
    }
}
