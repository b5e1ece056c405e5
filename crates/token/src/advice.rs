//! Hints about things that work but may surprise. Nothing is ever refused because of one.

use std::fmt;

/// The characters the identity guidelines recommend to avoid.
const DISCOURAGED: &str = "!*'();:@&=+$,/?%#[]";

/// Below this many seconds there is no time for the warning that a token is about to expire.
const TTL_WARNED: i64 = 180;

/// HS256 wants a secret of 256 bits.
const SECRET_BYTES_WANTED: usize = 32;

/// One hint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// A name has characters that the guidelines recommend to avoid.
    Characters {
        /// Which name: `identity` or `friendly name`.
        of: &'static str,
        /// The characters, each once.
        found: String,
    },
    /// A name begins or ends with white space.
    SpaceAround {
        /// Which name.
        of: &'static str,
    },
    /// A name has control or invisible characters.
    Invisible {
        /// Which name.
        of: &'static str,
    },
    /// A token this short-lived expires without a usable warning.
    ShortTtl {
        /// The lifetime in seconds.
        ttl: i64,
    },
    /// The secret has fewer than 256 bits.
    ShortSecret,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Advice::Characters { of, found } => write!(
                f,
                "the {of} contains {found} ; this works, but the guidelines recommend to avoid \
                 {DISCOURAGED}"
            ),
            Advice::SpaceAround { of } => write!(
                f,
                "the {of} begins or ends with white space, which counts: it is another {of} than \
                 the one without"
            ),
            Advice::Invisible { of } => {
                write!(f, "the {of} contains characters that cannot be seen")
            }
            Advice::ShortTtl { ttl } => write!(
                f,
                "a lifetime of {ttl} s is too short for the warning before expiry, which comes \
                 {TTL_WARNED} s before; an hour is usual"
            ),
            Advice::ShortSecret => {
                f.write_str("the secret is shorter than 32 bytes; API Key Secrets have 32, is this one whole?")
            }
        }
    }
}

/// Hints about an identity.
///
/// ```
/// assert!(tertulia_token::advice::identity("alice").is_empty());
/// assert_eq!(tertulia_token::advice::identity("alice@example.com").len(), 1);
/// ```
#[must_use]
pub fn identity(text: &str) -> Vec<Advice> {
    name("identity", text)
}

/// Hints about a friendly name.
#[must_use]
pub fn friendly_name(text: &str) -> Vec<Advice> {
    name("friendly name", text)
}

fn name(of: &'static str, text: &str) -> Vec<Advice> {
    let mut advice = Vec::new();
    // The usual name is letters and digits and needs no second look.
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return advice;
    }
    let found: String = DISCOURAGED.chars().filter(|c| text.contains(*c)).collect();
    if !found.is_empty() {
        advice.push(Advice::Characters { of, found });
    }
    if text.trim().len() != text.len() {
        advice.push(Advice::SpaceAround { of });
    }
    if text.chars().any(is_invisible) {
        advice.push(Advice::Invisible { of });
    }
    advice
}

/// Control characters, and those that reorder text or take no room.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
}

pub(crate) fn ttl(ttl: i64) -> Option<Advice> {
    (ttl < TTL_WARNED).then_some(Advice::ShortTtl { ttl })
}

pub(crate) fn secret(bytes: usize) -> Option<Advice> {
    (bytes < SECRET_BYTES_WANTED).then_some(Advice::ShortSecret)
}
