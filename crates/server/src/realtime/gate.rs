//! When upgrades are let in: a storm of reconnects is admitted steadily, first come first served.
//!
//! Clients that lost their connection together come back together. Each costs the server a token check
//! and some reads, so they are let in at a rate (`http.upgrades_per_second`), after a burst of one second's
//! worth. The others are held before their upgrade, where they cost little, and those whose turn could not
//! come within `http.upgrade_wait_seconds` are answered 503 at once: then a client waits by itself. An
//! `init` is never refused for lack of room.
//!
//! [`Queue`] decides, without IO and with time as an argument; [`Gate`] is its driver.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use crate::platform::config::Http;

/// Who waits in which order, and when the next one's turn is. Times are durations since the same beginning.
#[derive(Debug)]
pub struct Queue<T> {
    /// Between two turns.
    every: Duration,
    /// Turns that may be saved up while nobody comes.
    burst: u32,
    waiting_max: usize,
    waiting: VecDeque<(u64, T)>,
    next_ticket: u64,
    /// The turn of whoever comes first; earlier than now by what has been saved up.
    turn: Duration,
}

/// What becomes of somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// In at once.
    In,
    /// Waits, under this number.
    Waits(u64),
    /// Too many wait already.
    Refused,
}

impl<T> Queue<T> {
    /// An empty queue that lets so many in a second, and holds whom it can let in within `wait_max`, but no
    /// more than `waiting_max`.
    pub fn new(per_second: u32, wait_max: Duration, waiting_max: usize) -> Self {
        let per_second = per_second.max(1);
        let in_time = usize::try_from(wait_max.as_millis() * u128::from(per_second) / 1000).unwrap_or(usize::MAX);
        let waiting_max = waiting_max.min(in_time);
        Self {
            every: Duration::from_secs(1) / per_second,
            burst: per_second,
            waiting_max,
            waiting: VecDeque::new(),
            next_ticket: 0,
            turn: Duration::ZERO,
        }
    }

    /// Somebody comes. `place` is kept while they wait.
    pub fn arrive(&mut self, now: Duration, place: T) -> Arrival {
        self.save(now);
        if self.waiting.is_empty() && self.turn <= now {
            self.turn += self.every;
            return Arrival::In;
        }
        if self.waiting.len() >= self.waiting_max {
            return Arrival::Refused;
        }
        self.next_ticket += 1;
        self.waiting.push_back((self.next_ticket, place));
        Arrival::Waits(self.next_ticket)
    }

    /// Whoever waited under this number has gone away: those behind move up.
    pub fn leave(&mut self, ticket: u64) {
        if let Ok(at) = self.waiting.binary_search_by_key(&ticket, |(known, _)| *known) {
            self.waiting.remove(at);
        }
    }

    /// The next one whose turn has come.
    pub fn next(&mut self, now: Duration) -> Option<T> {
        self.save(now);
        if self.turn > now {
            return None;
        }
        let (_, place) = self.waiting.pop_front()?;
        self.turn += self.every;
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(place)
    }

    /// When to ask for the next one, if somebody waits.
    pub fn due(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.turn)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Unused turns are kept, but for those that are more than a burst.
    fn save(&mut self, now: Duration) {
        self.turn = self.turn.max((now + self.every).saturating_sub(self.every * self.burst));
    }
}

/// A server that has just begun has a whole burst: its clients are waiting for it.
const HEAD_START: Duration = Duration::from_secs(1);

/// The gate before the upgrade.
#[derive(Debug)]
pub struct Gate(Option<Arc<Held>>);

#[derive(Debug)]
struct Held {
    queue: Mutex<Open>,
    began: Instant,
    wait_max: Duration,
}

#[derive(Debug)]
struct Open {
    queue: Queue<oneshot::Sender<()>>,
    /// Somebody lets those in who wait.
    is_kept: bool,
}

/// The gate stays shut for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway;

impl Gate {
    /// The gate of a port. Those who wait are connections that are no websocket yet, and leave half of the
    /// places for these to others.
    pub fn of(http: &Http) -> Self {
        let wait_max = Duration::from_secs(http.upgrade_wait_seconds.into());
        Self::new(http.upgrades_per_second, wait_max, http.plain_connections_max / 2)
    }

    /// A gate that lets so many in a second; 0: everybody at once.
    pub fn new(per_second: u32, wait_max: Duration, waiting_max: usize) -> Self {
        let held = (per_second > 0).then(|| {
            let queue = Mutex::new(Open { queue: Queue::new(per_second, wait_max, waiting_max), is_kept: false });
            Arc::new(Held { queue, began: now(), wait_max })
        });
        Self(held)
    }

    /// Waits for one's turn. Dropping the future frees the place.
    pub async fn enter(&self) -> Result<(), TurnedAway> {
        let Some(held) = &self.0 else { return Ok(()) };
        let (sender, turn) = oneshot::channel();
        let ticket = {
            let mut open = held.lock();
            match open.queue.arrive(held.now(), sender) {
                Arrival::In => return Ok(()),
                Arrival::Refused => return Err(TurnedAway),
                Arrival::Waits(ticket) => {
                    if !std::mem::replace(&mut open.is_kept, true) {
                        tokio::spawn(Held::keep(Arc::clone(held)));
                    }
                    ticket
                }
            }
        };
        let _place = Place { held, ticket };
        tokio::select! {
            turn = turn => turn.map_err(|_| TurnedAway),
            () = sleep(held.wait_max) => Err(TurnedAway),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.lock().queue.len())
    }
}

impl Held {
    /// Lets in who waits, one after the other, until nobody does.
    async fn keep(self: Arc<Self>) {
        loop {
            let due = {
                let mut open = self.lock();
                while let Some(turn) = open.queue.next(self.now()) {
                    // Whoever has just gone away has had their turn.
                    let _ = turn.send(());
                }
                match open.queue.due() {
                    Some(due) => due,
                    None => {
                        open.is_kept = false;
                        return;
                    }
                }
            };
            sleep_until(self.began + due.saturating_sub(HEAD_START)).await;
        }
    }

    fn now(&self) -> Duration {
        now().duration_since(self.began) + HEAD_START
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, which ends with whoever had it.
struct Place<'h> {
    held: &'h Held,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.held.lock().queue.leave(self.ticket);
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate of connections is a matter of real time, not of an account's")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(20);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Everybody whose turn comes, and when, with the keeper coming exactly when it is due.
    fn turns<T>(queue: &mut Queue<T>) -> Vec<(Duration, T)> {
        let mut turns = Vec::new();
        while let Some(due) = queue.due() {
            let place = queue.next(due).expect("who is due is let in");
            turns.push((due, place));
        }
        turns
    }

    #[test]
    fn after_the_burst_turns_come_steadily_and_in_order() {
        let mut queue = Queue::new(10, WAIT_MAX, 1000);
        let begin = millis(5000);
        let arrivals: Vec<_> = (0..30).map(|number| queue.arrive(begin, number)).collect();
        assert!(arrivals[..10].iter().all(|arrival| *arrival == Arrival::In));
        assert!(arrivals[10..].iter().all(|arrival| matches!(arrival, Arrival::Waits(_))));
        let expected: Vec<_> = (10..30).map(|number| (begin + millis(100 * (number - 9)), number)).collect();
        assert_eq!(turns(&mut queue).into_iter().map(|(at, number)| (at, number as u64)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nobody_passes_those_who_wait() {
        let mut queue = Queue::new(1, WAIT_MAX, 1000);
        assert_eq!(queue.arrive(millis(1000), 0), Arrival::In);
        assert!(matches!(queue.arrive(millis(1000), 1), Arrival::Waits(_)));
        // Late, so that two turns have come; who comes now still stands behind.
        assert!(matches!(queue.arrive(millis(2500), 2), Arrival::Waits(_)));
        assert_eq!((queue.next(millis(2500)), queue.next(millis(2500))), (Some(1), None));
    }

    #[test]
    fn who_could_not_be_let_in_in_time_is_refused_at_once() {
        let mut queue = Queue::new(5, Duration::from_secs(2), 1000);
        let arrivals: Vec<_> = (0..30).map(|number| queue.arrive(millis(9000), number)).collect();
        let count = |wanted: fn(&Arrival) -> bool| arrivals.iter().filter(|arrival| wanted(arrival)).count();
        assert_eq!(count(|arrival| *arrival == Arrival::In), 5);
        assert_eq!(count(|arrival| matches!(arrival, Arrival::Waits(_))), 10);
        assert_eq!(count(|arrival| *arrival == Arrival::Refused), 15);
        let longest = turns(&mut queue).into_iter().map(|(at, _)| at - millis(9000)).max();
        assert_eq!(longest, Some(Duration::from_secs(2)));
    }

    #[test]
    fn no_more_wait_than_there_are_places_for() {
        let mut queue = Queue::new(100, WAIT_MAX, 3);
        let waiting = (0..200).filter(|number| matches!(queue.arrive(millis(9000), *number), Arrival::Waits(_)));
        assert_eq!(waiting.count(), 3);
    }

    #[test]
    fn who_goes_away_frees_a_place_and_the_others_move_up() {
        let mut queue = Queue::new(1, Duration::from_secs(2), 1000);
        let begin = millis(4000);
        let arrivals: Vec<_> = (0..4).map(|number| queue.arrive(begin, number)).collect();
        let [Arrival::In, Arrival::Waits(first), Arrival::Waits(_), Arrival::Refused] = arrivals[..] else {
            panic!("{arrivals:?}");
        };
        queue.leave(first);
        assert!(matches!(queue.arrive(begin, 9), Arrival::Waits(_)));
        assert_eq!(turns(&mut queue), [(millis(5000), 2), (millis(6000), 9)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_quiet_hour_saves_up_one_burst_and_no_more() {
        let mut queue = Queue::new(3, WAIT_MAX, 1000);
        let hour = Duration::from_secs(3600);
        let let_in = (0..10).filter(|number| queue.arrive(hour, *number) == Arrival::In).count();
        assert_eq!(let_in, 3);
    }

    #[tokio::test]
    async fn the_gate_lets_everybody_in_whose_turn_comes() {
        let gate = Gate::new(200, WAIT_MAX, 1000);
        let entered = futures_util::future::join_all((0..220).map(|_| gate.enter())).await;
        assert!(entered.iter().all(Result::is_ok));
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn a_future_that_is_dropped_waits_no_longer() {
        let gate = Gate::new(1, WAIT_MAX, 1000);
        assert_eq!(gate.enter().await, Ok(()));
        let mut waiting = Box::pin(gate.enter());
        let is_over = std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::future::Future::poll(waiting.as_mut(), context).is_ready())
        });
        assert!(!is_over.await);
        assert_eq!(gate.waiting(), 1);
        drop(waiting);
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn a_gate_without_a_rate_stands_open() {
        let gate = Gate::new(0, WAIT_MAX, 1000);
        for _ in 0..1000 {
            assert_eq!(gate.enter().await, Ok(()));
        }
    }
}
