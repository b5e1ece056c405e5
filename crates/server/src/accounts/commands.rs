//! Transactions of accounts: being born, and proving who one is.

use std::sync::Arc;

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account as AccountKind, Key as KeyKind, MessagingService, Service as ServiceKind};
use tertulia_store::seal::{Place, Sealer};

use super::queries::{self, NewAccount};
use super::{Account, Status};
use crate::conversations::check_timers;
use crate::keys::{self, Key};
use crate::platform::{AccountNumber, Change, Cx, Error, Outcome, Question};
use crate::{revocations, roles, services};

/// Where an account's auth token is sealed for.
pub fn auth_token_place(sid: &Sid<AccountKind>) -> Place<'_> {
    Place { table: "accounts", column: "auth_token", sid: sid.as_str() }
}

/// Creates an account with its default chat service and that service's default roles.
#[derive(Clone)]
pub struct CreateAccount {
    /// Its SID; a random one unless given.
    pub sid: Option<Sid<AccountKind>>,
    /// The SID of its default chat service; a random one unless given.
    pub service: Option<Sid<ServiceKind>>,
    /// The owner, for a subaccount.
    pub parent: Option<AccountNumber>,
    /// Its name.
    pub friendly_name: String,
    /// Its auth token, 32 hex digits.
    pub auth_token: String,
    /// What seals the auth token.
    pub sealer: Arc<Sealer>,
}

impl Change for CreateAccount {
    type Out = Account;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Account> {
        let sid = self.sid.unwrap_or_else(|| cx.ids.sid());
        let service = self.service.unwrap_or_else(|| cx.ids.sid());
        let nonce = cx.ids.nonce();
        let auth_token = self.sealer.seal(&auth_token_place(&sid), self.auth_token.as_bytes(), nonce);
        let new = NewAccount {
            sid,
            parent: self.parent,
            friendly_name: &self.friendly_name,
            auth_token,
            default_service: service,
        };
        let account = queries::insert(cx.tx, new, cx.now).await?;
        let roles = roles::commands::insert_defaults(cx, account.number, service).await?;
        let name = "Default Conversations Service";
        services::queries::insert(cx.tx, account.number, service, name, roles, cx.now).await?;
        Ok(account)
    }
}

/// Credentials as they came in; shows nothing of itself.
#[derive(Clone)]
pub enum Credentials {
    /// Account SID and auth token.
    Account(Sid<AccountKind>),
    /// API key SID and secret.
    Key(Sid<KeyKind>),
}

/// What is stored about credentials: who they belong to, and the sealed secrets that they must match.
pub struct StoredCredentials {
    /// The account.
    pub account: Account,
    /// The API key, if it is one.
    pub key: Option<Key>,
    /// Whether the key is suspended.
    pub is_suspended: bool,
    /// Sealed secrets, any of which may match.
    pub secrets: Vec<Vec<u8>>,
}

/// Looks credentials up; whether the secret matches is the asker's business.
pub struct FindCredentials(pub Credentials);

impl Question for FindCredentials {
    type Out = Option<StoredCredentials>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        match self.0 {
            Credentials::Account(sid) => {
                let Some(account) = queries::find(cx.tx, sid).await? else { return Ok(None) };
                let (primary, secondary) = queries::auth_tokens(cx.tx, account.number).await?;
                let secrets = std::iter::once(primary).chain(secondary).collect();
                Ok(Some(StoredCredentials { account, key: None, is_suspended: false, secrets }))
            }
            Credentials::Key(sid) => {
                let Some((key, secret)) = keys::queries::find_anywhere(cx.tx, sid).await? else { return Ok(None) };
                let account = queries::get(cx.tx, key.account).await?;
                let is_suspended = revocations::queries::suspending(cx.tx, key.account, sid).await?.is_some();
                Ok(Some(StoredCredentials { account, key: Some(key), is_suspended, secrets: vec![secret] }))
            }
        }
    }
}

impl StoredCredentials {
    /// Opens the sealed secrets.
    pub fn open(&self, sealer: &Sealer) -> Outcome<Vec<tertulia_store::seal::Secret>> {
        let place = match &self.key {
            Some(key) => keys::secret_place(&key.sid),
            None => auth_token_place(&self.account.sid),
        };
        let open = |sealed: &Vec<u8>| sealer.open(&place, sealed).map_err(|cause| Error::Broken(cause.to_string()));
        self.secrets.iter().map(open).collect()
    }

    /// Whether the account may be used.
    pub fn is_active(&self) -> bool {
        self.account.status == Status::Active
    }
}

/// The installation's id, made at the first start.
#[derive(Clone, Copy, Debug)]
pub struct Install;

impl Change for Install {
    type Out = String;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<String> {
        if let Some(id) = queries::installation(cx.tx).await? {
            return Ok(id);
        }
        let id = cx.ids.hex(16);
        queries::install(cx.tx, &id, cx.now).await?;
        let stored = queries::installation(cx.tx).await?;
        stored.ok_or_else(|| Error::Broken("the installation has no id".to_owned()))
    }
}

/// Whether an account is there.
pub struct FindAccount(pub Sid<AccountKind>);

impl Question for FindAccount {
    type Out = Option<Account>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<Account>> {
        queries::find(cx.tx, self.0).await
    }
}

/// The account's own row: its defaults are the configuration.
#[derive(Clone, Copy, Debug)]
pub struct GetOwn;

impl Question for GetOwn {
    type Out = Account;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Account> {
        queries::get(cx.tx, cx.caller.account).await
    }
}

/// Changes the account's defaults; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Configure {
    /// The chat service that the short routes are to mean.
    pub default_service: Option<Sid<ServiceKind>>,
    /// Stored only.
    pub default_messaging_service: Option<Sid<MessagingService>>,
    /// `Some(None)` takes the timer away.
    pub default_inactive_timer: Option<Option<String>>,
    /// `Some(None)` takes the timer away.
    pub default_closed_timer: Option<Option<String>>,
}

impl Change for Configure {
    type Out = Account;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Account> {
        check_timers(&self.default_inactive_timer, &self.default_closed_timer)?;
        // The lock keeps a service from being deleted while it becomes the default.
        let mut account = queries::get_locked(cx.tx, cx.caller.account).await?;
        if let Some(sid) = self.default_service {
            let found = services::queries::find(cx.tx, account.number, sid).await?;
            account.default_service = Some(found.ok_or(services::Refusal::NoSuchDefault)?.sid);
        }
        account.default_messaging_service = self.default_messaging_service.or(account.default_messaging_service);
        if let Some(timer) = &self.default_inactive_timer {
            account.default_inactive_timer.clone_from(timer);
        }
        if let Some(timer) = &self.default_closed_timer {
            account.default_closed_timer.clone_from(timer);
        }
        queries::configure(cx.tx, &account, cx.now).await
    }
}
