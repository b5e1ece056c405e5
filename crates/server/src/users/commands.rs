//! Transactions of users: finding, or bringing into being, the user behind an identity, and changing it.

use tertulia_protocol::sid::{
    Conversation as ConversationKind, Role as RoleKind, Service as ServiceKind, User as UserKind,
};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_store::Failure;

use super::events::{Deleted, Updated};
use super::queries::{self, NewUser};
use super::{Refusal, User};
use crate::audit::{Draft, Event, Facts};
use crate::conversations::Conversation;
use crate::conversations::commands::{PurgeConversation, enter, unread};
use crate::conversations::queries::{Lock, find_even_removed};
use crate::participants::commands::{take_out, with_conversations};
use crate::participants::{self, Participant};
use crate::platform::page::OLDEST;
use crate::platform::{Change, Cx, Error, Outcome, PageRequest, Question, text};
use crate::roles::commands::may_to_user;
use crate::roles::{self, Permission, Scope};
use crate::services::{self, Service};

/// How often a user may be created and deleted by others while somebody waits for it.
const ENSURE_TRIES: usize = 5;

/// The user with this identity, brought into being with the default role when there is none.
pub async fn ensure(cx: &mut Cx<'_, '_>, service: &Service, identity: &str) -> Outcome<User> {
    if let Some(user) = queries::find_by_identity(cx.tx, service.account, service.sid, identity).await? {
        return Ok(user);
    }
    text::identity(identity)?;
    let new = NewUser {
        sid: cx.ids.sid(),
        service: service.sid,
        identity,
        friendly_name: None,
        attributes: "{}",
        role: service.service_role,
    };
    for _ in 0..ENSURE_TRIES {
        if let Some(user) = queries::insert(cx.tx, service.account, &new, cx.now).await? {
            return Ok(user);
        }
        // Another transaction was faster and has committed since. Its user may have been deleted after that.
        if let Some(user) = queries::find_by_identity(cx.tx, service.account, service.sid, identity).await? {
            return Ok(user);
        }
    }
    Err(Failure::Busy.into())
}

/// The user with this SID or identity in the service.
pub async fn get(cx: &mut Cx<'_, '_>, service: &Service, key: &str) -> Outcome<User> {
    let user = match Sid::<UserKind>::parse(key) {
        Ok(sid) => queries::find(cx.tx, service.account, sid).await?.filter(|user| user.service == service.sid),
        Err(_) => queries::find_by_identity(cx.tx, service.account, service.sid, key).await?,
    };
    Ok(user.ok_or(Refusal::NotFound)?)
}

/// Finds one user.
#[derive(Clone, Debug)]
pub struct FetchUser {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or identity.
    pub key: String,
}

impl Question for FetchUser {
    type Out = User;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<User> {
        let service = services::commands::resolve(cx, self.service).await?;
        get(cx, &service, &self.key).await
    }
}

/// A user, and whether its service says who is online.
pub type Seen = (User, bool);

/// Finds one user, as REST shows it.
#[derive(Clone, Debug)]
pub struct SeeUser {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or identity.
    pub key: String,
}

impl Question for SeeUser {
    type Out = Seen;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Seen> {
        let service = services::commands::resolve(cx, self.service).await?;
        Ok((get(cx, &service, &self.key).await?, service.reachability_enabled))
    }
}

/// Lists a service's users.
#[derive(Clone, Debug)]
pub struct ListUsers {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListUsers {
    type Out = Vec<User>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<User>> {
        let service = services::commands::resolve(cx, self.service).await?;
        let span = self.page.created_span(OLDEST)?;
        queries::list(cx.tx, service.account, service.sid, span).await
    }
}

/// Creates a user before anybody connects with the identity.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// The app's own name for the user.
    pub identity: String,
    /// Its facts.
    pub patch: Patch,
}

impl Change for CreateUser {
    type Out = User;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<User> {
        let service = services::commands::resolve(cx, self.service).await?;
        text::identity(&self.identity)?;
        self.patch.check(cx.limits.attributes_bytes_max)?;
        if let Some(role) = self.patch.role {
            roles::commands::get(cx, service.sid, role, Scope::Service).await?;
        }
        let new = NewUser {
            sid: cx.ids.sid(),
            service: service.sid,
            identity: &self.identity,
            friendly_name: self.patch.friendly_name.as_ref().and_then(Option::as_deref),
            attributes: self.patch.attributes.as_deref().unwrap_or("{}"),
            role: self.patch.role.unwrap_or(service.service_role),
        };
        Ok(queries::insert(cx.tx, service.account, &new, cx.now).await?.ok_or(Refusal::Exists)?)
    }
}

/// One step of deleting a user: takes it out of one conversation, and in the last step removes it.
/// Whoever stops half-way has a user with fewer conversations, and deletes it again.
#[derive(Clone, Debug)]
pub struct DeleteUser {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or identity.
    pub key: String,
}

impl Change for DeleteUser {
    /// Whether the user is gone.
    type Out = bool;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<bool> {
        let service = services::commands::resolve(cx, self.service).await?;
        let user = get(cx, &service, &self.key).await?;
        if let Some(sid) = first_conversation(cx, &user).await? {
            leave(cx, &user, sid).await?;
            return Ok(false);
        }
        // Under the lock nobody adds the user to another conversation any more.
        let user = queries::lock(cx.tx, &user).await?.ok_or(Refusal::NotFound)?;
        if first_conversation(cx, &user).await?.is_some() {
            return Ok(false);
        }
        let (position, _) = queries::bump_mine(cx.tx, user.account, user.sid, 0).await?;
        queries::remove(cx.tx, &user, cx.now).await?;
        cx.emit(&Deleted { user: user.sid, after: position - 1 });
        Ok(true)
    }
}

async fn first_conversation(cx: &mut Cx<'_, '_>, user: &User) -> Outcome<Option<Sid<ConversationKind>>> {
    let found = participants::queries::conversations_of(cx.tx, user.account, user.sid, "", 1).await?;
    Ok(found.first().copied())
}

/// Takes a user out of a conversation, under the conversation's lock like everybody who does that.
async fn leave(cx: &mut Cx<'_, '_>, user: &User, sid: Sid<ConversationKind>) -> Outcome<()> {
    let account = user.account;
    let conversation = find_even_removed(cx.tx, account, sid, Lock::Row).await?;
    if conversation.is_some_and(|conversation| conversation.removed.is_some()) {
        // Its purge takes everybody out, and tells of it in its own order.
        PurgeConversation { account, sid }.apply(cx).await?;
        return Ok(());
    }
    match participants::queries::find_by_user(cx.tx, account, user.sid, sid).await? {
        Some(participant) => take_out(cx, participant).await,
        None => Ok(()),
    }
}

/// A user and one of its conversations.
#[derive(Clone, Debug)]
pub struct OwnPlace {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or identity of the user.
    pub user: String,
    /// SID or unique name of the conversation.
    pub conversation: String,
}

/// A user's participant in a conversation.
#[derive(Clone, Debug)]
pub struct Own {
    /// The user.
    pub user: Sid<UserKind>,
    /// The participant.
    pub participant: Participant,
    /// The conversation.
    pub conversation: Conversation,
    /// Messages above the read horizon.
    pub unread: Option<i64>,
}

async fn own(
    cx: &mut Cx<'_, '_>,
    user: Sid<UserKind>,
    (participant, conversation): (Participant, Conversation),
) -> Outcome<Own> {
    let unread = unread(cx, &conversation, &participant).await?;
    Ok(Own { user, participant, conversation, unread })
}

impl OwnPlace {
    async fn find(&self, cx: &mut Cx<'_, '_>, lock: Lock) -> Outcome<(Sid<UserKind>, Participant, Conversation)> {
        let room = enter(cx, self.service, &self.conversation, lock).await?;
        let user = get(cx, &room.service, &self.user).await?;
        let (account, sid) = (user.account, room.conversation.sid);
        let found = participants::queries::find_by_user(cx.tx, account, user.sid, sid).await?;
        Ok((user.sid, found.ok_or(participants::Refusal::NotFound)?, room.conversation))
    }
}

/// Finds a user's conversation.
#[derive(Clone, Debug)]
pub struct FetchOwn(pub OwnPlace);

impl Question for FetchOwn {
    type Out = Own;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Own> {
        let (user, participant, conversation) = self.0.find(cx, Lock::None).await?;
        own(cx, user, (participant, conversation)).await
    }
}

/// Lists a user's conversations.
#[derive(Clone, Debug)]
pub struct ListOwn {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or identity of the user.
    pub user: String,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListOwn {
    /// The user, for URLs, and the rows; conversations that are being deleted are among them, so that a
    /// page can be cut.
    type Out = (Sid<UserKind>, Vec<Own>);

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let service = services::commands::resolve(cx, self.service).await?;
        let user = get(cx, &service, &self.user).await?;
        let rows = participants::queries::list_of_user(cx.tx, user.account, user.sid, self.page.text_span()?).await?;
        let mut owns = Vec::with_capacity(rows.len());
        for pair in with_conversations(cx, rows).await? {
            owns.push(own(cx, user.sid, pair).await?);
        }
        Ok((user.sid, owns))
    }
}

/// Moves a user's read horizon or notification level.
#[derive(Clone, Debug)]
pub struct ChangeOwn {
    /// Which.
    pub place: OwnPlace,
    /// What changes.
    pub patch: participants::Patch,
}

impl Change for ChangeOwn {
    type Out = Own;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Own> {
        let (user, participant, conversation) = self.place.find(cx, Lock::None).await?;
        let after = participants::commands::change(cx, participant, &self.patch).await?;
        own(cx, user, (after, conversation)).await
    }
}

/// Makes a user leave a conversation.
#[derive(Clone, Debug)]
pub struct LeaveOwn(pub OwnPlace);

impl Change for LeaveOwn {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let (_, participant, _) = self.0.find(cx, Lock::Row).await?;
        take_out(cx, participant).await
    }
}

/// What an update says about a user; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// `Some(None)` takes the name away.
    pub friendly_name: Option<Option<String>>,
    /// JSON text.
    pub attributes: Option<String>,
    /// Another service role (REST only).
    pub role: Option<Sid<RoleKind>>,
}

impl Patch {
    /// The patch without what is so already: name and attributes as they are stored.
    #[must_use]
    fn changing(&self, user: &User) -> Self {
        let Self { friendly_name, attributes, .. } = self.clone();
        Self {
            friendly_name: friendly_name.filter(|name| *name != user.friendly_name),
            attributes: attributes.filter(|attributes| *attributes != user.attributes),
            ..self.clone()
        }
    }

    /// Whether it says nothing; then nothing changes, and nobody is told.
    pub const fn is_empty(&self) -> bool {
        self.friendly_name.is_none() && self.attributes.is_none() && self.role.is_none()
    }

    /// Holds the patch against the limits.
    pub fn check(&self, attributes_max: usize) -> Outcome<()> {
        if let Some(Some(name)) = &self.friendly_name {
            text::at_most("FriendlyName", name, 256, Code::FriendlyNameTooLong)?;
        }
        match &self.attributes {
            Some(attributes) => text::attributes(attributes, attributes_max),
            None => Ok(()),
        }
    }
}

/// Changes a user's name, attributes or role.
#[derive(Clone, Debug)]
pub struct UpdateUser {
    /// The service named by the call.
    pub service: Option<Sid<ServiceKind>>,
    /// SID or identity.
    pub key: String,
    /// What changes.
    pub patch: Patch,
}

impl Change for UpdateUser {
    type Out = User;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<User> {
        let service = services::commands::resolve(cx, self.service).await?;
        let before = get(cx, &service, &self.key).await?;
        if self.patch.is_empty() {
            return Ok(before);
        }
        may_edit(cx, &before).await?;
        self.patch.check(cx.limits.attributes_bytes_max)?;
        if let Some(role) = self.patch.role {
            roles::commands::get(cx, service.sid, role, Scope::Service).await?;
        }
        // Read once more under the lock: another change may have been committed since it was found.
        let before = queries::lock(cx.tx, &before).await?.ok_or(Refusal::NotFound)?;
        let patch = if cx.caller.counts_repetition() { self.patch.clone() } else { self.patch.changing(&before) };
        if patch.is_empty() {
            return Ok(before);
        }
        let changed = changed(&before, &patch, cx.now);
        if changed.role != before.role {
            // Whoever reads by the former role is told in the order of the user's own list.
            queries::bump_mine(cx.tx, before.account, before.sid, 0).await?;
        }
        let after = queries::update(cx.tx, &changed).await?.ok_or(Refusal::NotFound)?;
        if before.role != after.role {
            let facts = Facts {
                identity: Some(after.identity.clone()),
                service: Some(after.service),
                target: Some(after.role.to_string()),
                ..Facts::default()
            };
            cx.audit(Draft::by(cx.caller, Event::UserRoleChanged, facts));
        }
        cx.emit(&Updated { before, after: after.clone() });
        Ok(after)
    }
}

async fn may_edit(cx: &mut Cx<'_, '_>, user: &User) -> Outcome<()> {
    let is_own = cx.caller.user().is_some_and(|own| own.sid == user.sid);
    match may_to_user(cx, user.sid, Permission::EditAnyUserInfo).await {
        Err(Error::Refused(_)) if is_own => may_to_user(cx, user.sid, Permission::EditOwnUserInfo).await,
        outcome => outcome,
    }
}

/// Each item of the info map that changes takes a position of its own.
fn changed(before: &User, patch: &Patch, now: Timestamp) -> User {
    let mut user = before.clone();
    if let Some(name) = &patch.friendly_name {
        user.friendly_name.clone_from(name);
        user.info_position += 1;
        user.friendly_name_pos = user.info_position;
    }
    if let Some(attributes) = &patch.attributes {
        user.attributes.clone_from(attributes);
        user.info_position += 1;
        user.attributes_pos = user.info_position;
    }
    user.role = patch.role.unwrap_or(user.role);
    user.updated = now;
    user
}
