//! Minting: from what a token should say to the signed text.
//!
//! Strict by default: what would make a token useless is refused here, where the developer sees
//! it, and not later at the service, where the user does. Nothing is ever changed silently, the
//! lifetime least of all.

use std::borrow::Cow;
use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::advice::{self, Advice};
use crate::error::MintError;
use crate::grants::{Grant, Object};
use crate::json::push_text;
use crate::parse::{LIFETIME_MAX, TOKEN_BYTES_MAX};
use crate::secret::Secret;
use crate::{identity, sid, signature};

/// The lifetime of a token when none is given, in seconds.
pub const TTL_DEFAULT: i64 = 3600;

/// `{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}`, encoded; nearly every token has it.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImN0eSI6InR3aWxpby1mcGE7dj0xIn0";

/// A token in the making. [`Mint::sign`] finishes it.
#[derive(Debug, Clone)]
pub struct Mint<'a> {
    account_sid: Cow<'a, str>,
    key_sid: Cow<'a, str>,
    secret: &'a Secret,
    identity: Option<Cow<'a, str>>,
    grants: Vec<Grant>,
    region: Option<Cow<'a, str>>,
    ttl: i64,
    not_before: Option<i64>,
    issued_at: bool,
    jti_suffix: Option<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    lenient: bool,
}

impl<'a> Mint<'a> {
    /// A token of this account (`AC…`), signed with this API key (`SK…`).
    pub fn new(account_sid: impl Into<Cow<'a, str>>, key_sid: impl Into<Cow<'a, str>>, secret: &'a Secret) -> Mint<'a> {
        Mint {
            account_sid: account_sid.into(),
            key_sid: key_sid.into(),
            secret,
            identity: None,
            grants: Vec::new(),
            region: None,
            ttl: TTL_DEFAULT,
            not_before: None,
            issued_at: true,
            jti_suffix: None,
            session: None,
            lenient: false,
        }
    }

    /// The user the token is for.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<Cow<'a, str>>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Adds a grant. A second grant of one product replaces the first.
    #[must_use]
    pub fn grant(mut self, grant: impl Into<Grant>) -> Self {
        let grant = grant.into();
        self.grants.retain(|earlier| earlier.name() != grant.name());
        self.grants.push(grant);
        self
    }

    /// The lifetime in seconds, 1 to 86400. Without it, an hour.
    #[must_use]
    pub fn ttl(mut self, seconds: i64) -> Self {
        self.ttl = seconds;
        self
    }

    /// The region the key belongs to (`twr`), for keys that are not of the home region.
    #[must_use]
    pub fn region(mut self, region: impl Into<Cow<'a, str>>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The token is valid from this Unix time on (`nbf`). Without it, at once, and no clock that
    /// is a little behind can refuse it.
    #[must_use]
    pub fn not_before(mut self, time: i64) -> Self {
        self.not_before = Some(time);
        self
    }

    /// Leaves `iat` out. The official library for Node writes it, the others do not.
    #[must_use]
    pub fn without_issued_at(mut self) -> Self {
        self.issued_at = false;
        self
    }

    /// Appends `-` and this to `jti`, which otherwise two tokens of one second share. Give
    /// something unique to be able to tell them apart.
    #[must_use]
    pub fn jti_suffix(mut self, unique: impl Into<Cow<'a, str>>) -> Self {
        self.jti_suffix = Some(unique.into());
        self
    }

    /// Names the login session that the token belongs to, in a claim `session` that only Tertulia reads: all
    /// tokens of a session can be revoked at once.
    #[must_use]
    pub fn session(mut self, session: impl Into<Cow<'a, str>>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Mints whatever was asked for, as the official library for Node would: nothing is refused,
    /// SIDs are written as given, and a lifetime of 0 becomes the default.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Signs the token as issued at `now`, a Unix time in seconds.
    pub fn sign(mut self, now: i64) -> Result<Minted, MintError> {
        if self.lenient {
            self.ttl = if self.ttl == 0 { TTL_DEFAULT } else { self.ttl };
        } else {
            self.check(now)?;
        }
        let expires_at = now.saturating_add(self.ttl);
        let jti = self.jti(now);
        let payload = self.payload(&jti, now, expires_at);
        let token = self.seal(&payload);
        if !self.lenient && token.len() > TOKEN_BYTES_MAX {
            return Err(MintError::TokenTooLong { bytes: token.len(), max: TOKEN_BYTES_MAX });
        }
        Ok(Minted { token, jti, expires_at, advice: self.advice() })
    }

    /// Everything that is refused, and SIDs brought into the one spelling that tokens use.
    fn check(&mut self, now: i64) -> Result<(), MintError> {
        check_sid("Account SID", "AC", &mut self.account_sid)?;
        check_sid("API Key SID", "SK", &mut self.key_sid)?;
        if let Some(fault) = self.secret.fault() {
            return Err(MintError::Secret(fault));
        }
        let identity = self.identity.as_deref().ok_or(MintError::NoIdentity)?;
        identity::check(identity).map_err(MintError::Identity)?;
        match self.ttl {
            ..=0 => return Err(MintError::TtlNotPositive(self.ttl)),
            ttl if ttl > LIFETIME_MAX => return Err(MintError::TtlTooLong { ttl }),
            _ => {}
        }
        let expires_at = now.saturating_add(self.ttl);
        if let Some(not_before) = self.not_before.filter(|time| *time >= expires_at) {
            return Err(MintError::NotBeforeAfterExpiry { not_before, expires_at });
        }
        if self.region.as_deref().is_some_and(|region| !is_region(region)) {
            return Err(MintError::Region);
        }
        self.grants.iter_mut().try_for_each(Grant::check)
    }

    fn jti(&self, now: i64) -> String {
        let suffix = self.jti_suffix.as_deref();
        let mut jti = format!("{}-{now}", self.key_sid);
        if let Some(suffix) = suffix {
            jti.push('-');
            jti.push_str(suffix);
        }
        jti
    }

    fn payload(&self, jti: &str, now: i64, expires_at: i64) -> String {
        let mut out = String::with_capacity(512);
        let mut object = Object::open(&mut out);
        object.text("jti", Some(jti));
        self.write_grants(object.name("grants"));
        let mut number = |name: &str, value: i64| {
            write!(object.name(name), "{value}").expect("writing to a String cannot fail");
        };
        if let Some(not_before) = self.not_before {
            number("nbf", not_before);
        }
        if self.issued_at {
            number("iat", now);
        }
        number("exp", expires_at);
        object.text("iss", Some(&self.key_sid));
        object.text("sub", Some(&self.account_sid));
        object.text("session", self.session.as_deref());
        object.close();
        out
    }

    fn write_grants(&self, out: &mut String) {
        let mut grants = Object::open(out);
        grants.text("identity", self.identity.as_deref());
        for grant in &self.grants {
            grant.write(grants.name(grant.name()));
        }
        grants.close();
    }

    /// Header, payload and signature.
    fn seal(&self, payload: &str) -> String {
        // A third more for base64, and 44 for the last dot and the signature.
        let mut token = String::with_capacity(HEADER.len() + payload.len() * 4 / 3 + 64);
        match self.region.as_deref() {
            Some(region) if !region.is_empty() => {
                URL_SAFE_NO_PAD.encode_string(header_with(region), &mut token);
            }
            _ => token.push_str(HEADER),
        }
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = signature::sign(self.secret.bytes(), token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    fn advice(&self) -> Vec<Advice> {
        let mut advice = self.identity.as_deref().map_or_else(Vec::new, advice::identity);
        advice.extend(advice::ttl(self.ttl));
        advice.extend(advice::secret(self.secret.bytes().len()));
        advice
    }
}

fn header_with(region: &str) -> String {
    let mut header = r#"{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1","twr":"#.to_owned();
    push_text(&mut header, region);
    header.push('}');
    header
}

fn is_region(region: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&region.len()) && region.bytes().all(allowed)
}

fn check_sid(field: &'static str, prefix: &'static str, found: &mut Cow<'_, str>) -> Result<(), MintError> {
    if !sid::is_exact(found, prefix) {
        let lower = sid::lower(found, prefix);
        *found = lower.ok_or_else(|| MintError::sid(field, prefix, found))?.into();
    }
    Ok(())
}

/// A signed token. Its `Debug` does not show the token, which is a credential.
#[derive(Clone)]
#[non_exhaustive]
pub struct Minted {
    /// The token itself.
    pub token: String,
    /// Its name.
    pub jti: String,
    /// When it expires.
    pub expires_at: i64,
    /// Hints about what works but may surprise.
    pub advice: Vec<Advice>,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted")
            .field("jti", &self.jti)
            .field("expires_at", &self.expires_at)
            .field("advice", &self.advice)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoded_header_is_the_header() {
        let header = URL_SAFE_NO_PAD.decode(HEADER).expect("base64url");
        let expected = r#"{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}"#;
        assert_eq!(String::from_utf8(header).as_deref(), Ok(expected));
    }
}
