//! How often somebody may ask: so many times a minute, by any name.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use tertulia_protocol::Timestamp;

/// Names that are remembered at most.
const NAMES_MAX: usize = 100_000;
const MINUTE: i64 = 60_000_000;

/// Counts by name. All of a minute's requests may come at once; what is spent comes back evenly.
#[derive(Debug)]
pub struct Rate<K> {
    per_minute: u32,
    /// Until when a name's requests are paid for, in microseconds.
    paid_until: Mutex<HashMap<K, i64>>,
}

impl<K: Hash + Eq> Rate<K> {
    /// So many a minute; 0: no bound.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, paid_until: Mutex::default() }
    }

    /// Counts one request, or says in how many seconds there is room for it.
    pub fn take(&self, name: K, now: Timestamp) -> Result<(), i64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let (now, each) = (now.micros(), MINUTE / i64::from(self.per_minute));
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        if paid_until.len() >= NAMES_MAX && !paid_until.contains_key(&name) {
            paid_until.retain(|_, until| *until > now);
            // So many names at once are an attack; forgetting them all is a bound, too.
            if paid_until.len() >= NAMES_MAX {
                paid_until.clear();
            }
        }
        // A clock that was set back gives nobody a longer wait than a minute.
        let until = paid_until.get(&name).map_or(now, |until| (*until).clamp(now, now + MINUTE)) + each;
        let over = until - now - MINUTE;
        if over > 0 {
            return Err((over + 999_999) / 1_000_000);
        }
        paid_until.insert(name, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_and_room_comes_back_evenly() {
        let rate = Rate::new(6);
        let at = Timestamp::from_seconds;
        for _ in 0..6 {
            assert_eq!(rate.take("ana", at(100)), Ok(()));
        }
        assert_eq!(rate.take("ana", at(100)), Err(10));
        assert_eq!(rate.take("bob", at(100)), Ok(()));
        assert_eq!(rate.take("ana", at(109)), Err(1));
        assert_eq!(rate.take("ana", at(110)), Ok(()));
        assert_eq!(rate.take("ana", at(110)), Err(10));
        // A clock that is set back.
        assert_eq!(rate.take("ana", at(50)), Err(10));
        assert_eq!(Rate::new(0).take("ana", at(0)), Ok(()));
    }

    #[test]
    fn names_are_bounded() {
        let rate = Rate::new(1);
        for name in 0..NAMES_MAX + 10 {
            let _ = rate.take(name, Timestamp::from_seconds(0));
        }
        assert!(rate.paid_until.lock().unwrap().len() <= NAMES_MAX);
    }
}
