//! What waits for one connection: a queue with a bound in packets and in bytes, and one more for all
//! connections together.
//!
//! A slow reader fills its mailbox; then the mailbox is given up as a whole and the connection closed, so
//! that the client comes back and catches up from the store. Nothing is dropped in silence. When the
//! mailboxes of a node hold too much together, the fullest are given up. An idle mailbox owns no buffer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation, User};
use tertulia_store::StreamId;

use super::attachments::{Attachments, Packed};
use super::ends::Holder;
use super::hub::{Mail, Post, Watch};
use super::news::{Part, talk};

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

/// Requests that are interrupted for the sake of an own list that is not asked for again.
const WAITS_IN_VAIN_MAX: usize = 8;

/// One connection's mailbox.
#[derive(Debug)]
pub struct Mailbox {
    user: Sid<User>,
    wants_typing: bool,
    bounds: Bounds,
    mailroom: Option<Arc<Mailroom>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Held>,
    /// Packets and bytes that count against the mailbox's own bounds.
    packets: usize,
    bytes: usize,
    /// Bytes that the queue takes, with everything in it.
    taken: usize,
    is_given_up: bool,
    own_position: i64,
    /// How often others may still wait for the client's own list, which it has asked for; 0: they need not.
    own_awaited: usize,
    holder: Option<Arc<Holder>>,
    /// How often rights may have changed.
    rights_count: u64,
    /// Streams of conversations whose documents are watched by the right of a role.
    by_role: Attachments,
    /// What the hub delivers here. The session learns of it later, or never if the mailbox is given up.
    attached: Attachments,
    waiter: Option<(Wanted, Waker)>,
}

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Post,
    /// It is writing: only the end of the mailbox is of interest.
    GivingUp,
}

/// A post as it waits. A thousand of them are what a stalled reader costs, so the frequent ones are packed.
#[derive(Debug)]
enum Held {
    Packet(Packed, Bytes),
    Other(Box<Post>),
}

impl Held {
    fn new(post: Post) -> Self {
        match post {
            Post::Packet { stream, part, packet } => Self::Packet(Packed::new(stream, Watch::Part(part)), packet),
            other => Self::Other(Box::new(other)),
        }
    }

    fn into_post(self) -> Post {
        match self {
            Self::Packet(packed, packet) => match packed.unpack() {
                (stream, Watch::Part(part)) => Post::Packet { stream, part, packet },
                (_, Watch::Own | Watch::Rights) => unreachable!("a packet is an object's"),
            },
            Self::Other(post) => *post,
        }
    }

    /// What counts against the mailbox's own bounds. Answers do not: the client asked for them, and cutting
    /// a long replay off would only make it ask again.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::Packet(_, packet) => (1, packet.len()),
            Self::Other(post) => match &**post {
                Post::Typing(packet) | Post::Packet { packet, .. } => (1, packet.len()),
                Post::Own { .. } | Post::Rights => (1, 0),
                Post::Answer(_) | Post::Subscribed { .. } | Post::Tick | Post::Cut | Post::Revoked => (0, 0),
            },
        }
    }

    /// What counts in the mailroom: everything. A packet for many readers is one piece of
    /// memory, and yet counted for each: who pays for it when all but one have taken it is not known before.
    fn taken(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Packet(_, packet) => packet.len(),
                Self::Other(post) => match &**post {
                    Post::Typing(packet) | Post::Answer(packet) => size_of::<Post>() + packet.len(),
                    _ => size_of::<Post>(),
                },
            }
    }
}

impl Inner {
    fn pop(&mut self) -> Option<(Post, usize)> {
        let held = self.queue.pop_front()?;
        let (packets, bytes) = held.weight();
        let taken = held.taken();
        self.packets -= packets;
        self.bytes -= bytes;
        self.taken -= taken;
        if self.queue.is_empty() {
            // An idle connection keeps no buffer from its busiest moment.
            self.queue = VecDeque::new();
        }
        Some((held.into_post(), taken))
    }

    fn give_up(&mut self) -> usize {
        self.is_given_up = true;
        self.queue = VecDeque::new();
        std::mem::take(&mut self.taken)
    }

    fn wait(&mut self, wanted: Wanted, context: &Context<'_>) {
        match &mut self.waiter {
            Some((known, waker)) if waker.will_wake(context.waker()) => *known = wanted,
            waiter => *waiter = Some((wanted, context.waker().clone())),
        }
    }

    fn waker(&mut self) -> Option<Waker> {
        let is_due = |(wanted, _): &mut (Wanted, Waker)| *wanted == Wanted::Post || self.is_given_up;
        self.waiter.take_if(is_due).map(|(_, waker)| waker)
    }
}

/// The mailbox overflowed; what was in it is gone, and the connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

impl Mailbox {
    /// An empty mailbox of a user's connection, in no mailroom.
    pub fn new(user: Sid<User>, wants_typing: bool, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { user, wants_typing, bounds, mailroom: None, inner: Mutex::default() })
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
                Some((post, taken)) => {
                    self.release(taken);
                    Poll::Ready(Ok(post))
                }
                None => {
                    inner.wait(Wanted::Post, context);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Waits until the mailbox is given up, while nobody receives.
    pub async fn given_up(&self) -> Overflow {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.is_given_up {
                return Poll::Ready(Overflow);
            }
            inner.wait(Wanted::GivingUp, context);
            Poll::Pending
        })
        .await
    }

    /// The next post, if one is waiting.
    pub fn take_waiting(&self) -> Option<Post> {
        let (post, taken) = self.lock().pop()?;
        self.release(taken);
        Some(post)
    }

    /// How many posts are waiting.
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// The position of the user's own list that has been posted up to: rights read in an older snapshot
    /// than this may be out of date.
    pub fn own_position(&self) -> i64 {
        self.lock().own_position
    }

    /// Notes whether the client has asked for the user's own list and has no answer yet that stands.
    pub fn awaits_own(&self, is_awaited: bool) {
        self.lock().own_awaited = if is_awaited { WAITS_IN_VAIN_MAX } else { 0 };
    }

    /// A request has waited in vain. A client that asks for everything but the list does not want it any more.
    pub fn own_did_not_come(&self) {
        let mut inner = self.lock();
        inner.own_awaited = inner.own_awaited.saturating_sub(1);
    }

    /// Whether it has: nothing else goes live before.
    pub fn is_own_awaited(&self) -> bool {
        self.lock().own_awaited > 0
    }

    /// Notes whose connection it is, and by which token.
    pub fn held_by(&self, holder: Arc<Holder>) {
        self.lock().holder = Some(holder);
    }

    /// How often what the user may read may have changed: a right of a role that was read in a snapshot from
    /// before may be out of date.
    pub fn rights_count(&self) -> u64 {
        self.lock().rights_count
    }

    /// Whether the hub delivers this here.
    pub fn is_attached(&self, stream: StreamId, watch: Watch) -> bool {
        self.lock().attached.contains(stream, watch)
    }

    /// Notes that this object is watched by the right of a role.
    pub fn leans_on_role(&self, stream: StreamId, part: Part) {
        self.lock().by_role.insert(stream, Watch::Part(part));
    }

    /// Objects that are watched by the right of a role.
    pub fn leaning(&self) -> Vec<(StreamId, Part)> {
        let part = |(stream, watch)| if let Watch::Part(part) = watch { Some((stream, part)) } else { None };
        self.lock().by_role.iter().filter_map(part).collect()
    }

    /// Notes that the hub delivers this here from now on.
    pub fn attached(&self, stream: StreamId, watch: Watch) {
        self.lock().attached.insert(stream, watch);
    }

    /// Notes that it no longer does.
    pub fn detached(&self, stream: StreamId, watch: Watch) {
        let mut inner = self.lock();
        inner.attached.remove(stream, watch);
        inner.by_role.remove(stream, watch);
    }

    /// Everything that the hub delivers here, for the connection's end.
    pub fn take_attached(&self) -> Vec<(StreamId, Watch)> {
        std::mem::take(&mut self.lock().attached).iter().collect()
    }

    fn release(&self, taken: usize) {
        if let Some(room) = &self.mailroom {
            room.taken.fetch_sub(taken, Ordering::Relaxed);
        }
    }

    fn give_up(&self) {
        let mut inner = self.lock();
        let taken = inner.give_up();
        let waker = inner.waker();
        drop(inner);
        self.release(taken);
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.release(self.lock().taken);
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
        if post == Post::Rights {
            inner.rights_count += 1;
        }
        let held = Held::new(post);
        let ((packets, bytes), taken) = (held.weight(), held.taken());
        let is_full = inner.packets + packets > self.bounds.packets_max || inner.bytes + bytes > self.bounds.bytes_max;
        let mut is_room_full = false;
        if is_full {
            let freed = inner.give_up();
            self.release(freed);
        } else {
            inner.packets += packets;
            inner.bytes += bytes;
            inner.taken += taken;
            inner.queue.push_back(held);
            is_room_full = self.mailroom.as_ref().is_some_and(|room| room.take(taken));
        }
        let waker = inner.waker();
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
        if let Some(room) = self.mailroom.as_ref().filter(|_| is_room_full) {
            room.relieve();
        }
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn hears_typing_of(&self, user: Sid<User>, conversation: Sid<Conversation>) -> bool {
        // An SDK that has not subscribed yet would read the messages then, and not tell its app about new ones.
        let has_subscribed = || self.is_attached(talk(conversation), Watch::Part(Part::Messages));
        self.wants_typing && self.user != user && has_subscribed()
    }

    fn holder(&self) -> Option<Arc<Holder>> {
        self.lock().holder.clone()
    }
}

/// All mailboxes of a node, and the bound on what they hold together.
#[derive(Debug)]
pub struct Mailroom {
    taken_max: usize,
    taken: AtomicUsize,
    /// Those of connections that have ended are taken out when the list would grow.
    mailboxes: Mutex<Vec<Weak<Mailbox>>>,
}

impl Mailroom {
    /// An empty room for so many bytes.
    pub fn new(taken_max: usize) -> Arc<Self> {
        Arc::new(Self { taken_max, taken: AtomicUsize::new(0), mailboxes: Mutex::default() })
    }

    /// Another mailbox.
    pub fn open(self: &Arc<Self>, user: Sid<User>, wants_typing: bool, bounds: Bounds) -> Arc<Mailbox> {
        let mailroom = Some(Arc::clone(self));
        let mailbox = Arc::new(Mailbox { user, wants_typing, bounds, mailroom, inner: Mutex::default() });
        let mut mailboxes = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if mailboxes.len() == mailboxes.capacity() {
            mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        }
        mailboxes.push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// Bytes that wait in all of them.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the room is full now.
    fn take(&self, bytes: usize) -> bool {
        self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes > self.taken_max
    }

    /// Gives the fullest mailboxes up until an eighth of the room is free, so that this is done seldom.
    fn relieve(&self) {
        // Whoever is at it already does it for all.
        let Ok(mailboxes) = self.mailboxes.try_lock() else { return };
        let mut by_size = Vec::new();
        for mailbox in mailboxes.iter().filter_map(Weak::upgrade) {
            let taken = mailbox.lock().taken;
            by_size.push((taken, mailbox));
        }
        drop(mailboxes);
        by_size.sort_unstable_by_key(|(taken, _)| std::cmp::Reverse(*taken));
        let mut given_up = 0;
        for (_, mailbox) in by_size {
            if self.taken() <= self.taken_max - self.taken_max / 8 {
                break;
            }
            mailbox.give_up();
            given_up += 1;
        }
        if given_up > 0 {
            tracing::warn!(connections = given_up, "too much waits for slow readers; the slowest are disconnected");
        }
    }
}

#[cfg(test)]
mod tests;
