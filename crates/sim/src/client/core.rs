//! A client that is the Rust client's own core. What is here is its driver, as on a socket and a clock, and
//! an app with one reader: it opens the user's own list, and each conversation in it, as the Rust client's
//! methods do, and takes from its queues when it likes to.
//!
//! Queues are small, so that they are full now and then. An app is told that something cannot be had even
//! where its own list says it can (it left and came back meanwhile): then it tries again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tertulia_client::core::{Call, CallFailure, Core, Effect, End, Item, Queue, Reply, Watch};
use tertulia_client::{Backoff, Change, ChangeKind, ConnectionState, Disconnected, ItemKey, Options};
use tertulia_protocol::Sid;
use tertulia_protocol::client::message;
use tertulia_protocol::realtime::TunnelledRequest;
use tertulia_protocol::sid::{Conversation, User};
use tertulia_protocol::sync::Object;

use super::reader::Reading;
use super::{Alarm, Claim, Client, Fault, Held, Wish, kind};
use crate::chance::Chance;

/// One device of a user.
#[derive(Debug)]
pub struct CoreClient {
    user: Sid<User>,
    infos: Vec<Sid<User>>,
    chance: Chance,
    /// Whether what it asks for loses its positions, from the second connection on: a planted fault.
    loses_positions: bool,
    connections: u32,
    core: Core,
    /// Whether it was ever in.
    was_live: bool,
    /// When its tick is to come.
    armed: Option<i64>,
    app: App,
    /// Whether the reader will look.
    has_take: bool,
    wishes: Vec<Wish>,
    claims: Vec<Claim>,
    /// Messages told as new in what is closed by now.
    told: usize,
}

/// What the app remembers.
#[derive(Debug, Default)]
struct App {
    numbers: u64,
    calls: BTreeMap<u64, Asked>,
    groups: BTreeMap<u64, Group>,
    rooms: BTreeSet<Sid<Conversation>>,
    /// What is to be opened once more, and how often that was tried.
    again: Vec<(Vec<Object>, u32)>,
    /// The longest time until the reader looks, and the room in each queue.
    pace: i64,
    room: usize,
}

/// Which answer a call waits for: of a group, at a place.
#[derive(Clone, Copy, Debug)]
struct Asked {
    group: u64,
    place: usize,
    is_page: bool,
}

/// Objects with one subscription.
#[derive(Debug)]
struct Group {
    objects: Vec<Object>,
    readings: Vec<Option<Reading>>,
    queue: Option<Arc<Queue>>,
    /// How often it could not be had.
    failures: u32,
}

/// Waits between attempts to connect.
const BACKOFF: Backoff =
    Backoff { min: Duration::from_millis(50), max: Duration::from_millis(800), jitter_percent: 50 };
/// The longest time until something is tried again, at first.
const AGAIN_MICROS: i64 = 300_000;
/// The longest time until a websocket is open.
const OPENING_MICROS: i64 = 30_000;

impl Client for CoreClient {
    fn name(&self) -> &'static str {
        "the core"
    }

    fn user(&self) -> Sid<User> {
        self.user
    }

    fn connected(&mut self, now: i64) -> Result<(), Fault> {
        self.connections += 1;
        self.core.connected(time(now));
        self.perform(now)
    }

    fn disconnected(&mut self, now: i64) -> Result<(), Fault> {
        self.core.disconnected(time(now), Disconnected::Broken("cut".to_owned()));
        self.perform(now)
    }

    fn packet(&mut self, now: i64, bytes: &Bytes) -> Result<(), Fault> {
        self.core.packet(time(now), bytes);
        self.take_soon(self.app.pace);
        self.perform(now)
    }

    fn wake(&mut self, now: i64, alarm: Alarm) -> Result<(), Fault> {
        match alarm {
            Alarm::Start => self.start(now),
            Alarm::Tick if self.armed == Some(now) => {
                self.armed = None;
                self.core.tick(time(now));
            }
            Alarm::Take => self.take(now)?,
            Alarm::Again => {
                for (objects, failures) in std::mem::take(&mut self.app.again) {
                    self.open(now, objects, failures);
                }
            }
            Alarm::Tick | Alarm::Flush => {}
        }
        self.perform(now)
    }

    fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    fn claims(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.claims)
    }

    fn is_settled(&self) -> bool {
        let app = &self.app;
        let is_idle = app.calls.is_empty() && app.again.is_empty() && !self.has_take;
        self.core.is_live() && is_idle && app.groups.values().all(Group::is_settled)
    }

    fn holds(&self) -> BTreeMap<String, Held> {
        let all = self.app.groups.values().flat_map(|group| group.objects.iter().zip(&group.readings));
        all.filter_map(|(object, reading)| Some((object.sid(), reading.as_ref()?.held()))).collect()
    }

    fn told(&self) -> usize {
        self.told + self.app.groups.values().map(Group::told).sum::<usize>()
    }
}

impl CoreClient {
    /// A device that was never connected; it will look at these users, too.
    pub fn new(user: Sid<User>, infos: Vec<Sid<User>>, seed: u64, loses_positions: bool) -> Self {
        Self {
            user,
            infos,
            chance: Chance::new(seed),
            loses_positions,
            connections: 0,
            core: Core::new(&Options::default(), 0),
            was_live: false,
            armed: None,
            app: App::default(),
            has_take: false,
            wishes: Vec::new(),
            claims: Vec::new(),
            told: 0,
        }
    }

    /// The app begins. It knows nothing, and asks before there is a connection.
    fn start(&mut self, now: i64) {
        let options = Options { reconnect: Some(BACKOFF), typing: false, ..Options::default() };
        self.core = Core::new(&options, self.chance.between(0, i64::MAX / 2).unsigned_abs());
        let pace = [1_000, 1_000, 50_000, 600_000][self.chance.below(4)];
        let room = [1, 2, 5, 1000][self.chance.below(4)];
        self.app = App { pace, room, ..App::default() };
        self.core.start(time(now));
        self.open(now, vec![Object::MyConversations(self.user)], 0);
        // One subscription an object.
        for user in self.infos.iter().copied().collect::<BTreeSet<_>>() {
            self.open(now, vec![Object::UserInfo(user)], 0);
        }
    }

    /// Does what the core wants, and sees to its next tick.
    fn perform(&mut self, now: i64) -> Result<(), Fault> {
        while let Some(effect) = self.core.effect() {
            match effect {
                Effect::Token => self.core.token(time(now), Ok("a.b.c".to_owned())),
                Effect::Connect => {
                    let wait = self.chance.between(0, OPENING_MICROS);
                    self.wishes.push(Wish::Connect(wait));
                }
                Effect::Send(packet) => self.send(packet),
                // No connection here falls silent without being cut.
                Effect::Ping => self.core.heard(time(now)),
                Effect::Disconnect => self.wishes.push(Wish::Disconnect),
                Effect::Finish(id, outcome) => self.finish(now, id, outcome)?,
                Effect::Typing(_) => {}
                Effect::State(state) => self.stands(state)?,
            }
        }
        self.arm(now);
        Ok(())
    }

    fn arm(&mut self, now: i64) {
        let due = self.core.due().map(|due| i64::try_from(due.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX));
        if let Some(due) = due.map(|due| due.max(now))
            && self.armed.is_none_or(|armed| due < armed)
        {
            self.armed = Some(due);
            self.wishes.push(Wish::Wake(Alarm::Tick, due - now));
        }
    }

    /// Receipts say nothing that the server does not know; some are enough to have it tried.
    fn send(&mut self, mut packet: Vec<u8>) {
        let is_receipt =
            packet.ends_with(b"\"payload_size\":0}\r\n") && find(&packet, b"\"method\":\"reply\"").is_some();
        if is_receipt && !self.chance.happens(100) {
            return;
        }
        if self.loses_positions && self.connections > 1 {
            while let Some(at) = find(&packet, b"\"last_event_id\"") {
                // A field that nobody reads.
                packet[at + 1] = b'L';
            }
        }
        self.wishes.push(Wish::Send(packet));
    }

    fn stands(&mut self, state: ConnectionState) -> Result<(), Fault> {
        match state {
            ConnectionState::Reconnecting { why: why @ Disconnected::Malformed(_), .. } => Err(why.to_string()),
            ConnectionState::Connected => {
                self.was_live = true;
                Ok(())
            }
            // Who was in never gives up; who was not is told so, and the app begins anew.
            ConnectionState::Ended(why) if self.was_live || !matches!(why, Disconnected::Broken(_)) => {
                Err(format!("it is over: {why}"))
            }
            ConnectionState::Ended(_) => {
                let wait = self.chance.between(0, AGAIN_MICROS);
                self.wishes.push(Wish::Wake(Alarm::Start, wait));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Opens objects, to subscribe to them together.
    fn open(&mut self, now: i64, objects: Vec<Object>, failures: u32) {
        let group = self.app.number();
        for (place, object) in objects.iter().enumerate() {
            let path = format!("/v3/{}s/{}", kind(*object), object.name());
            self.ask(now, Asked { group, place, is_page: false }, path);
        }
        let readings = objects.iter().map(|_| None).collect();
        self.app.groups.insert(group, Group { objects, readings, queue: None, failures });
    }

    fn ask(&mut self, now: i64, asked: Asked, path: String) {
        let id = self.app.number();
        let (method, content_type) = ("GET".to_owned(), "application/json".to_owned());
        let request = TunnelledRequest { method, path, params: Vec::new(), content_type, body: Vec::new() };
        self.app.calls.insert(id, asked);
        let packet = message(&Call::packet_id(id), &request);
        self.core.call(time(now), Call { id, packet, is_repeatable: true });
    }

    fn finish(&mut self, now: i64, id: u64, outcome: Result<Reply, CallFailure>) -> Result<(), Fault> {
        // Nobody waits any more.
        let Some(asked) = self.app.calls.remove(&id) else { return Ok(()) };
        match outcome {
            Ok(Reply { http_status: Some(200), body, .. }) if asked.is_page => self.paged(now, asked, &body),
            Ok(Reply { http_status: Some(200), body, .. }) => self.opened(now, asked, &body),
            Ok(Reply { http_status: Some(404), .. }) => self.fail(now, asked.group),
            // The end of what never began, and it begins anew.
            Err(CallFailure::Over(_)) => Ok(()),
            other => Err(format!("a call came to {other:?}")),
        }
    }

    fn opened(&mut self, now: i64, asked: Asked, answer: &[u8]) -> Result<(), Fault> {
        let room = self.app.room;
        let Some(group) = self.app.groups.get_mut(&asked.group) else { return Ok(()) };
        group.readings[asked.place] = Some(Reading::new(group.objects[asked.place], answer)?);
        let watch = |(object, reading): (&Object, &Option<Reading>)| {
            let position = reading.as_ref()?.position;
            Some(Watch { sid: object.sid(), kind: object.object_type(), position })
        };
        let all: Option<Vec<Watch>> = group.objects.iter().zip(&group.readings).map(watch).collect();
        let Some(all) = all else { return Ok(()) };
        let queue = Queue::bounded(all.len(), room);
        group.queue = Some(Arc::clone(&queue));
        let lists: Vec<_> = group.objects.iter().copied().enumerate().collect();
        self.core.subscribe(time(now), asked.group, &queue, all);
        for (place, object) in lists.into_iter().filter(|(_, object)| !matches!(object, Object::Document(_))) {
            let path = format!("/v3/{}s/{}/Items", kind(object), object.sid());
            self.ask(now, Asked { place, is_page: true, ..asked }, path);
        }
        Ok(())
    }

    fn paged(&mut self, now: i64, asked: Asked, answer: &[u8]) -> Result<(), Fault> {
        let Some(group) = self.app.groups.get_mut(&asked.group) else { return Ok(()) };
        let Some(reading) = &mut group.readings[asked.place] else { return Ok(()) };
        let keys = reading.page(answer)?;
        if let Object::MyConversations(_) = group.objects[asked.place] {
            keys.iter().for_each(|key| self.enter(now, key));
        }
        Ok(())
    }

    /// A conversation is the user's: it is opened, unless it is.
    fn enter(&mut self, now: i64, key: &str) {
        let Ok(sid) = Sid::parse(key) else { return };
        if !self.app.rooms.insert(sid) {
            return;
        }
        let (document, list, roster) = (Object::Document(sid), Object::Messages(sid), Object::Roster(sid));
        let groups = match self.chance.below(3) {
            0 => vec![vec![list, document], vec![roster]],
            1 => vec![vec![document, list, roster]],
            _ => vec![vec![document], vec![list], vec![roster]],
        };
        groups.into_iter().for_each(|objects| self.open(now, objects, 0));
    }

    /// A conversation is no longer the user's.
    fn leave(&mut self, now: i64, key: &str) {
        let Ok(sid) = Sid::parse(key) else { return };
        self.app.rooms.remove(&sid);
        self.app.again.retain(|(objects, _)| room_of(objects) != Some(sid));
        let groups = self.app.groups.iter().filter(|(_, group)| room_of(&group.objects) == Some(sid));
        let groups: Vec<u64> = groups.map(|(group, _)| *group).collect();
        for group in groups {
            self.close(now, group);
        }
    }

    fn close(&mut self, now: i64, id: u64) -> Option<Group> {
        let group = self.app.groups.remove(&id)?;
        let core = &mut self.core;
        self.app.calls.retain(|call, asked| {
            let is_of_it = asked.group == id;
            if is_of_it {
                core.forget(*call);
            }
            !is_of_it
        });
        self.core.unsubscribe(time(now), id);
        self.told += group.told();
        Some(group)
    }

    /// A group cannot be had. While the user's own list says that it can, it is tried again.
    fn fail(&mut self, now: i64, id: u64) -> Result<(), Fault> {
        let Some(group) = self.close(now, id) else { return Ok(()) };
        let Some(_) = room_of(&group.objects) else {
            return Err(format!("{:?} cannot be had", group.objects));
        };
        // Where the news were lost, only the sweep brings them: asking without a pause would not help.
        let longest = AGAIN_MICROS << group.failures.min(20);
        let wait = self.chance.between(longest / 2, longest);
        self.wishes.push(Wish::Wake(Alarm::Again, wait));
        self.app.again.push((group.objects, group.failures + 1));
        Ok(())
    }

    fn take_soon(&mut self, micros: i64) {
        if !std::mem::replace(&mut self.has_take, true) {
            let wait = self.chance.between(0, micros);
            self.wishes.push(Wish::Wake(Alarm::Take, wait));
        }
    }

    /// The reader looks into its queues, and takes some of what is there.
    fn take(&mut self, now: i64) -> Result<(), Fault> {
        self.has_take = false;
        let groups: Vec<u64> = self.app.groups.keys().copied().collect();
        for group in groups {
            let count = 1 + self.chance.below(12);
            let is_empty = (0..count).try_fold(false, |_, _| self.take_one(now, group))?;
            if !is_empty {
                self.take_soon(self.app.pace);
            }
        }
        Ok(())
    }

    /// Takes the next item of a group; whether there was none.
    fn take_one(&mut self, now: i64, id: u64) -> Result<bool, Fault> {
        let Some(group) = self.app.groups.get_mut(&id) else { return Ok(true) };
        let Some(queue) = &group.queue else { return Ok(true) };
        match queue.take_now() {
            None => return Ok(true),
            Some(Ok(Item::At(place, position))) => {
                group.readings[place].as_mut().map_or(Ok(()), |reading| reading.at(position))?;
            }
            Some(Ok(Item::Change(change))) => self.change(now, id, &change)?,
            Some(Err(End::Full)) => {
                queue.reopen();
                self.core.resume(time(now), id);
            }
            Some(Err(End::Refused(refusal))) if refusal.status == 404 => self.fail(now, id)?,
            // The core says more about this.
            Some(Err(End::Disconnected(_))) => return Ok(true),
            Some(Err(end)) => return Err(format!("a subscription ended with {end:?}")),
        }
        Ok(false)
    }

    fn change(&mut self, now: i64, id: u64, change: &Change) -> Result<(), Fault> {
        if change.kind == ChangeKind::Gone {
            return self.fail(now, id);
        }
        let Some(group) = self.app.groups.get_mut(&id) else { return Ok(()) };
        let (object, reading) = (group.objects[change.place], group.readings[change.place].as_mut());
        let is_new = reading.map_or(Ok(false), |reading| reading.change(change, &mut self.claims))?;
        if let (true, Object::MyConversations(_), ItemKey::Key(key)) = (is_new, object, &change.key) {
            match change.kind {
                ChangeKind::Removed => self.leave(now, key),
                _ => self.enter(now, key),
            }
        }
        Ok(())
    }
}

impl App {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Group {
    fn is_settled(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let is_answered = self.queue.as_ref().is_some_and(|queue| queue.poll_settled(&mut context).is_ready());
        is_answered && self.readings.iter().all(|reading| reading.as_ref().is_some_and(|one| one.is_fetched))
    }

    fn told(&self) -> usize {
        self.readings.iter().flatten().map(Reading::told).sum()
    }
}

/// The conversation that objects are of.
fn room_of(objects: &[Object]) -> Option<Sid<Conversation>> {
    match objects.first()? {
        Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) => Some(*sid),
        Object::MyConversations(_) | Object::UserInfo(_) => None,
    }
}

fn find(packet: &[u8], part: &[u8]) -> Option<usize> {
    packet.windows(part.len()).position(|window| window == part)
}

fn time(micros: i64) -> Duration {
    Duration::from_micros(micros.unsigned_abs())
}
