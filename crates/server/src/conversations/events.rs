//! What conversations announce: the document that everybody in them shares.

use tertulia_protocol::Timestamp;
use tertulia_protocol::sync::{DocumentData, Event, LastMessage, Object, ObjectChange, StateData, data};
use tertulia_store::News;

use super::{Conversation, Reason};
use crate::platform::DomainEvent;
use crate::realtime::news;

/// Something happened to a conversation. A new one is no news: nobody can be watching it yet.
#[derive(Clone, Debug)]
pub enum ConversationEvent {
    /// Its names, attributes or state changed.
    Updated {
        /// As it was.
        before: Box<Conversation>,
        /// As it is.
        after: Box<Conversation>,
        /// Why.
        reason: Reason,
    },
    /// It was deleted, and its participants have been told.
    Removed {
        /// As it is: emptied.
        after: Box<Conversation>,
    },
}

/// The document of a conversation.
pub fn document(conversation: &Conversation) -> DocumentData {
    DocumentData {
        sid: conversation.sid,
        friendly_name: conversation.friendly_name.clone(),
        unique_name: conversation.unique_name.clone(),
        attributes: conversation.attributes.clone(),
        created_by: conversation.created_by.clone(),
        date_created: conversation.created,
        date_updated: conversation.updated,
        messages: Object::Messages(conversation.sid).name(),
        roster: Object::Roster(conversation.sid).name(),
        last_message: conversation
            .last_message_at
            .map(|timestamp| LastMessage { index: conversation.last_index, timestamp }),
        state: StateData { current: conversation.state.word(), date_updated: conversation.state_since },
    }
}

/// The event that carries a conversation's document as it stands.
pub fn document_updated(conversation: &Conversation) -> Event {
    Event {
        object: Object::Document(conversation.sid),
        id: conversation.position,
        at: conversation.updated,
        change: ObjectChange::Document(data(&document(conversation))),
    }
}

impl DomainEvent for ConversationEvent {
    fn news(&self, now: Timestamp) -> Vec<News> {
        let (after, event) = match self {
            Self::Updated { before, after, .. } => {
                debug_assert_eq!(before.position + 1, after.position);
                (after, document_updated(after))
            }
            Self::Removed { after } => {
                let object = Object::Document(after.sid);
                (after, Event { object, id: after.position, at: now, change: ObjectChange::Gone })
            }
        };
        vec![news::news(news::talk(after.sid), after.position - 1, after.position, &[event])]
    }
}
