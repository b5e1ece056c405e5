//! How a revocation ends connections: at once on the node that committed it, within a second on every other.
//!
//! A revocation is a row, and news of it. The news reach the hub of this node with everything else. Other
//! nodes, and whoever lost the news, read what was noted in the store since they last looked; each entry is
//! acted upon once. Nothing here decides what an entry names, nor whether a token is let in.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tertulia_protocol::sid::Revocation as RevocationKind;
use tertulia_protocol::{Sid, Timestamp};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::mailbox::Mailbox;
use super::news::decode_ended;
use crate::App;
use crate::audit::{self, RefusedToken};
use crate::platform::{Caller, Outcome};
use crate::revocations::commands::{FirstDeaths, Noted, Purge};
use crate::revocations::{Bearer, Revocation};
use crate::tokens::Refused;

/// How often the store is asked where other nodes may revoke: half of the second within which connections end.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const _: () =
    assert!(LOOK_EVERY.as_millis() <= 500, "connections end within one second of a revocation on another node");
/// How often it is asked where this node is the only one, for the case that nobody told.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How often dead entries are removed.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// How far each look reaches back: a transaction may commit that long after its entry was noted.
const REACH_BACK_MICROS: i64 = 30_000_000;
/// Entries that are read at once.
const BATCH: usize = 500;
/// Revocations that are remembered, for connections that are just being let in.
const REMEMBERED_MAX: usize = 1024;

/// Whose a connection is.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its number on this node.
    pub connection: u64,
    /// Where it comes from.
    pub address: IpAddr,
    /// Since when, by the machine's clock.
    pub since: Timestamp,
    /// By which token.
    pub bearer: Arc<Bearer>,
}

/// The latest revocations that came by.
#[derive(Debug, Default)]
pub struct Ended {
    count: u64,
    latest: VecDeque<Revocation>,
}

impl Ended {
    /// Remembers an entry, unless it is known.
    pub fn add(&mut self, entry: &Revocation) -> bool {
        if self.latest.iter().any(|known| known.sid == entry.sid) {
            return false;
        }
        if self.latest.len() == REMEMBERED_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(entry.clone());
        self.count += 1;
        true
    }

    /// How many came by.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether one that came by after that count names the bearer. When it is no longer known what came by,
    /// perhaps it does.
    pub fn names(&self, bearer: &Bearer, since: u64) -> bool {
        let missed = usize::try_from(self.count.saturating_sub(since)).unwrap_or(usize::MAX);
        if missed > self.latest.len() {
            return true;
        }
        self.latest.iter().rev().take(missed).any(|entry| entry.names(bearer))
    }
}

/// What this node has read.
#[derive(Debug, Default)]
pub struct Ends {
    read: Mutex<Read>,
    doubt: Notify,
}

#[derive(Debug, Default)]
struct Read {
    /// Until when, by the database's clock; 0 before the first look.
    until: i64,
    /// Entries that were acted upon and will be read again, each with its moment.
    known: HashMap<Sid<RevocationKind>, i64>,
}

impl Ends {
    /// News were lost: looks at once.
    pub fn look(&self) {
        self.doubt.notify_one();
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes whose a connection is, once it is in the hub. Whether a revocation has come by since its token was
/// looked at.
pub(super) fn hold(app: &App, mailbox: &Mailbox, holder: Holder, since: u64) -> bool {
    let hub = app.hub();
    let has_ended = hub.has_ended(&holder.bearer, since);
    mailbox.held_by(Arc::new(holder));
    has_ended
}

/// Has a token noted that was refused at the door.
pub(super) fn note_refused(app: &App, token: String, refused: &Refused, address: IpAddr) {
    let (code, reason) = match refused {
        Refused::Token(refusal) => (refusal.code.into(), refusal.to_string()),
        Refused::Revoked(entry) => (entry.named.code().number(), entry.reason()),
        // Nothing that the token is to blame for.
        Refused::Other(_) => return,
    };
    app.note_refused(audit::Refused::Token(RefusedToken { token, code, reason, address }));
}

/// Takes in news of a revocation.
pub(super) fn heard(app: &App, events: &Bytes) {
    match decode_ended(events) {
        Some(entry) => end(app, &entry),
        None => app.ends.look(),
    }
}

fn end(app: &App, entry: &Revocation) {
    let count = app.hub().end(entry);
    if count > 0 {
        tracing::info!(target: "token", entry = %entry.sid, kind = entry.named.word(), count, "connections were ended");
    }
}

/// Looks into the store, and removes what is dead, until the server goes away.
pub(crate) async fn run(app: Arc<App>) {
    let every = if app.db.store.is_shared() { LOOK_EVERY } else { SWEEP_EVERY };
    let mut turn = tokio::time::interval(every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut purge = tokio::time::interval(PURGE_EVERY);
    purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draining = app.draining();
    loop {
        let is_purge = tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            _ = turn.tick() => false,
            () = app.ends.doubt.notified() => false,
            _ = purge.tick() => true,
        };
        let done = if is_purge { app.purge_revocations().await } else { app.read_ended().await };
        if let Err(error) = done {
            tracing::error!(cause = %error, "revocations could not be read");
        }
    }
}

impl App {
    /// Acts upon what was noted since the last look. The first one only finds out what the time is: nobody is
    /// connected yet.
    async fn read_ended(&self) -> Outcome<()> {
        let until = self.ends.read().until;
        let begin = if until == 0 { i64::MAX } else { until - REACH_BACK_MICROS };
        let mut after = (begin, String::new());
        loop {
            let noted = self.db.ask(&Caller::nobody(), Noted { after: after.clone(), limit: BATCH }).await?;
            for (entry, at) in &noted.entries {
                if self.ends.read().known.insert(entry.sid, *at).is_none() {
                    end(self, entry);
                }
            }
            match noted.entries.last() {
                Some((entry, at)) if noted.entries.len() == BATCH => after = (*at, entry.sid.to_string()),
                _ => {
                    let mut read = self.ends.read();
                    read.until = noted.now;
                    read.known.retain(|_, at| *at > noted.now - 2 * REACH_BACK_MICROS);
                    return Ok(());
                }
            }
        }
    }

    /// Removes entries whose tokens are dead, batch by batch.
    pub async fn purge_revocations(&self) -> Outcome<()> {
        for (account, first) in self.db.ask(&Caller::nobody(), FirstDeaths).await? {
            if first > self.db.clock.now(account) {
                continue;
            }
            let caller = Caller::system(account, Caller::nobody().account_sid);
            while self.db.perform(&caller, Purge(BATCH)).await? == BATCH as u64 {
                if self.is_draining() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::AccountNumber;
    use crate::revocations::Named;

    fn entry(number: u128, identity: &str) -> Revocation {
        let at = Timestamp::from_seconds(9);
        let (account, sid, named) =
            (AccountNumber(1), Sid::from_number(number), Named::Identity(identity.to_owned(), None));
        Revocation { account, sid, named, issued_before: at, refuses: true, created: at, expires: None }
    }

    #[test]
    fn who_is_just_being_let_in_hears_of_what_came_by_meanwhile() {
        let bearer = Bearer {
            account: AccountNumber(1),
            service: Sid::from_number(1),
            identity: "ana".into(),
            key: Sid::from_number(1),
            jti: None,
            session: None,
            issued: Timestamp::from_seconds(5),
            expires: Timestamp::from_seconds(500),
        };
        let mut ended = Ended::default();
        assert!(ended.add(&entry(1, "ana")));
        assert!(!ended.add(&entry(1, "ana")), "each is acted upon once");
        let before = ended.count();
        assert!(!ended.names(&bearer, before), "what was in the store before is the store's to refuse");
        assert!(ended.add(&entry(2, "bruno")));
        assert!(!ended.names(&bearer, before));
        assert!(ended.add(&entry(3, "ana")));
        assert!(ended.names(&bearer, before));
        let before = ended.count();
        for number in 0..=REMEMBERED_MAX as u128 {
            ended.add(&entry(100 + number, "bruno"));
        }
        assert!(ended.names(&bearer, before), "who knows what was forgotten");
        assert!(!ended.names(&bearer, ended.count()));
    }
}
