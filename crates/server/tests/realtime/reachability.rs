//! Who is online: told at once, and never for a flicker; on one node, over a restart, and on two nodes.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tertulia_client::{Client, ObjectType, Sid, Subscription};
use tertulia_protocol::Timestamp;
use tertulia_server::platform::{AccountNumber, Caller};
use tertulia_server::presence::Visitor;
use tertulia_server::presence::commands::{Arrive, EndLapsed, Lease, PresencesOf, StaleLeases};

use super::soon;
use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines!(
    who_connects_is_online_at_once_and_offline_after_the_flicker_time,
    a_reconnect_within_the_flicker_time_is_told_to_nobody,
    users_of_a_node_that_was_killed_go_offline_unless_they_are_elsewhere,
    a_node_that_was_taken_for_dead_begins_anew_without_a_flicker,
    many_who_come_at_once_are_all_online,
);
on_sqlite!(
    nothing_is_written_while_no_service_says_who_is_online,
    a_service_may_begin_and_end_to_say_so_while_people_are_connected,
    a_restart_shows_no_flicker_and_who_does_not_come_back_goes_offline,
    deleting_who_is_connected_leaves_nothing_behind,
);

impl World {
    fn say_who_is_online(&self, flag: &str) {
        let path = format!("/v1/Services/{}/Configuration", self.service);
        self.owner.post(&path, &[("ReachabilityEnabled", flag)]).is(200);
    }

    fn is_online(&self, identity: &str) -> Value {
        self.owner.get(&format!("/v1/Users/{identity}")).is(200)["is_online"].clone()
    }

    /// Leases of all nodes but the one named so, as they will stand in the end of time.
    fn leases(&self, but: &str) -> Vec<(String, bool)> {
        let app = self.app();
        let question = StaleLeases { own: but.into(), now: Timestamp::from_micros(i64::MAX) };
        let nobody = Caller::nobody();
        let asked = app.db.ask(&nobody, question);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(asked)).unwrap()
    }

    /// A visitor with this identity, who is a user already.
    fn visitor(&self, identity: &str) -> Visitor {
        let user = self.owner.get(&format!("/v1/Users/{identity}")).is(200);
        let (user, service) = (Sid::parse(&sid(&user)).unwrap(), Sid::parse(&self.service).unwrap());
        Visitor { account: AccountNumber(1), user, service }
    }
}

async fn until(what: impl Fn() -> bool) {
    soon(async {
        while !what() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// What a client hears of a user: each item that changes.
async fn facts_of(watcher: &Client, world: &World, identity: &str) -> Subscription {
    let user: Sid<tertulia_client::sid::User> = world.visitor(identity).user;
    let object = tertulia_protocol::sync::Object::UserInfo(user);
    watcher.subscribe(&[(&object.name(), ObjectType::Map)]).await.unwrap()
}

/// The next thing that is told, as key, position and data.
async fn told(facts: &mut Subscription) -> (String, i64, Value) {
    let change = soon(facts.next()).await.unwrap();
    let tertulia_client::ItemKey::Key(key) = change.key else { panic!("{change:?}") };
    (key.into(), change.id, serde_json::from_slice(&change.data).unwrap())
}

fn online(is: bool) -> Value {
    json!({"online": is, "notifiable": false})
}

fn who_connects_is_online_at_once_and_offline_after_the_flicker_time(world: &World) {
    world.say_who_is_online("true");
    world.owner.post("/v1/Users", &[("Identity", "alice")]).is(201);
    assert_eq!(world.is_online("alice"), json!(null), "never seen");
    world.play(async {
        let bob = world.client("bob").await;
        let mut facts = facts_of(&bob, world, "alice").await;
        let (first, second) = (world.client("alice").await, world.client("alice").await);
        let (key, position, data) = told(&mut facts).await;
        assert_eq!((key.as_str(), data), ("reachability", online(true)));
        let seen = world.owner.get("/v1/Users/alice").is(200);
        assert_eq!((&seen["is_online"], &seen["is_notifiable"]), (&json!(true), &json!(null)));
        assert_eq!(seen["date_updated"], seen["date_created"]);
        let list = world.owner.get("/v1/Users").is(200);
        assert!(list["users"].as_array().unwrap().iter().all(|user| user["is_online"] == json!(null)));
        // The second connection is no news, and neither is its end.
        second.close().await;
        first.close().await;
        let app = Arc::clone(world.app());
        until(|| app.hub().counts().0 == 2).await;
        world.pass(9);
        assert_eq!(world.is_online("alice"), json!(true));
        // By the account's clock.
        app.db.clock.advance(AccountNumber(1), 1_000_000);
        assert_eq!(told(&mut facts).await, ("reachability".to_owned(), position + 1, online(false)));
        assert_eq!((world.is_online("alice"), world.is_online("bob")), (json!(false), json!(true)));
        let _again = world.client("alice").await;
        assert_eq!(told(&mut facts).await, ("reachability".to_owned(), position + 2, online(true)));
    });
}

fn a_reconnect_within_the_flicker_time_is_told_to_nobody(world: &World) {
    world.say_who_is_online("true");
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        until(|| world.is_online("alice") == true).await;
        let mut facts = facts_of(&bob, world, "alice").await;
        let position = facts.position(0);
        alice.close().await;
        world.pass(9);
        let mut alice = world.client("alice").await;
        for _ in 0..3 {
            world.pass(9);
            let next = world.client("alice").await;
            std::mem::replace(&mut alice, next).close().await;
        }
        world.pass(60);
        // The next thing that is told is told by somebody else, at the very next position.
        world.owner.post("/v1/Users/alice", &[("FriendlyName", "Alice")]).is(200);
        let (key, next, _) = told(&mut facts).await;
        assert_eq!((key.as_str(), next), ("friendlyName", position + 1));
        assert_eq!(world.is_online("alice"), json!(true));
    });
}

fn nothing_is_written_while_no_service_says_who_is_online(world: &World) {
    world.play(async {
        let clients: Vec<Client> = join_all((0..20).map(|number| {
            let name = format!("user {number}");
            async move { world.client(&name).await }
        }))
        .await;
        assert_eq!(world.app().presence.count(), 20);
        for client in clients {
            client.close().await;
        }
        until(|| world.app().presence.count() == 0).await;
        assert_eq!(world.leases(""), []);
        assert_eq!(world.is_online("user%203"), json!(null));
    });
}

fn a_service_may_begin_and_end_to_say_so_while_people_are_connected(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let mut facts = facts_of(&bob, world, "alice").await;
        world.say_who_is_online("true");
        let (key, position, data) = told(&mut facts).await;
        assert_eq!((key.as_str(), data), ("reachability", online(true)));
        assert_eq!(world.is_online("alice"), json!(true));
        world.say_who_is_online("false");
        assert_eq!(world.is_online("alice"), json!(null));
        let carol = world.client("carol").await;
        world.say_who_is_online("true");
        until(|| world.is_online("carol") == true).await;
        drop(carol);
        // Switching told nothing of alice; who is shown as online goes as ever, so that nothing stale stays.
        world.say_who_is_online("false");
        alice.close().await;
        until(|| world.app().hub().counts().0 <= 2).await;
        world.pass(11);
        assert_eq!(told(&mut facts).await, ("reachability".to_owned(), position + 1, online(false)));
        assert_eq!(world.is_online("alice"), json!(null));
    });
}

fn a_restart_shows_no_flicker_and_who_does_not_come_back_goes_offline(_: &World) {
    let folder = testkit::temp_dir();
    let world = World::in_folder(folder.path());
    world.say_who_is_online("true");
    world.play(async {
        let (_alice, _bob) = (world.client("alice").await, world.client("bob").await);
        until(|| world.is_online("alice") == true && world.is_online("bob") == true).await;
    });
    drop(world);
    // The next world begins at the same moment.
    let world = World::in_folder(folder.path());
    world.play(async {
        assert_eq!((world.is_online("alice"), world.is_online("bob")), (json!(true), json!(true)));
        let alice = world.client("alice").await;
        let mut own = facts_of(&alice, &world, "alice").await;
        let mut facts = facts_of(&alice, &world, "bob").await;
        let position = own.position(0);
        until(|| world.leases("").len() == 2).await;
        world.pass(9);
        assert_eq!(world.is_online("bob"), json!(true));
        world.pass(1);
        let (key, _, data) = told(&mut facts).await;
        assert_eq!((key.as_str(), data), ("reachability", online(false)));
        until(|| world.leases("").len() == 1).await;
        world.owner.post("/v1/Users/alice", &[("FriendlyName", "Alice")]).is(200);
        assert_eq!(told(&mut own).await.1, position + 1, "nothing was told of who came back");
    });
}

/// Notes visitors as a node does that is killed right after.
async fn killed_node(world: &World, visitors: Vec<Visitor>) {
    let app = world.app();
    let caller = Caller::system(AccountNumber(1), Caller::nobody().account_sid);
    let lease = Lease { node: "killed".into(), is_taken: false };
    let expires = app.db.clock.machine().plus_micros(30_000_000);
    let noted = app.db.perform(&caller, Arrive { lease, expires, visitors }).await.unwrap();
    assert_eq!(noted.map(|noted| noted.len()), Some(2));
}

fn users_of_a_node_that_was_killed_go_offline_unless_they_are_elsewhere(world: &World) {
    world.say_who_is_online("true");
    world.owner.post("/v1/Users", &[("Identity", "alice")]).is(201);
    world.play(async {
        let bob = world.client("bob").await;
        until(|| world.is_online("bob") == true).await;
        let mut facts = facts_of(&bob, world, "alice").await;
        let mut own = facts_of(&bob, world, "bob").await;
        let position = own.position(0);
        let mut visitors = vec![world.visitor("alice"), world.visitor("bob")];
        visitors.sort_unstable();
        killed_node(world, visitors).await;
        assert_eq!(told(&mut facts).await.2, online(true));
        world.pass(29);
        assert_eq!(world.is_online("alice"), json!(true));
        world.pass(1);
        assert_eq!(told(&mut facts).await.2, online(false));
        until(|| world.leases("").len() == 1).await;
        world.owner.post("/v1/Users/bob", &[("FriendlyName", "Bob")]).is(200);
        assert_eq!(told(&mut own).await.1, position + 1, "bob is connected here");
        assert_eq!(world.is_online("bob"), json!(true));
    });
}

fn a_node_that_was_taken_for_dead_begins_anew_without_a_flicker(world: &World) {
    world.say_who_is_online("true");
    world.play(async {
        let alice = world.client("alice").await;
        until(|| world.is_online("alice") == true).await;
        let mut own = facts_of(&alice, world, "alice").await;
        let position = own.position(0);
        let app = world.app();
        let end = EndLapsed { own: "another".into(), now: Timestamp::from_micros(i64::MAX) };
        app.db.perform(&Caller::nobody(), end).await.unwrap();
        let [(old, true)] = &world.leases("")[..] else { panic!("one ended lease") };
        world.pass(10);
        until(|| world.leases(old).len() == 1 && world.leases("").len() == 1).await;
        let [(new, false)] = &world.leases("")[..] else { panic!("one live lease") };
        assert_eq!(app.db.ask(&Caller::nobody(), PresencesOf(new.clone())).await.unwrap().len(), 1);
        world.owner.post("/v1/Users/alice", &[("FriendlyName", "Alice")]).is(200);
        assert_eq!(told(&mut own).await.1, position + 1);
    });
}

fn many_who_come_at_once_are_all_online(world: &World) {
    // More than one batch.
    let names: Vec<String> = (0..120).map(|number| format!("u{number}")).collect();
    world.say_who_is_online("true");
    world.play(async {
        let clients: Vec<Client> = join_all(names.iter().map(|name| world.client(name))).await;
        for name in &names {
            until(|| world.is_online(name) == true).await;
        }
        join_all(clients.into_iter().map(Client::close)).await;
        until(|| world.app().hub().counts().0 == 0).await;
        world.pass(10);
        until(|| world.app().presence.count() == 0).await;
        for name in &names {
            assert_eq!(world.is_online(name), json!(false));
        }
    });
}

fn deleting_who_is_connected_leaves_nothing_behind(world: &World) {
    world.say_who_is_online("true");
    world.play(async {
        let alice = world.client("alice").await;
        until(|| world.is_online("alice") == true).await;
        world.owner.delete("/v1/Users/alice").is(204);
        drop(alice);
        until(|| world.app().hub().counts().0 == 0).await;
        world.pass(10);
        until(|| world.app().presence.count() == 0).await;
        let leases = world.leases("");
        let [(node, false)] = &leases[..] else { panic!("{leases:?}") };
        let app = world.app();
        assert_eq!(app.db.ask(&Caller::nobody(), PresencesOf(node.clone())).await.unwrap(), []);
    });
}

#[test]
fn on_two_nodes_who_is_connected_to_either_is_online() {
    let Some([here, there]) = World::two_nodes("on_two_nodes_who_is_connected_to_either_is_online") else { return };
    here.say_who_is_online("true");
    crate::support::play(async {
        let (first, second) = (here.client("alice").await, there.client("alice").await);
        until(|| here.is_online("alice") == true && here.leases("").len() == 2).await;
        first.close().await;
        until(|| here.app().hub().counts().0 == 0).await;
        here.pass(10);
        until(|| here.app().presence.count() == 0).await;
        assert_eq!((here.is_online("alice"), there.is_online("alice")), (json!(true), json!(true)));
        second.close().await;
        until(|| there.app().hub().counts().0 == 0).await;
        there.pass(10);
        until(|| there.app().presence.count() == 0).await;
        assert_eq!((here.is_online("alice"), there.is_online("alice")), (json!(false), json!(false)));
    });
}
