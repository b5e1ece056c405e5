//! Websockets that begin something and do not go on: each is closed in its time. `stalled.rs` has those who do not
//! read, `../port.rs` what is no websocket.

use std::time::Duration;

use testkit::Wire;

use super::{address, soon};
use crate::support::World;

fn hurried() -> World {
    World::sqlite_with(|config| config.realtime.ping_seconds = 1)
}

#[test]
fn who_never_says_who_they_are_is_let_go_though_they_answer_pings() {
    let world = hurried();
    world.play(async {
        let mut wire = Wire::open(address(&world), None).await.unwrap();
        let left = async {
            loop {
                // Its time may begin only after it was let in, and so after the clock has moved.
                world.pass(21);
                tokio::select! {
                    left = wire.receive() => return left,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        };
        assert!(matches!(soon(left).await, Ok(None)), "twenty seconds are enough for an init");
    });
}

/// The head of a message of 60,000 bytes, with a mask of zeros.
const HEAD: [u8; 8] = [0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0];

/// What comes slowly enough never becomes a message, and only a message is a sign of life.
async fn trickle(world: &World, mut wire: Wire) {
    wire.write(&HEAD).await.unwrap();
    let slowly = async {
        while wire.write(b"T").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(slowly).await;
    assert!(matches!(soon(wire.receive()).await, Ok(None) | Err(_)));
    assert_eq!(world.app().hub().counts().0, 0);
}

#[test]
fn a_message_that_comes_too_slowly_is_not_waited_for() {
    let world = hurried();
    world.play(async {
        let mut wire = Wire::open(address(&world), None).await.unwrap();
        wire.init(&world.token("ana")).await.unwrap();
        trickle(&world, wire).await;
        // Before its init nobody knows whose it is, and it takes as little.
        trickle(&world, Wire::open(address(&world), None).await.unwrap()).await;
    });
}
