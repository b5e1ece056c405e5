//! The requests of one connection: which is performed next, and when an answer goes out. A state machine
//! without IO or a clock; the driver is [`super::socket`], and the simulation drives it as it is.
//!
//! Requests are performed one after the other, in the order in which the client sent them; a subscription may
//! overtake reads. An answer goes out at once, but for a page of a Sync object: an SDK never tells its app about
//! what a page brought before its event. So a page is held until the client has its events, and other requests
//! go on meanwhile. Many pages are held side by side, and each waits [`PATIENCE`] for its receipts at most.
//!
//! Nothing here may stop the reading of the socket: the receipts that a page waits for come from there.
//! Reading order: [`Requests::ask`], [`Requests::begin`], [`Requests::answered`], [`Requests::look`],
//! [`Requests::sent`], [`Requests::release`]. See docs/decisions/0017.

mod held;
mod known;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use tertulia_protocol::realtime::TunnelledRequest;
use tertulia_protocol::sync::Object;

use held::{Held, Stage};
use known::Known;

/// A moment, as the time since the connection was opened.
pub type Moment = Duration;

/// How long a page waits for each thing: its subscription, if there is none yet, its events, and their receipts.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Where a page stands on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The object.
    pub object: Object,
    /// The object's position when it was read.
    pub position: i64,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct RequestBounds {
    /// Bytes of requests that wait to be performed.
    pub waiting_bytes_max: usize,
    /// Bytes of pages that are held; beyond it no further page is read.
    pub held_bytes_max: usize,
}

/// More requests wait than the bound allows. The connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// Notifications of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// How many were sent.
    pub told: u64,
    /// How many the client says it has.
    pub heard: u64,
}

/// What a request is to the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Subscription,
}

#[derive(Debug)]
struct Waiting {
    kind: Kind,
    bytes: usize,
    id: String,
    request: TunnelledRequest,
}

/// The requests of one connection; `A` is an answer.
#[derive(Debug)]
pub struct Requests<A> {
    bounds: RequestBounds,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Bytes that were read and not taken in yet; they count like requests.
    unread_bytes: usize,
    performing: Option<Kind>,
    /// In the order in which they were read from the store.
    held: Vec<Held<A>>,
    held_bytes: usize,
    known: Known,
    /// When the last receipt came.
    heard_at: Moment,
}

impl<A> Requests<A> {
    /// None yet.
    pub fn new(bounds: RequestBounds) -> Self {
        Self {
            bounds,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            unread_bytes: 0,
            performing: None,
            held: Vec::new(),
            held_bytes: 0,
            known: Known::default(),
            heard_at: Moment::ZERO,
        }
    }

    /// A request has come. One may always wait, however large it is.
    pub fn ask(&mut self, id: String, request: TunnelledRequest) -> Result<(), TooMuch> {
        let (kind, bytes) = (Kind::of(&request), size_of::<Waiting>() + size(&id, &request));
        self.waiting_bytes += bytes;
        self.waiting.push_back(Waiting { kind, bytes, id, request });
        if self.waiting.len() == 1 { Ok(()) } else { self.check() }
    }

    /// Bytes were read while they could not be taken in.
    pub fn unread(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.unread_bytes += bytes;
        self.check()
    }

    /// They are taken in now.
    pub fn taken_in(&mut self, bytes: usize) {
        self.unread_bytes = self.unread_bytes.saturating_sub(bytes);
    }

    fn check(&self) -> Result<(), TooMuch> {
        let waits = self.waiting_bytes + self.unread_bytes;
        if waits > self.bounds.waiting_bytes_max { Err(TooMuch) } else { Ok(()) }
    }

    /// The request to perform now, unless one is being performed.
    pub fn begin(&mut self) -> Option<(String, TunnelledRequest)> {
        if self.performing.is_some() {
            return None;
        }
        let at = self.next_place()?;
        let Waiting { kind, bytes, id, request } = self.waiting.remove(at)?;
        self.performing = Some(kind);
        self.waiting_bytes -= bytes;
        if self.waiting.is_empty() {
            // An idle connection keeps no buffer from its busiest moment.
            self.waiting = VecDeque::new();
        }
        Some((id, request))
    }

    /// The first one, unless a subscription comes behind nothing but reads.
    fn next_place(&self) -> Option<usize> {
        let first = self.waiting.front()?;
        let change = self.waiting.iter().position(|waiting| waiting.kind != Kind::Read);
        let overtaking = change.filter(|at| self.waiting[*at].kind == Kind::Subscription);
        // A full house lets no page in. A subscription may be what the pages wait for.
        let may_read = first.kind != Kind::Read || self.held_bytes < self.bounds.held_bytes_max;
        overtaking.or(may_read.then_some(0))
    }

    /// Whether nothing is being performed and no answer is held.
    pub fn is_quiet(&self) -> bool {
        self.performing.is_none() && self.held.is_empty()
    }

    /// Whether pages are held.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The client has opened an object, which stood at this position: a page from there shows nothing that an
    /// event must tell.
    pub fn opened(&mut self, opened: Shown) {
        self.known.note(opened);
    }

    /// What was performed is answered. An answer that need not be held is given back. `is_live` says whether the
    /// connection is subscribed to an object.
    pub fn answered(
        &mut self,
        answer: A,
        bytes: usize,
        page: Option<Shown>,
        is_live: impl Fn(Object) -> bool,
        now: Moment,
    ) -> Option<A> {
        let performed = self.performing.take();
        if performed == Some(Kind::Subscription) {
            self.subscribed(&is_live, now);
        }
        let Some(page) = page else { return Some(answer) };
        let stage = match is_live(page.object) {
            true => Stage::Unposted { looks: 0 },
            false if self.known.is_worth_waiting(page) => Stage::Unsubscribed,
            false => return Some(answer),
        };
        self.held_bytes += bytes;
        self.held.push(Held::new(answer, bytes, page, stage, now));
        None
    }

    /// What has become live: its pages wait for its events now.
    fn subscribed(&mut self, is_live: impl Fn(Object) -> bool, now: Moment) {
        self.known.forget(&is_live);
        for held in &mut self.held {
            if held.stage == Stage::Unsubscribed && is_live(held.page.object) {
                held.subscribed(now);
            }
        }
    }

    /// Receipts have come.
    pub fn heard(&mut self, receipts: Receipts, now: Moment) {
        self.heard_at = now;
        for held in &mut self.held {
            held.heard(receipts.heard, now);
        }
    }

    /// Looks after pages whose events are perhaps not posted. `posted` says up to where an object's events are in
    /// the mailbox; nothing when the connection is no longer subscribed to it. Gives the objects whose news seem
    /// lost.
    pub fn look(&mut self, now: Moment, posted: impl Fn(Object) -> Option<i64>) -> Vec<Object> {
        // Many pages of one list come together: it is asked for once.
        let mut last = None;
        let mut posted = |object| match last {
            Some((known, position)) if known == object => position,
            _ => last.insert((object, posted(object))).1,
        };
        let due = self.held.iter_mut().filter(|held| held.next <= now);
        due.filter_map(|held| held.look(now, &mut posted)).collect()
    }

    /// Whether pages wait until the mailbox has gone out.
    pub fn awaits_mailbox(&self) -> bool {
        self.held.iter().any(|held| held.stage == Stage::Posted)
    }

    /// What was in the mailbox has been sent, so many notifications in all.
    pub fn sent(&mut self, receipts: Receipts, now: Moment) {
        for held in &mut self.held {
            held.sent(receipts, self.heard_at, now);
        }
    }

    /// The pages that go out now, in the order in which they were read.
    pub fn release(&mut self, now: Moment) -> Vec<A> {
        if self.held.iter().all(|held| !held.is_ready(now)) {
            return Vec::new();
        }
        let (ready, held) = std::mem::take(&mut self.held).into_iter().partition(|held| held.is_ready(now));
        self.held = held;
        let ready: Vec<Held<A>> = ready;
        ready.into_iter().map(|held| self.let_go(held)).collect()
    }

    fn let_go(&mut self, held: Held<A>) -> A {
        self.held_bytes -= held.bytes;
        if held.stage == Stage::Unsubscribed {
            self.known.waited_in_vain(held.page.object);
        }
        held.answer
    }

    /// When to look and to release again.
    pub fn due(&self) -> Option<Moment> {
        self.held.iter().map(|held| held.next).min()
    }
}

impl Kind {
    fn of(request: &TunnelledRequest) -> Self {
        match request.method.as_str() {
            "GET" => Self::Read,
            "POST" if request.path == "/v4/Subscriptions" => Self::Subscription,
            _ => Self::Write,
        }
    }
}

fn size(id: &str, request: &TunnelledRequest) -> usize {
    let params: usize =
        request.params.iter().map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>()).sum();
    id.len() + request.method.len() + request.path.len() + request.content_type.len() + request.body.len() + params
}
