//! What has come for one subscription and has not been taken yet: a queue with a bound.
//!
//! A full queue takes nothing more; its owner empties it and then asks the server again for what came
//! after. So what is in a queue is always a whole stretch, in order. An idle queue owns no buffer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Disconnected, Refusal};
use crate::subscription::Change;

/// Changes that may wait, and the bytes of their data.
const CHANGES_MAX: usize = 1024;
const BYTES_MAX: usize = 1024 * 1024;

/// One thing for the owner of a subscription.
#[derive(Debug)]
pub(crate) enum Item {
    /// Something happened.
    Change(Change),
    /// The object at this place stands at this position.
    At(usize, i64),
}

/// Why no more comes.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// There was no room; ask again.
    Full,
    /// The server refuses the object.
    Refused(Refusal),
    /// The connection is over.
    Disconnected(Disconnected),
}

#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    /// Objects that the server has not answered for yet.
    unanswered: usize,
    end: Option<End>,
    waker: Option<Waker>,
}

impl Queue {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Begins again for this many objects. What is in it stays: it comes before what will follow.
    pub(crate) fn begin(&self, objects: usize) {
        let mut inner = self.lock();
        inner.unanswered = objects;
        inner.end = None;
    }

    pub(crate) fn push(&self, item: Item) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        if matches!(item, Item::At(..)) {
            inner.unanswered = inner.unanswered.saturating_sub(1);
        }
        let bytes = weight(&item);
        if inner.items.len() >= CHANGES_MAX || inner.bytes + bytes > BYTES_MAX && !inner.items.is_empty() {
            inner.end = Some(End::Full);
        } else {
            inner.bytes += bytes;
            inner.items.push_back(item);
        }
        wake(inner);
    }

    /// Lets nothing more in. The first reason stays.
    pub(crate) fn end(&self, end: End) {
        let mut inner = self.lock();
        match (&inner.end, &end) {
            // Asking again would meet the end of the connection anyway.
            (None, _) | (Some(End::Full), End::Disconnected(_)) => inner.end = Some(end),
            _ => {}
        }
        wake(inner);
    }

    /// Waits until the server has answered for every object, or nothing more comes.
    pub(crate) async fn settled(&self) {
        self.wait(|inner| (inner.unanswered == 0 || inner.end.is_some()).then_some(())).await;
    }

    /// Waits for the next item, or for the end behind the last.
    pub(crate) async fn take(&self) -> Result<Item, End> {
        self.wait(|inner| match inner.items.pop_front() {
            Some(item) => {
                inner.bytes -= weight(&item);
                if inner.items.is_empty() {
                    inner.items = VecDeque::new();
                }
                Some(Ok(item))
            }
            None => inner.end.clone().map(Err),
        })
        .await
    }

    async fn wait<T>(&self, mut ready: impl FnMut(&mut Inner) -> Option<T>) -> T {
        poll_fn(|context: &mut Context<'_>| {
            let mut inner = self.lock();
            match ready(&mut inner) {
                Some(value) => Poll::Ready(value),
                None => {
                    inner.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    use super::*;
    use crate::subscription::{ChangeKind, ItemKey};

    fn change(id: i64) -> Item {
        let data = Bytes::from_static(b"{}");
        Item::Change(Change { place: 0, id, kind: ChangeKind::Added, key: ItemKey::Index(id), data })
    }

    #[tokio::test]
    async fn a_full_queue_keeps_the_stretch_it_has_and_says_so_behind_it() {
        let queue = Queue::default();
        let more = i64::try_from(CHANGES_MAX).unwrap() + 3;
        (0..more).for_each(|id| queue.push(change(id)));
        for expected in 0..more - 3 {
            let Ok(Item::Change(change)) = queue.take().await else { panic!("{expected}") };
            assert_eq!(change.id, expected);
        }
        assert!(matches!(queue.take().await, Err(End::Full)));
        queue.begin(1);
        queue.push(change(more));
        assert!(matches!(queue.take().await, Ok(Item::Change(Change { id, .. })) if id == more));
    }

    #[tokio::test]
    async fn it_is_settled_when_every_object_is_answered_for_or_the_connection_ends() {
        let queue = Queue::default();
        queue.begin(2);
        queue.push(Item::At(0, 5));
        assert!(futures_util::FutureExt::now_or_never(queue.settled()).is_none());
        queue.push(Item::At(1, 5));
        queue.settled().await;
        queue.begin(1);
        queue.end(End::Disconnected(Disconnected::Silent));
        queue.settled().await;
    }
}
