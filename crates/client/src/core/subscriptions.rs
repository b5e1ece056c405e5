//! The objects that are subscribed to, each with the position that has reached its queue.
//!
//! An object is wanted, asked for, or live. A cut makes everything wanted again; the server is asked in
//! batches, one after the other, and replays what came after the positions. A live event counts only
//! behind the end of the replay, since what came before is in the replay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tertulia_protocol::Sid;
use tertulia_protocol::client::{SyncEntry, SyncEventType, SyncPayload};
use tertulia_protocol::sync::{Object, ObjectType, SUBSCRIPTION_BATCH_MAX};

use super::calls::REPLY_MAX;
use super::queue::{End, Item, Queue};
use crate::change::{Change, ChangeKind, ItemKey};
use crate::error::{Disconnected, Refusal};

/// An object to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its SID.
    pub sid: String,
    /// Document, list or map.
    pub kind: ObjectType,
    /// What came after this is told.
    pub position: i64,
}

/// Waits after a refusal that may pass.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    watched: BTreeMap<Box<str>, Watched>,
    owners: BTreeMap<u64, Vec<Box<str>>>,
    batch: Option<Batch>,
    /// Whether an object may be wanted.
    has_wanted: bool,
    /// Entries of objects that the server is to be told are wanted no more.
    dropped: Vec<Value>,
    not_before: Duration,
    pause: Duration,
}

#[derive(Debug)]
struct Watched {
    owner: u64,
    queue: Arc<Queue>,
    /// Which of the subscription's objects it is.
    place: usize,
    kind: ObjectType,
    /// The last position that got into the queue.
    position: i64,
    standing: Standing,
    /// Whether the owner has been told that it stands.
    is_answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// To be asked for.
    Wanted,
    /// Asked for, with this correlation id.
    Asked(u64),
    /// Live events continue what is in the queue.
    Live,
    /// The queue is full.
    Stalled,
}

/// A request that is on its way.
#[derive(Debug)]
struct Batch {
    correlation: u64,
    unanswered: usize,
    is_accepted: bool,
    /// When something was heard of it.
    heard: Duration,
}

impl Subscriptions {
    /// Begins to watch objects for an owner; a queue that cannot have them all ends.
    pub(super) fn watch(&mut self, owner: u64, queue: &Arc<Queue>, objects: Vec<Watch>) {
        let mut seen = BTreeSet::new();
        for object in &objects {
            if self.watched.contains_key(&*object.sid) || !seen.insert(&object.sid) {
                return queue.end(End::Taken(object.sid.clone()));
            }
        }
        let mut sids = Vec::with_capacity(objects.len());
        for (place, Watch { sid, kind, position }) in objects.into_iter().enumerate() {
            let queue = Arc::clone(queue);
            let standing = Standing::Wanted;
            let watched = Watched { owner, queue, place, kind, position, standing, is_answered: false };
            let sid: Box<str> = sid.into();
            self.watched.insert(sid.clone(), watched);
            sids.push(sid);
        }
        self.owners.insert(owner, sids);
        self.has_wanted = true;
    }

    /// Stops.
    pub(super) fn unwatch(&mut self, owner: u64) {
        for sid in self.owners.remove(&owner).unwrap_or_default() {
            // An object that is gone may be another's by now.
            if self.watched.get(&sid).is_none_or(|watched| watched.owner != owner) {
                continue;
            }
            let Some(watched) = self.watched.remove(&sid) else { continue };
            // Of the own list the server is told in any case: nothing else goes live while it waits for that one.
            if watched.standing != Standing::Wanted || is_own_list(&sid) {
                self.dropped.push(entry(&sid, watched.kind, None));
            }
            self.settle(watched.standing);
        }
    }

    /// What the server is to be told of since the last time.
    pub(super) fn take_dropped(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.dropped)
    }

    /// The owner has emptied its queue: from the positions in it, everything is wanted again.
    pub(super) fn resume(&mut self, owner: u64) {
        for sid in self.owners.get(&owner).into_iter().flatten() {
            if let Some(watched) = self.watched.get_mut(sid)
                && (watched.owner, watched.standing) == (owner, Standing::Stalled)
            {
                watched.standing = Standing::Wanted;
                self.has_wanted = true;
            }
        }
    }

    /// The connection was cut.
    pub(super) fn cut(&mut self) {
        self.batch = None;
        self.dropped.clear();
        self.not_before = Duration::ZERO;
        self.pause = Duration::ZERO;
        for watched in self.watched.values_mut() {
            if watched.standing != Standing::Stalled {
                watched.standing = Standing::Wanted;
                self.has_wanted = true;
            }
        }
    }

    /// There will be no connection.
    pub(super) fn over(&mut self, why: &Disconnected) {
        for watched in std::mem::take(&mut self.watched).into_values() {
            watched.queue.end(End::Disconnected(why.clone()));
        }
        self.owners.clear();
        self.batch = None;
    }

    /// The body of the next request, if one is due; its correlation id will be this.
    pub(super) fn next_request(&mut self, now: Duration, correlation: u64) -> Option<Value> {
        if self.batch.is_some() || !self.has_wanted || now < self.not_before {
            return None;
        }
        let wanted = self.watched.iter_mut().filter(|(_, watched)| watched.standing == Standing::Wanted);
        // The own list first, as the SDK does: nothing else goes live before it.
        let (own, others): (Vec<_>, Vec<_>) = wanted.partition(|(sid, _)| is_own_list(sid));
        let mut entries = Vec::new();
        for (sid, watched) in own.into_iter().chain(others).take(SUBSCRIPTION_BATCH_MAX) {
            watched.standing = Standing::Asked(correlation);
            entries.push(entry(sid, watched.kind, Some(watched.position)));
        }
        if entries.is_empty() {
            self.has_wanted = false;
            return None;
        }
        self.batch = Some(Batch { correlation, unanswered: entries.len(), is_accepted: false, heard: now });
        Some(request("establish", correlation, &entries))
    }

    /// When [`Subscriptions::expire`] has something to do.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        match &self.batch {
            Some(batch) => Some(batch.heard + REPLY_MAX),
            None => (self.has_wanted && self.not_before > now).then_some(self.not_before),
        }
    }

    /// Time has passed: what the server has not answered for is asked for again.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.batch.as_ref().is_some_and(|batch| batch.heard + REPLY_MAX <= now) {
            self.ask_again();
        }
    }

    /// The answer to the request itself came; what is subscribed comes as notifications.
    pub(super) fn replied(&mut self, now: Duration, correlation: u64, outcome: Result<(), Refusal>) {
        let Some(batch) = self.batch.as_mut().filter(|batch| batch.correlation == correlation) else { return };
        match outcome {
            Ok(()) => {
                batch.is_accepted = true;
                batch.heard = now;
                self.pause = Duration::ZERO;
                self.end_batch();
            }
            Err(refusal) if refusal.may_pass() => {
                self.ask_again();
                self.pause_from(now);
            }
            Err(refusal) => {
                self.batch = None;
                let asked = self.watched.values().filter(|watched| watched.standing == Standing::Asked(correlation));
                for owner in asked.map(|watched| watched.owner).collect::<BTreeSet<_>>() {
                    self.refuse(owner, &refusal);
                }
            }
        }
    }

    /// Sorts a Sync notification. `message` is the whole packet, and `payload` lies in it.
    pub(super) fn deliver(&mut self, now: Duration, message: &Bytes, payload: &[u8]) -> Result<(), serde_json::Error> {
        let payload: SyncPayload<'_> = serde_json::from_slice(payload)?;
        if let (Some(batch), Some(correlation)) = (&mut self.batch, payload.correlation_id)
            && batch.correlation == correlation
        {
            batch.heard = now;
        }
        for entry in &payload.events {
            let Some(watched) = self.watched.get_mut(&*entry.object_sid) else { continue };
            let is_wanted = match (watched.standing, payload.correlation_id) {
                (Standing::Asked(asked), Some(correlation)) => asked == correlation,
                (Standing::Live, None) => true,
                (Standing::Asked(_), None) => payload.event_type == SyncEventType::Gone,
                _ => false,
            };
            if is_wanted {
                let (was, is_known) = (watched.standing, entry.id <= watched.position);
                let next = watched.take(payload.event_type, entry, message);
                self.step(now, &entry.object_sid, was, next);
                if let (SyncEventType::Added, Some(key), false) = (payload.event_type, &entry.item_key, is_known) {
                    self.entered(&entry.object_sid, key);
                }
            }
        }
        Ok(())
    }

    /// The user's own list says that the user is in a conversation. If that is for a second time, the server
    /// has ended in silence what was subscribed of it before, and a replay leaves out the removal of whoever
    /// is back: it is asked for again, from where it stopped.
    fn entered(&mut self, own: &str, key: &str) {
        let (Some(Object::MyConversations(_)), Ok(conversation)) = (Object::parse(own), Sid::parse(key)) else {
            return;
        };
        for object in [Object::Document(conversation), Object::Messages(conversation), Object::Roster(conversation)] {
            let Some(watched) = self.watched.get_mut(&*object.sid()) else { continue };
            let was = watched.standing;
            if matches!(was, Standing::Asked(_) | Standing::Live) {
                watched.standing = Standing::Wanted;
                self.has_wanted = true;
                self.settle(was);
            }
        }
    }

    /// What becomes of an object after an event.
    fn step(&mut self, now: Duration, sid: &str, was: Standing, next: Next) {
        let next = match next {
            Next::Same => return,
            Next::Ended => {
                self.watched.remove(sid);
                return self.settle(was);
            }
            Next::Refused(refusal) => {
                let Some(watched) = self.watched.remove(sid) else { return };
                self.settle(was);
                return self.refuse(watched.owner, &refusal);
            }
            Next::Later => {
                self.pause_from(now);
                Standing::Wanted
            }
            Next::Is(Standing::Stalled) => return self.stall(sid),
            Next::Is(standing) => standing,
        };
        if let Some(watched) = self.watched.get_mut(sid) {
            watched.standing = next;
        }
        self.has_wanted |= next == Standing::Wanted;
        self.settle(was);
    }

    /// Without one of its objects a subscription is none, and the rest of it is free for another.
    fn refuse(&mut self, owner: u64, refusal: &Refusal) {
        let queue = self
            .owners
            .get(&owner)
            .into_iter()
            .flatten()
            .find_map(|sid| self.watched.get(sid).filter(|watched| watched.owner == owner));
        if let Some(watched) = queue {
            watched.queue.end(End::Refused(refusal.clone()));
        }
        self.unwatch(owner);
    }

    /// The queue is full: nothing of the whole subscription gets in any more.
    fn stall(&mut self, sid: &str) {
        let Some(owner) = self.watched.get(sid).map(|watched| watched.owner) else { return };
        let mut asked = Vec::new();
        for sid in self.owners.get(&owner).into_iter().flatten() {
            if let Some(watched) = self.watched.get_mut(sid).filter(|watched| watched.owner == owner) {
                asked.push(watched.standing);
                watched.standing = Standing::Stalled;
            }
        }
        asked.into_iter().for_each(|standing| self.settle(standing));
    }

    /// An object is asked for no more.
    fn settle(&mut self, was: Standing) {
        if let (Standing::Asked(asked), Some(batch)) = (was, &mut self.batch)
            && batch.correlation == asked
        {
            batch.unanswered = batch.unanswered.saturating_sub(1);
            self.end_batch();
        }
    }

    fn end_batch(&mut self) {
        if self.batch.as_ref().is_some_and(|batch| batch.is_accepted && batch.unanswered == 0) {
            self.batch = None;
        }
    }

    fn ask_again(&mut self) {
        self.batch = None;
        self.has_wanted = true;
        for watched in self.watched.values_mut() {
            if matches!(watched.standing, Standing::Asked(_)) {
                watched.standing = Standing::Wanted;
            }
        }
    }

    fn pause_from(&mut self, now: Duration) {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.not_before = now + self.pause;
    }
}

/// What an event makes of its object.
enum Next {
    /// Nothing else.
    Same,
    /// Something else.
    Is(Standing),
    /// It is wanted again, after a pause.
    Later,
    /// Nothing follows.
    Ended,
    /// The server refuses it.
    Refused(Refusal),
}

impl Watched {
    fn take(&mut self, event: SyncEventType, entry: &SyncEntry<'_>, message: &Bytes) -> Next {
        let kind = match event {
            SyncEventType::SubscriptionEstablished => return self.stands(entry),
            SyncEventType::SubscriptionFailed => {
                let refusal = entry.error.clone().map(Refusal::from).unwrap_or_else(nameless);
                if refusal.may_pass() {
                    return Next::Later;
                }
                self.queue.end(End::Refused(refusal.clone()));
                return Next::Refused(refusal);
            }
            SyncEventType::SubscriptionCanceled | SyncEventType::Unknown => return Next::Same,
            SyncEventType::Added => ChangeKind::Added,
            SyncEventType::Updated | SyncEventType::DocumentUpdated => ChangeKind::Updated,
            SyncEventType::Removed => ChangeKind::Removed,
            SyncEventType::Gone => ChangeKind::Gone,
        };
        let is_gone = kind == ChangeKind::Gone;
        // A replay may begin before what came live.
        if entry.id <= self.position && !is_gone {
            return Next::Same;
        }
        let key = match (entry.item_index, &entry.item_key) {
            (Some(index), _) => ItemKey::Index(index),
            (None, Some(key)) => ItemKey::Key(key.as_ref().into()),
            (None, None) => ItemKey::Whole,
        };
        let data = entry.data.map(|data| message.slice_ref(data.get().as_bytes())).unwrap_or_default();
        if !self.queue.push(Item::Change(Change { place: self.place, id: entry.id, kind, key, data })) {
            return Next::Is(Standing::Stalled);
        }
        if is_gone {
            // Whoever waits for the answer for this object has it.
            self.note_answered();
            return Next::Ended;
        }
        self.position = entry.id;
        Next::Same
    }

    /// The server has said where the object stands: the replay is complete, or a part of it.
    fn stands(&mut self, entry: &SyncEntry<'_>) -> Next {
        let position = self.position.max(entry.last_event_id.unwrap_or(0));
        // A reader who is there knows it. Told again at each return, it would take the room of what is new:
        // more objects than the queue has room for would then never get beyond this.
        if position > self.position && !self.queue.push(Item::At(self.place, position)) {
            return Next::Is(Standing::Stalled);
        }
        self.position = position;
        if entry.replay_status.as_deref() == Some("interrupted") {
            return Next::Is(Standing::Wanted);
        }
        self.note_answered();
        Next::Is(Standing::Live)
    }

    fn note_answered(&mut self) {
        if !std::mem::replace(&mut self.is_answered, true) {
            self.queue.answered();
        }
    }
}

fn nameless() -> Refusal {
    Refusal { status: 404, code: None, message: "the subscription failed".to_owned() }
}

/// The path of subscription requests.
pub(super) const PATH: &str = "/v4/Subscriptions";

/// The body of a subscription request.
pub(super) fn request(action: &str, correlation: u64, entries: &[Value]) -> Value {
    json!({"event_protocol_version": 4, "action": action, "correlation_id": correlation, "retried_requests": 0,
        "ttl_in_s": -1, "requests": entries})
}

fn is_own_list(sid: &str) -> bool {
    matches!(Object::parse(sid), Some(Object::MyConversations(_)))
}

fn entry(sid: &str, kind: ObjectType, position: Option<i64>) -> Value {
    let mut entry = json!({"object_sid": sid, "object_type": kind.word()});
    if let Some(position) = position {
        entry["last_event_id"] = position.into();
    }
    entry
}
