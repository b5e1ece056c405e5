//! Bodies of the requests that an SDK tunnels through its websocket, and of their answers
//! (SDK facts §2–§7). Every `attributes` member is a JSON *string*.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::sid::{Account, Conversation, Message, Participant, Role, Service, Sid};
use crate::sync::Object;
use crate::time::Timestamp;

/// Where the fixed path of the SDK's API begins.
pub const BASE: &str = "/Client/v2";

/// Options of the Configuration answer.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether `reachability` items are read.
    pub reachability_enabled: bool,
}

/// The answer to `GET /Client/v2/Configuration`. `media` is the absolute URL of the media service.
pub fn configuration(
    account: Sid<Account>,
    service: Sid<Service>,
    user: Sid<crate::sid::User>,
    identity: &str,
    origin: &str,
    options: Options,
) -> Value {
    let base = format!("{origin}{BASE}/Services/{service}");
    serde_json::json!({
        "identity": identity, "service_sid": service, "account_sid": account,
        "links": {
            "my_conversations": format!("{base}/MyConversations"),
            "conversations": format!("{base}/Conversations"),
            "users": format!("{base}/Users"),
            "current_user": format!("{base}/Users/{user}"),
            "typing": format!("{base}/Typing"),
            "media_service": format!("{origin}/v1/Services/{service}/Media"),
            "media_set_service": format!("{origin}/v1/Services/{service}/MediaSet"),
            "messages_receipts": format!("{base}/Conversations/%s/Messages/%s/Receipts"),
        },
        "options": {
            "reachability_enabled": options.reachability_enabled,
            "user_infos_to_subscribe": 100,
            // The SDK reads this as a tenth of what it says and then serves stale counts; off is right.
            "http_cache_interval": "PT0S",
            "consumption_report_interval": "PT5S",
            "media_attachments_count_limit": 10,
            "media_attachment_size_limit_in_mb": 150,
            "media_attachments_total_size_limit_in_mb": 150,
            "email_histories_allowed_mime_types": ["text/plain", "text/html"],
            "email_bodies_allowed_mime_types": ["text/plain", "text/html"],
        },
        "sync_objects": {
            "my_conversations": Object::MyConversations(user).name(),
            "my_user_info": Object::UserInfo(user).name(),
        },
    })
}

/// Names of a conversation's three Sync objects.
#[derive(Clone, Debug, Serialize)]
pub struct SyncObjects {
    conversation: String,
    messages: String,
    participants: String,
}

impl SyncObjects {
    /// For this conversation.
    pub fn of(conversation: Sid<Conversation>) -> Self {
        Self {
            conversation: Object::Document(conversation).name(),
            messages: Object::Messages(conversation).name(),
            participants: Object::Roster(conversation).name(),
        }
    }
}

/// `POST …/Conversations` and `POST …/Conversations/{sid}`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ConversationRequest {
    /// Name to show.
    #[serde(default, deserialize_with = "given")]
    pub friendly_name: Option<Option<String>>,
    /// Name to find it by; `""` takes it away.
    #[serde(default, deserialize_with = "given")]
    pub unique_name: Option<Option<String>>,
    /// JSON string.
    pub attributes: Option<String>,
}

/// A conversation, as create, fetch and update answer it.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationAnswer {
    /// The conversation.
    pub sid: Sid<Conversation>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub service_sid: Sid<Service>,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// Name to find it by.
    pub unique_name: Option<String>,
    /// JSON string.
    pub attributes: String,
    /// Identity of the creator, or `system`.
    pub created_by: String,
    /// When it was created.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// `active`, `inactive` or `closed`.
    pub state: &'static str,
    /// Its participants.
    pub participants_count: i64,
    /// Its messages, removed ones not counted.
    pub messages_count: i64,
    /// `joined` or `notParticipating`, for the caller.
    pub status: &'static str,
    /// Itself.
    pub url: String,
    /// What it holds.
    pub links: ConversationLinks,
    /// Its Sync objects.
    pub sync_objects: SyncObjects,
}

/// Links of a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationLinks {
    /// Its participants.
    pub participants: String,
    /// Its messages.
    pub messages: String,
}

/// One of the caller's conversations.
#[derive(Clone, Debug, Serialize)]
pub struct MyConversationAnswer {
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// The caller's participant.
    pub participant_sid: Option<Sid<Participant>>,
    /// `joined` or `notParticipating`.
    pub status: &'static str,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// Name to find it by.
    pub unique_name: Option<String>,
    /// JSON string.
    pub attributes: String,
    /// Identity of the creator, or `system`.
    pub created_by: String,
    /// When it was created.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// The caller's read horizon.
    pub last_read_message_index: Option<i64>,
    /// `null` before the first horizon.
    pub unread_messages_count: Option<i64>,
    /// `default` or `muted`.
    pub notification_level: String,
    /// Its Sync objects.
    pub sync_objects: SyncObjects,
}

/// `POST …/MyConversations/{sid}`: one of the two members, `null` clears the horizon.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct MyConversationRequest {
    /// The caller's read horizon.
    #[serde(default, deserialize_with = "given")]
    pub last_read_message_index: Option<Option<i64>>,
    /// `default` or `muted`.
    pub notification_level: Option<String>,
}

/// `POST …/Participants`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ParticipantRequest {
    /// Who; the caller's own identity means "join".
    pub identity: Option<String>,
    /// JSON string.
    pub attributes: Option<String>,
    /// For participants of other messengers.
    pub messaging_binding: Option<BindingRequest>,
}

/// A messaging binding in a participant request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct BindingRequest {
    /// The participant's own address.
    pub address: Option<String>,
    /// The address it talks to.
    pub proxy_address: Option<String>,
}

/// A participant, as create and update answer it.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantAnswer {
    /// The participant.
    pub sid: Sid<Participant>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub chat_service_sid: Sid<Service>,
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// `null` for a participant of another messenger.
    pub identity: Option<String>,
    /// JSON string.
    pub attributes: String,
    /// Role in the conversation.
    pub role_sid: Option<Sid<Role>>,
    /// `null` for a chat participant.
    pub messaging_binding: Option<Value>,
    /// When it was created.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// Itself.
    pub url: String,
    /// `{"conversation": url}`.
    pub links: Value,
}

/// `POST …/Messages` and `POST …/Messages/{sid}`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct MessageRequest {
    /// The text; absent in media messages.
    pub body: Option<String>,
    /// JSON string.
    pub attributes: Option<String>,
    /// E-mail subject.
    pub subject: Option<String>,
    /// Uploaded files.
    #[serde(default)]
    pub media_sids: Vec<String>,
}

/// A message, as create and update answer it; the client reads `index` only.
#[derive(Clone, Debug, Serialize)]
pub struct MessageAnswer {
    /// The message.
    pub sid: Sid<Message>,
    /// 0, 1, 2, … in commit order.
    pub index: i64,
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// Identity of the author.
    pub author: String,
    /// The text.
    pub body: Option<String>,
    /// JSON string.
    pub attributes: String,
    /// When it was created.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// Itself.
    pub url: String,
}

/// `POST …/Users/{identity}`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct UserRequest {
    /// Name to show, `""` included.
    #[serde(default, deserialize_with = "given")]
    pub friendly_name: Option<Option<String>>,
    /// JSON string.
    pub attributes: Option<String>,
}

/// A user, as fetch and update answer it.
pub fn user_answer(
    user: Sid<crate::sid::User>,
    identity: &str,
    friendly_name: Option<&str>,
    attributes: &str,
) -> Value {
    serde_json::json!({
        "sid": user, "identity": identity, "friendly_name": friendly_name, "attributes": attributes,
        "sync_objects": {"user_info_map": Object::UserInfo(user).name()},
    })
}

/// Tells a member that is `null` from one that is absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_told_from_absent() {
        let none: MyConversationRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(none.last_read_message_index, None);
        let null: MyConversationRequest = serde_json::from_str(r#"{"last_read_message_index": null}"#).unwrap();
        assert_eq!(null.last_read_message_index, Some(None));
        let three: MyConversationRequest = serde_json::from_str(r#"{"last_read_message_index": 3}"#).unwrap();
        assert_eq!(three.last_read_message_index, Some(Some(3)));
    }
}
