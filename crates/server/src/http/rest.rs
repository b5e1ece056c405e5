//! A REST request, from its bytes to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use tertulia_protocol::sid::{Account, Service};
use tertulia_protocol::{Code, Sid};
use tokio::time::timeout;

use super::answer::refuse;
use super::auth::authenticate;
use super::log::Line;
use super::peer::{From, Peer};
use crate::audit::Evidence;
use crate::platform::{AccountNumber, Call, Caller, Error, Form, Ids, Method, Outcome, Reply, Surface, Who, ids};
use crate::router::{self, Found, Mounted};
use crate::{App, accounts, keys};

/// The header in which the operator says for which account a request is.
pub const ACCOUNT_HEADER: &str = "tertulia-account";

/// Answers whatever no other route took.
pub(super) async fn answer(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let began = app.db.clock.machine();
    let request_id = format!("RQ{}", Ids::from_seed(ids::fresh_seed()).hex(16));
    let method = request.method().clone();
    if method == axum::http::Method::OPTIONS {
        return preflight();
    }
    let mut noted = Noted::default();
    let path = request.uri().path().to_owned();
    let reply = match dispatch(&app, request, &mut noted).await {
        Ok(reply) => reply,
        Err(error) => refuse(&error, Surface::V1, below_mount(&path)),
    };
    Line {
        operation: noted.operation.as_deref().unwrap_or("none"),
        method: method.as_str(),
        status: reply.status,
        duration_us: app.db.clock.machine().micros() - began.micros(),
        account: noted.account,
        request_id: &request_id,
        source: "rest",
    }
    .write();
    respond(reply, &request_id)
}

/// What the log line learns on the way.
#[derive(Default)]
struct Noted {
    operation: Option<String>,
    account: Option<Sid<Account>>,
}

async fn dispatch(app: &Arc<App>, request: Request, noted: &mut Noted) -> Outcome<Reply> {
    let (parts, body) = request.into_parts();
    let from = from(app, &parts)?;
    let path = parts.uri.path();
    let (mounted, params) = match Method::parse(parts.method.as_str()).map(|method| router::find_rest(method, path)) {
        Some(Found::Route(mounted, params)) => (mounted, params),
        Some(Found::Nothing) => return Err(Error::not_found(Code::NotFound)),
        // A method that nothing here has: the path decides between "not found" and "not so".
        None if matches!(router::find_rest(Method::Get, path), Found::Nothing) => {
            return Err(Error::not_found(Code::NotFound));
        }
        Some(Found::OtherMethod) | None => {
            return Err(Error::refused(Code::MethodNotAllowed, format!("{} is not allowed here", parts.method)));
        }
    };
    noted.operation = Some(mounted.operation());
    let caller = who_calls(app, &parts.headers, from.address).await?;
    if let Who::Account { key: Some(key), .. } = &caller.who {
        let now = app.db.clock.now(caller.account).micros();
        app.uses.note(caller.account, *key, Evidence { last_called: now, ..Evidence::default() });
    }
    keys::may(&caller.who, mounted.route.surface, mounted.route.permission().as_deref())?;
    let caller = for_account(app, caller, &mounted, &params, &parts.headers).await?;
    noted.account = (caller.account != AccountNumber(0)).then_some(caller.account_sid);
    let service = named_service(&mounted, &params)?;
    let bytes = read_body(app, body).await?;
    // The helper libraries send a form's content type on GET too; a body there means nothing.
    let form = if mounted.route.method == Method::Post { Form::parse(&bytes)? } else { Form::default() };
    let call = Call {
        app: app.clone(),
        db: app.db.clone(),
        caller,
        origin: from.origin,
        path: below_mount(path).to_owned(),
        params,
        query: Form::parse(parts.uri.query().unwrap_or_default().as_bytes())?,
        form,
        body: Vec::new(),
        service,
    };
    let faults = app.faults.as_ref().filter(|_| !matches!(mounted.route.surface, Surface::Own | Surface::Operator));
    let Some(faults) = faults else { return (mounted.route.handler)(call).await };
    let caller = call.caller.clone();
    let perform = async {
        let outcome = (mounted.route.handler)(call).await;
        outcome.unwrap_or_else(|error| refuse(&error, Surface::V1, below_mount(path)))
    };
    Ok(faults.around(&caller, parts.method.as_str(), path, perform).await)
}

/// Who calls, unless they, or others of their address, are to wait.
async fn who_calls(app: &App, headers: &HeaderMap, address: IpAddr) -> Outcome<Caller> {
    let now = app.db.clock.machine();
    app.throttle.request_from(address, now)?;
    app.throttle.may_try(address, now)?;
    let header = header_bytes(headers, "authorization");
    let outcome = authenticate(app, header, hooks(headers)).await;
    // Who shows nothing guesses nothing.
    if header.is_some() && matches!(&outcome, Err(error) if error.code() == Code::NotAuthenticated) {
        app.throttle.failed(address, now);
    }
    let caller = outcome?;
    if matches!(caller.who, Who::Account { .. }) {
        app.throttle.request(caller.account, now)?;
    }
    Ok(Caller { address: Some(address), ..caller })
}

/// Where a request comes from. Every connection of the port says it.
fn from(app: &App, parts: &Parts) -> Outcome<From> {
    let peer = parts.extensions.get::<Peer>();
    let peer = peer.ok_or_else(|| Error::Broken("a request without a peer".to_owned()))?;
    Ok(From::read(&app.config.http, peer, &parts.headers))
}

async fn read_body(app: &App, body: Body) -> Outcome<Bytes> {
    let http = &app.config.http;
    let time = Duration::from_secs(http.body_seconds.into());
    let read = timeout(time, to_bytes(body, http.body_bytes_max)).await.map_err(|_| {
        Error::parameter(format!("The body did not come within {} seconds (http.body_seconds)", http.body_seconds))
    })?;
    read.map_err(|_| {
        let max = http.body_bytes_max;
        Error::refused(Code::TooLarge, format!("The body has more than {max} bytes (http.body_bytes_max)"))
    })
}

fn header_bytes<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn hooks(headers: &HeaderMap) -> bool {
    header_bytes(headers, "x-twilio-webhook-enabled").is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

fn named_service(mounted: &Mounted, params: &[(&'static str, String)]) -> Outcome<Option<Sid<Service>>> {
    if !mounted.service_form {
        return Ok(None);
    }
    let text = params.iter().find(|(name, _)| *name == "ChatServiceSid").map_or("", |(_, value)| value);
    Sid::parse(text).map(Some).map_err(|_| Error::not_found(Code::NotFound))
}

/// The 2010 API names the account in the path: the caller's own or a subaccount, else it is not found. The
/// operator may name any account, there or in a header.
async fn for_account(
    app: &App,
    caller: Caller,
    mounted: &Mounted,
    params: &[(&'static str, String)],
    headers: &HeaderMap,
) -> Outcome<Caller> {
    let missing = || Error::not_found(Code::NotFound);
    let in_path = params.iter().find(|(name, _)| *name == "AccountSid").map(|(_, text)| Sid::parse(text));
    let in_path = in_path.transpose().map_err(|_| missing())?;
    let is_operator = matches!(caller.who, Who::Operator) && mounted.route.surface != Surface::Operator;
    let in_header = headers.get(ACCOUNT_HEADER).filter(|_| is_operator).map(HeaderValue::to_str);
    let in_header = in_header.map(|text| text.ok().and_then(|text| Sid::parse(text).ok()).ok_or_else(missing));
    let named = in_path.or(in_header.transpose()?);
    if is_operator && named.is_none() {
        return Err(accounts::Refusal::Unnamed.into());
    }
    app.standing_in(&caller, named).await
}

fn below_mount(path: &str) -> &str {
    let mounts = ["/v1", "/2010-04-01", router::OWN_MOUNT];
    mounts.iter().find_map(|mount| path.strip_prefix(mount)).unwrap_or(path)
}

fn respond(reply: Reply, request_id: &str) -> Response<Body> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder().status(status).header("Twilio-Request-Id", request_id);
    if status == StatusCode::UNAUTHORIZED {
        response = response.header(header::WWW_AUTHENTICATE, "Basic realm=\"Twilio API\"");
    }
    if let Some(seconds) = reply.retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    if !reply.body.is_empty() {
        response = response.header(header::CONTENT_TYPE, "application/json");
    }
    // An answer may hold a secret or a token, and is its caller's alone.
    allow_origin(response)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Twilio-Request-Id")
        .body(Body::from(reply.body))
        .expect("these headers are valid")
}

/// A browser may call from anywhere: it has to bring the credentials itself, cookies mean nothing here.
pub fn allow_origin(response: axum::http::response::Builder) -> axum::http::response::Builder {
    response.header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
}

fn preflight() -> Response<Body> {
    allow_origin(Response::builder().status(StatusCode::NO_CONTENT))
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS")
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, X-Twilio-Webhook-Enabled")
        .header(header::ACCESS_CONTROL_MAX_AGE, "86400")
        .body(Body::empty())
        .expect("these headers are valid")
}
