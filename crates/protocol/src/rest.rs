//! Bodies of REST answers (REST facts §4–§20). Every field is always present; "not set" is `null`.
//!
//! Dates are texts here, because the surfaces differ: v1 writes whole seconds, the 2010 API RFC 2822.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::code::Code;
use crate::sid::{
    Account, ContentTemplate, Conversation, Key, Message, MessagingService, Participant, Role, Service, Sid, User,
};

/// Name to absolute URL.
pub type Links = BTreeMap<&'static str, String>;

/// `date_inactive` and `date_closed`, each only while it runs.
pub type Timers = BTreeMap<&'static str, String>;

/// The body of every refusal. `type` and `title` must never be added (REST facts §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// Documented code.
    pub code: u32,
    /// For the person who is stuck.
    pub message: String,
    /// Page about the code.
    pub more_info: String,
    /// The HTTP status again.
    pub status: u16,
}

impl ErrorBody {
    /// The body for a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.number(), message: message.into(), more_info: code.more_info(), status: code.status() }
    }
}

/// `meta` of a v1 list.
#[derive(Clone, Debug, Serialize)]
pub struct Meta {
    /// Which page it is; the token finds it.
    pub page: i64,
    /// Rows asked for.
    pub page_size: i64,
    /// How many rows of the list lie before the first one.
    #[serde(skip)]
    pub start: i64,
    /// First page.
    pub first_page_url: String,
    /// The page before, `null` on the first.
    pub previous_page_url: Option<String>,
    /// This page.
    pub url: String,
    /// Next page, `null` on the last.
    pub next_page_url: Option<String>,
    /// Name of the array.
    pub key: &'static str,
}

/// A v1 list.
pub fn list<T: Serialize>(meta: &Meta, rows: &[T]) -> Value {
    serde_json::json!({meta.key: rows, "meta": meta})
}

/// A list of the 2010 API. One more key would break twilio-python (REST facts §4).
pub fn list_2010<T: Serialize>(meta: &Meta, rows: &[T]) -> Value {
    serde_json::json!({
        meta.key: rows, "page": meta.page, "page_size": meta.page_size,
        "start": meta.start, "end": meta.start + (rows.len() as i64 - 1).max(0),
        "uri": meta.url, "first_page_uri": meta.first_page_url,
        "next_page_uri": meta.next_page_url, "previous_page_uri": meta.previous_page_url,
    })
}

/// An API key of the 2010 API. It may hold a secret, so it has no `Debug`.
#[derive(Clone, Serialize)]
pub struct KeyBody {
    /// The key.
    pub sid: Sid<Key>,
    /// Its name.
    pub friendly_name: String,
    /// RFC 2822.
    pub date_created: String,
    /// RFC 2822.
    pub date_updated: String,
    /// In the answer to its creation only, never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

mod manage;

pub use manage::{AccountBody, KeyRow, ManagedKeyBody, PromotedTokenBody, SecondaryTokenBody};

/// A chat service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceBody {
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub sid: Sid<Service>,
    /// Its name.
    pub friendly_name: String,
    /// When it was created.
    pub date_created: String,
    /// When it last changed.
    pub date_updated: String,
    /// Itself.
    pub url: String,
    /// What it holds.
    pub links: Links,
}

/// A chat service's configuration.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceConfigurationBody {
    /// The chat service.
    pub chat_service_sid: Sid<Service>,
    /// Role of who creates a conversation through the SDK.
    pub default_conversation_creator_role_sid: Sid<Role>,
    /// Role of who is added to a conversation.
    pub default_conversation_role_sid: Sid<Role>,
    /// Role of a new user.
    pub default_chat_service_role_sid: Sid<Role>,
    /// Whether the service says who is online.
    pub reachability_enabled: bool,
    /// Itself.
    pub url: String,
    /// Its parts.
    pub links: Links,
}

/// The account's configuration.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigurationBody {
    /// The account.
    pub account_sid: Sid<Account>,
    /// The chat service that the short routes mean.
    pub default_chat_service_sid: Option<Sid<Service>>,
    /// Stored, without further meaning here.
    pub default_messaging_service_sid: Option<Sid<MessagingService>>,
    /// ISO 8601 duration as it was given.
    pub default_inactive_timer: Option<String>,
    /// ISO 8601 duration as it was given.
    pub default_closed_timer: Option<String>,
    /// Itself.
    pub url: String,
    /// Its parts.
    pub links: Links,
}

/// A role.
#[derive(Clone, Debug, Serialize)]
pub struct RoleBody {
    /// The role.
    pub sid: Sid<Role>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// Its chat service.
    pub chat_service_sid: Sid<Service>,
    /// Its name.
    pub friendly_name: String,
    /// `service` or `conversation`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it allows.
    pub permissions: Vec<String>,
    /// When it was created.
    pub date_created: String,
    /// When it last changed.
    pub date_updated: String,
    /// Itself.
    pub url: String,
}

/// A user.
#[derive(Clone, Debug, Serialize)]
pub struct UserBody {
    /// The user.
    pub sid: Sid<User>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub chat_service_sid: Sid<Service>,
    /// Role in the service.
    pub role_sid: Sid<Role>,
    /// The app's own name for the user.
    pub identity: String,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// JSON text.
    pub attributes: String,
    /// `null` in lists and while the service does not say.
    pub is_online: Option<bool>,
    /// `null` in lists and while the service does not say.
    pub is_notifiable: Option<bool>,
    /// When it was created.
    pub date_created: String,
    /// When it last changed.
    pub date_updated: String,
    /// Itself.
    pub url: String,
    /// What it holds.
    pub links: Links,
}

/// A conversation.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationBody {
    /// The conversation.
    pub sid: Sid<Conversation>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub chat_service_sid: Sid<Service>,
    /// Stored, without further meaning here.
    pub messaging_service_sid: Option<Sid<MessagingService>>,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// Name to find it by.
    pub unique_name: Option<String>,
    /// JSON text.
    pub attributes: String,
    /// `active`, `inactive` or `closed`.
    pub state: &'static str,
    /// When it was created.
    pub date_created: String,
    /// When it last changed.
    pub date_updated: String,
    /// `date_inactive` and `date_closed`, each only while it runs.
    pub timers: Timers,
    /// Bindings, such as an e-mail address.
    pub bindings: Value,
    /// Itself.
    pub url: String,
    /// What it holds.
    pub links: Links,
}

/// A conversation as one of its users has it.
#[derive(Clone, Debug, Serialize)]
pub struct UserConversationBody {
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub chat_service_sid: Sid<Service>,
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// The user.
    pub user_sid: Sid<User>,
    /// The user's participant.
    pub participant_sid: Sid<Participant>,
    /// `null` before the first read horizon.
    pub unread_messages_count: Option<i64>,
    /// Read horizon.
    pub last_read_message_index: Option<i64>,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// Name to find it by.
    pub unique_name: Option<String>,
    /// JSON text of the conversation.
    pub attributes: String,
    /// `active`, `inactive` or `closed`.
    pub conversation_state: &'static str,
    /// As in [`ConversationBody`].
    pub timers: Timers,
    /// Identity of the creator, or `system`.
    pub created_by: String,
    /// `default` or `muted`.
    pub notification_level: &'static str,
    /// When the conversation was created.
    pub date_created: String,
    /// When the conversation last changed.
    pub date_updated: String,
    /// Itself.
    pub url: String,
    /// Participant and conversation.
    pub links: Links,
}

/// A conversation that an identity or an address takes part in; it has no `sid` and no `url`.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantConversationBody {
    /// The owner.
    pub account_sid: Sid<Account>,
    /// The chat service.
    pub chat_service_sid: Sid<Service>,
    /// The participant.
    pub participant_sid: Sid<Participant>,
    /// `null` for a participant of another messenger.
    pub participant_user_sid: Option<Sid<User>>,
    /// `null` for a participant of another messenger.
    pub participant_identity: Option<String>,
    /// `null` for a chat participant; otherwise all six keys, unused ones `null`.
    pub participant_messaging_binding: Option<Value>,
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// Name to find it by.
    pub conversation_unique_name: Option<String>,
    /// Name to show.
    pub conversation_friendly_name: Option<String>,
    /// JSON text of the conversation.
    pub conversation_attributes: String,
    /// `active`, `inactive` or `closed`.
    pub conversation_state: &'static str,
    /// As in [`ConversationBody`].
    pub conversation_timers: Timers,
    /// When the conversation was created.
    pub conversation_date_created: String,
    /// When the conversation last changed.
    pub conversation_date_updated: String,
    /// Identity of the creator, or `system`.
    pub conversation_created_by: String,
    /// Participant and conversation.
    pub links: Links,
}

/// A participant.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantBody {
    /// The participant.
    pub sid: Sid<Participant>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// On the service route only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_service_sid: Option<Sid<Service>>,
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// `null` for a participant of another messenger.
    pub identity: Option<String>,
    /// JSON text.
    pub attributes: String,
    /// `null` for a chat participant.
    pub messaging_binding: Option<Value>,
    /// Role in the conversation.
    pub role_sid: Option<Sid<Role>>,
    /// Read horizon.
    pub last_read_message_index: Option<i64>,
    /// When the horizon was set.
    pub last_read_timestamp: Option<String>,
    /// When it was created.
    pub date_created: String,
    /// When it last changed.
    pub date_updated: String,
    /// Itself.
    pub url: String,
}

/// A message.
#[derive(Clone, Debug, Serialize)]
pub struct MessageBody {
    /// The message.
    pub sid: Sid<Message>,
    /// The owner.
    pub account_sid: Sid<Account>,
    /// On the service route only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_service_sid: Option<Sid<Service>>,
    /// The conversation.
    pub conversation_sid: Sid<Conversation>,
    /// 0, 1, 2, … in commit order.
    pub index: i64,
    /// Identity of the author.
    pub author: String,
    /// Its text.
    pub body: Option<String>,
    /// `null`, or the attached files.
    pub media: Option<Vec<Value>>,
    /// JSON text.
    pub attributes: String,
    /// The author's participant, if there is one.
    pub participant_sid: Option<Sid<Participant>>,
    /// When it was created.
    pub date_created: String,
    /// When it last changed.
    pub date_updated: String,
    /// `null` without participants of other messengers.
    pub delivery: Option<Value>,
    /// Content template used.
    pub content_sid: Option<Sid<ContentTemplate>>,
    /// Itself.
    pub url: String,
    /// Its parts.
    pub links: Links,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_exactly_the_four_keys() {
        let body = serde_json::to_value(ErrorBody::new(Code::NotFound, "gone")).unwrap();
        let keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["code", "message", "more_info", "status"]);
        assert_eq!(body["more_info"], "https://www.twilio.com/docs/errors/20404");
    }
}
