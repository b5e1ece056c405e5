//! The realtime gateway through the Rust client, on both engines: what is told, to whom, and in which order.

mod lost;
mod pages;
mod promised;
mod reachability;
mod reconnect;
mod replays;
mod revocations;
mod rights;
mod silent;
mod stalled;
mod timers;
mod vectors;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tertulia_client::sid::Conversation as ConversationKind;
use tertulia_client::{
    ChangeKind, Client, ConnectError, Conversation, Disconnected, Error, Event, NewConversation, Options, Sid,
};
use tertulia_server::accounts::commands::FindAccount;
use tertulia_server::messages::Patch;
use tertulia_server::messages::commands::SendMessage;
use tertulia_server::platform::Caller;

use crate::support::{World, on_both_engines, on_sqlite};

on_both_engines!(
    many_senders_make_one_order,
    who_was_away_hears_all_that_was_missed_however_long,
    who_is_removed_hears_nothing_more,
    who_leaves_and_comes_back_hears_again,
    a_message_over_rest_arrives_live,
    nothing_is_left_in_the_hub_when_connections_end,
);
on_sqlite!(
    the_token_ends_the_connection_at_its_death_and_the_door_says_why,
    a_token_for_somebody_else_ends_the_connection,
    the_server_says_when_it_goes_away,
    nobody_opens_what_is_not_theirs,
    a_deletion_is_told_to_who_only_looks_on,
);

/// Nothing here waits longer than a busy machine may take.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens within twenty seconds")
}

fn address(world: &World) -> &str {
    world.origin.strip_prefix("http://").expect("a plain origin")
}

/// An entry of a subscription request, for an object of this conversation.
fn entry(prefix: &str, kind: &str, sid: &str) -> String {
    format!(r#"{{"object_sid":"{prefix}{}","object_type":"{kind}"}}"#, &sid[2..])
}

/// A conversation that its creator has joined, and others are in.
async fn room(creator: &Client, others: &[&str]) -> Sid<ConversationKind> {
    let sid = creator.create_conversation(&NewConversation::named("room")).await.unwrap();
    creator.join(sid).await.unwrap();
    for other in others {
        creator.add(sid, other).await.unwrap();
    }
    sid
}

async fn bodies(conversation: &mut Conversation, count: usize) -> Vec<(i64, String)> {
    let mut heard = Vec::with_capacity(count);
    while heard.len() < count {
        let message = soon(conversation.next_message()).await.unwrap();
        heard.push((message.index, message.body.unwrap()));
    }
    heard
}

fn many_senders_make_one_order(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let sid = room(&alice, &["bob", "carol"]).await;
        let carol = world.client("carol").await;
        let mut heard_by_carol = carol.conversation(sid).await.unwrap();
        let mut heard_by_bob = bob.conversation(sid).await.unwrap();
        let send = |client: Client, name: &'static str| async move {
            let sent = (0..12).map(|number| {
                let client = client.clone();
                async move { client.send(sid, &format!("{name}{number}")).await.unwrap() }
            });
            join_all(sent).await
        };
        let (by_alice, by_bob) = tokio::join!(send(alice.clone(), "a"), send(bob.clone(), "b"));
        let heard = bodies(&mut heard_by_carol, 24).await;
        assert_eq!(heard.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..24).collect::<Vec<_>>());
        assert_eq!(bodies(&mut heard_by_bob, 24).await, heard, "everybody hears the same");
        for (name, indexes) in [("a", by_alice), ("b", by_bob)] {
            for (number, index) in indexes.into_iter().enumerate() {
                assert!(heard.contains(&(index, format!("{name}{number}"))), "an acknowledged message keeps its index");
            }
            // One connection's requests are answered in the order in which they were sent.
            let own: Vec<_> =
                heard.iter().filter(|(_, body)| body.starts_with(name)).map(|(_, body)| body.clone()).collect();
            assert_eq!(own, (0..12).map(|number| format!("{name}{number}")).collect::<Vec<_>>());
        }
    });
}

fn who_was_away_hears_all_that_was_missed_however_long(world: &World) {
    // More than two subscriptions' worth of replay.
    const MISSED: usize = 2300;
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let bob = world.client("bob").await;
        let known = bob.conversation(sid).await.unwrap().position();
        bob.close().await;

        let app = world.app();
        let service = world.service.parse().unwrap();
        let account = app.db.ask(&Caller::nobody(), FindAccount(world.account.parse().unwrap())).await.unwrap().unwrap();
        let owner = &Caller::system(account.number, account.sid);
        let send = |number: usize| async move {
            let patch = Patch { body: Some(number.to_string()), ..Patch::default() };
            let change = SendMessage { service: Some(service), conversation: sid.to_string(), patch };
            app.db.perform(owner, change).await.unwrap()
        };
        for batch in (0..MISSED).collect::<Vec<_>>().chunks(100) {
            join_all(batch.iter().map(|number| send(*number))).await;
        }
        // Something early is edited and something else removed, long after.
        let items =
            alice.conversation(sid).await.unwrap().page(Some(0), tertulia_client::Order::Ascending).await.unwrap();
        let messages = format!("/v1/Conversations/{sid}/Messages");
        world.owner.post(&format!("{messages}/{}", items.messages[3].sid), &[("Body", "edited")]).is(200);
        world.owner.delete(&format!("{messages}/{}", items.messages[5].sid)).is(204);

        let bob = world.client("bob").await;
        let mut back = bob.conversation_after(sid, known).await.unwrap();
        let mut indexes = Vec::new();
        let mut edited = false;
        while indexes.last() != Some(&(MISSED as i64 - 1)) || !edited {
            match soon(back.next_event()).await.unwrap() {
                Event::Added(message) => {
                    edited |= message.body.as_deref() == Some("edited");
                    indexes.push(message.index);
                }
                Event::Updated(message) => edited |= message.body.as_deref() == Some("edited"),
                Event::Removed(_) | Event::Changed => {}
            }
        }
        let expected: Vec<i64> = (0..MISSED as i64).filter(|index| *index != 5).collect();
        let heard: Vec<i64> = indexes.into_iter().filter(|index| *index != 5).collect();
        assert!(heard == expected, "each message once and in order: {} of {}", heard.len(), expected.len());
        // And it goes on live.
        alice.send(sid, "now").await.unwrap();
        assert_eq!(soon(back.next_message()).await.unwrap().body.as_deref(), Some("now"));
    });
}

fn who_is_removed_hears_nothing_more(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let (first, second) = (room(&alice, &["bob"]).await, room(&alice, &["bob"]).await);
        let mut own = bob.subscribe_own().await.unwrap();
        let mut heard = bob.conversation(first).await.unwrap();
        let mut other = bob.conversation(second).await.unwrap();
        world.owner.delete(&format!("/v1/Conversations/{first}/Participants/bob")).is(204);
        let removal = soon(own.next()).await.unwrap();
        assert_eq!(removal.kind, ChangeKind::Removed);
        alice.send(first, "not for bob").await.unwrap();
        alice.send(second, "for bob").await.unwrap();
        assert_eq!(soon(other.next_message()).await.unwrap().body.as_deref(), Some("for bob"));
        // What was told in the first would have come before that.
        let nothing = tokio::time::timeout(Duration::from_millis(100), heard.next_message()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        let refused = bob.send(first, "let me in").await.unwrap_err();
        assert!(matches!(&refused, Error::Refused(refusal) if refusal.code == Some(50430)), "{refused:?}");
    });
}

fn who_leaves_and_comes_back_hears_again(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let sid = room(&alice, &["bob"]).await;
        for round in 0..5 {
            let mut heard = bob.conversation(sid).await.unwrap();
            alice.send(sid, "hello again").await.unwrap();
            assert_eq!(soon(heard.next_message()).await.unwrap().index, round);
            let own = format!("/Client/v2/Services/{}/Conversations/{sid}/Participants/bob", world.service);
            assert_eq!(bob.request("DELETE", &own, None).await.unwrap().0, 204);
            bob.join(sid).await.unwrap();
        }
    });
}

fn a_message_over_rest_arrives_live(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &[]).await;
        let mut heard = alice.conversation(sid).await.unwrap();
        let messages = format!("/v1/Conversations/{sid}/Messages");
        let form = [("Author", "backend"), ("Body", "¡hola señora! 👋"), ("Attributes", "{ \"a\" :  1 }")];
        world.owner.post(&messages, &form).is(201);
        let message = soon(heard.next_message()).await.unwrap();
        assert_eq!(message.body.as_deref(), Some("¡hola señora! 👋"));
        assert_eq!((message.author.as_str(), message.attributes.as_str()), ("backend", "{ \"a\" :  1 }"));
    });
}

fn nothing_is_left_in_the_hub_when_connections_end(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &[]).await;
        let _own = alice.subscribe_own().await.unwrap();
        let _heard = alice.conversation(sid).await.unwrap();
        assert!(world.app().hub().counts().0 >= 3);
        alice.close().await;
        soon(async {
            while world.app().hub().counts() != (0, 0) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

fn the_token_ends_the_connection_at_its_death_and_the_door_says_why(world: &World) {
    world.play(async {
        let token = world.token("alice");
        let alice = Client::connect_with(&world.uri(), token.clone(), Options::once()).await.unwrap();
        let mut own = alice.subscribe_own().await.unwrap();
        // Four hours, and the grace.
        world.pass(4 * 3600 + 6);
        let ended = soon(own.next()).await.unwrap_err();
        assert!(matches!(&ended, Error::Disconnected(Disconnected::ByServer { code: 1000, .. })), "{ended:?}");
        let refused = Client::connect(&world.uri(), token).await.err().unwrap();
        assert!(matches!(&refused, ConnectError::Refused(refusal) if refusal.code == Some(20104)), "{refused:?}");
        world.client("alice").await;
    });
}

fn a_token_for_somebody_else_ends_the_connection(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        alice.update_token(&world.token("alice")).await.unwrap();
        let refused = alice.update_token(&world.token("bob")).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Refused(refusal) if (refusal.status, refusal.code) == (403, Some(20106))),
            "{refused:?}"
        );
        assert!(soon(alice.conversations()).await.is_err());
    });
}

fn the_server_says_when_it_goes_away(_: &World) {
    let mut world = World::sqlite();
    let (alice, mut own) = world.play(async {
        let alice = world.client("alice").await;
        let own = alice.subscribe_own().await.unwrap();
        (alice, own)
    });
    let ended = crate::support::play(async {
        world.stop().await;
        soon(own.next()).await.unwrap_err()
    });
    assert!(matches!(&ended, Error::Disconnected(Disconnected::ByServer { code: 1001, .. })), "{ended:?}");
    drop(alice);
}

fn nobody_opens_what_is_not_theirs(world: &World) {
    world.play(async {
        let (alice, mallory) = (world.client("alice").await, world.client("mallory").await);
        let sid = room(&alice, &[]).await;
        for (path, code) in [
            (format!("/v3/Lists/{sid}.messages"), 54150),
            (format!("/v3/Maps/{sid}.roster"), 54200),
            (format!("/v3/Lists/{sid}.messages/Items"), 54150),
        ] {
            let (status, body) = mallory.request("GET", &path, None).await.unwrap();
            assert_eq!((status, body["code"].as_i64()), (404, Some(code)), "{path}");
        }
        // A service user may join, and so look at the shared facts.
        assert_eq!(mallory.request("GET", &format!("/v3/Documents/{sid}.channel"), None).await.unwrap().0, 200);
        let conversation = format!("/Client/v2/Services/{}/Conversations/{sid}", world.service);
        for (method, path) in [("POST", format!("{conversation}/Messages")), ("DELETE", conversation.clone())] {
            let (status, body) = mallory.request(method, &path, Some(&json!({"body": "x"}))).await.unwrap();
            assert_eq!(status, 403, "{path}: {body}");
        }
        assert_eq!(mallory.request("GET", "/nowhere", None).await.unwrap().0, 404);
    });
}

fn a_deletion_is_told_to_who_only_looks_on(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let sid = room(&alice, &[]).await;
        let name = format!("{sid}.channel");
        let mut document = bob.subscribe(&[(&name, tertulia_client::ObjectType::Document)]).await.unwrap();
        world.owner.delete(&format!("/v1/Conversations/{sid}")).is(204);
        assert_eq!(soon(document.next()).await.unwrap().kind, ChangeKind::Gone);
    });
}
