//! Transactions of conversations: entering one with one's rights, and creating, changing, deleting it.

use tertulia_protocol::sid::{Conversation as ConversationKind, Service as ServiceKind};
use tertulia_protocol::{Sid, Timestamp};

use super::events::ConversationEvent;
use super::queries::{self, Filter, Lock};
use super::{By, Conversation, PURGE, Patch, Reason, Refusal, State, TIMER, View};
use crate::accounts;
use crate::jobs;
use crate::messages;
use crate::participants::Roster;
use crate::participants::{self, Participant};
use crate::platform::page::{NEWEST, OLDEST, Span};
use crate::platform::{AccountNumber, Change, Cx, Error, Outcome, PageRequest, Question};
use crate::roles::commands::{may_in_conversation, may_in_service, service_permissions};
use crate::roles::{self, Permission};
use crate::services::{self, Service};
use crate::users;

/// A conversation that the caller has entered: the proof that it is there and the caller's own.
#[derive(Clone, Debug)]
pub struct Room {
    /// The chat service.
    pub service: Service,
    /// The conversation.
    pub conversation: Conversation,
    /// The caller's participant in it, for users who are one.
    pub participant: Option<Participant>,
}

/// Enters the conversation with this SID or unique name. Rights are asked afterwards: [`Room::may`].
pub async fn enter(cx: &mut Cx<'_, '_>, service: Option<Sid<ServiceKind>>, key: &str, lock: Lock) -> Outcome<Room> {
    let service = services::commands::resolve(cx, service).await?;
    let found = queries::find(cx.tx, service.account, service.sid, key, lock).await?;
    let conversation = found.ok_or(Refusal::NotFound)?;
    let participant = match cx.caller.user() {
        None => None,
        Some(user) => {
            let account = service.account;
            participants::queries::find_by_user(cx.tx, account, user.sid, conversation.sid).await?
        }
    };
    Ok(Room { service, conversation, participant })
}

impl Room {
    /// Refuses unless the caller's roles allow this here.
    pub async fn may(&self, cx: &mut Cx<'_, '_>, permission: Permission) -> Outcome<()> {
        let role = self.participant.as_ref().map(|participant| participant.role);
        may_in_conversation(cx, role, permission).await
    }

    /// Refuses unless the caller may have `any`, or the thing is the caller's own and `own` is allowed.
    pub async fn may_change(&self, cx: &mut Cx<'_, '_>, is_own: bool, own: Permission, any: Permission) -> Outcome<()> {
        match self.may(cx, any).await {
            Err(Error::Refused(_)) if is_own => self.may(cx, own).await,
            outcome => outcome,
        }
    }

    /// Refuses unless the caller takes part, or is bound by no role.
    pub fn must_take_part(&self, cx: &Cx<'_, '_>) -> Outcome<()> {
        match (cx.caller.user(), &self.participant) {
            (Some(_), None) => Err(roles::Refusal::NotAParticipant.into()),
            _ => Ok(()),
        }
    }

    /// Refuses unless the caller may know the conversation's shared facts ([`right_to`]).
    pub async fn must_see(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let right = right_to(cx, &self.conversation, self.participant.is_some(), View::Facts).await?;
        if right.is_some() { Ok(()) } else { Err(roles::Refusal::NotAParticipant.into()) }
    }

    /// Refuses when the conversation is closed: nothing in it changes any more.
    pub fn must_be_open(&self) -> Outcome<()> {
        if self.conversation.state == State::Closed { Err(Refusal::Closed.into()) } else { Ok(()) }
    }

    /// The participant with this SID or identity, or a refusal.
    pub async fn get_participant(&self, cx: &mut Cx<'_, '_>, key: &str) -> Outcome<Participant> {
        let (account, sid) = (self.conversation.account, self.conversation.sid);
        if let Ok(participant) = Sid::parse(key)
            && let Some(found) = participants::queries::find(cx.tx, account, sid, participant).await?
        {
            return Ok(found);
        }
        // An identity may be shaped like a participant's SID.
        let found = participants::queries::find_by_identity(cx.tx, account, sid, key).await?;
        Ok(found.ok_or(participants::Refusal::NotFound)?)
    }

    /// The caller's own participant, when this is its SID or identity.
    pub fn own(&self, key: &str) -> Option<&Participant> {
        let named = |own: &&Participant| {
            own.identity.as_deref() == Some(key) || Sid::parse(key).is_ok_and(|sid| own.sid == sid)
        };
        self.participant.as_ref().filter(named)
    }
}

/// By which right the caller may read a part of a conversation; `None`: not at all. This is the one rule for looking at
/// conversations without taking part (docs/decisions/0016-private-conversations.md).
pub async fn right_to(
    cx: &mut Cx<'_, '_>,
    conversation: &Conversation,
    takes_part: bool,
    view: View,
) -> Outcome<Option<By>> {
    if cx.caller.user().is_none() || takes_part {
        return Ok(Some(By::Own));
    }
    if view == View::Facts && is_creator(cx, conversation).await? {
        return Ok(Some(By::Own));
    }
    let reaches = service_permissions(cx).await?.meets(view.reached_by());
    let is_readable = reaches || (view == View::Facts && is_open_to(cx, conversation).await?);
    Ok(is_readable.then_some(By::Role))
}

/// Whether the caller may join without being added: the chat service has open conversations, the service role holds
/// `joinConversation`, and nobody has removed the caller.
pub async fn is_open_to(cx: &mut Cx<'_, '_>, conversation: &Conversation) -> Outcome<bool> {
    let Some(user) = cx.caller.user().map(|user| user.sid) else { return Ok(true) };
    let service = services::queries::find(cx.tx, conversation.account, conversation.service).await?;
    if !service.is_some_and(|service| service.has_open_conversations)
        || may_in_service(cx, Permission::JoinConversation).await.is_err()
    {
        return Ok(false);
    }
    let (account, sid) = (conversation.account, conversation.sid);
    let departure = participants::queries::departure(cx.tx, account, sid, user).await?;
    Ok(departure.is_none_or(|departure| departure.has_left))
}

/// Whether the caller, who is no participant, is the creator and has not come and gone: who left, was removed or deleted is a
/// stranger to the conversation like everybody else (docs/decisions/0009-creator.md).
pub async fn is_creator(cx: &mut Cx<'_, '_>, conversation: &Conversation) -> Outcome<bool> {
    let Some(user) = cx.caller.user().filter(|user| Some(user.sid) == conversation.created_by_user) else {
        return Ok(false);
    };
    let (account, sid, user) = (conversation.account, conversation.sid, user.sid);
    let departure = participants::queries::departure(cx.tx, account, sid, user).await?;
    Ok(departure.is_none() && users::queries::find(cx.tx, account, user).await?.is_some())
}

/// Creates a conversation. Its creator is no participant until joining.
#[derive(Clone, Debug)]
pub struct CreateConversation {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// Its facts.
    pub patch: Patch,
}

impl Change for CreateConversation {
    type Out = Conversation;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Conversation> {
        let service = services::commands::resolve(cx, self.service).await?;
        may_in_service(cx, Permission::CreateConversation).await?;
        create(cx, &service, &self.patch).await
    }
}

/// Creates a conversation in a service that the caller may create in.
pub async fn create(cx: &mut Cx<'_, '_>, service: &Service, patch: &Patch) -> Outcome<Conversation> {
    patch.check(cx.limits)?;
    if patch.state == Some(State::Closed) {
        return Err(Refusal::ClosedAtCreation.into());
    }
    let mut conversation = blank(cx, service);
    patch.apply(&mut conversation, cx.now);
    let account = accounts::queries::get(cx.tx, service.account).await?;
    if patch.inactive_timer.is_none() {
        conversation.inactive_timer = account.default_inactive_timer;
    }
    if patch.closed_timer.is_none() {
        conversation.closed_timer = account.default_closed_timer;
    }
    if patch.updated.is_none() {
        conversation.updated = conversation.created;
    }
    let created = queries::insert(cx.tx, &conversation).await?.ok_or(Refusal::NameTaken)?;
    participants::queries::open_roster(cx.tx, service.account, created.sid).await?;
    schedule_timer(cx, None, &created).await?;
    Ok(created)
}

fn blank(cx: &mut Cx<'_, '_>, service: &Service) -> Conversation {
    Conversation {
        account: service.account,
        sid: cx.ids.sid(),
        service: service.sid,
        friendly_name: None,
        unique_name: None,
        attributes: "{}".to_owned(),
        messaging_service: None,
        state: State::Active,
        state_since: cx.now,
        inactive_timer: None,
        closed_timer: None,
        bindings: None,
        created_by: cx.caller.author().to_owned(),
        created_by_user: cx.caller.user().map(|user| user.sid),
        created: cx.now,
        updated: cx.now,
        position: 0,
        last_index: -1,
        last_message_at: None,
        active_at: cx.now,
        messages_count: 0,
        removed: None,
    }
}

/// Changes a conversation.
#[derive(Clone, Debug)]
pub struct UpdateConversation {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name.
    pub key: String,
    /// What changes.
    pub patch: Patch,
}

impl Change for UpdateConversation {
    type Out = Conversation;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Conversation> {
        let room = enter(cx, self.service, &self.key, Lock::Row).await?;
        let names = self.patch.friendly_name.is_some() || self.patch.unique_name.is_some();
        if names {
            room.may(cx, Permission::EditConversationName).await?;
        }
        if self.patch.attributes.is_some() {
            room.may(cx, Permission::EditConversationAttributes).await?;
        }
        if !names && self.patch.attributes.is_none() {
            room.must_see(cx).await?;
        }
        if self.patch.is_empty() {
            return Ok(room.conversation);
        }
        room.must_be_open()?;
        self.patch.check(cx.limits)?;
        let before = room.conversation;
        let patch = if cx.caller.counts_repetition() { self.patch.clone() } else { self.patch.changing(&before) };
        if patch.is_empty() {
            return Ok(before);
        }
        if let Some(Some(name)) = &patch.unique_name
            && queries::name_is_taken(cx.tx, &before, name).await?
        {
            return Err(Refusal::NameTaken.into());
        }
        let mut changed = before.clone();
        patch.apply(&mut changed, cx.now);
        let after = queries::update(cx.tx, &changed).await?.ok_or(Refusal::NameTaken)?;
        schedule_timer(cx, Some(&before), &after).await?;
        let (before, told) = (Box::new(before), Box::new(after.clone()));
        cx.emit(&ConversationEvent::Updated { before, after: told, reason: Reason::Api });
        Ok(after)
    }
}

/// Sees to it that a conversation's timers are looked at in time. A job that is there already, for a moment that has
/// moved on since, is left alone: it waits anew when it runs, so a message costs no second write.
pub async fn schedule_timer(cx: &mut Cx<'_, '_>, before: Option<&Conversation>, after: &Conversation) -> Outcome<()> {
    let Some((_, due)) = after.due() else { return Ok(()) };
    let is_in_time = before.and_then(Conversation::due).is_some_and(|(_, planned)| planned <= due);
    if is_in_time { Ok(()) } else { jobs::enqueue(cx, after.account, TIMER, after.sid.as_str(), due).await }
}

/// Does what a conversation's timers say by now. Asked under the row's lock, so a message that was faster keeps the
/// state, and of two nodes that come for it one changes it.
#[derive(Clone, Copy, Debug)]
pub struct RunTimer(pub Sid<ConversationKind>);

impl Change for RunTimer {
    /// When to look again.
    type Out = Option<Timestamp>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<Timestamp>> {
        let found = queries::find_even_removed(cx.tx, cx.caller.account, self.0, Lock::Row).await?;
        let Some(before) = found.filter(|found| found.removed.is_none()) else { return Ok(None) };
        let Some((state, _)) = before.due().filter(|(_, at)| *at <= cx.now) else {
            return Ok(before.due().map(|(_, at)| at));
        };
        // No activity: the closed timer goes on counting from where the inactive one began.
        let changed = Conversation { state, state_since: cx.now, updated: cx.now, ..before.clone() };
        let after = queries::update(cx.tx, &changed).await?.ok_or(Refusal::NameTaken)?;
        let next = after.due().map(|(_, at)| at);
        let (before, after) = (Box::new(before), Box::new(after));
        cx.emit(&ConversationEvent::Updated { before, after, reason: Reason::Timer });
        Ok(next)
    }
}

/// Deletes a conversation: it is gone for everybody at once, and its name is free; what it held is
/// purged in batches.
#[derive(Clone, Debug)]
pub struct DeleteConversation {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name.
    pub key: String,
}

impl Change for DeleteConversation {
    type Out = Sid<ConversationKind>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Sid<ConversationKind>> {
        let room = enter(cx, self.service, &self.key, Lock::Row).await?;
        room.may(cx, Permission::DeleteConversation).await?;
        delete(cx, &room.conversation).await?;
        Ok(room.conversation.sid)
    }
}

/// Marks a conversation, which the caller has locked, as deleted. The first batch of its participants
/// belongs to the same commit, so that small conversations end in one piece.
pub async fn delete(cx: &mut Cx<'_, '_>, conversation: &Conversation) -> Outcome<()> {
    let conversation = queries::mark_removed(cx.tx, conversation, cx.now).await?;
    purge_participants(cx, &conversation, true).await?;
    jobs::enqueue(cx, conversation.account, PURGE, conversation.sid.as_str(), cx.now).await
}

/// Rows that one step of a purge touches at most.
const PURGE_BATCH: i64 = 100;

/// One step of purging a deleted conversation.
#[derive(Clone, Debug)]
pub struct PurgeConversation {
    /// The owner.
    pub account: AccountNumber,
    /// The conversation.
    pub sid: Sid<ConversationKind>,
}

impl Change for PurgeConversation {
    /// Whether nothing is left.
    type Out = bool;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<bool> {
        let found = queries::find_even_removed(cx.tx, self.account, self.sid, Lock::Row).await?;
        let Some(conversation) = found.filter(|conversation| conversation.removed.is_some()) else { return Ok(true) };
        if purge_participants(cx, &conversation, false).await? > 0 {
            return Ok(false);
        }
        if messages::queries::purge(cx.tx, self.account, self.sid, PURGE_BATCH).await? > 0 {
            return Ok(false);
        }
        participants::queries::purge_roster(cx.tx, self.account, self.sid).await?;
        queries::mark_purged(cx.tx, self.account, self.sid).await?;
        Ok(true)
    }
}

/// Takes a batch of participants out of a deleted conversation: first from the users' own lists, and
/// after the last of them the document is gone, in the order that clients need (Sync facts §7).
async fn purge_participants(cx: &mut Cx<'_, '_>, conversation: &Conversation, first: bool) -> Outcome<usize> {
    let (account, sid) = (conversation.account, conversation.sid);
    // One more than a step takes out tells whether this one is the last.
    let mut batch = participants::queries::list(cx.tx, account, sid, Span::forwards(OLDEST, PURGE_BATCH + 1)).await?;
    let is_last = batch.len() as i64 <= PURGE_BATCH;
    batch.truncate(PURGE_BATCH as usize);
    // Users are locked in the order of their SIDs: two conversations of the same people may go at once.
    batch.sort_unstable_by_key(|participant| participant.user);
    let count = batch.len();
    for participant in batch {
        participants::commands::take_out_of_deleted(cx, participant).await?;
    }
    // A following step finds none and says nothing again.
    if is_last && (first || count > 0) {
        let after = queries::take_position(cx.tx, conversation, 0).await?;
        cx.emit(&ConversationEvent::Removed { after: Box::new(after) });
    }
    Ok(count)
}

/// A conversation as its caller sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The room.
    pub room: Room,
    /// Its roster's counter and count.
    pub roster: Roster,
    /// Messages above the caller's read horizon; `None` before the first horizon.
    pub unread: Option<i64>,
}

/// Finds one conversation.
#[derive(Clone, Debug)]
pub struct GetConversation {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name.
    pub key: String,
}

impl Question for GetConversation {
    type Out = Seen;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Seen> {
        let room = enter(cx, self.service, &self.key, Lock::None).await?;
        room.must_see(cx).await?;
        see(cx, room).await
    }
}

/// Adds the counts to a room.
pub async fn see(cx: &mut Cx<'_, '_>, room: Room) -> Outcome<Seen> {
    let roster = participants::queries::roster(cx.tx, room.conversation.account, room.conversation.sid).await?;
    let unread = match &room.participant {
        Some(participant) => unread(cx, &room.conversation, participant).await?,
        None => None,
    };
    Ok(Seen { room, roster, unread })
}

/// The highest count of unread messages that is told.
pub const UNREAD_MAX: i64 = 1000;
/// How many indexes are looked at for it, from the newest on: a bound on the work however long the history is. The count
/// is exact unless more than ten thousand of these messages were removed.
const UNREAD_LOOKED_AT: i64 = UNREAD_MAX + 10_000;

/// Messages above a participant's read horizon, at most [`UNREAD_MAX`].
pub async fn unread(
    cx: &mut Cx<'_, '_>,
    conversation: &Conversation,
    participant: &Participant,
) -> Outcome<Option<i64>> {
    let Some(horizon) = participant.last_read_index else { return Ok(None) };
    let (account, sid) = (conversation.account, conversation.sid);
    let from = horizon.max(conversation.last_index - UNREAD_LOOKED_AT);
    let removed = messages::queries::removed_above(cx.tx, account, sid, from).await?;
    Ok(Some((conversation.last_index - from - removed).clamp(0, UNREAD_MAX)))
}

/// Lists a service's conversations.
#[derive(Clone, Debug)]
pub struct ListConversations {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// Which of them.
    pub filter: Filter,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListConversations {
    type Out = Vec<Conversation>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Conversation>> {
        let service = services::commands::resolve(cx, self.service).await?;
        let beginning = if self.filter.between.is_some() { NEWEST } else { OLDEST };
        let span = self.page.created_span(beginning)?;
        queries::list(cx.tx, service.account, service.sid, &self.filter, span).await
    }
}
