//! Messages: sending, editing, removing, and pages of what was said before.

use serde_json::json;
use tertulia_protocol::Sid;
use tertulia_protocol::client::{ReceivedMessage, ReceivedPage};
use tertulia_protocol::sid::{Conversation, Message as MessageKind, Participant};
use tertulia_protocol::sync::Object;

use crate::client::Client;
use crate::error::Error;
use crate::link::unintelligible;

/// Messages of a page at most.
const PAGE_MESSAGES: usize = 50;

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

/// A message to send. A text is one, with no attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// Its text.
    pub body: String,
    /// Attributes, as JSON text; an empty object, if there are none.
    pub attributes: Option<String>,
}

impl<T: Into<String>> From<T> for NewMessage {
    fn from(body: T) -> Self {
        Self { body: body.into(), attributes: None }
    }
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

impl Client {
    /// Sends a message into a conversation, open here or not, and waits until the server keeps it. Gives
    /// its index. After an error with an unknown outcome ([`Error::is_outcome_unknown`]) it may be there.
    pub async fn send(&self, conversation: Sid<Conversation>, message: impl Into<NewMessage>) -> Result<i64, Error> {
        let NewMessage { body, attributes } = message.into();
        let path = format!("{}/Messages", self.path_of(conversation));
        let body = json!({"body": body, "attributes": attributes.as_deref().unwrap_or("{}")});
        let answer = self.link.json("POST", &path, Some(&body)).await?;
        answer["index"].as_i64().ok_or_else(|| unintelligible(&path, "it has no index"))
    }

    /// Gives a message another text.
    pub async fn edit_message(
        &self,
        conversation: Sid<Conversation>,
        message: Sid<MessageKind>,
        body: &str,
    ) -> Result<(), Error> {
        let path = self.path_of_message(conversation, message);
        self.link.call("POST", &path, Some(&json!({"body": body}))).await.map(drop)
    }

    /// Gives a message other attributes, as JSON text.
    pub async fn set_message_attributes(
        &self,
        conversation: Sid<Conversation>,
        message: Sid<MessageKind>,
        attributes: &str,
    ) -> Result<(), Error> {
        let path = self.path_of_message(conversation, message);
        self.link.call("POST", &path, Some(&json!({"attributes": attributes}))).await.map(drop)
    }

    /// Removes a message. Its index stays empty.
    pub async fn remove_message(
        &self,
        conversation: Sid<Conversation>,
        message: Sid<MessageKind>,
    ) -> Result<(), Error> {
        self.link.call("DELETE", &self.path_of_message(conversation, message), None).await.map(drop)
    }

    /// A page of up to 50 messages of a conversation, open here or not. It begins with index `from`; without
    /// one, at the end that `order` begins with.
    pub async fn page(&self, conversation: Sid<Conversation>, from: Option<i64>, order: Order) -> Result<Page, Error> {
        self.page_at(&format!("/v3/Lists/{}/Items", Object::Messages(conversation).sid()), from, order).await
    }

    pub(crate) async fn page_at(&self, items: &str, from: Option<i64>, order: Order) -> Result<Page, Error> {
        let word = if order == Order::Ascending { "asc" } else { "desc" };
        let from = from.map(|from| format!("&From={from}")).unwrap_or_default();
        let path = format!("{items}?PageSize={PAGE_MESSAGES}&Order={word}{from}");
        let body = self.link.call("GET", &path, None).await?;
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

    fn path_of_message(&self, conversation: Sid<Conversation>, message: Sid<MessageKind>) -> String {
        format!("{}/Messages/{message}", self.path_of(conversation))
    }
}

/// Reads the data of an item of the message list.
pub(crate) fn read_message(index: i64, data: &[u8]) -> Result<Message, Error> {
    let read: ReceivedMessage =
        serde_json::from_slice(data).map_err(|cause| unintelligible("a message's data", cause))?;
    let ReceivedMessage { sid, author, participant_sid: participant, body, attributes, date_created } = read;
    Ok(Message { index, sid, author, participant, body, attributes, date_created })
}
