//! The store, as a model: the rows that the real one keeps, and commands that change them in one step.
//!
//! Rows, domain events and their news are the server's own types and functions; what is modelled is only
//! that a command takes the next numbers of its streams and is either there as a whole or not at all.

use tertulia_protocol::sid::{Conversation as ConversationKind, Kind, User as UserKind};
use tertulia_protocol::sync::Event;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_server::conversations::Reason;
use tertulia_server::conversations::events::{ConversationEvent, document_updated};
use tertulia_server::conversations::{Conversation, State};
use tertulia_server::messages::Message;
use tertulia_server::messages::events::{MessageEvent, replay};
use tertulia_server::participants::events::ParticipantEvent;
use tertulia_server::participants::{NotificationLevel, Participant};
use tertulia_server::platform::{AccountNumber, DomainEvent};
use tertulia_server::realtime::news;
use tertulia_server::users::User;
use tertulia_server::users::events::Updated;
use tertulia_store::News;

/// The one account.
pub const ACCOUNT: AccountNumber = AccountNumber(1);
/// The one chat service.
const SERVICE: u128 = 1;

/// A conversation with what belongs to it, tombstones included.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its row.
    pub conversation: Conversation,
    /// Position of its roster.
    pub roster: i64,
    /// Who is or was in it.
    pub participants: Vec<Participant>,
    /// By index.
    pub messages: Vec<Message>,
}

impl Room {
    /// The participant that a user is.
    pub fn participant(&self, user: Sid<UserKind>) -> Option<&Participant> {
        self.participants.iter().find(|one| one.removed.is_none() && one.user == Some(user))
    }

    /// Whether somebody may read it.
    pub fn is_for(&self, user: Sid<UserKind>) -> bool {
        self.conversation.removed.is_none() && self.participant(user).is_some()
    }
}

/// Everything that is committed.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The users, who are there from the start.
    pub users: Vec<User>,
    /// Every conversation that ever was.
    pub rooms: Vec<Room>,
    drawn: u128,
    texts: u64,
}

/// Something that an application does; conversations (first) and users by their places.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new conversation with these users.
    Create(Vec<usize>),
    /// By an author, so many messages in one commit.
    Send(usize, usize, usize),
    /// Another text for the message with this index.
    Edit(usize, usize),
    /// The message with this index goes.
    Remove(usize, usize),
    /// Another name for a conversation.
    Rename(usize),
    /// A user has read up to an index.
    Read(usize, usize, i64),
    /// These users come in, in one commit.
    Add(usize, Vec<usize>),
    /// These users go, in one commit.
    TakeOut(usize, Vec<usize>),
    /// A conversation goes.
    Delete(usize),
    /// Another name for a user, and perhaps other attributes: two numbers in one commit.
    Describe(usize, bool),
}

impl Rows {
    /// A store with some users.
    pub fn with_users(count: usize) -> Self {
        let mut rows = Self::default();
        for number in 0..count {
            let user = User {
                account: ACCOUNT,
                sid: rows.sid(),
                service: Sid::from_number(SERVICE),
                identity: format!("user{number}"),
                friendly_name: None,
                attributes: "{}".to_owned(),
                role: Sid::from_number(1),
                online: None,
                created: at(0),
                updated: at(0),
                mine_position: 0,
                conversations_count: 0,
                info_position: 1,
                friendly_name_pos: 1,
                attributes_pos: 1,
                online_pos: 1,
            };
            rows.users.push(user);
        }
        rows
    }

    /// The user with this SID.
    pub fn user(&self, sid: Sid<UserKind>) -> Option<&User> {
        self.users.iter().find(|user| user.sid == sid)
    }

    /// The conversation with this SID.
    pub fn room(&self, sid: Sid<ConversationKind>) -> Option<&Room> {
        self.rooms.iter().find(|room| room.conversation.sid == sid)
    }

    fn sid<K: Kind>(&mut self) -> Sid<K> {
        self.drawn += 1;
        Sid::from_number(self.drawn)
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("text {}", self.texts)
    }

    /// Runs a command. The news must not leave before it counts as committed; none means that nothing
    /// was to be done.
    pub fn perform(&mut self, command: &Command, now: Timestamp) -> Vec<News> {
        match command {
            Command::Create(users) => {
                let conversation = self.blank(now);
                self.rooms.push(Room { conversation, roster: 0, participants: Vec::new(), messages: Vec::new() });
                self.add(self.rooms.len() - 1, users, now)
            }
            Command::Add(room, users) if self.is_open(*room) => self.add(*room, users, now),
            Command::TakeOut(room, users) if self.is_open(*room) => {
                users.iter().flat_map(|user| self.take_out(*room, *user, false, now)).collect()
            }
            Command::Send(room, author, count) if self.is_open(*room) => {
                vec![self.send(*room, *author, *count, now)]
            }
            Command::Edit(room, index) if self.has(*room, *index) => self.edit(*room, *index, now),
            Command::Remove(room, index) if self.has(*room, *index) => self.remove(*room, *index, now),
            Command::Rename(room) if self.is_open(*room) => self.rename(*room, now),
            Command::Read(room, user, index) if self.is_open(*room) => self.read(*room, *user, *index, now),
            Command::Delete(room) if self.is_open(*room) => self.delete(*room, now),
            Command::Describe(user, both) => self.describe(*user, *both, now),
            _ => Vec::new(),
        }
    }

    fn is_open(&self, room: usize) -> bool {
        self.rooms.get(room).is_some_and(|room| room.conversation.removed.is_none())
    }

    fn has(&self, room: usize, index: usize) -> bool {
        self.is_open(room) && self.rooms[room].messages.get(index).is_some_and(|message| message.removed.is_none())
    }

    fn blank(&mut self, now: Timestamp) -> Conversation {
        Conversation {
            account: ACCOUNT,
            sid: self.sid(),
            service: Sid::from_number(SERVICE),
            friendly_name: None,
            unique_name: None,
            attributes: "{}".to_owned(),
            messaging_service: None,
            state: State::Active,
            state_since: now,
            inactive_timer: None,
            closed_timer: None,
            bindings: None,
            created_by: "system".to_owned(),
            created_by_user: None,
            created: now,
            updated: now,
            position: 0,
            last_index: -1,
            last_message_at: None,
            active_at: now,
            messages_count: 0,
            removed: None,
        }
    }

    fn add(&mut self, room: usize, users: &[usize], now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        for user in users {
            let sid = self.sid();
            let (room, user) = (&mut self.rooms[room], &mut self.users[*user]);
            if room.participant(user.sid).is_some() {
                continue;
            }
            room.roster += 1;
            user.mine_position += 1;
            let participant = Participant {
                account: ACCOUNT,
                conversation: room.conversation.sid,
                sid,
                service: user.service,
                identity: Some(user.identity.clone()),
                user: Some(user.sid),
                binding: None,
                role: Some(Sid::from_number(1)),
                attributes: "{}".to_owned(),
                last_read_index: None,
                last_read_at: None,
                notification_level: NotificationLevel::Default,
                created: now,
                updated: now,
                roster_created_pos: room.roster,
                roster_changed_pos: room.roster,
                mine_created_pos: user.mine_position,
                mine_changed_pos: user.mine_position,
                removed: None,
            };
            room.participants.push(participant.clone());
            news.extend(ParticipantEvent::Added { after: Box::new(participant) }.news(now));
        }
        news
    }

    fn take_out(&mut self, room: usize, user: usize, with_all: bool, now: Timestamp) -> Vec<News> {
        let (room, user) = (&mut self.rooms[room], &mut self.users[user]);
        let found = room.participants.iter_mut().find(|one| one.removed.is_none() && one.user == Some(user.sid));
        let Some(participant) = found else { return Vec::new() };
        let before = Box::new(participant.clone());
        user.mine_position += 1;
        participant.mine_changed_pos = user.mine_position;
        let mut roster_pos = None;
        if !with_all {
            room.roster += 1;
            participant.roster_changed_pos = room.roster;
            roster_pos = Some(room.roster);
        }
        participant.removed = Some(now);
        participant.identity = None;
        participant.role = None;
        participant.last_read_index = None;
        participant.last_read_at = None;
        ParticipantEvent::Removed { before, roster_pos, mine_pos: user.mine_position }.news(now)
    }

    fn send(&mut self, room: usize, author: usize, count: usize, now: Timestamp) -> News {
        let after = self.rooms[room].conversation.position;
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (sid, body) = (self.sid(), Some(self.text()));
            let author = self.users[author].identity.clone();
            let room = &mut self.rooms[room];
            let conversation = &mut room.conversation;
            conversation.position += 1;
            conversation.last_index += 1;
            conversation.last_message_at = Some(now);
            conversation.messages_count += 1;
            let message = Message {
                account: ACCOUNT,
                conversation: conversation.sid,
                index: conversation.last_index,
                sid,
                author,
                participant: None,
                body,
                attributes: "{}".to_owned(),
                subject: None,
                created: now,
                updated: now,
                updated_by: None,
                created_pos: conversation.position,
                changed_pos: conversation.position,
                removed: None,
            };
            room.messages.push(message.clone());
            sent.push(message);
        }
        let conversation = &self.rooms[room].conversation;
        if let [message] = &sent[..] {
            let (conversation, after) = (Box::new(conversation.clone()), Box::new(message.clone()));
            let before = conversation.clone();
            return MessageEvent::Added { before, conversation, after }.news(now).remove(0);
        }
        // No command of the server takes several numbers of this stream yet; the hub must stand it.
        events.extend::<Vec<Event>>(replay(&sent, after, None));
        events.push(document_updated(conversation));
        news::news(news::talk(conversation.sid), after, conversation.position, &events)
    }

    fn rename(&mut self, room: usize, now: Timestamp) -> Vec<News> {
        let name = self.text();
        let conversation = &mut self.rooms[room].conversation;
        let before = Box::new(conversation.clone());
        conversation.position += 1;
        conversation.friendly_name = Some(name);
        conversation.updated = now;
        let after = Box::new(conversation.clone());
        ConversationEvent::Updated { before, after, reason: Reason::Api }.news(now)
    }

    fn edit(&mut self, room: usize, index: usize, now: Timestamp) -> Vec<News> {
        let text = self.text();
        let room = &mut self.rooms[room];
        let message = &mut room.messages[index];
        let before = Box::new(message.clone());
        room.conversation.position += 1;
        message.changed_pos = room.conversation.position;
        message.body = Some(text);
        message.updated = now;
        MessageEvent::Updated { before, after: Box::new(message.clone()) }.news(now)
    }

    fn remove(&mut self, room: usize, index: usize, now: Timestamp) -> Vec<News> {
        let room = &mut self.rooms[room];
        let message = &mut room.messages[index];
        let before = Box::new(message.clone());
        room.conversation.position += 1;
        room.conversation.messages_count -= 1;
        message.changed_pos = room.conversation.position;
        message.removed = Some(now);
        message.body = None;
        message.author = String::new();
        MessageEvent::Removed { before, position: room.conversation.position }.news(now)
    }

    fn read(&mut self, room: usize, user: usize, index: i64, now: Timestamp) -> Vec<News> {
        let (room, user) = (&mut self.rooms[room], &mut self.users[user]);
        let found = room.participants.iter_mut().find(|one| one.removed.is_none() && one.user == Some(user.sid));
        let Some(participant) = found else { return Vec::new() };
        let before = Box::new(participant.clone());
        room.roster += 1;
        user.mine_position += 1;
        participant.last_read_index = Some(index);
        participant.last_read_at = Some(now);
        participant.roster_changed_pos = room.roster;
        participant.mine_changed_pos = user.mine_position;
        ParticipantEvent::Updated { before, after: Box::new(participant.clone()) }.news(now)
    }

    fn delete(&mut self, room: usize, now: Timestamp) -> Vec<News> {
        let conversation = &mut self.rooms[room].conversation;
        conversation.removed = Some(now);
        conversation.friendly_name = None;
        let mut news = Vec::new();
        for user in 0..self.users.len() {
            news.extend(self.take_out(room, user, true, now));
        }
        let conversation = &mut self.rooms[room].conversation;
        conversation.position += 1;
        news.extend(ConversationEvent::Removed { after: Box::new(conversation.clone()) }.news(now));
        news
    }

    fn describe(&mut self, user: usize, both: bool, now: Timestamp) -> Vec<News> {
        let (name, attributes) = (self.text(), format!("{{\"n\":{}}}", self.texts));
        let user = &mut self.users[user];
        let before = user.clone();
        user.info_position += 1;
        user.friendly_name_pos = user.info_position;
        user.friendly_name = Some(name);
        if both {
            user.info_position += 1;
            user.attributes_pos = user.info_position;
            user.attributes = attributes;
        }
        user.updated = now;
        Updated { before, after: user.clone() }.news(now)
    }
}

/// A moment of the simulated time.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000).plus_micros(micros)
}
