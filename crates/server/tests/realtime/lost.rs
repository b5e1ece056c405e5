//! News that are lost on their way to the hub, and nothing comes after them that would show it.

use std::sync::Arc;

use bytes::Bytes;
use tertulia_client::{Client, Conversation};
use tertulia_server::accounts::commands::FindAccount;
use tertulia_server::platform::Caller;
use tertulia_server::realtime::bus::{self, LocalFeed};
use tertulia_server::realtime::news::{kind, talk};
use tertulia_server::realtime::objects::ReplayStream;
use tertulia_server::store::{Command, Failure, News, Publish, Sql, StreamId, Tx};

use super::{bodies, room};
use crate::support::{World, on_both_engines, on_sqlite};

on_both_engines!(what_a_full_bus_drops_is_read_from_the_store);
on_sqlite!(a_stream_that_could_not_be_read_is_read_later);

/// Bob hears of what alice says there, but for the first message: its news are dropped, and no more come.
async fn unheard(world: &World) -> (Client, StreamId, Conversation) {
    let (alice, bob) = (world.client("alice").await, world.client("bob").await);
    let sid = room(&alice, &["bob"]).await;
    let heard = bob.conversation(sid).await.unwrap();
    let fault = [("Kind", "drop-event"), ("Stream", "talk"), ("Times", "0")];
    let fault = world.owner.post("/tertulia/v1/Faults", &fault).is(201);
    alice.send(sid, "lost").await.unwrap();
    let path = format!("/tertulia/v1/Faults/{}", fault["id"]);
    assert_eq!(world.owner.get(&path).is(200)["hits"], 1);
    world.owner.delete(&path).is(204);
    // Bob stays connected as long as his conversation is held.
    (alice, talk(sid), heard)
}

/// A bus that is full, and then is told of this stream.
fn overflowing(stream: StreamId) -> LocalFeed {
    let (bus, feed) = bus::local();
    let piece = |stream| News { stream, after: 0, upto: 1, events: Bytes::new() };
    // Of somebody whom nobody watches; one more batch than may wait, however many that are.
    for _ in 0..=bus::WAITING_MAX {
        bus.publish(vec![piece(StreamId { kind: kind::INFO, key: 1 })]);
    }
    bus.publish(vec![piece(stream)]);
    feed
}

fn what_a_full_bus_drops_is_read_from_the_store(world: &World) {
    world.play(async {
        let (_alice, stream, mut heard) = unheard(world).await;
        let feed = overflowing(stream);
        tokio::spawn(bus::feed(Arc::clone(world.app()), feed));
        assert_eq!(bodies(&mut heard, 1).await, [(0, "lost".to_owned())]);
    });
}

fn the_sweep_finds_what_nobody_told(world: &World) {
    world.play(async {
        let (_alice, _, mut heard) = unheard(world).await;
        assert_eq!(bodies(&mut heard, 1).await, [(0, "lost".to_owned())]);
    });
}

#[test]
fn the_sweep_finds_what_nobody_told_on_both_engines() {
    the_sweep_finds_what_nobody_told(&World::sqlite_with(|config| config.realtime.sweep_seconds = 1));
    let name = "the_sweep_finds_what_nobody_told";
    if let Some(world) = World::postgres_with(name, |config| config.realtime.sweep_seconds = 1) {
        the_sweep_finds_what_nobody_told(&world);
    }
}

/// Takes the messages away, or gives them back.
struct Rename(&'static Sql);

static AWAY: Sql = Sql::new("ALTER TABLE messages RENAME TO messages_away");
static BACK: Sql = Sql::new("ALTER TABLE messages_away RENAME TO messages");

impl Command for Rename {
    type Out = ();
    type Refusal = Failure;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        tx.execute(self.0, &[]).await?;
        Ok(())
    }
}

fn a_stream_that_could_not_be_read_is_read_later(world: &World) {
    world.play(async {
        let (_alice, stream, mut heard) = unheard(world).await;
        let app = world.app();
        let found = FindAccount(world.account.parse().unwrap());
        let found = app.db.ask(&Caller::nobody(), found).await.unwrap().unwrap();
        let (account, sid) = (found.number, found.sid);
        app.db.store.write(Rename(&AWAY)).await.unwrap();
        let need = app.hub().doubt(stream);
        assert!(need.is_some(), "a stream that somebody watches");
        bus::follow(app, need);
        // Questions that come later are refused, and so was that one.
        for _ in 0..20 {
            let caller = Caller::system(account, sid);
            assert!(app.db.ask(&caller, ReplayStream { stream, after: 0 }).await.is_err());
        }
        app.db.store.write(Rename(&BACK)).await.unwrap();
        assert_eq!(bodies(&mut heard, 1).await, [(0, "lost".to_owned())]);
    });
}
