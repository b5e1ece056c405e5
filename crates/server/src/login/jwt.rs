//! What an identity provider writes: its documents, and the JWTs of logins and logouts. No IO, and the time is an
//! argument: `oidc` fetches and keeps, and the fuzz targets read what they like.
//!
//! A token goes one way. [`Unproved::read`] looks at the header and at whose it says it is, [`Unproved::prove`]
//! checks the signature, whom it is for and when it is valid, and only then claims can be had, which [`login`] and
//! [`Logout::read`] make something of.
//!
//! Algorithms are pinned by the configuration, and none of them is symmetric: a public key never becomes
//! a secret. Keys that the token itself brings or names (`jwk`, `jku`, `x5u`) are not looked at.

use std::collections::HashMap;

use axum::http::Uri;
use axum::http::uri::Authority;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use tertulia_protocol::Timestamp;

use super::Login;
use super::config::OidcConfig;
use super::policy::{as_name, lookup, session};
use crate::revocations::NAME_BYTES_MAX;

/// The longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Keys of a provider that count; it could make every token cost as many signatures as it lists.
pub const KEYS_MAX: usize = 100;
/// Logout tokens that are remembered; a provider that sends more within their lifetimes may send one twice.
const TAKEN_MAX: usize = 100_000;
/// What a logout token is known by.
pub const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

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

/// The keys that a provider signs with.
#[derive(Default)]
pub struct ProviderKeys(Vec<ProviderKey>);

impl ProviderKeys {
    /// Of a JWK set, as the provider answers it. Keys of other purposes, and of kinds that nobody here knows, are
    /// left out.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
        let list = answer.get("keys").and_then(Value::as_array).ok_or("the answer has no list of keys")?;
        Ok(Self(list.iter().filter_map(ProviderKey::read).take(KEYS_MAX).collect()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
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

/// Where a provider's keys are, by the answer of its discovery.
pub fn keys_url(issuer: &str, body: &[u8]) -> Result<String, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
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
    // A name and a password before the host would be sent to nobody, and only hide which host it is.
    let is_plain = |authority: &Authority| !authority.host().is_empty() && !authority.as_str().contains('@');
    let is_safe = is_safe && parsed.authority().is_some_and(is_plain);
    if is_safe { Ok(found) } else { Err(format!("discovery leads to {found:?}, which is not safe")) }
}

/// A token of which nothing is believed yet.
pub struct Unproved<'t> {
    token: &'t str,
    config: &'t OidcConfig,
    header: Header,
    algorithm: Algorithm,
}

impl<'t> Unproved<'t> {
    /// Reads the header. `None` is for a token that says it is of another issuer, or is none: somebody else's.
    pub fn read(token: &'t str, config: &'t OidcConfig) -> Option<Result<Self, String>> {
        let is_ours = token.len() <= TOKEN_BYTES_MAX && issuer_of(token).as_deref() == Some(config.issuer.as_str());
        is_ours.then(|| Self::read_header(token, config))
    }

    fn read_header(token: &'t str, config: &'t OidcConfig) -> Result<Self, String> {
        let header = decode_header(token).map_err(|cause| format!("the token's header: {cause}"))?;
        let algorithm = config.algorithms.iter().copied().find(|pinned| pinned.pinned() == header.alg);
        let algorithm = algorithm.ok_or("the token's algorithm is not one of the pinned ones")?;
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: what must be understood and is not, is refused.
            return Err("the token's header names extensions as critical (crit), and none is known here".to_owned());
        }
        Ok(Self { token, config, header, algorithm })
    }

    /// Whether a key may be the one that it is signed with.
    pub fn has_key(&self, keys: &ProviderKeys) -> bool {
        self.fitting(keys).next().is_some()
    }

    fn fitting<'k>(&'k self, keys: &'k ProviderKeys) -> impl Iterator<Item = &'k ProviderKey> {
        keys.0.iter().filter(|key| key.fits(self.header.kid.as_deref(), self.algorithm))
    }

    /// Its claims, once a key proves them, and they are of this issuer, for one of `audience`, and valid now.
    pub fn prove(&self, keys: &ProviderKeys, audience: &[String], now: Timestamp) -> Result<Value, String> {
        let mut validation = Validation::new(self.algorithm.pinned());
        validation.set_audience(audience);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // By the clock that was passed in, below.
        validation.validate_exp = false;
        let mut cause = "no key of the provider fits the token's".to_owned();
        for key in self.fitting(keys) {
            match decode::<Value>(self.token, &key.key, &validation) {
                Ok(data) => return in_time(data.claims, self.config, now),
                Err(error) => cause = format!("the token is refused: {error}"),
            }
        }
        Err(cause)
    }
}

fn in_time(claims: Value, config: &OidcConfig, now: Timestamp) -> Result<Value, String> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let (now, leeway) = (now.seconds() as f64, f64::from(config.leeway_seconds));
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
    // What is no number fails both comparisons.
    if !time("exp").is_some_and(|expires| now < expires + leeway) {
        return Err("the token has expired".to_owned());
    }
    if !time("nbf").is_none_or(|begins| now + leeway >= begins) {
        return Err("the token is not valid yet".to_owned());
    }
    Ok(claims)
}

/// Not believed before the signature is checked; it only says whose keys to check it with.
fn issuer_of(token: &str) -> Option<String> {
    let claims = insecure_decode_claims::<Value>(token).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// Who comes with a token that is proved. A logout token, which other parties get to see, logs nobody in.
pub fn login(claims: Value, config: &OidcConfig) -> Result<Login, String> {
    if is_logout(&claims) {
        return Err("the token is a logout token".to_owned());
    }
    let subject = lookup(&claims, &config.subject).and_then(as_name).filter(|subject| !subject.is_empty());
    let wrong = || format!("the token has no claim \"{}\" that is a text or a whole number", config.subject);
    Ok(Login { source: config.name.clone(), subject: subject.ok_or_else(wrong)?, facts: claims })
}

/// A logout that a provider tells of.
#[derive(Debug)]
pub struct Logout {
    /// The provider's name of the login session.
    pub sid: Option<String>,
    /// The subject, all of whose sessions end when none is named.
    pub subject: Option<String>,
    jti: String,
    /// The second from which on the token is refused for its age.
    dead: i64,
}

impl Logout {
    /// By OpenID Connect Back-Channel Logout 1.0, section 2.6, after what holds for every token.
    pub fn read(claims: &Value, config: &OidcConfig) -> Result<Self, &'static str> {
        let text = |name: &str| claims.get(name).and_then(as_name).filter(|text| !text.is_empty());
        if !is_logout(claims) {
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
        if sid.as_ref().is_some_and(|sid| session(&config.name, sid).is_none()) {
            return Err("the logout token names a session (sid) by a name that none has here");
        }
        // A moment may have a fraction, and be beyond every calendar.
        #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest")]
        let expires = claims["exp"].as_f64().unwrap_or(f64::MAX).ceil() as i64;
        let dead = expires.saturating_add(config.leeway_seconds.into());
        Ok(Self { sid, subject, jti, dead })
    }
}

fn is_logout(claims: &Value) -> bool {
    claims["events"][LOGOUT_EVENT].is_object()
}

/// The logout tokens that were acted upon, as long as they are valid: each counts once.
#[derive(Default)]
pub struct Taken(HashMap<String, i64>);

impl Taken {
    /// Whether a token was acted upon already.
    pub fn has(&self, logout: &Logout, now: Timestamp) -> bool {
        self.0.get(&logout.jti).is_some_and(|until| *until > now.seconds())
    }

    /// Remembers a token that was acted upon.
    pub fn remember(&mut self, logout: &Logout, now: Timestamp) {
        self.0.retain(|_, until| *until > now.seconds());
        if self.0.len() < TAKEN_MAX {
            self.0.insert(logout.jti.clone(), logout.dead);
        }
    }
}

#[cfg(test)]
mod tests;
