//! The task that follows who is connected to this node: notes who comes at once, and who has gone once the
//! absence has lasted; holds this node's lease, and cleans up after nodes that lost theirs.
//!
//! Connections only count themselves ([`Presence::enter`]); everything else is done here, in batches, one
//! after the other. Nothing is written while no chat service says who is online. The task must never decide
//! whether a user is online: that is [`Arrive`]'s and [`Depart`]'s, under the user's lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tertulia_protocol::sid::User;
use tertulia_protocol::{Sid, Timestamp};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::App;
use crate::platform::{AccountNumber, Caller, Clock, Ids, Outcome, ids};
use crate::presence::commands::{
    Arrive, BATCH, Depart, DropLease, EndLapsed, Lease, PresencesOf, RenewLease, StaleLeases, WhichSay,
};
use crate::presence::{Here, Visitor};

/// The shortest sleep: a clock that stands still just before something is due must not keep us busy.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest one.
const AT_MOST: Duration = Duration::from_secs(600);
/// Batches that are cleaned up after other nodes before this node's own users are looked at again.
const CLEAN_UP_BATCHES: usize = 10;

/// Who is connected to this node, and its lease.
pub struct Presence {
    clock: Clock,
    /// When this node began, by the machine's clock.
    began: Timestamp,
    here: Mutex<Here>,
    lease: Mutex<Lease>,
    /// Something is to be done.
    work: Notify,
    /// A service was configured: who is connected may be online from now on.
    is_reconsidered: AtomicBool,
}

/// A connection that counts; it ends with this value.
pub struct Counted {
    presence: Arc<Presence>,
    user: u128,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let clock = &self.presence.clock;
        let user: Sid<User> = Sid::from_number(self.user);
        if self.presence.here().leave(user, |account| clock.now(account)) {
            self.presence.work.notify_one();
        }
    }
}

impl Presence {
    /// Nobody yet, on a node with a name of its own.
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            began: clock.machine(),
            clock,
            here: Mutex::default(),
            lease: Mutex::new(fresh_lease()),
            work: Notify::new(),
            is_reconsidered: AtomicBool::new(false),
        })
    }

    /// Counts a connection of a user.
    pub fn enter(self: &Arc<Self>, visitor: Visitor) -> Counted {
        if self.here().enter(visitor) {
            self.work.notify_one();
        }
        Counted { presence: Arc::clone(self), user: visitor.user.number() }
    }

    /// A service was configured: looks at once for who is online now.
    pub fn reconsider(&self) {
        self.is_reconsidered.store(true, Ordering::Relaxed);
        self.work.notify_one();
    }

    /// Users that are kept in mind: connected, or gone a moment ago.
    pub fn count(&self) -> usize {
        self.here().count()
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node was taken for dead: it begins anew, and everybody on it.
    fn lost(&self) {
        tracing::warn!("this node's lease had lapsed; it takes another one");
        *self.lease() = fresh_lease();
        self.here().lost();
    }

    fn now(&self, account: AccountNumber) -> Timestamp {
        self.clock.now(account)
    }
}

fn fresh_lease() -> Lease {
    Lease { node: Ids::from_seed(ids::fresh_seed()).hex(8).into(), is_taken: false }
}

/// Follows until the server goes away.
pub(crate) async fn run(app: Arc<App>) {
    let mut changes = app.db.clock.changes();
    let mut draining = app.draining();
    let lease = Duration::from_secs(app.config.realtime.lease_seconds.unsigned_abs());
    let mut turn = tokio::time::interval(lease / 3);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wait = AT_MOST;
    loop {
        let is_turn = tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            changed = changes.changed() => match changed { Ok(()) => true, Err(_) => return },
            _ = turn.tick() => true,
            () = app.presence.work.notified() => false,
            () = tokio::time::sleep(wait) => false,
        };
        let is_turn = app.presence.is_reconsidered.swap(false, Ordering::Relaxed) || is_turn;
        if let Err(error) = app.keep_up(is_turn).await {
            // Whoever was not noted is tried again at the next turn.
            tracing::error!(cause = %error, "presences could not be noted");
        }
        wait = app.take_back().await;
    }
}

impl App {
    /// Who is here is noted before anything is cleaned up: a lease of this node's own may have lapsed.
    async fn keep_up(&self, is_turn: bool) -> Outcome<()> {
        if is_turn {
            self.hold_lease().await?;
        }
        self.note_arriving().await?;
        if is_turn { self.clean_up().await } else { Ok(()) }
    }

    /// Renews the lease while somebody's presence hangs on it, and finds services that say who is online since
    /// they were looked at.
    async fn hold_lease(&self) -> Outcome<()> {
        let lease = self.presence.lease().clone();
        let is_needed = lease.is_taken && self.presence.here().is_anybody_noted();
        if is_needed {
            let renew = RenewLease { node: Arc::clone(&lease.node), expires: self.lease_expires() };
            if !self.db.perform(&Caller::nobody(), renew).await? {
                self.presence.lost();
            }
        }
        let services = self.presence.here().unnoted_services();
        for some in services.chunks(BATCH) {
            let saying = self.db.ask(&Caller::nobody(), WhichSay(some.to_vec())).await?;
            if !saying.is_empty() {
                self.presence.here().arrive_in(&saying);
            }
        }
        Ok(())
    }

    fn lease_expires(&self) -> Timestamp {
        self.db.clock.machine().plus_micros(self.config.realtime.lease_seconds * 1_000_000)
    }

    /// Takes back presences of nodes whose leases have lapsed, a bounded number of them. Several nodes may do so
    /// at once.
    async fn clean_up(&self) -> Outcome<()> {
        let (own, now) = (Arc::clone(&self.presence.lease().node), self.db.clock.machine());
        // After a restart, however long it took, everybody has the flicker time to come back.
        if now < self.presence.began.plus_micros(self.flicker_micros()) {
            return Ok(());
        }
        let mut stale = self.db.ask(&Caller::nobody(), StaleLeases { own: Arc::clone(&own), now }).await?;
        if stale.iter().any(|(_, is_ended)| !is_ended) {
            self.db.perform(&Caller::nobody(), EndLapsed { own: Arc::clone(&own), now }).await?;
            // A node may have renewed its lease meanwhile: only those that are ended now count.
            stale = self.db.ask(&Caller::nobody(), StaleLeases { own, now }).await?;
        }
        let mut batches = 0;
        for (node, _) in stale.into_iter().filter(|(_, is_ended)| *is_ended) {
            loop {
                if batches == CLEAN_UP_BATCHES || self.is_draining() {
                    // Who comes meanwhile goes first.
                    self.presence.reconsider();
                    return Ok(());
                }
                batches += 1;
                let presences = self.db.ask(&Caller::nobody(), PresencesOf(node.clone())).await?;
                if presences.is_empty() {
                    self.db.perform(&Caller::nobody(), DropLease(node)).await?;
                    break;
                }
                for some in presences.chunk_by(|(one, _), (other, _)| one == other) {
                    let users = some.iter().map(|(_, user)| *user).collect();
                    self.db.perform(&self.system(some[0].0), Depart { node: node.as_str().into(), users }).await?;
                }
            }
        }
        Ok(())
    }

    /// Notes who has come: one change a batch, so that a thousand who come back at once are a few commits.
    async fn note_arriving(&self) -> Outcome<()> {
        loop {
            let visitors = self.presence.here().take_arriving(BATCH);
            if visitors.is_empty() {
                return Ok(());
            }
            let done = self.note(&visitors).await;
            self.presence.here().settled(&visitors);
            done?;
        }
    }

    async fn note(&self, visitors: &[Visitor]) -> Outcome<()> {
        let mut services: Vec<_> = visitors.iter().map(|visitor| (visitor.account, visitor.service)).collect();
        services.sort_unstable();
        services.dedup();
        // A question first: where nobody says who is online, nothing is written at all.
        let saying = self.db.ask(&Caller::nobody(), WhichSay(services)).await?;
        for some in visitors.chunk_by(|one, other| one.account == other.account) {
            let is_said = |visitor: &&Visitor| saying.contains(&(visitor.account, visitor.service));
            let visitors: Vec<Visitor> = some.iter().filter(is_said).copied().collect();
            if !visitors.is_empty() {
                self.arrive(visitors).await?;
            }
        }
        Ok(())
    }

    async fn arrive(&self, visitors: Vec<Visitor>) -> Outcome<()> {
        let Some(account) = visitors.first().map(|visitor| visitor.account) else { return Ok(()) };
        // The second try is with another lease.
        for _ in 0..2 {
            let lease = self.presence.lease().clone();
            let change = Arrive { lease, expires: self.lease_expires(), visitors: visitors.clone() };
            if let Some(noted) = self.db.perform(&self.system(account), change).await? {
                self.presence.lease().is_taken |= !noted.is_empty();
                self.presence.here().noted(&noted, |account| self.presence.now(account));
                break;
            }
            self.presence.lost();
        }
        Ok(())
    }

    /// Takes back the presences of those who have been away for the flicker time; gives the time until the
    /// next one.
    async fn take_back(&self) -> Duration {
        let away = self.flicker_micros();
        loop {
            let (gone, wait) = self.presence.here().due(away, BATCH, |account| self.presence.now(account));
            if gone.is_empty() {
                let wait = wait.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros);
                return wait.unwrap_or(AT_MOST).clamp(PAUSE, AT_MOST);
            }
            let node = Arc::clone(&self.presence.lease().node);
            for some in gone.chunk_by(|one, other| one.account == other.account) {
                let users = some.iter().map(|visitor| visitor.user).collect();
                let depart = Depart { node: Arc::clone(&node), users };
                match self.db.perform(&self.system(some[0].account), depart).await {
                    Ok(()) => self.presence.here().gone(some),
                    Err(error) => {
                        tracing::error!(cause = %error, "presences could not be taken back");
                        self.presence.here().postpone(some, |account| self.presence.now(account));
                    }
                }
            }
            if self.is_draining() {
                return AT_MOST;
            }
        }
    }

    /// Leaves this node's lease to lapse after the flicker time: who does not come back by then, here after a
    /// restart or elsewhere, goes offline.
    pub(crate) async fn give_lease_back(&self) {
        let lease = self.presence.lease().clone();
        if !lease.is_taken {
            return;
        }
        let expires = self.db.clock.machine().plus_micros(self.flicker_micros());
        let renew = RenewLease { node: lease.node, expires };
        if let Err(error) = self.db.perform(&Caller::nobody(), renew).await {
            tracing::warn!(cause = %error, "this node's lease could not be given back; it lapses later");
        }
    }

    fn flicker_micros(&self) -> i64 {
        self.config.realtime.offline_after_seconds * 1_000_000
    }

    /// The server itself, acting for an account.
    fn system(&self, account: AccountNumber) -> Caller {
        Caller::system(account, Caller::nobody().account_sid)
    }
}
