//! What has come for one subscription and has not been taken yet: a queue with a bound.
//!
//! A full queue takes nothing more; its owner empties it and then has the core ask the server again for
//! what came after. So what is in a queue is always a whole stretch, in order, over cuts too. An idle
//! queue owns no buffer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::change::Change;
use crate::error::{Disconnected, Refusal};

/// Items that may wait, and the bytes of their data.
const CHANGES_MAX: usize = 1024;
const BYTES_MAX: usize = 1024 * 1024;

/// One thing for the owner of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Something happened.
    Change(Change),
    /// The object at this place stands at this position.
    At(usize, i64),
}

/// Why no more comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// There was no room. After [`Queue::reopen`] and [`Core::resume`](super::Core::resume) it goes on.
    Full,
    /// The server refuses an object.
    Refused(Refusal),
    /// Another subscription of this client has this object.
    Taken(String),
    /// The connection is over, and no other will follow it.
    Disconnected(Disconnected),
}

/// The queue of one subscription, between the core that fills it and the owner who takes.
#[derive(Debug)]
pub struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    /// Objects that the server has not answered for yet.
    unanswered: usize,
    /// Items that may wait.
    room: usize,
    end: Option<End>,
    waker: Option<Waker>,
}

impl Queue {
    /// An empty queue for this many objects.
    pub fn new(objects: usize) -> Arc<Self> {
        Self::bounded(objects, CHANGES_MAX)
    }

    /// The same, with room for so many changes.
    pub fn bounded(objects: usize, room: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { unanswered: objects, room, ..Inner::default() })))
    }

    /// The next item, or the end behind the last; nothing if there is nothing yet.
    pub fn take_now(&self) -> Option<Result<Item, End>> {
        self.lock().take()
    }

    /// Lets the queue be filled again after [`End::Full`]; other ends stay.
    pub fn reopen(&self) {
        self.lock().end.take_if(|end| *end == End::Full);
    }

    /// As [`Queue::take_now`], but wakes the task when there is something. One task at a time.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<Item, End>> {
        self.poll(context, Inner::take)
    }

    /// Whether the server has answered for every object, or nothing more comes.
    pub fn poll_settled(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |inner| (inner.unanswered == 0 || inner.end.is_some()).then_some(()))
    }

    /// Why nothing more comes behind what is in it.
    pub(crate) fn ended(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// Takes an item in; `false` when there is no room.
    pub(super) fn push(&self, item: Item) -> bool {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return false;
        }
        let bytes = weight(&item);
        let has_room = inner.items.len() < inner.room && (inner.bytes + bytes <= BYTES_MAX || inner.items.is_empty());
        if has_room {
            inner.bytes += bytes;
            inner.items.push_back(item);
        } else {
            inner.end = Some(End::Full);
        }
        wake(inner);
        has_room
    }

    /// One object more has been answered for.
    pub(super) fn answered(&self) {
        let mut inner = self.lock();
        inner.unanswered = inner.unanswered.saturating_sub(1);
        wake(inner);
    }

    /// Lets nothing more in. The first reason stays, except that a full queue may end for good.
    pub(super) fn end(&self, end: End) {
        let mut inner = self.lock();
        if inner.end.is_none() || inner.end == Some(End::Full) {
            inner.end = Some(end);
        }
        wake(inner);
    }

    fn poll<T>(&self, context: &mut Context<'_>, ready: impl FnOnce(&mut Inner) -> Option<T>) -> Poll<T> {
        let mut inner = self.lock();
        match ready(&mut inner) {
            Some(value) => Poll::Ready(value),
            None => {
                inner.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self) -> Option<Result<Item, End>> {
        let Some(item) = self.items.pop_front() else { return self.end.clone().map(Err) };
        self.bytes -= weight(&item);
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
        Some(Ok(item))
    }
}

fn weight(item: &Item) -> usize {
    match item {
        Item::Change(change) => change.data.len(),
        Item::At(..) => 0,
    }
}

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use std::future::poll_fn;

    use super::*;
    use crate::change::{ChangeKind, ItemKey};

    fn change(id: i64) -> Item {
        let data = Bytes::from_static(b"{}");
        Item::Change(Change { place: 0, id, kind: ChangeKind::Added, key: ItemKey::Index(id), data })
    }

    #[test]
    fn a_full_queue_keeps_the_stretch_it_has_and_says_so_behind_it() {
        let queue = Queue::new(1);
        let room = i64::try_from(CHANGES_MAX).unwrap();
        assert!((0..room).all(|id| queue.push(change(id))));
        assert!(!queue.push(change(room)));
        for expected in 0..room {
            let Some(Ok(Item::Change(change))) = queue.take_now() else { panic!("{expected}") };
            assert_eq!(change.id, expected);
            assert!(!queue.push(Item::At(0, 0)), "nothing goes in behind what was left out");
        }
        assert_eq!(queue.take_now(), Some(Err(End::Full)));
        queue.reopen();
        assert!(queue.push(change(room)));
        assert!(matches!(queue.take_now(), Some(Ok(Item::Change(Change { id, .. }))) if id == room));
        assert_eq!(queue.take_now(), None);
    }

    #[test]
    fn what_is_larger_than_the_bound_still_gets_through_alone() {
        let queue = Queue::new(1);
        let large = |id| {
            let Item::Change(change) = change(id) else { unreachable!() };
            Item::Change(Change { data: Bytes::from(vec![0; BYTES_MAX + 1]), ..change })
        };
        assert!(queue.push(large(1)));
        assert!(!queue.push(large(2)));
    }

    #[tokio::test]
    async fn it_is_settled_when_every_object_is_answered_for_or_nothing_more_comes() {
        let queue = Queue::new(2);
        let settled = || futures_util::FutureExt::now_or_never(poll_fn(|context| queue.poll_settled(context)));
        queue.answered();
        assert!(settled().is_none());
        queue.answered();
        assert!(settled().is_some());
        let queue = Queue::new(1);
        queue.end(End::Disconnected(Disconnected::Silent));
        poll_fn(|context| queue.poll_settled(context)).await;
        queue.end(End::Full);
        queue.reopen();
        assert_eq!(queue.ended(), Some(End::Disconnected(Disconnected::Silent)));
    }
}
