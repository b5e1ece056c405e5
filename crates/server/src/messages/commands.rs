//! Transactions of messages: append, edit, remove.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{
    Conversation as ConversationKind, Message as MessageKind, Participant as ParticipantKind, Service as ServiceKind,
};

use super::events::MessageEvent;
use super::{Message, Patch, Refusal, queries};
use crate::conversations::commands::{Room, enter, schedule_timer};
use crate::conversations::queries::{Lock, take_index, take_position};
use crate::participants;
use crate::platform::page::Direction;
use crate::platform::{Change, Cx, Outcome, PageRequest, Question};
use crate::roles::Permission;

/// Appends a message under the next index.
#[derive(Clone, Debug)]
pub struct SendMessage {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// Its facts.
    pub patch: Patch,
}

impl Change for SendMessage {
    type Out = Message;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Message> {
        self.patch.check(cx.limits)?;
        let room = enter(cx, self.service, &self.conversation, Lock::Row).await?;
        for permission in self.patch.sending() {
            room.may(cx, permission).await?;
        }
        room.must_be_open()?;
        if !self.patch.media.is_empty() {
            return Err(Refusal::MediaNotFound.into());
        }
        let (author, participant) = author(cx, &room, self.patch.author.as_deref()).await?;
        let created = self.patch.created.unwrap_or(cx.now);
        let conversation = take_index(cx.tx, &room.conversation, created, cx.now).await?;
        let message = Message {
            account: conversation.account,
            conversation: conversation.sid,
            index: conversation.last_index,
            sid: cx.ids.sid(),
            author,
            participant,
            body: self.patch.body.clone(),
            attributes: self.patch.attributes.clone().unwrap_or_else(|| "{}".to_owned()),
            subject: self.patch.subject.clone(),
            created,
            updated: self.patch.updated.unwrap_or(created),
            updated_by: None,
            created_pos: conversation.position,
            changed_pos: conversation.position,
            removed: None,
        };
        queries::insert(cx.tx, &message).await?;
        schedule_timer(cx, Some(&room.conversation), &conversation).await?;
        let (before, conversation) = (Box::new(room.conversation), Box::new(conversation));
        cx.emit(&MessageEvent::Added { before, conversation, after: Box::new(message.clone()) });
        Ok(message)
    }
}

/// A user writes as itself; a REST caller as whom it names, else as `system`.
async fn author(
    cx: &mut Cx<'_, '_>,
    room: &Room,
    named: Option<&str>,
) -> Outcome<(String, Option<Sid<ParticipantKind>>)> {
    if let Some(user) = cx.caller.user() {
        return Ok((user.identity.clone(), room.participant.as_ref().map(|participant| participant.sid)));
    }
    let author = named.filter(|author| !author.is_empty()).unwrap_or("system");
    let (account, sid) = (room.conversation.account, room.conversation.sid);
    let mut participant = participants::queries::find_by_identity(cx.tx, account, sid, author).await?;
    if participant.is_none() {
        participant = participants::queries::find_by_address(cx.tx, account, sid, author).await?;
    }
    Ok((author.to_owned(), participant.map(|participant| participant.sid)))
}

/// Where a message is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// The message.
    pub sid: Sid<MessageKind>,
}

impl Place {
    /// `any` is what the caller is about to do, to anybody's message: who takes no part needs the service
    /// role's leave for it before anything inside is looked for, and for looking alone there is none.
    async fn enter(&self, cx: &mut Cx<'_, '_>, lock: Lock, any: &[Permission]) -> Outcome<(Room, Message)> {
        let room = enter(cx, self.service, &self.conversation, lock).await?;
        if any.is_empty() {
            room.must_take_part(cx)?;
        }
        for permission in any.iter().filter(|_| room.participant.is_none()) {
            room.may(cx, *permission).await?;
        }
        let (account, conversation) = (room.conversation.account, room.conversation.sid);
        let message = queries::find(cx.tx, account, conversation, self.sid).await?;
        Ok((room, message.ok_or(Refusal::NotFound)?))
    }
}

fn is_own(cx: &Cx<'_, '_>, message: &Message) -> bool {
    cx.caller.user().is_some_and(|user| user.identity == message.author)
}

/// Changes a message.
#[derive(Clone, Debug)]
pub struct UpdateMessage {
    /// Which.
    pub place: Place,
    /// What changes.
    pub patch: Patch,
}

impl Change for UpdateMessage {
    type Out = Message;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Message> {
        self.patch.check(cx.limits)?;
        let asked = self.patch.permissions();
        let any: Vec<_> = asked.iter().map(|(_, any)| *any).collect();
        let (room, before) = self.place.enter(cx, Lock::Row, &any).await?;
        for (own, any) in asked {
            room.may_change(cx, is_own(cx, &before), own, any).await?;
        }
        if self.patch.is_empty() {
            return Ok(before);
        }
        room.must_be_open()?;
        let patch = if cx.caller.counts_repetition() { self.patch.clone() } else { self.patch.changing(&before) };
        if patch.is_empty() {
            return Ok(before);
        }
        let mut changed = before.clone();
        if let Some(named) = self.patch.author.as_deref().filter(|_| cx.caller.user().is_none()) {
            (changed.author, changed.participant) = author(cx, &room, Some(named)).await?;
        }
        patch.apply(&mut changed, cx);
        let conversation = take_position(cx.tx, &room.conversation, 0).await?;
        changed.changed_pos = conversation.position;
        let after = queries::update(cx.tx, &changed).await?;
        cx.emit(&MessageEvent::Updated { before: Box::new(before), after: Box::new(after.clone()) });
        Ok(after)
    }
}

impl Patch {
    /// What a new message asks for: its text and its files are told apart.
    fn sending(&self) -> Vec<Permission> {
        let has_text = [&self.body, &self.subject].into_iter().flatten().any(|text| !text.is_empty());
        let mut asked = Vec::new();
        if !self.media.is_empty() {
            asked.push(Permission::SendMediaMessage);
        }
        if has_text || asked.is_empty() {
            asked.push(Permission::SendMessage);
        }
        asked
    }

    /// What an update asks for: for one's own message, and for anybody's.
    fn permissions(&self) -> Vec<(Permission, Permission)> {
        let mut asked = Vec::new();
        if self.body.is_some() || self.subject.is_some() {
            asked.push((Permission::EditOwnMessage, Permission::EditAnyMessage));
        }
        if self.attributes.is_some() {
            asked.push((Permission::EditOwnMessageAttributes, Permission::EditAnyMessageAttributes));
        }
        asked
    }

    fn apply(&self, message: &mut Message, cx: &Cx<'_, '_>) {
        if let Some(attributes) = &self.attributes {
            message.attributes.clone_from(attributes);
        }
        message.body = self.body.clone().or(message.body.take());
        message.subject = self.subject.clone().or(message.subject.take());
        message.created = self.created.unwrap_or(message.created);
        message.updated = self.updated.unwrap_or(cx.now);
        message.updated_by = Some(cx.caller.author().to_owned());
    }
}

/// Removes a message; the others keep their indexes.
#[derive(Clone, Debug)]
pub struct RemoveMessage {
    /// Which.
    pub place: Place,
}

impl Change for RemoveMessage {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let (room, before) = self.place.enter(cx, Lock::Row, &[Permission::DeleteAnyMessage]).await?;
        let own = is_own(cx, &before);
        room.may_change(cx, own, Permission::DeleteOwnMessage, Permission::DeleteAnyMessage).await?;
        room.must_be_open()?;
        let position = take_position(cx.tx, &room.conversation, 1).await?.position;
        queries::remove(cx.tx, &before, position, cx.now).await?;
        cx.emit(&MessageEvent::Removed { before: Box::new(before), position });
        Ok(())
    }
}

/// Finds one message.
#[derive(Clone, Debug)]
pub struct GetMessage {
    /// Which.
    pub place: Place,
}

impl Question for GetMessage {
    type Out = Message;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Message> {
        Ok(self.place.enter(cx, Lock::None, &[]).await?.1)
    }
}

/// Lists a conversation's messages.
#[derive(Clone, Debug)]
pub struct ListMessages {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// Oldest or newest first.
    pub direction: Direction,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListMessages {
    /// The conversation, for URLs, and the rows.
    type Out = (Sid<ConversationKind>, Vec<Message>);

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let room = enter(cx, self.service, &self.conversation, Lock::None).await?;
        room.must_take_part(cx)?;
        let span = self.page.span(None, |cursor| cursor.number(0).map(Some))?;
        let direction = if span.backwards { self.direction.turned() } else { self.direction };
        let from = span.key.map(|index| match direction {
            Direction::Up => index.saturating_add(1),
            Direction::Down => index.saturating_sub(1),
        });
        let (account, sid) = (room.conversation.account, room.conversation.sid);
        let rows = queries::from_index(cx.tx, account, sid, from, direction, span.limit).await?;
        Ok((sid, rows))
    }
}
