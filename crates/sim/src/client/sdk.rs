//! A client that keeps the official SDK's rules: what it subscribes to, which events it takes for known,
//! when its position moves, and what it tells its app.
//!
//! Live events move a position only once the subscription is established, replayed ones always. An item's
//! event with a known id is ignored, but a removal never is. After each `init` everything is subscribed to
//! again from the last position. It finds fault by itself with what a server must never send.

mod received;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use tertulia_protocol::Sid;
use tertulia_protocol::client::{self as wire, OpenedObject, ServerPacket};
use tertulia_protocol::realtime::{ClientDescription, TunnelledRequest, message_type};
use tertulia_protocol::sid::User;
use tertulia_protocol::sync::Object;

use super::{Alarm, Claim, Client, Fault, Held, Page, Wish, index_key, kind, objects_of};
use crate::chance::Chance;

/// Pages that an app asks for at once, now and then, without waiting for any.
const BURST: usize = 200;
/// The longest time until it comes back.
const RECONNECT_MICROS: i64 = 600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    Wanted,
    Asked(u64),
    Established,
}

/// An item, or what is left of it.
#[derive(Clone, Debug)]
struct Known {
    id: i64,
    /// Nothing after its removal.
    data: Option<String>,
}

/// An object that is open.
#[derive(Debug)]
struct Opened {
    position: i64,
    /// The position at which it was opened: what came later has been told.
    opened_at: i64,
    subscription: Subscription,
    is_fetched: bool,
    /// By index or key; a document has one, under no key.
    items: BTreeMap<String, Known>,
    /// The position of each removal that was told.
    removed: HashMap<String, i64>,
    told_last: i64,
}

#[derive(Clone, Copy, Debug)]
enum Pending {
    Init,
    Open(Object),
    Page(Object),
    Other,
}

/// One device of a user.
#[derive(Debug)]
pub struct Sdk {
    user: Sid<User>,
    infos: Vec<Sid<User>>,
    chance: Chance,
    /// What it has open.
    objects: BTreeMap<String, Opened>,
    opening: BTreeMap<String, Object>,
    rooms: BTreeSet<String>,
    is_live: bool,
    pending: HashMap<String, Pending>,
    numbers: u64,
    cancels: Vec<Object>,
    /// Conversations whose end was told on this connection, and not asked for since.
    ended: BTreeMap<String, i64>,
    /// What was established on this connection, by whatever request.
    seen_live: BTreeSet<String>,
    wants_flush: bool,
    wishes: Vec<Wish>,
    claims: Vec<Claim>,
    told: usize,
}

impl Client for Sdk {
    fn name(&self) -> &'static str {
        "the SDK"
    }

    fn user(&self) -> Sid<User> {
        self.user
    }

    fn connected(&mut self, _now: i64) -> Result<(), Fault> {
        self.pending.clear();
        self.ended.clear();
        self.seen_live.clear();
        self.cancels.clear();
        let id = self.number(Pending::Init);
        let client = ClientDescription { sdk: "sim".to_owned(), version: "1".to_owned() };
        self.send(wire::init(&id, "a.b.c", None, &[message_type::SYNC], &client));
        Ok(())
    }

    fn disconnected(&mut self, _now: i64) -> Result<(), Fault> {
        self.is_live = false;
        let wait = self.chance.between(0, RECONNECT_MICROS);
        self.wishes.push(Wish::Connect(wait));
        Ok(())
    }

    fn packet(&mut self, _now: i64, bytes: &Bytes) -> Result<(), Fault> {
        self.sort(bytes)?;
        self.flush_soon();
        Ok(())
    }

    fn wake(&mut self, _now: i64, alarm: Alarm) -> Result<(), Fault> {
        match alarm {
            Alarm::Start => self.wishes.push(Wish::Connect(0)),
            Alarm::Flush => self.flush(),
            Alarm::Tick | Alarm::Take | Alarm::Again => {}
        }
        Ok(())
    }

    fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    fn claims(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.claims)
    }

    fn is_settled(&self) -> bool {
        let settled = |one: &Opened| one.subscription == Subscription::Established && one.is_fetched;
        self.is_live && self.opening.is_empty() && self.objects.values().all(settled)
    }

    fn holds(&self) -> BTreeMap<String, Held> {
        let held = |opened: &Opened| {
            let items = opened.items.iter();
            let items = items.filter_map(|(key, known)| Some((key.clone(), known.data.clone()?))).collect();
            Held { items, told: None }
        };
        self.objects.iter().map(|(sid, opened)| (sid.clone(), held(opened))).collect()
    }

    fn told(&self) -> usize {
        self.told
    }
}

impl Sdk {
    /// A device that was never connected; it will look at these users, too.
    pub fn new(user: Sid<User>, infos: Vec<Sid<User>>, seed: u64) -> Self {
        Self {
            user,
            infos,
            chance: Chance::new(seed),
            objects: BTreeMap::new(),
            opening: BTreeMap::new(),
            rooms: BTreeSet::new(),
            is_live: false,
            pending: HashMap::new(),
            numbers: 0,
            cancels: Vec::new(),
            ended: BTreeMap::new(),
            seen_live: BTreeSet::new(),
            wants_flush: false,
            wishes: Vec::new(),
            claims: Vec::new(),
            told: 0,
        }
    }

    fn send(&mut self, packet: Vec<u8>) {
        self.wishes.push(Wish::Send(packet));
    }

    /// What is wanted is asked for together, some 100 ms later.
    fn flush_soon(&mut self) {
        if std::mem::take(&mut self.wants_flush) {
            let wait = self.chance.between(0, 100_000);
            self.wishes.push(Wish::Wake(Alarm::Flush, wait));
        }
    }

    fn number(&mut self, what: Pending) -> String {
        self.numbers += 1;
        let id = format!("TM{}", self.numbers);
        self.pending.insert(id.clone(), what);
        id
    }

    fn sort(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let packet = ServerPacket::parse(bytes).map_err(|fault| format!("a packet that is none: {fault}"))?;
        match packet {
            ServerPacket::Reply { id, status, http_status, payload, .. } => {
                let Some(what) = self.pending.remove(&*id) else { return Err(format!("a reply to nothing, {id}")) };
                self.reply(what, status.is_success(), http_status.unwrap_or(0), payload)
            }
            ServerPacket::Notification { id, message_type, payload } => {
                self.send(wire::acknowledgement(&id));
                self.notification(&message_type, payload)
            }
            _ => Ok(()),
        }
    }

    fn reply(&mut self, what: Pending, is_success: bool, status: u16, payload: &[u8]) -> Result<(), Fault> {
        match what {
            Pending::Init if is_success => self.begin(),
            Pending::Init => return Err("a good token was refused".to_owned()),
            Pending::Open(object) if status == 200 => self.opened(object, payload),
            Pending::Page(object) if status == 200 => self.page(object, payload),
            Pending::Open(object) | Pending::Page(object) => {
                self.not_found(object);
            }
            Pending::Other => {}
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.is_live = true;
        if self.objects.is_empty() && self.opening.is_empty() {
            self.wish(Object::MyConversations(self.user));
            self.infos.clone().into_iter().for_each(|user| self.wish(Object::UserInfo(user)));
        }
        let opening: Vec<Object> = self.opening.values().copied().collect();
        opening.into_iter().for_each(|object| self.ask_open(object));
        let mut pages = Vec::new();
        for (sid, opened) in &mut self.objects {
            opened.subscription = Subscription::Wanted;
            pages.extend(Object::parse(sid).filter(|_| !opened.is_fetched));
        }
        pages.into_iter().for_each(|object| self.ask_page(object));
        if self.chance.happens(100) {
            self.burst();
        }
        self.wants_flush = true;
    }

    fn burst(&mut self) {
        let lists = self.objects.keys().filter_map(|sid| Object::parse(sid));
        if let Some(list) = lists.into_iter().find(|object| matches!(object, Object::Messages(_))) {
            (0..BURST).for_each(|_| self.ask_page(list));
        }
    }

    fn wish(&mut self, object: Object) {
        self.opening.insert(object.sid(), object);
    }

    fn open(&mut self, object: Object) {
        self.wish(object);
        if self.is_live {
            self.ask_open(object);
        }
    }

    fn ask_open(&mut self, object: Object) {
        let path = format!("/v3/{}s/{}", kind(object), object.name());
        self.request(Pending::Open(object), "GET", path, Vec::new());
    }

    fn ask_page(&mut self, object: Object) {
        let path = format!("/v3/{}s/{}/Items", kind(object), object.sid());
        self.request(Pending::Page(object), "GET", path, Vec::new());
    }

    fn request(&mut self, what: Pending, method: &str, path: String, body: Vec<u8>) {
        let id = self.number(what);
        let (method, content_type) = (method.to_owned(), "application/json".to_owned());
        let request = TunnelledRequest { method, path, params: Vec::new(), content_type, body };
        self.send(wire::message(&id, &request));
    }

    fn opened(&mut self, object: Object, payload: &[u8]) {
        if self.opening.remove(&object.sid()).is_none() {
            return;
        }
        let Ok(found) = serde_json::from_slice::<OpenedObject<'_>>(payload) else { return };
        let (id, data) = (found.last_event_id, found.data.map(|data| data.get().to_owned()));
        let mut items = BTreeMap::new();
        if data.is_some() {
            items.insert(String::new(), Known { id, data });
        }
        let is_fetched = matches!(object, Object::Document(_));
        let opened = Opened {
            position: id,
            opened_at: id,
            subscription: Subscription::Wanted,
            is_fetched,
            items,
            removed: HashMap::new(),
            told_last: -1,
        };
        self.objects.insert(object.sid(), opened);
        if !is_fetched {
            self.ask_page(object);
        }
        self.wants_flush = true;
    }

    fn page(&mut self, object: Object, payload: &[u8]) {
        let Some(opened) = self.objects.get_mut(&object.sid()) else { return };
        opened.is_fetched = true;
        let Ok(page) = serde_json::from_slice::<Page<'_>>(payload) else { return };
        let mut keys = Vec::new();
        for item in page.items {
            let key = item.key();
            if opened.items.get(&key).is_none_or(|known| known.id < item.last_event_id) {
                opened
                    .items
                    .insert(key.clone(), Known { id: item.last_event_id, data: Some(item.data.get().to_owned()) });
                keys.push(key);
            }
        }
        if let Object::MyConversations(_) = object {
            keys.iter().for_each(|key| self.enter(key));
        }
    }

    /// A conversation is the user's: it is loaded, unless it is there.
    fn enter(&mut self, key: &str) {
        let Ok(sid) = Sid::parse(key) else { return };
        if self.rooms.insert(key.to_owned()) {
            objects_of(sid).into_iter().for_each(|object| self.open(object));
        }
    }

    /// A conversation is no longer the user's, or cannot be had.
    fn leave(&mut self, key: &str) {
        let Ok(sid) = Sid::parse(key) else { return };
        self.rooms.remove(key);
        for object in objects_of(sid) {
            self.opening.remove(&object.sid());
            // What was asked for then says nothing of what will be asked for once the user is back.
            for pending in self.pending.values_mut() {
                if matches!(pending, Pending::Open(asked) | Pending::Page(asked) if *asked == object) {
                    *pending = Pending::Other;
                }
            }
            let dropped = self.objects.remove(&object.sid());
            if dropped.is_some_and(|dropped| dropped.subscription != Subscription::Wanted) {
                self.cancels.push(object);
                self.wants_flush = true;
            }
        }
    }

    fn not_found(&mut self, object: Object) {
        match object {
            Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) => self.leave(sid.as_str()),
            Object::MyConversations(_) | Object::UserInfo(_) => {
                self.opening.remove(&object.sid());
            }
        }
    }

    /// Asks for what is wanted, in batches, and cancels what was dropped.
    fn flush(&mut self) {
        self.wants_flush = false;
        if !self.is_live {
            return;
        }
        let cancels = std::mem::take(&mut self.cancels);
        if !cancels.is_empty() {
            let entries = cancels.iter().map(|object| entry(*object, None));
            self.subscribe("cancel", entries.collect());
        }
        let wanted = self.objects.iter().filter(|(_, opened)| opened.subscription == Subscription::Wanted);
        let mut wanted: Vec<Object> = wanted.filter_map(|(sid, _)| Object::parse(sid)).collect();
        // The order is that of the app's own doings, but the own list was opened before any conversation was.
        for at in 1..wanted.len() {
            wanted.swap(at, self.chance.below(at + 1));
        }
        wanted.sort_by_key(|object| !matches!(object, Object::MyConversations(_)));
        while !wanted.is_empty() {
            let batch: Vec<Object> = wanted.drain(..wanted.len().min(1 + self.chance.below(6))).collect();
            let correlation = self.numbers + 1;
            let mut entries = Vec::new();
            for object in batch {
                if let Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) = object {
                    self.ended.remove(sid.as_str());
                }
                if let Some(opened) = self.objects.get_mut(&object.sid()) {
                    opened.subscription = Subscription::Asked(correlation);
                    entries.push(entry(object, Some(opened.position)));
                }
            }
            self.subscribe("establish", entries);
        }
    }

    fn subscribe(&mut self, action: &str, requests: Vec<serde_json::Value>) {
        let body = serde_json::json!({
            "event_protocol_version": 4, "action": action, "correlation_id": self.numbers + 1,
            "retried_requests": 0, "ttl_in_s": -1, "requests": requests,
        });
        self.request(Pending::Other, "POST", "/v4/Subscriptions".to_owned(), body.to_string().into_bytes());
    }
}

fn entry(object: Object, position: Option<i64>) -> serde_json::Value {
    let mut entry = serde_json::json!({"object_sid": object.sid(), "object_type": object.object_type().word()});
    if let Some(position) = position {
        entry["last_event_id"] = position.into();
    }
    entry
}
