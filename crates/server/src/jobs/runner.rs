//! The task that claims due jobs and runs them; one a node.
//!
//! It keeps nothing in memory that the store does not have. It sleeps until the next job is due, and wakes when a
//! job is enqueued, when a clock is moved and, where other nodes share the store, every second: a lease of a dead
//! node may have lapsed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tertulia_protocol::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::commands::{ClaimDue, Ensure, Fenced, ForgetLeases, GiveBack, Next, UntilNext};
use super::queries::Wanted;
use super::{Claim, Kind, backoff_seconds};
use crate::platform::{Caller, Change, Db, Error, Outcome};

/// How long a lease lasts that is not renewed. Each step of a job renews it, so it must outlast one step.
const LEASE_MICROS: i64 = 30 * 1_000_000;
/// Jobs that a node runs at the same time.
const RUNNING_MAX: usize = 16;
/// The longest sleep of a node that is alone: nobody else enqueues, and nobody else's leases lapse.
const LOOK_ALONE: Duration = Duration::from_secs(60);
/// The longest sleep of a node that shares its store.
const LOOK_SHARED: Duration = Duration::from_secs(1);
/// The shortest sleep: a clock that stands still just before something is due must not keep the node busy.
const PAUSE: Duration = Duration::from_millis(50);
/// The sleep after the store has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What runs the jobs of one kind. A job may run again after it was done, so its effects must be ones that may repeat.
pub trait Work: Send + Sync + 'static {
    /// Runs a job, step by step. What it writes, it writes through [`Running::perform`].
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>>;
}

/// A job that runs on this node.
pub struct Running {
    /// Which.
    pub claim: Claim,
    /// Where it reads; what it writes goes through [`Running::perform`].
    pub db: Db,
    /// The server itself, acting for the job's account.
    pub caller: Caller,
}

impl Running {
    /// Performs one step: refused when another node has taken the job over.
    pub async fn perform<C: Change>(&self, change: C) -> Outcome<C::Out> {
        self.perform_as(&self.caller, change).await
    }

    /// The same, acting for another account than the job's.
    pub async fn perform_as<C: Change>(&self, caller: &Caller, change: C) -> Outcome<C::Out> {
        let until = self.db.clock.machine().plus_micros(LEASE_MICROS);
        self.db.perform(caller, Fenced { claim: self.claim.clone(), until, change }).await
    }

    /// The time in the job's account.
    pub fn now(&self) -> Timestamp {
        self.db.clock.now(self.claim.account)
    }
}

/// Runs jobs until the server goes away.
pub struct Runner {
    db: Db,
    works: HashMap<&'static str, Arc<dyn Work>>,
    recurring: Vec<Kind>,
    wake: Arc<Notify>,
}

impl Runner {
    /// A runner that knows no kind yet. `wake` is notified when a job was enqueued.
    pub fn new(db: Db, wake: Arc<Notify>) -> Self {
        Self { db, works: HashMap::new(), recurring: Vec::new(), wake }
    }

    /// Jobs of this kind are run so.
    #[must_use]
    pub fn with(mut self, kind: Kind, work: impl Work) -> Self {
        self.works.insert(kind.0, Arc::new(work));
        self
    }

    /// The same, for work of the whole installation that comes again and again.
    #[must_use]
    pub fn with_recurring(mut self, kind: Kind, work: impl Work) -> Self {
        self.recurring.push(kind);
        self.with(kind, work)
    }

    /// Runs until the server goes away. What is running then is given back, for the next start or another node.
    pub async fn run(self, mut draining: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        let mut changes = self.db.clock.changes();
        let mut is_prepared = false;
        loop {
            // What changes from here on is looked at again.
            changes.mark_unchanged();
            let looked = self.look(&mut is_prepared, &mut running).await;
            let wait = looked.unwrap_or_else(|error| {
                tracing::error!(cause = %error, "jobs could not be claimed");
                PATIENCE
            });
            tokio::select! {
                _ = draining.wait_for(|draining| *draining) => break,
                changed = changes.changed() => if changed.is_err() { break },
                () = self.wake.notified() => {}
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        // Aborted between two steps; each step is a transaction of its own.
        running.shutdown().await;
    }

    /// Claims what is due and begins it; gives the time until the next look.
    async fn look(&self, is_prepared: &mut bool, running: &mut JoinSet<()>) -> Outcome<Duration> {
        if !*is_prepared {
            self.prepare().await?;
            *is_prepared = true;
        }
        while running.try_join_next().is_some() {}
        let room = RUNNING_MAX - running.len();
        if room == 0 {
            return Ok(self.most());
        }
        let wait = self.until_next().await?;
        if !wait.is_zero() {
            return Ok(wait);
        }
        for claim in self.db.perform(&Caller::nobody(), self.claim_due(room)).await? {
            running.spawn(self.begin(claim));
        }
        Ok(PAUSE)
    }

    async fn prepare(&self) -> Outcome<()> {
        if !self.db.store.is_shared() {
            // This process holds the file's lock, so whoever held a lease is gone.
            self.db.perform(&Caller::nobody(), ForgetLeases).await?;
        }
        self.db.perform(&Caller::nobody(), Ensure(self.recurring.clone())).await
    }

    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.works.keys().copied().collect();
        kinds.sort_unstable();
        kinds
    }

    fn claim_due(&self, room: usize) -> ClaimDue {
        let machine = self.db.clock.machine();
        let until = machine.plus_micros(LEASE_MICROS);
        let wanted = Wanted { kinds: self.kinds(), machine, until, limit: room as i64 };
        ClaimDue { wanted, own_times: self.db.clock.own_times() }
    }

    /// The longest sleep.
    fn most(&self) -> Duration {
        if self.db.store.is_shared() { LOOK_SHARED } else { LOOK_ALONE }
    }

    /// The time until something can be claimed.
    async fn until_next(&self) -> Outcome<Duration> {
        let (machine, own_times) = (self.db.clock.machine(), self.db.clock.own_times());
        let question = UntilNext { kinds: self.kinds(), machine, own_times };
        let left = self.db.ask(&Caller::nobody(), question).await?;
        Ok(left.map_or(self.most(), |left| Duration::from_micros(left.max(0).unsigned_abs()).min(self.most())))
    }

    fn begin(&self, claim: Claim) -> BoxFuture<'static, ()> {
        let caller = Caller::system(claim.account, Caller::nobody().account_sid);
        let job = Running { claim, db: self.db.clone(), caller };
        let work = self.works.get(job.claim.kind.as_str()).map(Arc::clone);
        async move {
            let Some(work) = work else { return };
            let next = match work.run(&job).await {
                Ok(next) => next,
                Err(error) => retry(&job, &error),
            };
            let back = GiveBack { claim: job.claim.clone(), next };
            if let Err(error) = job.db.perform(&job.caller, back).await {
                // The lease lapses, and the job runs again.
                tracing::error!(kind = job.claim.kind, cause = %error, "a job could not be given back");
            }
        }
        .boxed()
    }
}

fn retry(job: &Running, error: &Error) -> Next {
    let Claim { kind, key, attempts, .. } = &job.claim;
    let seconds = backoff_seconds(*attempts);
    tracing::error!(kind, key, attempts, retry_seconds = seconds, cause = %error, "a job failed");
    Next::Retry(job.now().plus_micros(seconds * 1_000_000))
}
