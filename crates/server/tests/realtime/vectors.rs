//! Every token vector against the live websocket, in the vectors' own world, brought in by an import.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tertulia_client::{Client, ConnectError, Options};

use tertulia_server::platform::Config;

use crate::support::World;

/// As the vectors assume: no second is forgiven.
fn strict(config: &mut Config) {
    config.tokens.leeway_seconds = 0;
    config.tokens.grace_seconds = 0;
    config.http.upgrades_per_second = 0;
}

#[test]
fn every_vector_gets_its_verdict_on_sqlite() {
    every_vector_gets_its_verdict_at_the_door(&World::sqlite_with(strict));
}

#[test]
fn every_vector_gets_its_verdict_on_postgres() {
    if let Some(world) = World::postgres_with("every_vector_gets_its_verdict", strict) {
        every_vector_gets_its_verdict_at_the_door(&world);
    }
}

static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../token/tests/vectors/tokens.json")).expect("the vectors are JSON")
});

/// What a packet may have; the token travels in one.
const PACKET_BYTES_MAX: usize = 256 * 1024;

/// What is said of a key that is left out of the world here, whatever else a verifier that knows all of it would say.
const UNKNOWN_KEY: u64 = 20103;

fn list(name: &str) -> impl Iterator<Item = &'static Value> {
    VECTORS["world"][name].as_array().expect("a list").iter()
}

/// The world without what this server does not have: test accounts, keys of other regions, deleted keys.
fn world_of_the_vectors() -> Value {
    let accounts = list("accounts").filter(|account| account["test"] != true);
    let accounts = accounts.map(|account| json!({"sid": account["sid"], "status": account["status"]}));
    let is_here = |key: &Value| {
        let is_test = list("accounts").any(|one| one["sid"] == key["account_sid"] && one["test"] == true);
        key["status"] == "active" && key["region"] == VECTORS["world"]["region"] && !is_test
    };
    let keys = list("keys").filter(|key| is_here(key));
    let keys = keys.map(|key| {
        json!({"sid": key["sid"], "account_sid": key["account_sid"], "secret": key["secret"], "type": key["type"]})
    });
    let roles = list("roles").map(|role| {
        json!({"sid": role["sid"], "service_sid": role["service_sid"], "friendly_name": "vectors", "type": "service",
            "permissions": ["createConversation"]})
    });
    json!({
        "accounts": accounts.collect::<Vec<_>>(),
        "keys": keys.collect::<Vec<_>>(),
        "services": list("services").collect::<Vec<_>>(),
        "roles": roles.collect::<Vec<_>>(),
    })
}

/// The token of a case, joined when it stands there in parts.
fn token(case: &Value) -> String {
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => text.to_owned(),
        None => part["repeat"].as_str().unwrap().repeat(part["count"].as_u64().unwrap() as usize),
    };
    let parts = || case["token_parts"].as_array().expect("a token or its parts").iter().map(part).collect();
    case["token"].as_str().map_or_else(parts, str::to_owned)
}

/// Sends a frame that is too large for a packet, as no client of ours would, and reads with which code the server
/// closes.
fn close_code_of_oversized(world: &World, token: &str) -> u16 {
    let host = world.origin.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host).expect("a server");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let upgrade = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        tertulia_server::http::REALTIME_PATH
    );
    socket.write_all(upgrade.as_bytes()).expect("an open socket");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    // A final binary frame with a length of eight bytes and a mask of zeros. Its beginning says enough.
    let mut frame = vec![0x82, 0xff];
    frame.extend((token.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(&token.as_bytes()[..1024]);
    socket.write_all(&frame).expect("an open socket");
    let mut close = [0; 4];
    socket.read_exact(&mut close).expect("a close frame");
    assert_eq!(close[0], 0x88, "a close frame");
    u16::from_be_bytes([close[2], close[3]])
}

/// The keys of the vectors that this server does not have.
fn left_out() -> Vec<&'static Value> {
    let world = world_of_the_vectors();
    let here = world["keys"].as_array().expect("a list");
    list("keys").map(|key| &key["sid"]).filter(|sid| here.iter().all(|key| key["sid"] != **sid)).collect()
}

/// The key that a token names, whatever else is in it.
fn key_of(token: &str) -> Option<Value> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok().map(|claims| claims["iss"].clone())
}

/// What is wrong about what the door did, if anything.
fn complaint(expected: &Value, is_known: bool, outcome: &Result<(), ConnectError>) -> Option<String> {
    let verdict = expected["verdict"].as_str().expect("a verdict");
    let allowed = |code: u64| {
        (!is_known && code == UNKNOWN_KEY) || expected["codes"].as_array().is_some_and(|all| all.contains(&code.into()))
    };
    match outcome {
        Ok(()) if verdict == "reject" => Some("let in".to_owned()),
        Ok(()) => None,
        Err(ConnectError::Refused(refusal)) if verdict != "accept" => {
            let code = refusal.code.map(u64::from);
            (!code.is_some_and(allowed)).then(|| format!("{refusal:?}, allowed {}", expected["codes"]))
        }
        Err(error) => Some(format!("{error:?} instead of {verdict}")),
    }
}

fn every_vector_gets_its_verdict_at_the_door(world: &World) {
    world.operator.post("/tertulia/v1/Imports", &[("World", &world_of_the_vectors().to_string())]).is(201);
    let (left_out, mut complaints) = (left_out(), Vec::new());
    let (mut count, mut oversized, mut let_in) = (0, 0, 0);
    for case in VECTORS["cases"].as_array().expect("cases") {
        world.pass(case["now"].as_i64().expect("now") - world.seconds());
        let token = token(case);
        count += 1;
        if token.len() >= PACKET_BYTES_MAX {
            assert_eq!(close_code_of_oversized(world, &token), 1009, "{}", case["id"]);
            oversized += 1;
            continue;
        }
        let is_known = key_of(&token).is_none_or(|key| !left_out.contains(&&key));
        let outcome = world.play(async { Client::connect_with(&world.uri(), token, Options::once()).await.map(drop) });
        complaints.extend(complaint(&case["chat"], is_known, &outcome).map(|why| format!("{}: {why}", case["id"])));
        let_in += usize::from(outcome.is_ok());
    }
    assert!(complaints.is_empty(), "{} of {count}:\n{}", complaints.len(), complaints.join("\n"));
    assert_eq!((count, oversized), (636, 1));
    assert!(let_in >= 178, "{let_in} were let in");
}
