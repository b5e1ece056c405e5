//! Looking up what the verifier asks for, and bringing the user into being.

use std::sync::Arc;

use tertulia_protocol::sid::{Account as AccountKind, Key as KeyKind, Role as RoleKind, Service as ServiceKind};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_token::{
    AccountStatus, ChatClaim, Given, Key, KeyGiven, KeyKind as TokenKeyKind, KeyStatus, Known, Rules,
};

use super::{Admission, Refused};
use crate::accounts::commands::{Credentials, FindCredentials, StoredCredentials};
use crate::accounts::{Account, Status};
use crate::audit::Evidence;
use crate::keys::Kind;
use crate::platform::{AccountNumber, Caller, Change, Cx, Error, Outcome, Question, Source, UserRef, Who};
use crate::revocations::{Bearer, Revocation};
use crate::users::User;
use crate::{App, revocations, roles, services, users};

impl App {
    /// Lets the bearer of a token in, or says why not. The same for `init` and `update`.
    pub async fn admit(&self, token: &str) -> Result<Admission, Refused> {
        // Before the store is asked: what comes by from now on is looked at again when the connection is in.
        let ended_count = self.hub().ended_count();
        let Verified { account, claim, bearer, dies, caller } = self.verify(token).await?;
        let known = self.ask(&caller, FindClaimed::of(&account, &claim, &bearer)).await?;
        let access = claim.check(&known.known).map_err(Refused::Token)?;
        if let Some(entry) = known.revoked {
            return Err(Refused::Revoked(Box::new(entry)));
        }
        let service = bearer.service;
        let user = self.ensure_user(&caller, service, &access.identity).await?;
        let role = access.deployment_role_sid.as_deref().and_then(|role| Sid::parse(role).ok());
        let user = Arc::new(UserRef { service, sid: user.sid, identity: access.identity, role });
        let evidence = Evidence {
            last_used: self.clock.now(caller.account).micros(),
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
    async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        let unverified = tertulia_token::parse(token).map_err(Refused::Token)?;
        let stored = match Sid::<KeyKind>::parse(unverified.issuer()) {
            Ok(sid) => self.find_credentials(Credentials::Key(sid)).await?,
            Err(_) => None,
        };
        let key = stored.as_ref().map(|stored| self.verifying_key(stored)).transpose()?;
        let rules = self.rules(stored.as_ref().map(|stored| stored.account.number));
        let verified = tertulia_token::verify(unverified, key.as_ref(), &rules).map_err(Refused::Token)?;
        let claim = ChatClaim::read(&verified).map_err(Refused::Token)?;
        // Verifying refused every token without a key.
        let Some(StoredCredentials { account, key: Some(key), .. }) = stored else {
            return Err(Error::Broken("a token was verified without a key".to_owned()).into());
        };
        let service = Sid::parse(claim.service_sid()).map_err(|cause| Error::Broken(cause.to_string()))?;
        let bearer = Bearer::of(&verified, account.number, service, key.sid);
        let dies = Timestamp::from_seconds(rules.dies_at(&verified));
        let caller = Caller::system(account.number, account.sid);
        Ok(Verified { account, claim, bearer, dies, caller })
    }

    /// What a token says of itself, if it is a good one of the caller's account, whatever was revoked.
    pub async fn signed_by(&self, caller: &Caller, token: &str) -> Outcome<Option<Bearer>> {
        match self.verify(token).await {
            Ok(verified) => Ok(Some(verified.bearer).filter(|bearer| bearer.account == caller.account)),
            Err(Refused::Token(_) | Refused::Revoked(_)) => Ok(None),
            Err(Refused::Other(error)) => Err(error),
        }
    }

    /// Whether a token is good now, and if not, why: without letting anybody in. Of another account's tokens and
    /// keys nothing is said.
    pub async fn look_at(&self, caller: &Caller, token: &str) -> Result<Bearer, Refused> {
        if let Some(sid) = tertulia_token::issuer_of(token).and_then(|issuer| Sid::parse(&issuer).ok()) {
            let stored = self.find_credentials(Credentials::Key(sid)).await?;
            if stored.is_some_and(|stored| stored.account.number != caller.account) {
                return Err(Error::refused(Code::TokenIssuer, format!("no key {sid} in this account")).into());
            }
        }
        let Verified { account, claim, bearer, caller, .. } = self.verify(token).await?;
        let found = self.ask(&caller, FindClaimed::of(&account, &claim, &bearer)).await?;
        claim.check(&found.known).map_err(Refused::Token)?;
        found.revoked.map_or(Ok(bearer), |entry| Err(Refused::Revoked(Box::new(entry))))
    }

    /// Explains a token, or what somebody took for one, with all that the caller's account has. What other
    /// accounts have stays unknown.
    pub async fn explain(&self, caller: &Caller, token: &str) -> Outcome<serde_json::Value> {
        let stored = match tertulia_token::issuer_of(token).and_then(|issuer| Sid::parse(&issuer).ok()) {
            Some(sid) => self.find_credentials(Credentials::Key(sid)).await?,
            None => None,
        };
        let stored = stored.filter(|stored| stored.account.number == caller.account);
        let key = stored.as_ref().map(|stored| self.verifying_key(stored)).transpose()?;
        let payload = tertulia_token::decode_unchecked(token).map(|(_, payload)| payload).unwrap_or_default();
        let grants = &payload["grants"];
        let chat = if grants["chat"].is_object() { &grants["chat"] } else { &grants["ip_messaging"] };
        let claimed = FindClaimed {
            bearer: None,
            service: chat["service_sid"].as_str().and_then(|sid| Sid::parse(sid).ok()),
            role: chat["deployment_role_sid"].as_str().and_then(|sid| Sid::parse(sid).ok()),
        };
        let known = self.ask(caller, claimed).await?.known;
        let explanation = {
            let rules = self.rules(Some(caller.account));
            let key = key.as_ref().map_or(KeyGiven::Unknown, KeyGiven::Known);
            tertulia_token::explain(token, &Given { rules, key, directory: Some(&known) })
        };
        let revoked = match &explanation.refusal {
            Some(_) => None,
            None => match self.look_at(caller, token).await {
                Err(Refused::Revoked(entry)) => Some(entry),
                _ => None,
            },
        };
        let mut json = explanation.to_json();
        json["text"] = explanation.to_string().into();
        json["revoked"] = revoked.map_or(serde_json::Value::Null, |entry| {
            serde_json::json!({"sid": entry.sid, "code": entry.named.code().number(), "reason": entry.reason()})
        });
        Ok(json)
    }

    /// Looks credentials up, for REST and for tokens alike. Those of dev mode that everybody knows exist
    /// on loopback only, whatever the store holds.
    pub async fn find_credentials(&self, credentials: Credentials) -> Outcome<Option<StoredCredentials>> {
        let may_be_fixed = self.dev.as_ref().is_some_and(|dev| dev.are_fixed);
        if crate::dev::are_fixed(&credentials) && !may_be_fixed {
            return Ok(None);
        }
        self.ask(&self.nobody(), FindCredentials(credentials)).await
    }

    /// A caller for looking up who calls: it has no account yet.
    pub fn nobody(&self) -> Caller {
        Caller::system(AccountNumber(0), Sid::<AccountKind>::from_number(0))
    }

    fn rules(&self, account: Option<AccountNumber>) -> Rules {
        let now = account.map_or_else(|| self.clock.machine(), |account| self.clock.now(account));
        let tokens = &self.config.tokens;
        Rules::at(now.seconds()).leeway(tokens.leeway_seconds).grace(tokens.grace_seconds).region(tokens.region.clone())
    }

    fn verifying_key(&self, stored: &StoredCredentials) -> Outcome<Key> {
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
        match self.ask(caller, find.clone()).await? {
            Some(user) => Ok(user),
            None => self.perform(caller, find).await,
        }
    }
}

/// A token that its key has signed.
struct Verified {
    account: Account,
    claim: ChatClaim,
    bearer: Bearer,
    dies: Timestamp,
    caller: Caller,
}

/// Looks up what a token claims, and whether it was revoked: one snapshot.
struct FindClaimed {
    bearer: Option<Bearer>,
    service: Option<Sid<ServiceKind>>,
    role: Option<Sid<RoleKind>>,
}

impl FindClaimed {
    fn of(account: &Account, claim: &ChatClaim, bearer: &Bearer) -> Self {
        let own = claim.account_sid() == account.sid.as_str();
        Self {
            bearer: Some(bearer.clone()),
            service: Sid::parse(claim.service_sid()).ok().filter(|_| own),
            role: claim.deployment_role_sid().and_then(|role| Sid::parse(role).ok()),
        }
    }
}

/// What there is of what a token claims.
struct Found {
    known: Known,
    revoked: Option<Revocation>,
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
