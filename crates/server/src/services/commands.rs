//! Transactions of chat services: which one a call means.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::Service as ServiceKind;

use super::{Refusal, Service, queries};
use crate::accounts;
use crate::platform::{Cx, Outcome};

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
