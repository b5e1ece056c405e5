//! Data of items, documents and notifications, as a client reads them; the wire's own older words end here.

use serde::Deserialize;

use crate::sid::{Conversation, Message, Participant, Sid};

/// Data of an item of the message list, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReceivedMessage {
    /// The message.
    pub sid: Sid<Message>,
    /// Identity of its author.
    pub author: String,
    /// The author's participant, if there is one.
    #[serde(rename = "memberSid", default)]
    pub participant_sid: Option<Sid<Participant>>,
    /// Its body.
    #[serde(rename = "text", default)]
    pub body: Option<String>,
    /// Its attributes, a JSON string.
    #[serde(default)]
    pub attributes: String,
    /// When it was created.
    #[serde(rename = "timestamp")]
    pub date_created: String,
}

/// Data of a conversation's document, as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReceivedDocument {
    /// Its friendly name.
    pub friendly_name: Option<String>,
    /// Its unique name.
    pub unique_name: Option<String>,
    /// Its attributes, a JSON string.
    pub attributes: String,
    /// Identity of its creator, or `system`.
    pub created_by: String,
    /// Name of the message list.
    pub messages: String,
    /// Name of the roster map.
    pub roster: String,
}

/// The payload of a typing notification.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReceivedTyping {
    /// Where.
    #[serde(rename = "channel_sid")]
    pub conversation: Sid<Conversation>,
    /// Who.
    pub identity: String,
    /// For how long.
    #[serde(rename = "typing_timeout")]
    pub seconds: u32,
}

/// Data of an item of a conversation's roster, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReceivedParticipant {
    /// Absent for participants from another messenger.
    #[serde(default)]
    pub identity: Option<String>,
    /// The attributes, a JSON string.
    #[serde(default)]
    pub attributes: String,
    /// Read horizon.
    #[serde(rename = "lastConsumedMessageIndex", default)]
    pub last_read_message_index: Option<i64>,
}

/// Data of an item of the user's own list of conversations, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReceivedMine {
    /// The user's own read horizon.
    #[serde(rename = "lastConsumedMessageIndex", default)]
    pub last_read_message_index: Option<i64>,
}
