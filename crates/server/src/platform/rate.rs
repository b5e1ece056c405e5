//! How often somebody may ask: so many times a minute or a second, by any name.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use tertulia_protocol::Timestamp;

/// Names that are remembered at most.
const NAMES_MAX: usize = 100_000;
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

/// Counts by name. A whole burst may come at once; what is spent comes back evenly.
#[derive(Debug)]
pub struct Rate<K> {
    /// What one request takes, in microseconds; 0: no bound.
    each: i64,
    /// What a burst takes.
    burst: i64,
    /// Until when a name's requests are paid for, in microseconds.
    paid_until: Mutex<HashMap<K, i64>>,
}

impl<K: Hash + Eq> Rate<K> {
    /// So many a minute, which may all come at once; 0: no bound.
    pub fn per_minute(count: u32) -> Self {
        Self::new(MINUTE, count, count)
    }

    /// So many a second after a burst; 0: no bound.
    pub fn per_second(count: u32, burst: u32) -> Self {
        Self::new(SECOND, count, burst.max(1))
    }

    fn new(time: i64, count: u32, burst: u32) -> Self {
        let each = if count == 0 { 0 } else { (time / i64::from(count)).max(1) };
        Self { each, burst: each * i64::from(burst), paid_until: Mutex::default() }
    }

    /// Counts one request, or says in how many seconds there is room for it.
    pub fn take(&self, name: K, now: Timestamp) -> Result<(), i64> {
        if self.each == 0 {
            return Ok(());
        }
        let now = now.micros();
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = self.until_with_one(paid_until.get(&name), now)?;
        if paid_until.len() >= NAMES_MAX && !paid_until.contains_key(&name) {
            paid_until.retain(|_, until| *until > now);
            // So many names at once are an attack; forgetting them all is a bound, too.
            if paid_until.len() >= NAMES_MAX {
                paid_until.clear();
            }
        }
        paid_until.insert(name, until);
        Ok(())
    }

    /// Says what [`Rate::take`] would, and counts nothing.
    pub fn look(&self, name: &K, now: Timestamp) -> Result<(), i64> {
        if self.each == 0 {
            return Ok(());
        }
        let paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        self.until_with_one(paid_until.get(name), now.micros()).map(drop)
    }

    /// A clock that was set back gives nobody a longer wait than a burst.
    fn until_with_one(&self, until: Option<&i64>, now: i64) -> Result<i64, i64> {
        let until = until.map_or(now, |until| (*until).clamp(now, now + self.burst)) + self.each;
        let over = until - now - self.burst;
        if over > 0 { Err((over + SECOND - 1) / SECOND) } else { Ok(until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_and_room_comes_back_evenly() {
        let rate = Rate::per_minute(6);
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
        assert_eq!(Rate::per_minute(0).take("ana", at(0)), Ok(()));
    }

    #[test]
    fn a_second_has_so_many_after_a_burst() {
        let rate = Rate::per_second(2, 3);
        let at = |micros| Timestamp::from_seconds(100).plus_micros(micros);
        assert_eq!([(); 4].map(|()| rate.take("ana", at(0))), [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!(rate.look(&"ana", at(499_999)), Err(1));
        assert_eq!(rate.look(&"ana", at(500_000)), Ok(()));
        assert_eq!([(); 2].map(|()| rate.take("ana", at(500_000))), [Ok(()), Err(1)]);
        assert_eq!(rate.look(&"bob", at(500_000)), Ok(()));
    }

    #[test]
    fn names_are_bounded() {
        let rate = Rate::per_minute(1);
        for name in 0..NAMES_MAX + 10 {
            let _ = rate.take(name, Timestamp::from_seconds(0));
        }
        assert!(rate.paid_until.lock().unwrap().len() <= NAMES_MAX);
    }
}
