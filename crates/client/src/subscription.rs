//! Objects that a connection is told about: what was missed, then what happens.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use tertulia_protocol::client::OpenedObject;
use tertulia_protocol::sync::ObjectType;
use tokio::time::timeout;

use crate::change::{Change, ChangeKind};
use crate::client::Client;
use crate::core::{End, Item, Queue, REPLY_MAX, Watch};
use crate::error::Error;
use crate::link::{encoded, path_in, unintelligible};

/// One or more objects with their changes in order, each change once, over cuts as if there were none.
///
/// When changes come faster than they are taken, no more are let in, and once what came has been taken the
/// server replays what was left out. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    id: u64,
    queue: Arc<Queue>,
    /// The position that the reader has reached in each object.
    positions: Vec<i64>,
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

impl Client {
    /// Subscribes to objects by their names, from where each stands now.
    pub async fn subscribe(&self, objects: &[(&str, ObjectType)]) -> Result<Subscription, Error> {
        Subscription::open(self, objects).await
    }

    /// Subscribes to what every client of the official SDK hears: the user's own list of conversations
    /// (place 0; a conversation's SID is the key) and the user's own facts (place 1).
    pub async fn subscribe_own(&self) -> Result<Subscription, Error> {
        self.subscribe(&[(&self.own.map, ObjectType::Map), (&self.own.info, ObjectType::Map)]).await
    }
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
        let watch = |opened: &Opened| Watch { sid: opened.sid.clone(), kind: opened.kind, position: opened.position };
        let subscription = Self {
            client: client.clone(),
            id: client.link.next_id(),
            queue: Queue::new(objects.len()),
            positions: objects.iter().map(|object| object.position).collect(),
        };
        let queue = &subscription.queue;
        client.link.subscribe(subscription.id, queue, objects.iter().map(watch).collect()).await?;
        let settled = timeout(REPLY_MAX, poll_fn(|context| queue.poll_settled(context)));
        settled.await.map_err(|_| Error::TimedOut)?;
        match queue.ended() {
            None | Some(End::Full) => Ok(subscription),
            Some(end) => Err(end.into()),
        }
    }

    /// Waits for the next change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            match poll_fn(|context| self.queue.poll_take(context)).await {
                Ok(Item::Change(change)) => {
                    if change.kind != ChangeKind::Gone {
                        self.positions[change.place] = change.id;
                    }
                    return Ok(change);
                }
                Ok(Item::At(place, position)) => self.positions[place] = position,
                Err(End::Full) => {
                    self.queue.reopen();
                    self.client.link.resume(self.id);
                }
                Err(end) => return Err(end.into()),
            }
        }
    }

    /// The position that has been reached in the object at this place.
    pub fn position(&self, place: usize) -> i64 {
        self.positions[place]
    }
}

impl From<End> for Error {
    fn from(end: End) -> Self {
        match end {
            End::Full => Self::TimedOut,
            End::Refused(refusal) if refusal.status == 404 => Self::Gone,
            End::Refused(refusal) => Self::Refused(refusal),
            End::Taken(sid) => Self::AlreadySubscribed(sid),
            End::Disconnected(why) => Self::Disconnected(why),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.client.link.unsubscribe(self.id);
    }
}
