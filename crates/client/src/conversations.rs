//! Conversations from outside: making, changing and deleting them, and who is in them and types.

use serde_json::json;
use tertulia_protocol::Sid;
use tertulia_protocol::client::typing;
use tertulia_protocol::sid::Conversation;

use crate::client::Client;
use crate::error::Error;
use crate::link::{encoded, unintelligible};
use crate::typing::TypingEvents;

/// What a new conversation is made of; everything may be left out.
#[derive(Clone, Debug, Default)]
pub struct NewConversation {
    /// A name to show.
    pub friendly_name: Option<String>,
    /// A name to find it by; one conversation a name.
    pub unique_name: Option<String>,
    /// Attributes, as JSON text.
    pub attributes: Option<String>,
}

impl NewConversation {
    /// With a name to show.
    pub fn named(friendly_name: impl Into<String>) -> Self {
        Self { friendly_name: Some(friendly_name.into()), ..Self::default() }
    }
}

/// What is to be another in a conversation; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct ConversationChange {
    /// The name to show.
    pub friendly_name: Option<String>,
    /// The name to find it by; an empty one takes it away.
    pub unique_name: Option<String>,
    /// The attributes, as JSON text.
    pub attributes: Option<String>,
}

impl Client {
    /// Makes a conversation. Its creator is not in it before [`Client::join`].
    pub async fn create_conversation(&self, new: &NewConversation) -> Result<Sid<Conversation>, Error> {
        let mut body = json!({"attributes": new.attributes.as_deref().unwrap_or("{}")});
        for (name, value) in [("friendly_name", &new.friendly_name), ("unique_name", &new.unique_name)] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        let created = self.link.json("POST", &self.own.conversations, Some(&body)).await?;
        let sid = created["sid"].as_str().and_then(|sid| sid.parse().ok());
        sid.ok_or_else(|| unintelligible("the creation of a conversation", "it has no SID"))
    }

    /// Changes a conversation.
    pub async fn update_conversation(
        &self,
        conversation: Sid<Conversation>,
        change: &ConversationChange,
    ) -> Result<(), Error> {
        let ConversationChange { friendly_name, unique_name, attributes } = change;
        let mut body = json!({});
        for (name, value) in
            [("friendly_name", friendly_name), ("unique_name", unique_name), ("attributes", attributes)]
        {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        self.link.call("POST", &self.path_of(conversation), Some(&body)).await.map(drop)
    }

    /// Deletes a conversation, for everybody.
    pub async fn delete_conversation(&self, conversation: Sid<Conversation>) -> Result<(), Error> {
        self.link.call("DELETE", &self.path_of(conversation), None).await.map(drop)
    }

    /// Joins a conversation.
    pub async fn join(&self, conversation: Sid<Conversation>) -> Result<(), Error> {
        self.add(conversation, self.identity()).await
    }

    /// Adds somebody to a conversation.
    pub async fn add(&self, conversation: Sid<Conversation>, identity: &str) -> Result<(), Error> {
        let path = format!("{}/Participants", self.path_of(conversation));
        self.link.call("POST", &path, Some(&json!({"identity": identity}))).await.map(drop)
    }

    /// Removes somebody from a conversation.
    pub async fn remove(&self, conversation: Sid<Conversation>, identity: &str) -> Result<(), Error> {
        let path = format!("{}/Participants/{}", self.path_of(conversation), encoded(identity));
        self.link.call("DELETE", &path, None).await.map(drop)
    }

    /// Leaves a conversation.
    pub async fn leave(&self, conversation: Sid<Conversation>) -> Result<(), Error> {
        self.remove(conversation, self.identity()).await
    }

    /// Tells the other participants that this user is typing. Say it again while it lasts, every few seconds.
    pub async fn typing(&self, conversation: Sid<Conversation>) -> Result<(), Error> {
        self.link.call_form(&self.own.typing, typing(conversation)).await.map(drop)
    }

    /// Who types from now on, in any conversation.
    pub fn typing_events(&self) -> TypingEvents {
        TypingEvents(self.link.typing())
    }
}
