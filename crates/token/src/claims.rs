//! The claims of a token that was verified, and how times are read.

use std::fmt;

use serde_json::Value as Json;

use crate::grants::Grant;
use crate::json::{Doc, Value};

/// An Access Token that passed every check.
///
/// Only [`verify`](crate::verify()) makes one, so having it is the proof.
#[derive(Clone)]
pub struct AccessToken {
    pub(crate) header: Doc,
    pub(crate) payload: Doc,
    pub(crate) key_sid: String,
    pub(crate) account_sid: String,
    pub(crate) identity: String,
    pub(crate) times: Times,
}

/// The times of a token, in whole seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) expires_at: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) issued_at: Option<i64>,
}

impl AccessToken {
    /// Who this is, exactly as the token says.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The account (`sub`).
    #[must_use]
    pub fn account_sid(&self) -> &str {
        &self.account_sid
    }

    /// The API key that signed (`iss`).
    #[must_use]
    pub fn key_sid(&self) -> &str {
        &self.key_sid
    }

    /// The token's name, if it has one. Not unique: official libraries give all tokens that one
    /// key signs in one second the same name.
    #[must_use]
    pub fn jti(&self) -> Option<String> {
        let jti = self.payload.root().get("jti")?;
        jti.text().map(|text| text.into_owned())
    }

    /// The region the token names (`twr`), if it names one.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        let region = self.header.root().get("twr")?.text()?;
        (!region.is_empty()).then(|| region.into_owned())
    }

    /// `exp`. The token dies a grace after it, see [`Rules::dies_at`](crate::Rules::dies_at).
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.times.expires_at
    }

    /// `nbf`, rounded up to whole seconds.
    #[must_use]
    pub fn not_before(&self) -> Option<i64> {
        self.times.not_before
    }

    /// `iat`, rounded down to whole seconds. Most official libraries write none.
    #[must_use]
    pub fn issued_at(&self) -> Option<i64> {
        self.times.issued_at
    }

    /// The grants, product by product. `ip_messaging`, the old name of chat, comes as
    /// [`Grant::Chat`]; products this crate does not know come as [`Grant::Other`].
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.grants_value()
            .into_iter()
            .flat_map(Value::members)
            .filter_map(|(name, grant)| Some((name.text()?, grant)))
            .filter(|(name, _)| name != "identity")
            .map(|(name, grant)| Grant::read(&name, grant.to_serde()))
            .collect()
    }

    /// The whole header.
    #[must_use]
    pub fn header(&self) -> Json {
        self.header.root().to_serde()
    }

    /// The whole payload, with the claims this crate does not know.
    #[must_use]
    pub fn payload(&self) -> Json {
        self.payload.root().to_serde()
    }

    pub(crate) fn grants_value(&self) -> Option<Value<'_>> {
        self.payload.root().get("grants")
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("identity", &self.identity)
            .field("account_sid", &self.account_sid)
            .field("key_sid", &self.key_sid)
            .field("expires_at", &self.times.expires_at)
            .finish_non_exhaustive()
    }
}

/// A JSON number as seconds: rounded down, and whether something was cut off. Numbers beyond 64
/// bits become the largest or smallest there is, which every check treats as "very far away".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds {
    pub(crate) whole: i64,
    pub(crate) fraction: bool,
}

impl Seconds {
    pub(crate) fn read(value: Value<'_>) -> Option<Seconds> {
        let written = value.number()?;
        if let Ok(whole) = written.parse() {
            return Some(Seconds { whole, fraction: false });
        }
        let number: f64 = written.parse().ok()?;
        let whole = number.floor();
        Some(Seconds {
            // A cast from a float saturates, which is what is wanted here.
            whole: whole as i64,
            fraction: number.is_finite() && number != whole,
        })
    }

    pub(crate) fn rounded_up(self) -> i64 {
        self.whole.saturating_add(i64::from(self.fraction))
    }
}
