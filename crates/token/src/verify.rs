//! From an [`Unverified`] token to an [`AccessToken`]: the checks that need the key and the clock.
//!
//! For an unknown key the same work is done as for a known one, so that nobody can find out by the
//! clock which keys exist. The order of the checks is that of [`Check`].

use std::borrow::Cow;

use crate::claims::{AccessToken, Seconds, Times};
use crate::json::{Kind, Value};
use crate::key::{AccountStatus, Key, KeyKind, KeyStatus};
use crate::parse::{LIFETIME_MAX, Unverified, kind_name, show};
use crate::refusal::{Check, Refusal, code};
use crate::{signature, words};

/// Leeway and grace are capped here, in seconds.
pub const TOLERANCE_MAX: i64 = 300;

/// What the clock says, and what the service tolerates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    now: i64,
    leeway: i64,
    grace: i64,
    max_ttl: i64,
    region: Cow<'static, str>,
}

impl Rules {
    /// The defaults at this moment (Unix time in seconds): 30 s leeway for `nbf` and `iat`, 5 s
    /// grace after `exp`, at most a day of lifetime, region `us1`.
    #[must_use]
    pub fn at(now: i64) -> Rules {
        Rules { now, leeway: 30, grace: 5, max_ttl: LIFETIME_MAX, region: Cow::Borrowed("us1") }
    }

    /// By how many seconds the minting clock may be ahead of this one, 0 to 300.
    #[must_use]
    pub fn leeway(self, seconds: i64) -> Rules {
        let leeway = seconds.clamp(0, TOLERANCE_MAX);
        Rules { leeway, ..self }
    }

    /// How many seconds after `exp` a token still works, 0 to 300, so that a renewal which is on
    /// its way arrives.
    #[must_use]
    pub fn grace(self, seconds: i64) -> Rules {
        let grace = seconds.clamp(0, TOLERANCE_MAX);
        Rules { grace, ..self }
    }

    /// The longest lifetime, in seconds.
    #[must_use]
    pub fn max_ttl(self, seconds: i64) -> Rules {
        let max_ttl = seconds.max(1);
        Rules { max_ttl, ..self }
    }

    /// The region of this service. Tokens that name none count as belonging to it.
    #[must_use]
    pub fn region(self, region: impl Into<Cow<'static, str>>) -> Rules {
        let region = region.into();
        Rules { region, ..self }
    }

    /// The moment these rules are for.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// The one instant at which this token stops being valid: verification refuses it from then
    /// on, and connections it opened should be closed then. If the two differed, a client would be
    /// closed and let in again in a loop.
    #[must_use]
    pub fn dies_at(&self, token: &AccessToken) -> i64 {
        self.end(token.expires_at())
    }

    pub(crate) fn end(&self, expires_at: i64) -> i64 {
        expires_at.saturating_add(self.grace)
    }

    pub(crate) fn region_name(&self) -> &str {
        &self.region
    }

    pub(crate) fn tolerances(&self) -> (i64, i64, i64) {
        (self.leeway, self.grace, self.max_ttl)
    }
}

/// Checks a token against its key. Pass `None` when no key has the SID
/// [`Unverified::issuer`] names; pass deleted and restricted keys as they are.
pub fn verify(unverified: Unverified<'_>, key: Option<&Key>, rules: &Rules) -> Result<AccessToken, Refusal> {
    let secret = key.map(|key| &key.secret);
    let signed = unverified.signed.as_bytes();
    // Before anything can be refused for what the key is.
    let matches = signature::matches(secret, signed, &unverified.signature);

    check_region(unverified.header.root(), rules)?;
    check_key(&unverified.issuer, &unverified.subject, key, rules)?;
    check_signature(matches, unverified.signature.length)?;
    let payload = unverified.payload.root();
    let expires_at = check_expiry(payload, rules)?;
    let not_before = check_not_before(payload, rules)?;
    let issued_at = check_issued_at(payload, rules)?;
    check_lifetime(expires_at, issued_at, rules)?;
    let identity = check_identity(check_grants(payload)?)?;
    Ok(AccessToken {
        header: unverified.header,
        payload: unverified.payload,
        key_sid: unverified.issuer,
        account_sid: unverified.subject,
        identity,
        times: Times { expires_at, not_before, issued_at },
    })
}

/// Absent, null and empty all mean "no region": official libraries write each of the three.
pub(crate) fn check_region(header: Value<'_>, rules: &Rules) -> Result<(), Refusal> {
    let Some(region) = header.get("twr") else {
        return Ok(());
    };
    let code = match region.text() {
        None if region.kind() == Kind::Null => return Ok(()),
        None => code::INVALID_HEADER,
        Some(text) if text.is_empty() || text == *rules.region => return Ok(()),
        Some(_) => code::INVALID_ISSUER,
    };
    let expected = format!("twr absent or {:?}, this service's region", rules.region);
    Err(Refusal::new(code, Check::Region, show(Some(region)), expected))
}

pub(crate) fn check_key(issuer: &str, subject: &str, key: Option<&Key>, rules: &Rules) -> Result<(), Refusal> {
    let refuse = |found: String| {
        Err(Refusal::new(
            code::INVALID_ISSUER,
            Check::Key,
            found,
            "an active Main or Standard key of this region, belonging to the active account in sub",
        ))
    };
    let Some(key) = key.filter(|key| key.sid == issuer) else {
        return refuse(format!("no key {issuer}"));
    };
    match key.status {
        KeyStatus::Active => {}
        KeyStatus::Suspended => return refuse(format!("the key {issuer} is suspended")),
        KeyStatus::Deleted => return refuse(format!("the key {issuer} was deleted")),
    }
    if key.kind == KeyKind::Restricted {
        return refuse(format!("the key {issuer} is Restricted, and such keys cannot sign Access Tokens"));
    }
    if key.region != *rules.region {
        return refuse(format!("the key {issuer} exists in region {:?}, and this is {:?}", key.region, rules.region));
    }
    if key.account_sid != subject {
        return refuse(format!("the key {issuer} belongs to {}, and sub says {subject}", key.account_sid));
    }
    match key.account_status {
        AccountStatus::Active => Ok(()),
        AccountStatus::Suspended => refuse(format!("the account {subject} is suspended")),
        AccountStatus::Closed => refuse(format!("the account {subject} is closed")),
        AccountStatus::Test => {
            refuse(format!("{subject} is the account of the test credentials; use the live Account SID"))
        }
    }
}

pub(crate) fn check_signature(matches: bool, length: usize) -> Result<(), Refusal> {
    if matches {
        return Ok(());
    }
    let found = if length == 32 {
        "a signature by another secret, or over other content".to_owned()
    } else {
        format!("a signature of {length} bytes")
    };
    Err(Refusal::new(
        code::INVALID_SIGNATURE,
        Check::Signature,
        found,
        "32 bytes of HMAC-SHA256 with the secret of the key in iss",
    ))
}

pub(crate) fn check_expiry(payload: Value<'_>, rules: &Rules) -> Result<i64, Refusal> {
    let claim = payload.get("exp");
    let refuse =
        |found: String, expected: &'static str| Err(Refusal::new(code::EXPIRED, Check::Expiry, found, expected));
    let exp = match claim.and_then(Seconds::read) {
        Some(Seconds { whole, fraction: false }) => whole,
        _ => return refuse(show(claim), "a whole number of seconds"),
    };
    if rules.now < rules.end(exp) {
        return Ok(exp);
    }
    let ago = words::relative(exp, rules.now);
    refuse(format!("{exp}, which is {ago}"), "a time after now")
}

pub(crate) fn check_not_before(payload: Value<'_>, rules: &Rules) -> Result<Option<i64>, Refusal> {
    optional_time(payload, Check::NotBefore, rules, Seconds::rounded_up)
}

pub(crate) fn check_issued_at(payload: Value<'_>, rules: &Rules) -> Result<Option<i64>, Refusal> {
    optional_time(payload, Check::IssuedAt, rules, |seconds| seconds.whole)
}

/// A claim that may be missing, but must be a number that is not in the future when it is there.
fn optional_time(
    payload: Value<'_>,
    check: Check,
    rules: &Rules,
    round: fn(Seconds) -> i64,
) -> Result<Option<i64>, Refusal> {
    let Some(claim) = payload.get(check.name()) else {
        return Ok(None);
    };
    let refuse = |code: u16, found: String| {
        let leeway = rules.leeway;
        let expected = format!("absent, or a time not after now (leeway {leeway} s)");
        Err(Refusal::new(code, check, found, expected))
    };
    let Some(time) = Seconds::read(claim).map(round) else {
        return refuse(code::INVALID_TOKEN, show(Some(claim)));
    };
    if time <= rules.now.saturating_add(rules.leeway) {
        return Ok(Some(time));
    }
    let ahead = words::relative(time, rules.now);
    refuse(code::NOT_YET_VALID, format!("{time}, which is {ahead}"))
}

pub(crate) fn check_lifetime(expires_at: i64, issued_at: Option<i64>, rules: &Rules) -> Result<(), Refusal> {
    let left = expires_at.saturating_sub(rules.now);
    let whole = issued_at.map_or(0, |issued_at| expires_at.saturating_sub(issued_at));
    if left <= rules.max_ttl.saturating_add(rules.leeway) && whole <= rules.max_ttl {
        return Ok(());
    }
    let longer = left.max(whole);
    Err(Refusal::new(
        code::LIFETIME_TOO_LONG,
        Check::Lifetime,
        format!("{longer} s ({})", words::span(longer)),
        format!("at most {} s ({})", rules.max_ttl, words::span(rules.max_ttl)),
    ))
}

pub(crate) fn check_grants(payload: Value<'_>) -> Result<Value<'_>, Refusal> {
    let grants = payload.get("grants");
    grants.filter(|grants| grants.kind() == Kind::Object).ok_or_else(|| {
        let found = kind_name(grants);
        Refusal::new(code::INVALID_GRANTS, Check::Grants, found, "an object")
    })
}

/// A text that is not empty, or a whole number, which two official libraries write when they are
/// given one; it counts as its decimal text, as in the library that converts it.
pub(crate) fn check_identity(grants: Value<'_>) -> Result<String, Refusal> {
    let claim = grants.get("identity");
    if let Some(text) = claim.and_then(Value::text).filter(|text| !text.is_empty()) {
        return Ok(text.into_owned());
    }
    let number = claim.and_then(Value::number).unwrap_or_default();
    let digits = number.strip_prefix('-').unwrap_or(number);
    if !digits.is_empty() && number != "-0" && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(number.to_owned());
    }
    Err(Refusal::new(code::INVALID_GRANTS, Check::Identity, show(claim), "grants.identity, a text that is not empty"))
}

#[cfg(test)]
mod tests;
