//! Pages: the demo chat, built by Vite from `web/` and embedded; without it, a page that says how to build it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode, header};
use rust_embed::RustEmbed;

use crate::App;

/// What `web/` built. `cargo build` without Node embeds nothing.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Built;

const PLACEHOLDER: &str = include_str!("placeholder.html");

/// The way to the demo.
pub async fn index() -> Response<Body> {
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(header::LOCATION, "/demo")
        .body(Body::empty())
        .expect("these headers are valid")
}

/// The demo page, with what it needs to know of this server in it.
pub async fn demo(State(app): State<Arc<App>>) -> Response<Body> {
    match Built::get("demo.html") {
        Some(file) => {
            let page = String::from_utf8_lossy(&file.data).replace("{\"tertulia\":null}", &facts(&app));
            respond("text/html; charset=utf-8", page.into_bytes(), false)
        }
        None => respond("text/html; charset=utf-8", PLACEHOLDER.as_bytes().to_vec(), false),
    }
}

/// In dev mode on loopback the page knows the documented password; elsewhere it asks for it.
fn facts(app: &App) -> String {
    let password = app.dev.as_ref().filter(|dev| dev.are_fixed).map(|dev| dev.password.clone());
    serde_json::json!({"tertulia": {"dev": app.dev.is_some(), "password": password}}).to_string()
}

/// A file that the demo page loads.
pub async fn file(Path(path): Path<String>) -> Response<Body> {
    // The page itself has facts to be put into it, and is served by `/demo` alone.
    match Built::get(&path).filter(|_| !path.starts_with('.') && path != "demo.html") {
        Some(file) => respond(media_type(&path), file.data.into_owned(), true),
        None => {
            let not_found = Response::builder().status(StatusCode::NOT_FOUND);
            not_found.body(Body::from("There is no such file.\n")).expect("no headers are valid headers")
        }
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("md" | "txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}

fn respond(media_type: &str, body: Vec<u8>, may_cache: bool) -> Response<Body> {
    // File names carry a hash of their content.
    let cache = if may_cache { "public, max-age=31536000, immutable" } else { "no-store" };
    Response::builder()
        .header(header::CONTENT_TYPE, media_type)
        .header(header::CACHE_CONTROL, cache)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(Body::from(body))
        .expect("these headers are valid")
}
