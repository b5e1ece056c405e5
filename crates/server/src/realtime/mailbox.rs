//! What waits for one connection: a queue with a bound in packets and in bytes.
//!
//! A slow reader fills its mailbox; then the mailbox is given up as a whole and the connection closed, so
//! that the client comes back and catches up from the store. Nothing is dropped in silence. An idle
//! mailbox owns no buffer.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tertulia_protocol::Sid;
use tertulia_protocol::sid::User;
use tertulia_store::StreamId;

use super::ends::Holder;
use super::hub::{Mail, Post, Watch};

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Packets.
    pub packets_max: usize,
    /// Bytes.
    pub bytes_max: usize,
}

/// Packets that may wait before typing is left out.
const TYPING_PACKETS_MAX: usize = 32;

/// One connection's mailbox.
#[derive(Debug)]
pub struct Mailbox {
    user: Sid<User>,
    wants_typing: bool,
    bounds: Bounds,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Post>,
    /// Packets and bytes that count against the bounds.
    packets: usize,
    bytes: usize,
    is_given_up: bool,
    own_position: i64,
    holder: Option<Arc<Holder>>,
    /// What the hub delivers here. The session learns of it later, or never if the mailbox is given up.
    attached: HashSet<(StreamId, Watch)>,
    waker: Option<Waker>,
}

impl Inner {
    fn pop(&mut self) -> Option<Post> {
        let post = self.queue.pop_front()?;
        let (packets, bytes) = weight(&post);
        self.packets -= packets;
        self.bytes -= bytes;
        if self.queue.is_empty() {
            // An idle connection keeps no buffer from its busiest moment.
            self.queue = VecDeque::new();
        }
        Some(post)
    }
}

/// The mailbox overflowed; what was in it is gone, and the connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

impl Mailbox {
    /// An empty mailbox of a user's connection.
    pub fn new(user: Sid<User>, wants_typing: bool, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { user, wants_typing, bounds, inner: Mutex::default() })
    }

    /// Whose connection it is.
    pub fn user(&self) -> Sid<User> {
        self.user
    }

    /// Waits for the next post.
    pub async fn receive(&self) -> Result<Post, Overflow> {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.is_given_up {
                return Poll::Ready(Err(Overflow));
            }
            match inner.pop() {
                Some(post) => Poll::Ready(Ok(post)),
                None => {
                    inner.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The next post, if one is waiting.
    pub fn take_waiting(&self) -> Option<Post> {
        self.lock().pop()
    }

    /// The position of the user's own list that has been posted up to: rights read in an older snapshot
    /// than this may be out of date.
    pub fn own_position(&self) -> i64 {
        self.lock().own_position
    }

    /// Notes whose connection it is, and by which token.
    pub fn held_by(&self, holder: Arc<Holder>) {
        self.lock().holder = Some(holder);
    }

    /// Notes that the hub delivers this here from now on.
    pub fn attached(&self, stream: StreamId, watch: Watch) {
        self.lock().attached.insert((stream, watch));
    }

    /// Notes that it no longer does.
    pub fn detached(&self, stream: StreamId, watch: Watch) {
        self.lock().attached.remove(&(stream, watch));
    }

    /// Everything that the hub delivers here, for the connection's end.
    pub fn take_attached(&self) -> HashSet<(StreamId, Watch)> {
        std::mem::take(&mut self.lock().attached)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a post counts against the bounds. Answers do not: the client asked for them, and cutting a long
/// replay off would only make it ask again.
fn weight(post: &Post) -> (usize, usize) {
    match post {
        Post::Packet { packet, .. } | Post::Typing(packet) => (1, packet.len()),
        Post::Own { .. } => (1, 0),
        Post::Answer(_) | Post::Subscribed { .. } | Post::Tick | Post::Cut | Post::Revoked => (0, 0),
    }
}

impl Mail for Arc<Mailbox> {
    fn post(&self, post: Post) {
        let mut inner = self.lock();
        // Nothing hangs on typing: it never makes a slow reader slower, let alone ends it.
        let is_spare = matches!(post, Post::Typing(_)) && inner.packets >= TYPING_PACKETS_MAX;
        if inner.is_given_up || is_spare {
            return;
        }
        if let Post::Own { upto, .. } = &post {
            inner.own_position = *upto;
        }
        let (packets, bytes) = weight(&post);
        inner.packets += packets;
        inner.bytes += bytes;
        inner.queue.push_back(post);
        if inner.packets > self.bounds.packets_max || inner.bytes > self.bounds.bytes_max {
            inner.is_given_up = true;
            inner.queue = VecDeque::new();
        }
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn hears_typing_of(&self, user: Sid<User>) -> bool {
        self.wants_typing && self.user != user
    }

    fn holder(&self) -> Option<Arc<Holder>> {
        self.lock().holder.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::news::Part;
    use bytes::Bytes;

    fn packet(stream: StreamId, text: &'static str) -> Post {
        Post::Packet { stream, part: Part::Whole, packet: Bytes::from_static(text.as_bytes()) }
    }

    const STREAM: StreamId = StreamId { kind: 1, key: 1 };

    #[tokio::test]
    async fn what_is_posted_comes_in_order() {
        let mailbox = Mailbox::new(Sid::from_number(1), true, Bounds { packets_max: 2, bytes_max: 100 });
        mailbox.post(packet(STREAM, "a"));
        mailbox.post(Post::Own { upto: 7, ended: None });
        assert_eq!(mailbox.own_position(), 7);
        assert_eq!(mailbox.receive().await, Ok(packet(STREAM, "a")));
        assert_eq!(mailbox.receive().await, Ok(Post::Own { upto: 7, ended: None }));
    }

    #[tokio::test]
    async fn typing_never_ends_a_slow_reader() {
        let mailbox = Mailbox::new(Sid::from_number(1), true, Bounds { packets_max: 40, bytes_max: 1000 });
        for _ in 0..1000 {
            mailbox.post(Post::Typing(Bytes::from_static(b"t")));
        }
        for _ in 0..TYPING_PACKETS_MAX {
            assert!(mailbox.receive().await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_full_mailbox_is_given_up_as_a_whole() {
        for bounds in [Bounds { packets_max: 1, bytes_max: 100 }, Bounds { packets_max: 9, bytes_max: 3 }] {
            let mailbox = Mailbox::new(Sid::from_number(1), true, bounds);
            mailbox.post(packet(STREAM, "aa"));
            mailbox.post(packet(STREAM, "bb"));
            assert_eq!(mailbox.receive().await, Err(Overflow));
        }
    }
}
