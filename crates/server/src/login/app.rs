//! The app's own session: the caller's cookie or header is shown to a URL of the app, which says who it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tertulia_protocol::Timestamp;

use super::Login;
use super::config::{AppConfig, Forwarded};
use super::fetch::{self, Bounds, FetchError};
use super::policy::{as_name, lookup};
use super::sources::{Asked, Found};

/// Answers that are remembered at most; then the memory begins anew.
const REMEMBERED_MAX: usize = 10_000;

/// An app, and whom it knew of late.
pub(super) struct AppSource {
    config: AppConfig,
    /// By the hash of what was shown; the credential itself is not kept.
    remembered: Mutex<HashMap<[u8; 32], (Timestamp, Found)>>,
}

impl AppSource {
    pub(super) fn new(config: AppConfig) -> Self {
        Self { config, remembered: Mutex::default() }
    }

    /// Who a request is. One that brings nothing to show is a stranger without the app being asked.
    pub(super) async fn find(&self, asked: &Asked<'_>, now: Timestamp) -> Found {
        let shown = shown(&self.config, asked.headers);
        if shown.is_empty() {
            return Found::Stranger;
        }
        let hash = hash(&shown);
        if let Some(found) = self.recall(&hash, now) {
            return found;
        }
        let found = self.ask(shown).await;
        // A stranger is not remembered: who logs in just now may keep the same cookie.
        if let Found::Login(_) = found {
            self.remember(hash, now, &found);
        }
        found
    }

    async fn ask(&self, shown: HeaderMap) -> Found {
        let bounds =
            Bounds { time: Duration::from_millis(self.config.timeout_ms.into()), bytes: self.config.answer_bytes_max };
        match fetch::get(&self.config.url, shown, bounds).await {
            Ok(answer) => match answer.status {
                200 => read(&self.config, &answer.body).map_or_else(Found::Unavailable, Found::Login),
                401 | 403 => Found::Stranger,
                // Many apps send who is not logged in to a page; that page is not for us.
                300..=399 => {
                    tracing::warn!(
                        target: "tokens", source = self.config.name, status = answer.status,
                        "the app answered with a redirect, which counts as not logged in; 401 would be clearer"
                    );
                    Found::Stranger
                }
                status => Found::Unavailable(format!("the app answered {status}")),
            },
            // With the names of the keys: whoever reads it can do something about it.
            Err(cause @ FetchError::Late(_)) => Found::Unavailable(format!("{cause} (timeout_ms)")),
            Err(cause @ FetchError::Long(_)) => Found::Unavailable(format!("{cause} (answer_bytes_max)")),
            Err(cause) => Found::Unavailable(cause.to_string()),
        }
    }

    fn recall(&self, hash: &[u8; 32], now: Timestamp) -> Option<Found> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, found) = remembered.get(hash)?;
        let age = now.micros() - since.micros();
        (0..i64::from(self.config.cache_seconds) * 1_000_000).contains(&age).then(|| found.clone())
    }

    fn remember(&self, hash: [u8; 32], now: Timestamp, found: &Found) {
        if self.config.cache_seconds == 0 {
            return;
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(hash, (now, found.clone()));
    }
}

/// What of a request the app gets to see: of the headers that the configuration lists every value.
pub fn shown(config: &AppConfig, headers: &HeaderMap) -> HeaderMap {
    let names = config.forward.iter().map(|forwarded| match forwarded {
        Forwarded::Cookie => header::COOKIE,
        Forwarded::Authorization => header::AUTHORIZATION,
    });
    let mut shown = HeaderMap::new();
    for name in names {
        if !shown.contains_key(&name) {
            for value in headers.get_all(&name) {
                shown.append(&name, value.clone());
            }
        }
    }
    shown
}

/// Each value with its name and length: what is shown differently has another hash.
fn hash(shown: &HeaderMap) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, value) in shown {
        hash.update([u8::from(name == header::COOKIE)]);
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value.as_bytes());
    }
    hash.finalize().into()
}

/// Whom the app's answer names.
pub fn read(config: &AppConfig, body: &[u8]) -> Result<Login, String> {
    let facts: Value = serde_json::from_slice(body).map_err(|_| "the app's answer is not JSON")?;
    let subject = lookup(&facts, &config.subject).and_then(as_name).filter(|subject| !subject.is_empty());
    let subject =
        subject.ok_or_else(|| format!("the app's answer has no text or whole number \"{}\"", config.subject))?;
    Ok(Login { source: config.name.clone(), subject, facts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_people_never_have_one_number() {
        let text = r#"{"name": "site", "url": "http://127.0.0.1/me"}"#;
        let config: AppConfig = serde_json::from_str(text).unwrap();
        let subject = |body: &str| read(&config, body.as_bytes()).ok().map(|login| login.subject);
        assert_eq!(subject(r#"{"identity": 7}"#).as_deref(), Some("7"));
        assert_eq!(subject(r#"{"identity": 18446744073709551615}"#).as_deref(), Some("18446744073709551615"));
        for lossy in ["18446744073709551616", "18446744073709551617", "7.0", "0.1"] {
            assert_eq!(subject(&format!(r#"{{"identity": {lossy}}}"#)), None, "{lossy}");
        }
    }
}
