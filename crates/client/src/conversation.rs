//! One conversation: its messages as they come, sending, and pages of its history.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tertulia_protocol::Sid;
use tertulia_protocol::client::ReceivedDocument;
use tertulia_protocol::sid::Conversation as ConversationKind;
use tertulia_protocol::sync::{Object, ObjectType};

use crate::change::{Change, ChangeKind, ItemKey};
use crate::client::Client;
use crate::error::Error;
use crate::link::unintelligible;
use crate::message::{Message, NewMessage, Order, Page, read_message};
use crate::subscription::{Opened, Subscription};

/// A conversation whose messages and facts are subscribed to. One an object and connection.
#[derive(Debug)]
pub struct Conversation {
    client: Client,
    sid: Sid<ConversationKind>,
    subscription: Subscription,
    items: String,
    facts: Facts,
    is_gone: bool,
}

/// Places in the subscription.
const MESSAGES: usize = 0;
const DOCUMENT: usize = 1;

/// What all participants see of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A name to show.
    pub friendly_name: Option<String>,
    /// A name to find it by.
    pub unique_name: Option<String>,
    /// Its attributes, as JSON text.
    pub attributes: String,
    /// Identity of its creator.
    pub created_by: String,
}

/// Something that happened in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message came.
    Added(Message),
    /// A message was edited.
    Updated(Message),
    /// The message with this index was removed.
    Removed(i64),
    /// The conversation itself changed; [`Conversation::facts`] has the new ones.
    Changed,
}

impl Client {
    /// Opens a conversation and subscribes to its messages: what comes from now on is received.
    pub async fn conversation(&self, conversation: Sid<ConversationKind>) -> Result<Conversation, Error> {
        Conversation::open(self, conversation, None).await
    }

    /// Opens a conversation and receives everything after a position that [`Conversation::position`] gave,
    /// on this connection or an earlier one; 0 is the beginning.
    pub async fn conversation_after(
        &self,
        conversation: Sid<ConversationKind>,
        position: i64,
    ) -> Result<Conversation, Error> {
        Conversation::open(self, conversation, Some(position)).await
    }
}

impl Conversation {
    pub(crate) async fn open(client: &Client, sid: Sid<ConversationKind>, after: Option<i64>) -> Result<Self, Error> {
        // The name that the official SDK falls back to as well.
        let document = Opened::fetch(client, &Object::Document(sid).name(), ObjectType::Document).await?;
        let known = read_document(&document.data)?;
        let mut list = Opened::fetch(client, &known.messages, ObjectType::List).await?;
        list.position = after.unwrap_or(list.position);
        let items = std::mem::take(&mut list.items);
        let subscription = Subscription::begin(client, &[list, document]).await?;
        let facts = known.into();
        Ok(Self { client: client.clone(), sid, subscription, items, facts, is_gone: false })
    }

    /// Which.
    pub fn sid(&self) -> Sid<ConversationKind> {
        self.sid
    }

    /// Its facts, as of the last event that was taken.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The position of the last event that was taken; [`Client::conversation_after`] goes on behind it.
    pub fn position(&self) -> i64 {
        self.subscription.position(MESSAGES)
    }

    /// Sends a message, and waits until the server keeps it. Gives its index. Subscribers hear of it,
    /// this one too. To send while another task receives, use [`Client::send`].
    pub async fn send(&self, message: impl Into<NewMessage>) -> Result<i64, Error> {
        self.client.send(self.sid, message).await
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// A participant hears of the conversation's end, or of being removed, from [`Client::events`] at once;
    /// here it only falls silent, and with the next connection this is [`Error::Gone`], as it is at once for
    /// whoever reads it without being in it. Whoever comes back opens it anew, from [`Conversation::position`];
    /// one that is still open goes on, when [`Client::events`] tell of the return.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        while !self.is_gone {
            let change = self.subscription.next().await?;
            match (change.place, change.kind) {
                (_, ChangeKind::Gone) => self.is_gone = true,
                (MESSAGES, ChangeKind::Added) => return message(&change).map(Event::Added),
                (MESSAGES, ChangeKind::Updated) => return message(&change).map(Event::Updated),
                (MESSAGES, ChangeKind::Removed) => return index(&change.key).map(Event::Removed),
                (DOCUMENT, _) => {
                    // The newest message stands in the document, too; that alone is no change.
                    let facts = read_document(&change.data)?.into();
                    if facts != self.facts {
                        self.facts = facts;
                        return Ok(Event::Changed);
                    }
                }
                _ => {}
            }
        }
        Err(Error::Gone)
    }

    /// Waits for the next message; other events are taken and passed over.
    pub async fn next_message(&mut self) -> Result<Message, Error> {
        loop {
            if let Event::Added(message) = self.next_event().await? {
                return Ok(message);
            }
        }
    }

    /// The messages as they come; an error is the last item.
    pub fn messages(&mut self) -> impl Stream<Item = Result<Message, Error>> + '_ {
        unfold(Some(self), |conversation| async {
            let conversation = conversation?;
            match conversation.next_message().await {
                Ok(message) => Some((Ok(message), Some(conversation))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// A page of up to 50 messages. It begins with index `from`; without one, at the end that `order`
    /// begins with.
    pub async fn page(&self, from: Option<i64>, order: Order) -> Result<Page, Error> {
        self.client.page_at(&self.items, from, order).await
    }
}

fn message(change: &Change) -> Result<Message, Error> {
    read_message(index(&change.key)?, &change.data)
}

fn index(key: &ItemKey) -> Result<i64, Error> {
    match key {
        ItemKey::Index(index) => Ok(*index),
        _ => Err(unintelligible("a subscription", "an event of the message list has no index")),
    }
}

fn read_document(data: &Bytes) -> Result<ReceivedDocument, Error> {
    serde_json::from_slice(data).map_err(|cause| unintelligible("a conversation's document", cause))
}

impl From<ReceivedDocument> for Facts {
    fn from(read: ReceivedDocument) -> Self {
        let ReceivedDocument { friendly_name, unique_name, attributes, created_by, .. } = read;
        Self { friendly_name, unique_name, attributes, created_by }
    }
}
