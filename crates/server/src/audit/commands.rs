//! Transactions of the audit log, and what writes it beside the requests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tertulia_protocol::sid::{Account as AccountKind, Audit as AuditKind, Key};
use tertulia_protocol::{Sid, Timestamp};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{Draft, Entry, Event, Evidence, Facts, Filter, KeyHistory, Refusal, Refused, RefusedToken, queries};
use crate::accounts::Status;
use crate::accounts::commands::{Credentials, FindAccount};
use crate::keys::commands::GetKey;
use crate::keys::may_manage;
use crate::login::policy::as_name;
use crate::platform::page::NEWEST;
use crate::platform::{AccountNumber, Caller, Change, Cx, Outcome, PageRequest, Question};
use crate::tokens::{self, Issued, KnownToken, Noted};
use crate::{App, accounts, keys, revocations};

/// Refused tokens that may wait to be noted; more are in the log alone.
pub const WAITING_MAX: usize = 256;
/// Refused tokens of one account that are noted in a minute.
const REFUSALS_PER_MINUTE: u32 = 100;
/// Of these, the ones for which the log is searched for what became of their key.
const HISTORIES_PER_MINUTE: u32 = 10;
/// How often the uses of keys are written down.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Entries that are removed at once.
pub const PURGE_BATCH: i64 = 500;

/// Notes what happened without any other change, such as a token that was minted.
#[derive(Clone, Debug)]
pub struct Note {
    /// What happened.
    pub draft: Draft,
    /// What it tells of a key.
    pub evidence: Option<(Sid<Key>, Evidence)>,
    /// The token that it tells of, to be remembered.
    pub token: Option<KnownToken>,
}

impl Change for Note {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        cx.audit(self.draft.clone());
        if let Some(token) = &self.token {
            tokens::queries::remember(cx.tx, cx.caller.account, token).await?;
        }
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

/// What became of a key, or of its account, so that its tokens are refused.
#[derive(Clone, Copy, Debug)]
pub struct AskKeyHistory(pub Sid<Key>);

impl Question for AskKeyHistory {
    type Out = Option<KeyHistory>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<KeyHistory>> {
        let (account, key) = (cx.caller.account, self.0);
        if keys::queries::find(cx.tx, account, key).await?.is_none() {
            let entry = queries::last(cx.tx, account, Event::KeyDeleted, key.as_str()).await?;
            let told = |entry: Entry| told(&format!("the key {key} was deleted"), &entry);
            return Ok(entry.map(|entry| KeyHistory { is_deleted: true, sentence: told(entry) }));
        }
        if let Some(revocation) = revocations::queries::suspending(cx.tx, account, key).await? {
            let entry = queries::last(cx.tx, account, Event::RevocationCreated, revocation.sid.as_str()).await?;
            let what = format!("the key {key} was suspended by {}", revocation.sid);
            let sentence = entry.map_or_else(|| what.clone(), |entry| told(&what, &entry));
            return Ok(Some(KeyHistory { is_deleted: false, sentence }));
        }
        let sentence = account_history(cx).await?;
        Ok(sentence.map(|sentence| KeyHistory { is_deleted: false, sentence }))
    }
}

/// Since when the account is not active. Of its parent only the state is told, which is another account's.
async fn account_history(cx: &mut Cx<'_, '_>) -> Outcome<Option<String>> {
    let account = accounts::queries::get(cx.tx, cx.caller.account).await?;
    if account.status == Status::Active {
        let (owner, status) = (account.owner, account.owner_status);
        let is_theirs = status != Status::Active;
        return Ok(
            is_theirs.then(|| format!("the account {owner}, the parent of {}, is {}", account.sid, status.word()))
        );
    }
    let what = format!("the account {} is {}", account.sid, account.status.word());
    let entry = queries::last(cx.tx, account.number, Event::AccountUpdated, account.sid.as_str()).await?;
    // A later change of its name says nothing of when this began.
    let entry = entry.filter(|entry| {
        let detail = entry.draft.facts.detail.as_ref();
        detail.is_some_and(|detail| detail["before"] != detail["after"])
    });
    Ok(Some(entry.map_or_else(|| what.clone(), |entry| told(&what, &entry))))
}

/// What happened, with the moment, who did it, and the entry.
fn told(what: &str, entry: &Entry) -> String {
    let who = match entry.draft.actor.as_str() {
        "account" => "the account's auth token",
        "operator" => "the operator",
        "system" => "the server",
        sid => sid,
    };
    format!("{what}: {} by {who} (audit entry {})", entry.created.seconds_text(), entry.sid)
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

/// Accounts with entries, each with the oldest one's moment.
#[derive(Clone, Copy, Debug)]
pub struct OldestEntries;

impl Question for OldestEntries {
    type Out = Vec<(AccountNumber, Timestamp)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        queries::accounts(cx.tx).await
    }
}

/// Removes a batch of the caller's entries from before a moment; gives how many.
#[derive(Clone, Copy, Debug)]
pub struct Purge(pub Timestamp);

impl Change for Purge {
    type Out = u64;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<u64> {
        queries::purge(cx.tx, cx.caller.account, self.0, PURGE_BATCH).await
    }
}

/// A token that was just minted, for [`App::note_minted`].
pub struct Minted<'a> {
    /// The source of logins.
    pub source: &'a str,
    /// The rule that decided.
    pub rule: &'a str,
    /// The source's own name for somebody.
    pub subject: &'a str,
    /// What is to be remembered of it.
    pub token: KnownToken,
    /// Where it was asked for.
    pub address: Option<IpAddr>,
}

/// Refusals that were noted in this minute: of an account, at the door or at the endpoint.
type Counts = HashMap<(AccountNumber, bool), u32>;

/// Whose a token is beyond its identity, as far as it is known.
fn whose(subject: Option<String>, session: Option<String>) -> Option<serde_json::Value> {
    let pairs = [("subject", subject), ("session", session)];
    let known = pairs.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    let detail: serde_json::Map<_, _> = known.collect();
    (!detail.is_empty()).then_some(detail.into())
}

/// What a stranger said, as far as it is kept.
fn bounded(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(256).collect()
}

impl App {
    /// Notes a token that was minted; returns once that is durable, before the token is handed out.
    pub async fn note_minted(&self, caller: &Caller, minted: &Minted<'_>) -> Outcome<()> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let token = minted.token.clone();
        let facts = Facts {
            source: text(minted.source),
            rule: text(minted.rule),
            identity: text(&token.identity),
            service: Some(token.service),
            key: Some(token.key),
            jti: text(&token.jti),
            detail: whose(text(minted.subject), token.session.clone()),
            ..Facts::default()
        };
        let mut draft = Draft::by(caller, Event::TokenMinted, facts);
        draft.address = minted.address.map(|address| address.to_string()).or(draft.address);
        let now = self.db.clock.now(caller.account).micros();
        let evidence = Evidence { last_minted: now, latest_expiry: token.expires.micros(), ..Evidence::default() };
        self.db.perform(caller, Note { draft, evidence: Some((token.key, evidence)), token: Some(token) }).await
    }

    /// Notes a token that was minted, before it is handed out; or has noted in a quiet moment that there is none.
    pub async fn note_issue(&self, caller: &Caller, noted: &Noted<'_>, outcome: &Outcome<Issued>) -> Outcome<()> {
        let Noted { source, subject, rule, identity, session, address, .. } = *noted;
        match outcome {
            Ok(issued) => {
                self.note_minted(caller, &Minted { source, rule, subject, token: issued.into(), address }).await
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
                        "session": text(session),
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
            Refused::Token(token) => {
                let searched = key.filter(|_| *count <= HISTORIES_PER_MINUTE);
                self.draft_refused(&caller, key, searched, &token).await?
            }
        };
        if let (true, Some(detail)) = (is_last, &mut draft.facts.detail) {
            detail["more_in_this_minute_are_not_noted"] = true.into();
        }
        self.db.perform(&caller, Note { draft, evidence: None, token: None }).await
    }

    /// What became of the key of a token, if it is the caller's and something did.
    pub(crate) async fn key_history(&self, caller: &Caller, key: Option<Sid<Key>>) -> Outcome<Option<KeyHistory>> {
        match key {
            Some(key) => self.db.ask(caller, AskKeyHistory(key)).await,
            None => Ok(None),
        }
    }

    async fn draft_refused(
        &self,
        caller: &Caller,
        key: Option<Sid<Key>>,
        searched: Option<Sid<Key>>,
        refused: &RefusedToken,
    ) -> Outcome<Draft> {
        let history = self.key_history(caller, searched).await?;
        let explained = self.explain_with(caller, &refused.token, history.as_ref()).await?;
        let payload = &explained["payload"];
        let short = |value: &serde_json::Value| Some(bounded(&as_name(value).filter(|text| !text.contains('\0'))?));
        let facts = Facts {
            identity: short(&payload["grants"]["identity"]),
            key,
            jti: short(&payload["jti"]),
            code: Some(refused.code),
            detail: Some(json!({
                "reason": refused.reason.replace('\0', ""),
                "check": explained["failed_check"],
                "changes": explained["changes"],
                "history": explained["history"],
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
    let mut is_over = false;
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
                app.write_uses().await
            }
        };
        if let Err(error) = done {
            tracing::error!(cause = %error, "the audit log could not be written");
        }
    }
}
