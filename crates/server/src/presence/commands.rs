//! Transactions of presences: users come online and go offline, leases are renewed and lapse.
//!
//! Locks are taken in the one order, and leases before everything else. Leases live by the machine's clock,
//! which all nodes share, and not by an account's.

use std::collections::HashSet;
use std::sync::Arc;

use tertulia_protocol::sid::{Service, User as UserKind};
use tertulia_protocol::{Sid, Timestamp};

use super::{Visitor, queries};
use crate::platform::{AccountNumber, Change, Cx, Outcome, Question};
use crate::users::User;
use crate::users::events::Updated;
use crate::{services, users};

/// Users that one change touches at most; and nodes and services that one question asks about.
pub const BATCH: usize = 100;

/// Which of these chat services say who is online.
#[derive(Clone, Debug)]
pub struct WhichSay(pub Vec<(AccountNumber, Sid<Service>)>);

impl Question for WhichSay {
    type Out = HashSet<(AccountNumber, Sid<Service>)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let mut saying = HashSet::new();
        for (account, sid) in &self.0 {
            let found = services::queries::find(cx.tx, *account, *sid).await?;
            if found.is_some_and(|service| service.reachability_enabled) {
                saying.insert((*account, *sid));
            }
        }
        Ok(saying)
    }
}

/// A node's lease, as the node has it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The node: random, another one at each start.
    pub node: Arc<str>,
    /// Whether there is a row of it.
    pub is_taken: bool,
}

impl Lease {
    /// Takes or renews it. `false` when it has ended: the node was taken for dead.
    async fn hold(&self, cx: &mut Cx<'_, '_>, expires: Timestamp) -> Outcome<bool> {
        if self.is_taken {
            queries::renew_lease(cx.tx, &self.node, expires).await
        } else {
            queries::take_lease(cx.tx, &self.node, expires).await
        }
    }
}

/// Users of the caller's account are connected to a node now. Those whose service does not say who is online
/// are left out.
#[derive(Clone, Debug)]
pub struct Arrive {
    /// The node's lease.
    pub lease: Lease,
    /// When the lease ends, unless it is renewed.
    pub expires: Timestamp,
    /// Who, in the order of SIDs.
    pub visitors: Vec<Visitor>,
}

impl Change for Arrive {
    /// Who was noted; `None` when the lease has ended, and then nobody.
    type Out = Option<Vec<Visitor>>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        // The service is not locked: who comes while it is switched off may be noted, and goes like all others.
        let services: HashSet<_> = self.visitors.iter().map(|visitor| (visitor.account, visitor.service)).collect();
        let saying = WhichSay(services.into_iter().collect()).ask(cx).await?;
        let visitors: Vec<Visitor> = self
            .visitors
            .iter()
            .copied()
            .filter(|visitor| saying.contains(&(visitor.account, visitor.service)))
            .collect();
        if visitors.is_empty() {
            return Ok(Some(visitors));
        }
        if !self.lease.hold(cx, self.expires).await? {
            return Ok(None);
        }
        let mut noted = Vec::with_capacity(visitors.len());
        for visitor in visitors {
            let (account, sid) = (visitor.account, visitor.user);
            let Some(user) = users::queries::find_locked(cx.tx, account, sid).await? else { continue };
            queries::insert(cx.tx, account, sid, &self.lease.node).await?;
            show(cx, user, true).await?;
            noted.push(visitor);
        }
        Ok(Some(noted))
    }
}

/// Users of the caller's account are no longer connected to a node. Who is connected to no other goes offline.
#[derive(Clone, Debug)]
pub struct Depart {
    /// The node.
    pub node: Arc<str>,
    /// Who, in the order of SIDs.
    pub users: Vec<Sid<UserKind>>,
}

impl Change for Depart {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let account = cx.caller.account;
        for sid in &self.users {
            // Under the user's lock nobody comes or goes, on whichever node.
            let user = users::queries::find_locked(cx.tx, account, *sid).await?;
            let was_here = queries::delete(cx.tx, account, *sid, &self.node).await?;
            if let Some(user) = user.filter(|_| was_here)
                && !queries::is_anywhere(cx.tx, account, *sid).await?
            {
                show(cx, user, false).await?;
            }
        }
        Ok(())
    }
}

/// Changes what is shown of a user, and tells who watches; nothing if it is shown already.
async fn show(cx: &mut Cx<'_, '_>, before: User, online: bool) -> Outcome<()> {
    if before.online == Some(online) {
        return Ok(());
    }
    let info_position = before.info_position + 1;
    let after = User { online: Some(online), info_position, online_pos: info_position, ..before.clone() };
    users::queries::set_online(cx.tx, &after, online).await?;
    cx.emit(&Updated { before, after });
    Ok(())
}

/// Moves the end of a node's lease.
#[derive(Clone, Debug)]
pub struct RenewLease {
    /// The node.
    pub node: Arc<str>,
    /// When the lease ends, unless it is renewed again.
    pub expires: Timestamp,
}

impl Change for RenewLease {
    /// Whether it was still there.
    type Out = bool;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<bool> {
        queries::renew_lease(cx.tx, &self.node, self.expires).await
    }
}

/// Some other nodes whose leases have lapsed, and whether they are ended already.
#[derive(Clone, Debug)]
pub struct StaleLeases {
    /// The node that asks.
    pub own: Arc<str>,
    /// The machine's time.
    pub now: Timestamp,
}

impl Question for StaleLeases {
    type Out = Vec<(String, bool)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        queries::stale(cx.tx, &self.own, self.now, BATCH as i64).await
    }
}

/// Ends the leases of other nodes that have lapsed: whoever is alive all the same begins anew as another node,
/// and nothing that is done about the old one can be in its way.
#[derive(Clone, Debug)]
pub struct EndLapsed {
    /// The node that asks.
    pub own: Arc<str>,
    /// The machine's time.
    pub now: Timestamp,
}

impl Change for EndLapsed {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        queries::end_lapsed(cx.tx, &self.own, self.now).await
    }
}

/// Some of the users that are connected to a node.
#[derive(Clone, Debug)]
pub struct PresencesOf(pub String);

impl Question for PresencesOf {
    type Out = Vec<(AccountNumber, Sid<UserKind>)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        queries::of_node(cx.tx, &self.0, BATCH as i64).await
    }
}

/// Forgets an ended lease on which no presence hangs any more.
#[derive(Clone, Debug)]
pub struct DropLease(pub String);

impl Change for DropLease {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        queries::drop_lease(cx.tx, &self.0).await
    }
}
