//! `/token/logout`: an identity provider tells that somebody logged out (OpenID Connect Back-Channel Logout 1.0).
//!
//! What proves it is the logout token's signature, as with logins. A session that the token names ends; when it
//! names a subject only, everything ends that the subject has until now.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode, header};
use tertulia_protocol::sid::Account;
use tertulia_protocol::{Code, Sid, Timestamp};

use super::finding::Finding;
use super::jwt::Logout;
use super::policy::session;
use super::sources::Found;
use crate::App;
use crate::http::peer::{From as Origin, Peer};
use crate::http::{Line, chain};
use crate::platform::{Caller, Error, Form, Ids, Outcome, ids};
use crate::revocations::commands::EndLogin;
use crate::tokens::Refusal;

/// The largest form: one logout token.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Answers as the specification says: 200, or 400 with a reason.
pub async fn answer(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let began = app.db.clock.machine();
    let (parts, body) = request.into_parts();
    let mut told = Told::default();
    let outcome = take(&app, &parts, body, &mut told).await;
    if let Err(error) = &outcome {
        let reason = told.finding.map_or_else(|| chain(error), |finding| finding.to_string());
        tracing::info!(target: "tokens", reason, "a logout was refused");
    }
    let request_id = format!("RQ{}", Ids::from_seed(ids::fresh_seed()).hex(16));
    let response = respond(&outcome);
    Line {
        operation: "EndLogin",
        method: parts.method.as_str(),
        status: response.status().as_u16(),
        duration_us: app.db.clock.machine().micros() - began.micros(),
        account: told.account,
        request_id: &request_id,
        source: "rest",
    }
    .write();
    response
}

/// What is learned on the way, for the log.
#[derive(Default)]
struct Told {
    account: Option<Sid<Account>>,
    /// What stood against the token; whoever sent it is told which check it was, and no more.
    finding: Option<Finding>,
}

async fn take(app: &Arc<App>, parts: &Parts, body: Body, told: &mut Told) -> Outcome<()> {
    if !app.login.has_provider() {
        return Err(Refusal::NoEndpoint.into());
    }
    if parts.method != Method::POST {
        return Err(Refusal::Method.into());
    }
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Error::parameter("The form could not be read"))?;
    let form = Form::parse(&body)?;
    let token = form.required("logout_token")?;
    let now = app.db.clock.machine();
    let found = app.login.logout(token, now).await;
    let (logout, source) = found.map_err(|found| refused(found, told))?;
    let account = app.login_account().await?;
    told.account = Some(account.sid);
    let peer = parts.extensions.get::<Peer>();
    let address = peer.map(|peer| Origin::read(&app.config.http, peer, &parts.headers).address);
    let caller = Caller { address, ..Caller::system(account.number, account.sid) };
    if let Some(end) = end(source, &logout, now) {
        app.db.perform(&caller, end).await?;
    }
    // Only now: a provider may send again what could not be carried out.
    app.login.taken_logout(source, &logout, now);
    Ok(())
}

fn refused(found: Found, told: &mut Told) -> Error {
    match found {
        Found::Login(_) => Error::Broken("a logout token logged somebody in".to_owned()),
        Found::Unavailable(finding) => {
            told.finding = Some(finding);
            Refusal::SourceSilent.into()
        }
        Found::Refused(finding) => {
            let text =
                format!("The logout token is refused for its {}; the server's log says more", finding.check.label());
            told.finding = Some(finding);
            Error::parameter(text)
        }
        Found::Stranger(finding) => {
            told.finding = Some(finding);
            Error::parameter("logout_token is of no provider that is known here")
        }
    }
}

/// What ends with it.
fn end(source: &str, logout: &Logout, now: Timestamp) -> Option<EndLogin> {
    match (&logout.sid, &logout.subject) {
        (Some(sid), _) => session(source, sid).map(EndLogin::Session),
        (None, Some(subject)) => {
            Some(EndLogin::Subject { source: source.to_owned(), subject: subject.clone(), until: now })
        }
        (None, None) => None,
    }
}

fn respond(outcome: &Outcome<()>) -> Response<Body> {
    let (status, body) = match outcome {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => {
            let status = match error.code() {
                Code::NotFound => StatusCode::NOT_FOUND,
                Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
                code if code.status() >= 500 => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            let text = if status == StatusCode::BAD_REQUEST { chain(error) } else { error.code().title().to_owned() };
            (status, serde_json::json!({"error": "invalid_request", "error_description": text}).to_string())
        }
    };
    let mut builder = Response::builder().status(status).header(header::CACHE_CONTROL, "no-store");
    if !body.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        builder = builder.header(header::ALLOW, "POST");
    }
    builder.body(Body::from(body)).expect("these headers are valid")
}
