//! An identity provider's JWT as a bearer token: its signature is checked against the provider's published
//! keys, which are kept for a while and read again when they rotate.
//!
//! Algorithms are pinned by the configuration, and none of them is symmetric: a public key never becomes
//! a secret. Keys that the token itself brings or names (`jwk`, `jku`, `x5u`) are not looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, Uri, header};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use tertulia_protocol::Timestamp;
use tokio::sync::Semaphore;

use super::Login;
use super::config::OidcConfig;
use super::fetch::{self, Bounds};
use super::policy::lookup;
use super::sources::{Asked, Found};
use crate::revocations::NAME_BYTES_MAX;

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The largest answer of a provider.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Seconds between two readings of the keys because of a key that is not among them.
const REREAD_SECONDS: i64 = 10;
/// Seconds that keys count at most when the provider does not answer.
const STALE_SECONDS_MAX: i64 = 86_400;
/// Logout tokens that are remembered; a provider that sends more within their lifetimes may send one twice.
const TAKEN_MAX: usize = 100_000;
/// What a logout token is known by.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Algorithms that can be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "these are the names of RFC 7518")]
#[rustfmt::skip]
pub enum Algorithm {
    RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    fn pinned(self) -> jsonwebtoken::Algorithm {
        self.name().parse().expect("the library knows these names")
    }
}

/// A provider and its keys, as far as they have been read.
pub(super) struct OidcSource {
    config: OidcConfig,
    keys: Mutex<Keys>,
    /// One reading at a time; the others wait for what it brings.
    reading: Semaphore,
    /// Logout tokens that were acted upon, each with its end.
    taken: Mutex<HashMap<String, i64>>,
}

/// A logout that a provider tells of.
pub struct Logout {
    /// The provider's name of the login session.
    pub sid: Option<String>,
    /// The subject, all of whose sessions end when none is named.
    pub subject: Option<String>,
    jti: String,
    expires: i64,
}

impl Logout {
    /// By OpenID Connect Back-Channel Logout 1.0, section 2.6, after what holds for every token.
    fn read(claims: &Value, config: &OidcConfig) -> Result<Self, &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if !claims["events"][LOGOUT_EVENT].is_object() {
            return Err("the token is no logout token: its events name no such logout");
        }
        if claims.get("nonce").is_some() {
            return Err("a logout token has no nonce");
        }
        if !claims["iat"].is_number() {
            return Err("the logout token does not say when it was issued (iat)");
        }
        let jti = text("jti").filter(|jti| jti.len() <= NAME_BYTES_MAX).ok_or("the logout token has no usable jti")?;
        let (sid, subject) = (text("sid"), text("sub").filter(|_| config.subject == "sub"));
        if sid.is_none() && subject.is_none() {
            return Err(
                "the logout token names neither a session (sid) nor, by the claim that this source goes by, anybody",
            );
        }
        let expires = claims["exp"].as_i64().unwrap_or(i64::MAX);
        Ok(Self { sid: sid.map(str::to_owned), subject: subject.map(str::to_owned), jti: jti.to_owned(), expires })
    }
}

#[derive(Clone, Default)]
struct Keys {
    list: Arc<Vec<ProviderKey>>,
    /// When they were read.
    read: Option<Timestamp>,
    /// When they were last read, or tried to be, for a key that is not among them.
    reread: Option<Timestamp>,
    /// When reading them failed, if it did the last time.
    failed: Option<Timestamp>,
    /// How often reading them was tried.
    attempts: u64,
}

struct ProviderKey {
    kid: Option<String>,
    algorithm: Option<String>,
    key: DecodingKey,
}

impl ProviderKey {
    /// A key that signs; others, and those of kinds that nobody here knows, are left out.
    fn read(value: &Value) -> Option<Self> {
        if value.get("use").and_then(Value::as_str).is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        Some(Self { kid: text("kid"), algorithm: text("alg"), key: DecodingKey::from_jwk(&jwk).ok()? })
    }

    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let same_kid = kid.is_none_or(|kid| self.kid.as_deref() == Some(kid));
        let same_algorithm = self.algorithm.as_deref().is_none_or(|own| own == algorithm.name());
        same_kid && same_algorithm && self.key.family() == algorithm.pinned().family()
    }
}

impl OidcSource {
    pub(super) fn new(config: OidcConfig) -> Self {
        Self { config, keys: Mutex::default(), reading: Semaphore::new(1), taken: Mutex::default() }
    }

    /// Who a request is, by its bearer token. One of another issuer is somebody else's.
    pub(super) async fn find(&self, asked: &Asked<'_>, now: Timestamp) -> Found {
        let Some(token) = bearer(asked.headers).filter(|token| token.len() <= TOKEN_BYTES_MAX) else {
            return Found::Stranger;
        };
        if issuer_of(token).as_deref() != Some(self.config.issuer.as_str()) {
            return Found::Stranger;
        }
        match self.check(token, &self.config.audience, now).await {
            Ok(claims) => self.login(claims),
            Err(found) => found,
        }
    }

    /// What a logout token says, once it is proved to be one of this provider's that has not come before.
    pub(super) async fn logout(&self, token: &str, now: Timestamp) -> Result<Logout, Found> {
        if token.len() > TOKEN_BYTES_MAX || issuer_of(token).as_deref() != Some(self.config.issuer.as_str()) {
            return Err(Found::Stranger);
        }
        let own = &self.config.logout_audience;
        let audience = if own.is_empty() { &self.config.audience } else { own };
        let claims = self.check(token, audience, now).await?;
        let logout = Logout::read(&claims, &self.config).map_err(|cause| Found::Refused(cause.to_owned()))?;
        if self.taken().get(&logout.jti).is_some_and(|until| *until > now.seconds()) {
            return Err(Found::Refused("the logout token has been taken already".to_owned()));
        }
        Ok(logout)
    }

    /// Remembers a logout token that was acted upon, until it has expired.
    pub(super) fn taken_logout(&self, logout: &Logout, now: Timestamp) {
        let mut taken = self.taken();
        taken.retain(|_, until| *until > now.seconds());
        if taken.len() < TAKEN_MAX {
            taken.insert(logout.jti.clone(), logout.expires + i64::from(self.config.leeway_seconds));
        }
    }

    /// The source's name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check(&self, token: &str, audience: &[String], now: Timestamp) -> Result<Value, Found> {
        let refused = |cause: &str| Found::Refused(cause.to_owned());
        let header = decode_header(token).map_err(|cause| Found::Refused(format!("the token's header: {cause}")))?;
        let algorithm = self.config.algorithms.iter().copied().find(|pinned| pinned.pinned() == header.alg);
        let algorithm = algorithm.ok_or_else(|| refused("the token's algorithm is not one of the pinned ones"))?;
        let kid = header.kid.as_deref();
        let mut keys = self.keys(now, false).await?;
        if !keys.iter().any(|key| key.fits(kid, algorithm)) {
            keys = self.keys(now, true).await?;
        }
        let mut validation = Validation::new(algorithm.pinned());
        validation.set_audience(audience);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // By the clock that was passed in, below.
        validation.validate_exp = false;
        let mut cause = "no key of the provider fits the token's".to_owned();
        for key in keys.iter().filter(|key| key.fits(kid, algorithm)) {
            match decode::<Value>(token, &key.key, &validation) {
                Ok(data) => return self.in_time(data.claims, now),
                Err(error) => cause = format!("the token is refused: {error}"),
            }
        }
        Err(Found::Refused(cause))
    }

    fn in_time(&self, claims: Value, now: Timestamp) -> Result<Value, Found> {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
        let (now, leeway) = (now.seconds() as f64, f64::from(self.config.leeway_seconds));
        let time = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
        // What is no number fails both comparisons.
        if !time("exp").is_some_and(|expires| now < expires + leeway) {
            return Err(Found::Refused("the token has expired".to_owned()));
        }
        if !time("nbf").is_none_or(|begins| now + leeway >= begins) {
            return Err(Found::Refused("the token is not valid yet".to_owned()));
        }
        Ok(claims)
    }

    fn login(&self, claims: Value) -> Found {
        match lookup(&claims, &self.config.subject) {
            Some(Value::String(subject)) if !subject.is_empty() => {
                let subject = subject.clone();
                Found::Login(Login { source: self.config.name.clone(), subject, facts: claims })
            }
            _ => Found::Refused(format!("the token has no claim \"{}\" that is a text", self.config.subject)),
        }
    }

    fn known(&self) -> Keys {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The provider's keys: those that were read of late, or (`again`) read anew for a key that is not among
    /// them, though not more often than every few seconds.
    async fn keys(&self, now: Timestamp, again: bool) -> Result<Arc<Vec<ProviderKey>>, Found> {
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
            return Err(Found::Unavailable("the provider's keys could not be read just now".to_owned()));
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
                tracing::info!(target: "tokens", source, count = fresh.len(), "the provider's keys were read");
                (keys.list, keys.read, keys.failed) = (Arc::new(fresh), Some(now), None);
                Ok(Arc::clone(&keys.list))
            }
            Err(cause) => {
                keys.failed = Some(now);
                if since(keys.read) < STALE_SECONDS_MAX {
                    tracing::warn!(target: "tokens", source, cause, "the provider's keys could not be read again");
                    return Ok(Arc::clone(&keys.list));
                }
                Err(Found::Unavailable(format!("the provider's keys could not be read: {cause}")))
            }
        }
    }

    async fn read(&self) -> Result<Vec<ProviderKey>, String> {
        let url = if self.config.jwks_url.is_empty() { self.discover().await? } else { self.config.jwks_url.clone() };
        let answer = self.fetch(&url).await?;
        let list = answer.get("keys").and_then(Value::as_array).ok_or("the answer has no list of keys")?;
        Ok(list.iter().filter_map(ProviderKey::read).collect())
    }

    async fn discover(&self) -> Result<String, String> {
        let issuer = &self.config.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = self.fetch(&url).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("issuer") != issuer {
            return Err(format!("discovery names another issuer, {:?}", text("issuer")));
        }
        let found = text("jwks_uri").to_owned();
        let parsed: Uri = found.parse().map_err(|_| "discovery names no jwks_uri".to_owned())?;
        let own: Uri = issuer.parse().map_err(|_| "the issuer is no URL".to_owned())?;
        // What came over an encrypted connection leads to another one, and else to nobody but the issuer.
        let is_safe = match parsed.scheme_str() {
            Some("https") => true,
            Some("http") => own.scheme_str() == Some("http") && own.host() == parsed.host(),
            _ => false,
        };
        if is_safe { Ok(found) } else { Err(format!("discovery leads to {found:?}, which is not safe")) }
    }

    async fn fetch(&self, url: &str) -> Result<Value, String> {
        let bounds = Bounds { time: Duration::from_millis(self.config.timeout_ms.into()), bytes: ANSWER_BYTES_MAX };
        let answer = fetch::get(url, HeaderMap::new(), bounds).await.map_err(|cause| format!("{url}: {cause}"))?;
        if answer.status != 200 {
            return Err(format!("{url} answered {}", answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|_| format!("{url} did not answer with JSON"))
    }
}

/// Not believed before the signature is checked; it only says whose keys to check it with.
fn issuer_of(token: &str) -> Option<String> {
    let claims = insecure_decode_claims::<Value>(token).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// The bearer token of a request, unless it has several.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok().filter(|_| values.next().is_none())?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
