//! `cargo xtask sim`: shows one seed, or runs many.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::process::ExitCode;

use tertulia_server::platform::ids::fresh_seed;
use tertulia_sim::{Plant, replay_command, run};

const USAGE: &str = "usage: sim SEED [--plant NAME] | sim --seeds N [--from SEED] [--plant NAME]\n\
                     plants: no-comparison, live-first, news-first, no-positions, deaf";

#[derive(Default)]
struct Wish {
    seed: Option<u64>,
    seeds: Option<u64>,
    from: Option<u64>,
    plant: Option<Plant>,
}

impl Wish {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut wish = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seeds" => wish.seeds = Some(arguments.next()?.parse().ok()?),
                "--from" => wish.from = Some(arguments.next()?.parse().ok()?),
                "--plant" => wish.plant = Some(Plant::parse(&arguments.next()?)?),
                seed => wish.seed = Some(seed.parse().ok()?),
            }
        }
        (wish.seed.is_some() != wish.seeds.is_some()).then_some(wish)
    }
}

fn main() -> ExitCode {
    let Some(wish) = Wish::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let failed = match (wish.seed, wish.seeds) {
        (Some(seed), _) => show(seed, wish.plant),
        (None, count) => many(wish.from.unwrap_or_else(fresh), count.unwrap_or(0), wish.plant),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn fresh() -> u64 {
    let seed = fresh_seed();
    u64::from_be_bytes([0, 0, seed[2], seed[3], seed[4], seed[5], seed[6], seed[7]])
}

fn show(seed: u64, plant: Option<Plant>) -> bool {
    let outcome = run(seed, plant, true);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    match &outcome.fault {
        None => println!("seed {seed}: all is well after {} steps, {} messages told", outcome.steps, outcome.told),
        Some(fault) => println!("seed {seed}: {fault}"),
    }
    outcome.fault.is_some()
}

fn many(from: u64, count: u64, plant: Option<Plant>) -> bool {
    let (mut failed, mut steps, mut told) = (0, 0, 0);
    for seed in from..from + count {
        let outcome = run(seed, plant, false);
        steps += outcome.steps;
        told += outcome.told;
        if let Some(fault) = outcome.fault {
            failed += 1;
            if failed <= 10 {
                let fault: String = fault.chars().take(300).collect();
                println!("{}\n    {fault}", replay_command(seed, plant));
            }
        }
    }
    println!("{count} seeds from {from}: {failed} failed; {steps} steps, {told} messages told");
    failed > 0
}
