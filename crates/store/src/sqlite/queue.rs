//! A bounded queue from many tasks to a few threads.
//!
//! It never waits to put something in: when it is full it says so.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

pub(super) struct Queue<T> {
    // A plain mutex: it is held for a few moves, and taken once for a whole group.
    state: Mutex<State<T>>,
    filled: Condvar,
    waiting_max: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            state: Mutex::new(State { waiting: VecDeque::new(), closed: false }),
            filled: Condvar::new(),
            waiting_max,
        }
    }

    /// Puts one in, unless the queue is full or closed.
    pub(super) fn push(&self, item: T) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.closed {
            return Err(Failure::Closed);
        }
        if state.waiting.len() >= self.waiting_max {
            return Err(Failure::Busy);
        }
        state.waiting.push_back(item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Moves up to `most` of what waits into `out`, waiting for the first. `false` when the queue
    /// is closed and nothing is left.
    pub(super) fn take(&self, most: usize, out: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = most.min(state.waiting.len());
        out.extend(state.waiting.drain(..count));
        true
    }

    /// Takes nothing new; what waits is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here panics with the lock held, and a list of work cannot be half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_keeps_what_it_has() {
        let queue = Queue::new(2);
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert!(matches!(queue.push(3), Err(Failure::Busy)));
        let mut out = Vec::new();
        assert!(queue.take(10, &mut out));
        assert_eq!(out, [1, 2]);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_ends() {
        let queue = Queue::new(2);
        queue.push(1).unwrap();
        queue.close();
        assert!(matches!(queue.push(2), Err(Failure::Closed)));
        let mut out = Vec::new();
        assert!(queue.take(10, &mut out));
        assert!(!queue.take(10, &mut out));
        assert_eq!(out, [1]);
    }

    #[test]
    fn a_group_is_bounded() {
        let queue = Queue::new(9);
        for n in 0..5 {
            queue.push(n).unwrap();
        }
        let mut out = Vec::new();
        assert!(queue.take(3, &mut out));
        assert_eq!(out, [0, 1, 2]);
    }
}
