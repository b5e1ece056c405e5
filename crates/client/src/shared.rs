//! What a connection's task and its callers both hold: who waits for which reply, and where events go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tertulia_protocol::client::{ReceivedStatus, SyncEntry, SyncEventType, SyncPayload};
use tokio::sync::oneshot;

use crate::error::{Disconnected, Error, Refusal};
use crate::queue::{End, Item, Queue};
use crate::subscription::{Change, ChangeKind, ItemKey};

/// A reply, as a caller gets it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: ReceivedStatus,
    pub(crate) http_status: Option<u16>,
    pub(crate) body: Bytes,
}

pub(crate) type Answer = Result<Reply, Disconnected>;

/// The lock is held for a few lines and never over an await.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    watched: HashMap<Box<str>, Watched>,
    ended: Option<Disconnected>,
}

#[derive(Debug)]
struct Watched {
    queue: Arc<Queue>,
    /// Which of the subscription's objects it is.
    place: usize,
    /// The request whose replay is taken.
    correlation: u64,
    /// Whether the replay is complete, so that live events continue it.
    is_live: bool,
}

impl Shared {
    /// A number for a packet or a subscription request; each is used once a connection.
    pub(crate) fn next_id(&self) -> u64 {
        let mut inner = self.lock();
        inner.last_id += 1;
        inner.last_id
    }

    /// Begins to wait for the reply to a packet.
    pub(crate) fn expect(&self, id: u64) -> Result<oneshot::Receiver<Answer>, Disconnected> {
        let mut inner = self.lock();
        if let Some(ended) = &inner.ended {
            return Err(ended.clone());
        }
        let (sender, receiver) = oneshot::channel();
        inner.pending.insert(id, sender);
        Ok(receiver)
    }

    /// Nobody waits any more.
    pub(crate) fn forget(&self, id: u64) {
        self.lock().pending.remove(&id);
    }

    pub(crate) fn answer(&self, id: &str, reply: Reply) {
        let pending = number(id).and_then(|id| self.lock().pending.remove(&id));
        if let Some(pending) = pending {
            // Whoever stopped waiting does not want it.
            let _ = pending.send(Ok(reply));
        }
    }

    /// Lets the events of these objects into a queue, from the replay with this number on.
    pub(crate) fn watch<'a>(
        &self,
        sids: impl ExactSizeIterator<Item = &'a str> + Clone,
        queue: &Arc<Queue>,
        correlation: u64,
    ) -> Result<(), Error> {
        let mut inner = self.lock();
        if let Some(ended) = &inner.ended {
            return Err(ended.clone().into());
        }
        let others = |sid: &&str| inner.watched.get(*sid).is_some_and(|known| !Arc::ptr_eq(&known.queue, queue));
        if let Some(taken) = sids.clone().find(others) {
            return Err(Error::AlreadySubscribed(taken.to_owned()));
        }
        queue.begin(sids.len());
        for (place, sid) in sids.enumerate() {
            let watched = Watched { queue: Arc::clone(queue), place, correlation, is_live: false };
            inner.watched.insert(sid.into(), watched);
        }
        Ok(())
    }

    /// Ends [`Shared::watch`]; objects that another queue watches stay. Gives those that were watched.
    pub(crate) fn unwatch<'a>(&self, sids: impl Iterator<Item = &'a str>, queue: &Arc<Queue>) -> Vec<&'a str> {
        let mut inner = self.lock();
        let own = |sid: &&str| inner.watched.get(*sid).is_some_and(|known| Arc::ptr_eq(&known.queue, queue));
        let held: Vec<&str> = sids.filter(own).collect();
        held.iter().for_each(|sid| drop(inner.watched.remove(*sid)));
        held
    }

    /// Sorts a Sync notification. `message` is the whole packet, and `payload` lies in it.
    pub(crate) fn deliver(&self, message: &Bytes, payload: &[u8]) -> Result<(), serde_json::Error> {
        let payload: SyncPayload<'_> = serde_json::from_slice(payload)?;
        let mut inner = self.lock();
        for entry in &payload.events {
            let Some(watched) = inner.watched.get_mut(&*entry.object_sid) else { continue };
            if is_wanted(watched, payload.event_type, payload.correlation_id) {
                let ends = watched.take(payload.event_type, entry, message);
                if ends {
                    inner.watched.remove(&*entry.object_sid);
                }
            }
        }
        Ok(())
    }

    /// The connection is over: everybody who waits hears why.
    pub(crate) fn end(&self, why: &Disconnected) {
        let (pending, watched) = {
            let mut inner = self.lock();
            inner.ended = Some(why.clone());
            (std::mem::take(&mut inner.pending), std::mem::take(&mut inner.watched))
        };
        for sender in pending.into_values() {
            let _ = sender.send(Err(why.clone()));
        }
        for watched in watched.into_values() {
            watched.queue.end(End::Disconnected(why.clone()));
        }
    }

    /// Why the connection is over; closed by this client, if nothing else is known.
    pub(crate) fn ended(&self) -> Disconnected {
        self.lock().ended.clone().unwrap_or(Disconnected::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A replay belongs to one request; a live event counts only once the replay is complete, since what
/// came before is in the replay.
fn is_wanted(watched: &Watched, event: SyncEventType, correlation: Option<u64>) -> bool {
    match (event, correlation) {
        (_, Some(correlation)) => correlation == watched.correlation,
        (SyncEventType::Gone, None) => true,
        (_, None) => watched.is_live,
    }
}

impl Watched {
    /// Takes an event; true when none will follow.
    fn take(&mut self, event: SyncEventType, entry: &SyncEntry<'_>, message: &Bytes) -> bool {
        let kind = match event {
            SyncEventType::SubscriptionEstablished if entry.replay_status.as_deref() == Some("interrupted") => {
                self.queue.end(End::Full);
                return false;
            }
            SyncEventType::SubscriptionEstablished => {
                self.is_live = true;
                self.queue.push(Item::At(self.place, entry.last_event_id.unwrap_or(0)));
                return false;
            }
            SyncEventType::SubscriptionFailed => {
                self.queue.end(End::Refused(entry.error.clone().map(Refusal::from).unwrap_or_else(nameless)));
                return true;
            }
            SyncEventType::SubscriptionCanceled | SyncEventType::Unknown => return false,
            SyncEventType::Added => ChangeKind::Added,
            SyncEventType::Updated | SyncEventType::DocumentUpdated => ChangeKind::Updated,
            SyncEventType::Removed => ChangeKind::Removed,
            SyncEventType::Gone => ChangeKind::Gone,
        };
        let key = match (entry.item_index, &entry.item_key) {
            (Some(index), _) => ItemKey::Index(index),
            (None, Some(key)) => ItemKey::Key(key.as_ref().into()),
            (None, None) => ItemKey::Whole,
        };
        let data = entry.data.map(|data| message.slice_ref(data.get().as_bytes())).unwrap_or_default();
        self.queue.push(Item::Change(Change { place: self.place, id: entry.id, kind, key, data }));
        kind == ChangeKind::Gone
    }
}

fn nameless() -> Refusal {
    Refusal { status: 500, code: None, message: "the subscription failed".to_owned() }
}

/// The packet ids of this client: `TM` and a number in hex.
pub(crate) fn packet_id(number: u64) -> String {
    format!("TM{number:x}")
}

fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("TM")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(shared: &Shared, payload: &serde_json::Value) {
        let message = Bytes::from(payload.to_string());
        shared.deliver(&message, &message).unwrap();
    }

    fn added(id: i64, correlation: Option<u64>) -> serde_json::Value {
        let mut payload = serde_json::json!({"event_type": "list_item_added",
            "events": [{"id": id, "list_sid": "ES1", "item_index": id, "item_data": {"n": id}}]});
        if let Some(correlation) = correlation {
            payload["correlation_id"] = correlation.into();
        }
        payload
    }

    fn established(correlation: u64, position: i64) -> serde_json::Value {
        serde_json::json!({"event_type": "subscription_established", "correlation_id": correlation,
            "events": [{"object_sid": "ES1", "replay_status": "completed", "last_event_id": position}]})
    }

    async fn ids(queue: &Queue) -> Vec<i64> {
        queue.end(End::Full);
        let mut ids = Vec::new();
        while let Ok(item) = queue.take().await {
            ids.extend(match item {
                Item::Change(change) => Some(change.id),
                Item::At(..) => None,
            });
        }
        ids
    }

    #[tokio::test]
    async fn live_events_count_behind_the_replay_only() {
        let (shared, queue) = (Shared::default(), Queue::new());
        shared.watch(["ES1"].into_iter(), &queue, 7).unwrap();
        told(&shared, &added(9, None));
        told(&shared, &added(1, Some(6)));
        told(&shared, &added(2, Some(7)));
        told(&shared, &established(6, 8));
        told(&shared, &added(9, None));
        told(&shared, &established(7, 8));
        told(&shared, &added(9, None));
        assert_eq!(ids(&queue).await, [2, 9]);
    }

    #[tokio::test]
    async fn the_data_of_a_change_is_where_it_came() {
        let (shared, queue) = (Shared::default(), Queue::new());
        shared.watch(["ES1"].into_iter(), &queue, 7).unwrap();
        told(&shared, &added(2, Some(7)));
        let Ok(Item::Change(change)) = queue.take().await else { panic!() };
        assert_eq!(&change.data[..], b"{\"n\":2}");
    }

    #[test]
    fn one_subscription_an_object() {
        let (shared, first, second) = (Shared::default(), Queue::new(), Queue::new());
        shared.watch(["ES1"].into_iter(), &first, 1).unwrap();
        assert!(matches!(shared.watch(["ES1"].into_iter(), &second, 2), Err(Error::AlreadySubscribed(_))));
        assert!(shared.watch(["ES1"].into_iter(), &first, 3).is_ok());
        assert_eq!(shared.unwatch(["ES1"].into_iter(), &second), [""; 0]);
        assert_eq!(shared.unwatch(["ES1"].into_iter(), &first), ["ES1"]);
    }

    #[tokio::test]
    async fn everybody_who_waits_hears_of_the_end() {
        let (shared, queue) = (Shared::default(), Queue::new());
        shared.watch(["ES1"].into_iter(), &queue, 1).unwrap();
        let waiting = shared.expect(5).unwrap();
        shared.end(&Disconnected::Silent);
        assert_eq!(waiting.await.unwrap().unwrap_err(), Disconnected::Silent);
        assert!(matches!(queue.take().await, Err(End::Disconnected(Disconnected::Silent))));
        assert_eq!(shared.expect(6).unwrap_err(), Disconnected::Silent);
    }
}
