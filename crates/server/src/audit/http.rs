//! `/tertulia/v1/Audit`, and what is known of a key.

use serde::Serialize;
use tertulia_protocol::sid::{Audit as AuditKind, Key, Service};
use tertulia_protocol::{Code, Sid, Timestamp};

use super::commands::{GetEntry, GetEvidence, ListEntries};
use super::{Entry, Event, Filter, Refusal};
use crate::platform::page::created_key;
use crate::platform::{Call, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Own Get "/Audit" ListAudit => list;
    Own Get "/Audit/{Sid}" FetchAudit => fetch;
    Own Get "/Keys/{Sid}/Evidence" FetchKeyEvidence => evidence;
];

#[derive(Serialize)]
struct Body {
    sid: Sid<AuditKind>,
    date_created: String,
    event: &'static str,
    actor: String,
    address: Option<String>,
    source: Option<String>,
    rule: Option<String>,
    identity: Option<String>,
    service_sid: Option<Sid<Service>>,
    key_sid: Option<Sid<Key>>,
    jti: Option<String>,
    target: Option<String>,
    code: Option<u32>,
    detail: Option<serde_json::Value>,
    url: String,
}

fn body(call: &Call, entry: Entry) -> Body {
    let Entry { sid, created, draft } = entry;
    let facts = draft.facts;
    Body {
        sid,
        date_created: created.seconds_text(),
        event: draft.event.word(),
        actor: draft.actor,
        address: draft.address,
        source: facts.source,
        rule: facts.rule,
        identity: facts.identity,
        service_sid: facts.service,
        key_sid: facts.key,
        jti: facts.jti,
        target: facts.target,
        code: facts.code,
        detail: facts.detail,
        url: format!("{}/tertulia/v1/Audit/{sid}", call.origin),
    }
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let given = |name: &str| call.query.owned(name).filter(|text| !text.is_empty());
    let event = given("Event").map(|word| Event::parse(&word).ok_or(Refusal::EventUnknown)).transpose()?;
    let filter = Filter {
        event,
        identity: given("Identity"),
        key: call.query.sid("KeySid", Code::ParameterInvalid)?,
        since: call.query.date("StartDate", Code::ParameterInvalid)?,
        before: call.query.date("EndDate", Code::ParameterInvalid)?,
    };
    let rows = call.ask(ListEntries { filter, page: page.clone() }).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, row));
    let url = format!("{}/tertulia/v1/Audit", call.origin);
    Ok(page.reply(&bodies, &url, &call.query, "audit", &["Event", "Identity", "KeySid", "StartDate", "EndDate"]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let entry = call.ask(GetEntry(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&call, entry)))
}

#[derive(Serialize)]
struct EvidenceBody {
    key_sid: Sid<Key>,
    last_minted: Option<String>,
    last_used: Option<String>,
    last_called: Option<String>,
    latest_expiry: Option<String>,
    /// On this node.
    connections: usize,
    /// Whether a token of it may be alive.
    has_live_tokens: bool,
    /// Whether the token endpoint signs with it.
    signs_for_token_endpoint: bool,
    /// Whether the configuration of this node names it (`login.key`).
    is_login_key: bool,
    /// When the last token is dead that is known of.
    safe_to_delete_at: String,
    url: String,
}

async fn evidence(call: Call) -> Outcome<Reply> {
    let sid: Sid<Key> = call.sid("Sid")?;
    call.app.write_uses().await?;
    let evidence = call.ask(GetEvidence(sid)).await?;
    let holders = call.app.hub().holders(call.caller.account);
    let moment = |micros: i64| (micros > 0).then(|| Timestamp::from_micros(micros).seconds_text());
    let now = call.app.db.clock.now(call.caller.account);
    let dies = Timestamp::from_micros(evidence.latest_expiry)
        .plus_micros(call.app.config.tokens.grace_seconds * 1_000_000)
        .max(now);
    Ok(Reply::ok(&EvidenceBody {
        key_sid: sid,
        last_minted: moment(evidence.last_minted),
        last_used: moment(evidence.last_used),
        last_called: moment(evidence.last_called),
        latest_expiry: moment(evidence.latest_expiry),
        connections: holders.iter().filter(|holder| holder.bearer.key == sid).count(),
        has_live_tokens: dies > now,
        signs_for_token_endpoint: call.app.signer(&call.caller).await? == Some(sid),
        is_login_key: call.app.login_key() == Some(sid),
        safe_to_delete_at: dies.seconds_text(),
        url: format!("{}/tertulia/v1/Keys/{sid}/Evidence", call.origin),
    }))
}
