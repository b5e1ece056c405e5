//! The realtime gateway under simulation: the server's own hub, mailbox, session and procedure of
//! subscribing and the Rust client's own core, with virtual time, two nodes, and a bus that delays, reorders, repeats and drops.
//!
//! Everything that happens in a run follows from its seed. Nodes die between commit and publication,
//! sockets are cut, readers are slow, snapshots are old when they are used. When all has come to rest,
//! every client must hold what the store holds for it; on the way it must never be told a thing twice,
//! out of order, before its subscription stands, or after the right to read was lost.
//!
//! Some of the clients are a model of the official SDK, some the Rust client's own core with a reader, and
//! a user may have both.
//!
//! The drivers are here ([`connection`], [`node`], [`client`]), the rules they drive in the server and in the
//! client's core, without a branch for tests. Faults can be planted into the drivers ([`Plant`]), to see that
//! the checks find them. Reading order: [`run`], [`world`], [`connection`], [`device`], [`client`], [`checks`].

pub mod app;
pub mod chance;
pub mod checks;
pub mod client;
pub mod connection;
pub mod device;
pub mod node;
pub mod plant;
pub mod reads;
pub mod rows;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use client::Fault;
pub use plant::Plant;
use world::World;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The fault that was found, if one was.
    pub fault: Option<Fault>,
    /// How much happened.
    pub steps: usize,
    /// Messages that clients were told of as new.
    pub told: usize,
    /// What happened when, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs the world of a seed to its end.
pub fn run(seed: u64, plant: Option<Plant>, traced: bool) -> Outcome {
    let mut world = World::new(seed, plant, traced);
    let mut steps = 0;
    // A panic is a fault like others: it must name its seed.
    let ended = catch_unwind(AssertUnwindSafe(|| to_the_end(&mut world, &mut steps)));
    let fault = ended.unwrap_or_else(|_| Err("it panicked".to_owned())).err();
    let told = world.clients.iter().map(|(client, _)| client.told()).sum();
    Outcome { fault, steps, told, trace: world.take_trace() }
}

fn to_the_end(world: &mut World, steps: &mut usize) -> Result<(), Fault> {
    world.begin();
    *steps += world.run_to_rest()?;
    world.check_holes()?;
    if world.weather.loss > 0 {
        // What the bus lost in silence, and after which nothing more came, only a sweep can find.
        (0..world.nodes.len()).for_each(|node| world.sweep(node));
        *steps += world.run_to_rest()?;
    }
    world.check()?;
    world.leave_all();
    *steps += world.run_to_rest()?;
    world.check_empty()
}

/// The command that shows what happened in a seed.
pub fn replay_command(seed: u64, plant: Option<Plant>) -> String {
    let plant = plant.map_or_else(String::new, |plant| format!(" --plant {}", plant.name()));
    format!("cargo xtask sim {seed}{plant}")
}
