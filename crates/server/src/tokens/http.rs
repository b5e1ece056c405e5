//! `/token` for browsers and apps, joined to a login that exists already; minting for backends; and whose an
//! identity is.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use serde::Serialize;
use tertulia_protocol::rest::ErrorBody;
use tertulia_protocol::sid::{Key, Service};
use tertulia_protocol::{Code, Cursor, Sid};

use super::commands::{ListOwners, Prepare, ReleaseIdentity};
use super::{BACKEND, Issued, Noted, Order, Owner, Refusal, note};
use crate::accounts::Status;
use crate::http::peer::{From as Origin, Peer, bundled};
use crate::http::{Line, chain, refuse};
use crate::login::finding::{Check, Inquiry};
use crate::login::page::Page;
use crate::login::policy::Grants;
use crate::login::sources::{Asked, Found};
use crate::login::{Denial, Login};
use crate::platform::{Call, Caller, Error, Ids, Outcome, PageRequest, Reply, Route, Surface, Who, ids};
use crate::revocations::commands::IsLoginEnded;
use crate::{App, dev, routes};

/// The routes.
pub const ROUTES: &[Route] = routes![
    Own Post "/Tokens" CreateToken => create;
    OwnManage Get "/Owners" ListOwner => list_owners;
    OwnManage Delete "/Owners/{Identity}" DeleteOwner => release;
];

/// The status for a source that sends elsewhere.
const BAD_GATEWAY: u16 = 502;
/// The longest subject that is taken.
const SUBJECT_BYTES_MAX: usize = 1024;

#[derive(Serialize)]
struct TokenBody<'a> {
    token: &'a str,
    identity: &'a str,
    service_sid: Sid<Service>,
    /// Unix seconds, like the two below: no calendar is needed to count with them.
    expires_at: i64,
    refresh_after: i64,
    server_time: i64,
}

impl<'a> TokenBody<'a> {
    fn of(issued: &'a Issued) -> Self {
        Self {
            token: &issued.token,
            identity: &issued.identity,
            service_sid: issued.service,
            expires_at: issued.expires.seconds(),
            refresh_after: issued.refresh.seconds(),
            server_time: issued.now.seconds(),
        }
    }
}

/// A token for a named identity, for backends: the account's credentials vouch for whoever it is.
async fn create(call: Call) -> Outcome<Reply> {
    let form = &call.form;
    let text = |name: &str| form.owned(name).filter(|text| !text.is_empty());
    let config = &call.app.config.login;
    let ttl_seconds = match text("Ttl") {
        None => config.ttl_seconds.min(config.ttl_seconds_max),
        Some(text) => {
            let ttl = text.parse().ok().filter(|ttl| (1..=config.ttl_seconds_max).contains(ttl));
            ttl.ok_or(Refusal::Ttl { max: config.ttl_seconds_max })?
        }
    };
    let order = Order {
        service: text("ServiceSid"),
        identity: form.required("Identity")?.to_owned(),
        role: text("RoleSid"),
        ttl_seconds,
        grants: Grants { push_credential: text("PushCredentialSid"), ..Grants::default() },
    };
    let key = match &call.caller.who {
        Who::Account { key, .. } => *key,
        Who::User(_) | Who::Operator => None,
    };
    let outcome = match within_rate(&call.app, &call.caller, &order, None) {
        Ok(()) => call.app.mint(&call.caller, &order, None).await,
        Err(refusal) => Err(refusal.into()),
    };
    noted_backend(&call, &order, key, &outcome).await?;
    let issued = outcome?;
    Ok(Reply::created(&TokenBody::of(&issued)))
}

async fn noted_backend(call: &Call, order: &Order, key: Option<Sid<Key>>, outcome: &Outcome<Issued>) -> Outcome<()> {
    let noted = Noted {
        account: Some(call.caller.account_sid),
        source: BACKEND,
        subject: "",
        rule: "",
        identity: &order.identity,
        session: "",
        key: outcome.as_ref().ok().map(|issued| issued.key).or(key),
        address: call.caller.address,
        outcome: outcome.as_ref().map(|issued| issued.jti.as_str()).map_err(|error| chain(error)),
        inquiry: &Inquiry::default(),
    };
    note(&noted);
    call.app.note_issue(&call.caller, &noted, outcome).await
}

/// Counts a token for an identity, each login's apart: nobody uses up what is another's.
fn within_rate(app: &App, caller: &Caller, order: &Order, login: Option<&Login>) -> Result<(), Refusal> {
    let service = order.service.as_deref().unwrap_or_default();
    let (source, subject) = login.map_or((BACKEND, ""), |login| (&login.source, &login.subject));
    let name = (format!("{} {service} {source} {subject}", caller.account_sid), order.identity.clone());
    let taken = app.login.per_identity.take(name, app.db.clock.machine());
    taken.map_err(|retry_after| Refusal::TooMany { retry_after })
}

#[derive(Serialize)]
struct OwnerBody<'a> {
    identity: &'a str,
    chat_service_sid: Sid<Service>,
    source: &'a str,
    subject: &'a str,
    date_created: String,
    url: String,
}

async fn list_owners(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let service = call.query.sid("ServiceSid", Code::ParameterInvalid)?;
    let rows = call.ask(ListOwners { service, page: page.clone() }).await?;
    let cut = page.cut(rows, |owner| Cursor::new([owner.identity.clone()]));
    let url = format!("{}/tertulia/v1/Owners", call.origin);
    let body = |owner: &Owner| {
        serde_json::to_value(OwnerBody {
            identity: &owner.identity,
            chat_service_sid: owner.service,
            source: &owner.source,
            subject: &owner.subject,
            date_created: owner.created.seconds_text(),
            url: format!(
                "{url}/{}",
                percent_encoding::utf8_percent_encode(&owner.identity, percent_encoding::NON_ALPHANUMERIC)
            ),
        })
        .expect("a body has string keys and no failing parts")
    };
    let bodies = cut.map(|owner| body(&owner));
    Ok(page.reply(&bodies, &url, &call.query, "owners", &["ServiceSid"]))
}

async fn release(call: Call) -> Outcome<Reply> {
    let service = call.query.sid("ServiceSid", Code::ParameterInvalid)?;
    let identity = call.param("Identity").to_owned();
    call.perform(ReleaseIdentity { service, identity: identity.clone() }).await?;
    tracing::info!(target: "tokens", account = call.caller.account_sid.as_str(), identity, "an identity was released");
    Ok(Reply::no_content())
}

/// `/token`. In dev mode, who brings an identity and the password gets what dev mode gives.
pub async fn answer(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let is_for_dev = || query.split('&').any(|pair| pair.starts_with("identity=") || pair.starts_with("password="));
    if app.login.is_empty() || (app.dev.is_some() && is_for_dev()) {
        let address = Asking::of(&app, &parts).from.map(|from| from.address);
        return dev::token::answer(&app, &parts.method, query, address).await;
    }
    let began = app.db.clock.machine();
    let asking = Asking::of(&app, &parts);
    if parts.method == Method::OPTIONS {
        return asking.finish(Response::builder().status(StatusCode::NO_CONTENT), Body::empty());
    }
    let mut told = Told::default();
    let outcome = mint(&app, &parts, &asking, &mut told).await;
    let reason = |error: &Error| if told.reason.is_empty() { chain(error) } else { told.reason.clone() };
    let noted = Noted {
        account: told.caller.as_ref().map(|caller| caller.account_sid),
        source: &told.source,
        subject: &told.subject,
        rule: &told.rule,
        identity: &told.identity,
        session: &told.session,
        key: outcome.as_ref().ok().map(|issued| issued.key),
        address: asking.from.as_ref().map(|from| from.address),
        outcome: outcome.as_ref().map(|issued| issued.jti.as_str()).map_err(reason),
        inquiry: &told.inquiry,
    };
    note(&noted);
    let account = noted.account;
    let outcome = match remember(&app, told.caller.clone(), &noted, &outcome).await {
        Ok(()) => outcome,
        Err(failure) => Err(failure),
    };
    let request_id = format!("RQ{}", Ids::from_seed(ids::fresh_seed()).hex(16));
    let response = asking.respond(&outcome, told.bad_gateway, &request_id);
    Line {
        operation: "FetchToken",
        method: parts.method.as_str(),
        status: response.status().as_u16(),
        duration_us: app.db.clock.machine().micros() - began.micros(),
        account,
        request_id: &request_id,
        source: "rest",
    }
    .write();
    response
}

/// In the audit log of the account that logins come into. Whoever asks in a wrong way is nobody to remember.
async fn remember(app: &App, known: Option<Caller>, noted: &Noted<'_>, outcome: &Outcome<Issued>) -> Outcome<()> {
    if outcome.as_ref().is_err_and(|error| error.code() == Code::MethodNotAllowed) {
        return Ok(());
    }
    let caller = match known {
        Some(caller) => caller,
        None => match app.login_account().await {
            Ok(account) => Caller::system(account.number, account.sid),
            // Why there is none was said already.
            Err(_) => return Ok(()),
        },
    };
    app.note_issue(&caller, noted, outcome).await
}

/// What is learned on the way, for the log.
#[derive(Default)]
struct Told {
    caller: Option<Caller>,
    source: String,
    subject: String,
    rule: String,
    identity: String,
    session: String,
    /// What the caller is not told.
    reason: String,
    /// What the sources and the rules said.
    inquiry: Inquiry,
    /// Whether a source gave an answer that is none, as a redirect is.
    bad_gateway: bool,
}

async fn mint(app: &Arc<App>, parts: &Parts, asking: &Asking, told: &mut Told) -> Outcome<Issued> {
    let is_get = matches!(parts.method, Method::GET | Method::HEAD);
    if !(parts.method == Method::POST || (is_get && app.login.allow_get())) {
        return Err(Refusal::Method.into());
    }
    let from = asking.from.as_ref().ok_or_else(|| Error::Broken("a request without a peer".to_owned()))?;
    let caller = bundled(from.address).to_string();
    let taken = app.login.per_caller.take(caller, app.db.clock.machine());
    taken.map_err(|retry_after| Refusal::TooMany { retry_after })?;
    if asking.page.is_foreign && app.login.goes_by_itself(&parts.headers) {
        told.reason = asking.foreign(app);
        return Err(Refusal::Origin { page: asking.page.name(), own: from.origin.clone() }.into());
    }
    let asked = Asked { headers: &parts.headers, peer: asking.peer, is_get };
    let found = app.login.find(app, asked, &mut told.inquiry.sources).await;
    let login = somebody(found, told)?;
    told.subject.clone_from(&login.subject);
    told.session = login.session().unwrap_or_default();
    if told.session.is_empty() && login.facts.get("sid").is_some_and(|sid| !sid.is_null()) {
        let source = &told.source;
        tracing::warn!(target: "tokens", source, "a sid names no session: it must be a text or a whole number, and not too long");
    }
    mint_for(app, &login, told).await
}

/// Who it is that the sources found. The caller learns no more than that it is nobody, or that it cannot be said.
fn somebody(found: Option<Found>, told: &mut Told) -> Result<Login, Refusal> {
    let Some(found) = found else {
        "no source knows who this is".clone_into(&mut told.reason);
        return Err(Refusal::NotLoggedIn);
    };
    if let Some(said) = told.inquiry.sources.last() {
        told.source.clone_from(&said.source);
    }
    match found {
        Found::Login(login) => Ok(login),
        Found::Stranger(finding) | Found::Refused(finding) => {
            told.reason = finding.to_string();
            Err(Refusal::NotLoggedIn)
        }
        Found::Unavailable(finding) => {
            told.reason = finding.to_string();
            told.bad_gateway = finding.check == Check::Redirect;
            Err(if told.bad_gateway { Refusal::SourceRedirects } else { Refusal::SourceSilent })
        }
    }
}

async fn mint_for(app: &Arc<App>, login: &Login, told: &mut Told) -> Outcome<Issued> {
    if login.subject.len() > SUBJECT_BYTES_MAX || login.subject.contains('\0') {
        told.subject.clear();
        told.reason = format!("the subject has over {SUBJECT_BYTES_MAX} bytes, or a NUL");
        return Err(Refusal::Denied.into());
    }
    let decision = app.login.policy.decide(login).map_err(|denial: Denial| {
        denial.rule().unwrap_or_default().clone_into(&mut told.rule);
        told.inquiry.rules = app.login.policy.steps(login);
        told.reason = denial.to_string();
        Refusal::Denied
    })?;
    told.rule.clone_from(&decision.rule);
    told.identity.clone_from(&decision.identity);
    let account = app.login_account().await?;
    let caller = Caller::system(account.number, account.sid);
    told.caller = Some(caller.clone());
    if account.effective_status() != Status::Active {
        return Err(Refusal::AccountNotActive.into());
    }
    let order = Order {
        service: decision.service,
        identity: decision.identity,
        role: decision.role,
        ttl_seconds: decision.ttl_seconds,
        grants: decision.grants,
    };
    within_rate(app, &caller, &order, Some(login))?;
    let outcome = app.mint(&caller, &order, Some(login)).await;
    // Afterwards: what ends the login from now on ends this token with it.
    if app.db.ask(&caller, IsLoginEnded::of(login)).await? {
        let session = login.session().unwrap_or_else(|| login.every_session());
        told.reason = format!("the login session {session} was ended: it was revoked, or its provider said so");
        return Err(Refusal::LoginEnded.into());
    }
    match outcome {
        // Which key it is, and why, is the operator's to know.
        Err(Error::Refused(refusal)) if refusal.code == Code::Unavailable => {
            told.reason = refusal.message.unwrap_or_default();
            tracing::error!(target: "tokens", reason = told.reason, "the token endpoint cannot sign");
            let text = "No Access Token can be signed just now; the operator finds the reason in the log";
            Err(Error::refused(Code::Unavailable, text))
        }
        // The caller chose nothing of it: a service or a role that is not there is the policy's fault.
        Err(Error::Refused(refusal)) if refusal.code != Code::Conflict => {
            told.reason = format!("the rule cannot be carried out: {}", Error::Refused(refusal));
            Err(Refusal::Denied.into())
        }
        Err(Error::Refused(refusal)) if refusal.code == Code::Conflict => {
            if let Some(Owner { source, subject, .. }) = app.db.ask(&caller, Prepare(order.clone())).await?.owner {
                let Order { identity, .. } = &order;
                told.reason = format!(
                    "the identity {identity} belongs to {source}, {subject}, and this login is {}, {}",
                    login.source, login.subject
                );
            }
            Err(Refusal::Taken.into())
        }
        outcome => outcome,
    }
}

/// Who asks, and what a browser may do with the answer.
struct Asking {
    peer: std::net::IpAddr,
    from: Option<Origin>,
    page: Page,
}

impl Asking {
    fn of(app: &App, parts: &Parts) -> Self {
        let peer = parts.extensions.get::<Peer>();
        let from = peer.map(|peer| Origin::read(&app.config.http, peer, &parts.headers));
        let own = from.as_ref().map(|from| from.origin.as_str());
        let page = Page::read(&app.config.login, own, &parts.headers);
        let unknown = std::net::IpAddr::from([0, 0, 0, 0]);
        Self { peer: peer.map_or(unknown, |peer| peer.address), from, page }
    }

    /// What a page of another origin was compared with, for the log.
    fn foreign(&self, app: &App) -> String {
        let http = &app.config.http;
        let own = self.from.as_ref().map_or("unknown", |from| from.origin.as_str());
        let whence = if http.public_url.is_empty() {
            "from the request's Host, as http.public_url is empty"
        } else {
            "http.public_url"
        };
        let allowed = &app.config.login.allowed_origins;
        format!(
            "origin of the page: found {}, expected {own} ({whence}) or one of login.allowed_origins, which are {allowed:?}",
            self.page.name()
        )
    }

    fn respond(&self, outcome: &Outcome<Issued>, bad_gateway: bool, request_id: &str) -> Response<Body> {
        let reply = match outcome {
            Ok(issued) => Reply::ok(&TokenBody::of(issued)),
            // The closed list of codes has none for this status.
            Err(error) if bad_gateway => {
                let code = error.code();
                Reply::new(BAD_GATEWAY, &ErrorBody { status: BAD_GATEWAY, ..error.body(code, code.title()) })
            }
            Err(error) => refuse(error, Surface::Own, "/token"),
        };
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut builder = Response::builder().status(status).header("Twilio-Request-Id", request_id);
        if let Some(seconds) = reply.retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(2)) {
            builder = builder.header(header::RETRY_AFTER, seconds);
        }
        match status {
            StatusCode::METHOD_NOT_ALLOWED => builder = builder.header(header::ALLOW, "POST"),
            StatusCode::UNAUTHORIZED => builder = builder.header(header::WWW_AUTHENTICATE, "Bearer"),
            _ => {}
        }
        if !self.page.wants_text {
            return self.finish(builder.header(header::CONTENT_TYPE, "application/json"), Body::from(reply.body));
        }
        let text = match outcome {
            Ok(issued) => issued.token.clone(),
            Err(error) => format!("{}\n", message(error)),
        };
        self.finish(builder.header(header::CONTENT_TYPE, "text/plain; charset=utf-8"), Body::from(text))
    }

    fn finish(&self, mut builder: axum::http::response::Builder, body: Body) -> Response<Body> {
        if let Some(allowed) = &self.page.allowed {
            builder = builder
                .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed)
                .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST")
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type")
                .header(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After, Twilio-Request-Id")
                .header(header::ACCESS_CONTROL_MAX_AGE, "600");
            if self.page.with_credentials {
                builder = builder.header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            }
        }
        builder
            .header(header::VARY, "Origin, Accept")
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .body(body)
            .expect("these headers are valid")
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::Refused(refusal) => refusal.message.clone().unwrap_or_else(|| refusal.code.title().to_owned()),
        _ => error.code().title().to_owned(),
    }
}

impl crate::login::Sources {
    /// Whether a request brings what a browser sends along by itself: a cookie, or a proxy's word for one.
    fn goes_by_itself(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(header::COOKIE) || self.proxy_headers().any(|name| headers.contains_key(name))
    }
}
