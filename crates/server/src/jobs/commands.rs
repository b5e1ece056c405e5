//! Transactions of durable jobs: enqueue, claim, write under a claim, give back.

use tertulia_protocol::Timestamp;
use tertulia_store::{News, StreamId};

use super::queries::Wanted;
use super::{Backlog, Claim, Kind, Refusal, queries};
use crate::platform::{AccountNumber, Change, Cx, Outcome, Question};
use crate::realtime::news::kind;

/// Enqueues a job in the transaction of the change that it follows. A job with the same account, kind and key is
/// brought forward instead; if it is running, it runs once more.
pub async fn enqueue(
    cx: &mut Cx<'_, '_>,
    account: AccountNumber,
    kind: Kind,
    key: &str,
    due: Timestamp,
) -> Outcome<()> {
    queries::enqueue(cx.tx, account, kind, key, due).await?;
    if due <= cx.now {
        // Runners look at once; whoever does not hear of it looks after a while.
        cx.tx.announce(News { stream: SIGNAL, after: 0, upto: 1, events: bytes::Bytes::new() });
    }
    Ok(())
}

/// What the bus carries when a job is due at once.
const SIGNAL: StreamId = StreamId { kind: kind::JOBS, key: 0 };

/// Adds recurring jobs of the installation that are not there yet.
#[derive(Clone, Debug)]
pub struct Ensure(pub Vec<Kind>);

impl Change for Ensure {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        for kind in &self.0 {
            queries::ensure(cx.tx, *kind, cx.now).await?;
        }
        Ok(())
    }
}

/// Ends every lease, for a node that is alone and has just started: whoever held them is gone.
#[derive(Clone, Copy, Debug)]
pub struct ForgetLeases;

impl Change for ForgetLeases {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        queries::forget_leases(cx.tx).await
    }
}

/// Accounts whose clock differs from the machine's, with their time.
pub type OwnTimes = Vec<(AccountNumber, Timestamp)>;

/// Claims jobs that are due.
#[derive(Clone, Debug)]
pub struct ClaimDue {
    /// Which, and for how long.
    pub wanted: Wanted,
    /// Accounts with a time of their own.
    pub own_times: OwnTimes,
}

impl Change for ClaimDue {
    type Out = Vec<Claim>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Claim>> {
        let others: Vec<i64> = self.own_times.iter().map(|(account, _)| account.0).collect();
        let mut claims = queries::claim(cx.tx, &others, &self.wanted).await?;
        for (account, now) in &self.own_times {
            let limit = self.wanted.limit - claims.len() as i64;
            let wanted = Wanted { limit, ..self.wanted.clone() };
            claims.extend(queries::claim_of(cx.tx, *account, *now, &wanted).await?);
        }
        Ok(claims)
    }
}

/// How many microseconds are left until something can be claimed; none or fewer: at once. `None`: there is nothing.
#[derive(Clone, Debug)]
pub struct UntilNext {
    /// Kinds that the node can run.
    pub kinds: Vec<&'static str>,
    /// The machine's time.
    pub machine: Timestamp,
    /// Accounts with a time of their own.
    pub own_times: OwnTimes,
}

impl Question for UntilNext {
    type Out = Option<i64>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<i64>> {
        let others: Vec<i64> = self.own_times.iter().map(|(account, _)| account.0).collect();
        let mut moments = vec![(self.machine, queries::next(cx.tx, &self.kinds, &others).await?)];
        for (account, now) in &self.own_times {
            moments.push((*now, queries::next_of(cx.tx, &self.kinds, *account).await?));
        }
        let ahead = |at: Timestamp, now: Timestamp| at.micros().saturating_sub(now.micros());
        let left = moments.into_iter().flat_map(|(now, (due, lease_end))| {
            [due.map(|due| ahead(due, now)), lease_end.map(|end| ahead(end, self.machine))]
        });
        Ok(left.flatten().min())
    }
}

/// A change that a job makes: refused when another node has taken the job over. It renews the lease, too.
///
/// The job's row is locked before anything that the change locks.
#[derive(Clone, Debug)]
pub struct Fenced<C> {
    /// The job.
    pub claim: Claim,
    /// Until when the lease is to last.
    pub until: Timestamp,
    /// What it changes.
    pub change: C,
}

impl<C: Change> Change for Fenced<C> {
    type Out = C::Out;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<C::Out> {
        if !queries::hold(cx.tx, &self.claim, self.until).await? {
            return Err(Refusal::LeaseLost.into());
        }
        self.change.apply(cx).await
    }
}

/// What becomes of a job that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Done,
    /// It comes again, at a moment of its account's clock.
    At(Timestamp),
    /// It failed, and is tried again at a moment of its account's clock.
    Retry(Timestamp),
}

/// Notes what became of a job. If the lease was lost meanwhile, nothing happens: the job is another node's.
#[derive(Clone, Debug)]
pub struct GiveBack {
    /// The job.
    pub claim: Claim,
    /// What becomes of it.
    pub next: Next,
}

impl Change for GiveBack {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        match self.next {
            Next::Done if queries::finish(cx.tx, &self.claim).await? => Ok(()),
            // It was enqueued again while it ran: what it has not seen is still to be done.
            Next::Done => queries::again(cx.tx, &self.claim, cx.now, 0).await,
            Next::At(due) => queries::again(cx.tx, &self.claim, due, 0).await,
            Next::Retry(due) => queries::again(cx.tx, &self.claim, due, self.claim.attempts).await,
        }
    }
}

/// How the jobs stand, kind by kind.
#[derive(Clone, Copy, Debug)]
pub struct ListBacklog;

impl Question for ListBacklog {
    type Out = Vec<Backlog>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Backlog>> {
        queries::backlog(cx.tx).await
    }
}
