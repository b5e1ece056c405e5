//! `/tertulia/v1/Revocations`: revoking tokens, and taking that back.

use serde::Serialize;
use tertulia_protocol::sid::{Revocation as RevocationKind, Service};
use tertulia_protocol::{Code, Sid};

use super::commands::{GetRevocation, ListRevocations, Revoke, TakeBack};
use super::{Named, Refusal, Revocation};
use crate::platform::page::created_key;
use crate::platform::{Call, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
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
    let has_moment = matches!(entry.named, Named::Identity(..) | Named::Service(_));
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
    let entry = call.app.perform(&call.caller, Revoke { named, issued_before, expires }).await?;
    Ok(Reply::created(&body(&call, &entry)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let rows = call.app.ask(&call.caller, ListRevocations(page.clone())).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, &row));
    let url = format!("{}/tertulia/v1/Revocations", call.origin);
    Ok(page.reply(&bodies, &url, &call.query, "revocations", &[]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let entry = call.app.ask(&call.caller, GetRevocation(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&call, &entry)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.app.perform(&call.caller, TakeBack(call.sid("Sid")?)).await?;
    Ok(Reply::no_content())
}
