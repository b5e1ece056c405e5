//! Transactions of API keys.

use std::sync::Arc;

use tertulia_protocol::Sid;
use tertulia_protocol::sid::Key as KeyKind;
use tertulia_store::seal::Sealer;

use super::{Key, Kind, Refusal, queries, secret_place};
use crate::audit::{self, Draft, Event};
use crate::platform::page::OLDEST;
use crate::platform::{Change, Cx, Outcome, PageRequest, Question, Who, text};
use crate::revocations::commands::end_connections;

/// Refuses unless the caller may manage keys and accounts: the auth token and Main keys may.
pub async fn may_manage(cx: &mut Cx<'_, '_>) -> Outcome<()> {
    let sid = match &cx.caller.who {
        Who::Account { key: None } => return Ok(()),
        Who::User(_) => return Err(Refusal::NotAllowed.into()),
        Who::Account { key: Some(sid) } => *sid,
    };
    let key = queries::find(cx.tx, cx.caller.account, sid).await?;
    if key.is_some_and(|key| key.kind == Kind::Main) { Ok(()) } else { Err(Refusal::NotAllowed.into()) }
}

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
    /// What seals the secret.
    pub sealer: Arc<Sealer>,
}

impl Change for CreateKey {
    type Out = (Key, String);

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        may_manage(cx).await?;
        check_name(&self.friendly_name)?;
        let sid = self.sid.unwrap_or_else(|| cx.ids.sid());
        let secret = self.secret.clone().unwrap_or_else(|| cx.ids.secret());
        let sealed = self.sealer.seal(&secret_place(&sid), secret.as_bytes(), cx.ids.nonce());
        let account = cx.caller.account;
        let key = queries::insert(cx.tx, account, sid, self.kind, &self.friendly_name, sealed, cx.now).await?;
        cx.audit(Draft::on(cx.caller, Event::KeyCreated, sid.as_str()));
        Ok((key, secret))
    }
}

/// Finds one of the account's keys.
#[derive(Clone, Debug)]
pub struct GetKey(pub Sid<KeyKind>);

impl Question for GetKey {
    type Out = Key;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Key> {
        may_manage(cx).await?;
        Ok(queries::find(cx.tx, cx.caller.account, self.0).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Lists the account's keys.
#[derive(Clone, Debug)]
pub struct ListKeys(pub PageRequest);

impl Question for ListKeys {
    type Out = Vec<Key>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Key>> {
        may_manage(cx).await?;
        let span = self.0.created_span(OLDEST)?;
        queries::list(cx.tx, cx.caller.account, span).await
    }
}

/// Renames a key.
#[derive(Clone, Debug)]
pub struct RenameKey {
    /// Which.
    pub sid: Sid<KeyKind>,
    /// The new name; `None` leaves it.
    pub friendly_name: Option<String>,
}

impl Change for RenameKey {
    type Out = Key;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Key> {
        may_manage(cx).await?;
        let key = queries::find(cx.tx, cx.caller.account, self.sid).await?.ok_or(Refusal::NotFound)?;
        let name = self.friendly_name.as_ref().unwrap_or(&key.friendly_name);
        check_name(name)?;
        cx.audit(Draft::on(cx.caller, Event::KeyUpdated, self.sid.as_str()));
        Ok(queries::rename(cx.tx, &key, name, cx.now).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Deletes a key, at once and with every token it signed.
#[derive(Clone, Debug)]
pub struct DeleteKey(pub Sid<KeyKind>);

impl Change for DeleteKey {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        may_manage(cx).await?;
        let key = queries::find(cx.tx, cx.caller.account, self.0).await?.ok_or(Refusal::NotFound)?;
        queries::delete(cx.tx, &key).await?;
        audit::queries::forget(cx.tx, key.account, key.sid).await?;
        cx.audit(Draft::on(cx.caller, Event::KeyDeleted, key.sid.as_str()));
        end_connections(cx, key.account, Some(key.sid)).await
    }
}
