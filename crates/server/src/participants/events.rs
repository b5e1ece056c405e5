//! What participants announce: the roster to everybody in the conversation, and to the user the own list.

use tertulia_protocol::Timestamp;
use tertulia_protocol::sync::{Event, Item, ItemKey, MyConversationData, Object, ObjectChange, RosterData, data};
use tertulia_store::News;

use super::Participant;
use crate::platform::DomainEvent;
use crate::realtime::news;

/// Something happened to a participant.
#[derive(Clone, Debug)]
pub enum ParticipantEvent {
    /// Joined, or was added.
    Added {
        /// As it is.
        after: Box<Participant>,
    },
    /// Role, attributes, read horizon or notification level changed.
    Updated {
        /// As it was.
        before: Box<Participant>,
        /// As it is.
        after: Box<Participant>,
    },
    /// Left, or was removed.
    Removed {
        /// As it was.
        before: Box<Participant>,
        /// Position of the removal in `roster`; `None` when the roster goes with the conversation.
        roster_pos: Option<i64>,
        /// Position of the removal in the user's `mine`.
        mine_pos: i64,
    },
}

/// The roster's item of a participant.
pub fn roster_item(participant: &Participant) -> Item {
    let kind = participant.binding.as_ref().map_or("chat", |binding| &binding.kind);
    let item = RosterData {
        identity: participant.identity.clone(),
        kind: if participant.identity.is_some() { "chat".to_owned() } else { kind.to_owned() },
        attributes: participant.attributes.clone(),
        role_sid: participant.role,
        last_read_message_index: participant.last_read_index,
        last_read_at: participant.last_read_at,
        date_created: participant.created,
        date_updated: participant.updated,
        user_info: participant.user.map(|user| Object::UserInfo(user).name()),
    };
    Item {
        key: ItemKey::Key(participant.sid.to_string()),
        last_event_id: participant.roster_changed_pos,
        data: data(&item),
        created: participant.created,
        updated: participant.updated,
    }
}

/// The item in the user's own list of conversations.
pub fn mine_item(participant: &Participant) -> Item {
    let item = MyConversationData::joined(
        participant.conversation,
        participant.last_read_index,
        participant.notification_level.word(),
    );
    Item {
        key: ItemKey::Key(participant.conversation.to_string()),
        last_event_id: participant.mine_changed_pos,
        data: data(&item),
        created: participant.created,
        updated: participant.updated,
    }
}

fn event(object: Object, id: i64, at: Timestamp, change: ObjectChange) -> Event {
    Event { object, id, at, change }
}

/// The roster's events of participants that changed after `position`, which are in order.
pub fn roster_replay(participants: &[Participant], position: i64) -> Vec<Event> {
    let replay = |participant: &Participant| {
        let object = Object::Roster(participant.conversation);
        let (item, id) = (roster_item(participant), participant.roster_changed_pos);
        let change = match participant.removed {
            Some(_) => ObjectChange::Removed(item.key),
            None if participant.roster_created_pos > position => ObjectChange::Added(item.key, item.data),
            None => ObjectChange::Updated(item.key, item.data),
        };
        event(object, id, participant.removed.unwrap_or(participant.updated), change)
    };
    participants.iter().map(replay).collect()
}

/// The own list's events of participants that changed after `position`, which are in order. Who left
/// and is back has a tombstone whose key lives again: it is left out, for the SDK would drop the
/// conversation.
pub fn mine_replay(participants: &[Participant], position: i64) -> Vec<Event> {
    let lives = |conversation| {
        participants.iter().any(|participant| participant.removed.is_none() && participant.conversation == conversation)
    };
    let replay = |participant: &Participant| {
        let object = Object::MyConversations(participant.user?);
        let (item, id) = (mine_item(participant), participant.mine_changed_pos);
        let change = match participant.removed {
            Some(_) if lives(participant.conversation) => return None,
            Some(_) => ObjectChange::Removed(item.key),
            None if participant.mine_created_pos > position => ObjectChange::Added(item.key, item.data),
            None => ObjectChange::Updated(item.key, item.data),
        };
        Some(event(object, id, participant.removed.unwrap_or(participant.updated), change))
    };
    participants.iter().filter_map(replay).collect()
}

impl ParticipantEvent {
    fn roster(&self, now: Timestamp) -> Option<Event> {
        match self {
            Self::Added { after } => roster_replay(std::slice::from_ref(after), after.roster_changed_pos - 1).pop(),
            Self::Updated { before, after } if before.roster_changed_pos != after.roster_changed_pos => {
                roster_replay(std::slice::from_ref(after), after.roster_changed_pos - 1).pop()
            }
            Self::Updated { .. } => None,
            Self::Removed { before, roster_pos, .. } => {
                let change = ObjectChange::Removed(ItemKey::Key(before.sid.to_string()));
                Some(event(Object::Roster(before.conversation), (*roster_pos)?, now, change))
            }
        }
    }

    fn mine(&self, now: Timestamp) -> Option<Event> {
        match self {
            Self::Added { after } => mine_replay(std::slice::from_ref(after), after.mine_changed_pos - 1).pop(),
            Self::Updated { before, after } if before.mine_changed_pos != after.mine_changed_pos => {
                mine_replay(std::slice::from_ref(after), after.mine_changed_pos - 1).pop()
            }
            Self::Updated { .. } => None,
            Self::Removed { before, mine_pos, .. } => {
                let change = ObjectChange::Removed(ItemKey::Key(before.conversation.to_string()));
                Some(event(Object::MyConversations(before.user?), *mine_pos, now, change))
            }
        }
    }
}

impl DomainEvent for ParticipantEvent {
    fn news(&self, now: Timestamp) -> Vec<News> {
        let told = |event: Event| news::news(news::stream_of(event.object), event.id - 1, event.id, &[event]);
        let (roster, mine) = (self.roster(now), self.mine(now));
        // Who leaves hears of it from the own list first, which ends what was heard of the roster.
        let in_order = if let Self::Removed { .. } = self { [mine, roster] } else { [roster, mine] };
        in_order.into_iter().flatten().map(told).collect()
    }
}
