//! What coming back costs, and that it is cheap only where nothing has changed.

use testkit::Wire;

use super::{address, entry, room};
use crate::support::{World, on_both_engines};

on_both_engines!(
    a_reconnect_from_equal_positions_reads_two_statements_however_much_it_subscribes_to,
    equal_positions_give_no_right,
);

/// The three objects of a conversation.
fn three_of(sid: &str) -> [String; 3] {
    [entry("ET", "document", sid), entry("ES", "list", sid), entry("MP", "map", sid)]
}

/// The same entries with the positions at which everything stands now.
async fn positioned(world: &World, identity: &str, entries: &[String]) -> Vec<String> {
    let mut wire = Wire::enter(address(world), None, &world.token(identity)).await.unwrap();
    let answers = wire.subscribe(entries).await.unwrap();
    let word = |text: &str, mark: &str| {
        let (_, rest) = text.split_once(mark).expect("the mark");
        rest.split(['"', ',', '}']).next().expect("a word").to_owned()
    };
    let mut found = Vec::new();
    for answer in answers {
        let (object, position) = (word(&answer, r#""object_sid":""#), word(&answer, r#""last_event_id":"#));
        let entry = entries.iter().find(|entry| entry.contains(&object)).expect("an answer to what was asked");
        found.push(format!(r#"{},"last_event_id":{position}}}"#, entry.trim_end_matches('}')));
    }
    found
}

/// Statements of a whole reconnect, and of its subscribing. Both are done again and again, the latter on one
/// connection, and the fewest are right: what the server reads beside it, such as who is online, only adds.
async fn cost(world: &World, identity: &str, entries: &[String]) -> (u64, u64) {
    let store = &world.app().db.store;
    let enter = async || {
        let begun = store.statements();
        let mut wire = Wire::enter(address(world), None, &world.token(identity)).await.unwrap();
        wire.subscribe(entries).await.unwrap();
        (store.statements() - begun, wire)
    };
    let (mut whole, mut wire) = enter().await;
    for _ in 0..4 {
        let again = enter().await;
        (whole, wire) = (whole.min(again.0), again.1);
    }
    let mut fewest = whole;
    for _ in 0..5 {
        let begun = store.statements();
        wire.subscribe(entries).await.unwrap();
        fewest = fewest.min(store.statements() - begun);
    }
    (whole, fewest)
}

fn a_reconnect_from_equal_positions_reads_two_statements_however_much_it_subscribes_to(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let mut entries = Vec::new();
        let mut last = None;
        for _ in 0..10 {
            let sid = room(&alice, &["bob"]).await;
            alice.send(sid, "hello").await.unwrap();
            entries.extend(three_of(sid.as_str()));
            last = Some(sid);
        }
        let known = positioned(world, "bob", &entries).await;
        let (few, all) = (cost(world, "bob", &known[..3]).await, cost(world, "bob", &known).await);
        assert_eq!((few.1, all.1), (2, 2), "rights and positions, of three objects and of thirty");
        // Key, user and own list come before them; who is online is looked after beside.
        assert!(all.0 < 12, "{all:?}");

        // One of them has moved on: it is read by itself, and its news are told.
        alice.send(last.unwrap(), "meanwhile").await.unwrap();
        let (_, more) = cost(world, "bob", &known).await;
        assert!(more > 2, "{more} statements");
        let moved = positioned(world, "bob", &entries).await;
        assert_eq!(known.iter().zip(&moved).filter(|(known, moved)| known != moved).count(), 2, "list and document");
    });
}

fn equal_positions_give_no_right(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let (kept, lost) = (room(&alice, &["bob"]).await, room(&alice, &["bob"]).await);
        let lists = [kept, lost].map(|sid| entry("ES", "list", sid.as_str()));
        let known = positioned(world, "bob", &lists).await;
        // A removal moves the roster and the user's list, and not the messages.
        world.owner.delete(&format!("/v1/Conversations/{lost}/Participants/bob")).is(204);
        let mut wire = Wire::enter(address(world), None, &world.token("bob")).await.unwrap();
        wire.subscribe(&known[..1]).await.unwrap();
        let refused = wire.subscribe(&known[1..]).await.unwrap_err().to_string();
        assert!(refused.contains("subscription_failed") && refused.contains("54150"), "{refused}");
        // Nor for who never was there, whatever the position: none, and a high one.
        let mut wire = Wire::enter(address(world), None, &world.token("mallory")).await.unwrap();
        for entry in [&lists[0], &format!(r#"{},"last_event_id":1000}}"#, lists[0].trim_end_matches('}'))] {
            let refused = wire.subscribe(std::slice::from_ref(entry)).await.unwrap_err().to_string();
            assert!(refused.contains("54150"), "{refused}");
        }
    });
}
