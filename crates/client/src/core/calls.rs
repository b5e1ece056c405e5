//! Calls between being made and being answered.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tertulia_protocol::client::ReceivedStatus;

use crate::error::{Disconnected, Error};

/// How long a reply may take (the official SDK's time, too).
pub const REPLY_MAX: Duration = Duration::from_secs(30);
/// How long a call waits for a connection (the official SDK's time, too).
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// Calls that may wait for a connection.
const WAITING_MAX: usize = 256;

/// The server's answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How the packet fared.
    pub status: ReceivedStatus,
    /// How the request in it fared.
    pub http_status: Option<u16>,
    /// The answer's body.
    pub body: Bytes,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// It was not sent: there was no connection for [`WAIT_MAX`], or too many calls waited for one.
    NotSent,
    /// It was sent and the connection was cut; whether the server has done it is unknown.
    Cut(Disconnected),
    /// It was sent and nothing came within [`REPLY_MAX`]; whether the server has done it is unknown.
    TimedOut,
    /// It was not sent, and never will be.
    Over(Disconnected),
}

impl From<CallFailure> for Error {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::NotSent => Self::NotSent,
            CallFailure::Cut(why) => Self::Cut(why),
            CallFailure::TimedOut => Self::TimedOut,
            CallFailure::Over(why) => Self::Disconnected(why),
        }
    }
}

/// A call, as it goes into the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// A number that no other call of this client has; the packet's id is [`Call::packet_id`] of it.
    pub id: u64,
    /// The packet to send.
    pub packet: Vec<u8>,
    /// Whether it only reads, so that it may be sent again after a cut.
    pub is_repeatable: bool,
}

impl Call {
    /// The packet id of a call.
    pub fn packet_id(id: u64) -> String {
        format!("TM{id:x}")
    }

    /// The call that a packet id belongs to.
    pub(super) fn of(id: &str) -> Option<u64> {
        u64::from_str_radix(id.strip_prefix("TM")?, 16).ok()
    }
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    /// With the time at which each gives up. In the order of their numbers, which is the order they are made in.
    waiting: BTreeMap<u64, (Duration, Call)>,
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    due: Duration,
    /// What is sent again after a cut, with the time at which that gives up.
    again: Option<(Duration, Call)>,
}

pub(super) type Finished = Vec<(u64, CallFailure)>;

impl Calls {
    /// Keeps a call until there is a connection; gives when it will give up.
    pub(super) fn wait(&mut self, now: Duration, call: Call) -> Result<Duration, CallFailure> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(CallFailure::NotSent);
        }
        let due = now + WAIT_MAX;
        self.waiting.insert(call.id, (due, call));
        Ok(due)
    }

    /// A call is sent; gives its packet, and when its answer is due.
    pub(super) fn send(&mut self, now: Duration, call: Call) -> (Vec<u8>, Duration) {
        self.send_until(now, now + WAIT_MAX, call)
    }

    fn send_until(&mut self, now: Duration, waits_until: Duration, call: Call) -> (Vec<u8>, Duration) {
        let due = now + REPLY_MAX;
        let id = call.id;
        let (packet, again) =
            if call.is_repeatable { (call.packet.clone(), Some((waits_until, call))) } else { (call.packet, None) };
        self.pending.insert(id, Pending { due, again });
        (packet, due)
    }

    /// There is a connection: what waits is sent.
    pub(super) fn send_waiting(&mut self, now: Duration) -> Vec<(Vec<u8>, Duration)> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().map(|(due, call)| self.send_until(now, due, call)).collect()
    }

    /// Whether anybody waits for this reply, who now has it.
    pub(super) fn answered(&mut self, id: u64) -> bool {
        self.pending.remove(&id).is_some()
    }

    /// Nobody waits any more: what was not sent will not be.
    pub(super) fn forget(&mut self, id: u64) {
        self.waiting.remove(&id);
        self.pending.remove(&id);
    }

    /// The connection was cut: what only reads waits for the next, the rest fails.
    pub(super) fn cut(&mut self, why: &Disconnected) -> Finished {
        let mut failed = Vec::new();
        for (id, pending) in std::mem::take(&mut self.pending) {
            match pending.again {
                Some(again) => drop(self.waiting.insert(id, again)),
                None => failed.push((id, CallFailure::Cut(why.clone()))),
            }
        }
        failed
    }

    /// There will be no connection.
    pub(super) fn over(&mut self, why: &Disconnected) -> Finished {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_keys().map(|id| (id, CallFailure::Over(why.clone()))).collect()
    }

    /// Time has passed: what gives up now, and when the next one will.
    pub(super) fn expire(&mut self, now: Duration) -> (Finished, Option<Duration>) {
        let mut failed: Finished = Vec::new();
        self.waiting.retain(|id, (due, _)| {
            let waits = *due > now;
            failed.extend((!waits).then_some((*id, CallFailure::NotSent)));
            waits
        });
        self.pending.retain(|id, pending| {
            let waits = pending.due > now;
            failed.extend((!waits).then_some((*id, CallFailure::TimedOut)));
            waits
        });
        let next = self.waiting.values().map(|(due, _)| *due);
        (failed, next.chain(self.pending.values().map(|pending| pending.due)).min())
    }
}
