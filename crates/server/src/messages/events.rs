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
    /// It was sent.
    Added {
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
/// A message that is new to the reader is told as it stands, in its place among the others: under the
/// position at which it came, even if it was edited since. So messages come in the order of their
/// indexes, and a replay that is cut leaves what happened after the cut to the next one.
pub fn replay(messages: &[Message], position: i64, cut_at: Option<i64>) -> Vec<Event> {
    let cut_at = cut_at.unwrap_or(i64::MAX);
    let replay = |message: &Message| {
        let item = item(message);
        let (id, change) = match message.removed {
            Some(_) if message.changed_pos > cut_at => return None,
            Some(_) => (message.changed_pos, ObjectChange::Removed(item.key)),
            None if message.created_pos > position => (message.created_pos, ObjectChange::Added(item.key, item.data)),
            None => (message.changed_pos, ObjectChange::Updated(item.key, item.data)),
        };
        let object = Object::Messages(message.conversation);
        Some(Event { object, id, at: message.removed.unwrap_or(message.updated), change })
    };
    let mut events: Vec<Event> = messages.iter().filter_map(replay).collect();
    events.sort_by_key(|event| event.id);
    events
}

impl DomainEvent for MessageEvent {
    fn news(&self, now: Timestamp) -> Vec<News> {
        let (conversation, position, events) = match self {
            Self::Added { conversation, after } => {
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
