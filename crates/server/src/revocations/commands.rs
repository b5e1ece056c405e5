//! Transactions of revocations: making them, taking them back, what the nodes read; and what a token is worth now.

use tertulia_protocol::sid::{Key, Revocation as RevocationKind};
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_token::{Given, KeyGiven, TOLERANCE_MAX};

use super::events::Revoked;
use super::{Bearer, NAME_BYTES_MAX, Named, Refusal, Revocation, expiry, queries};
use crate::accounts::commands::Credentials;
use crate::audit::{Draft, Event, Facts};
use crate::login::Login;
use crate::login::policy::every_session;
use crate::platform::page::OLDEST;
use crate::platform::{AccountNumber, Caller, Change, Cx, Error, Outcome, PageRequest, Question};
use crate::tokens::Refused;
use crate::tokens::commands::{FindClaimed, Verified};
use crate::{App, keys, tokens};

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
            Named::Session(_) => self.issued_before.unwrap_or(Timestamp::from_micros(i64::MAX)),
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

/// Whether a login was ended: by its session, or with all that its subject had then. Whoever mints asks.
#[derive(Clone, Debug)]
pub struct IsLoginEnded {
    sessions: Vec<String>,
    issued: Timestamp,
}

impl IsLoginEnded {
    /// Of this login.
    pub fn of(login: &Login) -> Self {
        let sessions = login.session().into_iter().chain([login.every_session()]).collect();
        Self { sessions, issued: login.issued() }
    }
}

impl Question for IsLoginEnded {
    type Out = bool;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<bool> {
        for session in &self.sessions {
            if queries::of_session(cx.tx, cx.caller.account, session, self.issued).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Ends a login session, or all that a source's subject has until now.
#[derive(Clone, Debug)]
pub enum EndLogin {
    /// The session with this name.
    Session(String),
    /// Every session of a subject.
    Subject {
        /// The source's name.
        source: String,
        /// The source's own name for somebody.
        subject: String,
        /// Of the logins the ones that were vouched for until then, by the machine's clock.
        until: Timestamp,
    },
}

impl Change for EndLogin {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let (source, subject, until) = match self {
            Self::Session(session) => {
                let revoke = Revoke { named: Named::Session(session.clone()), issued_before: None, expires: None };
                return revoke.apply(cx).await.map(drop);
            }
            Self::Subject { source, subject, until } => (source, subject, *until),
        };
        // The logins themselves, which ask for tokens, and the tokens.
        let logins = Named::Session(every_session(source, subject));
        Revoke { named: logins, issued_before: Some(until), expires: None }.apply(cx).await?;
        for owner in tokens::queries::owned(cx.tx, cx.caller.account, source, subject).await? {
            let named = Named::Identity(owner.identity, Some(owner.service));
            Revoke { named, issued_before: None, expires: None }.apply(cx).await?;
        }
        Ok(())
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

impl App {
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
        let found = self.db.ask(&caller, FindClaimed::of(&account, &claim, &bearer)).await?;
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
        let known = self.db.ask(caller, claimed).await?.known;
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
        // In the words of the log line and of the audit entry: whoever has one of them finds the others by it.
        let refusal = explanation.refusal.as_ref().map(ToString::to_string);
        json["reason"] = refusal.or_else(|| revoked.as_ref().map(|entry| entry.reason())).into();
        json["revoked"] = revoked.map_or(serde_json::Value::Null, |entry| {
            serde_json::json!({"sid": entry.sid, "code": entry.named.code().number(), "reason": entry.reason()})
        });
        Ok(json)
    }
}
