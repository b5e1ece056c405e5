//! Moments, as microseconds since 1970, and the four ways the wire writes them.

use jiff::fmt::strtime;
use serde::{Serialize, Serializer};

/// A moment in microseconds since 1970-01-01T00:00:00Z, as the store keeps it.
///
/// It serialises as RFC 3339 with milliseconds, the form of the SDK and of Sync; REST bodies ask for
/// [`Timestamp::seconds_text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down; the unit of token claims.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `micros` more.
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// `2015-12-16T22:18:37Z`: what REST v1 writes; twilio-python reads exactly this.
    pub fn seconds_text(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `2015-12-16T22:18:37.123Z`: what the SDK, Sync and webhooks write.
    pub fn millis_text(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S.%3fZ")
    }

    /// `Thu, 30 Jul 2015 20:00:00 +0000`: what the 2010 API and IAM write.
    pub fn rfc2822_text(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S +0000")
    }

    /// Reads ISO 8601 / RFC 3339 text with a zone, as the helper libraries send it.
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self(instant.as_microsecond()))
    }

    fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    fn format(self, pattern: &str) -> String {
        strtime::format(pattern, self.instant()).unwrap_or_default()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.millis_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_surface_has_its_own_form() {
        let moment = Timestamp::from_micros(1_450_304_317_123_456);
        assert_eq!(moment.seconds_text(), "2015-12-16T22:18:37Z");
        assert_eq!(moment.millis_text(), "2015-12-16T22:18:37.123Z");
        assert_eq!(moment.rfc2822_text(), "Wed, 16 Dec 2015 22:18:37 +0000");
        assert_eq!(Timestamp::parse("2015-12-16T22:18:37Z").unwrap().seconds(), moment.seconds());
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
