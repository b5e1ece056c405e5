//! Transactions of participants: joining, adding, changing, reading on, leaving.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation as ConversationKind, Role as RoleKind, Service as ServiceKind, User};

use super::events::ParticipantEvent;
use super::queries;
use super::{Binding, NewParticipant, NotificationLevel, Participant, Patch, Refusal, Roster};
use crate::audit::{Draft, Event, Facts};
use crate::conversations::commands::{Room, enter, is_creator, is_open_to, unread};
use crate::conversations::queries::{Lock, find_even_removed};
use crate::conversations::{self, Conversation};
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Change, Cx, Outcome, PageRequest, Question};
use crate::roles::{self, Permission, Scope};
use crate::{accounts, services, users};

/// Adds a participant, or joins: the same, told apart by whose identity it is.
#[derive(Clone, Debug)]
pub struct AddParticipant {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// Who.
    pub new: NewParticipant,
}

impl Change for AddParticipant {
    type Out = Participant;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Participant> {
        if self.new.identity.is_none() {
            // A pair of addresses is looked for in the whole account: nobody else adds one meanwhile.
            accounts::queries::get_locked(cx.tx, cx.caller.account).await?;
        }
        let room = enter(cx, self.service, &self.conversation, Lock::Row).await?;
        may_add(cx, &room, &self.new).await?;
        room.must_be_open()?;
        self.new.check(cx.limits.attributes_bytes_max)?;
        if let Some(role) = self.new.role {
            roles::commands::get(cx, room.service.sid, role, Scope::Conversation).await?;
        }
        add(cx, &room, &self.new).await
    }
}

async fn may_add(cx: &mut Cx<'_, '_>, room: &Room, new: &NewParticipant) -> Outcome<()> {
    let Some(user) = cx.caller.user() else { return Ok(()) };
    let joins = new.identity.as_ref() == Some(&user.identity);
    // A creator needs no permission before joining. Who is in already is told so, whatever else would be asked.
    let is_in = room.participant.is_some();
    if (joins && is_in) || (!is_in && is_creator(cx, &room.conversation).await?) {
        return Ok(());
    }
    if joins && is_open_to(cx, &room.conversation).await? {
        return Ok(());
    }
    let permission =
        if new.identity.is_some() { Permission::AddParticipant } else { Permission::AddNonChatParticipant };
    room.may(cx, permission).await
}

async fn add(cx: &mut Cx<'_, '_>, room: &Room, new: &NewParticipant) -> Outcome<Participant> {
    let (account, conversation) = (room.conversation.account, room.conversation.sid);
    if new.identity.is_none() {
        must_be_free(cx, account, new.binding.as_ref()).await?;
        if queries::count_non_chat(cx.tx, account, conversation).await? >= cx.limits.non_chat_participants_max {
            return Err(Refusal::TooManyNonChat.into());
        }
    }
    let role = match new.role {
        Some(role) => Some(role),
        None => default_role(cx, room, new).await?,
    };
    let roster = queries::bump_roster(cx.tx, account, conversation, 1).await?;
    if roster.participants_count > cx.limits.participants_max {
        return Err(Refusal::TooMany.into());
    }
    let (user, mine_pos) = match &new.identity {
        None => (None, 0),
        Some(identity) => {
            let (user, position) = take_in(cx, room, identity).await?;
            (Some(user), position)
        }
    };
    let participant = Participant { user, role, ..row(cx, room, new, roster, mine_pos) };
    let added = queries::insert(cx.tx, &participant).await?.ok_or(Refusal::Exists)?;
    cx.emit(&ParticipantEvent::Added { after: Box::new(added.clone()) });
    Ok(added)
}

/// Conversations that are looked at together.
const SOME: i64 = 500;

/// A pair of addresses leads to one open conversation of the account; closing or deleting that one frees
/// the pair.
async fn must_be_free(cx: &mut Cx<'_, '_>, account: AccountNumber, binding: Option<&Binding>) -> Outcome<()> {
    let Some(binding) = binding else { return Ok(()) };
    let mut after = String::new();
    loop {
        let some = queries::with_pair(cx.tx, account, binding, &after, SOME).await?;
        if let Some(other) = conversations::queries::open_among(cx.tx, account, &some).await?.first() {
            return Err(Refusal::BindingTaken(*other).into());
        }
        match some.last() {
            Some(last) if some.len() as i64 == SOME => after = last.to_string(),
            _ => return Ok(()),
        }
    }
}

/// Whether a user is in as many open conversations as a user may be; closed ones do not count.
async fn has_too_many(cx: &mut Cx<'_, '_>, account: AccountNumber, user: Sid<User>) -> Outcome<bool> {
    let (mut after, mut open) = (String::new(), 0);
    loop {
        let some = queries::conversations_of(cx.tx, account, user, &after, SOME).await?;
        open += conversations::queries::open_among(cx.tx, account, &some).await?.len() as i64;
        match some.last() {
            _ if open >= cx.limits.conversations_per_user_max => return Ok(true),
            Some(last) if some.len() as i64 == SOME => after = last.to_string(),
            _ => return Ok(false),
        }
    }
}

/// The user behind an identity, with one conversation more in the own list; gives its position.
async fn take_in(cx: &mut Cx<'_, '_>, room: &Room, identity: &str) -> Outcome<(Sid<User>, i64)> {
    let user = users::commands::ensure(cx, &room.service, identity).await?;
    let (position, count) = users::queries::bump_mine(cx.tx, user.account, user.sid, 1).await?;
    if count > cx.limits.conversations_per_user_max {
        // Somebody who is there already is refused for that, not for the count.
        let (account, sid) = (room.conversation.account, room.conversation.sid);
        if queries::find_by_user(cx.tx, account, user.sid, sid).await?.is_some() {
            return Err(Refusal::Exists.into());
        }
        if has_too_many(cx, account, user.sid).await? {
            return Err(users::Refusal::TooManyConversations.into());
        }
    }
    Ok((user.sid, position))
}

/// Who creates a conversation through the SDK has its creator's role once in, whoever adds them
/// (docs/decisions/0009-creator.md).
async fn default_role(cx: &mut Cx<'_, '_>, room: &Room, new: &NewParticipant) -> Outcome<Option<Sid<RoleKind>>> {
    let Some(identity) = &new.identity else { return Ok(None) };
    let is_creator = *identity == room.conversation.created_by && is_unjoined_creator(cx, room, identity).await?;
    Ok(Some(if is_creator { room.service.conversation_creator_role } else { room.service.conversation_role }))
}

/// Whether this is the identity of the SDK user who created the conversation and has never been in it.
async fn is_unjoined_creator(cx: &mut Cx<'_, '_>, room: &Room, identity: &str) -> Outcome<bool> {
    let Some(creator) = room.conversation.created_by_user else { return Ok(false) };
    let (account, sid) = (room.conversation.account, room.conversation.sid);
    let found = users::queries::find_by_identity(cx.tx, account, room.service.sid, identity).await?;
    // Who is given a deleted user's identity is another user.
    let is_same = found.is_some_and(|user| user.sid == creator);
    Ok(is_same && queries::departure(cx.tx, account, sid, creator).await?.is_none())
}

/// A new row, but for user and role.
fn row(cx: &mut Cx<'_, '_>, room: &Room, new: &NewParticipant, roster: Roster, mine_pos: i64) -> Participant {
    let created = new.created.unwrap_or(cx.now);
    Participant {
        account: room.conversation.account,
        conversation: room.conversation.sid,
        sid: cx.ids.sid(),
        service: room.service.sid,
        identity: new.identity.clone(),
        user: None,
        binding: new.binding.clone(),
        role: None,
        attributes: new.attributes.clone().unwrap_or_else(|| "{}".to_owned()),
        last_read_index: None,
        last_read_at: None,
        notification_level: NotificationLevel::Default,
        created,
        updated: new.updated.unwrap_or(created),
        roster_created_pos: roster.position,
        roster_changed_pos: roster.position,
        mine_created_pos: mine_pos,
        mine_changed_pos: mine_pos,
        removed: None,
    }
}

/// Changes a participant's attributes, role or horizon.
#[derive(Clone, Debug)]
pub struct UpdateParticipant {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// SID or identity.
    pub key: String,
    /// What changes.
    pub patch: Patch,
}

impl Change for UpdateParticipant {
    type Out = Participant;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Participant> {
        if self.patch.has_binding() {
            // A pair of addresses is looked for in the whole account: nobody else takes it meanwhile.
            accounts::queries::get_locked(cx.tx, cx.caller.account).await?;
        }
        let room = enter(cx, self.service, &self.conversation, Lock::None).await?;
        // Asked before it is looked for: a stranger does not learn who takes part.
        let own = room.own(&self.key).cloned();
        if self.patch.attributes.is_some() {
            let (own_attributes, any) =
                (Permission::EditOwnParticipantAttributes, Permission::EditAnyParticipantAttributes);
            room.may_change(cx, own.is_some(), own_attributes, any).await?;
        } else {
            room.must_take_part(cx)?;
        }
        let participant = match own {
            Some(own) => own,
            None => room.get_participant(cx, &self.key).await?,
        };
        // A read horizon is no change of the conversation: it moves in a closed one too.
        if self.patch.has_facts() {
            room.must_be_open()?;
        }
        if let Some(role) = self.patch.role {
            roles::commands::get(cx, room.service.sid, role, Scope::Conversation).await?;
        }
        change(cx, participant, &self.patch).await
    }
}

/// Takes the positions that a patch needs, in the order of locks, and stores the participant.
pub async fn change(cx: &mut Cx<'_, '_>, found: Participant, patch: &Patch) -> Outcome<Participant> {
    patch.check(cx.limits.attributes_bytes_max)?;
    let binding = patch.binding(&found)?;
    if patch.proxy_address.is_some() && binding != found.binding {
        must_be_free(cx, found.account, binding.as_ref()).await?;
    }
    let patch = if cx.caller.counts_repetition() { patch.clone() } else { patch.changing(&found) };
    let (in_roster, in_mine) = patch.touches();
    if !in_roster && !in_mine {
        return Ok(found);
    }
    let (mut roster_pos, mut mine_pos) = (None, None);
    if in_roster {
        roster_pos = Some(queries::bump_roster(cx.tx, found.account, found.conversation, 0).await?.position);
    }
    if let (true, Some(user)) = (in_mine, found.user) {
        mine_pos = Some(users::queries::bump_mine(cx.tx, found.account, user, 0).await?.0);
    }
    // Read once more under the lock: another change may have been committed since it was found.
    let before = queries::lock(cx.tx, &found).await?.ok_or(Refusal::NotFound)?;
    let mut changed = before.clone();
    patch.apply(&mut changed, cx.now);
    // Read again: another change may have moved the binding, too.
    changed.binding = patch.binding(&before)?;
    changed.roster_changed_pos = roster_pos.unwrap_or(before.roster_changed_pos);
    changed.mine_changed_pos = mine_pos.unwrap_or(before.mine_changed_pos);
    let after = queries::update(cx.tx, &changed).await?.ok_or(Refusal::NotFound)?;
    if before.role != after.role {
        let facts = Facts {
            identity: after.identity.clone(),
            target: after.role.map(|role| role.to_string()),
            ..Facts::default()
        };
        cx.audit(Draft::by(cx.caller, Event::ParticipantRoleChanged, facts));
    }
    cx.emit(&ParticipantEvent::Updated { before: Box::new(before), after: Box::new(after.clone()) });
    Ok(after)
}

/// Moves a user's own read horizon or notification level; never waits for a message being written.
#[derive(Clone, Debug)]
pub struct UpdateOwn {
    /// SID of the conversation, or unique name.
    pub conversation: String,
    /// What changes.
    pub patch: Patch,
}

impl Change for UpdateOwn {
    /// The room after the change, and the unread count.
    type Out = (Room, Option<i64>);

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let mut room = enter(cx, None, &self.conversation, Lock::None).await?;
        let Some(own) = room.participant.take() else { return Err(roles::Refusal::NotAParticipant.into()) };
        if self.patch.notification_level.is_some() {
            room.participant = Some(own.clone());
            room.may(cx, Permission::EditNotificationLevel).await?;
        }
        let after = change(cx, own, &self.patch).await?;
        let unread = unread(cx, &room.conversation, &after).await?;
        room.participant = Some(after);
        Ok((room, unread))
    }
}

/// Leaves, or removes somebody.
#[derive(Clone, Debug)]
pub struct RemoveParticipant {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// SID or identity.
    pub key: String,
}

impl Change for RemoveParticipant {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        // The conversation's lock comes first: who is removed cannot be sending at the same time.
        let room = enter(cx, self.service, &self.conversation, Lock::Row).await?;
        let own = room.own(&self.key).cloned();
        let permission = if own.is_some() { Permission::LeaveConversation } else { Permission::RemoveParticipant };
        room.may(cx, permission).await?;
        let leaver = match own {
            Some(own) => own,
            None => room.get_participant(cx, &self.key).await?,
        };
        take_out(cx, leaver).await
    }
}

/// Turns a participant, whose conversation is locked, into a tombstone, and tells the user's own list and the roster.
pub async fn take_out(cx: &mut Cx<'_, '_>, participant: Participant) -> Outcome<()> {
    let roster = queries::bump_roster(cx.tx, participant.account, participant.conversation, -1).await?;
    remove(cx, participant, Some(roster.position)).await
}

/// Turns a participant of a deleted conversation into a tombstone. Its roster is gone for everybody, so
/// the user's own list is all that tells of it.
pub async fn take_out_of_deleted(cx: &mut Cx<'_, '_>, participant: Participant) -> Outcome<()> {
    remove(cx, participant, None).await
}

async fn remove(cx: &mut Cx<'_, '_>, participant: Participant, roster_pos: Option<i64>) -> Outcome<()> {
    let mine_pos = match participant.user {
        Some(user) => users::queries::bump_mine(cx.tx, participant.account, user, -1).await?.0,
        None => 0,
    };
    let in_roster = roster_pos.unwrap_or(participant.roster_changed_pos);
    let has_left = cx.caller.user().is_some_and(|user| Some(user.sid) == participant.user);
    if !queries::remove(cx.tx, &participant, in_roster, mine_pos, has_left, cx.now).await? {
        // Somebody was faster; what was counted above is undone with this command.
        return Err(Refusal::NotFound.into());
    }
    cx.emit(&ParticipantEvent::Removed { before: Box::new(participant), roster_pos, mine_pos });
    Ok(())
}

/// Finds one participant.
#[derive(Clone, Debug)]
pub struct GetParticipant {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// SID or identity.
    pub key: String,
}

impl Question for GetParticipant {
    type Out = Participant;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Participant> {
        let room = enter(cx, self.service, &self.conversation, Lock::None).await?;
        room.must_take_part(cx)?;
        room.get_participant(cx, &self.key).await
    }
}

/// Lists a conversation's participants.
#[derive(Clone, Debug)]
pub struct ListParticipants {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or unique name of the conversation.
    pub conversation: String,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListParticipants {
    /// The conversation, for URLs, and the rows.
    type Out = (Sid<ConversationKind>, Vec<Participant>);

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let room = enter(cx, self.service, &self.conversation, Lock::None).await?;
        room.must_take_part(cx)?;
        let span = self.page.created_span(OLDEST)?;
        let (account, sid) = (room.conversation.account, room.conversation.sid);
        Ok((sid, queries::list(cx.tx, account, sid, span).await?))
    }
}

/// By what the conversations of a participant are asked for.
#[derive(Clone, Debug)]
pub enum Who {
    /// A chat participant's identity.
    Identity(String),
    /// Another messenger's address.
    Address(String),
}

/// Lists the conversations that somebody takes part in; nobody takes part in none.
#[derive(Clone, Debug)]
pub struct ListConversationsOf {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// Whose.
    pub who: Who,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListConversationsOf {
    /// In the order of the conversations' SIDs; conversations that are being deleted are among them, so
    /// that a page can be cut.
    type Out = Vec<(Participant, Conversation)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let service = services::commands::resolve(cx, self.service).await?;
        let account = service.account;
        let rows = match &self.who {
            Who::Address(address) => {
                queries::list_of_address(cx.tx, account, service.sid, address, self.page.pair_span()?).await?
            }
            Who::Identity(identity) => {
                match users::queries::find_by_identity(cx.tx, account, service.sid, identity).await? {
                    Some(user) => queries::list_of_user(cx.tx, account, user.sid, self.page.text_span()?).await?,
                    None => Vec::new(),
                }
            }
        };
        with_conversations(cx, rows).await
    }
}

/// Adds the conversations to participants, deleted ones included.
pub async fn with_conversations(
    cx: &mut Cx<'_, '_>,
    rows: Vec<Participant>,
) -> Outcome<Vec<(Participant, Conversation)>> {
    let mut pairs = Vec::with_capacity(rows.len());
    for row in rows {
        let found = find_even_removed(cx.tx, row.account, row.conversation, Lock::None).await?;
        pairs.extend(found.map(|conversation| (row, conversation)));
    }
    Ok(pairs)
}
