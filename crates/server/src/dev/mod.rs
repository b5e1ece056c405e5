//! Dev mode: an account, a key, a chat service and two people from the first second, and a token endpoint
//! that asks for one password. Nothing of it exists outside `tertulia dev`.
//!
//! On loopback the credentials are fixed and documented, so that scripts and apps keep working over a
//! restart and a wiped folder; beyond loopback they are random.

pub mod clock;
pub mod faults;
pub mod seed;
pub mod token;

pub use seed::{DevCredentials, are_fixed, seed};

/// The identities whose tokens are printed at the start.
pub const IDENTITIES: [&str; 2] = ["alice", "bob"];

/// Lifetime of dev tokens: several hours, as the documentation advises.
pub const TOKEN_TTL_SECONDS: i64 = 4 * 3600;
