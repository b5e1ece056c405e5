//! Presences: which user is connected to which node, as far as a chat service says who is online.
//!
//! A user is online while there is a presence. It comes with the user's first connection to a node, and goes
//! once the last one has been away for longer than the flicker time; both are one change, whatever the
//! number of connections. A node that is killed cannot take its presences back: they stand only as long as its
//! *lease*, a row that it renews. [`Here`] is one node's own view, without IO; the task that follows it is
//! [`crate::realtime::presence`].

pub mod queries;
pub mod commands;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use tertulia_protocol::sid::{Service, User};
use tertulia_protocol::{Sid, Timestamp};

use crate::platform::AccountNumber;

/// A user, as one comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Visitor {
    /// The account.
    pub account: AccountNumber,
    /// The user.
    pub user: Sid<User>,
    /// The user's chat service.
    pub service: Sid<Service>,
}

/// What is known of one user. Kept small: there is one for everybody who is connected, whether or not the
/// service says who is online.
#[derive(Debug)]
struct Stay {
    account: AccountNumber,
    service: u128,
    connections: u32,
    /// There is a presence in the store, or has just been.
    is_noted: bool,
    /// The store is being told just now.
    is_on_its_way: bool,
    /// When the last connection went.
    left: Option<Timestamp>,
}

/// Who is connected to this node, and what of it the store does not know yet.
#[derive(Debug, Default)]
pub struct Here {
    users: HashMap<u128, Stay>,
    /// Who has come and is to be noted.
    arriving: HashSet<u128>,
    /// Who is noted and has no connection left.
    leaving: HashSet<u128>,
}

impl Here {
    /// A connection of a user begins. Whether there is something to do.
    pub fn enter(&mut self, visitor: Visitor) -> bool {
        let key = visitor.user.number();
        let stay = self.users.entry(key).or_insert_with(|| Stay::of(visitor));
        stay.connections += 1;
        stay.left = None;
        self.leaving.remove(&key);
        !stay.is_noted && self.arriving.insert(key)
    }

    /// A connection of a user ends. Whether there is something to do.
    pub fn leave(&mut self, user: Sid<User>, now: impl Fn(AccountNumber) -> Timestamp) -> bool {
        let key = user.number();
        let Some(stay) = self.users.get_mut(&key) else { return false };
        stay.connections = stay.connections.saturating_sub(1);
        if stay.connections > 0 {
            return false;
        }
        stay.left = Some(now(stay.account));
        if stay.is_noted {
            return self.leaving.insert(key);
        }
        self.arriving.remove(&key);
        if !stay.is_on_its_way {
            self.users.remove(&key);
        }
        false
    }

    /// Takes some of those who have come, in the order of accounts and SIDs. [`Here::settled`] must follow.
    pub fn take_arriving(&mut self, max: usize) -> Vec<Visitor> {
        let keys: Vec<u128> = self.arriving.iter().take(max).copied().collect();
        let mut visitors: Vec<Visitor> = keys.iter().filter_map(|key| self.visitor(*key)).collect();
        for key in &keys {
            self.arriving.remove(key);
            if let Some(stay) = self.users.get_mut(key) {
                stay.is_on_its_way = true;
            }
        }
        visitors.sort_unstable();
        visitors
    }

    /// They are in the store now. Who has gone meanwhile is leaving.
    pub fn noted(&mut self, visitors: &[Visitor], now: impl Fn(AccountNumber) -> Timestamp) {
        for visitor in visitors {
            let key = visitor.user.number();
            let stay = self.users.entry(key).or_insert_with(|| Stay::of(*visitor));
            stay.is_noted = true;
            if stay.connections == 0 {
                stay.left.get_or_insert_with(|| now(stay.account));
                self.leaving.insert(key);
            }
        }
    }

    /// What was to be told of them is told, or has failed. Who was not noted and has gone is forgotten.
    pub fn settled(&mut self, visitors: &[Visitor]) {
        for visitor in visitors {
            let key = visitor.user.number();
            let Some(stay) = self.users.get_mut(&key) else { continue };
            stay.is_on_its_way = false;
            if !stay.is_noted && stay.connections == 0 {
                self.users.remove(&key);
            }
        }
    }

    /// Who has been away for so long, in the order of accounts and SIDs; and how long until the next one,
    /// in microseconds.
    pub fn due(
        &mut self,
        away_micros: i64,
        max: usize,
        now: impl Fn(AccountNumber) -> Timestamp,
    ) -> (Vec<Visitor>, Option<i64>) {
        let (mut gone, mut wait) = (Vec::new(), None);
        for key in &self.leaving {
            let Some(stay) = self.users.get_mut(key) else { continue };
            let now = now(stay.account);
            // Where the clock was set back, the absence begins anew: it must not last for years.
            let left = stay.left.map_or(now, |left| left.min(now));
            stay.left = Some(left);
            match left.micros().saturating_add(away_micros) - now.micros() {
                ..=0 if gone.len() < max => gone.push(*key),
                ahead => wait = Some(wait.unwrap_or(i64::MAX).min(ahead.max(0))),
            }
        }
        let mut gone: Vec<Visitor> = gone.into_iter().filter_map(|key| self.visitor(key)).collect();
        gone.sort_unstable();
        (gone, wait)
    }

    /// Their presences are taken back. Who is back already must be noted again.
    pub fn gone(&mut self, visitors: &[Visitor]) {
        for visitor in visitors {
            let key = visitor.user.number();
            self.leaving.remove(&key);
            match self.users.get_mut(&key) {
                Some(stay) if stay.connections > 0 => {
                    stay.is_noted = false;
                    self.arriving.insert(key);
                }
                _ => drop(self.users.remove(&key)),
            }
        }
    }

    /// Their presences could not be taken back; it is tried again when they have been away for as long again.
    pub fn postpone(&mut self, visitors: &[Visitor], now: impl Fn(AccountNumber) -> Timestamp) {
        for visitor in visitors {
            let stay = self.users.get_mut(&visitor.user.number());
            if let Some(stay) = stay.filter(|stay| stay.connections == 0) {
                stay.left = Some(now(stay.account));
            }
        }
    }

    /// Chat services of users who are connected and not noted: they did not say who is online, or could
    /// not be asked.
    pub fn unnoted_services(&self) -> Vec<(AccountNumber, Sid<Service>)> {
        let unnoted = self.users.values().filter(|stay| !stay.is_noted);
        let services: HashSet<_> = unnoted.map(|stay| (stay.account, stay.service)).collect();
        services.into_iter().map(|(account, service)| (account, Sid::from_number(service))).collect()
    }

    /// These services say who is online: who is connected is to be noted.
    pub fn arrive_in(&mut self, services: &HashSet<(AccountNumber, Sid<Service>)>) {
        let is_in = |stay: &Stay| services.contains(&(stay.account, Sid::from_number(stay.service)));
        let unnoted = self.users.iter().filter(|(_, stay)| !stay.is_noted && is_in(stay));
        self.arriving.extend(unnoted.map(|(key, _)| *key));
    }

    /// The store forgets, or has forgotten, all presences of this node under its old lease.
    pub fn lost(&mut self) {
        self.leaving.clear();
        self.users.retain(|key, stay| {
            if std::mem::take(&mut stay.is_noted) && stay.connections > 0 {
                self.arriving.insert(*key);
            }
            stay.connections > 0
        });
    }

    /// Whether some presence stands in the store, which hangs on the lease.
    pub fn is_anybody_noted(&self) -> bool {
        self.users.values().any(|stay| stay.is_noted)
    }

    /// How many users are kept in memory.
    pub fn count(&self) -> usize {
        self.users.len()
    }

    fn visitor(&self, key: u128) -> Option<Visitor> {
        let stay = self.users.get(&key)?;
        Some(Visitor { account: stay.account, user: Sid::from_number(key), service: Sid::from_number(stay.service) })
    }
}

impl Stay {
    fn of(visitor: Visitor) -> Self {
        let service = visitor.service.number();
        Self { account: visitor.account, service, connections: 0, is_noted: false, is_on_its_way: false, left: None }
    }
}
