//! The Sync objects a client reads and subscribes to, their items and their events (Sync facts).
//!
//! Every object is a projection of a conversation's or a user's rows. Its SID and its name are
//! computed from the noun's SID, so that a reconnect with thousands of subscriptions needs no table
//! to look them up. The fields of items keep the wire's own older words.

mod data;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::realtime::{message_type, notification};
use crate::sid::{Conversation, Sid, User, number_of};
use crate::time::Timestamp;

pub use data::{
    DocumentData, LastMessage, MessageData, MyConversationData, Reachability, RosterData, StateData, UserInfoValue,
    user_info,
};

/// A Sync object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// The shared facts of a conversation (a document).
    Document(Sid<Conversation>),
    /// The messages of a conversation (a list).
    Messages(Sid<Conversation>),
    /// The participants of a conversation (a map keyed by participant SID).
    Roster(Sid<Conversation>),
    /// The conversations a user has joined (a map keyed by conversation SID).
    MyConversations(Sid<User>),
    /// A user's name, attributes and reachability (a map).
    UserInfo(Sid<User>),
}

/// How an object behaves on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    /// One value.
    Document,
    /// Items by index.
    List,
    /// Items by key.
    Map,
}

impl ObjectType {
    /// The word in subscriptions and events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    const fn message_type(self) -> &'static str {
        match self {
            Self::Document => message_type::DOCUMENT,
            Self::List => message_type::LIST,
            Self::Map => message_type::MAP,
        }
    }
}

impl Object {
    /// The object's SID; opaque to clients, `None` of them looks at the prefix.
    pub fn sid(self) -> String {
        match self {
            Self::Document(sid) => format!("ET{}", sid.hex()),
            Self::Messages(sid) => format!("ES{}", sid.hex()),
            Self::Roster(sid) => format!("MP{}", sid.hex()),
            Self::MyConversations(sid) => format!("MC{}", sid.hex()),
            Self::UserInfo(sid) => format!("MU{}", sid.hex()),
        }
    }

    /// The object's unique name. The SDK itself falls back to two of these.
    pub fn name(self) -> String {
        match self {
            Self::Document(sid) => format!("{sid}.channel"),
            Self::Messages(sid) => format!("{sid}.messages"),
            Self::Roster(sid) => format!("{sid}.roster"),
            Self::MyConversations(sid) => format!("{sid}.channels"),
            Self::UserInfo(sid) => format!("{sid}.info"),
        }
    }

    /// The object with this SID or unique name.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((sid, suffix)) = text.split_once('.') {
            return match suffix {
                "channel" => Sid::parse(sid).ok().map(Self::Document),
                "messages" => Sid::parse(sid).ok().map(Self::Messages),
                "roster" => Sid::parse(sid).ok().map(Self::Roster),
                "channels" => Sid::parse(sid).ok().map(Self::MyConversations),
                "info" => Sid::parse(sid).ok().map(Self::UserInfo),
                _ => None,
            };
        }
        let (prefix, digits) = text.split_at_checked(2)?;
        let number = number_of(digits.as_bytes())?;
        Some(match prefix {
            "ET" => Self::Document(Sid::from_number(number)),
            "ES" => Self::Messages(Sid::from_number(number)),
            "MP" => Self::Roster(Sid::from_number(number)),
            "MC" => Self::MyConversations(Sid::from_number(number)),
            "MU" => Self::UserInfo(Sid::from_number(number)),
            _ => return None,
        })
    }

    /// Document, list or map.
    pub const fn object_type(self) -> ObjectType {
        match self {
            Self::Document(_) => ObjectType::Document,
            Self::Messages(_) => ObjectType::List,
            Self::Roster(_) | Self::MyConversations(_) | Self::UserInfo(_) => ObjectType::Map,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What an item is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKey {
    /// In a list.
    Index(i64),
    /// In a map.
    Key(String),
}

/// One item of a list or a map.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its index or key.
    pub key: ItemKey,
    /// The position of its last change.
    pub last_event_id: i64,
    /// Its data, a JSON object.
    pub data: Box<RawValue>,
    /// When it came.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Serialises the data of an item or document once.
pub fn data(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("item data has string keys and no failing parts")
}

impl Item {
    fn to_value(&self) -> Value {
        let mut value = serde_json::json!({
            "last_event_id": self.last_event_id,
            "revision": self.last_event_id.to_string(),
            "data": &*self.data,
            "date_created": self.created, "date_updated": self.updated, "date_expires": null,
            "created_by": "system",
        });
        match &self.key {
            ItemKey::Index(index) => value["index"] = (*index).into(),
            ItemKey::Key(key) => value["key"] = key.as_str().into(),
        }
        value
    }
}

/// Where a page of items lies in its collection.
///
/// The new SDK never sends the tokens back, but takes their *absence* for the ends of the collection;
/// the old one sends them alone, so they carry order, size and position (Sync facts §2.2).
#[derive(Clone, Debug, Default)]
pub struct PageEnds {
    /// Nothing lies before the page when `None`.
    pub previous_token: Option<String>,
    /// Nothing lies after the page when `None`.
    pub next_token: Option<String>,
}

/// The answer to a request for items.
pub fn items_page(items: &[Item], ends: &PageEnds) -> Value {
    serde_json::json!({
        "items": items.iter().map(Item::to_value).collect::<Vec<_>>(),
        "meta": {"key": "items", "previous_token": ends.previous_token, "next_token": ends.next_token},
    })
}

/// The answer to opening an object.
pub struct Opened<'a> {
    /// Which.
    pub object: Object,
    /// The position of its last change; the subscription starts there.
    pub last_event_id: i64,
    /// The document's data; lists and maps have none.
    pub data: Option<Box<RawValue>>,
    /// The items, where they were asked for with the object.
    pub items: Option<Vec<Item>>,
    /// Scheme and host that item links begin with.
    pub origin: &'a str,
    /// When the object came to be.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

impl Opened<'_> {
    /// The JSON body.
    pub fn to_value(&self) -> Value {
        let sid = self.object.sid();
        let collection = match self.object.object_type() {
            ObjectType::Document => "Documents",
            ObjectType::List => "Lists",
            ObjectType::Map => "Maps",
        };
        let url = format!("{}/v3/{collection}/{sid}", self.origin);
        let mut value = serde_json::json!({
            "sid": sid, "unique_name": self.object.name(), "url": url,
            "last_event_id": self.last_event_id, "revision": self.last_event_id.to_string(),
            "date_created": self.created, "date_updated": self.updated, "date_expires": null,
            "created_by": "system",
        });
        match &self.data {
            Some(data) => value["data"] = serde_json::json!(&**data),
            None => value["links"] = serde_json::json!({"items": format!("{url}/Items")}),
        }
        if let Some(items) = &self.items {
            value["items"] = items.iter().map(Item::to_value).collect();
        }
        value
    }
}

/// A change of an object, as subscribers are told of it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which object.
    pub object: Object,
    /// The position of the change.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub change: ObjectChange,
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub enum ObjectChange {
    /// An item came.
    Added(ItemKey, Box<RawValue>),
    /// An item changed.
    Updated(ItemKey, Box<RawValue>),
    /// An item went.
    Removed(ItemKey),
    /// A document has new data.
    Document(Box<RawValue>),
    /// The object is gone.
    Gone,
}

impl Event {
    /// The packet that tells a live subscriber. Encoded once, the same bytes for every socket.
    pub fn live_packet(&self, packet_id: &str) -> Vec<u8> {
        notification(packet_id, self.object.object_type().message_type(), &self.payload(None))
    }

    /// The packet that replays the change to a subscription with this correlation id.
    pub fn replay_packet(&self, packet_id: &str, correlation_id: &Number) -> Vec<u8> {
        notification(packet_id, message_type::SYNC, &self.payload(Some(correlation_id)))
    }

    fn event_type(&self) -> String {
        let word = self.object.object_type().word();
        match self.change {
            ObjectChange::Added(..) => format!("{word}_item_added"),
            ObjectChange::Updated(..) => format!("{word}_item_updated"),
            ObjectChange::Removed(_) => format!("{word}_item_removed"),
            ObjectChange::Document(_) => format!("{word}_updated"),
            ObjectChange::Gone => format!("{word}_removed"),
        }
    }

    fn payload(&self, correlation_id: Option<&Number>) -> Vec<u8> {
        let (key, data) = match &self.change {
            ObjectChange::Added(key, data) | ObjectChange::Updated(key, data) => (Some(key), Some(&**data)),
            ObjectChange::Removed(key) => (Some(key), None),
            ObjectChange::Document(data) => (None, Some(&**data)),
            ObjectChange::Gone => (None, None),
        };
        let sid = self.object.sid();
        let of = |wanted: ObjectType| (self.object.object_type() == wanted).then_some(sid.as_str());
        let is_document = self.object.object_type() == ObjectType::Document;
        let entry = EventEntry {
            id: self.id,
            document_sid: of(ObjectType::Document),
            list_sid: of(ObjectType::List),
            map_sid: of(ObjectType::Map),
            date_created: self.at,
            item_index: key.and_then(|key| if let ItemKey::Index(index) = key { Some(*index) } else { None }),
            item_key: key.and_then(|key| if let ItemKey::Key(key) = key { Some(key.as_str()) } else { None }),
            item_data: data.filter(|_| !is_document),
            document_data: data.filter(|_| is_document),
        };
        let payload =
            EventPayload { event_type: &self.event_type(), correlation_id, event_protocol_version: 4, events: [entry] };
        serde_json::to_vec(&payload).expect("an event has string keys and no failing parts")
    }
}

#[derive(Serialize)]
struct EventPayload<'a> {
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a Number>,
    event_protocol_version: u8,
    events: [EventEntry<'a>; 1],
}

#[derive(Serialize)]
struct EventEntry<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_sid: Option<&'a str>,
    date_created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_index: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_data: Option<&'a RawValue>,
}

/// `POST /v4/Subscriptions`.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionRequest {
    /// Establish or cancel.
    pub action: SubscriptionAction,
    /// The client's own number, which every answer carries unchanged.
    pub correlation_id: Number,
    /// One entry an object.
    pub requests: Vec<SubscriptionEntry>,
}

/// What a subscription request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionAction {
    /// Replay what was missed, then tell live.
    Establish,
    /// Stop telling.
    Cancel,
}

/// One object of a subscription request.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionEntry {
    /// The object's SID.
    pub object_sid: String,
    /// `document`, `list` or `map`; repeated in the answer.
    #[serde(default)]
    pub object_type: Option<String>,
    /// The last position the client has applied; `None` means "from now on".
    #[serde(default)]
    pub last_event_id: Option<i64>,
}

/// Entries a client may put into one request from now on.
pub const SUBSCRIPTION_BATCH_MAX: usize = 100;

/// The HTTP answer to a subscription request; the real answers are notifications.
pub fn subscription_accepted() -> Value {
    serde_json::json!({"max_batch_size": SUBSCRIPTION_BATCH_MAX, "estimated_delivery_in_ms": 30_000})
}

/// The answer to one entry of a subscription request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionAnswer {
    /// Subscribed; the object stands at this position.
    Established(i64),
    /// Replayed up to this position only: the client asks again from there, at once.
    Interrupted(i64),
    /// No longer subscribed.
    Canceled,
    /// Refused. The SDK takes 404 for "the object is gone".
    Failed {
        /// HTTP status.
        status: u16,
        /// Documented code.
        code: u32,
        /// For the developer.
        message: String,
    },
}

impl SubscriptionAnswer {
    /// The notification with this answer.
    pub fn packet(&self, packet_id: &str, correlation_id: &Number, entry: &SubscriptionEntry) -> Vec<u8> {
        let (event_type, rest) = match self {
            Self::Established(position) => (
                "subscription_established",
                serde_json::json!({"replay_status": "completed", "last_event_id": position}),
            ),
            Self::Interrupted(position) => (
                "subscription_established",
                serde_json::json!({"replay_status": "interrupted", "last_event_id": position}),
            ),
            Self::Canceled => ("subscription_canceled", serde_json::json!({})),
            Self::Failed { status, code, message } => (
                "subscription_failed",
                serde_json::json!({"error": {"status": status, "code": code, "message": message}}),
            ),
        };
        let mut event = rest;
        event["object_sid"] = entry.object_sid.as_str().into();
        if let Some(object_type) = &entry.object_type {
            event["object_type"] = object_type.as_str().into();
        }
        let payload = serde_json::json!({
            "event_type": event_type, "correlation_id": correlation_id, "event_protocol_version": 4, "events": [event],
        });
        notification(packet_id, message_type::SYNC, payload.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sids_lead_back_to_their_object() {
        let conversation = Sid::from_number(7);
        let user = Sid::from_number(8);
        for object in [
            Object::Document(conversation),
            Object::Messages(conversation),
            Object::Roster(conversation),
            Object::MyConversations(user),
            Object::UserInfo(user),
        ] {
            assert_eq!(Object::parse(&object.sid()), Some(object));
            assert_eq!(Object::parse(&object.name()), Some(object));
        }
        for foreign in ["", "E", "CH1.channel", "ETxyz", "é", "CH00000000000000000000000000000007.else"] {
            assert_eq!(Object::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn an_event_has_the_fields_that_the_sdk_needs() {
        let event = Event {
            object: Object::Messages(Sid::from_number(7)),
            id: 4,
            at: Timestamp::from_seconds(0),
            change: ObjectChange::Added(ItemKey::Index(3), data(&serde_json::json!({"text": "é"}))),
        };
        let packet = event.replay_packet("TM1", &1_795_488_073_386_u64.into());
        let packet = crate::packet::Packet::parse(&packet).unwrap();
        let payload: Value = serde_json::from_slice(packet.payload).unwrap();
        assert_eq!(payload["event_type"], "list_item_added");
        assert_eq!(payload["correlation_id"], 1_795_488_073_386_u64);
        assert_eq!(
            payload["events"][0],
            serde_json::json!({"id": 4, "list_sid": "ES00000000000000000000000000000007", "item_index": 3,
                "date_created": "1970-01-01T00:00:00.000Z", "item_data": {"text": "é"}})
        );
    }
}
