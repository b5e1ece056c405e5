//! The user's own view: which conversations, what is read of them, and what changes there.

use serde_json::{Value, json};
use tertulia_protocol::Sid;
use tertulia_protocol::client::ReceivedMine;
use tertulia_protocol::sid::Conversation;
use tertulia_protocol::sync::ObjectType;

use crate::change::{Change, ChangeKind, ItemKey};
use crate::client::Client;
use crate::error::Error;
use crate::link::{encoded, unintelligible};
use crate::subscription::Subscription;

/// One of the user's conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MyConversation {
    /// The conversation.
    pub sid: Sid<Conversation>,
    /// Whether the user is in it; whoever has only made it is not.
    pub is_joined: bool,
    /// Its friendly name.
    pub friendly_name: Option<String>,
    /// Its unique name.
    pub unique_name: Option<String>,
    /// The user's read horizon.
    pub last_read_message_index: Option<i64>,
    /// Messages behind the horizon. None without a horizon, and in [`Client::conversations`].
    pub unread: Option<i64>,
}

impl Client {
    /// The conversations that the user has joined, all of them.
    pub async fn conversations(&self) -> Result<Vec<MyConversation>, Error> {
        let mut all = Vec::new();
        let mut path = self.own.my_conversations.clone();
        loop {
            let page = self.link.json("GET", &path, None).await?;
            for row in page["conversations"].as_array().into_iter().flatten() {
                all.push(read_row(row)?);
            }
            match page["meta"]["next_token"].as_str() {
                Some(next) => path = format!("{}?PageToken={}", self.own.my_conversations, encoded(next)),
                None => return Ok(all),
            }
        }
    }

    /// The conversation with this SID or unique name, if the user may see it: [`Error::is_not_found`] if there
    /// is none.
    pub async fn find_conversation(&self, key: &str) -> Result<MyConversation, Error> {
        let path = format!("{}/{}", self.own.my_conversations, encoded(key));
        read_row(&self.link.json("GET", &path, None).await?)
    }

    /// Moves the read horizon to the message with this index, or takes it away. Gives the number of messages
    /// behind it.
    pub async fn set_last_read(
        &self,
        conversation: Sid<Conversation>,
        index: Option<i64>,
    ) -> Result<Option<i64>, Error> {
        let path = format!("{}/{conversation}", self.own.my_conversations);
        let body = json!({"last_read_message_index": index});
        Ok(read_row(&self.link.json("POST", &path, Some(&body)).await?)?.unread)
    }

    /// What happens to the user's own list of conversations from now on: being added, being removed. One at
    /// a time, and not beside [`Client::subscribe_own`].
    pub async fn events(&self) -> Result<MyEvents, Error> {
        Ok(MyEvents(self.subscribe(&[(&self.own.map, ObjectType::Map)]).await?))
    }
}

fn read_row(row: &Value) -> Result<MyConversation, Error> {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    let sid = row["conversation_sid"].as_str().and_then(|sid| sid.parse().ok());
    Ok(MyConversation {
        sid: sid.ok_or_else(|| unintelligible("a conversation of the user", "it has no SID"))?,
        is_joined: row["status"] == "joined",
        friendly_name: text("friendly_name"),
        unique_name: text("unique_name"),
        last_read_message_index: row["last_read_message_index"].as_i64(),
        unread: row["unread_messages_count"].as_i64(),
    })
}

/// The user's own list of conversations, as it changes.
#[derive(Debug)]
pub struct MyEvents(Subscription);

/// Something that happened to the user's own list of conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MyEvent {
    /// The user is in a conversation now.
    Added(Sid<Conversation>),
    /// The user's own view of a conversation changed.
    Changed {
        /// Of which.
        conversation: Sid<Conversation>,
        /// The read horizon.
        last_read_message_index: Option<i64>,
    },
    /// The user is in a conversation no more, or it is gone.
    Removed(Sid<Conversation>),
}

impl MyEvents {
    /// Waits for the next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<MyEvent, Error> {
        let change = self.0.next().await?;
        let conversation = conversation(&change)?;
        Ok(match change.kind {
            ChangeKind::Added => MyEvent::Added(conversation),
            ChangeKind::Removed => MyEvent::Removed(conversation),
            ChangeKind::Gone => return Err(Error::Gone),
            ChangeKind::Updated => {
                let read: Result<ReceivedMine, _> = serde_json::from_slice(&change.data);
                let read = read.map_err(|cause| unintelligible("the user's own list", cause))?;
                MyEvent::Changed { conversation, last_read_message_index: read.last_read_message_index }
            }
        })
    }
}

fn conversation(change: &Change) -> Result<Sid<Conversation>, Error> {
    let sid = match &change.key {
        ItemKey::Key(key) => key.parse().ok(),
        ItemKey::Whole => return Err(Error::Gone),
        ItemKey::Index(_) => None,
    };
    sid.ok_or_else(|| unintelligible("the user's own list", "an item has no conversation"))
}
