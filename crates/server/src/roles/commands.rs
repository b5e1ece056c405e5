//! Transactions of roles: where a caller stands, and the roles a service is born with.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Role as RoleKind, Service, User};

use super::events::RightsChanged;
use super::queries::{self, NewRole};
use super::{Permission, Permissions, Refusal, Role, Scope, Standing};
use crate::audit::{Draft, Event};
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Change, Cx, Outcome, PageRequest, Question, text};
use crate::services::queries::DefaultRoles;
use crate::{participants, services, users};

/// A role of this service and scope that is about to be given to somebody, or the refusal for naming another.
pub async fn get(cx: &mut Cx<'_, '_>, service: Sid<Service>, sid: Sid<RoleKind>, scope: Scope) -> Outcome<Role> {
    let role = queries::find_to_give(cx.tx, cx.caller.account, sid).await?;
    let refusal = match scope {
        Scope::Service => Refusal::NoServiceRole,
        Scope::Conversation => Refusal::NoConversationRole,
    };
    Ok(role.filter(|role| role.service == service && role.scope == scope).ok_or(refusal)?)
}

/// Where the caller stands in the service as a whole: by the token's role, else by the user's.
pub async fn standing_in_service(cx: &mut Cx<'_, '_>) -> Outcome<Standing> {
    if cx.caller.user().is_none() {
        return Ok(Standing::Unbound);
    }
    Ok(Standing::Bound { service: service_permissions(cx).await?, conversation: None })
}

/// Refuses unless the caller may do that in a conversation. `participant_role` is the role of the
/// caller's participant there, `None` for who is no participant.
pub async fn may_in_conversation(
    cx: &mut Cx<'_, '_>,
    participant_role: Option<Option<Sid<RoleKind>>>,
    permission: Permission,
) -> Outcome<()> {
    if cx.caller.user().is_none() {
        return Ok(());
    }
    let conversation = match participant_role {
        None => None,
        Some(None) => Some(Permissions::default()),
        Some(Some(role)) => Some(permissions(cx, role).await?),
    };
    // The conversation role nearly always decides, and then the service role need not be read.
    let is_decided = conversation.is_some_and(|role| role.allow(permission));
    let service = if is_decided { Permissions::default() } else { service_permissions(cx).await? };
    Ok(super::may(Standing::Bound { service, conversation }, permission)?)
}

/// Refuses unless the caller may do that to a user: by the service role, or by the role in a conversation
/// in which both are.
pub async fn may_to_user(cx: &mut Cx<'_, '_>, other: Sid<User>, permission: Permission) -> Outcome<()> {
    let Some(user) = cx.caller.user().map(|user| user.sid) else { return Ok(()) };
    let service = service_permissions(cx).await?;
    let mut shared = Permissions::default();
    if !service.allow(permission) {
        for role in participants::queries::roles_beside(cx.tx, cx.caller.account, user, other).await? {
            shared = shared.and(permissions(cx, role).await?);
        }
    }
    Ok(super::may(Standing::Bound { service, conversation: Some(shared) }, permission)?)
}

/// What the caller's service role allows, by the token's role, else by the user's. Who has been deleted may nothing,
/// whatever the token says.
pub async fn service_permissions(cx: &mut Cx<'_, '_>) -> Outcome<Permissions> {
    let Some((sid, of_token)) = cx.caller.user().map(|user| (user.sid, user.role)) else {
        return Ok(Permissions::default());
    };
    let Some(user) = users::queries::find(cx.tx, cx.caller.account, sid).await? else {
        return Ok(Permissions::default());
    };
    permissions(cx, of_token.unwrap_or(user.role)).await
}

/// What a role allows; a role that is gone allows nothing.
async fn permissions(cx: &mut Cx<'_, '_>, role: Sid<RoleKind>) -> Outcome<Permissions> {
    let role = queries::find(cx.tx, cx.caller.account, role).await?;
    Ok(role.map(|role| role.permissions).unwrap_or_default())
}

/// Refuses unless the caller may do that in the service as a whole.
pub async fn may_in_service(cx: &mut Cx<'_, '_>, permission: Permission) -> Outcome<()> {
    let standing = standing_in_service(cx).await?;
    Ok(super::may(standing, permission)?)
}

/// Inserts the four roles that a service is born with; gives those that are its defaults.
pub async fn insert_defaults(
    cx: &mut Cx<'_, '_>,
    account: AccountNumber,
    service: Sid<Service>,
) -> Outcome<DefaultRoles> {
    let mut sids = [cx.ids.sid(), cx.ids.sid(), cx.ids.sid(), cx.ids.sid()];
    // Lists are in the order of creation and, within a moment, of the SID: keep the documented order.
    sids.sort_unstable();
    for (sid, (friendly_name, scope, permissions)) in sids.into_iter().zip(super::defaults()) {
        queries::insert(cx.tx, account, &NewRole { sid, service, friendly_name, scope, permissions }, cx.now).await?;
    }
    Ok(DefaultRoles { service: sids[1], conversation_creator: sids[2], conversation: sids[3] })
}

/// Creates a role.
#[derive(Clone, Debug)]
pub struct CreateRole {
    /// The service named by the call.
    pub service: Option<Sid<Service>>,
    /// Its name.
    pub friendly_name: String,
    /// Where it counts.
    pub scope: Scope,
    /// What it allows.
    pub permissions: Permissions,
}

impl Change for CreateRole {
    type Out = Role;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Role> {
        let service = services::commands::resolve(cx, self.service).await?;
        let new = NewRole {
            sid: cx.ids.sid(),
            service: service.sid,
            friendly_name: &self.friendly_name,
            scope: self.scope,
            permissions: self.permissions,
        };
        insert(cx, service.account, &new).await
    }
}

/// Inserts a role of an account's chat service.
pub async fn insert(cx: &mut Cx<'_, '_>, account: AccountNumber, new: &NewRole<'_>) -> Outcome<Role> {
    text::storable("FriendlyName", new.friendly_name)?;
    if !(1..=64).contains(&new.friendly_name.chars().count()) {
        return Err(Refusal::NameInvalid.into());
    }
    cx.audit_in(account, Draft::on(cx.caller, Event::RoleCreated, new.sid.as_str()));
    queries::insert(cx.tx, account, new, cx.now).await
}

/// Which role a call means.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The service named by the call.
    pub service: Option<Sid<Service>>,
    /// The role.
    pub sid: Sid<RoleKind>,
}

impl Named {
    async fn find(self, cx: &mut Cx<'_, '_>) -> Outcome<(services::Service, Role)> {
        let service = services::commands::resolve(cx, self.service).await?;
        let found = queries::find(cx.tx, service.account, self.sid).await?;
        let role = found.filter(|role| role.service == service.sid).ok_or(Refusal::NotFound)?;
        Ok((service, role))
    }
}

/// Finds one role.
#[derive(Clone, Debug)]
pub struct FetchRole(pub Named);

impl Question for FetchRole {
    type Out = Role;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Role> {
        Ok(self.0.find(cx).await?.1)
    }
}

/// Lists a service's roles.
#[derive(Clone, Debug)]
pub struct ListRoles {
    /// The service named by the call.
    pub service: Option<Sid<Service>>,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListRoles {
    type Out = Vec<Role>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Role>> {
        let service = services::commands::resolve(cx, self.service).await?;
        let span = self.page.created_span(OLDEST)?;
        queries::list(cx.tx, service.account, service.sid, span).await
    }
}

/// Replaces what a role allows; its name and scope stay as they are.
#[derive(Clone, Debug)]
pub struct UpdateRole {
    /// Which.
    pub named: Named,
    /// Names of all permissions it is to have.
    pub permissions: Vec<String>,
}

impl Change for UpdateRole {
    type Out = Role;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Role> {
        let (_, role) = self.named.find(cx).await?;
        let permissions = Permissions::named(&self.permissions, role.scope)?;
        cx.audit(Draft::on(cx.caller, Event::RoleUpdated, role.sid.as_str()));
        let updated = queries::set_permissions(cx.tx, &role, permissions, cx.now).await?.ok_or(Refusal::NotFound)?;
        cx.emit(&RightsChanged { service: role.service });
        Ok(updated)
    }
}

/// Deletes a role that is no default of its service and that nobody holds.
#[derive(Clone, Debug)]
pub struct DeleteRole(pub Named);

impl Change for DeleteRole {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let (service, role) = self.0.find(cx).await?;
        // The service first: nobody makes the role a default, and nobody is given it, after the look.
        let service = services::queries::lock(cx.tx, &service).await?.ok_or(Refusal::NotFound)?;
        let role = queries::lock(cx.tx, &role).await?.ok_or(Refusal::NotFound)?;
        let defaults = [service.conversation_creator_role, service.conversation_role, service.service_role];
        let in_use = defaults.contains(&role.sid)
            || users::queries::any_holds_role(cx.tx, role.account, role.service, role.sid).await?
            || participants::queries::any_holds_role(cx.tx, role.account, role.service, role.sid).await?;
        if in_use {
            return Err(Refusal::InUse.into());
        }
        cx.audit(Draft::on(cx.caller, Event::RoleDeleted, role.sid.as_str()));
        queries::delete(cx.tx, &role).await?;
        // Nobody holds it, and a token may still name it.
        cx.emit(&RightsChanged { service: role.service });
        Ok(())
    }
}
