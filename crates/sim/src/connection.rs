//! A connection at the server: what the socket's driver does, in simulated time. Session, mailbox and
//! the procedure of subscribing are the server's own.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tertulia_protocol::realtime::{TunnelledRequest, http_reply};
use tertulia_protocol::sync::{self, Object, SubscriptionAction, SubscriptionRequest};
use tertulia_protocol::{Code, Sid};
use tertulia_server::platform::{Caller, Source, UserRef, Who};
use tertulia_server::realtime::establish::{self, Encoded, Establishing, TRIES_MAX};
use tertulia_server::realtime::hub::{Attached, Mail, Post, Watch};
use tertulia_server::realtime::mailbox::{Bounds, Mailbox, Overflow};
use tertulia_server::realtime::news::{mine, part_of, stream_of};
use tertulia_server::realtime::objects::{Snapshot, Standing};
use tertulia_server::realtime::session::{Effect, Input, Session};
use tertulia_server::revocations::Bearer;
use tertulia_server::tokens::Admission;
use tertulia_store::StreamId;

use crate::client::Fault;
use crate::plant::Plant;
use crate::rows::{ACCOUNT, at};
use crate::world::{Event, Place, World};

/// One connection.
pub struct Connection {
    /// Whose.
    pub client: Place,
    /// Where it ends.
    pub node: Place,
    /// Whether it is there.
    pub is_open: bool,
    session: Session,
    mailbox: Option<Arc<Mailbox>>,
    /// Effects that wait until the connection is somebody's.
    entering: Option<Vec<Effect>>,
    /// Streams that are open for it.
    opened: Vec<StreamId>,
    inbox: VecDeque<Vec<u8>>,
    is_answering: bool,
    establishing: Option<(String, Establishing)>,
    stalled_until: i64,
    has_turn: bool,
    /// When the last packets on their way arrive: a websocket keeps the order.
    pub arrives: (i64, i64),
    waker: Waker,
}

/// The longest way of a packet.
const WIRE_MICROS: i64 = 20_000;
/// The longest time until a connection does its next thing.
const TURN_MICROS: i64 = 500;

impl World {
    /// A client connects to a node that is there, or finds none.
    pub fn connect(&mut self, client: Place) -> Result<(), Fault> {
        if self.is_over || self.clients[client].1.is_some() {
            return Ok(());
        }
        let node = self.chance.below(self.nodes.len());
        let Some(node) = [node, 1 - node].into_iter().find(|node| self.nodes[*node].is_alive) else {
            let told = self.clients[client].0.disconnected(self.now);
            return self.after(client, told);
        };
        let place = self.connections.len();
        let waker = self.bell(place);
        self.connections.push(Connection {
            client,
            node,
            is_open: true,
            session: Session::new(self.at(), "f".repeat(32), "c".repeat(32)),
            mailbox: None,
            entering: None,
            opened: Vec::new(),
            inbox: VecDeque::new(),
            is_answering: false,
            establishing: None,
            stalled_until: 0,
            has_turn: false,
            arrives: (0, 0),
            waker,
        });
        self.note(|world| {
            let name = world.clients[client].0.name();
            format!("client {client} ({name}): connects to node {node} as connection {place}")
        });
        self.clients[client].1 = Some(place);
        let told = self.clients[client].0.connected(self.now);
        self.after(client, told)?;
        if !self.is_calm {
            let fate = self.chance.below(10);
            match fate {
                0..=2 => self.within(3_000_000, Event::Cut(place)),
                3 | 4 => {
                    let micros = self.chance.between(50_000, 1_500_000);
                    self.within(2_000_000, Event::Stall(place, micros));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// When a packet arrives that is sent now, behind the last one.
    pub fn arrival(&mut self, last: i64) -> i64 {
        let arrives = self.now + self.chance.between(10, WIRE_MICROS);
        arrives.max(last + 1)
    }

    /// A packet is there.
    pub fn to_server(&mut self, place: Place, packet: Vec<u8>) {
        if self.connections[place].is_open {
            self.connections[place].inbox.push_back(packet);
            self.turn_soon(place);
        }
    }

    /// A connection ends; the client learns of it, and comes back.
    pub fn end(&mut self, place: Place) {
        let connection = &mut self.connections[place];
        if !std::mem::take(&mut connection.is_open) {
            return;
        }
        let (node, last) = (connection.node, connection.arrives.1);
        let hub = &mut self.nodes[node].hub;
        if let Some((_, establishing)) = connection.establishing.take() {
            establishing.end(hub);
        }
        connection.opened.drain(..).for_each(|stream| hub.close(stream));
        if let Some(mailbox) = &connection.mailbox {
            establish::leave(hub, mailbox);
        }
        let arrives = self.arrival(last);
        self.later(arrives - self.now, Event::Gone(place));
    }

    /// The client knows that its connection is gone.
    pub fn gone(&mut self, place: Place) -> Result<(), Fault> {
        let client = self.connections[place].client;
        if self.clients[client].1 != Some(place) {
            return Ok(());
        }
        self.note(|_| format!("client {client}: connection {place} is gone"));
        self.clients[client].1 = None;
        let told = self.clients[client].0.disconnected(self.now);
        self.after(client, told)
    }

    /// The reader takes nothing for a while.
    pub fn stall(&mut self, place: Place, micros: i64) {
        if self.connections[place].is_open && !self.is_calm {
            self.note(|_| format!("connection {place}: stalls for {micros} us"));
            self.connections[place].stalled_until = self.now + micros;
            self.later(micros + 1, Event::Turn(place));
        }
    }

    /// The connection will do something soon, if there is something.
    pub fn turn_soon(&mut self, place: Place) {
        if !std::mem::replace(&mut self.connections[place].has_turn, true) {
            self.within(TURN_MICROS, Event::Turn(place));
        }
    }

    /// The connection does one thing.
    pub fn turn(&mut self, place: Place) {
        let connection = &mut self.connections[place];
        connection.has_turn = false;
        if !connection.is_open || connection.entering.is_some() || connection.stalled_until > self.now {
            return;
        }
        let may_take = !connection.is_answering && !connection.inbox.is_empty();
        if may_take && (connection.mailbox.is_none() || self.chance.happens(500)) {
            let packet = self.connections[place].inbox.pop_front().unwrap_or_default();
            self.input(place, Input::Packet(packet.into()));
            return self.turn_soon(place);
        }
        for _ in 0..=self.chance.below(4) {
            match self.receive(place) {
                Some(Ok(post)) => self.input(place, Input::Post(post)),
                Some(Err(Overflow)) => {
                    self.note(|_| format!("connection {place}: its mailbox overflowed"));
                    let effects = self.connections[place].session.overflow();
                    return self.perform(place, effects);
                }
                None if may_take => return self.turn_soon(place),
                None => return,
            }
            if !self.connections[place].is_open {
                return;
            }
        }
        self.turn_soon(place);
    }

    fn receive(&mut self, place: Place) -> Option<Result<Post, Overflow>> {
        let connection = &self.connections[place];
        let mailbox = connection.mailbox.as_ref()?;
        let mut context = Context::from_waker(&connection.waker);
        match pin!(mailbox.receive()).poll(&mut context) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => None,
        }
    }

    fn input(&mut self, place: Place, input: Input) {
        let now = self.at();
        let effects = self.connections[place].session.input(now, input);
        self.perform(place, effects);
    }

    /// Performs effects in their order, as the socket's driver does.
    fn perform(&mut self, place: Place, effects: Vec<Effect>) {
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            match effect {
                Effect::Send(packet) => self.send(place, packet),
                Effect::Admit { id, .. } => {
                    let result = Ok(self.admission(self.connections[place].client));
                    self.input(place, Input::Admitted { id, result });
                }
                Effect::Enter { wants_typing } => {
                    self.connections[place].entering = Some(effects.collect());
                    return self.enter(place, wants_typing);
                }
                Effect::Answer { id, request } => self.begin_answer(place, id, request),
                Effect::Detach(stream, part, upto) => {
                    let connection = &self.connections[place];
                    if let Some(mailbox) = &connection.mailbox {
                        establish::lose(&mut self.nodes[connection.node].hub, mailbox, stream, part, upto);
                    }
                }
                // Nobody reads by the right of a role here, and nobody is deleted.
                Effect::LookAgain => {}
                Effect::Close(_) => return self.end(place),
            }
        }
    }

    fn send(&mut self, place: Place, packet: Bytes) {
        let arrives = self.arrival(self.connections[place].arrives.1);
        self.connections[place].arrives.1 = arrives;
        self.later(arrives - self.now, Event::ToClient(place, packet));
    }

    fn admission(&self, client: Place) -> Box<Admission> {
        let sid = self.clients[client].0.user();
        let identity = self.rows.user(sid).map(|user| user.identity.clone()).unwrap_or_default();
        let user = Arc::new(UserRef { service: Sid::from_number(1), sid, identity, role: None });
        let caller = Caller {
            account: ACCOUNT,
            account_sid: Sid::from_number(1),
            source: Source::Sdk,
            who: Who::User(Arc::clone(&user)),
            hooks: true,
            address: None,
        };
        let (expires, dies) = (at(i64::MAX / 4), at(i64::MAX / 4));
        // Nothing is revoked here.
        let bearer = Arc::new(Bearer {
            account: ACCOUNT,
            service: user.service,
            identity: user.identity.as_str().into(),
            key: Sid::from_number(1),
            jti: None,
            session: None,
            issued: at(0),
            expires,
        });
        Box::new(Admission { caller, user, expires, dies, bearer, ended_count: 0 })
    }

    fn enter(&mut self, place: Place, wants_typing: bool) {
        let (node, client) = (self.connections[place].node, self.connections[place].client);
        let user = self.clients[client].0.user();
        let bounds = Bounds { packets_max: self.weather.mailbox_max, bytes_max: 1 << 20 };
        self.connections[place].mailbox = Some(Mailbox::new(user, wants_typing, bounds));
        let need = self.nodes[node].hub.open(mine(user));
        self.connections[place].opened.push(mine(user));
        self.follow(node, need);
        self.within(self.weather.read_micros, Event::OwnRead(place, 1));
    }

    /// The store is looked at.
    pub fn own_read(&mut self, place: Place, tries: usize) {
        let user = self.clients[self.connections[place].client].0.user();
        let position = self.rows.position(Object::MyConversations(user));
        self.within(self.weather.read_micros, Event::OwnBack(place, tries, position));
    }

    /// What it said: the connection is somebody's, or asks again.
    pub fn own_back(&mut self, place: Place, tries: usize, position: i64) {
        let connection = &self.connections[place];
        let Some(mailbox) = connection.mailbox.clone().filter(|_| connection.is_open) else { return };
        let (node, user) = (connection.node, mailbox.user());
        match establish::attach_own(&mut self.nodes[node].hub, ACCOUNT, user, &mailbox, position) {
            Attached::Live(need) => self.follow(node, need),
            Attached::Behind if tries < TRIES_MAX => return self.own_read(place, tries + 1),
            Attached::Behind => return self.end(place),
        }
        let opened = std::mem::take(&mut self.connections[place].opened);
        opened.into_iter().for_each(|stream| self.nodes[node].hub.close(stream));
        let waiting = self.connections[place].entering.take().unwrap_or_default();
        // The mailbox is listened to from now on.
        self.turn_soon(place);
        self.perform(place, waiting);
    }

    fn begin_answer(&mut self, place: Place, id: String, request: TunnelledRequest) {
        self.connections[place].is_answering = true;
        if request.path != "/v4/Subscriptions" {
            return self.within(self.weather.read_micros, Event::Answer(place, id, request.path));
        }
        let connection = &self.connections[place];
        let (node, mailbox) = (connection.node, connection.mailbox.clone());
        let request: Option<SubscriptionRequest> = serde_json::from_slice(&request.body).ok();
        let (Some(mailbox), Some(request)) = (mailbox, request) else {
            return self.answered(place, &id, 400, b"{}");
        };
        let hub = &mut self.nodes[node].hub;
        if request.action == SubscriptionAction::Cancel {
            for object in establish::cancel(hub, &mailbox, &request) {
                self.input(place, Input::Cancelled(stream_of(object), part_of(object)));
            }
            return self.accepted(place, &id);
        }
        let (establishing, needs) = Establishing::begin(hub, ACCOUNT, &mailbox, request);
        needs.into_iter().for_each(|need| self.follow(node, Some(need)));
        self.connections[place].establishing = Some((id, establishing));
        self.ask(place);
    }

    fn ask(&mut self, place: Place) {
        let Some((_, establishing)) = &mut self.connections[place].establishing else { return };
        if let Some(snapshot) = establishing.ask() {
            return self.within(self.weather.read_micros, Event::SnapshotRead(place, snapshot));
        }
        let node = self.connections[place].node;
        if let Some((id, establishing)) = self.connections[place].establishing.take() {
            establishing.end(&mut self.nodes[node].hub);
            self.accepted(place, &id);
        }
    }

    /// A snapshot is taken; it may be old when it is used.
    pub fn snapshot_read(&mut self, place: Place, snapshot: &Snapshot) {
        let user = self.clients[self.connections[place].client].0.user();
        let (answers, own) = self.rows.snapshot(user, snapshot, self.weather.replay_max);
        self.within(self.weather.read_micros, Event::SnapshotBack(place, answers, own));
    }

    /// A snapshot is used.
    pub fn snapshot_back(&mut self, place: Place, answers: Vec<Result<Standing, Code>>, own: i64) {
        let Some((id, mut establishing)) = self.connections[place].establishing.take() else { return };
        let node = self.connections[place].node;
        for answered in establishing.answered(answers, own) {
            let encoded = establishing.encode(answered);
            let need = match self.plant {
                Some(Plant::NoComparison) => self.settle_blindly(place, encoded),
                Some(Plant::LiveFirst) => self.settle_live(place, encoded),
                _ => establishing.settle(&mut self.nodes[node].hub, encoded),
            };
            self.follow(node, need);
        }
        self.connections[place].establishing = Some((id, establishing));
        self.ask(place);
    }

    /// A planted fault: the snapshot is held against nothing.
    fn settle_blindly(&mut self, place: Place, encoded: Encoded) -> Option<tertulia_server::realtime::hub::Need> {
        let (node, mailbox) = (self.connections[place].node, self.connections[place].mailbox.clone()?);
        let own = encoded.own;
        mailbox.awaits_own(false);
        encoded.posts.into_iter().for_each(|post| mailbox.post(post));
        let (object, position) = encoded.live?;
        let (stream, watch) = (stream_of(object), Watch::Part(part_of(object)));
        let position = self.nodes[node].hub.position(stream).unwrap_or(0).max(position);
        mailbox.attached(stream, watch);
        match self.nodes[node].hub.attach(stream, ACCOUNT, watch, &mailbox, position, own) {
            Attached::Live(need) => need,
            Attached::Behind => None,
        }
    }

    /// A planted fault: the watcher is in place before the replay and `subscription_established` are.
    fn settle_live(&mut self, place: Place, encoded: Encoded) -> Option<tertulia_server::realtime::hub::Need> {
        let (node, mailbox) = (self.connections[place].node, self.connections[place].mailbox.clone()?);
        let (mut posts, own) = (encoded.posts, encoded.own);
        mailbox.awaits_own(false);
        let mut need = None;
        if let Some((object, position)) = encoded.live {
            let (stream, watch) = (stream_of(object), Watch::Part(part_of(object)));
            posts.pop().into_iter().for_each(|subscribed| mailbox.post(subscribed));
            mailbox.attached(stream, watch);
            if let Attached::Live(hole) = self.nodes[node].hub.attach(stream, ACCOUNT, watch, &mailbox, position, own) {
                need = hole;
            }
        }
        self.within(20_000, Event::Late(place, posts));
        need
    }

    /// What a planted fault held back.
    pub fn late(&mut self, place: Place, posts: Vec<Post>) {
        if let Some(mailbox) = &self.connections[place].mailbox {
            posts.into_iter().for_each(|post| mailbox.post(post));
        }
    }

    fn accepted(&mut self, place: Place, id: &str) {
        let body = sync::subscription_accepted().to_string().into_bytes();
        self.answered(place, id, 200, &body);
    }

    /// A request for an object or its items is answered from the rows.
    pub fn answer(&mut self, place: Place, id: String, path: String) {
        let own = self.connections[place].mailbox.as_ref().map_or(0, |mailbox| mailbox.own_position());
        let user = self.clients[self.connections[place].client].0.user();
        let mut parts = path.split('/').skip(3);
        let object = parts.next().and_then(Object::parse);
        let read = match (object, parts.next()) {
            (None, _) => (404, b"{}".to_vec()),
            (Some(object), None) => self.rows.open(user, object),
            (Some(object), Some(_)) => self.rows.page(user, object),
        };
        self.within(self.weather.read_micros, Event::Answered(place, id, path, own, read));
    }

    /// What was read goes out, unless it refuses what the user has been let into since.
    pub fn read_back(&mut self, place: Place, id: String, path: String, own: i64, (status, body): &(u16, Vec<u8>)) {
        let mailbox = self.connections[place].mailbox.as_deref();
        if mailbox.is_some_and(|mailbox| establish::is_refused_too_late(*status, mailbox, own)) {
            return self.answer(place, id, path);
        }
        self.answered(place, &id, *status, body);
    }

    /// An answer goes out, and the next request may come.
    pub fn answered(&mut self, place: Place, id: &str, status: u16, body: &[u8]) {
        if self.connections[place].is_open {
            self.connections[place].is_answering = false;
            self.send(place, http_reply(id, status, body).into());
            self.turn_soon(place);
        }
    }
}
