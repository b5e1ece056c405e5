//! Transactions of API keys.

use serde_json::json;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::Key as KeyKind;
use tertulia_store::seal::KeyRing;
use tertulia_token::Secret;

use super::events::KeyEvent;
use super::{CannotSign, Key, Kind, Policy, Refusal, may_create, may_manage, queries, secret_place};
use crate::accounts::commands::Credentials;
use crate::audit::{self, Draft, Event};
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Caller, Change, Cx, Outcome, PageRequest, Question, text};
use crate::revocations::commands::end_connections;
use crate::{App, accounts, tokens};

fn check_name(name: &str) -> Outcome<()> {
    text::storable("FriendlyName", name)?;
    if name.chars().count() > 64 { Err(Refusal::NameTooLong.into()) } else { Ok(()) }
}

/// Creates a key. The secret is in the answer, and nowhere else ever again.
#[derive(Clone)]
pub struct CreateKey {
    /// Its SID; a random one unless given.
    pub sid: Option<Sid<KeyKind>>,
    /// Its secret; a random one unless given.
    pub secret: Option<String>,
    /// What it may do.
    pub kind: Kind,
    /// Its name.
    pub friendly_name: String,
    /// What a Restricted key may do.
    pub policy: Option<Policy>,
    /// What seals the secret.
    pub ring: KeyRing,
}

impl Change for CreateKey {
    type Out = (Key, String);

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        may_create(&cx.caller.who, cx.caller.source, self.kind)?;
        let account = cx.caller.account;
        create(cx, account, self).await
    }
}

/// Creates a key of an account; whether the caller may is the asker's business.
pub async fn create(cx: &mut Cx<'_, '_>, account: AccountNumber, new: &CreateKey) -> Outcome<(Key, String)> {
    let (key, secret) = insert(cx, account, new).await?;
    cx.audit_in(account, Draft::on(cx.caller, Event::KeyCreated, key.sid.as_str()));
    Ok((key, secret))
}

async fn insert(cx: &mut Cx<'_, '_>, account: AccountNumber, new: &CreateKey) -> Outcome<(Key, String)> {
    check_name(&new.friendly_name)?;
    check_policy(new.kind, new.policy.as_ref())?;
    // The lock keeps others from counting the same keys.
    accounts::queries::get_locked(cx.tx, account).await?;
    if queries::count(cx.tx, account).await? >= cx.limits.keys_max {
        return Err(Refusal::TooMany.into());
    }
    let sid = new.sid.unwrap_or_else(|| cx.ids.sid());
    let secret = new.secret.clone().unwrap_or_else(|| cx.ids.secret());
    let sealed = new.ring.seal(&secret_place(&sid), secret.as_bytes(), cx.ids.nonce());
    let row = queries::NewKey {
        account,
        sid,
        kind: new.kind,
        friendly_name: &new.friendly_name,
        policy: new.policy.as_ref(),
        secret: sealed,
    };
    let key = queries::insert(cx.tx, row, cx.now).await?;
    cx.emit(&KeyEvent::Created { after: Box::new(key.clone()) });
    Ok((key, secret))
}

/// Creates the key that takes the place of another one: of its kind, with its name and its policy. If the other one
/// signs for the token endpoint, the new one does from this commit on.
#[derive(Clone)]
pub struct SucceedKey {
    /// The key that is to go. It stays until it is deleted.
    pub sid: Sid<KeyKind>,
    /// The key that the configuration of this node names for the token endpoint: then that signs.
    pub login_key: Option<Sid<KeyKind>>,
    /// What seals the secret.
    pub ring: KeyRing,
}

/// A key that took another one's place.
pub struct Successor {
    /// The key.
    pub key: Key,
    /// Its secret, which is in this answer and nowhere else ever again.
    pub secret: String,
    /// Whether it signs for the token endpoint from now on.
    pub is_signer: bool,
}

impl Change for SucceedKey {
    type Out = Successor;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Successor> {
        // Main keys, too: who may manage keys has all that a Main key has, and this one has no more.
        may_manage(&cx.caller.who)?;
        let account = cx.caller.account;
        // Before the key: locks are taken in one order, and whoever makes a signer waits here.
        accounts::queries::get_locked(cx.tx, account).await?;
        let old = queries::find_locked(cx.tx, account, self.sid).await?.ok_or(Refusal::NotFound)?;
        let new = CreateKey {
            sid: None,
            secret: None,
            kind: old.kind,
            friendly_name: old.friendly_name,
            policy: old.policy,
            ring: self.ring.clone(),
        };
        let (key, secret) = insert(cx, account, &new).await?;
        let is_signer = tokens::commands::hand_signing_over(cx, self.sid, &key).await? && self.login_key.is_none();
        let mut draft = Draft::on(cx.caller, Event::KeyCreated, key.sid.as_str());
        draft.facts.detail = Some(json!({"replaces": self.sid, "signs_for_token_endpoint": is_signer}));
        cx.audit(draft);
        Ok(Successor { key, secret, is_signer })
    }
}

fn check_policy(kind: Kind, policy: Option<&Policy>) -> Outcome<()> {
    match (kind, policy) {
        (Kind::Restricted, None) => Err(Refusal::PolicyMissing.into()),
        (Kind::Main | Kind::Standard, Some(_)) => Err(Refusal::PolicyUnwanted.into()),
        _ => Ok(()),
    }
}

/// Finds one of the account's keys.
#[derive(Clone, Debug)]
pub struct GetKey(pub Sid<KeyKind>);

impl Question for GetKey {
    type Out = Key;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Key> {
        may_manage(&cx.caller.who)?;
        Ok(queries::find(cx.tx, cx.caller.account, self.0).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Lists the account's keys.
#[derive(Clone, Debug)]
pub struct ListKeys(pub PageRequest);

impl Question for ListKeys {
    type Out = Vec<Key>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Key>> {
        may_manage(&cx.caller.who)?;
        let span = self.0.created_span(OLDEST)?;
        queries::list(cx.tx, cx.caller.account, span).await
    }
}

/// Changes a key; `None` leaves a thing as it is.
#[derive(Clone, Debug)]
pub struct UpdateKey {
    /// Which.
    pub sid: Sid<KeyKind>,
    /// Its name.
    pub friendly_name: Option<String>,
    /// What a Restricted key may do from now on.
    pub policy: Option<Policy>,
}

impl Change for UpdateKey {
    type Out = Key;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Key> {
        may_manage(&cx.caller.who)?;
        let before = queries::find_locked(cx.tx, cx.caller.account, self.sid).await?.ok_or(Refusal::NotFound)?;
        let mut key = before.clone();
        if let Some(name) = &self.friendly_name {
            check_name(name)?;
            key.friendly_name.clone_from(name);
        }
        if let Some(policy) = &self.policy {
            check_policy(key.kind, Some(policy))?;
            key.policy = Some(policy.clone());
        }
        if self.friendly_name.is_none() && self.policy.is_none() {
            return Ok(key);
        }
        let after = queries::update(cx.tx, &key, cx.now).await?.ok_or(Refusal::NotFound)?;
        cx.audit(Draft::on(cx.caller, Event::KeyUpdated, key.sid.as_str()));
        cx.emit(&KeyEvent::Updated { before: Box::new(before), after: Box::new(after.clone()) });
        Ok(after)
    }
}

/// Deletes a key, at once and with every token it signed.
#[derive(Clone, Debug)]
pub struct DeleteKey(pub Sid<KeyKind>);

impl Change for DeleteKey {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        may_manage(&cx.caller.who)?;
        let key = queries::find_locked(cx.tx, cx.caller.account, self.0).await?.ok_or(Refusal::NotFound)?;
        queries::delete(cx.tx, &key).await?;
        audit::queries::forget(cx.tx, key.account, key.sid).await?;
        cx.audit(Draft::on(cx.caller, Event::KeyDeleted, key.sid.as_str()));
        end_connections(cx, key.account, Some(key.sid)).await?;
        cx.emit(&KeyEvent::Deleted { before: Box::new(key) });
        Ok(())
    }
}

impl App {
    /// The secret of a key that may sign Access Tokens of the caller's account, or why it may not.
    pub async fn to_sign(&self, caller: &Caller, sid: Sid<KeyKind>) -> Outcome<Result<Secret, CannotSign>> {
        let stored = self.find_credentials(Credentials::Key(sid)).await?;
        let stored = stored.filter(|stored| stored.account.number == caller.account);
        let Some((stored, key)) = stored.as_ref().and_then(|stored| Some((stored, stored.key.as_ref()?))) else {
            return Ok(Err(CannotSign::Gone));
        };
        if !stored.is_active() {
            return Ok(Err(CannotSign::AccountNotActive));
        }
        if stored.is_suspended {
            return Ok(Err(CannotSign::Suspended));
        }
        if key.kind == Kind::Restricted {
            return Ok(Err(CannotSign::Restricted));
        }
        let secret = stored.open(&self.sealer)?.pop();
        Ok(secret.and_then(|secret| secret.expose_str().map(Secret::new)).ok_or(CannotSign::Gone))
    }

    /// The key that the configuration lets sign (`login.key`).
    pub fn login_key(&self) -> Option<Sid<KeyKind>> {
        Sid::parse(&self.config.login.key).ok()
    }

    /// The keys that may sign for the token endpoint, in their order. They are read each time: a rotation counts at once.
    pub async fn signers(&self, caller: &Caller) -> Outcome<Vec<Sid<KeyKind>>> {
        let Some(first) = self.login_key() else {
            return Ok(self.db.ask(caller, FindSigner).await?.into_iter().collect());
        };
        let spare = self.config.login.spare_keys.iter().filter_map(|sid| Sid::parse(sid).ok());
        Ok(std::iter::once(first).chain(spare).collect())
    }

    /// The key that signs for the token endpoint, if there is one yet: where none can, the one that should.
    pub async fn signer(&self, caller: &Caller) -> Outcome<Option<Sid<KeyKind>>> {
        let candidates = self.signers(caller).await?;
        for sid in &candidates {
            if self.to_sign(caller, *sid).await?.is_ok() {
                return Ok(Some(*sid));
            }
        }
        Ok(candidates.first().copied())
    }
}

struct FindSigner;

impl Question for FindSigner {
    type Out = Option<Sid<KeyKind>>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        tokens::queries::signer(cx.tx, cx.caller.account).await
    }
}
