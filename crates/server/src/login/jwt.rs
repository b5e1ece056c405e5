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
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use tertulia_protocol::Timestamp;

use super::Login;
use super::config::OidcConfig;
use super::finding::{Check, Finding, shown};
use super::policy::{as_name, lookup, session};
use crate::revocations::NAME_BYTES_MAX;

/// The longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Keys of a provider that count; it could make every token cost as many signatures as it lists.
pub const KEYS_MAX: usize = 100;
/// Keys that a refusal names.
const KEYS_NAMED_MAX: usize = 5;
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

/// Why a bearer token is not even checked against keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is no JWT, or says that it is of another issuer: it may be another source's.
    Foreign(Finding),
    /// It says that it is of this issuer, and its header is no good.
    Refused(Finding),
}

impl<'t> Unproved<'t> {
    /// Reads the header, of a token that says it is of this issuer.
    pub fn read(token: &'t str, config: &'t OidcConfig) -> Result<Self, Unread> {
        check_issuer(token, config).map_err(Unread::Foreign)?;
        Self::read_header(token, config).map_err(Unread::Refused)
    }

    fn read_header(token: &'t str, config: &'t OidcConfig) -> Result<Self, Finding> {
        // Read as plain JSON first, so that what the library does not know can be named.
        let raw = raw_header(token);
        let algorithm = config.algorithms.iter().copied().find(|pinned| raw["alg"] == pinned.name());
        let algorithm = algorithm.ok_or_else(|| {
            let pinned: Vec<_> = config.algorithms.iter().map(|pinned| pinned.name()).collect();
            Finding::of(Check::Algorithm, raw.get("alg"), pinned.join(" or "))
        })?;
        if is_proof(&raw["typ"]) {
            return Err(sender_bound(Check::TokenType, shown(&raw["typ"])));
        }
        if raw.get("crit").is_some() {
            // RFC 7515, section 4.1.11: what must be understood and is not, is refused.
            return Err(Finding::of(Check::Critical, raw.get("crit"), "none, as none is known here"));
        }
        let header = decode_header(token);
        let header = header.map_err(|cause| Finding::new(Check::TokenHeader, cause.to_string(), "that of a JWT"))?;
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
    pub fn prove(&self, keys: &ProviderKeys, audience: &[String], now: Timestamp) -> Result<Value, Finding> {
        let mut validation = Validation::new(self.algorithm.pinned());
        validation.set_audience(audience);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // By the clock that was passed in, below.
        validation.validate_exp = false;
        let mut finding = self.no_key(keys);
        for key in self.fitting(keys) {
            match decode::<Value>(self.token, &key.key, &validation) {
                Ok(data) => return in_time(data.claims, self.config, now),
                // A key that made the signature knows more than those that did not.
                Err(error) if finding.check == Check::KeyId || *error.kind() != ErrorKind::InvalidSignature => {
                    finding = self.unproved(&error, audience);
                }
                Err(_) => {}
            }
        }
        Err(finding)
    }

    fn no_key(&self, keys: &ProviderKeys) -> Finding {
        let kid = self.header.kid.as_deref().map(Value::from);
        let named = |key: &ProviderKey| key.kid.clone().unwrap_or_else(|| "one without a kid".to_owned());
        let list: Vec<_> = keys.0.iter().take(KEYS_NAMED_MAX).map(named).collect();
        let expected = match keys.count() {
            0 => "a key of the provider, which publishes none that signs".to_owned(),
            count => format!("one of the {count} that the provider publishes: {}", list.join(", ")),
        };
        let named = kid.as_ref().is_some_and(|kid| list.iter().any(|known| kid == known));
        let finding = Finding::of(Check::KeyId, kid.as_ref(), expected);
        if named { finding.hint(format!("that key is not for {}", self.algorithm.name())) } else { finding }
    }

    /// What the library says, with what there was. It looks at claims only after the signature.
    fn unproved(&self, error: &jsonwebtoken::errors::Error, audience: &[String]) -> Finding {
        let claims = insecure_decode_claims::<Value>(self.token).unwrap_or_default();
        match error.kind() {
            ErrorKind::InvalidSignature => {
                let kid = self.header.kid.as_deref().map(Value::from);
                let found = kid.map_or_else(
                    || "one by no key of the provider".to_owned(),
                    |kid| format!("one that the provider's key {} did not make", shown(&kid)),
                );
                Finding::new(Check::Signature, found, "one by a key of the provider")
            }
            ErrorKind::InvalidAudience => Finding::of(Check::Audience, claims.get("aud"), quoted(audience)),
            ErrorKind::InvalidIssuer => {
                Finding::of(Check::Issuer, claims.get("iss"), quoted(std::slice::from_ref(&self.config.issuer)))
            }
            ErrorKind::MissingRequiredClaim(name) => missing(name, &claims, audience),
            _ => Finding::new(Check::Claims, error.to_string(), "those of an OpenID provider"),
        }
    }
}

/// A claim that is not there, or is not of the kind that it must be.
fn missing(claim: &str, claims: &Value, audience: &[String]) -> Finding {
    let found = claims.get(claim);
    match claim {
        "aud" => Finding::of(Check::Audience, found, quoted(audience)),
        "exp" => Finding::of(Check::Expiry, found, "seconds since 1970"),
        other => Finding::of(Check::Claims, found, format!("a claim {other}")),
    }
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" or ")
}

fn in_time(claims: Value, config: &OidcConfig, now: Timestamp) -> Result<Value, Finding> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let (now, leeway) = (now.seconds() as f64, f64::from(config.leeway_seconds));
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
    // What is no number fails both comparisons.
    if !time("exp").is_some_and(|expires| now < expires + leeway) {
        return Err(Finding::of(
            Check::Expiry,
            claims.get("exp"),
            format!("over {now} less {leeway} (leeway_seconds)"),
        ));
    }
    if !time("nbf").is_none_or(|begins| now + leeway >= begins) {
        let expected = format!("at most {now} and {leeway} (leeway_seconds)");
        return Err(Finding::of(Check::NotBefore, claims.get("nbf"), expected));
    }
    Ok(claims)
}

/// Not believed before the signature is checked; it only says whose keys to check it with.
fn check_issuer(token: &str, config: &OidcConfig) -> Result<(), Finding> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Finding::new(
            Check::TokenSize,
            format!("{} bytes", token.len()),
            format!("at most {TOKEN_BYTES_MAX}"),
        ));
    }
    let claims = insecure_decode_claims::<Value>(token);
    let claims = claims.map_err(|_| Finding::new(Check::TokenKind, kind_of(token), "a JWT"))?;
    let issuer = claims.get("iss");
    if issuer.and_then(Value::as_str) == Some(&config.issuer) {
        return Ok(());
    }
    let finding = Finding::of(Check::Issuer, issuer, quoted(std::slice::from_ref(&config.issuer)));
    let without_slash = |text: &str| text.trim_end_matches('/').to_owned();
    let almost =
        issuer.and_then(Value::as_str).is_some_and(|found| without_slash(found) == without_slash(&config.issuer));
    Err(if almost { finding.hint("they differ in a slash at the end") } else { finding })
}

/// What a bearer token is that is not what was expected. Nothing of it is shown.
pub fn kind_of(token: &str) -> &'static str {
    let parts = token.split('.').count();
    match parts {
        _ if token.is_empty() => "an empty text",
        _ if token.starts_with(crate::api_tokens::PREFIX) => "an API token (tt_…)",
        3 if raw_header(token)["cty"] == "twilio-fpa;v=1" => "an Access Token of this service",
        3 if insecure_decode_claims::<Value>(token).is_ok() => "a JWT",
        3 => "three parts that are not those of a JWT",
        5 => "an encrypted JWT (five parts)",
        _ => "an opaque text that is no JWT",
    }
}

/// The header of a JWT as plain JSON; null where it cannot be read.
fn raw_header(token: &str) -> Value {
    let bytes = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn sender_bound(check: Check, found: String) -> Finding {
    Finding::new(check, found, "a plain bearer token").hint(
        "the token is bound to its sender, and nobody checks the sender's proof yet: ask the provider for plain bearer tokens",
    )
}

/// Whether a type is that of a proof of possession, which is no token at all (RFC 9449).
fn is_proof(kind: &Value) -> bool {
    let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "dpop+jwt")
}

/// How a token says that only its sender may use it: `cnf` (RFC 7800) with whatever is in it, or what stands only in
/// `cnf`, at any depth.
fn binding(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(name, value)| match name.as_str() {
            "cnf" if !value.is_null() => {
                Some(binding(value).map_or_else(|| "cnf".to_owned(), |inner| format!("cnf.{inner}")))
            }
            "jkt" | "x5t#S256" | "cnf.jkt" | "cnf.x5t#S256" => Some(name.clone()),
            _ => binding(value),
        }),
        Value::Array(list) => list.iter().find_map(binding),
        _ => None,
    }
}

/// Who comes with a token that is proved. A logout token, which other parties get to see, logs nobody in; neither does
/// a token that is worth something only together with a proof.
pub fn login(claims: Value, config: &OidcConfig) -> Result<Login, Finding> {
    if is_logout(&claims) {
        return Err(Finding::new(Check::LogoutToken, "a logout token", "a token of a login"));
    }
    if let Some(found) = binding(&claims) {
        return Err(sender_bound(Check::SenderBound, found));
    }
    let found = lookup(&claims, &config.subject);
    match found.and_then(as_name).filter(|subject| !subject.is_empty()) {
        Some(subject) => Ok(Login { source: config.name.clone(), subject, facts: claims }),
        None => {
            let expected = format!("a text or a whole number in the claim \"{}\" (the key subject)", config.subject);
            Err(Finding::of(Check::Subject, found, expected))
        }
    }
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
