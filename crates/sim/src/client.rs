//! The clients of a world, of two kinds: a model of the official SDK, which finds fault by itself with what
//! a server must never send ([`sdk`]), and the Rust client's own core, with a reader who finds fault with
//! what the core must never tell ([`core`]).
//!
//! Neither does anything by itself: the world passes in what happens, and does what is wished.

pub mod core;
mod reader;
mod sdk;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation, User};
use tertulia_protocol::sync::{Object, ObjectType};

pub use sdk::Sdk;

/// What somebody did that must not be.
pub type Fault = String;

/// One device of a user.
pub trait Client: Debug {
    /// Its kind, for people.
    fn name(&self) -> &'static str;
    /// Whose.
    fn user(&self) -> Sid<User>;
    /// The websocket that it wished for is open.
    fn connected(&mut self, now: i64) -> Result<(), Fault>;
    /// There is none (any more).
    fn disconnected(&mut self, now: i64) -> Result<(), Fault>;
    /// A packet came.
    fn packet(&mut self, now: i64, bytes: &Bytes) -> Result<(), Fault>;
    /// It wished to be woken now.
    fn wake(&mut self, now: i64, alarm: Alarm) -> Result<(), Fault>;
    /// What it wishes to be done, since the last time.
    fn wishes(&mut self) -> Vec<Wish>;
    /// What only who knows the store can judge, since the last time.
    fn claims(&mut self) -> Vec<Claim>;
    /// Whether everything is open, fetched and subscribed to.
    fn is_settled(&self) -> bool;
    /// What it has open, by the objects' SIDs.
    fn holds(&self) -> BTreeMap<String, Held>;
    /// Messages told as new, for the record.
    fn told(&self) -> usize;
}

/// What a client wishes.
#[derive(Debug)]
pub enum Wish {
    /// To send a packet.
    Send(Vec<u8>),
    /// To connect, after so many microseconds.
    Connect(i64),
    /// To hear nothing more of its connection.
    Disconnect,
    /// To be woken after so many microseconds.
    Wake(Alarm, i64),
}

/// What a client is woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// To begin.
    Start,
    /// Subscriptions wait to be asked for.
    Flush,
    /// A time of the core's has come.
    Tick,
    /// The reader looks into its queues.
    Take,
    /// What could not be had is tried again.
    Again,
}

/// Something that is fine only if the store says so.
#[derive(Debug)]
pub enum Claim {
    /// A message was changed that the client does not have.
    WasThere {
        /// In this conversation.
        room: Sid<Conversation>,
        /// The message.
        index: i64,
        /// What came after this position the client should have.
        opened_at: i64,
    },
    /// Something of a conversation was told after its end was told.
    IsBack {
        /// The conversation.
        room: Sid<Conversation>,
        /// The position of that end in the user's own list.
        end: i64,
        /// What was told.
        told: String,
    },
}

/// An object as a client has it in the end.
#[derive(Debug)]
pub struct Held {
    /// Its items, by index or key; a document has one, under no key.
    pub items: BTreeMap<String, String>,
    /// The position at which it was opened, and the messages told as new since; of a client that hears of
    /// each, whatever it has from pages.
    pub told: Option<(i64, BTreeSet<i64>)>,
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

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<PageItem<'a>>,
}

#[derive(Deserialize)]
struct PageItem<'a> {
    #[serde(default)]
    index: Option<i64>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    last_event_id: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl PageItem<'_> {
    fn key(&self) -> String {
        self.key.as_deref().map(str::to_owned).or_else(|| self.index.map(index_key)).unwrap_or_default()
    }
}
