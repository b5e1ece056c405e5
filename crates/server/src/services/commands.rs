//! Transactions of chat services: which one a call means, and creating, configuring, deleting one.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation as ConversationKind, Role as RoleKind, Service as ServiceKind};

use super::{PURGE, Refusal, Service, queries};
use crate::audit::{Draft, Event};
use crate::conversations::queries::Lock;
use crate::jobs;
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Change, Cx, Outcome, PageRequest, Question, text};
use crate::roles::Scope;
use crate::{accounts, conversations, participants, roles, tokens, users};

/// The service a call means: the one it names, else the user's own, else the account's default.
/// A user's call that names another service than the token's finds nothing.
pub async fn resolve(cx: &mut Cx<'_, '_>, named: Option<Sid<ServiceKind>>) -> Outcome<Service> {
    let account = cx.caller.account;
    let own = cx.caller.user().map(|user| user.service);
    let sid = match (named, own) {
        (Some(named), Some(own)) if named != own => return Err(Refusal::NotFound.into()),
        (Some(sid), _) | (None, Some(sid)) => Some(sid),
        (None, None) => accounts::queries::get(cx.tx, account).await?.default_service,
    };
    let Some(sid) = sid else { return Err(Refusal::NotFound.into()) };
    Ok(queries::find(cx.tx, account, sid).await?.ok_or(Refusal::NotFound)?)
}

/// Creates a chat service with the four roles it is born with.
#[derive(Clone, Debug)]
pub struct CreateService {
    /// Its name.
    pub friendly_name: String,
}

impl Change for CreateService {
    type Out = Service;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Service> {
        let (account, sid) = (cx.caller.account, cx.ids.sid());
        insert(cx, account, sid, &self.friendly_name).await
    }
}

/// Inserts a chat service of an account, with the four roles it is born with.
pub async fn insert(
    cx: &mut Cx<'_, '_>,
    account: AccountNumber,
    sid: Sid<ServiceKind>,
    name: &str,
) -> Outcome<Service> {
    text::storable("FriendlyName", name)?;
    match name.chars().count() {
        0 => return Err(Refusal::NameMissing.into()),
        1..=256 => {}
        _ => return Err(Refusal::NameTooLong.into()),
    }
    let roles = roles::commands::insert_defaults(cx, account, sid).await?;
    queries::insert(cx.tx, account, sid, name, roles, cx.now).await
}

/// Finds one chat service.
#[derive(Clone, Copy, Debug)]
pub struct FetchService(pub Sid<ServiceKind>);

impl Question for FetchService {
    type Out = Service;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Service> {
        resolve(cx, Some(self.0)).await
    }
}

/// Lists the account's chat services.
#[derive(Clone, Debug)]
pub struct ListServices(pub PageRequest);

impl Question for ListServices {
    type Out = Vec<Service>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Service>> {
        let span = self.0.created_span(OLDEST)?;
        queries::list(cx.tx, cx.caller.account, span).await
    }
}

/// Changes a chat service's configuration; `None` leaves a thing as it is.
#[derive(Clone, Debug)]
pub struct ConfigureService {
    /// The service.
    pub sid: Sid<ServiceKind>,
    /// A conversation role.
    pub conversation_creator_role: Option<Sid<RoleKind>>,
    /// A conversation role.
    pub conversation_role: Option<Sid<RoleKind>>,
    /// A service role.
    pub service_role: Option<Sid<RoleKind>>,
    /// Whether the service says who is online.
    pub reachability_enabled: Option<bool>,
    /// Whether users with `joinConversation` may join without being added.
    pub has_open_conversations: Option<bool>,
}

impl ConfigureService {
    /// A change of nothing.
    pub fn of(sid: Sid<ServiceKind>) -> Self {
        Self {
            sid,
            conversation_creator_role: None,
            conversation_role: None,
            service_role: None,
            reachability_enabled: None,
            has_open_conversations: None,
        }
    }
}

impl Change for ConfigureService {
    type Out = Service;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Service> {
        let service = resolve(cx, Some(self.sid)).await?;
        // Read once more under the lock: what this change does not name must stay as another one set it.
        let mut service = queries::lock(cx.tx, &service).await?.ok_or(Refusal::NotFound)?;
        for role in [self.conversation_creator_role, self.conversation_role].into_iter().flatten() {
            roles::commands::get(cx, service.sid, role, Scope::Conversation).await?;
        }
        if let Some(role) = self.service_role {
            roles::commands::get(cx, service.sid, role, Scope::Service).await?;
        }
        service.conversation_creator_role = self.conversation_creator_role.unwrap_or(service.conversation_creator_role);
        service.conversation_role = self.conversation_role.unwrap_or(service.conversation_role);
        service.service_role = self.service_role.unwrap_or(service.service_role);
        service.reachability_enabled = self.reachability_enabled.unwrap_or(service.reachability_enabled);
        let was_open = service.has_open_conversations;
        service.has_open_conversations = self.has_open_conversations.unwrap_or(was_open);
        if service.has_open_conversations != was_open {
            // Whoever looks at a conversation without being in it looks again whether that is still allowed.
            cx.emit(&roles::events::RightsChanged { service: service.sid });
            let mut draft = Draft::on(cx.caller, Event::ServiceOpenConversations, service.sid.as_str());
            draft.facts.detail = Some(serde_json::json!({"before": was_open, "after": !was_open}));
            cx.audit(draft);
        }
        Ok(queries::configure(cx.tx, &service, cx.now).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Deletes a chat service: it is gone for everybody at once; what it held is purged in batches.
#[derive(Clone, Copy, Debug)]
pub struct DeleteService(pub Sid<ServiceKind>);

impl Change for DeleteService {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        // The lock keeps the service from becoming the default meanwhile.
        let account = accounts::queries::get_locked(cx.tx, cx.caller.account).await?;
        let service = resolve(cx, Some(self.0)).await?;
        if account.default_service == Some(service.sid) {
            return Err(Refusal::IsDefault.into());
        }
        queries::mark_removed(cx.tx, &service, cx.now).await?;
        jobs::enqueue(cx, service.account, PURGE, service.sid.as_str(), cx.now).await
    }
}

/// Rows that one step of a purge touches at most.
const PURGE_BATCH: i64 = 500;

/// One step of purging a deleted chat service.
#[derive(Clone, Copy, Debug)]
pub struct PurgeService {
    /// The owner.
    pub account: AccountNumber,
    /// The service.
    pub sid: Sid<ServiceKind>,
}

/// What comes after a step of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// This conversation has been deleted; it must be purged before the next step.
    Conversation(Sid<ConversationKind>),
    /// Another step.
    Part,
    /// Nothing is left.
    Whole,
}

impl Change for PurgeService {
    type Out = Purged;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Purged> {
        let (account, service) = (self.account, self.sid);
        // Conversations first and users last: who is taken out of a conversation must still be there. That
        // goes for conversations too that were deleted before the service was.
        let live = conversations::queries::live_of_service(cx.tx, account, service, 1).await?;
        if let Some(sid) = live.first().copied() {
            let found = conversations::queries::find_even_removed(cx.tx, account, sid, Lock::Row).await?;
            if let Some(conversation) = found.filter(|found| found.removed.is_none()) {
                conversations::commands::delete(cx, &conversation).await?;
            }
            return Ok(Purged::Conversation(sid));
        }
        let unpurged = conversations::queries::unpurged_of_service(cx.tx, account, service, 1).await?;
        if let Some(sid) = unpurged.first() {
            return Ok(Purged::Conversation(*sid));
        }
        if participants::queries::purge(cx.tx, account, service, PURGE_BATCH).await? > 0 {
            return Ok(Purged::Part);
        }
        let gone = users::queries::purge(cx.tx, account, service, PURGE_BATCH).await?;
        for (user, after) in &gone {
            cx.emit(&users::events::Deleted { user: *user, after: *after });
        }
        if !gone.is_empty() {
            return Ok(Purged::Part);
        }
        if tokens::queries::purge(cx.tx, account, service, PURGE_BATCH).await? > 0 {
            return Ok(Purged::Part);
        }
        roles::queries::purge(cx.tx, account, service).await?;
        queries::delete(cx.tx, account, service).await?;
        Ok(Purged::Whole)
    }
}
