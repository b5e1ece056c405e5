//! An identity provider's JWT as a bearer token: its signature is checked against the provider's published
//! keys, which are kept for a while and read again when they rotate. What is in the token is [`jwt`]'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::Value;
use tertulia_protocol::Timestamp;
use tokio::sync::Semaphore;

use super::config::OidcConfig;
use super::fetch::{self, Bounds};
use super::finding::{Check, Finding};
pub use super::jwt::kind_of;
use super::jwt::{self, Logout, ProviderKeys, Taken, Unproved, Unread};
use super::sources::{Asked, Found};

/// The largest answer of a provider.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Seconds between two readings of the keys because of a key that is not among them.
const REREAD_SECONDS: i64 = 10;
/// Seconds that keys count at most when the provider does not answer.
const STALE_SECONDS_MAX: i64 = 86_400;

/// A provider and its keys, as far as they have been read.
pub(super) struct OidcSource {
    config: OidcConfig,
    keys: Mutex<Keys>,
    /// One reading at a time; the others wait for what it brings.
    reading: Semaphore,
    /// Logout tokens that were acted upon.
    taken: Mutex<Taken>,
}

#[derive(Clone, Default)]
struct Keys {
    list: Arc<ProviderKeys>,
    /// When they were read.
    read: Option<Timestamp>,
    /// When they were last read, or tried to be, for a key that is not among them.
    reread: Option<Timestamp>,
    /// When reading them failed, if it did the last time.
    failed: Option<Timestamp>,
    /// How often reading them was tried.
    attempts: u64,
}

impl OidcSource {
    pub(super) fn new(config: OidcConfig) -> Self {
        Self { config, keys: Mutex::default(), reading: Semaphore::new(1), taken: Mutex::default() }
    }

    /// Who a request is, by its bearer token. One of another issuer is somebody else's.
    pub(super) async fn find(&self, asked: &Asked<'_>, now: Timestamp) -> Found {
        let token = match bearer(asked.headers) {
            Ok(token) => token,
            Err(finding) => return Found::Stranger(finding),
        };
        match self.prove(token, &self.config.audience, now).await {
            Ok(claims) => jwt::login(claims, &self.config).map_or_else(Found::Refused, Found::Login),
            Err(found) => found,
        }
    }

    /// What a logout token says, once it is proved to be one of this provider's that has not come before.
    pub(super) async fn logout(&self, token: &str, now: Timestamp) -> Result<Logout, Found> {
        let own = &self.config.logout_audience;
        let audience = if own.is_empty() { &self.config.audience } else { own };
        let claims = self.prove(token, audience, now).await?;
        let wrong = |cause: &str| Found::Refused(Finding::new(Check::LogoutToken, cause, ""));
        let logout = Logout::read(&claims, &self.config).map_err(wrong)?;
        if self.taken().has(&logout, now) {
            return Err(wrong("one that has been taken already"));
        }
        Ok(logout)
    }

    /// Remembers a logout token that was acted upon, until it has expired.
    pub(super) fn taken_logout(&self, logout: &Logout, now: Timestamp) {
        self.taken().remember(logout, now);
    }

    /// The source's name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prove(&self, token: &str, audience: &[String], now: Timestamp) -> Result<Value, Found> {
        let token = Unproved::read(token, &self.config).map_err(|unread| match unread {
            Unread::Foreign(finding) => Found::Stranger(finding),
            Unread::Refused(finding) => Found::Refused(finding),
        })?;
        let mut keys = self.keys(now, false).await?;
        if !token.has_key(&keys) {
            keys = self.keys(now, true).await?;
        }
        token.prove(&keys, audience, now).map_err(Found::Refused)
    }

    fn known(&self) -> Keys {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The provider's keys: those that were read of late, or (`again`) read anew for a key that is not among
    /// them, though not more often than every few seconds.
    async fn keys(&self, now: Timestamp, again: bool) -> Result<Arc<ProviderKeys>, Found> {
        let since = |moment: Option<Timestamp>| moment.map_or(i64::MAX, |moment| now.seconds() - moment.seconds());
        let will_do = |keys: &Keys| {
            let is_fresh = (0..i64::from(self.config.cache_seconds)).contains(&since(keys.read));
            let not_again = !again || (0..REREAD_SECONDS).contains(&since(keys.reread));
            // A provider that does not answer is asked now and then, while there are keys of before.
            let is_away = keys.read.is_some() && (0..REREAD_SECONDS).contains(&since(keys.failed));
            (is_fresh && not_again) || is_away
        };
        let before = self.known();
        if will_do(&before) {
            return Ok(before.list);
        }
        let _one = self.reading.acquire().await;
        let meanwhile = self.known();
        if will_do(&meanwhile) {
            return Ok(meanwhile.list);
        }
        if meanwhile.attempts != before.attempts && meanwhile.failed.is_some() {
            // Who waited for an attempt that failed does not wait for one more.
            let finding = Finding::new(Check::ProviderKeys, "an attempt to read them that failed just now", "the keys");
            return Err(Found::Unavailable(finding));
        }
        let outcome = self.read().await;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.attempts += 1;
        if again {
            keys.reread = Some(now);
        }
        let source = self.config.name.as_str();
        match outcome {
            Ok(fresh) => {
                tracing::info!(target: "tokens", source, count = fresh.count(), "the provider's keys were read");
                (keys.list, keys.read, keys.failed) = (Arc::new(fresh), Some(now), None);
                Ok(Arc::clone(&keys.list))
            }
            Err(finding) => {
                keys.failed = Some(now);
                if since(keys.read) < STALE_SECONDS_MAX {
                    let cause = finding.to_string();
                    tracing::warn!(target: "tokens", source, cause, "the provider's keys could not be read again");
                    return Ok(Arc::clone(&keys.list));
                }
                Err(Found::Unavailable(finding))
            }
        }
    }

    async fn read(&self) -> Result<ProviderKeys, Finding> {
        let url = if self.config.jwks_url.is_empty() { self.discover().await? } else { self.config.jwks_url.clone() };
        let answer = self.fetch(&url).await?;
        ProviderKeys::read(&answer).map_err(|cause| unusable(&url, &cause, "a set of keys (JWKS)"))
    }

    async fn discover(&self) -> Result<String, Finding> {
        let issuer = &self.config.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = self.fetch(&url).await?;
        jwt::keys_url(issuer, &answer).map_err(|cause| unusable(&url, &cause, "the provider's configuration"))
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, Finding> {
        let bounds = Bounds { time: Duration::from_millis(self.config.timeout_ms.into()), bytes: ANSWER_BYTES_MAX };
        let asked = |finding: Finding| finding.hint(format!("asked {url} for the provider's keys"));
        let answer = fetch::get(url, HeaderMap::new(), bounds).await.map_err(|cause| asked(cause.finding()))?;
        match (answer.redirect(url), answer.status) {
            (Some(finding), _) => Err(finding),
            (None, 200) => Ok(answer.body),
            (None, status) => Err(asked(Finding::new(Check::Status, status.to_string(), "200"))),
        }
    }
}

fn unusable(url: &str, cause: &str, expected: &str) -> Finding {
    Finding::new(Check::Answer, cause, expected).hint(format!("asked {url} for the provider's keys"))
}

/// The bearer token of a request, or why it has none.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Finding> {
    let none = |found: &str| Finding::new(Check::Credential, found, "one header Authorization: Bearer …");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| none("no header Authorization"))?;
    if values.next().is_some() {
        return Err(none("several headers Authorization"));
    }
    let value = value.to_str().map_err(|_| none("a header Authorization that is not ASCII"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        // Without a space it may be a bare token.
        None => Err(Finding::new(Check::Scheme, "no scheme", "Bearer")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("dpop") => Err(Finding::new(Check::Scheme, "DPoP", "Bearer")
            .hint("the token is bound to its sender, and nobody checks the sender's proof yet")),
        Some((scheme, _)) => Err(Finding::new(Check::Scheme, scheme_name(scheme), "Bearer")),
    }
}

/// A scheme of the registry; what else stands there may be a part of a secret.
fn scheme_name(scheme: &str) -> &'static str {
    let known = ["Basic", "Digest", "Negotiate", "Hawk", "AWS4-HMAC-SHA256", "Token"];
    known.into_iter().find(|known| scheme.eq_ignore_ascii_case(known)).unwrap_or("another one")
}
