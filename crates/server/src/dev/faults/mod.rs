//! Faults that a developer asks the server for, to see what an app does then. Dev mode only.
//!
//! A fault says what goes wrong, to whom and how often. The places where something can go wrong ask the
//! list: the upgrade, a connection that sends, a request that is answered, news on their way to the hub.
//! Without faults that is one look at a flag. A fault must never lose what is committed, and it acts
//! between the parts, never inside them: what it does, a network, a dying process or a bus can do too.

mod bus;
pub mod http;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tertulia_protocol::code::more_info;
use tertulia_protocol::rest::ErrorBody;
use tertulia_store::StreamId;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::platform::{AccountNumber, Caller, Error, Outcome, Reply};

pub use bus::FaultyBus;

/// Faults that may be in the list.
pub const FAULTS_MAX: usize = 100;
/// For how long a reply is held at most; official clients wait 30 seconds for one.
pub const HOLD_MAX: Duration = Duration::from_secs(120);

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A websocket's upgrade is answered with this status.
    RefuseUpgrade {
        /// The status.
        status: u16,
    },
    /// A connection is dropped, without a close frame, after so many more packets to the client.
    Cut {
        /// How many.
        after_packets: u32,
    },
    /// News of a stream go another way than they should.
    Event {
        /// What becomes of them.
        act: Act,
        /// The kind of stream; any, if there is none.
        stream: Option<u8>,
    },
    /// A request is answered with this instead.
    Answer {
        /// Which requests.
        which: Which,
        /// The status.
        status: u16,
        /// The code in the body.
        code: u32,
        /// Whether it is performed all the same.
        is_performed: bool,
    },
    /// Replies wait.
    Hold {
        /// To which requests.
        which: Which,
        /// For how long; until the fault is deleted, if there is none.
        time: Option<Duration>,
    },
    /// The process ends between a commit and its publication.
    Stop {
        /// The kind of stream of which something was committed.
        stream: Option<u8>,
    },
}

/// What becomes of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// They come later.
    Delay(Duration),
    /// They never come.
    Drop,
    /// They come twice.
    Duplicate,
    /// They come behind the next ones, or when this is over.
    Reorder(Duration),
}

/// Requests, by method and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Any, if there is none.
    pub method: Option<String>,
    /// Any, if there is none; `*` stands for any text.
    pub path: Option<String>,
}

/// One fault.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// In whose account.
    pub account: AccountNumber,
    /// To whose connection; to any, if there is none.
    pub identity: Option<String>,
    /// How often more; `None`: until it is deleted.
    pub times_left: Option<u32>,
    /// How many it lets pass first.
    pub skip: u32,
    /// How often it has struck.
    pub hits: u64,
}

impl Fault {
    /// Notes an occasion; whether the fault strikes.
    fn strike(&mut self) -> bool {
        if self.times_left == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times_left = self.times_left.map(|left| left - 1);
        self.hits += 1;
        true
    }

    fn meets(&self, account: AccountNumber, identity: Option<&str>) -> bool {
        self.account == account && self.identity.as_deref().is_none_or(|wanted| identity == Some(wanted))
    }
}

/// The list of faults.
#[derive(Debug)]
pub struct Faults {
    inner: Mutex<Inner>,
    /// Whether there are any, so that nobody waits for the lock otherwise.
    is_any: AtomicBool,
    /// Changes when a fault is deleted.
    deleted: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    faults: BTreeMap<u64, Fault>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { inner: Mutex::default(), is_any: AtomicBool::new(false), deleted: watch::Sender::new(()) }
    }
}

impl Faults {
    /// Puts a fault into the list; gives its number.
    pub fn add(&self, fault: Fault) -> Outcome<u64> {
        let mut inner = self.lock();
        if inner.faults.len() >= FAULTS_MAX {
            return Err(Error::parameter(format!("There are {FAULTS_MAX} faults already; delete some")));
        }
        inner.last_id += 1;
        let id = inner.last_id;
        inner.faults.insert(id, fault);
        self.is_any.store(true, Ordering::Release);
        Ok(id)
    }

    /// Notes that a fault that acts at once has struck so many times.
    pub fn struck(&self, id: u64, hits: usize) {
        if let Some(fault) = self.lock().faults.get_mut(&id) {
            fault.hits += hits as u64;
            fault.times_left = Some(0);
        }
    }

    /// The faults of an account, oldest first.
    pub fn list(&self, account: AccountNumber) -> Vec<(u64, Fault)> {
        let inner = self.lock();
        let own = inner.faults.iter().filter(|(_, fault)| fault.account == account);
        own.map(|(id, fault)| (*id, fault.clone())).collect()
    }

    /// One fault of an account.
    pub fn find(&self, account: AccountNumber, id: u64) -> Option<Fault> {
        self.lock().faults.get(&id).filter(|fault| fault.account == account).cloned()
    }

    /// Deletes one fault of an account, or all; gives how many.
    pub fn delete(&self, account: AccountNumber, only: Option<u64>) -> usize {
        let mut inner = self.lock();
        let before = inner.faults.len();
        inner.faults.retain(|id, fault| fault.account != account || only.is_some_and(|only| only != *id));
        let count = before - inner.faults.len();
        self.is_any.store(!inner.faults.is_empty(), Ordering::Release);
        drop(inner);
        self.deleted.send_replace(());
        count
    }

    /// The status that an upgrade is to be refused with.
    pub fn refuses_upgrade(&self) -> Option<u16> {
        self.first(|fault| match fault.kind {
            Kind::RefuseUpgrade { status } => fault.strike().then_some(status),
            _ => None,
        })
    }

    /// Whether a connection that is about to send a packet is to be cut instead.
    pub fn cuts(&self, account: AccountNumber, identity: &str) -> bool {
        let found = self.first(|fault| {
            let is_meant = fault.times_left != Some(0) && fault.meets(account, Some(identity));
            let Kind::Cut { after_packets } = &mut fault.kind else { return None };
            if !is_meant {
                return None;
            }
            if *after_packets > 0 {
                *after_packets -= 1;
                return None;
            }
            fault.strike().then_some(())
        });
        found.is_some()
    }

    /// What becomes of news of this stream.
    fn act(&self, stream: StreamId) -> Option<Act> {
        self.first(|fault| match fault.kind {
            Kind::Event { act, stream: wanted } if wanted.is_none_or(|kind| kind == stream.kind) => {
                fault.strike().then_some(act)
            }
            _ => None,
        })
    }

    /// Whether the process is to end, now that something of this stream is committed.
    fn stops(&self, stream: StreamId) -> bool {
        let found = self.first(|fault| match fault.kind {
            Kind::Stop { stream: wanted } if wanted.is_none_or(|kind| kind == stream.kind) => {
                fault.strike().then_some(())
            }
            _ => None,
        });
        found.is_some()
    }

    /// Answers a request as the faults want it: `perform` is the request's own answer.
    pub async fn around(
        &self,
        caller: &Caller,
        method: &str,
        path: &str,
        perform: impl Future<Output = Reply>,
    ) -> Reply {
        let identity = caller.user().map(|user| user.identity.as_str());
        let instead = self.first(|fault| {
            let meets = fault.meets(caller.account, identity);
            let Kind::Answer { which, status, code, is_performed } = &fault.kind else { return None };
            let told = (*status, *code, *is_performed);
            (meets && which.matches(method, path) && fault.strike()).then_some(told)
        });
        let reply = match instead {
            Some((status, code, false)) => refusal(status, code),
            Some((status, code, true)) => {
                perform.await;
                refusal(status, code)
            }
            None => perform.await,
        };
        self.hold(caller, method, path).await;
        reply
    }

    async fn hold(&self, caller: &Caller, method: &str, path: &str) {
        let identity = caller.user().map(|user| user.identity.as_str());
        let mut deleted = self.deleted.subscribe();
        let held = self.first_of(|id, fault| {
            let meets = fault.meets(caller.account, identity);
            let Kind::Hold { which, time } = &fault.kind else { return None };
            let told = (id, time.unwrap_or(HOLD_MAX).min(HOLD_MAX));
            (meets && which.matches(method, path) && fault.strike()).then_some(told)
        });
        let Some((id, time)) = held else { return };
        let is_there = || self.lock().faults.contains_key(&id);
        let wait = async { while is_there() && deleted.changed().await.is_ok() {} };
        // It is over when its time is, or when the fault is deleted.
        drop(timeout(time, wait).await);
    }

    fn first<T>(&self, mut asked: impl FnMut(&mut Fault) -> Option<T>) -> Option<T> {
        self.first_of(|_, fault| asked(fault))
    }

    /// Asks the faults one after the other, oldest first, until one strikes.
    fn first_of<T>(&self, mut asked: impl FnMut(u64, &mut Fault) -> Option<T>) -> Option<T> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().faults.iter_mut().find_map(|(id, fault)| asked(*id, fault))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Which {
    fn matches(&self, method: &str, path: &str) -> bool {
        let is_method = self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        is_method && self.path.as_deref().is_none_or(|wanted| fits(wanted, path))
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

fn refusal(status: u16, code: u32) -> Reply {
    let message = "A fault that was asked for (tertulia fault list)";
    if status < 300 {
        return Reply { status, body: Vec::new(), retry_after: None };
    }
    Reply::new(status, &ErrorBody { code, message: message.to_owned(), more_info: more_info(code), status })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind) -> Fault {
        Fault { kind, account: AccountNumber(1), identity: None, times_left: Some(1), skip: 0, hits: 0 }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, does) in [
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/bc", false),
            ("/a*", "/a/b", true),
            ("*/Messages", "/x/Messages", true),
            ("*/Messages", "/x/Messages/1", false),
            ("*/Conversations/*/Messages", "/s/Conversations/1/Messages", true),
            ("*/Conversations/*/Messages", "/s/Conversations/Messages", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), does, "{pattern} and {text}");
        }
    }

    #[test]
    fn it_lets_some_pass_and_strikes_as_often_as_it_was_told() {
        let faults = Faults::default();
        let refuse = Fault { times_left: Some(2), skip: 1, ..fault(Kind::RefuseUpgrade { status: 503 }) };
        let id = faults.add(refuse).unwrap();
        let answers: Vec<_> = (0..4).map(|_| faults.refuses_upgrade()).collect();
        assert_eq!(answers, [None, Some(503), Some(503), None]);
        let left = faults.find(AccountNumber(1), id).unwrap();
        assert_eq!((left.hits, left.times_left), (2, Some(0)));
        assert_eq!(faults.delete(AccountNumber(2), None), 0);
        assert_eq!(faults.delete(AccountNumber(1), Some(id)), 1);
        assert!(faults.find(AccountNumber(1), id).is_none());
    }

    #[test]
    fn a_cut_counts_the_packets_of_whom_it_is_meant_for() {
        let faults = Faults::default();
        let cut = Fault { identity: Some("ana".to_owned()), ..fault(Kind::Cut { after_packets: 1 }) };
        faults.add(cut).unwrap();
        let own = AccountNumber(1);
        assert!(!faults.cuts(own, "ben"));
        assert!(!faults.cuts(AccountNumber(2), "ana"));
        assert_eq!([faults.cuts(own, "ana"), faults.cuts(own, "ana"), faults.cuts(own, "ana")], [false, true, false]);
    }

    #[test]
    fn the_list_has_a_bound() {
        let faults = Faults::default();
        for _ in 0..FAULTS_MAX {
            faults.add(fault(Kind::Stop { stream: None })).unwrap();
        }
        assert!(faults.add(fault(Kind::Stop { stream: None })).is_err());
    }
}
