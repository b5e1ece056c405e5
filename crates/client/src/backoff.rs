//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits between attempts to connect: each is twice the one before, within bounds, and a little longer or
/// shorter by chance, so that thousands of clients of one server do not come back in one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// By how many percent chance may lengthen or shorten a wait.
    pub jitter_percent: u8,
}

impl Default for Backoff {
    /// As the official SDK does: 1 second to 2 minutes, 20 percent.
    fn default() -> Self {
        Self { min: Duration::from_secs(1), max: Duration::from_secs(120), jitter_percent: 20 }
    }
}

/// The waits of one client.
#[derive(Debug)]
pub(super) struct Waits {
    backoff: Backoff,
    chance: u64,
    /// Attempts that failed since the last connection that was of use.
    failures: u32,
    last: Duration,
}

impl Waits {
    pub(super) fn new(backoff: Backoff, seed: u64) -> Self {
        Self { backoff, chance: seed, failures: 0, last: Duration::ZERO }
    }

    /// How long to wait now; the server may have asked for more.
    pub(super) fn next(&mut self, at_least: Duration) -> Duration {
        let Backoff { min, max, jitter_percent } = self.backoff;
        let doubled = min.max(at_least).saturating_mul(1 << self.failures.min(20)).min(max.max(min));
        self.failures = self.failures.saturating_add(1);
        let percent = u32::from(jitter_percent.min(100));
        // 100 - p … 100 + p, in steps of a tenth.
        let steps = percent * 20 + 1;
        let tenths = 1000 - percent * 10 + u32::try_from(self.draw() % u64::from(steps)).unwrap_or(0);
        // A server's wish is a floor.
        self.last = (doubled.saturating_mul(tenths) / 1000).max(at_least.min(max));
        self.last
    }

    /// A connection lived for so long. One that is cut at once again was of no use: without this, a server
    /// that breaks right behind the door would be asked every second by everybody.
    pub(super) fn lived(&mut self, time: Duration) {
        if time >= self.last {
            self.failures = 0;
        }
    }

    /// splitmix64: small, and the same everywhere.
    pub(super) fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(wait: Duration) -> f64 {
        wait.as_secs_f64()
    }

    #[test]
    fn waits_double_up_to_the_longest_and_chance_moves_each_a_little() {
        for seed in 0..50 {
            let mut waits = Waits::new(Backoff::default(), seed);
            for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0] {
                let wait = seconds(waits.next(Duration::ZERO));
                assert!((expected * 0.799..=expected * 1.201).contains(&wait), "seed {seed}: {expected} {wait}");
            }
            waits.lived(Duration::from_secs(1));
            assert!(seconds(waits.next(Duration::ZERO)) > 90.0, "seed {seed}: it was cut at once");
            waits.lived(Duration::from_secs(200));
            assert!(seconds(waits.next(Duration::ZERO)) < 1.3, "seed {seed}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits_and_another_one_others() {
        let waits = |seed| {
            let mut waits = Waits::new(Backoff::default(), seed);
            [waits.next(Duration::ZERO), waits.next(Duration::ZERO), waits.next(Duration::ZERO)]
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_server_may_ask_for_more_up_to_the_longest() {
        let mut waits = Waits::new(Backoff::default(), 7);
        assert!(seconds(waits.next(Duration::from_secs(30))) >= 30.0);
        assert!(waits.next(Duration::from_secs(4000)) >= Duration::from_secs(120));
        let none = Backoff { min: Duration::ZERO, max: Duration::ZERO, jitter_percent: 255 };
        assert_eq!(Waits::new(none, 7).next(Duration::ZERO), Duration::ZERO);
    }
}
