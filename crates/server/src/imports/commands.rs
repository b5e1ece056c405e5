//! The transaction of an import.

use serde::Serialize;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account as AccountKind, Service as ServiceKind};
use tertulia_store::seal::KeyRing;

use super::{NewAccount, NewKey, NewRole, NewService, Refusal, World};
use crate::accounts::commands::CreateAccount;
use crate::accounts::{self, Account, Status};
use crate::keys::commands::CreateKey;
use crate::keys::{self, Kind, Policy, may_manage};
use crate::platform::{Change, Cx, Outcome};
use crate::roles::{self, Permissions};
use crate::services::{self, Service};

/// Brings a world in, all of it or nothing. What is there already stays as it is, so that it can be done again.
#[derive(Clone)]
pub struct Import {
    /// What is to be there.
    pub world: World,
    /// What seals secrets.
    pub ring: KeyRing,
}

/// How much an import made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Accounts that were not there.
    pub accounts: usize,
    /// API keys that were not there.
    pub keys: usize,
    /// Chat services that were not there.
    pub services: usize,
    /// Roles that were not there.
    pub roles: usize,
}

impl Change for Import {
    type Out = Imported;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Imported> {
        may_manage(&cx.caller.who)?;
        // Two imports of one world at once would both find nothing and then make everything.
        accounts::queries::lock_installation(cx.tx).await?;
        let mut made = Imported::default();
        for new in &self.world.accounts {
            if self.account(cx, new).await? {
                made.accounts += 1;
                // With its default service, if the world has one for it.
                made.services += usize::from(self.default_service(new.sid).is_some());
            }
        }
        for new in &self.world.services {
            made.services += usize::from(service(cx, new).await?);
        }
        for new in &self.world.keys {
            made.keys += usize::from(self.key(cx, new).await?);
        }
        for new in &self.world.roles {
            made.roles += usize::from(self.role(cx, new).await?);
        }
        Ok(made)
    }
}

impl Import {
    /// What becomes the default service of an account that is new.
    fn default_service(&self, account: Sid<AccountKind>) -> Option<&NewService> {
        self.world.services.iter().find(|service| service.account_sid == account)
    }

    async fn account(&self, cx: &mut Cx<'_, '_>, new: &NewAccount) -> Outcome<bool> {
        let is_token = |token: &str| token.len() == 32 && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let auth_token = match &new.auth_token {
            Some(token) if !is_token(token) => return Err(Refusal::AuthToken(new.sid).into()),
            Some(token) => token.clone(),
            None => cx.ids.hex(16),
        };
        let status = new.status.as_deref().map(Status::read).transpose()?;
        if accounts::queries::find(cx.tx, new.sid).await?.is_some() {
            return Ok(false);
        }
        let service = self.default_service(new.sid);
        if let Some(service) = service
            && services::queries::is_anywhere(cx.tx, service.sid).await?
        {
            return Err(Refusal::Taken(service.sid.to_string()).into());
        }
        let create = CreateAccount {
            sid: Some(new.sid),
            service: service.map(|service| service.sid),
            parent: None,
            friendly_name: new.friendly_name.clone(),
            auth_token,
            ring: self.ring.clone(),
        };
        let mut account = create.apply(cx).await?;
        if let Some(status) = status {
            account.status = status;
            accounts::queries::update(cx.tx, &account, cx.now).await?;
        }
        Ok(true)
    }

    async fn key(&self, cx: &mut Cx<'_, '_>, new: &NewKey) -> Outcome<bool> {
        let kind = match &new.kind {
            None => Kind::Standard,
            Some(word) => Kind::parse(word).ok_or(Refusal::Kind(new.sid))?,
        };
        if kind != Kind::Restricted && !new.allow.is_empty() {
            return Err(Refusal::Kind(new.sid).into());
        }
        if !(16..=128).contains(&new.secret.chars().count()) {
            return Err(Refusal::Secret(new.sid).into());
        }
        let account = account_of(cx, &new.sid.to_string(), new.account_sid).await?;
        if let Some((key, _)) = keys::queries::find_anywhere(cx.tx, new.sid).await? {
            let is_own = key.account == account.number;
            return if is_own { Ok(false) } else { Err(Refusal::Taken(new.sid.to_string()).into()) };
        }
        let policy = (kind == Kind::Restricted).then(|| Policy { allow: new.allow.clone().into() });
        let create = CreateKey {
            sid: Some(new.sid),
            secret: Some(new.secret.clone()),
            kind,
            friendly_name: new.friendly_name.clone(),
            policy,
            ring: self.ring.clone(),
        };
        keys::commands::create(cx, account.number, &create).await?;
        Ok(true)
    }

    async fn role(&self, cx: &mut Cx<'_, '_>, new: &NewRole) -> Outcome<bool> {
        let permissions = Permissions::named(&new.permissions, new.scope)?;
        let service = service_of(cx, new, &self.world).await?;
        if let Some(role) = roles::queries::find(cx.tx, service.account, new.sid).await? {
            let is_own = role.service == service.sid;
            return if is_own { Ok(false) } else { Err(Refusal::Taken(new.sid.to_string()).into()) };
        }
        if roles::queries::is_anywhere(cx.tx, new.sid).await? {
            return Err(Refusal::Taken(new.sid.to_string()).into());
        }
        let row = roles::queries::NewRole {
            sid: new.sid,
            service: service.sid,
            friendly_name: &new.friendly_name,
            scope: new.scope,
            permissions,
        };
        roles::commands::insert(cx, service.account, &row).await?;
        Ok(true)
    }
}

/// The default service of a new account is there already: it came with the account.
async fn service(cx: &mut Cx<'_, '_>, new: &NewService) -> Outcome<bool> {
    let account = account_of(cx, &new.sid.to_string(), new.account_sid).await?;
    if services::queries::find(cx.tx, account.number, new.sid).await?.is_some() {
        return Ok(false);
    }
    if services::queries::is_anywhere(cx.tx, new.sid).await? {
        return Err(Refusal::Taken(new.sid.to_string()).into());
    }
    let name = new.friendly_name.as_deref().unwrap_or("Imported");
    services::commands::insert(cx, account.number, new.sid, name).await?;
    Ok(true)
}

async fn account_of(cx: &mut Cx<'_, '_>, by: &str, sid: Sid<AccountKind>) -> Outcome<Account> {
    let missing = || Refusal::Missing { by: by.to_owned(), what: sid.to_string() };
    Ok(accounts::queries::find(cx.tx, sid).await?.ok_or_else(missing)?)
}

/// The service of a role: one of the world's, or of the accounts that the world names.
async fn service_of(cx: &mut Cx<'_, '_>, new: &NewRole, world: &World) -> Outcome<Service> {
    let sid: Sid<ServiceKind> = new.service_sid;
    let owners = world.services.iter().filter(|service| service.sid == sid).map(|service| service.account_sid);
    for owner in owners.chain(world.accounts.iter().map(|account| account.sid)) {
        let account = account_of(cx, &new.sid.to_string(), owner).await?;
        if let Some(service) = services::queries::find(cx.tx, account.number, sid).await? {
            return Ok(service);
        }
    }
    Err(Refusal::Missing { by: new.sid.to_string(), what: sid.to_string() }.into())
}
