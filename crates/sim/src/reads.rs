//! What the store answers from one snapshot: the server's questions, asked of the model's rows.

use tertulia_protocol::Code;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::User as UserKind;
use tertulia_protocol::sync::{self, Event, Item, Object, ObjectChange, PageEnds, data};
use tertulia_server::conversations::events::{document, document_updated};
use tertulia_server::messages;
use tertulia_server::participants::Participant;
use tertulia_server::participants::events::{mine_item, mine_replay, roster_item, roster_replay};
use tertulia_server::realtime::news::{Replayed, objects_of};
use tertulia_server::realtime::objects::{Right, Snapshot, Standing};
use tertulia_server::users;
use tertulia_store::StreamId;

use crate::rows::{Room, Rows, at};

/// Events that a topic reads at once; small, so that it is cut now and then.
const STREAM_MAX: usize = 6;

impl Rows {
    /// Whether a user may read an object. The server itself (`None`) reads what there is.
    fn may_read(&self, reader: Option<Sid<UserKind>>, object: Object) -> bool {
        match (object, reader) {
            (Object::UserInfo(sid), _) | (Object::MyConversations(sid), None) => self.user(sid).is_some(),
            (Object::MyConversations(sid), Some(reader)) => sid == reader,
            (Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid), None) => self.room(sid).is_some(),
            (Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid), Some(reader)) => {
                self.room(sid).is_some_and(|room| room.is_for(reader))
            }
        }
    }

    /// Where an object stands.
    pub fn position(&self, object: Object) -> i64 {
        match object {
            Object::Document(sid) | Object::Messages(sid) => {
                self.room(sid).map_or(0, |room| room.conversation.position)
            }
            Object::Roster(sid) => self.room(sid).map_or(0, |room| room.roster),
            Object::MyConversations(sid) => self.user(sid).map_or(0, |user| user.mine_position),
            Object::UserInfo(sid) => self.user(sid).map_or(0, |user| user.info_position),
        }
    }

    fn standing(
        &self,
        reader: Option<Sid<UserKind>>,
        object: Object,
        after: Option<i64>,
        events_max: usize,
    ) -> Result<Standing, Code> {
        if !self.may_read(reader, object) {
            return Err(match object {
                Object::Document(_) => Code::DocumentNotFound,
                Object::Messages(_) => Code::ListNotFound,
                _ => Code::MapNotFound,
            });
        }
        let position = self.position(object);
        let (missed, cut_at) = match after {
            Some(after) if after < position => self.missed(object, after, events_max),
            _ => (Vec::new(), None),
        };
        Ok(Standing { object, position, right: Right::Own, missed, cut_at })
    }

    fn missed(&self, object: Object, after: i64, events_max: usize) -> (Vec<Event>, Option<i64>) {
        let whole = match object {
            Object::Messages(sid) => {
                return self.room(sid).map(|room| changed(room, after, events_max)).unwrap_or_default();
            }
            Object::Document(sid) => self
                .room(sid)
                .into_iter()
                .map(|room| match room.conversation.removed {
                    None => document_updated(&room.conversation),
                    Some(at) => Event { object, id: room.conversation.position, at, change: ObjectChange::Gone },
                })
                .collect(),
            Object::Roster(sid) => {
                let mut rows: Vec<Participant> = self.room(sid).map_or(Vec::new(), |room| room.participants.clone());
                rows.retain(|row| row.roster_changed_pos > after);
                rows.sort_by_key(|row| row.roster_changed_pos);
                roster_replay(&rows, after)
            }
            Object::MyConversations(sid) => {
                let all = self.rooms.iter().flat_map(|room| &room.participants);
                let mut rows: Vec<Participant> =
                    all.filter(|row| row.user == Some(sid) && row.mine_changed_pos > after).cloned().collect();
                rows.sort_by_key(|row| row.mine_changed_pos);
                mine_replay(&rows, after)
            }
            Object::UserInfo(sid) => {
                self.user(sid).map_or(Vec::new(), |user| users::events::changed_after(user, after))
            }
        };
        (whole, None)
    }

    /// What [`Snapshot`] asks, for a user, with so many events of an entry at most.
    pub fn snapshot(
        &self,
        reader: Sid<UserKind>,
        question: &Snapshot,
        events_max: usize,
    ) -> (Vec<Result<Standing, Code>>, i64) {
        let events_max = question.events_max.min(events_max);
        let answer = |(object, after): &(Option<Object>, Option<i64>)| match object {
            None => Err(Code::MapNotFound),
            Some(object) => self.standing(Some(reader), *object, *after, events_max),
        };
        (question.entries.iter().map(answer).collect(), self.position(Object::MyConversations(reader)))
    }

    /// What a topic reads to close a hole.
    pub fn replayed(&self, stream: StreamId, after: i64) -> Replayed {
        let objects = objects_of(stream).into_iter();
        let standings = objects.filter_map(|object| self.standing(None, object, Some(after), STREAM_MAX).ok());
        Replayed::of(after, standings.collect())
    }

    /// The answer to opening an object: status and body. Who was in a conversation can open it a while
    /// longer, once it is deleted.
    pub fn open(&self, reader: Sid<UserKind>, object: Object) -> (u16, Vec<u8>) {
        let fades = match object {
            Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) => self.room(sid).is_some_and(|room| {
                room.conversation.removed.is_some() && room.participants.iter().any(|row| row.user == Some(reader))
            }),
            _ => false,
        };
        if !fades && !self.may_read(Some(reader), object) {
            return (404, b"{}".to_vec());
        }
        let data = match object {
            Object::Document(sid) => self.room(sid).map(|room| data(&document(&room.conversation))),
            _ => None,
        };
        let last_event_id = self.position(object);
        let opened = sync::Opened {
            object,
            last_event_id,
            data,
            items: None,
            origin: "https://x",
            created: at(0),
            updated: at(0),
        };
        (200, opened.to_value().to_string().into_bytes())
    }

    /// The answer to a request for an object's items; all of them fit on a page.
    pub fn page(&self, reader: Sid<UserKind>, object: Object) -> (u16, Vec<u8>) {
        if !self.may_read(Some(reader), object) {
            return (404, b"{}".to_vec());
        }
        (200, sync::items_page(&self.items(object), &PageEnds::default()).to_string().into_bytes())
    }

    /// The items of an object.
    pub fn items(&self, object: Object) -> Vec<Item> {
        let room = |sid| self.room(sid).into_iter();
        let lives = |row: &&Participant| row.removed.is_none();
        match object {
            Object::Messages(sid) => {
                let messages = room(sid).flat_map(|room| &room.messages);
                messages.filter(|message| message.removed.is_none()).map(messages::events::item).collect()
            }
            Object::Roster(sid) => {
                room(sid).flat_map(|room| &room.participants).filter(lives).map(roster_item).collect()
            }
            Object::MyConversations(sid) => {
                let all = self.rooms.iter().flat_map(|room| &room.participants);
                all.filter(lives).filter(|row| row.user == Some(sid)).map(mine_item).collect()
            }
            Object::UserInfo(sid) => self.user(sid).map_or(Vec::new(), users::events::items),
            Object::Document(_) => Vec::new(),
        }
    }
}

/// What changed in a list of messages, as the real query gives it: the earliest new ones and the earliest
/// changed ones, cut where the first of the two ends.
fn changed(room: &Room, after: i64, limit: usize) -> (Vec<Event>, Option<i64>) {
    let is_new = |message: &&messages::Message| message.created_pos > after && message.removed.is_none();
    let mut new: Vec<_> = room.messages.iter().filter(is_new).cloned().collect();
    let mut older: Vec<_> =
        room.messages.iter().filter(|message| !is_new(message) && message.changed_pos > after).cloned().collect();
    older.sort_by_key(|message| message.changed_pos);
    let new_cut = (new.len() > limit).then(|| {
        new.truncate(limit);
        new.last().map_or(after, |message| message.created_pos)
    });
    let older_cut = (older.len() > limit).then(|| {
        older.truncate(limit);
        older.last().map_or(after, |message| message.changed_pos)
    });
    let cut_at = [new_cut, older_cut].into_iter().flatten().min();
    let upto = cut_at.unwrap_or(i64::MAX);
    new.retain(|message| message.created_pos <= upto);
    new.extend(older.into_iter().filter(|message| message.changed_pos <= upto));
    (messages::events::replay(&new, after, cut_at), cut_at)
}
