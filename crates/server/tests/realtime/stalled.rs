//! Readers that stop reading, a thousand of them: they are disconnected, what waits for them is bounded,
//! nobody beside them notices, and they catch up when they are back. And those who come all at once.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use testkit::Wire;

use super::{address, bodies, entry, room, soon};
use crate::support::World;

/// Sockets that never read again.
const STALLED: usize = 1000;
/// What may wait for all of them together.
const ROOM: usize = 8 << 20;
/// Packets that may wait for one of them.
const PACKETS: usize = 64;
/// Each message is two packets of more than 4000 bytes for each reader. That fits neither into a mailbox nor into
/// what the kernel's buffers (some 40 KB) take before.
const MESSAGES: usize = PACKETS;

#[test]
fn a_thousand_stalled_readers_are_let_go_within_bounds_and_catch_up() {
    let world = World::sqlite_with(|config| {
        config.realtime.mailbox_packets_max = PACKETS;
        config.realtime.mailboxes_bytes_max = ROOM;
        config.http.send_buffer_bytes = 16 * 1024;
        config.http.upgrades_per_second = 0;
    });
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let sid = room(&alice, &["bob"]).await;
        let mut healthy = bob.conversation(sid).await.unwrap();
        let known = healthy.position();
        let before = world.app().hub().counts().0;

        let entries = [entry("ES", "list", sid.as_str()), entry("ET", "document", sid.as_str())];
        let mut stalled = Vec::new();
        for _ in 0..STALLED / 50 {
            let some = (0..50).map(|_| async {
                let mut wire = Wire::enter(address(&world), Some(4096), &world.token("bob")).await?;
                wire.subscribe(&entries).await.map(|_| wire)
            });
            stalled.extend(try_join_all(some).await.unwrap());
        }
        assert_eq!(world.app().hub().counts().0, before + 3 * STALLED, "two objects each, and the server's own look");

        let text = "x".repeat(4000);
        let mut heard = Vec::new();
        let taken = || world.app().mailroom.taken();
        for number in 0..MESSAGES {
            soon(alice.send(sid, &format!("{number} {text}"))).await.unwrap();
            // However slow the machine: the quick one is never far behind.
            heard.extend(bodies(&mut healthy, 1).await);
            // A post is counted before the fullest are given up for it: one packet for each, at most.
            assert!(taken() <= ROOM + STALLED * 5000, "{} bytes wait", taken());
        }
        // All of them are given up by now. How soon a thousand connections have their turn is the machine's business.
        let left = async {
            while world.app().hub().counts().0 > before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(left).await;
        assert_eq!(taken(), 0, "nothing waits for those who were let go");
        let all: Vec<String> = (0..MESSAGES).map(|number| format!("{number} {text}")).collect();
        assert!(heard.into_iter().map(|(_, body)| body).eq(all.iter().cloned()), "the quick one hears all, in order");

        // The stalled ones have been closed, whatever they find in their sockets first.
        let ended = join_all(stalled.iter_mut().map(|wire| async { while let Ok(Some(_)) = wire.receive().await {} }));
        soon(ended).await;
        drop(stalled);
        let back = world.client("bob").await;
        let mut back = back.conversation_after(sid, known).await.unwrap();
        let heard = bodies(&mut back, MESSAGES).await;
        assert!(heard.into_iter().map(|(_, body)| body).eq(all), "who comes back hears all, in order");
    });
}

/// A reader that is given up cannot take its farewell; the server must not go on serving it meanwhile.
#[test]
fn who_is_too_slow_is_let_go_before_the_farewell_is_taken() {
    let world = World::sqlite_with(|config| {
        config.realtime.mailbox_packets_max = 4;
        config.http.send_buffer_bytes = 16 * 1024;
    });
    world.play(async {
        let alice = world.client("alice").await;
        let sid = room(&alice, &["bob"]).await;
        let before = world.app().hub().counts().0;
        let mut wire = Wire::enter(address(&world), Some(4096), &world.token("bob")).await.unwrap();
        wire.subscribe(&[entry("ES", "list", sid.as_str())]).await.unwrap();
        let text = "x".repeat(30_000);
        let mut sent = 0;
        // The farewell is waited for during two seconds; a message takes some milliseconds.
        while world.app().hub().counts().0 > before {
            assert!(sent < 200, "after {sent} messages it is still served");
            soon(alice.send(sid, &text)).await.unwrap();
            sent += 1;
        }
        drop(wire);
    });
}

#[test]
fn who_reads_nothing_is_let_go_even_when_nothing_happens() {
    let world = World::sqlite_with(|config| config.realtime.ping_seconds = 1);
    world.play(async {
        let wire = Wire::enter(address(&world), Some(4096), &world.token("alice")).await.unwrap();
        assert_eq!(world.app().hub().counts().0, 1);
        // Its kernel takes the pings in; it never answers one.
        let gone = async {
            while world.app().hub().counts().0 > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(gone).await;
        drop(wire);
    });
}

#[test]
fn a_storm_waits_before_its_upgrades_and_whoever_is_too_many_comes_again() {
    let world = World::sqlite_with(|config| {
        config.http.upgrades_per_second = 20;
        config.http.upgrade_wait_seconds = 1;
    });
    world.play(async {
        let came = join_all((0..100).map(|_| Wire::open(address(&world), None))).await;
        let (let_in, refused): (Vec<_>, Vec<_>) = came.into_iter().partition(Result::is_ok);
        assert!((40..80).contains(&let_in.len()), "a burst and a second's worth, not {}", let_in.len());
        for refusal in refused {
            assert_eq!(refusal.unwrap_err().to_string(), "HTTP/1.1 503 Service Unavailable");
        }
        assert_eq!(world.app().gate.waiting(), 0);
    });
}

#[test]
fn who_goes_away_while_waiting_frees_the_place() {
    let world = World::sqlite_with(|config| {
        config.http.upgrades_per_second = 1;
        config.http.upgrade_wait_seconds = 20;
    });
    world.play(async {
        let first = Wire::open(address(&world), None).await.unwrap();
        let waiting = async {
            while world.app().gate.waiting() < 18 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let others = join_all((0..18).map(|_| Wire::open(address(&world), None)));
        tokio::select! {
            _ = others => panic!("one a second is let in"),
            () = waiting => {}
        }
        let gone = async {
            while world.app().gate.waiting() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(gone).await;
        // Had they kept their places, each would have had its turn and become a connection.
        let connections = world.app().next_connection() - 1;
        assert!(connections < 10, "{connections} were let in");
        drop(first);
    });
}

#[test]
fn a_server_that_goes_away_lets_nobody_wait() {
    let mut world = World::sqlite_with(|config| {
        config.http.upgrades_per_second = 1;
        config.http.upgrade_wait_seconds = 20;
    });
    crate::support::play(async {
        let first = Wire::open(address(&world), None).await.unwrap();
        let place = address(&world).to_owned();
        let waiting = tokio::spawn(async move { join_all((0..5).map(|_| Wire::open(&place, None))).await });
        while world.app().gate.waiting() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.stop().await;
        for came in soon(waiting).await.unwrap() {
            if let Err(refusal) = came {
                assert_eq!(refusal.to_string(), "HTTP/1.1 503 Service Unavailable");
            }
        }
        drop(first);
    });
}
