//! Thousands of seeds without a planted fault, and each plant caught.
//!
//! Half of the seeds are the same every time, half are fresh. A seed that fails is named with the command that shows
//! what happened in it.

#![expect(clippy::print_stdout, reason = "a failing test says which seeds it tried")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tertulia_server::platform::ids::fresh_seed;
use tertulia_sim::{Outcome, Plant, replay_command, run};

/// Seeds within which a plant must be caught.
const SEEDS: u64 = 1000;
/// Seeds that are the same every time.
const KNOWN: u64 = 1000;
/// Fresh ones.
const FRESH: u64 = 1000;

/// The first fault among the seeds from one on, with as many threads as there are processors.
fn first_fault(from: u64, count: u64, plant: Option<Plant>) -> Option<(u64, Outcome)> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let is_found = AtomicBool::new(false);
    let search = |first: u64| {
        let seeds = (first..count).step_by(usize::try_from(threads).unwrap_or(1));
        let mut seeds = seeds.take_while(|_| !is_found.load(Ordering::Relaxed)).map(|seed| from + seed);
        seeds.find_map(|seed| {
            let outcome = run(seed, plant, false);
            outcome.fault.is_some().then(|| {
                is_found.store(true, Ordering::Relaxed);
                (seed, outcome)
            })
        })
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || search(first))).collect();
        running
            .into_iter()
            .filter_map(|thread| thread.join().expect("a panic in a seed is caught"))
            .min_by_key(|(seed, _)| *seed)
    })
}

#[track_caller]
fn all_is_well(from: u64, count: u64) {
    if let Some((seed, outcome)) = first_fault(from, count, None) {
        panic!("{}\nsee what happened with: {}", outcome.fault.unwrap_or_default(), replay_command(seed, None));
    }
}

#[track_caller]
fn is_caught(plant: Plant) {
    assert!(first_fault(0, SEEDS, Some(plant)).is_some(), "{} was not found in {SEEDS} seeds", plant.name());
}

#[test]
fn known_seeds_end_with_the_stores_state_told_once_and_in_order() {
    all_is_well(0, KNOWN);
}

#[test]
fn fresh_seeds_end_with_the_stores_state_told_once_and_in_order() {
    let seed = fresh_seed();
    // Short enough to be typed again.
    let from = u64::from(u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]));
    println!("seeds from {from} on");
    all_is_well(from, FRESH);
}

#[test]
fn going_live_without_the_comparison_is_caught() {
    is_caught(Plant::NoComparison);
}

#[test]
fn live_before_established_is_caught() {
    is_caught(Plant::LiveFirst);
}

#[test]
fn publication_before_the_commit_is_caught() {
    is_caught(Plant::NewsFirst);
}

#[test]
fn a_core_that_forgets_its_positions_is_caught() {
    is_caught(Plant::NoPositions);
}

#[test]
fn a_socket_that_is_not_read_while_pages_are_held_is_caught() {
    is_caught(Plant::Deaf);
}

#[test]
fn a_seed_is_the_same_world_again() {
    let mut told = 0;
    for seed in 0..8 {
        let [one, two] = [run(seed, None, true), run(seed, None, true)];
        assert_eq!(one.trace, two.trace);
        assert!(one.trace.len() > 100);
        told += one.told;
    }
    assert!(told > 0);
}
