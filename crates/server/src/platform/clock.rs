//! The clock, passed in: frozen, set and advanced by tests, and per account in dev mode.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tertulia_protocol::Timestamp;

use super::AccountNumber;

/// Tells the time. Cheap to clone; clones tell the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    set: Arc<Mutex<Settings>>,
}

#[derive(Debug, Default)]
struct Settings {
    frozen: Option<Timestamp>,
    /// Microseconds that an account's time is ahead of the machine's.
    ahead: HashMap<AccountNumber, i64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until it is set again.
    pub fn frozen(at: Timestamp) -> Self {
        let clock = Self::default();
        clock.set(at);
        clock
    }

    /// Stops the clock at a moment.
    pub fn set(&self, at: Timestamp) {
        self.settings().frozen = Some(at);
    }

    /// Moves one account's time ahead of the others'.
    pub fn advance(&self, account: AccountNumber, micros: i64) {
        *self.settings().ahead.entry(account).or_default() += micros;
    }

    /// The time of no account in particular.
    pub fn machine(&self) -> Timestamp {
        self.settings().frozen.unwrap_or_else(machine_time)
    }

    /// The time in an account.
    pub fn now(&self, account: AccountNumber) -> Timestamp {
        let settings = self.settings();
        let base = settings.frozen.unwrap_or_else(machine_time);
        base.plus_micros(settings.ahead.get(&account).copied().unwrap_or(0))
    }

    fn settings(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
fn machine_time() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_can_be_ahead_of_the_others() {
        let clock = Clock::frozen(Timestamp::from_seconds(100));
        clock.advance(AccountNumber(1), 5_000_000);
        assert_eq!(clock.now(AccountNumber(1)).seconds(), 105);
        assert_eq!(clock.now(AccountNumber(2)).seconds(), 100);
    }
}
