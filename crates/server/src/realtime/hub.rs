//! Who watches which stream on this node, and what they are told: a state machine without IO.
//!
//! One *topic* per stream that somebody watches: the position it holds, a short ring of the latest news,
//! and the watchers. News that continue the held position are delivered; news that leave a hole are
//! parked, and the hub says that the store must be read. So a lost, late or repeated piece of news costs
//! time, never a message, and nobody hears a thing twice or out of order.
//!
//! The hub must never wait, read the store or know a socket; what it needs done it returns as [`Need`].
//! Reading order: [`Hub::open`] and [`Hub::attach`], [`Hub::news`], [`Hub::fill`].

mod need;
mod post;
#[cfg(test)]
mod tests;
mod whose;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation, User};
use tertulia_store::{News, StreamId};

pub use need::{Interest, Need};
pub use post::Post;
pub use whose::Whose;

use super::ends::{Ended, Holder};
use super::news::{Part, Replayed, Told, decode, kind, mine};
use crate::platform::AccountNumber;
use crate::revocations::{Bearer, Revocation};

/// A mailbox, as the hub sees it: posting never waits.
pub trait Mail: Clone {
    /// Puts something in; a full mailbox is its owner's business.
    fn post(&self, post: Post);
    /// Whether it is the same mailbox.
    fn same(&self, other: &Self) -> bool;
    /// Whether its owner wants to hear that this user is typing in this conversation.
    fn hears_typing_of(&self, user: Sid<User>, conversation: Sid<Conversation>) -> bool;
    /// Whose connection it is, and by which token, once that is known.
    fn holder(&self) -> Option<Arc<Holder>>;
}

/// What a watcher watches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watch {
    /// The events of one object.
    Part(Part),
    /// The server's own look at the user's list: every move of it, and every removal.
    Own,
    /// The server's own look at what the roles of a chat service allow.
    Rights,
}

#[derive(Debug)]
struct Watcher<M> {
    watch: Watch,
    at: i64,
    /// The position of the user's own list at which the right to watch was found.
    own: i64,
    mail: M,
}

#[derive(Clone, Debug)]
struct Piece {
    after: i64,
    upto: i64,
    told: Vec<Told>,
}

#[derive(Debug)]
struct Topic<M> {
    /// Whose rows it is made of; known once somebody's right to watch was proved.
    account: Option<AccountNumber>,
    /// Everything up to here has been delivered; unknown until the first watcher brings a position.
    held: Option<i64>,
    ring: VecDeque<Piece>,
    parked: Vec<Piece>,
    watchers: Vec<Watcher<M>>,
    /// Subscriptions on their way: the topic stays for them.
    openers: u32,
    /// The store is being read for this topic.
    is_reading: bool,
    /// Somebody wanted it read meanwhile.
    is_asked_again: bool,
    /// News were dropped, perhaps after the running read had looked: the store must be read again.
    is_uncertain: bool,
}

/// The latest pieces of news that a topic keeps for subscriptions that are just being made.
const RING_MAX: usize = 8;
/// Pieces that may wait for a hole to close; more, and the store is read in any case.
const PARKED_MAX: usize = 64;
/// What came of attaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Attached; what was missed meanwhile has been posted. A hole may be waiting to be read.
    Live(Option<Need>),
    /// The topic is further than its ring reaches back: read again from here, and attach again.
    Behind,
}

/// The watchers of this node.
#[derive(Debug)]
pub struct Hub<M> {
    topics: HashMap<StreamId, Topic<M>>,
    ended: Ended,
    interest: Interest,
}

impl<M> Default for Hub<M> {
    fn default() -> Self {
        Self::new(Interest::default())
    }
}

impl<M> Hub<M> {
    /// A hub that nobody watches anything on.
    pub fn new(interest: Interest) -> Self {
        Self { topics: HashMap::new(), ended: Ended::default(), interest }
    }
}

impl<M: Mail> Hub<M> {
    /// Announces a watcher: from now on news of the stream are kept for it. Must come before the
    /// snapshot is read, and be followed by [`Hub::close`] once the watcher is attached or given up.
    pub fn open(&mut self, stream: StreamId) -> Option<Need> {
        let mut is_new = false;
        let topic = self.topics.entry(stream).or_insert_with(|| {
            is_new = true;
            Topic::new()
        });
        topic.openers += 1;
        (is_new && self.interest == Interest::Spreads).then_some(Need::ReadLater(stream))
    }

    /// Ends an [`Hub::open`].
    pub fn close(&mut self, stream: StreamId) {
        if let Some(topic) = self.topics.get_mut(&stream) {
            topic.openers = topic.openers.saturating_sub(1);
        }
        self.forget_if_unwatched(stream);
    }

    /// Whether a watcher that has seen everything up to `position` can be attached, or must read again.
    pub fn reaches(&self, stream: StreamId, position: i64) -> bool {
        self.topics.get(&stream).is_some_and(|topic| match topic.held {
            Some(held) if position < held => topic.since(position).is_some(),
            _ => true,
        })
    }

    /// Attaches a watcher that has seen everything up to `position`, by a right that was found when the user's
    /// own list stood at `own`. From then on it gets what comes after. The topic must be open; who attaches between a commit and its publication has seen it already, and skips it.
    pub fn attach(
        &mut self,
        stream: StreamId,
        account: AccountNumber,
        watch: Watch,
        mail: &M,
        position: i64,
        own: i64,
    ) -> Attached {
        let Some(topic) = self.topics.get_mut(&stream) else { return Attached::Behind };
        topic.account = Some(account);
        let held = *topic.held.get_or_insert(position);
        let mut watcher = Watcher { watch, at: position, own, mail: mail.clone() };
        if position < held {
            let Some(missed) = topic.since(position) else { return Attached::Behind };
            for piece in missed {
                watcher.tell(stream, piece);
            }
        }
        topic.watchers.retain(|known| !(known.watch == watch && known.mail.same(mail)));
        topic.watchers.push(watcher);
        topic.drain_parked(stream);
        Attached::Live(topic.hole(stream))
    }

    /// Up to where a mailbox has been posted what it watches; nothing when it does not watch that.
    pub fn told(&self, stream: StreamId, watch: Watch, mail: &M) -> Option<i64> {
        let mut watchers = self.topics.get(&stream)?.watchers.iter();
        Some(watchers.find(|known| known.watch == watch && known.mail.same(mail))?.at)
    }

    /// Takes a watcher away.
    pub fn detach(&mut self, stream: StreamId, watch: Watch, mail: &M) {
        if let Some(topic) = self.topics.get_mut(&stream) {
            topic.watchers.retain(|known| !(known.watch == watch && known.mail.same(mail)));
        }
        self.forget_if_unwatched(stream);
    }

    /// Takes a watcher away whose right is older than this position of the user's own list; a younger one was
    /// found after what happened there. Whether there was one to take away.
    pub fn detach_older(&mut self, stream: StreamId, watch: Watch, mail: &M, own: i64) -> bool {
        let Some(topic) = self.topics.get_mut(&stream) else { return false };
        let before = topic.watchers.len();
        topic.watchers.retain(|known| !(known.watch == watch && known.own < own && known.mail.same(mail)));
        let is_taken = topic.watchers.len() < before;
        self.forget_if_unwatched(stream);
        is_taken
    }

    /// Takes news in, from this node or from the bus.
    pub fn news(&mut self, news: &News) -> Option<Need> {
        if news.stream.kind == kind::RIGHTS {
            self.look_again(news.stream);
            return None;
        }
        let topic = self.topics.get_mut(&news.stream)?;
        let Some(told) = decode(&news.events) else { return topic.doubt(news.stream) };
        let piece = Piece { after: news.after, upto: news.upto, told };
        match topic.held {
            Some(held) if piece.upto <= held => None,
            Some(held) if piece.after == held => {
                topic.deliver(news.stream, piece);
                topic.drain_parked(news.stream);
                None
            }
            held => {
                topic.parked.push(piece);
                if topic.parked.len() > PARKED_MAX {
                    topic.parked.clear();
                    return topic.doubt(news.stream);
                }
                held.map(|_| Need::ReadSoon(news.stream))
            }
        }
    }

    /// News of the stream were dropped on their way here.
    pub fn doubt(&mut self, stream: StreamId) -> Option<Need> {
        if stream.kind == kind::RIGHTS {
            self.look_again(stream);
            return None;
        }
        self.topics.get_mut(&stream)?.doubt(stream)
    }

    /// There is no position to compare: whoever hangs on these rights looks at them again.
    fn look_again(&self, rights: StreamId) {
        let watchers = self.topics.get(&rights).into_iter().flat_map(|topic| &topic.watchers);
        watchers.for_each(|watcher| watcher.mail.post(Post::Rights));
    }

    /// News of any stream may have been dropped: the bus was away, it calls this node a slow consumer, or
    /// another node died, perhaps between a commit and its news. The last news of a burst leave no hole.
    pub fn doubt_all(&mut self) -> Vec<Need> {
        self.topics.iter_mut().filter_map(|(stream, topic)| topic.doubt(*stream)).collect()
    }

    /// The position after which the store must be read, and for which account, if a hole is open or
    /// news were dropped (or in any case, for the sweep); from then on the stream counts as being read,
    /// until [`Hub::fill`] or [`Hub::give_up`]. If it is being read already, that is done once more.
    pub fn begin_read(&mut self, stream: StreamId, in_any_case: bool) -> Option<(AccountNumber, i64)> {
        if stream.kind == kind::RIGHTS {
            self.look_again(stream);
            return None;
        }
        let topic = self.topics.get_mut(&stream)?;
        // Kept for when it can be read: a read that is running has perhaps looked too early, or nobody is
        // attached yet who brings a position.
        topic.is_uncertain |= in_any_case;
        topic.is_asked_again = topic.is_reading;
        let is_needed = topic.is_uncertain || !topic.parked.is_empty();
        if topic.is_reading || !is_needed {
            return None;
        }
        let (account, held) = (topic.account?, topic.held?);
        topic.is_reading = true;
        // What is dropped from now on may be missing from what is read now.
        topic.is_uncertain = false;
        Some((account, held))
    }

    /// Takes in what the store said of the time after the position that [`Hub::begin_read`] gave. What was
    /// delivered meanwhile is skipped. A hole that is open still is returned.
    pub fn fill(&mut self, stream: StreamId, replayed: Replayed) -> Option<Need> {
        let topic = self.topics.get_mut(&stream)?;
        topic.is_reading = false;
        topic.is_uncertain |= replayed.is_cut;
        let held = topic.held?;
        if replayed.upto <= held {
            // The store knew of nothing new: a hole that it cannot close is not asked for again and again, but
            // one that came while it was being asked is.
            let need = topic.hole(stream);
            return need.filter(|_| topic.is_uncertain || topic.is_asked_again);
        }
        let told = replayed.told.into_iter().filter(|told| told.position > held).collect();
        topic.deliver(stream, Piece { after: held, upto: replayed.upto, told });
        topic.drain_parked(stream);
        topic.hole(stream)
    }

    /// The store could not be read; it is tried again.
    pub fn give_up(&mut self, stream: StreamId) -> Option<Need> {
        let topic = self.topics.get_mut(&stream)?;
        topic.is_reading = false;
        topic.is_uncertain = true;
        Some(Need::ReadLater(stream))
    }

    /// Tells the connections of these users that one of them is typing in a conversation, but for the typist's own
    /// and for those that have not subscribed to it.
    pub fn typing(&self, conversation: Sid<Conversation>, users: &[Sid<User>], typist: Sid<User>, packet: &Bytes) {
        let topics = users.iter().filter_map(|user| self.topics.get(&mine(*user)));
        let own = topics.flat_map(|topic| &topic.watchers).filter(|watcher| watcher.watch == Watch::Own);
        for reader in own.filter(|reader| reader.mail.hears_typing_of(typist, conversation)) {
            reader.mail.post(Post::Typing(packet.clone()));
        }
    }

    /// Puts the same into every connection of a user, or of every user of an account (all accounts without
    /// one): each has a watcher of its own on its user's list. Gives how many there were.
    pub fn post(&self, whose: Whose, post: &Post) -> usize {
        let own = |topic: &&Topic<M>| whose.includes(topic.account);
        let watchers = |topic: &Topic<M>| {
            let own = topic.watchers.iter().filter(|watcher| watcher.watch == Watch::Own);
            own.inspect(|watcher| watcher.mail.post(post.clone())).count()
        };
        match whose {
            Whose::User(user) => self.topics.get(&mine(user)).map_or(0, watchers),
            Whose::Account(_) | Whose::Everybody => self.topics.values().filter(own).map(watchers).sum(),
        }
    }

    /// Ends every connection that a revocation names; gives how many there were, and `None` of a revocation that came
    /// by before. Each connection has a watcher of its own on its user's list.
    pub fn end(&mut self, entry: &Revocation) -> Option<usize> {
        if !self.ended.add(entry) {
            return None;
        }
        let own = self.own_of(entry.account);
        let named = own.filter(|mail| mail.holder().is_some_and(|holder| entry.names(&holder.bearer)));
        let count = named.inspect(|mail| mail.post(Post::Revoked)).count();
        self.ended.counted(count);
        Some(count)
    }

    /// How many connections a revocation ended when it came by.
    pub fn ended_by(&self, entry: &Revocation) -> usize {
        self.ended.by(entry)
    }

    /// How many revocations have come by. An admission remembers it, to be looked at again once the connection
    /// is in the hub: [`Hub::has_ended`].
    pub fn ended_count(&self) -> u64 {
        self.ended.count()
    }

    /// Whether a revocation that came by after that count names the bearer, or may do so.
    pub fn has_ended(&self, bearer: &Bearer, since: u64) -> bool {
        self.ended.names(bearer, since)
    }

    /// Whose connections of an account are on this node.
    pub fn holders(&self, account: AccountNumber) -> Vec<Arc<Holder>> {
        self.own_of(account).filter_map(Mail::holder).collect()
    }

    fn own_of(&self, account: AccountNumber) -> impl Iterator<Item = &M> {
        let topics = self.topics.values().filter(move |topic| topic.account == Some(account));
        topics.flat_map(|topic| &topic.watchers).filter(|watcher| watcher.watch == Watch::Own).map(|own| &own.mail)
    }

    /// Streams that somebody watches; a sweep compares their positions with the store.
    pub fn streams(&self) -> Vec<StreamId> {
        self.topics.iter().filter(|(_, topic)| !topic.watchers.is_empty()).map(|(stream, _)| *stream).collect()
    }

    /// The position up to which everything has been delivered, for whoever looks into a hub.
    pub fn position(&self, stream: StreamId) -> Option<i64> {
        self.topics.get(&stream)?.held
    }

    /// Topics that know of something they have not heard: each of them waits for news, or for the store.
    pub fn holes(&self) -> usize {
        self.topics.values().filter(|topic| topic.is_uncertain || !topic.parked.is_empty()).count()
    }

    /// Watchers on this node, and topics.
    pub fn counts(&self) -> (usize, usize) {
        (self.topics.values().map(|topic| topic.watchers.len()).sum(), self.topics.len())
    }

    fn forget_if_unwatched(&mut self, stream: StreamId) {
        let is_unwatched =
            self.topics.get(&stream).is_some_and(|topic| topic.watchers.is_empty() && topic.openers == 0);
        if is_unwatched {
            self.topics.remove(&stream);
        }
    }
}

impl<M: Mail> Topic<M> {
    fn new() -> Self {
        Self {
            account: None,
            held: None,
            ring: VecDeque::new(),
            parked: Vec::new(),
            watchers: Vec::new(),
            openers: 0,
            is_reading: false,
            is_asked_again: false,
            is_uncertain: false,
        }
    }

    /// The pieces after a position, if the ring reaches back that far without a gap.
    fn since(&self, position: i64) -> Option<impl Iterator<Item = &Piece>> {
        let first = self.ring.iter().position(|piece| piece.after <= position && position < piece.upto)?;
        Some(self.ring.iter().skip(first))
    }

    fn deliver(&mut self, stream: StreamId, piece: Piece) {
        self.held = Some(piece.upto);
        for watcher in &mut self.watchers {
            watcher.tell(stream, &piece);
        }
        if self.ring.len() == RING_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(piece);
    }

    /// Delivers what a hole had held back, as far as it continues the held position.
    fn drain_parked(&mut self, stream: StreamId) {
        while let Some(held) = self.held {
            self.parked.retain(|piece| piece.upto > held);
            let Some(at) = self.parked.iter().position(|piece| piece.after == held) else { return };
            let piece = self.parked.swap_remove(at);
            self.deliver(stream, piece);
        }
    }

    fn hole(&self, stream: StreamId) -> Option<Need> {
        match (self.is_uncertain, self.parked.is_empty()) {
            (true, _) => Some(Need::ReadNow(stream)),
            (false, false) => Some(Need::ReadSoon(stream)),
            (false, true) => None,
        }
    }

    /// Something was dropped. Until somebody has attached there is nobody to miss it, and no position to
    /// read from; a read that is running will be followed by another.
    fn doubt(&mut self, stream: StreamId) -> Option<Need> {
        self.is_uncertain = true;
        (self.held.is_some() && !self.is_reading).then_some(Need::ReadNow(stream))
    }
}

impl<M: Mail> Watcher<M> {
    fn tell(&mut self, stream: StreamId, piece: &Piece) {
        if piece.upto <= self.at {
            return;
        }
        match self.watch {
            Watch::Part(part) => {
                for told in piece.told.iter().filter(|told| told.part == part && told.position > self.at) {
                    self.mail.post(Post::Packet { stream, part, packet: told.packet.clone() });
                }
            }
            Watch::Rights => {}
            Watch::Own => {
                let new = piece.told.iter().filter(|told| told.position > self.at);
                let mut ended = new.filter_map(|told| told.ended).peekable();
                if ended.peek().is_none() {
                    self.mail.post(Post::Own { upto: piece.upto, ended: None });
                }
                for conversation in ended {
                    self.mail.post(Post::Own { upto: piece.upto, ended: Some(conversation) });
                }
                if piece.told.iter().any(|told| told.part == Part::Rights && told.position > self.at) {
                    self.mail.post(Post::Rights);
                }
            }
        }
        self.at = piece.upto;
    }
}
