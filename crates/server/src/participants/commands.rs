//! Transactions of participants: joining, adding, changing, reading on, leaving.

use tertulia_protocol::sid::{Conversation as ConversationKind, Role as RoleKind, Service as ServiceKind, User};
use tertulia_protocol::{Sid, Timestamp};

use super::events::ParticipantEvent;
use super::queries::{self, Roster};
use super::{Binding, NotificationLevel, Participant, Refusal};
use crate::conversations::commands::{Room, enter, unread};
use crate::conversations::queries::{Lock, find_even_removed};
use crate::conversations::{Conversation, State};
use crate::platform::page::OLDEST;
use crate::platform::{Change, Cx, Outcome, PageRequest, Question, text};
use crate::roles::commands::may_in_service;
use crate::roles::{self, Permission, Scope};
use crate::{services, users};

/// What an add says about the new participant.
#[derive(Clone, Debug, Default)]
pub struct NewParticipant {
    /// A chat participant's identity.
    pub identity: Option<String>,
    /// Another messenger's addresses.
    pub binding: Option<Binding>,
    /// JSON text.
    pub attributes: Option<String>,
    /// A conversation role; the service's default otherwise.
    pub role: Option<Sid<RoleKind>>,
    /// An importer's own date.
    pub created: Option<Timestamp>,
    /// An importer's own date.
    pub updated: Option<Timestamp>,
}

impl NewParticipant {
    fn check(&self, attributes_max: usize) -> Outcome<()> {
        if let Some(attributes) = &self.attributes {
            text::attributes(attributes, attributes_max)?;
        }
        match (&self.identity, &self.binding) {
            (None, None) => Err(Refusal::NobodyNamed.into()),
            (Some(identity), None) => text::identity(identity),
            (Some(_), Some(binding)) if binding.address.is_some() => Err(Refusal::IdentityWithAddress.into()),
            (Some(identity), Some(_)) => text::identity(identity),
            (None, Some(binding)) => check_binding(binding),
        }
    }
}

fn check_binding(binding: &Binding) -> Outcome<()> {
    let address = binding.address.as_deref().ok_or(Refusal::AddressMissing)?;
    let proxy = binding.proxy_address.as_deref().ok_or(Refusal::ProxyAddressMissing)?;
    text::at_most("MessagingBinding.Address", address, 256, tertulia_protocol::Code::AddressInvalid)?;
    text::at_most("MessagingBinding.ProxyAddress", proxy, 256, tertulia_protocol::Code::ProxyAddressInvalid)?;
    if address == proxy {
        return Err(Refusal::AddressesEqual.into());
    }
    if Binding::kind_of(address) != Binding::kind_of(proxy) {
        return Err(Refusal::BindingTypesDiffer.into());
    }
    Ok(())
}

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
    if new.identity.is_none() {
        return room.may(cx, Permission::AddNonChatParticipant).await;
    }
    let joins = new.identity.as_ref() == Some(&user.identity);
    if !joins {
        return room.may(cx, Permission::AddParticipant).await;
    }
    if room.conversation.created_by == user.identity {
        return Ok(());
    }
    may_in_service(cx, Permission::JoinConversation).await
}

async fn add(cx: &mut Cx<'_, '_>, room: &Room, new: &NewParticipant) -> Outcome<Participant> {
    let (account, conversation) = (room.conversation.account, room.conversation.sid);
    if let Some(binding) = &new.binding {
        must_be_free(cx, room, binding).await?;
    }
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
    let participant = row(cx, room, new, user, roster, mine_pos);
    let added = queries::insert(cx.tx, &participant).await?.ok_or(Refusal::Exists)?;
    cx.emit(&ParticipantEvent::Added { after: Box::new(added.clone()) });
    Ok(added)
}

/// A pair of addresses leads to one open conversation; closing or deleting that one frees the pair.
async fn must_be_free(cx: &mut Cx<'_, '_>, room: &Room, binding: &Binding) -> Outcome<()> {
    let account = room.conversation.account;
    // The newest is enough: it was let in only because no older one was open, and closed is final.
    let newest = queries::binding_in_use(cx.tx, account, room.service.sid, binding).await?;
    let Some(other) = newest else { return Ok(()) };
    let other = find_even_removed(cx.tx, account, other, Lock::None).await?;
    match other.filter(|other| other.state != State::Closed && other.removed.is_none()) {
        Some(other) => Err(Refusal::BindingTaken(other.sid).into()),
        None => Ok(()),
    }
}

/// The user behind an identity, with one conversation more in the own list; gives its position.
async fn take_in(cx: &mut Cx<'_, '_>, room: &Room, identity: &str) -> Outcome<(Sid<User>, i64)> {
    let user = users::commands::ensure(cx, &room.service, identity).await?;
    let (position, count) = users::queries::bump_mine(cx.tx, user.account, user.sid, 1).await?;
    if count > cx.limits.conversations_per_user_max {
        // Somebody who is there already is refused for that, not for the count.
        let (account, sid) = (room.conversation.account, room.conversation.sid);
        let there = queries::find_by_user(cx.tx, account, user.sid, sid).await?;
        return Err(there.map_or(users::Refusal::TooManyConversations.into(), |_| Refusal::Exists.into()));
    }
    Ok((user.sid, position))
}

fn row(
    cx: &mut Cx<'_, '_>,
    room: &Room,
    new: &NewParticipant,
    user: Option<Sid<User>>,
    roster: Roster,
    mine_pos: i64,
) -> Participant {
    // Who creates a conversation through the SDK has its creator's role once joined (decision 24).
    let is_creator = cx.caller.user().is_some_and(|caller| {
        new.identity.as_ref() == Some(&caller.identity) && room.conversation.created_by == caller.identity
    });
    let default = match (&new.identity, is_creator) {
        (None, _) => None,
        (Some(_), true) => Some(room.service.conversation_creator_role),
        (Some(_), false) => Some(room.service.conversation_role),
    };
    let created = new.created.unwrap_or(cx.now);
    Participant {
        account: room.conversation.account,
        conversation: room.conversation.sid,
        sid: cx.ids.sid(),
        service: room.service.sid,
        identity: new.identity.clone(),
        user,
        binding: new.binding.clone(),
        role: new.role.or(default),
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

/// What an update says about a participant; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// JSON text.
    pub attributes: Option<String>,
    /// Another conversation role.
    pub role: Option<Sid<RoleKind>>,
    /// The read horizon; `Some(None)` takes it away.
    pub last_read_index: Option<Option<i64>>,
    /// When it was read; now, unless given.
    pub last_read_at: Option<Timestamp>,
    /// Whether the user wants to be notified.
    pub notification_level: Option<NotificationLevel>,
    /// An importer's own date.
    pub created: Option<Timestamp>,
    /// An importer's own date.
    pub updated: Option<Timestamp>,
}

impl Patch {
    fn check(&self, attributes_max: usize) -> Outcome<()> {
        if let Some(attributes) = &self.attributes {
            text::attributes(attributes, attributes_max)?;
        }
        if self.last_read_index.flatten().is_some_and(|index| index < 0) {
            return Err(Refusal::LastReadIndexInvalid.into());
        }
        Ok(())
    }

    /// The roster shows everything but the notification level; the own list shows horizon and level.
    const fn touches(&self) -> (bool, bool) {
        let horizon = self.last_read_index.is_some() || self.last_read_at.is_some();
        let facts =
            self.attributes.is_some() || self.role.is_some() || self.created.is_some() || self.updated.is_some();
        (horizon || facts, horizon || self.notification_level.is_some())
    }

    fn apply(&self, participant: &mut Participant, now: Timestamp) {
        if let Some(attributes) = &self.attributes {
            participant.attributes.clone_from(attributes);
        }
        participant.role = self.role.or(participant.role);
        if let Some(index) = self.last_read_index {
            participant.last_read_index = index;
            participant.last_read_at = index.and(Some(now));
        }
        participant.last_read_at = self.last_read_at.or(participant.last_read_at);
        participant.notification_level = self.notification_level.unwrap_or(participant.notification_level);
        participant.created = self.created.unwrap_or(participant.created);
        // A horizon says where somebody reads, not what somebody is: it is no change of the participant.
        if self.attributes.is_some() || self.role.is_some() || self.updated.is_some() {
            participant.updated = self.updated.unwrap_or(now);
        }
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
        let room = enter(cx, self.service, &self.conversation, Lock::None).await?;
        let participant = room.get_participant(cx, &self.key).await?;
        if self.patch.attributes.is_some() {
            let is_own = room.participant.as_ref().is_some_and(|own| own.sid == participant.sid);
            let (own, any) = (Permission::EditOwnParticipantAttributes, Permission::EditAnyParticipantAttributes);
            room.may_change(cx, is_own, own, any).await?;
        }
        room.must_take_part(cx)?;
        room.must_be_open()?;
        if let Some(role) = self.patch.role {
            roles::commands::get(cx, room.service.sid, role, Scope::Conversation).await?;
        }
        change(cx, participant, &self.patch).await
    }
}

/// Takes the positions that a patch needs, in the order of locks, and stores the participant.
pub async fn change(cx: &mut Cx<'_, '_>, found: Participant, patch: &Patch) -> Outcome<Participant> {
    patch.check(cx.limits.attributes_bytes_max)?;
    let (in_roster, in_mine) = patch.touches();
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
    changed.roster_changed_pos = roster_pos.unwrap_or(before.roster_changed_pos);
    changed.mine_changed_pos = mine_pos.unwrap_or(before.mine_changed_pos);
    let after = queries::update(cx.tx, &changed).await?.ok_or(Refusal::NotFound)?;
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
        let leaver = room.get_participant(cx, &self.key).await?;
        let leaves = room.participant.as_ref().is_some_and(|own| own.sid == leaver.sid);
        let permission = if leaves { Permission::LeaveConversation } else { Permission::RemoveParticipant };
        room.may(cx, permission).await?;
        take_out(cx, leaver).await
    }
}

/// Turns a participant into a tombstone, and tells the user's own list and the roster.
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
    queries::remove(cx.tx, &participant, in_roster, mine_pos, cx.now).await?;
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
        let (account, span) = (service.account, self.page.text_span()?);
        let rows = match &self.who {
            Who::Address(address) => queries::list_of_address(cx.tx, account, service.sid, address, span).await?,
            Who::Identity(identity) => {
                match users::queries::find_by_identity(cx.tx, account, service.sid, identity).await? {
                    Some(user) => queries::list_of_user(cx.tx, account, user.sid, span).await?,
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
