//! A client that asks much at once: nothing of it may wait for what it keeps from arriving.

use std::collections::BTreeMap;

use serde_json::Value;
use tertulia_client::Sid;
use tertulia_client::sid::Conversation as ConversationKind;
use testkit::Wire;

use super::{address, entry, room, soon};
use crate::support::{World, on_both_engines, on_sqlite};

on_both_engines!(writes_keep_their_order_among_themselves_and_towards_later_reads);
on_sqlite!(
    a_client_that_sends_200_requests_before_it_reads_is_answered,
    a_client_that_sends_a_megabyte_before_it_reads_is_answered,
    pages_that_nobody_gives_receipts_for_wait_side_by_side,
    a_token_is_updated_while_a_request_is_being_answered,
    pongs_are_read_while_a_request_is_being_answered,
    a_client_over_the_bound_is_closed_plainly,
    a_subscription_overtakes_the_reads_before_it,
);

fn messages(world: &World, sid: Sid<ConversationKind>) -> String {
    format!("/Client/v2/Services/{}/Conversations/{sid}/Messages", world.service)
}

fn items(sid: Sid<ConversationKind>) -> String {
    format!("/v3/Lists/{sid}.messages/Items")
}

/// A packet, taken apart.
struct Packet {
    id: String,
    is_reply: bool,
    payload: Value,
}

async fn next(wire: &mut Wire) -> Packet {
    let bytes = soon(wire.receive()).await.unwrap().expect("the connection stays");
    let text = String::from_utf8(bytes).unwrap();
    let mut parts = text.splitn(3, "\r\n").skip(1);
    let header: Value = serde_json::from_str(parts.next().unwrap()).unwrap();
    let payload = parts.next().and_then(|payload| serde_json::from_str(payload).ok()).unwrap_or_default();
    Packet { id: header["id"].as_str().unwrap().to_owned(), is_reply: header["method"] == "reply", payload }
}

/// The next reply; what is told meanwhile gets its receipt.
async fn reply(wire: &mut Wire) -> Packet {
    loop {
        let packet = next(wire).await;
        if packet.is_reply {
            return packet;
        }
        wire.acknowledge(&packet.id).await.unwrap();
    }
}

async fn replies(wire: &mut Wire, count: usize) -> BTreeMap<u32, Value> {
    let mut replies = BTreeMap::new();
    for _ in 0..count {
        let Packet { id, payload, .. } = reply(wire).await;
        replies.insert(id.trim_start_matches("TM").parse().unwrap(), payload);
    }
    assert_eq!(replies.len(), count, "each is answered once");
    replies
}

fn bodies(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["data"]["text"].as_str().unwrap()).collect()
}

fn a_client_that_sends_200_requests_before_it_reads_is_answered(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        bob.subscribe(&[entry("ES", "list", sid.as_str())]).await.unwrap();
        bob.request("POST", &messages(world, sid), r#"{"body":"hello"}"#).await.unwrap();
        for _ in 0..200 {
            bob.request("GET", &items(sid), "").await.unwrap();
        }
        let replies = replies(&mut bob, 201).await;
        for page in replies.values().filter(|payload| payload["items"].is_array()) {
            assert_eq!(bodies(page), ["hello"]);
        }
    });
}

/// Neither side's kernel takes what is sent here, so the server has to read while it cannot write.
fn a_client_that_sends_a_megabyte_before_it_reads_is_answered(_: &World) {
    let world = World::sqlite_with(|config| {
        config.http.send_buffer_bytes = 16 * 1024;
        config.realtime.requests_bytes_max = 16 << 20;
    });
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        for number in 0..30 {
            alice.send(sid, &format!("{number} {}", "x".repeat(1000))).await.unwrap();
        }
        let mut bob = Wire::enter(address(&world), Some(4096), &world.token("bob")).await.unwrap();
        // Nobody looks at the body of a GET.
        let body = "x".repeat(50_000);
        for _ in 0..200 {
            soon(bob.request("GET", &items(sid), &body)).await.unwrap();
        }
        for page in replies(&mut bob, 200).await.values() {
            assert_eq!(bodies(page).len(), 30);
        }
    });
}

/// That no page waits longer than 100 ms was promised; one after the other they would take 20 seconds. The best of
/// three counts, for the sake of a busy machine.
#[expect(clippy::disallowed_methods, reason = "how long it takes is the question")]
fn pages_that_nobody_gives_receipts_for_wait_side_by_side(world: &World) {
    const PAGES: usize = 200;
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let mut took = Vec::new();
        for _ in 0..3 {
            let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
            bob.subscribe(&[entry("ES", "list", sid.as_str())]).await.unwrap();
            alice.send(sid, "no receipt will come for this").await.unwrap();
            let began = std::time::Instant::now();
            for _ in 0..PAGES {
                bob.request("GET", &items(sid), "").await.unwrap();
            }
            let mut pages = 0;
            while pages < PAGES {
                pages += usize::from(next(&mut bob).await.is_reply);
            }
            took.push(began.elapsed());
        }
        assert!(took.iter().any(|took| took.as_secs() < 5), "{took:?}");
    });
}

fn writes_keep_their_order_among_themselves_and_towards_later_reads(world: &World) {
    const WRITES: u32 = 20;
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        bob.subscribe(&[entry("ES", "list", sid.as_str())]).await.unwrap();
        for number in 0..WRITES {
            bob.request("POST", &messages(world, sid), &format!(r#"{{"body":"{number}"}}"#)).await.unwrap();
            bob.request("GET", &items(sid), "").await.unwrap();
        }
        let replies = replies(&mut bob, 2 * WRITES as usize).await;
        let pages = replies.values().filter(|payload| payload["items"].is_array());
        for (number, page) in pages.enumerate() {
            let expected: Vec<String> = (0..=number).map(|number| number.to_string()).collect();
            assert_eq!(bodies(page), expected, "what was written before a read, and nothing after it");
        }
    });
}

fn hold(world: &World, path: &str, more: &[(&str, &str)]) -> String {
    let form = [&[("Kind", "hold"), ("Path", path), ("Identity", "bob")], more].concat();
    world.owner.post("/tertulia/v1/Faults", &form).is(201)["id"].to_string()
}

fn a_token_is_updated_while_a_request_is_being_answered(world: &World) {
    world.play(async {
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        let fault = hold(world, "/Client/v2/Configuration", &[]);
        bob.request("GET", "/Client/v2/Configuration", "").await.unwrap();
        bob.send(&format!(r#""method":"update","token":"{}""#, world.token("bob")), "").await.unwrap();
        let updated = next(&mut bob).await;
        assert_eq!(updated.payload, Value::Null, "the update's reply has no payload");
        world.owner.delete(&format!("/tertulia/v1/Faults/{fault}")).is(204);
        assert!(next(&mut bob).await.payload.is_object());
    });
}

fn pongs_are_read_while_a_request_is_being_answered(_: &World) {
    let world = World::sqlite_with(|config| config.realtime.ping_seconds = 1);
    world.play(async {
        let mut bob = Wire::enter(address(&world), None, &world.token("bob")).await.unwrap();
        // Longer than a connection may be silent.
        hold(&world, "/Client/v2/Configuration", &[("Milliseconds", "4500")]);
        bob.request("GET", "/Client/v2/Configuration", "").await.unwrap();
        assert!(next(&mut bob).await.is_reply);
    });
}

fn a_client_over_the_bound_is_closed_plainly(_: &World) {
    let world = World::sqlite_with(|config| config.realtime.requests_bytes_max = 20_000);
    world.play(async {
        let mut bob = Wire::enter(address(&world), None, &world.token("bob")).await.unwrap();
        hold(&world, "/Client/v2/Configuration", &[]);
        for _ in 0..200 {
            bob.request("GET", "/Client/v2/Configuration", "").await.unwrap();
        }
        assert_eq!(soon(bob.receive()).await.unwrap(), None);
        assert_eq!(bob.farewell(), Some((1008, "too many requests wait for an answer")));
        soon(async {
            while world.app().hub().counts() != (0, 0) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

fn a_subscription_overtakes_the_reads_before_it(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        let fault = hold(world, "/Client/v2/Configuration", &[]);
        bob.request("GET", "/Client/v2/Configuration", "").await.unwrap();
        bob.request("GET", &items(sid), "").await.unwrap();
        let body = format!(
            r#"{{"action":"establish","correlation_id":1,"requests":[{}]}}"#,
            entry("ES", "list", sid.as_str())
        );
        bob.request("POST", "/v4/Subscriptions", &body).await.unwrap();
        world.owner.delete(&format!("/tertulia/v1/Faults/{fault}")).is(204);
        let mut order = Vec::new();
        while order.len() < 3 {
            order.push(reply(&mut bob).await.id);
        }
        // The first packet of a wire is its init.
        assert_eq!(order, ["TM2", "TM4", "TM3"]);
    });
}
