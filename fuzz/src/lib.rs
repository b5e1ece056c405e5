//! The fuzz targets: functions that take any bytes, must not panic, and check what must hold of
//! whatever was accepted.
//!
//! They run under cargo-fuzz (`fuzz_targets/`), and under the mutation loop of `bin/smoke.rs`,
//! which needs no special toolchain. Seeds are in `seeds/<target>/`; an input that once failed is
//! added there. Nothing here reads a clock, draws a number or touches a file.

mod client;
mod explain;
mod login;
mod provider;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tertulia_protocol::client::{ReceivedTyping, ServerPacket, SyncPayload};
use tertulia_protocol::packet::Packet;
use tertulia_protocol::realtime::{ClientPacket, typing_conversation};
use tertulia_protocol::sid::{Account, Conversation, Kind, Message, Sid, User};
use tertulia_protocol::sync::{Object, SubscriptionAnswer, SubscriptionRequest};
use tertulia_protocol::{Cursor, Timestamp};
use tertulia_token::{Given, Key, KeyGiven, Known, Rules, chat, issuer_of, parse, verify};

pub use client::client;
pub use explain::explain;
pub use login::{headers, policy, session, template};
pub use provider::{jwt, logout, provider};

/// A target, by name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 16] = [
    ("token", token),
    ("explain", explain),
    ("claims", claims),
    ("packet", packet),
    ("sync", sync),
    ("form", form),
    ("text", text),
    ("received", received),
    ("client", client),
    ("jwt", jwt),
    ("logout", logout),
    ("provider", provider),
    ("policy", policy),
    ("template", template),
    ("session", session),
    ("headers", headers),
];

const SECRET: &str = "a secret that only the fuzz targets use";
const ACCOUNT: &str = "AC00000000000000000000000000000001";
const KEY: &str = "SK00000000000000000000000000000001";
/// The moment at which the seeds are valid.
const NOW: i64 = 1_700_000_000;

/// The seeds that verify; nobody without the secret makes another.
const VALID: [&str; 2] = [include_str!("../seeds/token/chat"), include_str!("../seeds/token/all-grants")];

fn key() -> Key {
    Key::new(KEY, ACCOUNT, SECRET)
}

/// What exists: any service and credential, no role.
const DIRECTORY: Known = Known { service: true, role: false, push_credential: true };

/// A whole token as it comes in: bounded, refused or explained, and never accepted when altered.
pub fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let accepted = judge(&text);
    assert_eq!(accepted, VALID.contains(&&*text), "what verifies is what was minted, byte for byte");
}

/// Verifies and explains; the two must agree, and no explanation shows the secret.
fn judge(text: &str) -> bool {
    let key = key();
    let rules = Rules::at(NOW);
    let verified = parse(text).and_then(|unverified| verify(unverified, Some(&key), &rules));
    if let Ok(token) = &verified {
        let _access = chat(token, &DIRECTORY);
        assert!(rules.dies_at(token) > NOW, "a dead token verified");
    }
    let given = Given { rules, key: KeyGiven::Known(&key), directory: None, revoked: None };
    let explanation = tertulia_token::explain(text, &given);
    if let Err(refusal) = &verified {
        let told = explanation.refusal.as_ref().map(|told| (told.code, told.check));
        assert_eq!(told, Some((refusal.code, refusal.check)), "verify and explain disagree");
    }
    let told = explanation.to_string();
    assert!(text.contains(SECRET) || !told.contains(SECRET), "an explanation shows the secret");
    let _issuer = issuer_of(text);
    verified.is_ok()
}

/// A form: what is read can be written again, and reads the same.
pub fn form(data: &[u8]) {
    let Ok(pairs) = tertulia_protocol::form::parse(data) else { return };
    assert!(pairs.len() <= tertulia_protocol::form::PAIRS_MAX, "a bound that is none");
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let written: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    let again = tertulia_protocol::form::parse(written.join("&").as_bytes());
    assert_eq!(again.as_ref(), Ok(&pairs), "a form changes when it is read twice");
}

/// Header and payload, a line each, signed: so that what comes after the signature is reached.
pub fn claims(data: &[u8]) {
    let (header, payload) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&br#"{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}"#[..], data),
    };
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    judge(&format!("{signed}.{signature}"));
}

/// One websocket message.
pub fn packet(data: &[u8]) {
    let parsed = Packet::parse(data);
    if let Ok(packet) = &parsed {
        assert!(data.ends_with(packet.payload), "the payload is the end of the message");
        assert!(packet.header.starts_with(b"{"), "the header is an object");
        let _conversation = typing_conversation(packet.payload);
    }
    match ClientPacket::parse(data) {
        Ok(ClientPacket::Message { request, .. }) => assert!(request.body.len() <= data.len()),
        Ok(_) => assert!(parsed.is_ok(), "only a packet can be a client's packet"),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

/// One websocket message, as a client receives it.
pub fn received(data: &[u8]) {
    match ServerPacket::parse(data) {
        Ok(ServerPacket::Notification { payload, .. }) => {
            assert!(data.ends_with(payload), "the payload is the end of the message");
            if let Ok(read) = serde_json::from_slice::<SyncPayload<'_>>(payload) {
                for data in read.events.iter().filter_map(|entry| entry.data) {
                    assert!(payload.len() > data.get().len(), "data lie in their payload");
                }
            }
            let _typing = serde_json::from_slice::<ReceivedTyping>(payload);
        }
        Ok(_) => assert!(Packet::parse(data).is_ok(), "only a packet can be a server's packet"),
        Err(malformed) => assert!(!malformed.to_string().is_empty()),
    }
}

/// Names of Sync objects, and requests for subscriptions.
pub fn sync(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(object) = Object::parse(text.trim()) {
        assert_eq!(Object::parse(&object.name()), Some(object), "a name leads back");
        assert_eq!(Object::parse(&object.sid()), Some(object), "a SID leads back");
    }
    if let Ok(request) = serde_json::from_slice::<SubscriptionRequest>(data) {
        for entry in request.requests.iter().take(100) {
            let _object = Object::parse(&entry.object_sid);
            let answer = SubscriptionAnswer::Canceled;
            let packet = answer.packet("TM1", &request.correlation_id, entry);
            assert!(Packet::parse(&packet).is_ok(), "what we write, we can read");
        }
    }
}

/// Short texts of the wire: SIDs, page tokens, dates.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    sid::<Account>(&text);
    sid::<Conversation>(&text);
    sid::<Message>(&text);
    sid::<User>(&text);
    if let Some(cursor) = Cursor::parse(&text) {
        assert_eq!(Cursor::parse(&cursor.token()), Some(cursor), "a page token leads back");
    }
    if let Some(moment) = Timestamp::parse(&text) {
        let _texts = (moment.seconds_text(), moment.rfc2822_text());
        let again = Timestamp::parse(&moment.millis_text());
        // Before 1970 and after 9999 the text is not one that we would read.
        if (0..253_402_300_000).contains(&moment.seconds()) {
            let again = again.expect("what we write, we can read");
            assert!((0..1000).contains(&(moment.micros() - again.micros())), "milliseconds are kept");
        }
    }
}

fn sid<K: Kind>(text: &str) {
    if let Ok(sid) = Sid::<K>::parse(text) {
        assert_eq!(Sid::<K>::parse(sid.as_str()), Ok(sid), "a SID leads back");
        assert!(sid.as_str().eq_ignore_ascii_case(text), "only letter case changes");
    }
}
