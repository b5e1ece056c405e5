//! What a verifier knows about an API key: the answer of the caller's lookup.

use crate::secret::Secret;

/// An API key, together with the state of its account.
#[derive(Debug, Clone)]
pub struct Key {
    /// The `SK…` SID.
    pub sid: String,
    /// The account the key belongs to.
    pub account_sid: String,
    /// What it signs with.
    pub secret: Secret,
    /// What it may do.
    pub kind: KeyKind,
    /// Whether it may do it now.
    pub status: KeyStatus,
    /// The region it exists in, for example `us1`.
    pub region: String,
    /// The state of its account.
    pub account_status: AccountStatus,
}

impl Key {
    /// An active standard key of an active account, in region `us1`; change the fields that differ.
    pub fn new(sid: impl Into<String>, account_sid: impl Into<String>, secret: impl Into<String>) -> Key {
        Key {
            sid: sid.into(),
            account_sid: account_sid.into(),
            secret: Secret::new(secret),
            kind: KeyKind::Standard,
            status: KeyStatus::Active,
            region: "us1".to_owned(),
            account_status: AccountStatus::Active,
        }
    }
}

/// The kinds of API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// May do everything.
    Main,
    /// May do everything except manage accounts and keys.
    Standard,
    /// May do what its policy lists; it cannot sign Access Tokens.
    Restricted,
}

/// The states of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It signs.
    Active,
    /// It does not sign for now.
    Suspended,
    /// It is gone, and with it every token it signed.
    Deleted,
}

/// The states of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// Open for business.
    Active,
    /// Closed for now.
    Suspended,
    /// Closed for good.
    Closed,
    /// These are test credentials, which cannot carry Access Tokens.
    Test,
}
