//! Transactions of accounts: being born, and proving who one is.

use tertulia_protocol::sid::{Account as AccountKind, Key as KeyKind, MessagingService, Service as ServiceKind};
use tertulia_protocol::{Code, Sid};
use tertulia_store::seal::{KeyRing, Place, Sealer, Secret};

use super::events::AccountEvent;
use super::queries::{self, NewAccount};
use super::{Account, Hand, Refusal, Status, hand, may_become};
use crate::audit::{Draft, Event};
use crate::conversations::check_timers;
use crate::keys::commands::CreateKey;
use crate::keys::{self, Key, may_manage};
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Caller, Change, Cx, Error, Outcome, PageRequest, Question, Who, text};
use crate::revocations::commands::end_connections;
use crate::{App, api_tokens, revocations, roles, services};

/// Where an account's auth token is sealed for.
pub fn auth_token_place(sid: &Sid<AccountKind>) -> Place<'_> {
    Place { table: "accounts", column: "auth_token", sid: sid.as_str() }
}

/// Where an account's secondary auth token is sealed for.
pub fn secondary_auth_token_place(sid: &Sid<AccountKind>) -> Place<'_> {
    Place { table: "accounts", column: "secondary_auth_token", sid: sid.as_str() }
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
    pub ring: KeyRing,
}

impl Change for CreateAccount {
    type Out = Account;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Account> {
        may_manage(&cx.caller.who)?;
        check_name(&self.friendly_name)?;
        if let Some(parent) = self.parent {
            let parent = queries::get(cx.tx, parent).await?;
            if parent.parent.is_some() {
                return Err(Refusal::IsSubaccount.into());
            }
            if queries::count_subaccounts_locked(cx.tx, parent.number).await? >= cx.limits.subaccounts_max {
                return Err(Refusal::TooMany.into());
            }
        }
        let sid = self.sid.unwrap_or_else(|| cx.ids.sid());
        let service = self.service.unwrap_or_else(|| cx.ids.sid());
        let nonce = cx.ids.nonce();
        let auth_token = self.ring.seal(&auth_token_place(&sid), self.auth_token.as_bytes(), nonce);
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
        cx.audit_in(account.number, Draft::on(cx.caller, Event::AccountCreated, sid.as_str()));
        cx.emit(&AccountEvent::Created { after: Box::new(account.clone()) });
        Ok(account)
    }
}

fn check_name(name: &str) -> Outcome<()> {
    text::storable("FriendlyName", name)?;
    if name.chars().count() > 64 { Err(Refusal::NameTooLong.into()) } else { Ok(()) }
}

/// Creates the installation's first account with a key, unless there is an account already.
#[derive(Clone)]
pub struct CreateFirst {
    /// The account.
    pub account: CreateAccount,
    /// Its key.
    pub key: CreateKey,
}

impl Change for CreateFirst {
    type Out = Option<Account>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<Account>> {
        if !queries::is_empty_locked(cx.tx).await? {
            return Ok(None);
        }
        let account = self.account.apply(cx).await?;
        keys::commands::create(cx, account.number, &self.key).await?;
        Ok(Some(account))
    }
}

/// Whether there is no account yet.
#[derive(Clone, Copy, Debug)]
pub struct IsEmpty;

impl Question for IsEmpty {
    type Out = bool;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<bool> {
        queries::is_empty(cx.tx).await
    }
}

/// Finds the account that a call names: the caller's own, a subaccount of it, or, for the operator, any.
pub async fn named(cx: &mut Cx<'_, '_>, sid: Sid<AccountKind>) -> Outcome<(Account, Hand)> {
    may_manage(&cx.caller.who)?;
    let account = queries::find(cx.tx, sid).await?.ok_or(Refusal::NotFound)?;
    let hand = hand(cx.caller, &account).ok_or(Refusal::NotFound)?;
    Ok((account, hand))
}

/// An account and its sealed auth token.
pub type WithToken = (Account, Vec<u8>);

/// Finds one account by its SID, if it is any of the caller's business.
#[derive(Clone, Copy, Debug)]
pub struct GetNamed(pub Sid<AccountKind>);

impl Question for GetNamed {
    type Out = WithToken;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<WithToken> {
        let (account, _) = named(cx, self.0).await?;
        let (token, _) = queries::auth_tokens(cx.tx, account.number).await?;
        Ok((account, token))
    }
}

/// Lists accounts: the caller's own and its subaccounts, or everybody's for the operator.
#[derive(Clone, Debug)]
pub struct ListAccounts {
    /// Which; whose is decided by the caller.
    pub filter: queries::Filter,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListAccounts {
    type Out = Vec<WithToken>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<WithToken>> {
        may_manage(&cx.caller.who)?;
        let everybodys = matches!(cx.caller.who, Who::Operator) && cx.caller.account == AccountNumber(0);
        let filter = queries::Filter { of: (!everybodys).then_some(cx.caller.account), ..self.filter.clone() };
        queries::list(cx.tx, &filter, self.page.created_span(OLDEST)?).await
    }
}

/// Changes an account; `None` leaves a thing as it is.
#[derive(Clone, Debug)]
pub struct UpdateAccount {
    /// Which.
    pub sid: Sid<AccountKind>,
    /// Its name.
    pub friendly_name: Option<String>,
    /// Whether it may be used.
    pub status: Option<Status>,
}

impl Change for UpdateAccount {
    type Out = WithToken;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<WithToken> {
        let (found, hand) = named(cx, self.sid).await?;
        let before = queries::get_locked(cx.tx, found.number).await?;
        let mut account = before.clone();
        if let Some(status) = self.status {
            may_become(hand, account.status, status)?;
            account.status = status;
        }
        if let Some(name) = &self.friendly_name {
            check_name(name)?;
            account.friendly_name.clone_from(name);
        }
        let (token, _) = queries::auth_tokens(cx.tx, account.number).await?;
        if self.status.is_none() && self.friendly_name.is_none() {
            return Ok((account, token));
        }
        let after = queries::update(cx.tx, &account, cx.now).await?;
        if before.status == Status::Active && after.status != Status::Active {
            // A subaccount follows its parent.
            end_connections(cx, account.number, None).await?;
            for subaccount in queries::subaccounts(cx.tx, account.number).await? {
                end_connections(cx, subaccount, None).await?;
            }
        }
        let mut detail = serde_json::json!({"before": before.status.word(), "after": after.status.word()});
        if after.status == Status::Closed {
            // Nobody logs in with them again, here or in a subaccount, and what they say of somebody is no data of the app.
            let mut forgotten = api_tokens::queries::forget(cx.tx, account.number).await?;
            for subaccount in queries::subaccounts(cx.tx, account.number).await? {
                forgotten += api_tokens::queries::forget(cx.tx, subaccount).await?;
            }
            detail["api_tokens_deleted"] = forgotten.into();
        }
        let mut draft = Draft::on(cx.caller, Event::AccountUpdated, account.sid.as_str());
        draft.facts.detail = Some(detail);
        cx.audit_in(account.number, draft);
        cx.emit(&AccountEvent::Updated { before: Box::new(before), after: Box::new(after.clone()) });
        Ok((after, token))
    }
}

/// Gives the account a secondary auth token beside the primary one; an older secondary one ends.
#[derive(Clone)]
pub struct CreateSecondary {
    /// What seals it.
    pub ring: KeyRing,
}

impl Change for CreateSecondary {
    type Out = (Account, String);

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        may_manage(&cx.caller.who)?;
        let account = queries::get_locked(cx.tx, cx.caller.account).await?;
        let (primary, _) = queries::auth_tokens(cx.tx, account.number).await?;
        let (token, nonce) = (cx.ids.hex(16), cx.ids.nonce());
        let place = secondary_auth_token_place(&account.sid);
        let sealed = self.ring.seal(&place, token.as_bytes(), nonce);
        cx.audit(Draft::on(cx.caller, Event::AuthTokenChanged, account.sid.as_str()));
        queries::set_auth_tokens(cx.tx, account.number, primary, Some(sealed), cx.now).await?;
        Ok((queries::get(cx.tx, account.number).await?, token))
    }
}

/// Takes the secondary auth token away.
#[derive(Clone, Copy, Debug)]
pub struct DeleteSecondary;

impl Change for DeleteSecondary {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        may_manage(&cx.caller.who)?;
        let account = queries::get_locked(cx.tx, cx.caller.account).await?;
        let (primary, secondary) = queries::auth_tokens(cx.tx, account.number).await?;
        secondary.ok_or(Refusal::NoSecondary)?;
        cx.audit(Draft::on(cx.caller, Event::AuthTokenChanged, account.sid.as_str()));
        queries::set_auth_tokens(cx.tx, account.number, primary, None, cx.now).await
    }
}

/// Makes the secondary auth token the primary one; the old primary one ends at once.
#[derive(Clone)]
pub struct PromoteSecondary {
    /// What opens and seals it.
    pub ring: KeyRing,
}

impl Change for PromoteSecondary {
    type Out = (Account, String);

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        may_manage(&cx.caller.who)?;
        let account = queries::get_locked(cx.tx, cx.caller.account).await?;
        let (_, secondary) = queries::auth_tokens(cx.tx, account.number).await?;
        let secondary = secondary.ok_or(Refusal::NoSecondary)?;
        let opened = open(&self.ring, &secondary_auth_token_place(&account.sid), &secondary)?;
        // A sealed value opens in its own column only, so it is sealed anew for the other one.
        let primary = self.ring.seal(&auth_token_place(&account.sid), opened.expose(), cx.ids.nonce());
        cx.audit(Draft::on(cx.caller, Event::AuthTokenChanged, account.sid.as_str()));
        queries::set_auth_tokens(cx.tx, account.number, primary, None, cx.now).await?;
        let token = opened.expose_str().unwrap_or_default().to_owned();
        Ok((queries::get(cx.tx, account.number).await?, token))
    }
}

/// Opens a sealed value; a failure says where it stands.
pub fn open(ring: &KeyRing, place: &Place<'_>, sealed: &[u8]) -> Outcome<Secret> {
    ring.open(place, sealed).map_err(|cause| Error::Broken(cause.to_string()))
}

impl App {
    /// The same caller, acting for the account that the call names. `None` is the caller's own.
    pub async fn standing_in(&self, caller: &Caller, named: Option<Sid<AccountKind>>) -> Outcome<Caller> {
        match named {
            None => Ok(caller.clone()),
            Some(sid) if sid == caller.account_sid => Ok(caller.clone()),
            Some(sid) => {
                let (account, _) = self.db.ask(caller, GetNamed(sid)).await?;
                Ok(Caller { account: account.number, account_sid: account.sid, ..caller.clone() })
            }
        }
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
    /// Sealed secrets, any of which may match: the key's, or the primary auth token before the secondary.
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
    pub fn open(&self, sealer: &Sealer) -> Outcome<Vec<Secret>> {
        let places = match &self.key {
            Some(key) => vec![keys::secret_place(&key.sid)],
            None => vec![auth_token_place(&self.account.sid), secondary_auth_token_place(&self.account.sid)],
        };
        let ring = sealer.ring();
        places.iter().zip(&self.secrets).map(|(place, sealed)| open(&ring, place, sealed)).collect()
    }

    /// Whether the account may be used.
    pub fn is_active(&self) -> bool {
        self.account.effective_status() == Status::Active
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

struct FindFirstAccount;

impl Question for FindFirstAccount {
    type Out = Option<Account>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<Account>> {
        queries::first(cx.tx).await
    }
}

impl App {
    /// The account whose users come in by login: the configured one, or the first.
    pub async fn login_account(&self) -> Outcome<Account> {
        let configured = &self.config.login.account;
        let sid = match (&self.dev, configured.is_empty()) {
            (_, false) => {
                Some(Sid::parse(configured).map_err(|cause| Error::Broken(format!("login.account: {cause}")))?)
            }
            (Some(dev), true) => Some(dev.account),
            (None, true) => None,
        };
        let account = match sid {
            Some(sid) => self.db.ask(&Caller::nobody(), FindAccount(sid)).await?,
            None => self.db.ask(&Caller::nobody(), FindFirstAccount).await?,
        };
        let account =
            account.ok_or_else(|| Error::Broken("there is no account for logins (login.account)".to_owned()))?;
        if account.status == Status::Active { Ok(account) } else { Err(Error::plain(Code::AccountNotActive)) }
    }
}
