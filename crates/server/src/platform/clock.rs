//! The clock, passed in: frozen, set and advanced, for everybody by tests and for one account in dev mode.
//!
//! Whoever waits for a moment of it must wait for [`Clock::changes`] too: a clock that is moved tells so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tertulia_protocol::Timestamp;
use tokio::sync::watch;

use super::AccountNumber;

/// Tells the time. Cheap to clone; clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    set: Arc<Mutex<Settings>>,
    /// How often it was moved.
    moved: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Settings {
    frozen: Option<Timestamp>,
    accounts: HashMap<AccountNumber, Own>,
}

/// How an account's time differs from the others'.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// Microseconds that it is ahead.
    ahead: i64,
    /// Where it stands still.
    frozen: Option<Timestamp>,
}

/// How an account's time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// The time in the account.
    pub now: Timestamp,
    /// Whether it stands still.
    pub is_frozen: bool,
    /// Microseconds that it is ahead of the server's own.
    pub ahead_micros: i64,
}

/// A way to move an account's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// To a moment.
    To(Timestamp),
    /// By so many microseconds.
    By(i64),
    /// It stands still from now on.
    Freeze,
    /// It goes on from where it stands.
    Thaw,
    /// Back to the server's own time.
    Reset,
}

impl Default for Clock {
    fn default() -> Self {
        Self { set: Arc::default(), moved: Arc::new(watch::Sender::new(0)) }
    }
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

    /// Stops the clock at a moment, for every account.
    pub fn set(&self, at: Timestamp) {
        self.settings().frozen = Some(at);
        self.tell();
    }

    /// Moves one account's time, in several steps at one moment: nobody sees it between them.
    pub fn shift(&self, account: AccountNumber, moves: impl IntoIterator<Item = Move>) {
        {
            let mut settings = self.settings();
            let base = settings.base();
            let own = settings.accounts.entry(account).or_default();
            for how in moves {
                own.shift(base, how);
            }
            if own.frozen.is_none() && own.ahead == 0 {
                settings.accounts.remove(&account);
            }
        }
        self.tell();
    }

    /// Moves one account's time ahead of the others'.
    pub fn advance(&self, account: AccountNumber, micros: i64) {
        self.shift(account, [Move::By(micros)]);
    }

    /// The time of no account in particular.
    pub fn machine(&self) -> Timestamp {
        self.settings().base()
    }

    /// The time in an account.
    pub fn now(&self, account: AccountNumber) -> Timestamp {
        let settings = self.settings();
        let own = settings.accounts.get(&account).copied().unwrap_or_default();
        own.now(settings.base())
    }

    /// Accounts whose time differs from the others', with it.
    pub fn own_times(&self) -> Vec<(AccountNumber, Timestamp)> {
        let settings = self.settings();
        let base = settings.base();
        settings.accounts.iter().map(|(account, own)| (*account, own.now(base))).collect()
    }

    /// How an account's time stands.
    pub fn state(&self, account: AccountNumber) -> ClockState {
        let settings = self.settings();
        let base = settings.base();
        let own = settings.accounts.get(&account).copied().unwrap_or_default();
        let now = own.now(base);
        ClockState { now, is_frozen: own.frozen.is_some(), ahead_micros: now.micros() - base.micros() }
    }

    /// Changes whenever the clock was moved, whosever time it was.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn tell(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    fn settings(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Settings {
    fn base(&self) -> Timestamp {
        self.frozen.unwrap_or_else(machine_time)
    }
}

impl Own {
    fn now(self, base: Timestamp) -> Timestamp {
        self.frozen.unwrap_or_else(|| base.plus_micros(self.ahead))
    }

    fn shift(&mut self, base: Timestamp, how: Move) {
        match how {
            Move::To(at) => match &mut self.frozen {
                Some(frozen) => *frozen = at,
                None => self.ahead = at.micros() - base.micros(),
            },
            Move::By(micros) => match &mut self.frozen {
                Some(frozen) => *frozen = frozen.plus_micros(micros),
                None => self.ahead += micros,
            },
            Move::Freeze => self.frozen = Some(self.now(base)),
            Move::Thaw => {
                if let Some(at) = self.frozen.take() {
                    self.ahead = at.micros() - base.micros();
                }
            }
            Move::Reset => *self = Self::default(),
        }
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

    const OWN: AccountNumber = AccountNumber(1);

    #[test]
    fn an_account_can_be_ahead_of_the_others() {
        let clock = Clock::frozen(Timestamp::from_seconds(100));
        clock.advance(OWN, 5_000_000);
        assert_eq!(clock.now(OWN).seconds(), 105);
        assert_eq!(clock.now(AccountNumber(2)).seconds(), 100);
        assert_eq!(clock.state(OWN).ahead_micros, 5_000_000);
    }

    #[test]
    fn a_frozen_account_stands_while_the_others_go_on() {
        let clock = Clock::frozen(Timestamp::from_seconds(100));
        clock.shift(OWN, [Move::By(5_000_000)]);
        clock.shift(OWN, [Move::Freeze]);
        clock.set(Timestamp::from_seconds(200));
        assert_eq!(clock.now(OWN).seconds(), 105);
        clock.shift(OWN, [Move::By(1_000_000)]);
        assert_eq!(clock.now(OWN).seconds(), 106);
        clock.shift(OWN, [Move::To(Timestamp::from_seconds(50))]);
        clock.shift(OWN, [Move::Thaw]);
        clock.set(Timestamp::from_seconds(210));
        assert_eq!(clock.now(OWN).seconds(), 60);
        clock.shift(OWN, [Move::Reset]);
        assert_eq!(clock.now(OWN).seconds(), 210);
    }

    #[test]
    fn whoever_waits_hears_of_a_move() {
        let clock = Clock::system();
        let mut changes = clock.changes();
        assert!(!changes.has_changed().unwrap());
        clock.shift(OWN, [Move::Freeze]);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        clock.clone().set(Timestamp::from_seconds(1));
        assert!(changes.has_changed().unwrap());
    }
}
