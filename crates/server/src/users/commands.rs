//! Transactions of users: finding, or bringing into being, the user behind an identity, and changing it.

use tertulia_protocol::sid::{Role as RoleKind, Service as ServiceKind, User as UserKind};
use tertulia_protocol::{Code, Sid, Timestamp};

use super::events::Updated;
use super::queries::{self, NewUser};
use super::{Refusal, User};
use crate::platform::{Change, Cx, Error, Outcome, Question, text};
use crate::roles::commands::may_in_service;
use crate::roles::{self, Permission, Scope};
use crate::services::{self, Service};

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
    if let Some(user) = queries::insert(cx.tx, service.account, &new, cx.now).await? {
        return Ok(user);
    }
    // Another transaction was faster, and has committed since.
    let user = queries::find_by_identity(cx.tx, service.account, service.sid, identity).await?;
    user.ok_or_else(|| Error::Broken("a user that conflicted is not there".to_owned()))
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
        may_edit(cx, &before).await?;
        self.patch.check(cx.limits.attributes_bytes_max)?;
        if let Some(role) = self.patch.role {
            roles::commands::get(cx, service.sid, role, Scope::Service).await?;
        }
        let changed = changed(&before, &self.patch, cx.now);
        let after = queries::update(cx.tx, &changed).await?.ok_or(Refusal::NotFound)?;
        cx.emit(&Updated { before, after: after.clone() });
        Ok(after)
    }
}

async fn may_edit(cx: &mut Cx<'_, '_>, user: &User) -> Outcome<()> {
    let is_own = cx.caller.user().is_some_and(|own| own.sid == user.sid);
    match may_in_service(cx, Permission::EditAnyUserInfo).await {
        Err(_) if is_own => may_in_service(cx, Permission::EditOwnUserInfo).await,
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
