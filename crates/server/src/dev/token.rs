//! `GET /token?identity=…&password=…`: the contract of the usual demo apps, whose token URL can point here.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode, header};
use subtle::ConstantTimeEq;
use tertulia_protocol::Timestamp;

use super::DevCredentials;
use crate::App;
use crate::accounts::commands::FindAccount;
use crate::http::{allow_origin, chain};
use crate::keys::CannotSign;
use crate::login::finding::Inquiry;
use crate::platform::ids::fresh_seed;
use crate::platform::{Caller, Error, Form, Ids};
use crate::tokens::{DEV, Issued, Noted, Refusal, note};

/// Answers with the bare token, or with a text that says what to change.
pub async fn answer(app: &App, method: &Method, query: &str, address: Option<IpAddr>) -> Response<Body> {
    if method == Method::OPTIONS {
        return respond(StatusCode::NO_CONTENT, String::new());
    }
    let Some(dev) = &app.dev else {
        return respond(StatusCode::NOT_FOUND, "There is no token endpoint outside dev mode.\n".to_owned());
    };
    let Ok(query) = Form::parse(query.as_bytes()) else {
        return respond(StatusCode::BAD_REQUEST, "The query is not UTF-8.\n".to_owned());
    };
    // Its own clock may have been moved.
    let account = match app.db.ask(&Caller::nobody(), FindAccount(dev.account)).await {
        Ok(Some(account)) => account,
        Ok(None) => return failed(&Error::Broken("dev mode has no account".to_owned())),
        Err(failure) => return failed(&failure),
    };
    let now = app.db.clock.now(account.number);
    let identity = query.text("identity").unwrap_or_default();
    let caller = Caller::system(account.number, account.sid);
    let mut outcome = mint(dev, identity, query.text("password").unwrap_or_default(), now);
    if outcome.is_ok() {
        match app.to_sign(&caller, dev.key).await {
            Ok(Ok(_)) => {}
            Ok(Err(cause)) => outcome = Err(cannot_sign(dev, cause)),
            Err(failure) => return failed(&failure),
        }
    }
    let told = outcome.as_ref().map_err(|(_, text)| text.trim_end().to_owned());
    let noted = Noted {
        account: Some(account.sid),
        source: DEV,
        subject: "",
        rule: "",
        identity,
        session: "",
        key: outcome.is_ok().then_some(dev.key),
        address,
        outcome: told.map(|issued| issued.jti.as_str()),
        inquiry: &Inquiry::default(),
    };
    note(&noted);
    let issue = match &outcome {
        Ok(issued) => Ok(issued.clone()),
        Err((StatusCode::UNAUTHORIZED, _)) => Err(Refusal::NotLoggedIn.into()),
        Err((StatusCode::FORBIDDEN, _)) => Err(Refusal::AccountNotActive.into()),
        Err((StatusCode::SERVICE_UNAVAILABLE, text)) => Err(Refusal::NoSigner(text.clone()).into()),
        Err((_, text)) => Err(Error::parameter(text.as_str())),
    };
    if let Err(failure) = app.note_issue(&caller, &noted, &issue).await {
        return failed(&failure);
    }
    match outcome {
        Ok(issued) => respond(StatusCode::OK, issued.token),
        Err((status, text)) => respond(status, text),
    }
}

/// Whoever develops is the operator, too, and may know it all.
fn cannot_sign(dev: &DevCredentials, cause: CannotSign) -> (StatusCode, String) {
    let status = match cause {
        CannotSign::AccountNotActive => StatusCode::FORBIDDEN,
        CannotSign::Gone | CannotSign::Suspended | CannotSign::Restricted => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("No token: the key {} of dev mode {cause}. `tertulia key list` shows the keys.\n", dev.key))
}

fn mint(dev: &DevCredentials, identity: &str, password: &str, now: Timestamp) -> Result<Issued, (StatusCode, String)> {
    // Demo apps show the text of a 401 to whoever signs in, and take every other status for a fault of the server.
    if identity.is_empty() || password.is_empty() {
        let text = "No credentials: give an identity and the password, as in /token?identity=alice&password=…\n";
        return Err((StatusCode::UNAUTHORIZED, text.to_owned()));
    }
    if !bool::from(password.as_bytes().ct_eq(dev.password.as_bytes())) {
        let text = "Wrong password. `tertulia dev` prints the password of its token endpoint when it starts.\n";
        return Err((StatusCode::UNAUTHORIZED, text.to_owned()));
    }
    let signed = dev.sign(identity, now.seconds(), &mut Ids::from_seed(fresh_seed()));
    let signed = signed.map_err(|refusal| (StatusCode::BAD_REQUEST, format!("{refusal}\n")))?;
    let expires = Timestamp::from_seconds(signed.expires_at);
    Ok(Issued {
        token: signed.token,
        jti: signed.jti,
        session: None,
        identity: identity.to_owned(),
        service: dev.service,
        key: dev.key,
        now,
        expires,
        refresh: expires,
    })
}

fn failed(failure: &Error) -> Response<Body> {
    tracing::error!(cause = %chain(failure), "dev mode could not give a token");
    respond(StatusCode::SERVICE_UNAVAILABLE, "There is no token just now; the log says why.\n".to_owned())
}

fn respond(status: StatusCode, text: String) -> Response<Body> {
    allow_origin(Response::builder().status(status))
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, OPTIONS")
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, "*")
        .body(Body::from(text))
        .expect("these headers are valid")
}
