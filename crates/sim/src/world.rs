//! The world of one run: its time, its events in their order, and what may go wrong in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use tertulia_protocol::Timestamp;
use tertulia_server::realtime::hub::{Interest, Need, Post};
use tertulia_server::realtime::news::Replayed;
use tertulia_server::realtime::objects::{Snapshot, Standing};
use tertulia_store::{News, StreamId};

use crate::chance::Chance;
use crate::client::{Alarm, Client, Fault};
use crate::connection::Connection;
use crate::node::Node;
use crate::plant::Plant;
use crate::rows::{Command, Rows, at};

/// A place in one of the world's lists.
pub type Place = usize;

/// What happens at some moment.
#[derive(Debug)]
pub enum Event {
    /// The application does something.
    Act,
    /// A command commits that was told of before (only the planted fault does that).
    Commit(Place, u32, Command),
    /// News leave the node that committed.
    Publish(Place, u32, Vec<News>),
    /// The bus brings news to a node.
    Arrive(Place, u32, News),
    /// A hub has a need whose patience is over.
    Read(Place, u32, Need),
    /// What the store said of a stream; nothing if it did not answer.
    ReadDone(Place, u32, StreamId, Option<Replayed>),
    /// A node compares everything with the store.
    Sweep(Place),
    /// The bus goes away, for everybody.
    BusDown,
    /// It is back, and each node learns of it.
    BusUp,
    /// A node dies.
    Die(Place),
    /// It is back, empty.
    Rise(Place),
    /// A node's lease lapses, and another one learns of its death.
    Lapse(Place),
    /// A client connects.
    Connect(Place),
    /// A client wished to be woken.
    Wake(Place, Alarm),
    /// A connection does one thing.
    Turn(Place),
    /// A packet reaches the server.
    ToServer(Place, Vec<u8>),
    /// A packet reaches the client.
    ToClient(Place, bytes::Bytes),
    /// The client learns that its connection is gone.
    Gone(Place),
    /// The network cuts a connection.
    Cut(Place),
    /// A connection's reader takes nothing for so long.
    Stall(Place, i64),
    /// The store is asked where the user's own list stands.
    OwnRead(Place, usize),
    /// It said.
    OwnBack(Place, usize, i64),
    /// The store is asked for a subscription request's snapshot.
    SnapshotRead(Place, Snapshot),
    /// It said.
    SnapshotBack(Place, Vec<Result<Standing, tertulia_protocol::Code>>, i64),
    /// A tunnelled request is answered.
    Answer(Place, String, String),
    /// What the store said, and where the user's own list stood before.
    Answered(Place, String, String, i64, (u16, Vec<u8>)),
    /// Posts that a planted fault holds back.
    Late(Place, Vec<Post>),
}

/// How bad this run's world is, in thousandths.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The bus drops news, and nobody is told.
    pub loss: usize,
    /// The bus repeats news.
    pub repeats: usize,
    /// The longest way over the bus, in microseconds.
    pub bus_micros: i64,
    /// The longest time between a commit and its publication.
    pub publish_micros: i64,
    /// The longest time of a read, from looking to telling.
    pub read_micros: i64,
    /// The queue to the hub overflows, which the hub is told.
    pub overflow: usize,
    /// Events of a list that one snapshot replays at most; who missed more is answered in parts.
    pub replay_max: usize,
    /// Packets that may wait for a connection.
    pub mailbox_max: usize,
    /// Whether interest spreads with a delay.
    pub interest: Interest,
}

impl Weather {
    fn of(chance: &mut Chance) -> Self {
        let pick = |chance: &mut Chance, choices: &[i64]| choices[chance.below(choices.len())];
        // With no silent loss at all, the re-check triggers alone must bring everything to an end.
        let loss = if chance.happens(500) { 0 } else { pick(chance, &[20, 150, 400]) as usize };
        Self {
            loss,
            repeats: pick(chance, &[0, 50, 300]) as usize,
            bus_micros: pick(chance, &[1_000, 30_000, 150_000]),
            publish_micros: pick(chance, &[100, 20_000, 100_000]),
            read_micros: pick(chance, &[2_000, 20_000, 120_000, 600_000]),
            overflow: pick(chance, &[0, 0, 30]) as usize,
            replay_max: pick(chance, &[3, 8, 2000]) as usize,
            mailbox_max: pick(chance, &[4, 12, 256, 256]) as usize,
            interest: if chance.happens(500) { Interest::Spreads } else { Interest::AtOnce },
        }
    }
}

/// Connections whose mailboxes have something.
#[derive(Debug, Default)]
pub struct Bells(Mutex<Vec<Place>>);

struct Bell(Arc<Bells>, Place);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.1);
    }
}

/// Everything there is in one run.
pub struct World {
    /// Microseconds since the beginning.
    pub now: i64,
    /// Draws everything.
    pub chance: Chance,
    /// How bad it is.
    pub weather: Weather,
    /// The fault that was planted into the drivers.
    pub plant: Option<Plant>,
    /// What is committed.
    pub rows: Rows,
    /// The two nodes.
    pub nodes: Vec<Node>,
    /// Every connection that ever was.
    pub connections: Vec<Connection>,
    /// The clients, and the connection of each.
    pub clients: Vec<(Box<dyn Client>, Option<Place>)>,
    /// Whether the bus works.
    pub has_bus: bool,
    /// Nothing goes wrong any more.
    pub is_calm: bool,
    /// Nobody comes back any more.
    pub is_over: bool,
    /// A command that was told of and is not committed (only the planted fault has one).
    pub is_committing: bool,
    /// Things that the application will still do.
    pub acts: usize,
    queue: BinaryHeap<Reverse<(i64, u64, Slot)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    sequence: u64,
    bells: Arc<Bells>,
    trace: Option<Vec<String>>,
}

/// Events are ordered by time and then by when they were scheduled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot(usize);

/// Happenings after which a run counts as one that never comes to rest.
const STEPS_MAX: usize = 200_000;

/// After so long without anything but alarms of clients it is at rest: who waits for half a minute whether
/// an answer will come is not to be helped by that.
const QUIET_MICROS: i64 = 10_000_000;

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, plant: Option<Plant>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let weather = Weather::of(&mut chance);
        let rows = Rows::with_users(3);
        let nodes = (0..2).map(|_| Node::new(weather.interest)).collect();
        let mut world = Self {
            now: 0,
            weather,
            plant,
            rows,
            nodes,
            connections: Vec::new(),
            clients: Vec::new(),
            has_bus: true,
            is_calm: false,
            is_over: false,
            is_committing: false,
            acts: 20 + chance.below(35),
            queue: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            bells: Arc::default(),
            trace: traced.then(Vec::new),
            chance,
        };
        world.note(|world| format!("{:?}", world.weather));
        world
    }

    /// The moment, for the server's types.
    pub fn at(&self) -> Timestamp {
        at(self.now)
    }

    /// Something will happen after so many microseconds.
    pub fn later(&mut self, micros: i64, event: Event) {
        self.sequence += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.queue.push(Reverse((self.now + micros, self.sequence, Slot(slot))));
    }

    /// Something will happen within so many microseconds.
    pub fn within(&mut self, micros: i64, event: Event) {
        let after = self.chance.between(0, micros);
        self.later(after, event);
    }

    /// Writes a line of the trace.
    pub fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>9.3} ms  {}", self.now as f64 / 1000.0, line(self));
            self.trace.get_or_insert_default().push(line);
        }
    }

    /// The trace so far.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// A waker that rings for a connection.
    pub fn bell(&self, connection: Place) -> Waker {
        Waker::from(Arc::new(Bell(Arc::clone(&self.bells), connection)))
    }

    /// Goes on until nothing more happens.
    pub fn run_to_rest(&mut self) -> Result<usize, Fault> {
        let (mut steps, mut last) = (0, self.now);
        while let Some(Reverse((time, _, Slot(slot)))) = self.queue.peek().copied() {
            if !matches!(self.events[slot], Some(Event::Wake(_, Alarm::Tick | Alarm::Again))) {
                last = time;
            } else if time > last + QUIET_MICROS {
                break;
            }
            self.queue.pop();
            self.now = time;
            self.free.push(slot);
            if let Some(event) = self.events[slot].take() {
                self.happen(event)?;
            }
            self.ring();
            steps += 1;
            if steps > STEPS_MAX {
                return Err("it never comes to rest".to_owned());
            }
        }
        Ok(steps)
    }

    /// Everybody goes, for good.
    pub fn leave_all(&mut self) {
        self.is_over = true;
        (0..self.connections.len()).for_each(|connection| self.end(connection));
    }

    /// Lets connections take a turn whose mailboxes have something.
    fn ring(&mut self) {
        let bells = Arc::clone(&self.bells);
        let rung = std::mem::take(&mut *bells.0.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in rung {
            self.turn_soon(connection);
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Act => self.act(),
            Event::Commit(node, life, command) => self.commit_late(node, life, &command),
            Event::Publish(node, life, news) => self.publish(node, life, news),
            Event::Arrive(node, life, news) => self.arrive(node, life, &news),
            Event::Read(node, life, need) => self.read(node, life, need.stream(), need.in_any_case()),
            Event::ReadDone(node, life, stream, replayed) => self.read_done(node, life, stream, replayed),
            Event::Sweep(node) => self.sweep(node),
            Event::BusDown => self.has_bus = false,
            Event::BusUp => self.bus_up(),
            Event::Die(node) => self.die(node),
            Event::Rise(node) => self.rise(node),
            Event::Lapse(node) => self.doubt_all(node),
            Event::Connect(client) => return self.connect(client),
            Event::Wake(client, alarm) => return self.wake(client, alarm),
            Event::Turn(connection) => self.turn(connection),
            Event::ToServer(connection, bytes) => self.to_server(connection, bytes),
            Event::ToClient(connection, bytes) => return self.to_client(connection, &bytes),
            Event::Gone(connection) => return self.gone(connection),
            Event::Cut(connection) => {
                self.note(|_| format!("connection {connection}: cut"));
                self.end(connection);
            }
            Event::Stall(connection, micros) => self.stall(connection, micros),
            Event::OwnRead(connection, tries) => self.own_read(connection, tries),
            Event::OwnBack(connection, tries, position) => self.own_back(connection, tries, position),
            Event::SnapshotRead(connection, snapshot) => self.snapshot_read(connection, &snapshot),
            Event::SnapshotBack(connection, answers, own) => self.snapshot_back(connection, answers, own),
            Event::Answer(connection, id, path) => self.answer(connection, id, path),
            Event::Answered(connection, id, path, own, read) => self.read_back(connection, id, path, own, &read),
            Event::Late(connection, posts) => self.late(connection, posts),
        }
        Ok(())
    }
}
