//! Conversations' timers: what runs out is told, once, by the account's clock and over a restart.

use std::sync::Arc;

use serde_json::Value;
use tertulia_client::{Client, ObjectType, Sid, Subscription};
use tertulia_server::conversations::State;
use tertulia_server::conversations::commands::RunTimer;
use tertulia_server::migrations::MIGRATIONS;
use tertulia_server::platform::AccountNumber;
use tertulia_server::store::{Command, Engine, Failure, Settings, Silence, Sql, Store, Tx};

use super::{room, soon};
use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines!(
    a_quiet_conversation_becomes_inactive_and_is_closed_and_everybody_is_told,
    a_message_in_time_keeps_a_conversation_active_and_one_in_an_inactive_one_wakes_it,
    of_many_that_run_a_timer_one_changes_the_state,
    many_that_are_due_together_all_change,
);
on_sqlite!(
    what_was_due_while_the_server_was_down_is_done_at_the_start,
    timers_run_by_their_own_accounts_clock,
    default_timers_run_too,
    a_timer_that_was_taken_away_never_runs_out,
    timers_from_before_they_ran_are_taken_up,
);

/// A conversation with these timers that a client has joined, and what the client hears of its document.
async fn quiet_room(world: &World, alice: &Client, timers: &[(&str, &str)]) -> (String, Subscription) {
    let sid = room(alice, &[]).await;
    let path = format!("/v1/Conversations/{sid}");
    world.owner.post(&path, timers).is(200);
    let document = alice.subscribe(&[(&format!("{sid}.channel"), ObjectType::Document)]).await.unwrap();
    (path, document)
}

async fn next_state(document: &mut Subscription) -> Value {
    let change = soon(document.next()).await.unwrap();
    let data: Value = serde_json::from_slice(&change.data).unwrap();
    data["state"].clone()
}

/// Waits until a conversation is in this state.
async fn becomes(world: &World, path: &str, state: &str) {
    soon(async {
        while world.owner.get(path).is(200)["state"] != state {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn a_quiet_conversation_becomes_inactive_and_is_closed_and_everybody_is_told(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let timers = [("Timers.Inactive", "PT1M"), ("Timers.Closed", "PT10M")];
        let (path, mut document) = quiet_room(world, &alice, &timers).await;
        world.pass(60);
        let state = next_state(&mut document).await;
        assert_eq!(state["current"], "inactive");
        assert_eq!(state["dateUpdated"], "2026-01-02T03:05:05.678Z");
        let seen = world.owner.get(&path).is(200);
        assert_eq!((&seen["state"], &seen["date_updated"]), (&"inactive".into(), &"2026-01-02T03:05:05Z".into()));
        // Counted from the last activity, which the timer's own change is none of.
        assert_eq!(seen["timers"], serde_json::json!({"date_closed": "2026-01-02T03:14:05Z"}));
        world.pass(540);
        assert_eq!(next_state(&mut document).await["current"], "closed");
        let seen = world.owner.get(&path).is(200);
        assert_eq!((&seen["state"], &seen["timers"]), (&"closed".into(), &serde_json::json!({})));
        world.owner.post(&format!("{path}/Messages"), &[("Body", "x")]).refuses(400, 50377);
    });
}

fn a_message_in_time_keeps_a_conversation_active_and_one_in_an_inactive_one_wakes_it(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let (path, mut document) = quiet_room(world, &alice, &[("Timers.Inactive", "PT1M")]).await;
        world.pass(59);
        world.owner.post(&format!("{path}/Messages"), &[("Body", "in time")]).is(201);
        assert_eq!(next_state(&mut document).await["current"], "active");
        world.pass(59);
        world.owner.post(&format!("{path}/Messages"), &[("Body", "in time, too")]).is(201);
        assert_eq!(next_state(&mut document).await["current"], "active");
        world.pass(60);
        assert_eq!(next_state(&mut document).await["current"], "inactive");
        world.owner.post(&format!("{path}/Messages"), &[("Body", "awake")]).is(201);
        assert_eq!(next_state(&mut document).await["current"], "active");
        world.pass(60);
        assert_eq!(next_state(&mut document).await["current"], "inactive");
    });
}

fn of_many_that_run_a_timer_one_changes_the_state(world: &World) {
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Closed", "PT10M")])));
    let (app, caller) = (Arc::clone(world.app()), world.system());
    let conversation = Sid::parse(path.rsplit('/').next().unwrap()).unwrap();
    let run = || futures_util::future::join_all((0..8).map(|_| app.db.perform(&caller, RunTimer(conversation))));
    // Too early, nothing happens.
    let before = world.position(&path);
    world.play(run()).into_iter().for_each(|ran| ran.unwrap());
    assert_eq!(world.position(&path), before);
    world.pass(600);
    world.play(run()).into_iter().for_each(|ran| ran.unwrap());
    assert_eq!(world.position(&path), before + 1, "closed once");
    assert_eq!(world.owner.get(&path).is(200)["state"], "closed");
}

fn many_that_are_due_together_all_change(world: &World) {
    // More than one batch.
    let paths: Vec<String> = (0..120)
        .map(|_| format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT1M")]))))
        .collect();
    world.pass(61);
    world.play(async {
        for path in &paths {
            becomes(world, path, "inactive").await;
        }
    });
}

fn what_was_due_while_the_server_was_down_is_done_at_the_start(_: &World) {
    let folder = testkit::temp_dir();
    let world = World::in_folder(folder.path());
    // The next world begins where this one did: an hour later than this.
    world.pass(-3600);
    let timers = [("Timers.Inactive", "PT1M"), ("Timers.Closed", "PT10M")];
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&timers)));
    let other = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT2H")])));
    let before = world.position(&path);
    drop(world);
    let world = World::in_folder(folder.path());
    world.play(becomes(&world, &path, "closed"));
    assert_eq!(world.position(&path), before + 2, "first inactive, then closed");
    assert_eq!(world.owner.get(&other).is(200)["state"], "active");
}

fn timers_run_by_their_own_accounts_clock(world: &World) {
    let own = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT1M")])));
    let foreign = world.tenant.post("/v1/Conversations", &[("Timers.Inactive", "PT1M")]).is(201);
    let foreign = format!("/v1/Conversations/{}", sid(&foreign));
    world.app().db.clock.advance(AccountNumber(1), 60_000_000);
    world.play(becomes(world, &own, "inactive"));
    assert_eq!(world.tenant.get(&foreign).is(200)["state"], "active");
    world.pass(60);
    world.play(soon(async {
        while world.tenant.get(&foreign).is(200)["state"] != "inactive" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }));
}

fn default_timers_run_too(world: &World) {
    world.owner.post("/v1/Configuration", &[("DefaultInactiveTimer", "PT1M")]).is(200);
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
    world.pass(60);
    world.play(becomes(world, &path, "inactive"));
}

fn a_timer_that_was_taken_away_never_runs_out(world: &World) {
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT1M")])));
    let deleted = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT1M")])));
    let runs = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT1M")])));
    world.owner.post(&path, &[("Timers.Inactive", "PT0S")]).is(200);
    world.owner.delete(&deleted).is(204);
    world.pass(60);
    world.play(becomes(world, &runs, "inactive"));
    assert_eq!(world.owner.get(&path).is(200)["state"], "active");
}

/// A conversation as the first version of the schema had it.
struct Old(&'static str);

impl Command for Old {
    type Out = ();
    type Refusal = Failure;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        static INSERT: Sql = Sql::new(
            "INSERT INTO conversations (account, sid, service_sid, attributes, state, state_since, inactive_timer, \
             closed_timer, created_by, created, updated, position, last_index, active_at, messages_count, purged) \
             VALUES (1, $1, 'IS00000000000000000000000000000001', '{}', 'active', 0, $2, NULL, 'system', 0, 0, 0, -1, 0, 0, 0)",
        );
        tx.execute(&INSERT, &["CH00000000000000000000000000000001".into(), self.0.into()]).await?;
        Ok(())
    }
}

fn timers_from_before_they_ran_are_taken_up(_: &World) {
    let folder = testkit::temp_dir();
    crate::support::play(async {
        let engine = Engine::Sqlite { folder: folder.path().to_owned() };
        let store = Store::open(Settings::new(engine, &MIGRATIONS[..1], Arc::new(Silence), 0)).await.unwrap();
        store.write(Old("PT1M")).await.unwrap();
        store.close().await;
    });
    let world = World::in_folder(folder.path());
    let is_taken_up = || world.row("/CH00000000000000000000000000000001").state == State::Inactive;
    for _ in 0..500 {
        if is_taken_up() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("an old timer did not run within five seconds");
}
