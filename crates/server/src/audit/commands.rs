//! Transactions of the audit log, and what writes it beside the requests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tertulia_protocol::sid::{Account as AccountKind, Audit as AuditKind, Key, Service};
use tertulia_protocol::{Sid, Timestamp};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{Draft, Entry, Event, Evidence, Facts, Filter, Refusal, Refused, RefusedToken, queries};
use crate::App;
use crate::accounts::commands::{Credentials, FindAccount};
use crate::keys::commands::GetKey;
use crate::keys::may_manage;
use crate::platform::page::NEWEST;
use crate::platform::{AccountNumber, Caller, Change, Cx, Outcome, PageRequest, Question};
use crate::tokens::{Issued, Noted};

/// Refused tokens that may wait to be noted; more are in the log alone.
pub const WAITING_MAX: usize = 256;
/// Refused tokens of one account that are noted in a minute.
const REFUSALS_PER_MINUTE: u32 = 100;
/// How often the uses of keys are written down.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Entries that are removed at once.
const BATCH: i64 = 500;

/// Notes what happened without any other change, such as a token that was minted.
#[derive(Clone, Debug)]
pub struct Note {
    /// What happened.
    pub draft: Draft,
    /// What it tells of a key.
    pub evidence: Option<(Sid<Key>, Evidence)>,
}

impl Change for Note {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        cx.audit(self.draft.clone());
        match self.evidence {
            Some((key, evidence)) => queries::add_evidence(cx.tx, cx.caller.account, key, evidence).await,
            None => Ok(()),
        }
    }
}

/// Finds one of the account's entries.
#[derive(Clone, Copy, Debug)]
pub struct GetEntry(pub Sid<AuditKind>);

impl Question for GetEntry {
    type Out = Entry;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Entry> {
        may_manage(&cx.caller.who)?;
        Ok(queries::find(cx.tx, cx.caller.account, self.0).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Lists the account's entries, the newest first.
#[derive(Clone, Debug)]
pub struct ListEntries {
    /// Which.
    pub filter: Filter,
    /// Which page.
    pub page: PageRequest,
}

impl Question for ListEntries {
    type Out = Vec<Entry>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<Entry>> {
        may_manage(&cx.caller.who)?;
        queries::list(cx.tx, cx.caller.account, &self.filter, self.page.created_span(NEWEST)?).await
    }
}

/// What is known of one of the account's keys.
#[derive(Clone, Copy, Debug)]
pub struct GetEvidence(pub Sid<Key>);

impl Question for GetEvidence {
    type Out = Evidence;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Evidence> {
        let key = GetKey(self.0).ask(cx).await?;
        queries::evidence(cx.tx, key.account, key.sid).await
    }
}

#[derive(Clone)]
struct WriteUses(Vec<(AccountNumber, Sid<Key>, Evidence)>);

impl Change for WriteUses {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        for (account, key, evidence) in &self.0 {
            queries::add_evidence(cx.tx, *account, *key, *evidence).await?;
        }
        Ok(())
    }
}

struct OldestEntries;

impl Question for OldestEntries {
    type Out = Vec<(AccountNumber, Timestamp)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        queries::accounts(cx.tx).await
    }
}

#[derive(Clone, Copy)]
struct Purge(Timestamp);

impl Change for Purge {
    type Out = u64;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<u64> {
        queries::purge(cx.tx, cx.caller.account, self.0, BATCH).await
    }
}

/// A token that was just minted, for [`App::note_minted`].
pub struct Minted<'a> {
    /// The source of logins, and the rule.
    pub source: &'a str,
    /// The rule that decided.
    pub rule: &'a str,
    /// The source's own name for somebody.
    pub subject: &'a str,
    /// Whom it is for.
    pub identity: &'a str,
    /// The chat service.
    pub service: Sid<Service>,
    /// The key that signed it.
    pub key: Sid<Key>,
    /// Its name.
    pub jti: &'a str,
    /// When it expires.
    pub expires: Timestamp,
    /// Where it was asked for.
    pub address: Option<IpAddr>,
}

/// Refusals that were noted in this minute: of an account, at the door or at the endpoint.
type Counts = HashMap<(AccountNumber, bool), u32>;

/// What a stranger said, as far as it is kept.
fn bounded(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(256).collect()
}

impl App {
    /// Notes a token that was minted; returns once that is durable, before the token is handed out.
    pub async fn note_minted(&self, caller: &Caller, minted: &Minted<'_>) -> Outcome<()> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let facts = Facts {
            source: text(minted.source),
            rule: text(minted.rule),
            identity: text(minted.identity),
            service: Some(minted.service),
            key: Some(minted.key),
            jti: text(minted.jti),
            detail: text(minted.subject).map(|subject| json!({"subject": subject})),
            ..Facts::default()
        };
        let mut draft = Draft::by(caller, Event::TokenMinted, facts);
        draft.address = minted.address.map(|address| address.to_string()).or(draft.address);
        let now = self.db.clock.now(caller.account).micros();
        let evidence = Evidence { last_minted: now, latest_expiry: minted.expires.micros(), ..Evidence::default() };
        self.db.perform(caller, Note { draft, evidence: Some((minted.key, evidence)) }).await
    }

    /// Notes a token that was minted, before it is handed out; or has noted in a quiet moment that there is none.
    pub async fn note_issue(&self, caller: &Caller, noted: &Noted<'_>, outcome: &Outcome<Issued>) -> Outcome<()> {
        let Noted { source, subject, rule, identity, address, .. } = *noted;
        match outcome {
            Ok(Issued { service, key, jti, expires, .. }) => {
                let (service, key, expires) = (*service, *key, *expires);
                let minted = Minted { source, rule, subject, identity, service, key, jti, expires, address };
                self.note_minted(caller, &minted).await
            }
            Err(error) => {
                let text = |text: &str| Some(bounded(text)).filter(|text| !text.is_empty());
                let reason = noted.outcome.as_ref().err().map(|reason| bounded(reason));
                let facts = Facts {
                    source: text(source),
                    rule: text(rule),
                    identity: text(identity),
                    key: noted.key,
                    code: Some(error.code().number()),
                    detail: Some(json!({
                        "subject": text(subject),
                        "reason": reason,
                        "sources": noted.inquiry.sources_json(),
                        "rules": noted.inquiry.rules_json(),
                    })),
                    ..Facts::default()
                };
                let mut draft = Draft::by(caller, Event::MintRefused, facts);
                draft.address = address.map(|address| address.to_string()).or(draft.address);
                self.note_refused(Refused::Mint(caller.clone(), Box::new(draft)));
                Ok(())
            }
        }
    }

    /// Has a refusal noted in a quiet moment. Whoever is refused waits for nothing.
    pub fn note_refused(&self, refused: Refused) {
        // A full queue is somebody who tries and tries; the log has every line.
        let _ = self.refused.try_send(refused);
    }

    /// Writes down what keys were used for.
    pub async fn write_uses(&self) -> Outcome<()> {
        let uses = self.uses.take();
        if uses.is_empty() { Ok(()) } else { self.db.perform(&Caller::nobody(), WriteUses(uses)).await }
    }

    /// Removes entries that are older than they may be, batch by batch.
    pub async fn purge_audit(&self) -> Outcome<()> {
        let kept = self.config.audit.retention_days * 86_400 * 1_000_000;
        for (account, oldest) in self.db.ask(&Caller::nobody(), OldestEntries).await? {
            let before = self.db.clock.now(account).plus_micros(-kept);
            let caller = Caller::system(account, Caller::nobody().account_sid);
            while oldest < before && self.db.perform(&caller, Purge(before)).await? == BATCH.unsigned_abs() {
                if self.is_draining() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whose account a refused token is for: its key's, or else the one that it names itself.
    async fn account_of(&self, token: &str) -> Outcome<Option<(Caller, Option<Sid<Key>>)>> {
        let key = tertulia_token::issuer_of(token).and_then(|issuer| Sid::parse(&issuer).ok());
        if let Some(key) = key
            && let Some(stored) = self.find_credentials(Credentials::Key(key)).await?
        {
            return Ok(Some((Caller::system(stored.account.number, stored.account.sid), Some(key))));
        }
        let payload = tertulia_token::decode_unchecked(token).map(|(_, payload)| payload).unwrap_or_default();
        let named = payload["sub"].as_str().and_then(|sub| Sid::<AccountKind>::parse(sub).ok());
        let Some(named) = named else { return Ok(None) };
        let account = self.db.ask(&Caller::nobody(), FindAccount(named)).await?;
        Ok(account.map(|account| (Caller::system(account.number, account.sid), key)))
    }

    async fn write_refused(&self, refused: Refused, counts: &mut Counts) -> Outcome<()> {
        let (caller, key) = match &refused {
            Refused::Mint(caller, _) => (caller.clone(), None),
            Refused::Token(token) => match self.account_of(&token.token).await? {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        let count = counts.entry((caller.account, matches!(refused, Refused::Mint(..)))).or_default();
        *count += 1;
        if *count > REFUSALS_PER_MINUTE {
            return Ok(());
        }
        let is_last = *count == REFUSALS_PER_MINUTE;
        let mut draft = match refused {
            Refused::Mint(_, draft) => *draft,
            Refused::Token(token) => self.draft_refused(&caller, key, &token).await?,
        };
        if let (true, Some(detail)) = (is_last, &mut draft.facts.detail) {
            detail["more_in_this_minute_are_not_noted"] = true.into();
        }
        self.db.perform(&caller, Note { draft, evidence: None }).await
    }

    async fn draft_refused(&self, caller: &Caller, key: Option<Sid<Key>>, refused: &RefusedToken) -> Outcome<Draft> {
        let explained = self.explain(caller, &refused.token).await?;
        let payload = &explained["payload"];
        let short = |value: &serde_json::Value| value.as_str().filter(|text| !text.contains('\0')).map(bounded);
        let facts = Facts {
            identity: short(&payload["grants"]["identity"]),
            key,
            jti: short(&payload["jti"]),
            code: Some(refused.code),
            detail: Some(json!({
                "reason": refused.reason.replace('\0', ""),
                "check": explained["failed_check"],
                "changes": explained["changes"],
            })),
            ..Facts::default()
        };
        let address = Some(refused.address.to_string());
        Ok(Draft { event: Event::TokenRefused, actor: "token".to_owned(), address, facts })
    }
}

/// Writes what waits until the server goes away, and then once more.
pub(crate) async fn run(app: Arc<App>, mut refused: mpsc::Receiver<Refused>) {
    let mut turn = tokio::time::interval(WRITE_EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draining = app.draining();
    let mut counts = HashMap::new();
    let (mut turns, mut is_over) = (0_u32, false);
    while !is_over {
        let token = tokio::select! {
            _ = draining.wait_for(|draining| *draining) => { is_over = true; None }
            token = refused.recv() => token,
            _ = turn.tick() => None,
        };
        let done = match token {
            Some(refused) => app.write_refused(refused, &mut counts).await,
            None => {
                counts.clear();
                turns += 1;
                let purged = if turns % 60 == 1 && !is_over { app.purge_audit().await } else { Ok(()) };
                app.write_uses().await.and(purged)
            }
        };
        if let Err(error) = done {
            tracing::error!(cause = %error, "the audit log could not be written");
        }
    }
}
