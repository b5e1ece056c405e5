//! The door: which upgrades become websockets, when, and with which bounds.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::socket::Connection;
use crate::App;
use crate::http::peer::{From, Peer};
use crate::login::finding::shown;
use crate::platform::origin;
use crate::platform::places::Place;

/// A larger message ends the connection with 1009 (docs/decisions/0005).
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Read buffer of a connection. The library's default is 128 KiB, for every idle phone.
const READ_BUFFER_BYTES: usize = 1024;
/// Bytes that are gathered before they are written without waiting for more. The library keeps the largest
/// buffer that it ever needed, so this is what a connection that was busy once goes on to cost.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// What a connection holds of the bounds while it lives.
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    _place: Arc<Place<IpAddr>>,
}

/// Opens a websocket, unless the server is full or going away: then 503, which clients try again.
pub async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(status) = app.faults.as_ref().and_then(|faults| faults.refuses_upgrade()) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return (status, "a fault that was asked for\n").into_response();
    }
    let from = From::read(&app.config.http, &peer, &headers);
    if !may_come_from(&app, &headers) {
        return foreign(&app, &headers, &from);
    }
    // Behind a proxy the address is known only now.
    let place = match peer.place {
        Some(place) => Some(place),
        None => app.take_place(from.address),
    };
    let Some(place) = place else {
        let text = "too many connections from this address; try again later\n";
        return unavailable(text);
    };
    if !let_in(&app).await {
        return unavailable("too many come at once; try again\n");
    }
    let Some(permit) = app.enter_connection() else {
        return unavailable("no more connections; try again\n");
    };
    let (address, origin) = (from.address, from.origin);
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(async move |socket| {
            let seat = Seat { _permit: permit, _place: place };
            // A task of its own: the library's holds room for everything that an upgrade once needed.
            tokio::spawn(Box::new(Connection::new(app, socket, address, origin, seat)).run());
        })
}

/// Waits for the upgrade's turn. A server that goes away lets nobody in and nobody wait. When the other side
/// goes away meanwhile, the request is dropped, and with it the place.
async fn let_in(app: &App) -> bool {
    let mut draining = app.draining();
    tokio::select! {
        biased;
        _ = draining.wait_for(|draining| *draining) => false,
        entered = app.gate.enter() => entered.is_ok(),
    }
}

/// What clients try again.
fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], text).into_response()
}

/// Browsers say which page opens a websocket; a page that is not listed stays out. Apps say nothing, and a
/// token is asked for in any case.
fn may_come_from(app: &App, headers: &HeaderMap) -> bool {
    let allowed = &app.config.realtime.allowed_origins;
    match headers.get("origin") {
        None => true,
        Some(origin) => allowed.iter().any(|one| {
            let same = |origin| one.eq_ignore_ascii_case(origin) || origin::is_same(one, origin);
            one == "*" || origin.to_str().is_ok_and(same)
        }),
    }
}

/// Names the origin of the page, and what it was compared with; the list itself is for the log.
fn foreign(app: &App, headers: &HeaderMap, from: &From) -> Response {
    let origin = headers.get("origin").map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
    let page = shown(&origin.into());
    let (allowed, public_url) = (&app.config.realtime.allowed_origins, &app.config.http.public_url);
    tracing::info!(
        target: "websocket", page, ?allowed, public_url, own = from.origin, address = %from.address,
        "refused: the page's origin is not in realtime.allowed_origins"
    );
    let text = format!(
        "this page may not connect: its origin {page} is not in realtime.allowed_origins (this server is {}, by \
         http.public_url or the request's Host)\n",
        from.origin
    );
    (StatusCode::FORBIDDEN, text).into_response()
}

/// Whether the websocket gave up because a message had more than [`MESSAGE_BYTES_MAX`]: the library only says it.
pub(super) fn is_too_large(cause: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(cause);
    while let Some(error) = source {
        if error.to_string().contains("too long") || error.to_string().contains("Space limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}
