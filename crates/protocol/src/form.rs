//! Forms: the bodies of REST writes and the queries of URLs (REST facts §1).
//!
//! Not one of the usual crates: those replace what is not UTF-8 instead of refusing it, and what an app sends must come
//! back byte for byte or not be taken.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Pairs of one form; no operation knows nearly as many.
pub const PAIRS_MAX: usize = 1000;

/// Why bytes are no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAForm {
    /// A name or a value.
    #[error("A parameter is not application/x-www-form-urlencoded UTF-8")]
    NotUtf8,
    /// More than [`PAIRS_MAX`].
    #[error("A request has at most {PAIRS_MAX} parameters")]
    TooMany,
}

/// The pairs of `application/x-www-form-urlencoded` bytes, in their order. A name without `=` has an empty value; what is no
/// escape stands for itself.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, NotAForm> {
    if bytes.iter().filter(|byte| **byte == b'&').count() >= PAIRS_MAX {
        return Err(NotAForm::TooMany);
    }
    let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let pair = |pair: &[u8]| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        Ok((decode(&pair[..end])?, decode(pair.get(end + 1..).unwrap_or_default())?))
    };
    pairs.map(pair).collect()
}

fn decode(part: &[u8]) -> Result<String, NotAForm> {
    let part: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&part).decode_utf8().map(Cow::into_owned).map_err(|_| NotAForm::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf_8_is_refused_and_not_replaced() {
        for wrong in [&b"Body=%FF"[..], b"Body=\xff", b"%ED%A0%80=x"] {
            assert_eq!(parse(wrong), Err(NotAForm::NotUtf8));
        }
        let pairs = parse(b"&a=b=c&d&=e&f=%+%2").unwrap();
        let expected = [("a", "b=c"), ("d", ""), ("", "e"), ("f", "% %2")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn there_are_at_most_a_thousand() {
        assert!(parse("a&".repeat(999).as_bytes()).is_ok());
        assert_eq!(parse("a&".repeat(1000).as_bytes()), Err(NotAForm::TooMany));
    }
}
