//! `GET /token?identity=…&password=…`: the contract of the usual demo apps, whose token URL can point here.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Method, Response, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::App;
use crate::accounts::commands::FindAccount;
use crate::http::allow_origin;
use crate::platform::Form;

/// Answers with the bare token, or with a text that says what to change.
pub async fn answer(State(app): State<Arc<App>>, method: Method, RawQuery(query): RawQuery) -> Response<Body> {
    if method == Method::OPTIONS {
        return respond(StatusCode::NO_CONTENT, String::new());
    }
    let Some(dev) = &app.dev else {
        return respond(StatusCode::NOT_FOUND, "There is no token endpoint outside dev mode.\n".to_owned());
    };
    let Ok(query) = Form::parse(query.unwrap_or_default().as_bytes()) else {
        return respond(StatusCode::BAD_REQUEST, "The query is not UTF-8.\n".to_owned());
    };
    let password = query.text("password").unwrap_or_default();
    if !bool::from(password.as_bytes().ct_eq(dev.password.as_bytes())) {
        let text = "Wrong password. `tertulia dev` prints the password of its token endpoint when it starts.\n";
        return respond(StatusCode::UNAUTHORIZED, text.to_owned());
    }
    // By the account's own clock, which may have been moved.
    let now = match app.ask(&app.nobody(), FindAccount(dev.account)).await {
        Ok(Some(account)) => app.clock.now(account.number).seconds(),
        _ => app.clock.machine().seconds(),
    };
    match dev.mint(query.text("identity").unwrap_or_default(), now) {
        Ok(token) => respond(StatusCode::OK, token),
        Err(refusal) => respond(StatusCode::BAD_REQUEST, format!("{refusal}\n")),
    }
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
