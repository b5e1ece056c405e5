//! What a client makes of the notifications it gets.

use serde_json::value::RawValue;
use tertulia_protocol::client::{SyncEntry, SyncEventType, SyncPayload};
use tertulia_protocol::realtime::message_type;
use tertulia_protocol::sync::Object;

use super::{Claim, Fault, Known, Sdk, Subscription, index_key};

impl Sdk {
    pub(super) fn notification(&mut self, kind: &str, payload: &[u8]) -> Result<(), Fault> {
        let payload: SyncPayload<'_> = serde_json::from_slice(payload).map_err(|fault| fault.to_string())?;
        let is_live = kind != message_type::SYNC;
        for entry in &payload.events {
            let Some(object) = Object::parse(&entry.object_sid) else { continue };
            match payload.event_type {
                SyncEventType::SubscriptionEstablished => self.established(object, payload.correlation_id, entry),
                SyncEventType::SubscriptionFailed => {
                    let asked = self.objects.get(&object.sid()).map(|opened| opened.subscription);
                    if asked.is_some_and(|asked| asked == Subscription::Asked(payload.correlation_id.unwrap_or(0))) {
                        self.not_found(object);
                    }
                }
                SyncEventType::SubscriptionCanceled | SyncEventType::Unknown => {}
                event => self.event(object, event, is_live, entry)?,
            }
        }
        Ok(())
    }

    fn established(&mut self, object: Object, correlation: Option<u64>, entry: &SyncEntry<'_>) {
        if entry.replay_status.as_deref() == Some("completed") {
            self.seen_live.insert(object.sid());
        }
        let Some(opened) = self.objects.get_mut(&object.sid()) else { return };
        if opened.subscription != Subscription::Asked(correlation.unwrap_or(0)) {
            return;
        }
        if entry.replay_status.as_deref() == Some("completed") {
            opened.subscription = Subscription::Established;
            opened.position = opened.position.max(entry.last_event_id.unwrap_or(0));
        } else {
            opened.subscription = Subscription::Wanted;
            self.wants_flush = true;
        }
    }

    fn event(
        &mut self,
        object: Object,
        event: SyncEventType,
        is_live: bool,
        entry: &SyncEntry<'_>,
    ) -> Result<(), Fault> {
        if let Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) = object
            && let Some(end) = self.ended.get(sid.as_str())
        {
            let told = format!("{object} told {event:?} {}", entry.id);
            self.claims.push(Claim::IsBack { room: sid, end: *end, told });
        }
        let Some(opened) = self.objects.get_mut(&object.sid()) else { return Ok(()) };
        if is_live && opened.subscription != Subscription::Established {
            if self.seen_live.contains(&object.sid()) {
                // Asked for again while an older request was being answered: the two have crossed, and
                // what this one lacks will be replayed.
                return Ok(());
            }
            return Err(format!("{object} told {event:?} {} live, before it was established", entry.id));
        }
        if !is_live || opened.subscription == Subscription::Established {
            opened.position = opened.position.max(entry.id);
        }
        let key = match (&entry.item_key, entry.item_index) {
            (Some(key), _) => key.to_string(),
            (None, Some(index)) => index_key(index),
            (None, None) => String::new(),
        };
        match event {
            SyncEventType::Removed => self.removed(object, &key, entry.id),
            SyncEventType::Gone => {
                self.not_found(object);
                Ok(())
            }
            _ => self.changed(object, key, event, entry),
        }
    }

    fn changed(
        &mut self,
        object: Object,
        key: String,
        event: SyncEventType,
        entry: &SyncEntry<'_>,
    ) -> Result<(), Fault> {
        let Some(opened) = self.objects.get_mut(&object.sid()) else { return Ok(()) };
        let known = opened.items.get(&key);
        if known.is_some_and(|known| known.id >= entry.id) {
            return Ok(());
        }
        let is_here = known.is_some_and(|known| known.data.is_some());
        let data = entry.data.map(|data: &RawValue| data.get().to_owned());
        opened.items.insert(key.clone(), Known { id: entry.id, data });
        match (object, event, entry.item_index) {
            (Object::Messages(_), SyncEventType::Added, Some(index)) if !is_here => {
                if index <= opened.told_last {
                    return Err(format!("{object} told message {index} as new after {}", opened.told_last));
                }
                opened.told_last = index;
                self.told += 1;
            }
            (Object::Messages(sid), _, Some(index)) if !is_here => {
                self.claims.push(Claim::WasThere { room: sid, index, opened_at: opened.opened_at });
            }
            (Object::MyConversations(_), ..) => self.enter(&key),
            _ => {}
        }
        Ok(())
    }

    fn removed(&mut self, object: Object, key: &str, id: i64) -> Result<(), Fault> {
        let Some(opened) = self.objects.get_mut(&object.sid()) else { return Ok(()) };
        // Who left, came back and left again may hear of two removals in a row, but of each one once.
        if opened.removed.insert(key.to_owned(), id).is_some_and(|told| told >= id) {
            return Err(format!("{object} told the removal of {key} twice, now {id}"));
        }
        if opened.items.get(key).is_none_or(|known| known.id < id) {
            opened.items.insert(key.to_owned(), Known { id, data: None });
        }
        if let Object::MyConversations(_) = object {
            self.leave(key);
            self.ended.insert(key.to_owned(), id);
        }
        Ok(())
    }
}
