//! What the packets of the realtime protocol say (realtime facts §3–§6).
//!
//! [`ClientPacket`] is what a client may send, read and bounded; the functions below it write what a
//! server sends. Nothing here knows a socket.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::packet::{Malformed, Packet, encode};

/// A packet from a client, by its `method`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientPacket {
    /// The first packet of a connection: who is there.
    Init {
        /// The packet's id, which the reply carries.
        id: String,
        /// The Access Token, verbatim.
        token: String,
        /// What an earlier connection was given, on a reconnect.
        continuation_token: Option<String>,
        /// The notification types this connection wants.
        message_types: Vec<String>,
        /// The SDK's own words about itself, for the log.
        client: ClientDescription,
    },
    /// A new Access Token for a running connection.
    Update {
        /// The packet's id.
        id: String,
        /// The new Access Token, verbatim.
        token: String,
    },
    /// A tunnelled HTTP request.
    Message {
        /// The packet's id.
        id: String,
        /// The request.
        request: TunnelledRequest,
    },
    /// The client says good-bye.
    Close,
    /// The client has a packet of the server's. Which one is not said twice: they come in order.
    Receipt,
    /// Telemetry: nothing to answer.
    Silent,
    /// A request without meaning here that still wants an answer.
    Acknowledged {
        /// The packet's id.
        id: String,
    },
    /// A packet with an id that cannot be served; the reason is for the client's developer.
    Refused {
        /// The packet's id.
        id: String,
        /// What was wrong with it.
        reason: &'static str,
    },
}

/// What a client says about itself in `init`; never trusted, cut to 64 characters each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientDescription {
    /// `JS`, `iOS`, …
    pub sdk: String,
    /// The SDK's version.
    pub version: String,
}

/// An HTTP request inside a packet. The host name in it says nothing and is not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct TunnelledRequest {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query, still percent-encoded, repeated names kept.
    pub params: Vec<(String, String)>,
    /// Media type of `body`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The header, read once. Only what makes a packet answerable must be right from the start; the rest is
/// read when it is known to have an id, so that a senseless packet can be answered.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(default)]
    payload_size: u64,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    continuation_token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    registrations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    http_request: Option<&'a RawValue>,
}

/// The value of a member that has the wanted shape.
fn read<'a, T: Deserialize<'a>>(member: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(member?.get()).ok()
}

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    message_types: Vec<String>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    params: Option<BTreeMap<String, Param>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Param {
    One(String),
    Many(Vec<String>),
    Other(Value),
}

impl ClientPacket {
    /// Reads one websocket message. A packet without a readable id is [`Malformed`]; one that has an
    /// id but makes no sense is [`ClientPacket::Refused`], so that it can be answered.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let packet = Packet::split(message)?;
        if is_receipt(&packet) {
            return Ok(Self::Receipt);
        }
        let header: Header<'_> = packet.read_header()?;
        packet.check_payload(header.payload_size)?;
        let method: Cow<'_, str> = read(header.method).unwrap_or_default();
        match &*method {
            "reply" => return Ok(Self::Receipt),
            "telemetry.v1" => return Ok(Self::Silent),
            "close" => return Ok(Self::Close),
            _ => {}
        }
        let id = header.id.as_deref().filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX);
        let id = id.ok_or(Malformed::Header)?.to_owned();
        Ok(match &*method {
            "init" => init(id, &header),
            "update" => match read(header.token) {
                Some(token) => Self::Update { id, token },
                None => Self::Refused { id, reason: "an update carries a token, a string" },
            },
            "message" => tunnelled(id, &header, packet.payload),
            "put_notification_ctx" | "delete_notification_ctx" | "ping" => Self::Acknowledged { id },
            _ => Self::Refused { id, reason: "unknown method" },
        })
    }
}

/// Whether this is the receipt of a server's packet, byte for byte as every client of the official SDK writes
/// it. Two come for each message at each reader, so they are not read as JSON; what differs in any way is.
fn is_receipt(packet: &Packet<'_>) -> bool {
    const BEFORE: &[u8] = br#"{"id":""#;
    const AFTER: &[u8] = br#"","method":"reply","payload_type":"application/json","status":{"code":200,"status":"OK"},"payload_size":0}"#;
    let id = packet.header.strip_suffix(AFTER).and_then(|rest| rest.strip_prefix(BEFORE));
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    packet.payload.is_empty() && id.is_some_and(|id| id.iter().all(is_plain))
}

/// An id longer than this is not taken; the SDK's have 38 characters.
const ID_BYTES_MAX: usize = 128;

fn init(id: String, header: &Header<'_>) -> ClientPacket {
    let metadata: Value = read(header.metadata).unwrap_or_default();
    let described = |key: &str| {
        let text = metadata.get(key).and_then(Value::as_str);
        text.unwrap_or_default().chars().take(64).collect()
    };
    let registrations: Vec<Registration> = read(header.registrations).unwrap_or_default();
    ClientPacket::Init {
        id,
        client: ClientDescription { sdk: described("sdk"), version: described("sdkv") },
        // A missing token is a token that nobody minted: the verifier says what is wrong with it.
        token: read(header.token).unwrap_or_default(),
        continuation_token: read(header.continuation_token),
        message_types: registrations.into_iter().flat_map(|registration| registration.message_types).collect(),
    }
}

fn tunnelled(id: String, header: &Header<'_>, payload: &[u8]) -> ClientPacket {
    let Some(request) = read::<Request>(header.http_request) else {
        return ClientPacket::Refused { id, reason: "a message carries an http_request with method and path" };
    };
    let params = request.params.into_iter().flatten().flat_map(|(name, value)| {
        let values = match value {
            Param::One(text) => vec![text],
            Param::Many(texts) => texts,
            Param::Other(value) => vec![value.to_string()],
        };
        values.into_iter().map(move |value| (name.clone(), value))
    });
    ClientPacket::Message {
        id,
        request: TunnelledRequest {
            method: request.method,
            path: request.path,
            params: params.collect(),
            content_type: read(header.payload_type).unwrap_or_else(|| "application/json".to_owned()),
            body: payload.to_vec(),
        },
    }
}

/// The `status` of a reply or a close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// 200, or what an HTTP server would say.
    pub code: u16,
    /// A short constant, such as `OK`.
    pub status: &'static str,
    /// For the app's developer; becomes the text of `connectionError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The documented code; the SDK acts on 20104 only.
    #[serde(rename = "errorCode", skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
}

impl Status {
    /// 200 OK.
    pub const fn ok() -> Self {
        Self { code: 200, status: "OK", description: None, error_code: None }
    }

    /// A refusal with a text and perhaps a documented code.
    pub fn refused(code: u16, description: impl Into<String>, error_code: Option<u32>) -> Self {
        Self { code, status: status_text(code), description: Some(description.into()), error_code }
    }
}

/// The constant for an HTTP status; the SDK shows it as the text of an app's error.
pub const fn status_text(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "CREATED",
        202 => "ACCEPTED",
        204 => "NO_CONTENT",
        400 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        406 => "NOT_ACCEPTABLE",
        409 => "CONFLICT",
        413 => "TOO_LARGE",
        429 => "TOO_MANY_REQUESTS",
        500 => "INTERNAL_SERVER_ERROR",
        503 => "SERVICE_UNAVAILABLE",
        _ => "ERROR",
    }
}

/// The reply to an accepted `init`.
pub fn init_reply(id: &str, continuation_token: &str, continued: bool, storage_id: &str) -> Vec<u8> {
    let (reissued, message) = if continued { (false, "") } else { (true, "new session") };
    encode(
        &serde_json::json!({
            "method": "reply", "id": id, "status": Status::ok(),
            "continuation_token": continuation_token,
            "continuation_token_status": {"reissued": reissued, "reissue_message": message},
            // Not confirming telemetry means that none is ever sent.
            "capabilities": ["client_update", "offline_storage"],
            "offline_storage": {"ip_messaging": {"storage_id": storage_id}},
            "init_registrations": [{"product": "ip_messaging", "type": "ers", "status": "ok"}],
            "payload_size": 0,
        }),
        b"",
    )
}

#[derive(Serialize)]
struct Reply<'a> {
    method: &'static str,
    id: &'a str,
    status: &'a Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<HttpStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_type: Option<&'static str>,
    payload_size: usize,
}

#[derive(Serialize)]
struct HttpStatus {
    code: u16,
    status: &'static str,
}

const JSON: &str = "application/json";

/// A reply without a payload: to `init`, `update` and what needs an acknowledgement only.
pub fn plain_reply(id: &str, status: &Status) -> Vec<u8> {
    let header = Reply { method: "reply", id, status, http_status: None, payload_type: None, payload_size: 0 };
    encode(&header, b"")
}

/// A refusal of `init` or `update` that asks the client to come again, no sooner than so many milliseconds from now.
pub fn later_reply(id: &str, status: &Status, wait_millis: i64) -> Vec<u8> {
    let payload = serde_json::json!({"backoff_policy": {"reconnect_min_ms": wait_millis}}).to_string();
    let payload_size = payload.len();
    let header = Reply { method: "reply", id, status, http_status: None, payload_type: Some(JSON), payload_size };
    encode(&header, payload.as_bytes())
}

/// The answer to a tunnelled request: the transport is always fine, the request has its own status.
pub fn http_reply(id: &str, code: u16, body: &[u8]) -> Vec<u8> {
    let header = Reply {
        method: "reply",
        id,
        status: &Status::ok(),
        http_status: Some(HttpStatus { code, status: status_text(code) }),
        payload_type: (!body.is_empty()).then_some(JSON),
        payload_size: body.len(),
    };
    encode(&header, body)
}

/// A notification; `message_type` is one of [`message_type`]'s.
pub fn notification(id: &str, message_type: &str, payload: &[u8]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Notification<'a> {
        method: &'static str,
        id: &'a str,
        message_type: &'a str,
        payload_type: &'static str,
        payload_size: usize,
    }
    let header =
        Notification { method: "notification", id, message_type, payload_type: JSON, payload_size: payload.len() };
    encode(&header, payload)
}

/// The message types of notifications.
pub mod message_type {
    /// A replayed Sync event, and the answers to subscriptions.
    pub const SYNC: &str = "twilio.sync.event";
    /// A live event of a document.
    pub const DOCUMENT: &str = "com.twilio.rtd.cds.document";
    /// A live event of a list.
    pub const LIST: &str = "com.twilio.rtd.cds.list";
    /// A live event of a map.
    pub const MAP: &str = "com.twilio.rtd.cds.map";
    /// Somebody is typing.
    pub const TYPING: &str = "twilio.ipmsg.typing_indicator";
}

/// The notification that somebody is typing in a conversation, for `seconds`.
pub fn typing_notification(id: &str, conversation: &str, identity: &str, seconds: u32) -> Vec<u8> {
    let payload =
        serde_json::json!({"channel_sid": conversation, "identity": identity, "typing_timeout": seconds}).to_string();
    notification(id, message_type::TYPING, payload.as_bytes())
}

/// The conversation named in the body of a typing request, `ChannelSid=CH…`.
pub fn typing_conversation(body: &[u8]) -> Option<&str> {
    let body = std::str::from_utf8(body).ok()?;
    body.split('&').find_map(|pair| pair.strip_prefix("ChannelSid="))
}

/// Tells the client that its token is about to expire; the SDK emits `tokenAboutToExpire`.
pub fn token_about_to_expire(id: &str) -> Vec<u8> {
    let header = serde_json::json!({
        "method": "client_update", "id": id, "client_update_type": "token_about_to_expire", "payload_size": 0,
    });
    encode(&header, b"")
}

/// A `close` packet. The SDK's reactions are severe; realtime facts §6 before using another code.
pub fn close(id: &str, status: &Status) -> Vec<u8> {
    encode(&serde_json::json!({"method": "close", "id": id, "status": status, "payload_size": 0}), b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(header: Value, payload: &[u8]) -> Result<ClientPacket, Malformed> {
        let mut header = header;
        header["payload_size"] = payload.len().into();
        ClientPacket::parse(&encode(&header, payload))
    }

    #[test]
    fn an_init_as_the_sdk_sends_it() {
        let packet = packet(
            serde_json::json!({"id": "TM1", "method": "init", "token": "a.b.c", "continuation_token": null,
                "metadata": {"sdk": "JS", "sdkv": "3.0.1", "osa": 64}, "tweaks": null,
                "registrations": [{"product": "ip_messaging", "message_types": ["twilio.sync.event"]}]}),
            b"",
        );
        let Ok(ClientPacket::Init { id, token, continuation_token, message_types, client }) = packet else {
            panic!("{packet:?}")
        };
        assert_eq!((id.as_str(), token.as_str(), continuation_token), ("TM1", "a.b.c", None));
        assert_eq!(message_types, ["twilio.sync.event"]);
        assert_eq!(client.version, "3.0.1");
    }

    #[test]
    fn repeated_params_stay_apart() {
        let packet = packet(
            serde_json::json!({"id": "TM1", "method": "message", "payload_type": "application/json; charset=utf-8",
                "http_request": {"host": "x", "path": "/a%20b", "method": "GET", "params": {"a": ["1", "2"], "b": "%C3%A9"}}}),
            b"",
        );
        let Ok(ClientPacket::Message { request, .. }) = packet else { panic!("{packet:?}") };
        assert_eq!(request.path, "/a%20b");
        assert_eq!(
            request.params,
            [("a", "1"), ("a", "2"), ("b", "%C3%A9")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn what_has_an_id_is_answered_and_what_has_none_is_malformed() {
        assert!(matches!(
            packet(serde_json::json!({"id": "TM1", "method": "dance"}), b""),
            Ok(ClientPacket::Refused { .. })
        ));
        assert!(matches!(
            packet(serde_json::json!({"id": "TM1", "method": "message"}), b""),
            Ok(ClientPacket::Refused { .. })
        ));
        let senseless = serde_json::json!({"id": "TM1", "method": "message", "http_request": {"path": 5}});
        assert!(matches!(packet(senseless, b""), Ok(ClientPacket::Refused { .. })));
        let no_text = serde_json::json!({"id": "TM1", "method": "update", "token": {}});
        assert!(matches!(packet(no_text, b""), Ok(ClientPacket::Refused { .. })));
        let no_word = serde_json::json!({"id": "TM1", "method": 7});
        assert!(matches!(packet(no_word, b""), Ok(ClientPacket::Refused { .. })));
        assert_eq!(packet(serde_json::json!({"method": "init"}), b""), Err(Malformed::Header));
        assert_eq!(packet(serde_json::json!({"id": 7, "method": "init"}), b""), Err(Malformed::Header));
        assert_eq!(packet(serde_json::json!({"id": "TM1", "method": "reply"}), b""), Ok(ClientPacket::Receipt));
    }

    #[test]
    fn a_receipt_is_known_by_its_bytes_and_anything_else_is_read() {
        let receipt = crate::client::acknowledgement("TM1-a");
        assert!(is_receipt(&Packet::split(&receipt).unwrap()));
        let text = String::from_utf8(receipt).unwrap();
        let body = text.split_once("\r\n").unwrap().1.trim_end();
        // With the right length in front, each of these is judged by its JSON alone.
        let judged = |body: &str, payload: &str| {
            let message = format!("TWILSOCK V3.0 {}\r\n{body}\r\n{payload}", body.len());
            (is_receipt(&Packet::split(message.as_bytes()).unwrap()), ClientPacket::parse(message.as_bytes()).is_ok())
        };
        assert_eq!(judged(body, ""), (true, true));
        assert_eq!(judged(body, "x"), (false, false), "a payload that was not announced");
        assert_eq!(judged(&body.replace("TM1", "T\\u004d1"), ""), (false, true));
        assert_eq!(judged(&body.replace("TM1", "TM\\x"), ""), (false, false), "no escape of JSON");
        assert_eq!(judged(&body.replace("TM1", "TM\u{1}"), ""), (false, false), "a control character");
        assert_eq!(judged(&body.replace("TM1", "TMé"), ""), (false, true));
        assert_eq!(judged(&body.replace("TM1-a", "a\",\"b\":\"c"), ""), (false, true), "more than an id");
        assert_eq!(judged(&body.replace("200", "500"), ""), (false, true));
    }

    #[test]
    fn typing_names_its_conversation() {
        assert_eq!(typing_conversation(b"ChannelSid=CH1"), Some("CH1"));
        assert_eq!(typing_conversation(b"Other=CH1"), None);
        assert_eq!(typing_conversation(b"\xff"), None);
    }
}
