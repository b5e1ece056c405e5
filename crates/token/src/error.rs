//! Why a token is not minted, said so that the reader knows what would be right.
//!
//! A message never repeats a value that is not a SID: it could be a secret in the wrong place.

use thiserror::Error;

use crate::identity::IdentityFault;
use crate::parse::LIFETIME_MAX;
use crate::secret::SecretFault;
use crate::sid;

/// What [`Mint::sign`](crate::Mint::sign) refuses. [`Mint::lenient`](crate::Mint::lenient) turns
/// these checks off.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MintError {
    /// A SID is of the wrong kind or no SID.
    #[error("the {field} must be {expected} followed by 32 hexadecimal digits; found {found}")]
    Sid {
        /// Where it was given.
        field: &'static str,
        /// The right prefix.
        expected: &'static str,
        /// What was given, described.
        found: String,
    },
    /// The secret cannot be right.
    #[error("{0}")]
    Secret(SecretFault),
    /// No identity was given.
    #[error("a token needs an identity: the name of the user it is for")]
    NoIdentity,
    /// The identity is not allowed.
    #[error("{0}")]
    Identity(IdentityFault),
    /// The lifetime is nothing or negative.
    #[error("the lifetime must be 1 to {LIFETIME_MAX} seconds; found {0}")]
    TtlNotPositive(i64),
    /// The lifetime is over a day.
    #[error("the lifetime must be at most {LIFETIME_MAX} seconds (24 hours); found {ttl}{}", ms_hint(*.ttl))]
    TtlTooLong {
        /// What was given.
        ttl: i64,
    },
    /// The token would be expired before it is valid.
    #[error("nbf ({not_before}) is not before exp ({expires_at}); nbf is a Unix time in seconds{}", ms_hint(*.not_before))]
    NotBeforeAfterExpiry {
        /// `nbf`
        not_before: i64,
        /// `exp`
        expires_at: i64,
    },
    /// The region is not a region's name.
    #[error("a region is a name like us1, ie1 or au1 in lower case; leave it out for the home region")]
    Region,
    /// A chat grant without a service opens nothing.
    #[error("the chat grant needs service_sid, the SID of the chat service (IS…)")]
    ChatWithoutService,
    /// A Messaging Service is another thing than a chat service.
    #[error(
        "the chat grant has the SID of a Messaging Service (MG…); it needs that of the chat \
         service (IS…), which the Conversations service list shows"
    )]
    ChatWithMessagingService,
    /// Parameters without an application go nowhere.
    #[error("the voice grant has parameters for outgoing calls but no application (AP…) to get them")]
    VoiceParamsWithoutApplication,
    /// This name cannot be a grant of its own.
    #[error("{0:?} cannot be given as a grant of another product; use Mint::identity or ChatGrant")]
    GrantName(String),
    /// No verifier of this crate would take it.
    #[error("the token would have {bytes} bytes, and verifiers refuse more than {max}; make its grants smaller")]
    TokenTooLong {
        /// How long it would be.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
}

impl MintError {
    pub(crate) fn sid(field: &'static str, expected: &'static str, found: &str) -> MintError {
        MintError::Sid { field, expected, found: sid::describe(found) }
    }
}

/// For numbers that would be sensible if they were divided by a thousand.
fn ms_hint(number: i64) -> &'static str {
    let as_ttl = number % 1000 == 0 && (300..=LIFETIME_MAX).contains(&(number / 1000));
    let as_time = number > 100_000_000_000;
    if as_ttl || as_time { " (it looks like milliseconds: divide it by 1000)" } else { "" }
}
