//! The API Key Secret, kept from being shown.
//!
//! The secret is used as the bytes of its text, never decoded. Nothing in this crate prints it,
//! and neither does its `Debug`.

use std::fmt;

/// An API Key Secret. Its `Debug` shows nothing of it, not even the length.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret exactly as it is: no trimming, no decoding.
    pub fn new(secret: impl Into<String>) -> Secret {
        Secret(secret.into())
    }

    /// The text itself, for storing it sealed. Never log it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What is suspicious about this secret, if anything: an empty one, or one that was read
    /// together with the newline or the quotes around it.
    #[must_use]
    pub fn fault(&self) -> Option<SecretFault> {
        let text = &self.0;
        if text.is_empty() {
            return Some(SecretFault::Empty);
        }
        if text.trim().len() != text.len() {
            return Some(SecretFault::WhiteSpace);
        }
        let quoted = |quote: char| text.starts_with(quote) && text.ends_with(quote);
        (quoted('"') || quoted('\'')).then_some(SecretFault::Quotes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What [`Secret::fault`] can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFault {
    /// There is nothing in it.
    Empty,
    /// It begins or ends with white space.
    WhiteSpace,
    /// It stands in quotes.
    Quotes,
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecretFault::Empty => "the API Key Secret is empty",
            SecretFault::WhiteSpace => {
                "the API Key Secret begins or ends with white space; it was probably read from a \
                 file together with its newline: trim it"
            }
            SecretFault::Quotes => {
                "the API Key Secret stands in quotes, probably left in from an environment file: \
                 take them off"
            }
        })
    }
}
