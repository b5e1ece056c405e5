//! `/tertulia/v1/Revocations`: revoking tokens, and taking that back; `/tertulia/v1/Tokens/…`: what a token is
//! worth now, and why.

use std::sync::Arc;

use serde::Serialize;
use tertulia_protocol::sid::{Key, Revocation as RevocationKind, Service};
use tertulia_protocol::{Code, Sid};

use super::commands::{GetRevocation, ListRevocations, Revoke, TakeBack};
use super::{Bearer, Named, Refusal, Revocation};
use crate::audit::commands::GetEntry;
use crate::audit::{self, Event};
use crate::platform::page::created_key;
use crate::platform::{Call, Error, Outcome, PageRequest, Reply, Route};
use crate::realtime::ends::Holder;
use crate::routes;
use crate::tokens::Refused;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Own Post "/Tokens/Introspect" IntrospectToken => introspect;
    Own Post "/Tokens/Explain" ExplainToken => explain;
    Own Post "/Revocations" CreateRevocation => create;
    Own Get "/Revocations" ListRevocation => list;
    Own Get "/Revocations/{Sid}" FetchRevocation => fetch;
    Own Delete "/Revocations/{Sid}" DeleteRevocation => delete;
];

#[derive(Serialize)]
struct Body {
    sid: Sid<RevocationKind>,
    kind: &'static str,
    /// What is named: a `jti`, a session, an identity, or a SID.
    value: String,
    service_sid: Option<Sid<Service>>,
    issued_before: Option<String>,
    date_created: String,
    /// When the last token that it names is dead; `null`: it stays until it is deleted.
    date_expires: Option<String>,
    url: String,
}

fn body(call: &Call, entry: &Revocation) -> Body {
    let service = match &entry.named {
        Named::Identity(_, service) => *service,
        Named::Service(service) => Some(*service),
        _ => None,
    };
    let has_moment = entry.issued_before.micros() != i64::MAX;
    Body {
        sid: entry.sid,
        kind: entry.named.word(),
        value: entry.named.value().to_owned(),
        service_sid: service,
        issued_before: has_moment.then(|| entry.issued_before.seconds_text()),
        date_created: entry.created.seconds_text(),
        date_expires: entry.expires.map(|at| at.seconds_text()),
        url: format!("{}/tertulia/v1/Revocations/{}", call.origin, entry.sid),
    }
}

async fn create(call: Call) -> Outcome<Reply> {
    let form = &call.form;
    let given = |name: &str| form.owned(name).filter(|text| !text.is_empty());
    let issued_before = form.date("IssuedBefore", Code::ParameterInvalid)?;
    let service = form.sid::<Service>("ServiceSid", Code::ParameterInvalid)?;
    let key = form.sid("KeySid", Code::ParameterInvalid)?;
    let mut expires = None;
    let mut named = Vec::new();
    if let Some(token) = given("Token") {
        let bearer = call.app.signed_by(&call.caller, &token).await?.ok_or(Refusal::NoToken)?;
        expires = Some(super::death(&bearer));
        named.extend(bearer.jti.as_deref().map(|jti| Named::Token(jti.to_owned())));
    }
    named.extend(given("Jti").map(Named::Token));
    named.extend(given("Session").map(Named::Session));
    named.extend(given("Identity").map(|identity| Named::Identity(identity, service)));
    named.extend(key.map(Named::Key));
    if named.is_empty() {
        named.extend(service.filter(|_| issued_before.is_some()).map(Named::Service));
    }
    let [named] = <[Named; 1]>::try_from(named).map_err(|_| Refusal::NotOne)?;
    let entry = call.perform(Revoke { named, issued_before, expires }).await?;
    Ok(Reply::created(&body(&call, &entry)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let rows = call.ask(ListRevocations(page.clone())).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, &row));
    let url = format!("{}/tertulia/v1/Revocations", call.origin);
    Ok(page.reply(&bodies, &url, &call.query, "revocations", &[]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let entry = call.ask(GetRevocation(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&call, &entry)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.perform(TakeBack(call.sid("Sid")?)).await?;
    Ok(Reply::no_content())
}

#[derive(Serialize)]
struct ConnectionBody {
    /// On this node.
    number: u64,
    address: String,
    date_connected: String,
}

#[derive(Default, Serialize)]
struct Standing {
    active: bool,
    /// What the client would be told.
    code: Option<u32>,
    reason: Option<String>,
    identity: Option<String>,
    service_sid: Option<Sid<Service>>,
    key_sid: Option<Sid<Key>>,
    jti: Option<String>,
    session: Option<String>,
    date_issued: Option<String>,
    date_expires: Option<String>,
    /// Those that the token has opened on this node.
    connections: Vec<ConnectionBody>,
}

async fn introspect(call: Call) -> Outcome<Reply> {
    let looked = call.app.look_at(&call.caller, call.form.required("Token")?).await;
    let refused =
        |code: u32, reason: String| Standing { code: Some(code), reason: Some(reason), ..Standing::default() };
    let standing = match looked {
        Ok(bearer) => good(&call, &bearer),
        Err(Refused::Token(refusal)) => refused(refusal.code.into(), refusal.to_string()),
        Err(Refused::Revoked(entry)) => refused(entry.named.code().number(), entry.reason()),
        Err(Refused::Other(Error::Refused(refusal))) => {
            refused(refusal.code.number(), refusal.message.unwrap_or_default())
        }
        Err(Refused::Other(failure)) => return Err(failure),
    };
    Ok(Reply::ok(&standing))
}

fn good(call: &Call, bearer: &Bearer) -> Standing {
    let holders = call.app.hub().holders(bearer.account);
    let own = holders.iter().filter(|holder| *holder.bearer == *bearer);
    let connection = |holder: &Arc<Holder>| ConnectionBody {
        number: holder.connection,
        address: holder.address.to_string(),
        date_connected: holder.since.seconds_text(),
    };
    Standing {
        active: true,
        code: None,
        reason: None,
        identity: Some(bearer.identity.to_string()),
        service_sid: Some(bearer.service),
        key_sid: Some(bearer.key),
        jti: bearer.jti.as_deref().map(str::to_owned),
        session: bearer.session.as_deref().map(str::to_owned),
        date_issued: Some(bearer.issued.seconds_text()),
        date_expires: Some(bearer.expires.seconds_text()),
        connections: own.map(connection).collect(),
    }
}

/// Of a token, or of a refused connection by its entry in the audit log.
async fn explain(call: Call) -> Outcome<Reply> {
    if let Some(sid) = call.form.sid("Refusal", Code::ParameterInvalid)? {
        let entry = call.ask(GetEntry(sid)).await?;
        let facts = entry.draft.facts;
        let detail = facts.detail.filter(|_| entry.draft.event == Event::TokenRefused);
        let detail = detail.ok_or(audit::Refusal::NotRefused)?;
        return Ok(Reply::ok(&serde_json::json!({
            "code": facts.code, "date_refused": entry.created.seconds_text(), "address": entry.draft.address,
            "identity": facts.identity, "jti": facts.jti, "key_sid": facts.key, "reason": detail["reason"],
            "failed_check": detail["check"], "changes": detail["changes"],
        })));
    }
    let token = call.form.required("Token")?;
    Ok(Reply::ok(&call.app.explain(&call.caller, token).await?))
}
