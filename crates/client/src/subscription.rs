//! Objects that a connection is told about: what was missed, then what happens.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tertulia_protocol::client::OpenedObject;
use tertulia_protocol::sync::{ObjectType, SUBSCRIPTION_BATCH_MAX};
use tokio::time::timeout;

use crate::client::{Client, REPLY_MAX, encoded, path_in, unintelligible};
use crate::error::Error;
use crate::queue::{End, Item, Queue};

/// One or more objects with their changes in order, each change once.
///
/// A subscription knows which position its reader has reached in every object. When changes come faster
/// than they are taken, it lets no more in, and goes on from that position once it is empty: the server
/// replays what was missed. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    objects: Vec<Watching>,
    queue: Arc<Queue>,
    /// False while the server must be asked (again).
    is_established: bool,
}

#[derive(Debug)]
struct Watching {
    sid: String,
    kind: ObjectType,
    position: i64,
}

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which of the subscription's objects, in the order they were given.
    pub place: usize,
    /// The position of the change.
    pub id: i64,
    /// What happened.
    pub kind: ChangeKind,
    /// To which item.
    pub key: ItemKey,
    /// The new data, a JSON object; empty when there is none.
    pub data: Bytes,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// An item came.
    Added,
    /// An item changed, or the document did.
    Updated,
    /// An item went.
    Removed,
    /// The object is gone; nothing follows.
    Gone,
}

/// What an item is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKey {
    /// The whole object: a document, or the end of any.
    Whole,
    /// In a list.
    Index(i64),
    /// In a map.
    Key(Box<str>),
}

/// An object that has been opened and not been subscribed to.
pub(crate) struct Opened {
    pub(crate) sid: String,
    pub(crate) kind: ObjectType,
    pub(crate) position: i64,
    /// A document's data.
    pub(crate) data: Bytes,
    /// The path of a list's or map's items.
    pub(crate) items: String,
}

impl Opened {
    /// Fetches an object by its name.
    pub(crate) async fn fetch(client: &Client, name: &str, kind: ObjectType) -> Result<Self, Error> {
        let collection = match kind {
            ObjectType::Document => "Documents",
            ObjectType::List => "Lists",
            ObjectType::Map => "Maps",
        };
        let path = format!("/v3/{collection}/{}", encoded(name));
        let body = client.link.call("GET", &path, None).await?;
        let opened: OpenedObject<'_> = serde_json::from_slice(&body).map_err(|cause| unintelligible(&path, cause))?;
        Ok(Self {
            sid: opened.sid.into_owned(),
            kind,
            position: opened.last_event_id,
            data: opened.data.map(|data| body.slice_ref(data.get().as_bytes())).unwrap_or_default(),
            items: opened.links.map(|links| path_in(&links.items).to_owned()).unwrap_or_default(),
        })
    }
}

impl Subscription {
    pub(crate) async fn open(client: &Client, objects: &[(&str, ObjectType)]) -> Result<Self, Error> {
        let mut opened = Vec::with_capacity(objects.len());
        for (name, kind) in objects {
            opened.push(Opened::fetch(client, name, *kind).await?);
        }
        Self::begin(client, &opened).await
    }

    /// Subscribes to opened objects, from the positions in them.
    pub(crate) async fn begin(client: &Client, objects: &[Opened]) -> Result<Self, Error> {
        let watching =
            |opened: &Opened| Watching { sid: opened.sid.clone(), kind: opened.kind, position: opened.position };
        let mut subscription = Self {
            client: client.clone(),
            objects: objects.iter().map(watching).collect(),
            queue: Queue::new(),
            is_established: false,
        };
        subscription.establish().await?;
        Ok(subscription)
    }

    /// Waits for the next change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if !self.is_established {
                self.establish().await?;
            }
            match self.queue.take().await {
                Ok(Item::Change(change)) => {
                    let watching = &mut self.objects[change.place];
                    if change.kind == ChangeKind::Gone {
                        return Ok(change);
                    }
                    // A replay may begin before what has been taken meanwhile.
                    if change.id > watching.position {
                        watching.position = change.id;
                        return Ok(change);
                    }
                }
                Ok(Item::At(place, position)) => {
                    let watching = &mut self.objects[place];
                    watching.position = watching.position.max(position);
                }
                Err(End::Full) => self.is_established = false,
                Err(End::Refused(refusal)) if refusal.status == 404 => return Err(Error::Gone),
                Err(End::Refused(refusal)) => return Err(refusal.into()),
                Err(End::Disconnected(why)) => return Err(why.into()),
            }
        }
    }

    /// The position that has been reached in the object at this place.
    pub fn position(&self, place: usize) -> i64 {
        self.objects[place].position
    }

    /// Asks for everything after the positions that have been reached, and waits for the answer.
    async fn establish(&mut self) -> Result<(), Error> {
        let shared = &self.client.link.shared;
        let correlation = shared.next_id();
        shared.watch(self.sids(), &self.queue, correlation)?;
        for batch in self.objects.chunks(SUBSCRIPTION_BATCH_MAX) {
            let entries: Vec<Value> = batch.iter().map(|object| object.entry(true)).collect();
            let body = request("establish", correlation, &entries);
            self.client.link.call("POST", PATH, Some(&body)).await?;
        }
        timeout(REPLY_MAX, self.queue.settled()).await.map_err(|_| Error::TimedOut)?;
        self.is_established = true;
        Ok(())
    }

    fn sids(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.objects.iter().map(|object| object.sid.as_str())
    }
}

const PATH: &str = "/v4/Subscriptions";

fn request(action: &str, correlation: u64, entries: &[Value]) -> Value {
    json!({"event_protocol_version": 4, "action": action, "correlation_id": correlation, "retried_requests": 0,
        "ttl_in_s": -1, "requests": entries})
}

impl Watching {
    fn entry(&self, with_position: bool) -> Value {
        let mut entry = json!({"object_sid": self.sid, "object_type": self.kind.word()});
        if with_position {
            entry["last_event_id"] = self.position.into();
        }
        entry
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let link = &self.client.link;
        let held = link.shared.unwatch(self.sids(), &self.queue);
        let held = |object: &&Watching| held.contains(&object.sid.as_str());
        let entries: Vec<Value> = self.objects.iter().filter(held).map(|object| object.entry(false)).collect();
        for batch in entries.chunks(SUBSCRIPTION_BATCH_MAX) {
            link.send_unasked("POST", PATH, &request("cancel", link.shared.next_id(), batch));
        }
    }
}
