//! Streams, and how Sync events travel as news: encoded once, opaque to the store and to every bus.

use bytes::Bytes;
use tertulia_protocol::sid::{Conversation, Service, User};
use tertulia_protocol::sync::{Event, ItemKey, Object, ObjectChange};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{News, StreamId};

use super::objects::Standing;
use crate::platform::AccountNumber;
use crate::revocations::{Named, Revocation};

/// The kinds of streams; a stream is what has one counter of positions.
pub mod kind {
    /// Messages and document of a conversation.
    pub const TALK: u8 = 1;
    /// Participants of a conversation.
    pub const ROSTER: u8 = 2;
    /// Conversations of a user.
    pub const MINE: u8 = 3;
    /// Name, attributes and reachability of a user.
    pub const INFO: u8 = 4;
    /// What the roles of a chat service allow. It has no positions and no objects: every piece of news says
    /// "look again", and so does every doubt.
    pub const RIGHTS: u8 = 5;
    /// Revocations of an account. It has no positions and no objects: every node reads every piece of it, and
    /// lost ones are found in the store.
    pub const ENDED: u8 = 6;
    /// A durable job is due. It has no positions and no objects; who misses it looks after a while.
    pub const JOBS: u8 = 7;
}

/// The stream of a conversation's messages and document.
pub fn talk(conversation: Sid<Conversation>) -> StreamId {
    StreamId { kind: kind::TALK, key: conversation.number() }
}

/// The stream of a conversation's participants.
pub fn roster(conversation: Sid<Conversation>) -> StreamId {
    StreamId { kind: kind::ROSTER, key: conversation.number() }
}

/// The stream of a user's own list of conversations.
pub fn mine(user: Sid<User>) -> StreamId {
    StreamId { kind: kind::MINE, key: user.number() }
}

/// The stream of a user's public facts.
pub fn info(user: Sid<User>) -> StreamId {
    StreamId { kind: kind::INFO, key: user.number() }
}

/// The stream that tells when the roles of a chat service allow something else.
pub fn rights(service: Sid<Service>) -> StreamId {
    StreamId { kind: kind::RIGHTS, key: service.number() }
}

/// The stream whose positions an object's events carry.
pub fn stream_of(object: Object) -> StreamId {
    match object {
        Object::Document(sid) | Object::Messages(sid) => talk(sid),
        Object::Roster(sid) => roster(sid),
        Object::MyConversations(sid) => mine(sid),
        Object::UserInfo(sid) => info(sid),
    }
}

/// The objects that a stream tells of.
pub fn objects_of(stream: StreamId) -> Vec<Object> {
    match stream.kind {
        kind::TALK => {
            vec![Object::Messages(Sid::from_number(stream.key)), Object::Document(Sid::from_number(stream.key))]
        }
        kind::ROSTER => vec![Object::Roster(Sid::from_number(stream.key))],
        kind::MINE => vec![Object::MyConversations(Sid::from_number(stream.key))],
        _ => vec![Object::UserInfo(Sid::from_number(stream.key))],
    }
}

/// The objects that nobody may read but who takes part in the conversation.
pub fn shared_in(conversation: Sid<Conversation>) -> [(StreamId, Part); 3] {
    let (talk, roster) = (talk(conversation), roster(conversation));
    [(talk, Part::Document), (talk, Part::Messages), (roster, Part::Whole)]
}

/// Which of a stream's objects; with the stream it names the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Part {
    /// The conversation's document.
    Document = 0,
    /// The conversation's messages.
    Messages = 1,
    /// The whole of a stream that has one object only.
    Whole = 2,
    /// No object: what somebody may read has changed.
    Rights = 3,
}

impl Part {
    /// The part with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Document, Self::Messages, Self::Whole, Self::Rights].into_iter().find(|part| *part as u8 == number)
    }
}

/// Which part of its stream an object is.
pub fn part_of(object: Object) -> Part {
    match object {
        Object::Document(_) => Part::Document,
        Object::Messages(_) => Part::Messages,
        Object::Roster(_) | Object::MyConversations(_) | Object::UserInfo(_) => Part::Whole,
    }
}

/// One event of a piece of news, decoded: the packet is ready for every socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The event's own position: who has seen as far already does not hear it again.
    pub position: i64,
    /// Whose watchers hear it.
    pub part: Part,
    /// The conversation that its user can no longer read, on a removal in `mine`.
    pub ended: Option<Sid<Conversation>>,
    /// The encoded packet.
    pub packet: Bytes,
}

/// What happened in a stream after a position, as the store knows it, ready to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The stream's position, or as far as was read.
    pub upto: i64,
    /// Whether more happened than was read.
    pub is_cut: bool,
    /// The events, in order.
    pub told: Vec<Told>,
}

impl Replayed {
    /// What was found of each object of a stream after a position: everything up to the earliest cut.
    pub fn of(after: i64, standings: Vec<Standing>) -> Self {
        let upto = standings.iter().map(|standing| standing.position).fold(after, i64::max);
        let cut_at = standings.iter().filter_map(|standing| standing.cut_at).min();
        let upto = cut_at.unwrap_or(upto).min(upto);
        let mut happened: Vec<Event> = standings.into_iter().flat_map(|standing| standing.missed).collect();
        // A document shows the newest state already; it comes with the last part.
        happened.retain(|event| event.id <= upto);
        happened.sort_by_key(|event| event.id);
        Self { upto, is_cut: cut_at.is_some(), told: happened.iter().flat_map(told).collect() }
    }
}

fn told(event: &Event) -> Vec<Told> {
    let news = news(stream_of(event.object), event.id - 1, event.id, std::slice::from_ref(event));
    decode(&news.events).unwrap_or_default()
}

/// News of these events, which took the positions after `after` up to `upto`.
pub fn news(stream: StreamId, after: i64, upto: i64, events: &[Event]) -> News {
    let mut bytes = Vec::new();
    for event in events {
        let packet = event.live_packet(&packet_id(stream, event));
        bytes.push(part_of(event.object) as u8);
        bytes.extend_from_slice(&event.id.to_be_bytes());
        bytes.extend_from_slice(&ended(event).map_or(0, |sid| sid.number()).to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(packet.len()).expect("a packet has under 4 GiB").to_be_bytes());
        bytes.extend_from_slice(&packet);
    }
    News { stream, after, upto, events: bytes.into() }
}

/// News that rights have changed: in a user's own list the user's, at the position `after + 1`; in `rights` those
/// of everybody in the chat service, without a position.
pub fn rights_changed(stream: StreamId, after: i64) -> News {
    let upto = after + 1;
    let mut bytes = vec![Part::Rights as u8];
    bytes.extend_from_slice(&upto.to_be_bytes());
    bytes.extend_from_slice(&[0; 16 + 4]);
    News { stream, after, upto, events: bytes.into() }
}

/// The conversation that its user can no longer read, when an event of the own list tells that.
pub fn ended(event: &Event) -> Option<Sid<Conversation>> {
    match (event.object, &event.change) {
        (Object::MyConversations(_), ObjectChange::Removed(ItemKey::Key(key))) => Sid::parse(key).ok(),
        _ => None,
    }
}

/// News that connections are to end: for every node's hub, and for no client.
pub fn revoked(entry: &Revocation) -> News {
    let stream = StreamId { kind: kind::ENDED, key: u128::from(entry.account.0.unsigned_abs()) };
    let events = serde_json::json!([
        entry.account.0,
        entry.sid,
        entry.named.word(),
        entry.named.value(),
        entry.named.service(),
        entry.issued_before.micros(),
        entry.refuses,
        entry.created.micros(),
        entry.expires.map(|at| at.micros()),
    ]);
    News { stream, after: 0, upto: 1, events: events.to_string().into() }
}

/// Reads [`revoked`]. `None` when the bytes are no news of ours.
pub fn decode_ended(events: &Bytes) -> Option<Revocation> {
    type Fields = (i64, String, String, String, String, i64, bool, i64, Option<i64>);
    let (account, sid, word, value, service, issued_before, refuses, created, expires): Fields =
        serde_json::from_slice(events).ok()?;
    Some(Revocation {
        account: AccountNumber(account),
        sid: Sid::parse(&sid).ok()?,
        named: Named::parse(&word, value, &service)?,
        issued_before: Timestamp::from_micros(issued_before),
        refuses,
        created: Timestamp::from_micros(created),
        expires: expires.map(Timestamp::from_micros),
    })
}

/// An id for a packet; clients return it in their acknowledgement, which nobody needs.
fn packet_id(stream: StreamId, event: &Event) -> String {
    format!("TM{}{:x}{:016x}{:x}", stream.kind, part_of(event.object) as u8, stream.key as u64, event.id)
}

/// Takes news apart without copying. `None` when the bytes are no news of ours: a bus may bring anything.
pub fn decode(events: &Bytes) -> Option<Vec<Told>> {
    const HEAD: usize = 1 + 8 + 16 + 4;
    let mut told = Vec::new();
    let mut rest = events.clone();
    while !rest.is_empty() {
        if rest.len() < HEAD {
            return None;
        }
        let head = rest.split_to(HEAD);
        let part = Part::from_number(head[0])?;
        let position = i64::from_be_bytes(head[1..9].try_into().ok()?);
        let number = u128::from_be_bytes(head[9..25].try_into().ok()?);
        let length = usize::try_from(u32::from_be_bytes(head[25..].try_into().ok()?)).ok()?;
        if rest.len() < length {
            return None;
        }
        let ended = (number != 0).then(|| Sid::from_number(number));
        told.push(Told { position, part, ended, packet: rest.split_to(length) });
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tertulia_protocol::sync::data;

    #[test]
    fn news_come_apart_as_they_were_put_together() {
        let (user, conversation) = (Sid::from_number(1), Sid::from_number(2));
        let object = Object::MyConversations(user);
        let at = Timestamp::from_seconds(0);
        let key = ItemKey::Key(conversation.to_string());
        let events = [
            Event { object, id: 1, at, change: ObjectChange::Added(key.clone(), data(&1)) },
            Event { object, id: 2, at, change: ObjectChange::Removed(key) },
        ];
        let told = decode(&news(mine(user), 0, 2, &events).events).unwrap();
        assert_eq!(told.iter().map(|told| told.position).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(told.iter().map(|told| told.ended).collect::<Vec<_>>(), [None, Some(conversation)]);
        assert!(told[1].packet.ends_with(b"]}"));
    }

    #[test]
    fn a_revocation_travels_whole() {
        let at = Timestamp::from_seconds(5);
        for named in [
            Named::Exact("0f".to_owned()),
            Named::Token("SK0-1-x".to_owned()),
            Named::Identity("a\"b".to_owned(), Some(Sid::from_number(1))),
            Named::Identity("a".to_owned(), None),
            Named::Key(Sid::from_number(2)),
            Named::Account,
        ] {
            let (account, sid) = (AccountNumber(3), Sid::from_number(4));
            let entry =
                Revocation { account, sid, named, issued_before: at, refuses: true, created: at, expires: None };
            assert_eq!(decode_ended(&revoked(&entry).events), Some(entry));
        }
        assert_eq!(decode_ended(&Bytes::from_static(b"[1,2]")), None);
    }

    #[test]
    fn a_change_of_rights_is_news_without_a_packet() {
        let told = decode(&rights_changed(mine(Sid::from_number(1)), 6).events).unwrap();
        assert_eq!(told, [Told { position: 7, part: Part::Rights, ended: None, packet: Bytes::new() }]);
    }

    #[test]
    fn foreign_bytes_are_no_news() {
        assert_eq!(decode(&Bytes::from_static(&[9; 40])), None);
        assert_eq!(decode(&Bytes::from_static(&[0; 5])), None);
        assert_eq!(decode(&Bytes::from_static(&[255; 29])), None);
    }
}
