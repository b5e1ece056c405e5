//! Transactions of API keys.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::Key as KeyKind;
use tertulia_store::seal::KeyRing;

use super::events::KeyEvent;
use super::{Key, Kind, Policy, Refusal, may_create, may_manage, queries, secret_place};
use crate::accounts;
use crate::audit::{self, Draft, Event};
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Change, Cx, Outcome, PageRequest, Question, text};
use crate::revocations::commands::end_connections;

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
    cx.audit_in(account, Draft::on(cx.caller, Event::KeyCreated, sid.as_str()));
    cx.emit(&KeyEvent::Created { after: Box::new(key.clone()) });
    Ok((key, secret))
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
