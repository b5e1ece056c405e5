//! Rules for texts that come in: lengths, JSON, and what cannot be stored.

use tertulia_protocol::{Code, Timestamp};

use super::{Error, Outcome};

/// Refuses a NUL, which PostgreSQL cannot store; everything else comes back byte for byte.
pub fn storable(name: &str, text: &str) -> Outcome<()> {
    if text.contains('\0') {
        return Err(Error::parameter(format!("{name} holds a NUL character, which cannot be stored")));
    }
    Ok(())
}

/// A text of at most `max` characters, or the code for being longer.
pub fn at_most(name: &str, text: &str, max: usize, too_long: Code) -> Outcome<()> {
    storable(name, text)?;
    let count = text.chars().count();
    if count > max {
        return Err(Error::refused(too_long, format!("{name} has {count} characters; at most {max} are allowed")));
    }
    Ok(())
}

/// Attributes: JSON text of at most `max` bytes. The text is kept as it is, never written anew.
pub fn attributes(text: &str, max: usize) -> Outcome<()> {
    if text.len() > max {
        let message = format!("Attributes have {} bytes; at most {max} are allowed", text.len());
        return Err(Error::refused(Code::AttributesTooLong, message));
    }
    storable("Attributes", text)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(cause) => Err(Error::refused(Code::AttributesInvalid, format!("Attributes are not JSON: {cause}"))),
    }
}

/// Whether text is shaped like a SID with this prefix, in either case.
pub fn looks_like_sid(text: &str, prefix: &str) -> bool {
    text.len() == 34
        && text.is_char_boundary(2)
        && text[..2].eq_ignore_ascii_case(prefix)
        && text[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An identity that a user may have (access-token rules: length, reserved words, SID shape).
pub fn identity(text: &str) -> Outcome<()> {
    if text.is_empty() {
        return Err(Error::refused(Code::IdentityMissing, "Identity must not be empty"));
    }
    at_most("Identity", text, 256, Code::IdentityTooLong)?;
    if matches!(text, "system" | "private" | "unique") {
        return Err(Error::refused(Code::IdentityReserved, format!("the identity \"{text}\" is reserved")));
    }
    if looks_like_sid(text, "US") {
        return Err(Error::refused(Code::IdentityLooksLikeSid, "an identity must not look like a User SID"));
    }
    Ok(())
}

/// A date and time of the years 1 to 9999, which is all that answers can show; no later one can be read.
pub fn date(text: &str) -> Option<Timestamp> {
    const FIRST_SECOND: i64 = -62_135_596_800;
    Timestamp::parse(text).filter(|date| date.seconds() >= FIRST_SECOND)
}

/// Whether text is an ISO 8601 duration of at most 32 bytes; gives its length in seconds, with 30-day
/// months.
pub fn duration_seconds(text: &str) -> Option<i64> {
    let rest = Some(text).filter(|text| text.len() <= 32)?;
    let rest = rest.strip_prefix('P')?;
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    if date.is_empty() && time.is_none_or(str::is_empty) {
        return None;
    }
    let day = 86_400;
    let date = units(date, &[('Y', 365 * day), ('M', 30 * day), ('W', 7 * day), ('D', day)])?;
    let time = units(time.unwrap_or(""), &[('H', 3600), ('M', 60), ('S', 1)])?;
    date.checked_add(time)
}

fn units(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut seconds = 0_i64;
    for (unit, length) in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        let number: u32 = Some(number).filter(|number| !number.starts_with('+'))?.parse().ok()?;
        seconds = seconds.checked_add(i64::from(number).checked_mul(*length)?)?;
        text = rest;
    }
    text.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("PT1M", 60), ("P1DT1H", 90_000), ("P2W", 1_209_600), ("PT0S", 0)] {
            assert_eq!(duration_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "P", "PT", "1M", "PT1X", "PT-1M", "PT+60S", "PT1H1", "PT0000000000000000000000000000060S"] {
            assert_eq!(duration_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_of_years_with_four_digits() {
        for text in ["0001-01-01T00:00:00Z", "9999-12-30T00:00:00Z", "2015-12-16T22:18:37+02:00"] {
            assert!(date(text).is_some(), "{text}");
        }
        for text in ["-009998-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00", "soon"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn attributes_are_any_json_of_bounded_size() {
        assert!(attributes("{ \"a\" : 1 }", 100).is_ok());
        assert!(attributes("5", 100).is_ok());
        assert_eq!(attributes("{", 100).unwrap_err().code(), Code::AttributesInvalid);
        assert_eq!(attributes("\"aaaa\"", 5).unwrap_err().code(), Code::AttributesTooLong);
    }

    #[test]
    fn identities() {
        assert!(identity("user@some-domain.com").is_ok());
        assert_eq!(identity("").unwrap_err().code(), Code::IdentityMissing);
        assert_eq!(identity("system").unwrap_err().code(), Code::IdentityReserved);
        assert_eq!(identity(&"x".repeat(257)).unwrap_err().code(), Code::IdentityTooLong);
        assert_eq!(identity(&format!("us{}", "0".repeat(32))).unwrap_err().code(), Code::IdentityLooksLikeSid);
        assert_eq!(identity("a\0b").unwrap_err().code(), Code::ParameterInvalid);
    }
}
