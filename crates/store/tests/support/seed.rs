//! Chance has a seed, and the seed is printed.

use std::hash::{BuildHasher as _, RandomState};

/// A seed for this test: from `TERTULIA_TEST_SEED`, otherwise fresh. It is printed, and shown when
/// the test fails.
pub(crate) fn seed(test: &str) -> u64 {
    let given = std::env::var("TERTULIA_TEST_SEED").ok();
    let given = given.map(|seed| seed.parse().expect("TERTULIA_TEST_SEED is a number"));
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(test));
    #[expect(clippy::print_stdout, reason = "the harness shows it when the test fails")]
    {
        println!("seed of {test}: TERTULIA_TEST_SEED={seed}");
    }
    seed
}
