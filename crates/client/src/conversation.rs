//! One conversation: its messages as they come, sending, and pages of its history.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tertulia_protocol::Sid;
use tertulia_protocol::client::{ReceivedDocument, ReceivedMessage, ReceivedPage};
use tertulia_protocol::sid::{Conversation as ConversationKind, Message as MessageKind, Participant};
use tertulia_protocol::sync::{Object, ObjectType};

use crate::client::Client;
use crate::error::Error;
use crate::link::unintelligible;
use crate::subscription::{Change, ChangeKind, ItemKey, Opened, Subscription};

/// Messages of a page at most.
const PAGE_MESSAGES: usize = 50;

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

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// 0, 1, 2, … in the conversation's own order.
    pub index: i64,
    /// The message.
    pub sid: Sid<MessageKind>,
    /// Identity of its author.
    pub author: String,
    /// The author's participant, if there is one.
    pub participant: Option<Sid<Participant>>,
    /// Its text.
    pub body: Option<String>,
    /// Its attributes, as JSON text.
    pub attributes: String,
    /// When it was created, as the server writes it.
    pub date_created: String,
}

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

/// In which direction a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Older messages first.
    Ascending,
    /// Newer messages first.
    Descending,
}

/// A page of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The messages, in the order that was asked for.
    pub messages: Vec<Message>,
    /// Where the next page begins; none after the last.
    pub next: Option<i64>,
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
    pub async fn send(&self, body: &str) -> Result<i64, Error> {
        self.client.send(self.sid, body).await
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// A participant hears of the conversation's end, or of being removed, on [`Client::subscribe_own`]; here
    /// it only falls silent. Whoever reads it without being in it gets [`Error::Gone`].
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
        let word = if order == Order::Ascending { "asc" } else { "desc" };
        let from = from.map(|from| format!("&From={from}")).unwrap_or_default();
        let path = format!("{}?PageSize={PAGE_MESSAGES}&Order={word}{from}", self.items);
        let body = self.client.link.call("GET", &path, None).await?;
        let page: ReceivedPage<'_> = serde_json::from_slice(&body).map_err(|cause| unintelligible(&path, cause))?;
        let mut messages = Vec::with_capacity(page.items.len());
        for item in &page.items {
            let index = item.index.ok_or_else(|| unintelligible(&path, "an item has no index"))?;
            messages.push(read_message(index, item.data.get().as_bytes())?);
        }
        let step = if order == Order::Ascending { 1 } else { -1 };
        let next = page.meta.next_token.and(messages.last()).map(|last| last.index + step);
        Ok(Page { messages, next })
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

fn read_message(index: i64, data: &[u8]) -> Result<Message, Error> {
    let read: ReceivedMessage =
        serde_json::from_slice(data).map_err(|cause| unintelligible("a message's data", cause))?;
    let ReceivedMessage { sid, author, participant_sid: participant, body, attributes, date_created } = read;
    Ok(Message { index, sid, author, participant, body, attributes, date_created })
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
