//! Transactions of roles: where a caller stands, and the roles a service is born with.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Role as RoleKind, Service};

use super::queries::{self, NewRole};
use super::{Permission, Permissions, Refusal, Role, Scope, Standing};
use crate::platform::{AccountNumber, Cx, Outcome};
use crate::services::queries::DefaultRoles;
use crate::users;

/// A role of this service and scope, or the refusal for naming another.
pub async fn get(cx: &mut Cx<'_, '_>, service: Sid<Service>, sid: Sid<RoleKind>, scope: Scope) -> Outcome<Role> {
    let role = queries::find(cx.tx, cx.caller.account, sid).await?;
    let refusal = match scope {
        Scope::Service => Refusal::NoServiceRole,
        Scope::Conversation => Refusal::NoConversationRole,
    };
    Ok(role.filter(|role| role.service == service && role.scope == scope).ok_or(refusal)?)
}

/// Where the caller stands in the service as a whole: by the token's role, else by the user's.
pub async fn standing_in_service(cx: &mut Cx<'_, '_>) -> Outcome<Standing> {
    let Some(user) = cx.caller.user() else { return Ok(Standing::Unbound) };
    Ok(Standing::Bound { service: service_permissions(cx, user.role).await?, conversation: None })
}

/// Refuses unless the caller may do that in a conversation. `participant_role` is the role of the
/// caller's participant there, `None` for who is no participant.
pub async fn may_in_conversation(
    cx: &mut Cx<'_, '_>,
    participant_role: Option<Option<Sid<RoleKind>>>,
    permission: Permission,
) -> Outcome<()> {
    let Some(user) = cx.caller.user() else { return Ok(()) };
    let conversation = match participant_role {
        None => None,
        Some(None) => Some(Permissions::default()),
        Some(Some(role)) => Some(permissions(cx, role).await?),
    };
    // The conversation role nearly always decides, and then the service role need not be read.
    let by_conversation = Standing::Bound { service: Permissions::default(), conversation };
    if super::may(by_conversation, permission).is_ok() {
        return Ok(());
    }
    let service = service_permissions(cx, user.role).await?;
    Ok(super::may(Standing::Bound { service, conversation }, permission)?)
}

async fn service_permissions(cx: &mut Cx<'_, '_>, of_token: Option<Sid<RoleKind>>) -> Outcome<Permissions> {
    let Some(user) = cx.caller.user() else { return Ok(Permissions::default()) };
    let role = match of_token {
        Some(role) => Some(role),
        None => users::queries::find(cx.tx, cx.caller.account, user.sid).await?.map(|user| user.role),
    };
    match role {
        Some(role) => permissions(cx, role).await,
        None => Ok(Permissions::default()),
    }
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
