//! The one listening port: REST, the websocket's upgrade, the token endpoint, pages, health.
//!
//! A request is routed by the one table, authenticated, decoded and handed to its noun; the answer, or
//! the refusal with its documented code, is written here and nowhere else, and so is the log line.

mod answer;
mod auth;
mod log;
pub mod peer;
pub(crate) mod port;
mod rest;
pub(crate) mod throttle;
pub mod tls;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};

use crate::App;
use crate::platform::Caller;
use crate::{login, pages, realtime, tokens};

pub use answer::{chain, refuse};
pub use auth::OPERATOR;
pub use log::Line;
pub use rest::{ACCOUNT_HEADER, allow_origin};

/// The path that the SDK's `Twilsock.uri` option points to.
pub const REALTIME_PATH: &str = "/v3/wsconnect";

/// Everything that the port serves.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(REALTIME_PATH, any(realtime::upgrade::upgrade))
        .route("/token", any(tokens::http::answer))
        .route("/token/logout", any(login::logout::answer))
        .route("/", get(pages::index))
        .route("/demo", get(pages::demo))
        .route("/demo/", get(pages::demo))
        .route("/demo/{*file}", get(pages::file))
        .fallback(rest::answer)
        .with_state(app)
}

/// Alive is not yet ready: ready means that the store answers.
async fn ready(axum::extract::State(app): axum::extract::State<Arc<App>>) -> (StatusCode, &'static str) {
    let nobody = Caller::nobody();
    let question = crate::accounts::commands::FindAccount(nobody.account_sid);
    match app.db.ask(&nobody, question).await {
        Ok(_) if !app.is_draining() => (StatusCode::OK, "ready\n"),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}
