//! The client's side of the wire: the packets that a client writes, and its reading of what a server
//! sends.
//!
//! Everything is borrowed from the message it stands in, and the data of items stays unread
//! ([`SyncEntry::data`]), so that a client with many connections pays only for what it looks at.

mod data;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::packet::{Malformed, Packet, encode};
use crate::realtime::{ClientDescription, TunnelledRequest};
use crate::sid::{Conversation, Sid};

pub use data::{ReceivedDocument, ReceivedMessage, ReceivedMine, ReceivedParticipant, ReceivedTyping};

/// The first packet of a connection. `message_types` are the notifications it wants.
pub fn init(
    id: &str,
    token: &str,
    continuation_token: Option<&str>,
    message_types: &[&str],
    client: &ClientDescription,
) -> Vec<u8> {
    let header = serde_json::json!({
        "id": id, "method": "init", "token": token, "continuation_token": continuation_token,
        "metadata": {"type": "conversations", "sdk": client.sdk, "sdkv": client.version},
        "registrations": [{"product": "ip_messaging", "type": "ers", "notification_protocol_version": 0,
            "message_types": message_types}],
        "tweaks": null, "capabilities": ["client_update"], "payload_size": 0,
    });
    encode(&header, b"")
}

/// A new Access Token for a running connection.
pub fn update(id: &str, token: &str) -> Vec<u8> {
    encode(&serde_json::json!({"id": id, "method": "update", "token": token, "payload_size": 0}), b"")
}

/// A tunnelled request. A server routes by path; the host is only there because the form wants one.
pub fn message(id: &str, request: &TunnelledRequest) -> Vec<u8> {
    let mut params = serde_json::Map::new();
    for (name, value) in &request.params {
        match params.get_mut(name) {
            None => drop(params.insert(name.clone(), value.as_str().into())),
            Some(serde_json::Value::Array(values)) => values.push(value.as_str().into()),
            Some(one) => *one = serde_json::json!([one.take(), value]),
        }
    }
    let header = MessageHeader {
        id,
        method: "message",
        active_grant: "ip_messaging",
        payload_type: &request.content_type,
        http_request: HttpRequest {
            host: "tertulia",
            method: &request.method,
            path: &request.path,
            params,
            headers: serde_json::Map::new(),
        },
        payload_size: request.body.len(),
    };
    encode(&header, &request.body)
}

#[derive(Serialize)]
struct MessageHeader<'a> {
    id: &'a str,
    method: &'static str,
    active_grant: &'static str,
    payload_type: &'a str,
    http_request: HttpRequest<'a>,
    payload_size: usize,
}

#[derive(Serialize)]
struct HttpRequest<'a> {
    host: &'static str,
    method: &'a str,
    path: &'a str,
    params: serde_json::Map<String, serde_json::Value>,
    headers: serde_json::Map<String, serde_json::Value>,
}

/// The receipt for a packet of the server's, which every one that is no reply gets.
pub fn acknowledgement(id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Header<'a> {
        id: &'a str,
        method: &'static str,
        payload_type: &'static str,
        status: crate::realtime::Status,
        payload_size: usize,
    }
    let status = crate::realtime::Status::ok();
    encode(&Header { id, method: "reply", payload_type: "application/json", status, payload_size: 0 }, b"")
}

/// The client says good-bye.
pub fn close(id: &str) -> Vec<u8> {
    encode(&serde_json::json!({"id": id, "method": "close", "payload_size": 0}), b"")
}

/// A packet from a server, by its `method`.
#[derive(Debug)]
pub enum ServerPacket<'a> {
    /// The answer to a packet of the client's.
    Reply {
        /// The id of the packet it answers.
        id: Cow<'a, str>,
        /// How the packet fared.
        status: ReceivedStatus,
        /// How the tunnelled request in it fared.
        http_status: Option<u16>,
        /// By which a later connection is known again; in the answer to `init`.
        continuation_token: Option<String>,
        /// The answer's body.
        payload: &'a [u8],
    },
    /// News.
    Notification {
        /// To be acknowledged.
        id: Cow<'a, str>,
        /// What kind of news; one of [`crate::realtime::message_type`]'s.
        message_type: Cow<'a, str>,
        /// The news.
        payload: &'a [u8],
    },
    /// The token is about to expire.
    TokenAboutToExpire {
        /// To be acknowledged.
        id: Cow<'a, str>,
    },
    /// The server says good-bye.
    Close {
        /// To be acknowledged.
        id: Cow<'a, str>,
        /// Why.
        status: ReceivedStatus,
    },
    /// Something that only wants an acknowledgement.
    Other {
        /// To be acknowledged.
        id: Cow<'a, str>,
    },
}

/// The `status` of a reply or a close, as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ReceivedStatus {
    /// 200, or what an HTTP server would say.
    pub code: u16,
    /// A short constant, such as `UNAUTHORIZED`.
    #[serde(default)]
    pub status: String,
    /// A text for the developer.
    #[serde(default)]
    pub description: Option<String>,
    /// The documented code.
    #[serde(default, rename = "errorCode")]
    pub error_code: Option<u32>,
}

impl ReceivedStatus {
    /// Whether it is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(default)]
    status: Option<ReceivedStatus>,
    #[serde(default)]
    http_status: Option<HttpStatus>,
    #[serde(default)]
    continuation_token: Option<String>,
    // Not an `Option`: serde borrows the text of a bare `Cow` only.
    #[serde(borrow, default)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    client_update_type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct HttpStatus {
    code: u16,
}

impl<'a> ServerPacket<'a> {
    /// Reads one websocket message.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let Packet { header, payload } = Packet::parse(message)?;
        let header: Header<'a> = serde_json::from_slice(header).map_err(|_| Malformed::Header)?;
        let id = header.id;
        Ok(match &*header.method {
            "reply" => Self::Reply {
                id,
                status: header.status.ok_or(Malformed::Header)?,
                http_status: header.http_status.map(|status| status.code),
                continuation_token: header.continuation_token,
                payload,
            },
            "notification" => Self::Notification { id, message_type: header.message_type, payload },
            "client_update" if header.client_update_type == "token_about_to_expire" => Self::TokenAboutToExpire { id },
            "close" => Self::Close { id, status: header.status.unwrap_or_default() },
            _ => Self::Other { id },
        })
    }
}

/// The payload of a Sync notification.
#[derive(Debug, Deserialize)]
pub struct SyncPayload<'a> {
    /// What happened.
    pub event_type: SyncEventType,
    /// The subscription request it answers; none in live events.
    #[serde(default)]
    pub correlation_id: Option<u64>,
    /// To what.
    #[serde(borrow, default)]
    pub events: Vec<SyncEntry<'a>>,
}

/// What a Sync notification tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncEventType {
    /// A subscription stands, or was interrupted while it was being made.
    SubscriptionEstablished,
    /// A subscription has ended, as asked.
    SubscriptionCanceled,
    /// A subscription was refused.
    SubscriptionFailed,
    /// An item came.
    #[serde(alias = "list_item_added", alias = "map_item_added")]
    Added,
    /// An item changed.
    #[serde(alias = "list_item_updated", alias = "map_item_updated")]
    Updated,
    /// An item went.
    #[serde(alias = "list_item_removed", alias = "map_item_removed")]
    Removed,
    /// A document has new data.
    DocumentUpdated,
    /// The object is gone.
    #[serde(alias = "list_removed", alias = "map_removed", alias = "document_removed")]
    Gone,
    /// Something that this client does not know.
    #[serde(other)]
    Unknown,
}

/// One event of a Sync notification, or one answer to a subscription request.
#[derive(Debug, Deserialize)]
pub struct SyncEntry<'a> {
    /// The object.
    #[serde(borrow, alias = "list_sid", alias = "map_sid", alias = "document_sid")]
    pub object_sid: Cow<'a, str>,
    /// The position of the change.
    #[serde(default)]
    pub id: i64,
    /// Which item of a list.
    #[serde(default)]
    pub item_index: Option<i64>,
    /// Which item of a map.
    #[serde(borrow, default)]
    pub item_key: Option<Cow<'a, str>>,
    /// The data of the item or document, still unread.
    #[serde(borrow, default, alias = "item_data", alias = "document_data")]
    pub data: Option<&'a RawValue>,
    /// Of an established subscription: where the object stands.
    #[serde(default)]
    pub last_event_id: Option<i64>,
    /// Of an established subscription: `completed` or `interrupted`.
    #[serde(borrow, default)]
    pub replay_status: Option<Cow<'a, str>>,
    /// Of a failed subscription.
    #[serde(default)]
    pub error: Option<ErrorBody>,
}

/// The body of a refused request, and the error of a failed subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ErrorBody {
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// The documented code.
    #[serde(default)]
    pub code: u32,
    /// For the developer.
    #[serde(default)]
    pub message: String,
}

/// The answer to opening an object, as far as a client needs it.
#[derive(Debug, Deserialize)]
pub struct OpenedObject<'a> {
    /// The key of subscriptions and events.
    #[serde(borrow)]
    pub sid: Cow<'a, str>,
    /// Where the object stands.
    pub last_event_id: i64,
    /// A document's data, still unread.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
    /// Where the items are.
    #[serde(borrow, default)]
    pub links: Option<OpenedLinks<'a>>,
}

/// The links of an opened list or map.
#[derive(Debug, Deserialize)]
pub struct OpenedLinks<'a> {
    /// Absolute URL of the items.
    #[serde(borrow)]
    pub items: Cow<'a, str>,
}

/// A page of items.
#[derive(Debug, Deserialize)]
pub struct ReceivedPage<'a> {
    /// The items, in the order that was asked for.
    #[serde(borrow)]
    pub items: Vec<ReceivedItem<'a>>,
    /// Where the page lies.
    pub meta: ReceivedEnds,
}

/// One item of a page.
#[derive(Debug, Deserialize)]
pub struct ReceivedItem<'a> {
    /// Its index in a list.
    #[serde(default)]
    pub index: Option<i64>,
    /// Its key in a map.
    #[serde(borrow, default)]
    pub key: Option<Cow<'a, str>>,
    /// Its data, still unread.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// Where a page lies in its collection.
#[derive(Debug, Deserialize)]
pub struct ReceivedEnds {
    /// None when the page reaches the end.
    #[serde(default)]
    pub next_token: Option<String>,
}

/// The body of a request that says that the user is typing.
pub fn typing(conversation: Sid<Conversation>) -> Vec<u8> {
    format!("ChannelSid={conversation}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::{self, ClientPacket, Status};
    use crate::sync::{Event, ItemKey, Object, ObjectChange, SubscriptionAnswer, SubscriptionEntry, data};
    use crate::time::Timestamp;

    #[test]
    fn the_server_reads_what_the_client_writes() {
        let client = ClientDescription { sdk: "Rust".to_owned(), version: "1".to_owned() };
        let wanted = [realtime::message_type::SYNC];
        let read = ClientPacket::parse(&init("TM1", "a.b.c", None, &wanted, &client)).unwrap();
        let expected = ClientPacket::Init {
            id: "TM1".to_owned(),
            token: "a.b.c".to_owned(),
            continuation_token: None,
            message_types: vec![wanted[0].to_owned()],
            client,
        };
        assert_eq!(read, expected);
        let request = TunnelledRequest {
            method: "POST".to_owned(),
            path: "/a%20b".to_owned(),
            params: [("a", "1"), ("a", "2"), ("a", "3"), ("b", "é")].map(|(n, v)| (n.into(), v.into())).to_vec(),
            content_type: "application/json".to_owned(),
            body: "{\"é\":1}".into(),
        };
        let read = ClientPacket::parse(&message("TM2", &request)).unwrap();
        assert_eq!(read, ClientPacket::Message { id: "TM2".to_owned(), request });
        let read = ClientPacket::parse(&update("TM3", "d.e.f")).unwrap();
        assert_eq!(read, ClientPacket::Update { id: "TM3".to_owned(), token: "d.e.f".to_owned() });
        assert_eq!(ClientPacket::parse(&acknowledgement("TM\"4")), Ok(ClientPacket::Silent));
        assert_eq!(ClientPacket::parse(&close("TM5")), Ok(ClientPacket::Close));
    }

    #[test]
    fn replies_and_farewells_are_read() {
        let refused = Status::refused(401, "The Access Token has expired", Some(20104));
        let bytes = realtime::plain_reply("TM1", &refused);
        let Ok(ServerPacket::Reply { id, status, http_status: None, payload: b"", .. }) = ServerPacket::parse(&bytes)
        else {
            panic!("{bytes:?}")
        };
        assert_eq!((&*id, status.code, status.error_code), ("TM1", 401, Some(20104)));
        let bytes = realtime::http_reply("TM2", 409, b"{\"code\":50353}");
        let Ok(ServerPacket::Reply { status, http_status, payload, .. }) = ServerPacket::parse(&bytes) else {
            panic!("{bytes:?}")
        };
        assert!(status.is_success());
        assert_eq!((http_status, payload), (Some(409), &b"{\"code\":50353}"[..]));
        let bytes = realtime::close("TM3", &refused);
        assert!(matches!(ServerPacket::parse(&bytes), Ok(ServerPacket::Close { .. })));
        let bytes = realtime::token_about_to_expire("TM4");
        assert!(matches!(ServerPacket::parse(&bytes), Ok(ServerPacket::TokenAboutToExpire { .. })));
    }

    #[test]
    fn events_are_read_and_their_data_left_alone() {
        let object = Object::Messages(Sid::from_number(7));
        let item = serde_json::json!({"sid": "IM00000000000000000000000000000001", "author": "ana", "text": "¡hola!",
            "attributes": "{}", "timestamp": "2026-01-01T00:00:00.000Z", "memberSid": null, "type": "text"});
        let event = Event {
            object,
            id: 4,
            at: Timestamp::from_seconds(0),
            change: ObjectChange::Added(ItemKey::Index(3), data(&item)),
        };
        let bytes = event.live_packet("TM1");
        let Ok(ServerPacket::Notification { payload, .. }) = ServerPacket::parse(&bytes) else { panic!() };
        let read: SyncPayload<'_> = serde_json::from_slice(payload).unwrap();
        assert_eq!((read.event_type, read.correlation_id), (SyncEventType::Added, None));
        let entry = &read.events[0];
        assert_eq!((&*entry.object_sid, entry.id, entry.item_index), (&*object.sid(), 4, Some(3)));
        let message: ReceivedMessage = serde_json::from_str(entry.data.unwrap().get()).unwrap();
        assert_eq!((&*message.author, message.body.as_deref()), ("ana", Some("¡hola!")));
    }

    #[test]
    fn answers_to_subscriptions_are_read() {
        let entry = SubscriptionEntry { object_sid: "ES7".to_owned(), object_type: None, last_event_id: None };
        let read = |answer: SubscriptionAnswer, check: fn(&SyncPayload<'_>)| {
            let bytes = answer.packet("TM1", &9.into(), &entry);
            let Ok(ServerPacket::Notification { payload, .. }) = ServerPacket::parse(&bytes) else { panic!() };
            check(&serde_json::from_slice(payload).unwrap());
        };
        read(SubscriptionAnswer::Established(5), |payload| {
            assert_eq!(payload.event_type, SyncEventType::SubscriptionEstablished);
            assert_eq!((payload.correlation_id, payload.events[0].last_event_id), (Some(9), Some(5)));
        });
        let failed = SubscriptionAnswer::Failed { status: 404, code: 54150, message: "gone".to_owned() };
        read(failed, |payload| {
            let expected = ErrorBody { status: 404, code: 54150, message: "gone".to_owned() };
            assert_eq!(payload.events[0].error, Some(expected));
        });
        read(SubscriptionAnswer::Canceled, |payload| {
            assert_eq!(payload.event_type, SyncEventType::SubscriptionCanceled);
        });
    }

    #[test]
    fn what_is_unknown_is_still_acknowledged() {
        let bytes = encode(&serde_json::json!({"method": "ping", "id": "TM1", "payload_size": 0}), b"");
        assert!(matches!(ServerPacket::parse(&bytes), Ok(ServerPacket::Other { .. })));
        let payload: SyncPayload<'_> = serde_json::from_str(r#"{"event_type": "list_context_updated"}"#).unwrap();
        assert_eq!(payload.event_type, SyncEventType::Unknown);
    }
}
