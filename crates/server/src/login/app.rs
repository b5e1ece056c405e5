//! The app's own session: the caller's cookie or header is shown to a URL of the app, which says who it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tertulia_protocol::Timestamp;

use super::Login;
use super::config::AppConfig;
use super::fetch::{self, Bounds, FetchError, Fetched};
use super::finding::{Check, Finding};
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
            return Found::Stranger(nothing_to_show(&self.config));
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

    async fn ask(&self, mut headers: HeaderMap) -> Found {
        let config = &self.config;
        headers.extend(config.headers.map().clone());
        let bounds = Bounds { time: Duration::from_millis(config.timeout_ms.into()), bytes: config.answer_bytes_max };
        match fetch::get(&config.url, headers, bounds).await {
            Ok(answer) => judge(config, &answer),
            Err(FetchError::Long(bytes)) => {
                let hint = "answer_bytes_max is the bound";
                Found::Unavailable(Finding::new(Check::AnswerSize, format!("over {bytes} bytes"), "less").hint(hint))
            }
            Err(cause) => Found::Unavailable(cause.finding()),
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

fn nothing_to_show(config: &AppConfig) -> Finding {
    let names: Vec<_> = config.forward.iter().map(|forwarded| forwarded.header().to_string()).collect();
    Finding::new(Check::Credential, format!("no header {}", names.join(", no header ")), names.join(" or "))
}

/// What an app's answer is worth. An app that sends people to a login page says nothing about who they are: that is
/// the configuration's fault, and not the person's.
fn judge(config: &AppConfig, answer: &Fetched) -> Found {
    if let Some(finding) = answer.redirect(&config.url) {
        return Found::Unavailable(finding);
    }
    let status = |found: u16| Finding::new(Check::Status, found.to_string(), "200 for a session, 401 without one");
    match answer.status {
        200 => {
            read(config, &answer.body).map_or_else(|cause| Found::Unavailable(unreadable(answer, &cause)), Found::Login)
        }
        401 | 403 => Found::Stranger(status(answer.status)),
        // Django answers this to a host that ALLOWED_HOSTS does not have.
        400 => Found::Unavailable(status(400).hint(format!("the header Host was {}", host(config)))),
        other => Found::Unavailable(status(other)),
    }
}

fn unreadable(answer: &Fetched, cause: &str) -> Finding {
    let kind = answer.content_type.as_deref().unwrap_or("no content type");
    Finding::new(Check::Answer, format!("{cause} ({kind})"), "a JSON object that names the person")
}

/// What the app is called by.
fn host(config: &AppConfig) -> String {
    let own = config.headers.map().get(header::HOST).and_then(|host| host.to_str().ok());
    own.or(config.url.split('/').nth(2)).unwrap_or_default().to_owned()
}

/// What of a request the app gets to see: of the headers that the configuration lists every value.
pub fn shown(config: &AppConfig, headers: &HeaderMap) -> HeaderMap {
    let names = config.forward.iter().map(|forwarded| forwarded.header());
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
    let facts: Value = serde_json::from_slice(body).map_err(|_| "what is not JSON")?;
    let subject = lookup(&facts, &config.subject).and_then(as_name).filter(|subject| !subject.is_empty());
    let subject = subject
        .ok_or_else(|| format!("JSON without a text or whole number \"{}\" (the key subject)", config.subject))?;
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
