//! Data of items and documents, with the wire's own older words for their fields (Sync facts §3).

use serde::Serialize;

use super::Object;
use crate::sid::{Conversation, Message, Participant, Role, Sid};
use crate::time::Timestamp;

/// Data of a my-conversations item. Whatever else stood here would overwrite the document's fresher
/// value in the client, so these four are all (Sync facts §3.1).
#[derive(Clone, Debug, Serialize)]
pub struct MyConversationData {
    /// Always `joined`: who leaves loses the item.
    status: &'static str,
    /// Name of the document.
    channel: String,
    /// The user's own read horizon.
    #[serde(rename = "lastConsumedMessageIndex")]
    last_read_message_index: Option<i64>,
    /// `default` or `muted`.
    #[serde(rename = "notificationLevel")]
    notification_level: &'static str,
}

impl MyConversationData {
    /// The item of a conversation that the user has joined.
    pub fn joined(
        conversation: Sid<Conversation>,
        last_read_message_index: Option<i64>,
        notification_level: &'static str,
    ) -> Self {
        let channel = Object::Document(conversation).name();
        Self { status: "joined", channel, last_read_message_index, notification_level }
    }
}

/// Data of a conversation's document: shared by all, so nothing of one reader may stand in it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentData {
    /// The conversation.
    pub sid: Sid<Conversation>,
    /// Its friendly name.
    pub friendly_name: Option<String>,
    /// Its unique name.
    pub unique_name: Option<String>,
    /// Its attributes, a JSON string.
    pub attributes: String,
    /// Identity of its creator, or `system`.
    pub created_by: String,
    /// When it was created.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// Name of the message list.
    pub messages: String,
    /// Name of the roster map.
    pub roster: String,
    /// Index and time of the newest message.
    pub last_message: Option<LastMessage>,
    /// Its state.
    pub state: StateData,
}

/// The newest message, in the document.
#[derive(Clone, Debug, Serialize)]
pub struct LastMessage {
    /// Its index.
    pub index: i64,
    /// When it was created.
    pub timestamp: Timestamp,
}

/// The state, in the document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateData {
    /// `active`, `inactive` or `closed`.
    pub current: &'static str,
    /// Since when.
    pub date_updated: Timestamp,
}

/// Data of an item of the message list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageData {
    /// The message.
    pub sid: Sid<Message>,
    /// Identity of its author.
    pub author: String,
    /// The author's participant, if there is one.
    #[serde(rename = "memberSid")]
    pub participant_sid: Option<Sid<Participant>>,
    /// Its body.
    pub text: Option<String>,
    /// Its attributes, a JSON string; an update without them would reset them in the client.
    pub attributes: String,
    /// When it was created.
    pub timestamp: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// Identity of who changed it last.
    pub last_updated_by: Option<String>,
    /// `text` or `media`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// E-mail subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// Data of an item of the roster map.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RosterData {
    /// Absent for participants from another messenger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// `chat`, or the type of the messaging binding.
    #[serde(rename = "type")]
    pub kind: String,
    /// Attributes, a JSON string.
    pub attributes: String,
    /// Role in this conversation.
    pub role_sid: Option<Sid<Role>>,
    /// Read horizon.
    #[serde(rename = "lastConsumedMessageIndex")]
    pub last_read_message_index: Option<i64>,
    /// When the horizon was set.
    #[serde(rename = "lastConsumptionTimestamp")]
    pub last_read_at: Option<Timestamp>,
    /// When the participant came.
    pub date_created: Timestamp,
    /// When the participant last changed.
    pub date_updated: Timestamp,
    /// Name of the user's info map; saves the client a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info: Option<String>,
}

/// Keys of the user-info map.
pub mod user_info {
    /// The friendly name.
    pub const FRIENDLY_NAME: &str = "friendlyName";
    /// The attributes.
    pub const ATTRIBUTES: &str = "attributes";
    /// Reachability.
    pub const REACHABILITY: &str = "reachability";
}

/// Data of the `friendlyName` and `attributes` items of a user-info map.
#[derive(Clone, Debug, Serialize)]
pub struct UserInfoValue {
    /// The name, or the attributes as a JSON string.
    pub value: Option<String>,
}

/// Data of the `reachability` item of a user-info map.
#[derive(Clone, Debug, Serialize)]
pub struct Reachability {
    /// Somebody with this identity is connected.
    pub online: bool,
    /// Somebody with this identity can be pushed to.
    pub notifiable: bool,
}
