//! A page never comes before what it shows has been told: an SDK does not tell its app what a page brought first.

use serde_json::Value;
use tertulia_client::Client;
use tertulia_client::Sid;
use tertulia_client::sid::Conversation as ConversationKind;
use testkit::Wire;

use super::{address, entry, room, soon};
use crate::support::{World, on_both_engines};

on_both_engines!(
    a_page_comes_after_news_that_are_late,
    a_page_comes_after_the_whole_replay,
    a_page_that_is_asked_for_before_its_subscription_comes_after_the_replay,
    a_page_of_what_is_not_subscribed_to_tells_nothing,
);

/// What one packet was.
#[derive(Debug, PartialEq)]
enum Heard {
    Added(i64),
    Established,
    Page(Vec<i64>),
}

/// What is heard up to the page and with it.
async fn up_to_the_page(wire: &mut Wire) -> Vec<Heard> {
    let mut heard = Vec::new();
    loop {
        let packet = soon(wire.receive()).await.unwrap().expect("the connection stays");
        let text = String::from_utf8(packet).unwrap();
        // Line of the protocol's name, header, payload.
        let payload = text.splitn(3, "\r\n").nth(2).unwrap_or_default();
        let Ok(payload) = serde_json::from_str::<Value>(payload) else { continue };
        match payload["event_type"].as_str() {
            Some("list_item_added") => heard.push(Heard::Added(payload["events"][0]["item_index"].as_i64().unwrap())),
            Some("subscription_established") => heard.push(Heard::Established),
            _ => {}
        }
        if let Some(items) = payload["items"].as_array() {
            heard.push(Heard::Page(items.iter().map(|item| item["index"].as_i64().unwrap()).collect()));
            return heard;
        }
    }
}

async fn say(alice: &Client, sid: Sid<ConversationKind>, count: usize) {
    for number in 0..count {
        alice.send(sid, &number.to_string()).await.unwrap();
    }
}

fn subscribing(entry: &str, after: i64) -> String {
    let entry = format!(r#"{},"last_event_id":{after}}}"#, entry.trim_end_matches('}'));
    format!(r#"{{"action":"establish","correlation_id":1,"requests":[{entry}]}}"#)
}

/// News of the conversation's messages come a minute late, or rather: nobody waits for them.
fn delay_news(world: &World) {
    let form = [("Kind", "delay-event"), ("Stream", "talk"), ("Milliseconds", "60000"), ("Times", "0")];
    world.owner.post("/tertulia/v1/Faults", &form).is(201);
}

fn a_page_comes_after_news_that_are_late(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        bob.subscribe(&[entry("ES", "list", sid.as_str())]).await.unwrap();
        delay_news(world);
        say(&alice, sid, 3).await;
        bob.request("GET", &format!("/v3/Lists/{sid}.messages/Items"), "").await.unwrap();
        let added = (0..3).map(Heard::Added);
        assert_eq!(up_to_the_page(&mut bob).await, added.chain([Heard::Page(vec![0, 1, 2])]).collect::<Vec<_>>());
    });
}

fn a_page_comes_after_the_whole_replay(world: &World) {
    // More than a connection takes from its mailbox at once.
    const MISSED: i64 = 200;
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        say(&alice, sid, MISSED as usize).await;
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        // Both are on their way before either is answered.
        let body = subscribing(&entry("ES", "list", sid.as_str()), 0);
        bob.request("POST", "/v4/Subscriptions", &body).await.unwrap();
        bob.request("GET", &format!("/v3/Lists/{sid}.messages/Items"), "").await.unwrap();
        let mut heard = up_to_the_page(&mut bob).await;
        assert!(matches!(heard.pop(), Some(Heard::Page(_))));
        let expected = (0..MISSED).map(Heard::Added).chain([Heard::Established]);
        assert_eq!(heard, expected.collect::<Vec<_>>());
    });
}

/// A page waits for its subscription for 100 ms, which a busy machine may need for the way: the best of three counts.
fn a_page_that_is_asked_for_before_its_subscription_comes_after_the_replay(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        say(&alice, sid, 3).await;
        let expected: Vec<_> =
            (0..3).map(Heard::Added).chain([Heard::Established, Heard::Page(vec![0, 1, 2])]).collect();
        let mut heard = Vec::new();
        for _ in 0..3 {
            let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
            bob.request("GET", &format!("/v3/Lists/{sid}.messages/Items"), "").await.unwrap();
            // When this is answered, the page has been read, and waits.
            bob.request("GET", "/Client/v2/Configuration", "").await.unwrap();
            assert!(soon(bob.receive()).await.unwrap().is_some());
            let body = subscribing(&entry("ES", "list", sid.as_str()), 0);
            bob.request("POST", "/v4/Subscriptions", &body).await.unwrap();
            heard.push(up_to_the_page(&mut bob).await);
            if heard.last() == Some(&expected) {
                return;
            }
        }
        panic!("{heard:?}");
    });
}

fn a_page_of_what_is_not_subscribed_to_tells_nothing(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let mut bob = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        bob.subscribe(&[entry("ET", "document", sid.as_str())]).await.unwrap();
        delay_news(world);
        say(&alice, sid, 2).await;
        bob.request("GET", &format!("/v3/Lists/{sid}.messages/Items"), "").await.unwrap();
        assert_eq!(up_to_the_page(&mut bob).await, [Heard::Page(vec![0, 1])]);
    });
}
