//! Looking up what the verifier asks for, and bringing the user into being; minting, and whose an identity is.

use std::sync::Arc;

use tertulia_protocol::sid::{Key as KeyKind, Role as RoleKind, Service as ServiceKind};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_store::seal::KeyRing;
use tertulia_token::{
    AccountStatus, ChatClaim, ChatGrant, Key, KeyKind as TokenKeyKind, KeyStatus, Known, Mint, MintError, Rules,
    Secret, SyncGrant, VideoGrant, VoiceGrant,
};

use super::{Admission, Issued, Order, Owner, Refusal, Refused, queries, refresh_after};
use crate::accounts::commands::{Credentials, FindCredentials, StoredCredentials};
use crate::accounts::{Account, Status};
use crate::audit::{Draft, Event, Evidence, Facts};
use crate::keys::commands::CreateKey;
use crate::keys::{CannotSign, Kind};
use crate::login::Login;
use crate::platform::{
    AccountNumber, Caller, Change, Cx, Error, Ids, Outcome, PageRequest, Question, Source, UserRef, Who, ids,
};
use crate::revocations::{Bearer, Revocation};
use crate::users::User;
use crate::{App, accounts, keys, revocations, roles, services, users};

impl App {
    /// Lets the bearer of a token in, or says why not. The same for `init` and `update`.
    pub async fn admit(&self, token: &str) -> Result<Admission, Refused> {
        // Before the store is asked: what comes by from now on is looked at again when the connection is in.
        let ended_count = self.hub().ended_count();
        let Verified { account, claim, bearer, dies, caller } = self.verify(token).await?;
        let known = self.db.ask(&caller, FindClaimed::of(&account, &claim, &bearer)).await?;
        let access = claim.check(&known.known).map_err(Refused::Token)?;
        if let Some(entry) = known.revoked {
            return Err(Refused::Revoked(Box::new(entry)));
        }
        let service = bearer.service;
        let user = self.ensure_user(&caller, service, &access.identity).await?;
        let role = access.deployment_role_sid.as_deref().and_then(|role| Sid::parse(role).ok());
        let user = Arc::new(UserRef { service, sid: user.sid, identity: access.identity, role });
        let evidence = Evidence {
            last_used: self.db.clock.now(caller.account).micros(),
            latest_expiry: bearer.expires.micros(),
            ..Evidence::default()
        };
        self.uses.note(caller.account, bearer.key, evidence);
        Ok(Admission {
            caller: Caller { source: Source::Sdk, who: Who::User(user.clone()), hooks: true, ..caller },
            user,
            expires: Timestamp::from_seconds(access.expires_at),
            dies,
            bearer: Arc::new(bearer),
            ended_count,
        })
    }

    /// The checks that need the key alone.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        self.verify_for(token, None).await
    }

    /// The same; with an account, keys of other accounts count as unknown.
    pub(crate) async fn verify_for(&self, token: &str, only: Option<AccountNumber>) -> Result<Verified, Refused> {
        let unverified = tertulia_token::parse(token).map_err(Refused::Token)?;
        let stored = match Sid::<KeyKind>::parse(unverified.issuer()) {
            Ok(sid) => self.find_credentials(Credentials::Key(sid)).await?,
            Err(_) => None,
        };
        let stored = stored.filter(|stored| only.is_none_or(|account| account == stored.account.number));
        let key = stored.as_ref().map(|stored| self.verifying_key(stored)).transpose()?;
        let rules = self.rules(stored.as_ref().map(|stored| stored.account.number));
        let verified = tertulia_token::verify(unverified, key.as_ref(), &rules).map_err(Refused::Token)?;
        let claim = ChatClaim::read(&verified).map_err(Refused::Token)?;
        // Verifying refused every token without a key.
        let Some(StoredCredentials { account, key: Some(key), .. }) = stored else {
            return Err(Error::Broken("a token was verified without a key".to_owned()).into());
        };
        let service = Sid::parse(claim.service_sid()).map_err(|cause| Error::Broken(cause.to_string()))?;
        let bearer = Bearer::of(token, &verified, account.number, service, key.sid);
        let dies = Timestamp::from_seconds(rules.dies_at(&verified));
        let caller = Caller::system(account.number, account.sid);
        Ok(Verified { account, claim, bearer, dies, caller })
    }

    /// Looks credentials up, for REST and for tokens alike. Those of dev mode that everybody knows exist
    /// on loopback only, whatever the store holds.
    pub async fn find_credentials(&self, credentials: Credentials) -> Outcome<Option<StoredCredentials>> {
        let may_be_fixed = self.dev.as_ref().is_some_and(|dev| dev.are_fixed);
        if crate::dev::are_fixed(&credentials) && !may_be_fixed {
            return Ok(None);
        }
        self.db.ask(&Caller::nobody(), FindCredentials(credentials)).await
    }

    pub(crate) fn rules(&self, account: Option<AccountNumber>) -> Rules {
        let now = account.map_or_else(|| self.db.clock.machine(), |account| self.db.clock.now(account));
        let tokens = &self.config.tokens;
        Rules::at(now.seconds()).leeway(tokens.leeway_seconds).grace(tokens.grace_seconds).region(tokens.region.clone())
    }

    pub(crate) fn verifying_key(&self, stored: &StoredCredentials) -> Outcome<Key> {
        let secret = stored.open(&self.sealer)?.pop();
        let secret = secret.as_ref().and_then(|secret| secret.expose_str()).unwrap_or_default().to_owned();
        let sid = stored.key.as_ref().map(|key| key.sid.to_string()).unwrap_or_default();
        let mut key = Key::new(sid, stored.account.sid.to_string(), secret);
        key.region.clone_from(&self.config.tokens.region);
        key.status = if stored.is_suspended { KeyStatus::Suspended } else { KeyStatus::Active };
        key.kind = match stored.key.as_ref().map(|key| key.kind) {
            Some(Kind::Main) => TokenKeyKind::Main,
            Some(Kind::Restricted) => TokenKeyKind::Restricted,
            Some(Kind::Standard) | None => TokenKeyKind::Standard,
        };
        key.account_status = match stored.account.effective_status() {
            Status::Active => AccountStatus::Active,
            Status::Suspended => AccountStatus::Suspended,
            Status::Closed => AccountStatus::Closed,
        };
        Ok(key)
    }

    /// Reads first: nearly everybody who connects has been here before, and reads wait for nobody.
    async fn ensure_user(&self, caller: &Caller, service: Sid<ServiceKind>, identity: &str) -> Outcome<User> {
        let find = FindUser { service, identity: identity.to_owned() };
        match self.db.ask(caller, find.clone()).await? {
            Some(user) => Ok(user),
            None => self.db.perform(caller, find).await,
        }
    }
}

/// A token that its key has signed.
pub(crate) struct Verified {
    pub(crate) account: Account,
    pub(crate) claim: ChatClaim,
    pub(crate) bearer: Bearer,
    dies: Timestamp,
    pub(crate) caller: Caller,
}

/// Looks up what a token claims, and whether it was revoked: one snapshot.
pub(crate) struct FindClaimed {
    pub(crate) bearer: Option<Bearer>,
    pub(crate) service: Option<Sid<ServiceKind>>,
    pub(crate) role: Option<Sid<RoleKind>>,
}

impl FindClaimed {
    pub(crate) fn of(account: &Account, claim: &ChatClaim, bearer: &Bearer) -> Self {
        let own = claim.account_sid() == account.sid.as_str();
        Self {
            bearer: Some(bearer.clone()),
            service: Sid::parse(claim.service_sid()).ok().filter(|_| own),
            role: claim.deployment_role_sid().and_then(|role| Sid::parse(role).ok()),
        }
    }
}

/// What there is of what a token claims.
pub(crate) struct Found {
    pub(crate) known: Known,
    pub(crate) revoked: Option<Revocation>,
}

impl Question for FindClaimed {
    type Out = Found;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Found> {
        let account = cx.caller.account;
        let service = match self.service {
            Some(sid) => services::queries::find(cx.tx, account, sid).await?,
            None => None,
        };
        let role = match self.role {
            Some(sid) => roles::queries::find(cx.tx, account, sid).await?,
            None => None,
        };
        let role = role.is_some_and(|role| Some(role.service) == self.service && role.scope == roles::Scope::Service);
        // Push credentials come with push itself; until then any well-formed one is taken.
        let known = Known { service: service.is_some(), role, push_credential: true };
        let revoked = match &self.bearer {
            Some(bearer) => revocations::queries::refusing(cx.tx, bearer).await?,
            None => None,
        };
        Ok(Found { known, revoked })
    }
}

/// Finds the user with an identity; as a change, brings it into being.
#[derive(Clone, Debug)]
struct FindUser {
    service: Sid<ServiceKind>,
    identity: String,
}

impl Question for FindUser {
    type Out = Option<User>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<User>> {
        users::queries::find_by_identity(cx.tx, cx.caller.account, self.service, &self.identity).await
    }
}

impl Change for FindUser {
    type Out = User;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<User> {
        let service = services::commands::resolve(cx, Some(self.service)).await?;
        users::commands::ensure(cx, &service, &self.identity).await
    }
}

impl App {
    /// Mints what is ordered for a caller's account. With a login, the identity must be that login's own, or
    /// nobody's, and then becomes its own.
    pub async fn mint(&self, caller: &Caller, order: &Order, login: Option<&Login>) -> Outcome<Issued> {
        let prepared = self.db.ask(caller, Prepare(order.clone())).await?;
        if let Some(login) = login {
            let owner = match prepared.owner {
                Some(owner) => owner,
                None => {
                    let claim = Claim {
                        service: prepared.service,
                        identity: order.identity.clone(),
                        source: login.source.clone(),
                        subject: login.subject.clone(),
                    };
                    self.db.perform(caller, claim).await?
                }
            };
            if (&owner.source, &owner.subject) != (&login.source, &login.subject) {
                return Err(Refusal::Taken.into());
            }
        }
        let (key, secret) = self.signing_key(caller).await?;
        let now = self.db.clock.now(caller.account);
        let mut ids = Ids::from_seed(ids::fresh_seed());
        let mut mint = Mint::new(caller.account_sid.to_string(), key.to_string(), &secret)
            .identity(order.identity.as_str())
            .ttl(order.ttl_seconds);
        let session = login.and_then(Login::session);
        if let Some(session) = &session {
            mint = mint.session(session.as_str());
        }
        let home = &self.config.tokens.region;
        if home != "us1" {
            mint = mint.region(home.as_str());
        }
        for grant in grants(order, prepared.service, prepared.role) {
            mint = mint.grant(grant);
        }
        let minted = mint.sign(now.seconds(), ids.chance()).map_err(|cause| wrong_order(&cause))?;
        let chance = u64::from_str_radix(&ids.hex(7), 16).unwrap_or_default();
        Ok(Issued {
            token: minted.token,
            jti: minted.jti,
            session,
            identity: order.identity.clone(),
            service: prepared.service,
            key,
            now,
            expires: Timestamp::from_seconds(minted.expires_at),
            refresh: Timestamp::from_seconds(now.seconds() + refresh_after(order.ttl_seconds, chance)),
        })
    }

    /// The key that signs: the first good one of the configuration, or one of the server's own. That is made when it is
    /// first needed, and again when it has been deleted, which ends every token that it signed. A suspended one is not
    /// replaced: whoever suspended it decides what comes next.
    async fn signing_key(&self, caller: &Caller) -> Outcome<(Sid<KeyKind>, Secret)> {
        let candidates = self.signers(caller).await?;
        let mut reasons = Vec::new();
        for sid in &candidates {
            match self.to_sign(caller, *sid).await? {
                Ok(secret) => return Ok((*sid, secret)),
                Err(CannotSign::AccountNotActive) => return Err(Refusal::AccountNotActive.into()),
                Err(CannotSign::Gone | CannotSign::Restricted) if self.config.login.key.is_empty() => {}
                Err(cause) => reasons.push(format!("the key {sid} {cause}")),
            }
        }
        if !reasons.is_empty() {
            return Err(self.no_signer(&reasons));
        }
        // The key is the server's, whoever's request it is made for.
        let system = Caller::system(caller.account, caller.account_sid);
        let made =
            self.db.perform(&system, MakeSigner { gone: candidates.first().copied(), ring: self.sealer.ring() }).await;
        let sid = made.map_err(|error| match error {
            Error::Refused(refused) if refused.code == Code::Conflict => {
                Refusal::NoSigner(refused.message.unwrap_or_default()).into()
            }
            error => error,
        })?;
        let secret = self.to_sign(caller, sid).await?;
        let secret = secret.map_err(|cause| self.no_signer(&[format!("the key {sid} {cause}")]))?;
        tracing::info!(target: "tokens", key = sid.as_str(), account = caller.account_sid.as_str(), "a key of the server's own signs");
        Ok((sid, secret))
    }

    fn no_signer(&self, reasons: &[String]) -> Error {
        let todo = match self.config.login.key.is_empty() {
            true => "delete the revocation that suspends it, or let another key sign with `tertulia key rotate`",
            false => {
                "login.key and login.spare_keys name no other; `tertulia revocation list` shows what suspends a key"
            }
        };
        Refusal::NoSigner(format!("{}; {todo}", reasons.join(", "))).into()
    }
}

fn grants(order: &Order, service: Sid<ServiceKind>, role: Option<Sid<RoleKind>>) -> Vec<tertulia_token::Grant> {
    let mut chat = ChatGrant::new(service.to_string());
    chat.deployment_role_sid = role.map(|role| role.to_string());
    chat.push_credential_sid.clone_from(&order.grants.push_credential);
    let mut grants = vec![chat.into()];
    if let Some(service) = &order.grants.sync_service {
        grants.push(SyncGrant { service_sid: Some(service.clone()), endpoint_id: None }.into());
    }
    if let Some(room) = &order.grants.video_room {
        grants.push(VideoGrant { room: Some(room.clone()).filter(|room| !room.is_empty()) }.into());
    }
    let voice = VoiceGrant {
        incoming: order.grants.voice_incoming,
        outgoing_application_sid: order.grants.voice_application.clone(),
        ..VoiceGrant::default()
    };
    if voice != VoiceGrant::default() {
        grants.push(voice.into());
    }
    grants
}

/// What cannot be signed is the caller's fault where the caller chose it.
fn wrong_order(cause: &MintError) -> Error {
    match cause {
        MintError::Secret(_) => Error::Broken(cause.to_string()),
        _ => Error::parameter(cause.to_string()),
    }
}

/// What a token is about to name.
pub(crate) struct Prepared {
    service: Sid<ServiceKind>,
    role: Option<Sid<RoleKind>>,
    pub(crate) owner: Option<Owner>,
}

/// Looks up what an order names.
pub(crate) struct Prepare(pub(crate) Order);

impl Question for Prepare {
    type Out = Prepared;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Prepared> {
        let Order { service, role, identity, .. } = &self.0;
        let named = service.as_deref().map(Sid::parse).transpose();
        let named = named.map_err(|cause| Error::parameter(format!("ServiceSid is {cause}")))?;
        let service = services::commands::resolve(cx, named).await?.sid;
        let account = cx.caller.account;
        let role = match role {
            None => None,
            Some(role) => {
                let found = match Sid::parse(role) {
                    Ok(sid) => roles::queries::find(cx.tx, account, sid).await?,
                    Err(_) => roles::queries::find_named(cx.tx, account, service, roles::Scope::Service, role).await?,
                };
                let found = found.filter(|role| role.service == service && role.scope == roles::Scope::Service);
                Some(found.ok_or(Refusal::NoRole)?.sid)
            }
        };
        let owner = queries::owner(cx.tx, account, service, identity).await?;
        Ok(Prepared { service, role, owner })
    }
}

/// Makes a login the owner of an identity, unless it has one; gives the owner.
#[derive(Clone)]
struct Claim {
    service: Sid<ServiceKind>,
    identity: String,
    source: String,
    subject: String,
}

impl Change for Claim {
    type Out = Owner;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Owner> {
        let Self { service, identity, source, subject } = self.clone();
        let account = cx.caller.account;
        // What is claimed in a service that is being deleted would never be purged.
        services::queries::hold(cx.tx, account, service).await?.ok_or(services::Refusal::NotFound)?;
        let owner = Owner { service, identity, source, subject, created: cx.now };
        queries::claim(cx.tx, account, &owner).await
    }
}

/// Makes a key that signs, unless somebody else just did.
#[derive(Clone)]
struct MakeSigner {
    /// The key that was there before, and cannot sign any more.
    gone: Option<Sid<KeyKind>>,
    ring: KeyRing,
}

impl Change for MakeSigner {
    type Out = Sid<KeyKind>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Sid<KeyKind>> {
        let account = cx.caller.account;
        // The lock keeps two requests from making a key each.
        if accounts::queries::get_locked(cx.tx, account).await?.effective_status() != Status::Active {
            return Err(Refusal::AccountNotActive.into());
        }
        if let Some(sid) = queries::signer(cx.tx, account).await?.filter(|sid| Some(*sid) != self.gone) {
            return Ok(sid);
        }
        let create = CreateKey {
            sid: None,
            secret: None,
            kind: Kind::Standard,
            friendly_name: "Token endpoint".to_owned(),
            policy: None,
            ring: self.ring.clone(),
        };
        let (key, _) = create.apply(cx).await?;
        queries::set_signer(cx.tx, account, key.sid, cx.now).await?;
        Ok(key.sid)
    }
}

/// Lets a key sign for the token endpoint if the one does whose place it takes; whether that is so. The account is
/// locked.
pub async fn hand_signing_over(cx: &mut Cx<'_, '_>, from: Sid<KeyKind>, to: &keys::Key) -> Outcome<bool> {
    if queries::signer(cx.tx, to.account).await? != Some(from) {
        return Ok(false);
    }
    if to.kind == Kind::Restricted {
        return Err(keys::Refusal::SignsNothing.into());
    }
    queries::set_signer(cx.tx, to.account, to.sid, cx.now).await?;
    Ok(true)
}

/// Lists owners of a chat service.
#[derive(Clone, Debug)]
pub struct ListOwners {
    /// The service; the account's default if there is none.
    pub service: Option<Sid<ServiceKind>>,
    /// Which of them.
    pub page: PageRequest,
}

impl Question for ListOwners {
    type Out = Vec<Owner>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Owner>> {
        keys::may_manage(&cx.caller.who)?;
        let service = services::commands::resolve(cx, self.service).await?.sid;
        queries::list(cx.tx, cx.caller.account, service, self.page.text_span()?).await
    }
}

/// Takes the owner of an identity away: the next login that comes to it owns it.
#[derive(Clone, Debug)]
pub struct ReleaseIdentity {
    /// The service; the account's default if there is none.
    pub service: Option<Sid<ServiceKind>>,
    /// The identity.
    pub identity: String,
}

impl Change for ReleaseIdentity {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        keys::may_manage(&cx.caller.who)?;
        let service = services::commands::resolve(cx, self.service).await?.sid;
        let was = queries::release(cx.tx, cx.caller.account, service, &self.identity).await?;
        if !was {
            return Err(Refusal::NoOwner.into());
        }
        let facts = Facts { identity: Some(self.identity.clone()), service: Some(service), ..Facts::default() };
        cx.audit(Draft::by(cx.caller, Event::IdentityReleased, facts));
        Ok(())
    }
}
