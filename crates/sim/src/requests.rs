//! The requests of a connection: the server's own [`Requests`], driven as the socket's driver does it, and what has
//! arrived and was not read yet.

use std::collections::VecDeque;
use std::time::Duration;

use tertulia_protocol::realtime::http_reply;
use tertulia_protocol::sync::Object;
use tertulia_server::realtime::hub::Watch;
use tertulia_server::realtime::mailbox::Overflow;
use tertulia_server::realtime::news::{part_of, stream_of};
use tertulia_server::realtime::requests::{Moment, RequestBounds, Shown};
use tertulia_server::realtime::session::Input;

use crate::client::Fault;
use crate::world::{Event, Place, World};

/// An answer: the request's id, a status and a body.
pub type Answer = (String, u16, Vec<u8>);

/// What an answer shows of an object.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// What it is.
    Opened(Shown),
    /// Some of its items.
    Page(Shown),
}

/// What the store said to a read.
pub type Read = ((u16, Vec<u8>), Option<Seen>);

/// The longest that a packet may lie unread, for each that lies before it.
const UNREAD_MICROS: i64 = 10_000;
/// And once more, whatever lies before it.
const UNREAD_MORE_MICROS: i64 = 60_000;

/// Bounds that a burst of 200 requests does not reach.
pub fn bounds() -> RequestBounds {
    RequestBounds { waiting_bytes_max: 1 << 20, held_bytes_max: 1 << 20 }
}

/// Packets that have arrived, and by when each must be read.
#[derive(Debug, Default)]
pub struct Inbox(VecDeque<(Vec<u8>, i64)>);

impl Inbox {
    /// Another packet.
    pub fn push(&mut self, packet: Vec<u8>, now: i64) {
        let before = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
        self.0.push_back((packet, now + UNREAD_MORE_MICROS + UNREAD_MICROS * (before + 1)));
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Until then nothing could be read.
    pub fn excuse(&mut self, until: i64) {
        for (place, (_, by)) in self.0.iter_mut().enumerate() {
            let before = i64::try_from(place).unwrap_or(i64::MAX);
            *by = (*by).max(until + UNREAD_MORE_MICROS + UNREAD_MICROS * (before + 1));
        }
    }

    /// The next one, which must not have waited for too long.
    pub fn pop(&mut self, now: i64) -> Result<Vec<u8>, Fault> {
        let (packet, by) = self.0.pop_front().unwrap_or((Vec::new(), now));
        if by < now {
            return Err(format!("a packet lay unread {} us longer than it may", now - by));
        }
        Ok(packet)
    }
}

impl World {
    fn moment(&self) -> Moment {
        Duration::from_micros(self.now.unsigned_abs())
    }

    /// Takes a packet in; pages may wait for the receipt that it is.
    pub fn packet(&mut self, place: Place, packet: Vec<u8>) {
        let before = self.connections[place].session.receipts().heard;
        self.input(place, Input::Packet(packet.into()));
        let (moment, connection) = (self.moment(), &mut self.connections[place]);
        let receipts = connection.session.receipts();
        if receipts.heard > before {
            connection.requests.heard(receipts, moment);
            self.let_pages_go(place);
        }
    }

    /// Begins with the next request, if its turn has come.
    pub fn begin_next(&mut self, place: Place) {
        if self.connections[place].is_open
            && let Some((id, request)) = self.connections[place].requests.begin()
        {
            self.begin_answer(place, id, request);
        }
    }

    /// A request is answered: the answer goes out or is held, and the next one's turn has come.
    pub fn answered(&mut self, place: Place, id: String, (status, body): (u16, Vec<u8>), seen: Option<Seen>) {
        let moment = self.moment();
        let connection = &mut self.connections[place];
        if !connection.is_open {
            return;
        }
        let page = match seen {
            Some(Seen::Page(page)) => Some(page),
            Some(Seen::Opened(opened)) => {
                connection.requests.opened(opened);
                None
            }
            None => None,
        };
        let mailbox = connection.mailbox.clone();
        let watch = |object| (stream_of(object), Watch::Part(part_of(object)));
        let is_live = |object: Object| {
            let (stream, watch) = watch(object);
            mailbox.as_ref().is_some_and(|mailbox| mailbox.is_attached(stream, watch))
        };
        let bytes = body.len();
        if let Some(answer) = connection.requests.answered((id, status, body), bytes, page, is_live, moment) {
            self.reply(place, answer);
        }
        self.let_pages_go(place);
        self.begin_next(place);
        self.turn_soon(place);
    }

    fn reply(&mut self, place: Place, (id, status, body): Answer) {
        self.send(place, http_reply(&id, status, &body).into());
    }

    /// Pages are looked after at a time that was asked for.
    pub fn pages_due(&mut self, place: Place) {
        self.connections[place].looks_at = None;
        self.let_pages_go(place);
        self.begin_next(place);
    }

    fn let_pages_go(&mut self, place: Place) {
        let moment = self.moment();
        if !self.connections[place].is_open {
            return;
        }
        if self.connections[place].requests.due().is_some_and(|due| due <= moment) {
            self.look_for_news(place);
            if self.connections[place].requests.awaits_mailbox() && !self.empty_mailbox(place) {
                return;
            }
            for answer in self.connections[place].requests.release(moment) {
                self.reply(place, answer);
            }
        }
        self.look_again_later(place);
    }

    fn look_for_news(&mut self, place: Place) {
        let moment = self.moment();
        let (node, Some(mailbox)) = (self.connections[place].node, self.connections[place].mailbox.clone()) else {
            return;
        };
        let hub = &self.nodes[node].hub;
        let posted = |object| hub.told(stream_of(object), Watch::Part(part_of(object)), &mailbox);
        for object in self.connections[place].requests.look(moment, posted) {
            let need = self.nodes[node].hub.doubt(stream_of(object));
            self.follow(node, need);
        }
    }

    /// Sends what is in the mailbox. Whether the connection is still there.
    fn empty_mailbox(&mut self, place: Place) -> bool {
        let waiting = self.connections[place].mailbox.as_ref().map_or(0, |mailbox| mailbox.waiting());
        for _ in 0..waiting {
            match self.receive(place) {
                Some(Ok(post)) => self.input(place, Input::Post(post)),
                // The connection finds out by itself at its next turn.
                Some(Err(Overflow)) | None => break,
            }
            if !self.connections[place].is_open {
                return false;
            }
        }
        let (moment, connection) = (self.moment(), &mut self.connections[place]);
        let receipts = connection.session.receipts();
        connection.requests.sent(receipts, moment);
        true
    }

    fn look_again_later(&mut self, place: Place) {
        let Some(due) = self.connections[place].requests.due() else { return };
        let due = i64::try_from(due.as_micros()).unwrap_or(i64::MAX).max(self.now);
        if self.connections[place].looks_at.is_none_or(|at| due < at) {
            self.connections[place].looks_at = Some(due);
            self.later(due - self.now, Event::Pages(place));
        }
    }
}
