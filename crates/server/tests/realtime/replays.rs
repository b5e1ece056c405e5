//! Replays that come in parts: each part brings the reader further, whatever has become of what it missed.

use testkit::Wire;

use super::{address, entry, room};
use crate::support::{World, on_both_engines};

on_both_engines!(a_replay_in_parts_gets_past_whatever_came_and_went,);

/// Entries that a request may have; each then has the fewest events.
const ENTRIES: usize = 100;

/// The kind and the id of the one event in a packet.
fn read(packet: &str) -> Option<(&str, i64)> {
    let kind = packet.split_once(r#""event_type":""#)?.1.split('"').next()?;
    let id = packet.split_once(r#""events":[{"id":"#)?.1.split(',').next()?;
    Some((kind, id.parse().ok()?))
}

fn a_replay_in_parts_gets_past_whatever_came_and_went(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let user = world.owner.get("/v1/Users/bob").is(200)["sid"].as_str().unwrap().to_owned();
        let mut gone = Vec::new();
        for number in 0..30 {
            let index = alice.send(sid, &format!("{number}")).await.unwrap();
            gone.push(alice.page(sid, Some(index), tertulia_client::Order::Ascending).await.unwrap().messages[0].sid);
        }
        for message in gone {
            alice.remove_message(sid, message).await.unwrap();
        }
        let kept = alice.send(sid, "kept").await.unwrap();
        assert_eq!(kept, 30);
        let mut wire = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        let (mut position, mut told) = (0, Vec::new());
        for _part in 0..10 {
            let list = entry("ES", "list", sid.as_str()).replace('}', &format!(r#","last_event_id":{position}}}"#));
            let mut entries = vec![list];
            entries.resize_with(ENTRIES, || entry("MU", "map", &user));
            let body = format!(r#"{{"action":"establish","correlation_id":1,"requests":[{}]}}"#, entries.join(","));
            wire.request("POST", "/v4/Subscriptions", &body).await.unwrap();
            let mut answers = 0;
            let mut is_whole = false;
            while answers < ENTRIES {
                let packet = String::from_utf8(wire.receive().await.unwrap().unwrap()).unwrap();
                if packet.contains("subscription_established") {
                    answers += 1;
                    is_whole |= packet.contains(&sid.as_str()[2..]) && packet.contains("completed");
                } else if let Some((kind, id)) = read(&packet).filter(|(kind, _)| kind.starts_with("list_item")) {
                    // As the SDK does: a position moves with what was told, and not with an interruption.
                    assert!(id > position, "{packet}");
                    position = id;
                    told.push(kind.to_owned());
                }
            }
            if is_whole {
                assert_eq!(told.pop().as_deref(), Some("list_item_added"), "{told:?}");
                assert!(told.iter().all(|kind| kind == "list_item_removed"), "what was never there came: {told:?}");
                return;
            }
        }
        panic!("the reader does not get past {position}");
    });
}
