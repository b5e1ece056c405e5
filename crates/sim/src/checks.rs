//! What must hold when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tertulia_protocol::sync::{ItemKey, Object, data};
use tertulia_server::conversations::events::document;
use tertulia_server::realtime::news::objects_of;

use crate::client::{Client, Fault, index_key};
use crate::rows::Rows;
use crate::world::{Place, World};

impl World {
    /// Every client holds what the store holds for it, and the hubs stand where the store stands.
    pub fn check(&self) -> Result<(), Fault> {
        for (place, (client, connection)) in self.clients.iter().enumerate() {
            let wrong = |fault: Fault| format!("client {place} in the end: {fault}");
            if connection.is_none() || !client.is_settled() {
                return Err(wrong(format!("not settled, {client:?}")));
            }
            check_client(client, &self.rows).map_err(wrong)?;
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
        let expected: usize = here.map(|(client, _)| client.objects.len() + 1).sum();
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

fn check_client(client: &Client, rows: &Rows) -> Result<(), Fault> {
    let rooms = rows.rooms.iter().filter(|room| room.is_for(client.user));
    let rooms = rooms.filter(|room| !client.unloaded.contains(room.conversation.sid.as_str()));
    let mut wanted: Vec<Object> = rooms
        .flat_map(|room| {
            let sid = room.conversation.sid;
            [Object::Document(sid), Object::Messages(sid), Object::Roster(sid)]
        })
        .collect();
    wanted.push(Object::MyConversations(client.user));
    let is_info = |sid: &&String| sid.starts_with("MU");
    wanted.extend(client.objects.keys().filter(is_info).filter_map(|sid| Object::parse(sid)));
    let names: BTreeSet<String> = wanted.iter().map(|object| object.sid()).collect();
    let open: BTreeSet<String> = client.objects.keys().cloned().collect();
    if names != open {
        let differing: Vec<_> = names.symmetric_difference(&open).collect();
        return Err(format!("these are open or wanted, but not both: {differing:?}"));
    }
    wanted.into_iter().try_for_each(|object| check_object(client, rows, object))
}

fn check_object(client: &Client, rows: &Rows, object: Object) -> Result<(), Fault> {
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
    let held = client.objects.get(&object.sid()).into_iter().flat_map(|opened| &opened.items);
    let held: BTreeMap<String, String> =
        held.filter_map(|(key, known)| Some((key.clone(), known.data.clone()?))).collect();
    let differ = |key: &&String| value(held.get(*key)) != value(there.get(*key));
    let keys: BTreeSet<&String> = held.keys().chain(there.keys()).filter(differ).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let pairs: Vec<_> = keys.iter().map(|key| (*key, held.get(*key), there.get(*key))).collect();
    Err(format!("{object} differs (key, the client's, the store's): {pairs:?}"))
}

/// Pages write the data's keys in another order than events.
fn value(text: Option<&String>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}
