//! Transactions of revocations: making them, taking them back, and what the nodes read.

use tertulia_protocol::sid::{Key, Revocation as RevocationKind};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_token::TOLERANCE_MAX;

use super::events::Revoked;
use super::{NAME_BYTES_MAX, Named, Refusal, Revocation, expiry, queries};
use crate::audit::{Draft, Event, Facts};
use crate::keys;
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Change, Cx, Outcome, PageRequest, Question};

/// Revokes tokens, and ends the connections that they opened.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// Which tokens.
    pub named: Named,
    /// Of these, the ones that were issued until then; until now without it.
    pub issued_before: Option<Timestamp>,
    /// When the last of them is dead, if that is known better than by the longest lifetime.
    pub expires: Option<Timestamp>,
}

impl Change for Revoke {
    type Out = Revocation;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Revocation> {
        let account = cx.caller.account;
        let issued_before = match &self.named {
            Named::Identity(..) | Named::Service(_) => self.issued_before.unwrap_or(cx.now),
            _ => Timestamp::from_micros(i64::MAX),
        };
        match &self.named {
            Named::Token(name) | Named::Session(name) if name.len() > NAME_BYTES_MAX => {
                return Err(Refusal::TooLong.into());
            }
            Named::Identity(..) | Named::Service(_)
                if issued_before > cx.now.plus_micros(TOLERANCE_MAX * 1_000_000) =>
            {
                return Err(Refusal::Ahead.into());
            }
            Named::Key(sid) => {
                keys::may_manage(&cx.caller.who)?;
                keys::queries::find(cx.tx, account, *sid).await?.ok_or(keys::Refusal::NotFound)?;
                if let Some(entry) = queries::suspending(cx.tx, account, *sid).await? {
                    return Ok(entry);
                }
            }
            Named::Account => return Err(Refusal::NotOne.into()),
            _ => {}
        }
        let entry = note(cx, account, self.named.clone(), Some(issued_before), true, self.expires).await?;
        cx.audit(Draft::by(cx.caller, Event::RevocationCreated, facts(&entry)));
        Ok(entry)
    }
}

fn facts(entry: &Revocation) -> Facts {
    let mut facts = Facts { target: Some(entry.sid.to_string()), ..Facts::default() };
    match &entry.named {
        Named::Token(jti) => facts.jti = Some(jti.clone()),
        Named::Identity(identity, service) => (facts.identity, facts.service) = (Some(identity.clone()), *service),
        Named::Service(service) => facts.service = Some(*service),
        Named::Key(key) => facts.key = Some(*key),
        Named::Session(_) | Named::Account => {}
    }
    facts.detail = Some(serde_json::json!({"kind": entry.named.word(), "value": entry.named.value()}));
    facts
}

async fn note(
    cx: &mut Cx<'_, '_>,
    account: AccountNumber,
    named: Named,
    issued_before: Option<Timestamp>,
    refuses: bool,
    expires: Option<Timestamp>,
) -> Outcome<Revocation> {
    let issued_before = issued_before.unwrap_or(Timestamp::from_micros(i64::MAX));
    let expires = expires.or_else(|| expiry(&named, refuses, issued_before, cx.now));
    let sid = cx.ids.sid();
    let entry = Revocation { account, sid, named, issued_before, refuses, created: cx.now, expires };
    queries::insert(cx.tx, &entry).await?;
    cx.emit(&Revoked(&entry));
    Ok(entry)
}

/// Ends the connections of an account's tokens, or of those that one key signed, after the commit. What refuses
/// these tokens from now on is the account's status, or that the key is gone.
pub async fn end_connections(cx: &mut Cx<'_, '_>, account: AccountNumber, key: Option<Sid<Key>>) -> Outcome<()> {
    let named = key.map_or(Named::Account, Named::Key);
    if let Some(key) = key {
        queries::delete_of_key(cx.tx, account, key).await?;
    }
    note(cx, account, named, None, false, None).await.map(drop)
}

/// Finds one of the account's entries.
#[derive(Clone, Copy, Debug)]
pub struct GetRevocation(pub Sid<RevocationKind>);

impl Question for GetRevocation {
    type Out = Revocation;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Revocation> {
        let found = queries::find(cx.tx, cx.caller.account, self.0).await?;
        Ok(found.filter(|entry| entry.refuses).ok_or(Refusal::NotFound)?)
    }
}

/// Lists the account's entries.
#[derive(Clone, Debug)]
pub struct ListRevocations(pub PageRequest);

impl Question for ListRevocations {
    type Out = Vec<Revocation>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Revocation>> {
        queries::list(cx.tx, cx.caller.account, self.0.created_span(OLDEST)?).await
    }
}

/// Takes an entry back: what it named is let in again, unless something else refuses it.
#[derive(Clone, Copy, Debug)]
pub struct TakeBack(pub Sid<RevocationKind>);

impl Change for TakeBack {
    type Out = Revocation;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Revocation> {
        let account = cx.caller.account;
        let found = queries::find(cx.tx, account, self.0).await?;
        let entry = found.filter(|entry| entry.refuses).ok_or(Refusal::NotFound)?;
        if let Named::Key(_) = entry.named {
            keys::may_manage(&cx.caller.who)?;
        }
        queries::delete(cx.tx, account, self.0).await?;
        cx.audit(Draft::by(cx.caller, Event::RevocationDeleted, facts(&entry)));
        Ok(entry)
    }
}

/// Whether a login session was ended. Whoever mints for sessions asks before.
#[derive(Clone, Debug)]
pub struct IsSessionRevoked(pub String);

impl Question for IsSessionRevoked {
    type Out = bool;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<bool> {
        Ok(queries::of_session(cx.tx, cx.caller.account, &self.0).await?.is_some())
    }
}

/// Reads what was noted in all accounts after a moment and an entry.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The moment, by the database's clock, and the SID of the entry.
    pub after: (i64, String),
    /// Entries at most.
    pub limit: usize,
}

/// What was noted.
#[derive(Debug)]
pub struct NotedEntries {
    /// The database's time before they were read.
    pub now: i64,
    /// Each entry with its moment.
    pub entries: Vec<(Revocation, i64)>,
}

impl Question for Noted {
    type Out = NotedEntries;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<NotedEntries> {
        let now = queries::shared_now(cx.tx).await?;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let entries = queries::noted_since(cx.tx, (self.after.0, &self.after.1), limit).await?;
        Ok(NotedEntries { now, entries })
    }
}

/// Accounts whose entries die, each with the first death.
#[derive(Clone, Copy, Debug)]
pub struct FirstDeaths;

impl Question for FirstDeaths {
    type Out = Vec<(AccountNumber, Timestamp)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        queries::accounts(cx.tx).await
    }
}

/// Removes dead entries of the caller's account, so many at most; gives how many.
#[derive(Clone, Copy, Debug)]
pub struct Purge(pub usize);

impl Change for Purge {
    type Out = u64;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<u64> {
        let limit = i64::try_from(self.0).unwrap_or(i64::MAX);
        queries::purge(cx.tx, cx.caller.account, cx.now, limit).await
    }
}
