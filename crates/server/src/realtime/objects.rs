//! Sync objects as projections of the nouns' rows: who may read them, opening, replaying ([`super::items`]
//! has their items).
//!
//! Each question is answered from one snapshot. Who may read an object is decided here, once, for
//! opening, for items and for subscriptions; what may not be read is not found.

use tertulia_protocol::sid::{Conversation as ConversationKind, User as UserKind};
use tertulia_protocol::sync::{Event, Item, Object, ObjectChange, data};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_store::StreamId;

use super::news::{Part, Replayed, decode, kind, objects_of, part_of, rights, rights_changed};
use super::unchanged::Unchanged;
use crate::conversations::queries::Lock;
use crate::conversations::{self, By, Conversation, FADING_MICROS, View};
use crate::messages;
use crate::participants;
use crate::platform::{Cx, Error, Outcome, Question};
use crate::users::{self, User};

/// By which right a conversation's object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Taking part, or having created it; the user's own list tells when that ends.
    Own,
    /// A role's, which may change at any time: news of this stream tell that it may have.
    Role(StreamId),
}

/// An object that the caller may read, with the rows behind it.
pub(super) enum Readable {
    Conversation(Box<Conversation>, Right),
    /// Deleted a moment ago, or the reader was just taken out of it: readable once more, empty, but nothing to
    /// subscribe to.
    Fading(Box<Conversation>),
    User(Box<User>),
}

pub(super) fn not_found(object: Option<Object>) -> Error {
    let code = match object {
        Some(Object::Document(_)) => Code::DocumentNotFound,
        Some(Object::Messages(_)) => Code::ListNotFound,
        _ => Code::MapNotFound,
    };
    Error::plain(code)
}

pub(super) async fn readable(cx: &mut Cx<'_, '_>, object: Object) -> Outcome<Readable> {
    let found = match object {
        Object::Document(sid) => conversation(cx, sid, View::Facts).await?,
        Object::Messages(sid) => conversation(cx, sid, View::Messages).await?,
        Object::Roster(sid) => conversation(cx, sid, View::Roster).await?,
        Object::MyConversations(sid) => own_user(cx, sid).await?,
        Object::UserInfo(sid) => user(cx, sid).await?,
    };
    found.ok_or_else(|| not_found(Some(object)))
}

async fn conversation(cx: &mut Cx<'_, '_>, sid: Sid<ConversationKind>, view: View) -> Outcome<Option<Readable>> {
    let account = cx.caller.account;
    let found = conversations::queries::find_even_removed(cx.tx, account, sid, Lock::None).await?;
    let Some(conversation) = found.filter(|found| in_service(cx, found)).map(Box::new) else { return Ok(None) };
    let Some(reader) = cx.caller.user().map(|user| user.sid) else {
        return Ok(Some(Readable::Conversation(conversation, Right::Own)));
    };
    let takes_part = participants::queries::find_by_user(cx.tx, account, reader, sid).await?.is_some();
    if conversation.removed.is_some() {
        return fading(cx, conversation, takes_part, reader).await;
    }
    match conversations::commands::right_to(cx, &conversation, takes_part, view).await? {
        Some(By::Own) => Ok(Some(Readable::Conversation(conversation, Right::Own))),
        Some(By::Role) => {
            let rights = rights(conversation.service);
            Ok(Some(Readable::Conversation(conversation, Right::Role(rights))))
        }
        None => fading(cx, conversation, false, reader).await,
    }
}

/// A conversation that was deleted, or that the reader was taken out of, a moment ago. Of a deleted one only who took
/// part to the end may see that much.
async fn fading(
    cx: &mut Cx<'_, '_>,
    conversation: Box<Conversation>,
    takes_part: bool,
    reader: Sid<UserKind>,
) -> Outcome<Option<Readable>> {
    let (account, sid) = (conversation.account, conversation.sid);
    let gone = match conversation.removed {
        // The purge has not come to this participant yet.
        Some(removed) if takes_part => Some(removed),
        removed => {
            let departure = participants::queries::departure(cx.tx, account, sid, reader).await?;
            departure.map(|departure| departure.at).filter(|gone| removed.is_none_or(|removed| *gone >= removed))
        }
    };
    let is_fading = gone.is_some_and(|gone| cx.now < gone.plus_micros(FADING_MICROS));
    Ok(is_fading.then(|| Readable::Fading(Box::new(conversation.emptied()))))
}

fn in_service(cx: &Cx<'_, '_>, conversation: &Conversation) -> bool {
    cx.caller.user().is_none_or(|user| user.service == conversation.service)
}

async fn own_user(cx: &mut Cx<'_, '_>, sid: Sid<UserKind>) -> Outcome<Option<Readable>> {
    if cx.caller.user().is_some_and(|user| user.sid != sid) {
        return Ok(None);
    }
    user(cx, sid).await
}

async fn user(cx: &mut Cx<'_, '_>, sid: Sid<UserKind>) -> Outcome<Option<Readable>> {
    let found = users::queries::find(cx.tx, cx.caller.account, sid).await?;
    let own_service = cx.caller.user().map(|user| user.service);
    let found = found.filter(|found| own_service.is_none_or(|service| service == found.service));
    Ok(found.map(|user| Readable::User(Box::new(user))))
}

/// What opening an object gives.
pub struct Opened {
    /// Which.
    pub object: Object,
    /// Its position.
    pub position: i64,
    /// A document's data.
    pub data: Option<Box<serde_json::value::RawValue>>,
    /// Its items, where they were asked for.
    pub items: Option<Vec<Item>>,
    /// When it came to be.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Whether the reader was just taken out of it, so that it shows nothing.
    pub is_emptied: bool,
}

/// Opens an object by its SID or name.
pub struct OpenObject {
    /// SID or name.
    pub key: String,
    /// What a request for it says it is; another type is not found.
    pub wanted: tertulia_protocol::sync::ObjectType,
    /// Whether the items come along (small maps only).
    pub with_items: bool,
}

impl Question for OpenObject {
    type Out = Opened;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Opened> {
        let object = Object::parse(&self.key).filter(|object| object.object_type() == self.wanted);
        let object = object.ok_or_else(|| {
            Error::plain(match self.wanted {
                tertulia_protocol::sync::ObjectType::Document => Code::DocumentNotFound,
                tertulia_protocol::sync::ObjectType::List => Code::ListNotFound,
                tertulia_protocol::sync::ObjectType::Map => Code::MapNotFound,
            })
        })?;
        let readable = readable(cx, object).await?;
        let position = position(cx, object, &readable).await?;
        let (created, updated) = match &readable {
            Readable::Conversation(conversation, _) | Readable::Fading(conversation) => {
                (conversation.created, conversation.updated)
            }
            Readable::User(user) => (user.created, user.updated),
        };
        let document = match (&readable, object) {
            (Readable::Conversation(conversation, _) | Readable::Fading(conversation), Object::Document(_)) => {
                Some(data(&conversations::events::document(conversation)))
            }
            _ => None,
        };
        let items = match (&readable, object, self.with_items) {
            (Readable::User(user), Object::UserInfo(_), true) => Some(users::events::items(user)),
            _ => None,
        };
        let is_emptied = matches!(readable, Readable::Fading(_));
        Ok(Opened { object, position, data: document, items, created, updated, is_emptied })
    }
}

pub(super) async fn position(cx: &mut Cx<'_, '_>, object: Object, readable: &Readable) -> Outcome<i64> {
    match (object, readable) {
        (_, Readable::Fading(_)) => Ok(0),
        (Object::Roster(sid), _) => Ok(participants::queries::roster(cx.tx, cx.caller.account, sid).await?.position),
        (_, Readable::Conversation(conversation, _)) => Ok(conversation.position),
        (Object::MyConversations(_), Readable::User(user)) => Ok(user.mine_position),
        (_, Readable::User(user)) => Ok(user.info_position),
    }
}

/// One object of a subscription, as the store sees it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The object.
    pub object: Object,
    /// Its position.
    pub position: i64,
    /// By which right it is read.
    pub right: Right,
    /// What happened after the position that the client has, in order.
    pub missed: Vec<Event>,
    /// The last position in `missed`, when more happened than is replayed at once.
    pub cut_at: Option<i64>,
}

/// Where the objects of a subscription request stand, all in one snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Each object with the last position that the client has; `None` there means "from now on".
    pub entries: Vec<(Option<Object>, Option<i64>)>,
    /// Events of one list that are replayed at most.
    pub events_max: usize,
}

impl Question for Snapshot {
    /// One answer an entry; and the position of the reader's own list, which dates the rights.
    type Out = (Vec<Result<Standing, Code>>, i64);

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let objects = self.entries.iter().filter_map(|(object, _)| *object);
        let known = Unchanged::read(cx, objects).await?;
        let mut answers = Vec::with_capacity(self.entries.len());
        for (object, after) in &self.entries {
            answers.push(match object.map(|object| (object, known.standing(object, *after))) {
                None => Err(Code::MapNotFound),
                Some((_, Some(standing))) => Ok(standing),
                Some((object, None)) => match standing(cx, object, *after, self.events_max).await {
                    Ok(standing) => Ok(standing),
                    Err(Error::Refused(refusal)) => Err(refusal.code),
                    Err(failure) => return Err(failure),
                },
            });
        }
        Ok((answers, known.own))
    }
}

async fn standing(cx: &mut Cx<'_, '_>, object: Object, after: Option<i64>, events_max: usize) -> Outcome<Standing> {
    let readable = readable(cx, object).await?;
    if let Readable::Fading(_) = readable {
        return Err(not_found(Some(object)));
    }
    let position = position(cx, object, &readable).await?;
    let (missed, cut_at) = match after {
        Some(after) if after < position => missed(cx, object, &readable, after, events_max).await?,
        _ => (Vec::new(), None),
    };
    let right = if let Readable::Conversation(_, right) = readable { right } else { Right::Own };
    Ok(Standing { object, position, right, missed, cut_at })
}

/// Which of these objects, that were opened by the right of a role, are no longer the caller's to read.
pub struct NoLongerReadable(pub Vec<(StreamId, Part)>);

impl Question for NoLongerReadable {
    /// `None` when the caller is gone, and may read nothing at all.
    type Out = Option<Vec<(StreamId, Part)>>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        if let Some(user) = cx.caller.user().map(|user| user.sid)
            && users::queries::find(cx.tx, cx.caller.account, user).await?.is_none()
        {
            return Ok(None);
        }
        let mut lost = Vec::new();
        for (stream, part) in &self.0 {
            let object = objects_of(*stream).into_iter().find(|object| part_of(*object) == *part);
            match readable(cx, object.ok_or_else(|| not_found(None))?).await {
                // A deleted one tells of its end itself.
                Ok(Readable::Fading(conversation)) if conversation.removed.is_none() => lost.push((*stream, *part)),
                Ok(_) => {}
                Err(Error::Refused(_)) => lost.push((*stream, *part)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(Some(lost))
    }
}

/// Only lists of messages are long enough to be cut; the rest is bounded by participants and their comings
/// and goings.
async fn missed(
    cx: &mut Cx<'_, '_>,
    object: Object,
    readable: &Readable,
    after: i64,
    events_max: usize,
) -> Outcome<(Vec<Event>, Option<i64>)> {
    let account = cx.caller.account;
    let whole = match (object, readable) {
        (Object::Messages(sid), _) => {
            let changed = messages::queries::changed(cx.tx, account, sid, after, events_max).await?;
            return Ok((messages::events::replay(&changed.messages, after, changed.cut_at), changed.cut_at));
        }
        (Object::Document(_), Readable::Conversation(conversation, _)) => match conversation.removed {
            None => vec![conversations::events::document_updated(conversation)],
            Some(at) => vec![Event { object, id: conversation.position, at, change: ObjectChange::Gone }],
        },
        (Object::Roster(sid), _) => {
            let rows = participants::queries::roster_changed(cx.tx, account, sid, after).await?;
            participants::events::roster_replay(&rows, after)
        }
        (Object::MyConversations(sid), _) => {
            let rows = participants::queries::mine_changed(cx.tx, account, sid, after).await?;
            participants::events::mine_replay(&rows, after)
        }
        (Object::UserInfo(_), Readable::User(user)) => users::events::changed_after(user, after),
        _ => Vec::new(),
    };
    Ok((whole, None))
}

/// Everything that happened in a stream after a position: for topics that missed news. Asked by the
/// server itself, since it is not one reader's answer.
pub struct ReplayStream {
    /// The stream.
    pub stream: StreamId,
    /// After which position.
    pub after: i64,
}

impl Question for ReplayStream {
    type Out = Replayed;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let mut standings = Vec::new();
        for object in objects_of(self.stream) {
            match standing(cx, object, Some(self.after), REPLAY_MAX).await {
                Ok(standing) => standings.push(standing),
                // The user was deleted, and nobody told.
                Err(Error::Refused(_)) if self.stream.kind == kind::MINE => return Ok(self.gone()),
                // Its rows are gone for good; whoever watched it was told by the user's own list.
                Err(Error::Refused(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        let mut replayed = Replayed::of(self.after, standings);
        if self.stream.kind == kind::MINE && replayed.upto > self.after {
            // No row says at which position the user's role was changed: it may have been here.
            let news = rights_changed(self.stream, replayed.upto - 1);
            replayed.told.extend(decode(&news.events).unwrap_or_default());
        }
        Ok(replayed)
    }
}

impl ReplayStream {
    /// The user's last change, as far as the hub must know.
    fn gone(&self) -> Replayed {
        let news = rights_changed(self.stream, self.after);
        Replayed { upto: news.upto, is_cut: false, told: decode(&news.events).unwrap_or_default() }
    }
}

/// Events that a topic reads at once.
const REPLAY_MAX: usize = 2000;
