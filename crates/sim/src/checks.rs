//! What must hold when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tertulia_protocol::sync::{ItemKey, Object, data};
use tertulia_server::conversations::events::document;
use tertulia_server::realtime::news::objects_of;

use crate::client::{Client, Fault, Held, index_key};
use crate::rows::Rows;
use crate::world::{Place, World};

impl World {
    /// Every client holds what the store holds for it, and the hubs stand where the store stands.
    pub fn check(&self) -> Result<(), Fault> {
        for (place, (client, connection)) in self.clients.iter().enumerate() {
            let wrong = |fault: Fault| format!("client {place} ({}) in the end: {fault}", client.name());
            if connection.is_none() || !client.is_settled() {
                return Err(wrong(format!("not settled, {client:?}")));
            }
            check_client(&**client, &self.rows).map_err(wrong)?;
        }
        for node in 0..self.nodes.len() {
            self.check_hub(node).map_err(|fault| format!("node {node} in the end: {fault}"))?;
        }
        Ok(())
    }

    fn check_hub(&self, node: Place) -> Result<(), Fault> {
        let hub = &self.nodes[node].hub;
        for stream in hub.streams() {
            let there = objects_of(stream).into_iter().map(|object| self.rows.position(object)).max();
            if hub.position(stream) != there {
                let name = crate::node::name(stream);
                return Err(format!("{name} stands at {:?}, in the store at {there:?}", hub.position(stream)));
            }
        }
        let here = self.clients.iter().filter(|(_, on)| on.is_some_and(|on| self.connections[on].node == node));
        // Each connection watches the user's own list, too.
        let expected: usize = here.map(|(client, _)| client.holds().len() + 1).sum();
        match hub.counts().0 {
            watchers if watchers == expected => Ok(()),
            watchers => Err(format!("{watchers} watchers, of which {expected} are wanted")),
        }
    }

    /// What a hub knows to be missing, it has read: a sweep is for what it does not know of.
    pub fn check_holes(&self) -> Result<(), Fault> {
        match self.nodes.iter().position(|node| node.hub.holes() > 0) {
            None => Ok(()),
            Some(node) => Err(format!("node {node}: a hole is left open, and nobody reads it")),
        }
    }

    /// Nothing is left in the hubs once everybody has gone.
    pub fn check_empty(&self) -> Result<(), Fault> {
        for (place, node) in self.nodes.iter().enumerate() {
            if node.hub.counts() != (0, 0) {
                return Err(format!("node {place}, with nobody there: watchers and topics {:?}", node.hub.counts()));
            }
        }
        Ok(())
    }
}

fn check_client(client: &dyn Client, rows: &Rows) -> Result<(), Fault> {
    let (user, holds) = (client.user(), client.holds());
    let rooms = rows.rooms.iter().filter(|room| room.is_for(user));
    let mut wanted: Vec<Object> = rooms
        .flat_map(|room| {
            let sid = room.conversation.sid;
            [Object::Document(sid), Object::Messages(sid), Object::Roster(sid)]
        })
        .collect();
    wanted.push(Object::MyConversations(user));
    let is_info = |sid: &&String| sid.starts_with("MU");
    wanted.extend(holds.keys().filter(is_info).filter_map(|sid| Object::parse(sid)));
    let names: BTreeSet<String> = wanted.iter().map(|object| object.sid()).collect();
    let open: BTreeSet<String> = holds.keys().cloned().collect();
    if names != open {
        let differing: Vec<_> = names.symmetric_difference(&open).collect();
        return Err(format!("these are open or wanted, but not both: {differing:?}"));
    }
    wanted.into_iter().try_for_each(|object| match holds.get(&object.sid()) {
        Some(held) => check_items(held, rows, object).and_then(|()| check_told(held, rows, object)),
        None => Err(format!("{object} is not open")),
    })
}

fn check_items(held: &Held, rows: &Rows, object: Object) -> Result<(), Fault> {
    let mut there: BTreeMap<String, String> = BTreeMap::new();
    if let Object::Document(sid) = object {
        let text = rows.room(sid).map(|room| data(&document(&room.conversation)).get().to_owned());
        there.insert(String::new(), text.unwrap_or_default());
    }
    for item in rows.items(object) {
        let key = match item.key {
            ItemKey::Index(index) => index_key(index),
            ItemKey::Key(key) => key,
        };
        there.insert(key, item.data.get().to_owned());
    }
    let held = &held.items;
    let differ = |key: &&String| {
        let (held, there) = (held.get(*key), there.get(*key));
        held != there && value(held) != value(there)
    };
    let keys: BTreeSet<&String> = held.keys().chain(there.keys()).filter(differ).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let pairs: Vec<_> = keys.iter().map(|key| (*key, held.get(*key), there.get(*key))).collect();
    Err(format!("{object} differs (key, the client's, the store's): {pairs:?}"))
}

/// Whoever hears of each message has heard of all that came after it began to listen and are still there.
fn check_told(held: &Held, rows: &Rows, object: Object) -> Result<(), Fault> {
    let (Object::Messages(sid), Some((opened_at, told))) = (object, &held.told) else { return Ok(()) };
    let messages = rows.room(sid).into_iter().flat_map(|room| &room.messages);
    let mut came = messages.filter(|message| message.removed.is_none() && message.created_pos > *opened_at);
    match came.find(|message| !told.contains(&message.index)) {
        Some(message) => Err(format!("{object}: message {} was never told as new", message.index)),
        None => Ok(()),
    }
}

/// Pages write the data's keys in another order than events.
fn value(text: Option<&String>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}
