//! What messages announce: the list's item, and the document that shows the newest one.

use tertulia_protocol::Timestamp;
use tertulia_protocol::sync::{Event, Item, ItemKey, MessageData, Object, ObjectChange, data};
use tertulia_store::News;

use super::Message;
use crate::conversations::Conversation;
use crate::conversations::events::document_updated;
use crate::platform::DomainEvent;
use crate::realtime::news;

/// Something happened to a message. The list comes first, then the document's `lastMessage`.
#[derive(Clone, Debug)]
pub enum MessageEvent {
    /// It was sent. Where that changed the conversation's state, the reason is
    /// [`Reason::Event`](crate::conversations::Reason).
    Added {
        /// The conversation as it was.
        before: Box<Conversation>,
        /// The conversation as it is.
        conversation: Box<Conversation>,
        /// The message.
        after: Box<Message>,
    },
    /// Its body, attributes or author changed.
    Updated {
        /// As it was.
        before: Box<Message>,
        /// As it is.
        after: Box<Message>,
    },
    /// It was removed.
    Removed {
        /// As it was.
        before: Box<Message>,
        /// Position of the removal in `talk`.
        position: i64,
    },
}

/// The list's item of a message.
pub fn item(message: &Message) -> Item {
    let item = MessageData {
        sid: message.sid,
        author: message.author.clone(),
        participant_sid: message.participant,
        text: message.body.clone(),
        attributes: message.attributes.clone(),
        timestamp: message.created,
        date_updated: message.updated,
        last_updated_by: message.updated_by.clone(),
        kind: "text",
        subject: message.subject.clone(),
    };
    Item {
        key: ItemKey::Index(message.index),
        last_event_id: message.changed_pos,
        data: data(&item),
        created: message.created,
        updated: message.updated,
    }
}

/// The list's events of messages that changed after `position`, which are in order.
///
/// A message that is new to the reader is told in its place among the others, under the position at which
/// it came, so that messages come in the order of their indexes. If it was edited since, the edit is told
/// as well, under its own position: a reader who has the message from a page ignores the first and would
/// miss the second. What lies beyond the cut is left to the next replay.
pub fn replay(messages: &[Message], position: i64, cut_at: Option<i64>) -> Vec<Event> {
    let cut_at = cut_at.unwrap_or(i64::MAX);
    let mut events: Vec<Event> = messages.iter().flat_map(|message| told(message, position)).collect();
    events.retain(|event| event.id <= cut_at);
    events.sort_by_key(|event| event.id);
    events
}

fn told(message: &Message, position: i64) -> impl Iterator<Item = Event> + use<> {
    let item = item(message);
    let object = Object::Messages(message.conversation);
    let at = message.removed.unwrap_or(message.updated);
    let event = move |id, change| Event { object, id, at, change };
    let is_new = message.created_pos > position;
    let is_edited = message.changed_pos > message.created_pos;
    let (came, changed) = match message.removed {
        Some(_) => (None, Some(ObjectChange::Removed(item.key))),
        None if is_new && is_edited => {
            let added = ObjectChange::Added(item.key.clone(), item.data.clone());
            (Some(added), Some(ObjectChange::Updated(item.key, item.data)))
        }
        None if is_new => (Some(ObjectChange::Added(item.key, item.data)), None),
        None => (None, Some(ObjectChange::Updated(item.key, item.data))),
    };
    let came = came.map(|change| event(message.created_pos, change));
    let changed = changed.map(|change| event(message.changed_pos, change));
    came.into_iter().chain(changed)
}

impl DomainEvent for MessageEvent {
    fn news(&self, now: Timestamp) -> Vec<News> {
        let (conversation, position, events) = match self {
            Self::Added { conversation, after, .. } => {
                let mut events = replay(std::slice::from_ref(after), after.created_pos - 1, None);
                events.push(document_updated(conversation));
                (after.conversation, after.created_pos, events)
            }
            Self::Updated { after, .. } => {
                let position = after.changed_pos;
                (after.conversation, position, replay(std::slice::from_ref(after), position - 1, None))
            }
            Self::Removed { before, position } => {
                let object = Object::Messages(before.conversation);
                let change = ObjectChange::Removed(ItemKey::Index(before.index));
                (before.conversation, *position, vec![Event { object, id: *position, at: now, change }])
            }
        };
        vec![news::news(news::talk(conversation), position - 1, position, &events)]
    }
}
