//! A client that keeps the official SDK's rules: what it subscribes to, which events it takes for known,
//! when its position moves, and what it tells its app.
//!
//! Live events move a position only once the subscription is established, replayed ones always. An item's
//! event with a known id is ignored, but a removal never is. After each `init` everything is subscribed to
//! again from the last position. It finds fault by itself with what a server must never send.

mod received;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;
use tertulia_protocol::Sid;
use tertulia_protocol::client::{self as wire, OpenedObject, ServerPacket};
use tertulia_protocol::realtime::{ClientDescription, TunnelledRequest, message_type};
use tertulia_protocol::sid::{Conversation, User};
use tertulia_protocol::sync::{Object, ObjectType};

use crate::chance::Chance;

/// What a server did that it must not.
pub type Fault = String;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    Wanted,
    Asked(u64),
    Established,
}

/// An item, or what is left of it.
#[derive(Clone, Debug)]
pub struct Known {
    id: i64,
    /// Nothing after its removal.
    pub data: Option<String>,
}

/// An object that is open.
#[derive(Debug)]
pub struct Opened {
    position: i64,
    /// The position at which it was opened: what came later has been told.
    pub opened_at: i64,
    subscription: Subscription,
    is_fetched: bool,
    /// By index or key; a document has one, under no key.
    pub items: BTreeMap<String, Known>,
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
pub struct Client {
    /// Whose.
    pub user: Sid<User>,
    infos: Vec<Sid<User>>,
    chance: Chance,
    /// What it has open.
    pub objects: BTreeMap<String, Opened>,
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
    /// Conversations that could not be loaded. If the user was out for a moment only, the client does not
    /// try again, and nothing that a server could send makes up for it.
    pub unloaded: BTreeSet<String>,
    /// Packets to send.
    pub out: Vec<Vec<u8>>,
    /// Subscriptions wait to be asked for.
    pub wants_flush: bool,
    /// Updates of messages that it does not have: whether it should is for who knows the store.
    pub unknown: Vec<(Sid<Conversation>, i64, i64)>,
    /// What was told of a conversation after its end was told, with the position of that end: fine only if
    /// the user is back.
    pub suspects: Vec<(Sid<Conversation>, i64, String)>,
    /// Messages told as new, for the record.
    pub told: usize,
}

impl Client {
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
            unloaded: BTreeSet::new(),
            suspects: Vec::new(),
            out: Vec::new(),
            wants_flush: false,
            unknown: Vec::new(),
            told: 0,
        }
    }

    /// A websocket is open.
    pub fn connected(&mut self) {
        self.pending.clear();
        self.ended.clear();
        self.seen_live.clear();
        self.cancels.clear();
        self.out.clear();
        let id = self.number(Pending::Init);
        let client = ClientDescription { sdk: "sim".to_owned(), version: "1".to_owned() };
        self.out.push(wire::init(&id, "a.b.c", None, &[message_type::SYNC], &client));
    }

    /// It is gone.
    pub fn disconnected(&mut self) {
        self.is_live = false;
        self.wants_flush = false;
    }

    /// Whether everything is open, fetched and subscribed to.
    pub fn is_settled(&self) -> bool {
        let settled = |one: &Opened| one.subscription == Subscription::Established && one.is_fetched;
        self.is_live && self.opening.is_empty() && self.objects.values().all(settled)
    }

    fn number(&mut self, what: Pending) -> String {
        self.numbers += 1;
        let id = format!("TM{}", self.numbers);
        self.pending.insert(id.clone(), what);
        id
    }

    /// A packet came.
    pub fn packet(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let packet = ServerPacket::parse(bytes).map_err(|fault| format!("a packet that is none: {fault}"))?;
        match packet {
            ServerPacket::Reply { id, status, http_status, payload, .. } => {
                let Some(what) = self.pending.remove(&*id) else { return Err(format!("a reply to nothing, {id}")) };
                self.reply(what, status.is_success(), http_status.unwrap_or(0), payload)
            }
            ServerPacket::Notification { id, message_type, payload } => {
                // Every packet is acknowledged; some are enough to have it tried.
                if self.chance.happens(100) {
                    self.out.push(wire::acknowledgement(&id));
                }
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
                if let Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) = object {
                    self.unloaded.insert(sid.to_string());
                }
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
        self.wants_flush = true;
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
        self.out.push(wire::message(&id, &request));
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
            let key = item.key.or_else(|| item.index.map(index_key)).unwrap_or_default();
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
            self.unloaded.remove(key);
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
    pub fn flush(&mut self) {
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
        // The order is that of the app's own doings.
        for at in 1..wanted.len() {
            wanted.swap(at, self.chance.below(at + 1));
        }
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

fn kind(object: Object) -> &'static str {
    match object.object_type() {
        ObjectType::Document => "Document",
        ObjectType::List => "List",
        ObjectType::Map => "Map",
    }
}

fn objects_of(sid: Sid<Conversation>) -> [Object; 3] {
    [Object::Document(sid), Object::Messages(sid), Object::Roster(sid)]
}

/// Indexes as keys, in their order.
pub fn index_key(index: i64) -> String {
    format!("{index:06}")
}

fn entry(object: Object, position: Option<i64>) -> serde_json::Value {
    let mut entry = serde_json::json!({"object_sid": object.sid(), "object_type": object.object_type().word()});
    if let Some(position) = position {
        entry["last_event_id"] = position.into();
    }
    entry
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<PageItem<'a>>,
}

#[derive(Deserialize)]
struct PageItem<'a> {
    #[serde(default)]
    index: Option<i64>,
    #[serde(default)]
    key: Option<String>,
    last_event_id: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}
