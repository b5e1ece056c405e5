//! Which identities a chat user may have.
//!
//! Identities are compared exactly: never folded in case, never normalized. Two spellings are two
//! people.

use std::fmt;

use crate::sid;

/// An identity may have this many Unicode code points.
pub const IDENTITY_CHARS_MAX: usize = 256;

const RESERVED: [&str; 3] = ["system", "private", "unique"];

/// Why an identity cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityFault {
    /// There is nothing in it.
    Empty,
    /// It has this many code points.
    TooLong(usize),
    /// It is a reserved word.
    Reserved(&'static str),
    /// It looks like a User SID, which means another thing in the same places.
    UserSid,
    /// It has a NUL in it, which no store keeps reliably.
    Nul,
}

impl fmt::Display for IdentityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityFault::Empty => f.write_str("the identity is empty"),
            IdentityFault::TooLong(chars) => {
                write!(f, "the identity has {chars} code points; at most {IDENTITY_CHARS_MAX} are allowed")
            }
            IdentityFault::Reserved(word) => {
                write!(f, "the identity {word:?} is reserved; choose another")
            }
            IdentityFault::UserSid => f.write_str(
                "the identity looks like a User SID (US and 32 hexadecimal digits); use your own \
                 name for the user",
            ),
            IdentityFault::Nul => f.write_str("the identity contains a NUL character"),
        }
    }
}

/// Whether `identity` can be a chat user's.
///
/// ```
/// use tertulia_token::identity::{self, IdentityFault};
///
/// assert_eq!(identity::check("user@example.com"), Ok(()));
/// assert_eq!(identity::check("system"), Err(IdentityFault::Reserved("system")));
/// ```
pub fn check(identity: &str) -> Result<(), IdentityFault> {
    if identity.is_empty() {
        return Err(IdentityFault::Empty);
    }
    // Counting is only needed when the bytes could be too many.
    if identity.len() > IDENTITY_CHARS_MAX {
        let chars = identity.chars().count();
        if chars > IDENTITY_CHARS_MAX {
            return Err(IdentityFault::TooLong(chars));
        }
    }
    if let Some(word) = RESERVED.into_iter().find(|word| *word == identity) {
        return Err(IdentityFault::Reserved(word));
    }
    if sid::is_sid(identity, "US") {
        return Err(IdentityFault::UserSid);
    }
    if identity.contains('\0') {
        return Err(IdentityFault::Nul);
    }
    Ok(())
}
