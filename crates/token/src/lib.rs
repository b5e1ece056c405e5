//! Access Tokens for Conversations: mint, verify and explain them.
//!
//! An Access Token says who a user is and what they may use. Your backend mints it with an API
//! key, the app hands it to the SDK, the service verifies it. Minting, for a Tertulia service:
//!
//! ```
//! use tertulia_token::{ChatGrant, Mint, Secret};
//!
//! # fn main() -> Result<(), tertulia_token::MintError> {
//! # let now = 1_700_000_000;
//! let secret = Secret::new("the secret of your API key");
//! let minted = Mint::new("AC00000000000000000000000000000001", "SK00000000000000000000000000000001", &secret)
//!     .identity("alice")
//!     .grant(ChatGrant::new("IS00000000000000000000000000000001"))
//!     .ttl(4 * 3600)
//!     .sign(now)?; // Unix time in seconds
//! println!("{}", minted.token);
//! # Ok(()) }
//! ```
//!
//! The tokens are the same ones, so the same lines mint for Twilio itself:
//!
//! ```
//! use tertulia_token::{Mint, Secret, VideoGrant, VoiceGrant};
//!
//! # fn main() -> Result<(), tertulia_token::MintError> {
//! # let now = 1_700_000_000;
//! let secret = Secret::new("the API Key Secret from the Twilio Console");
//! let voice = VoiceGrant { incoming: true, ..VoiceGrant::default() };
//! let minted = Mint::new("AC00000000000000000000000000000001", "SK00000000000000000000000000000001", &secret)
//!     .identity("alice")
//!     .grant(voice)
//!     .grant(VideoGrant { room: Some("daily".into()) })
//!     .region("ie1") // only for keys that are not of US1
//!     .sign(now)?;
//! println!("{}", minted.token);
//! # Ok(()) }
//! ```
//!
//! Verifying, at the service. `parse` tells which key to look up, `verify` checks the token
//! against it, `chat` says what it may do there:
//!
//! ```
//! use tertulia_token::{ChatAccess, Directory, Key, Refusal, Rules};
//!
//! fn admit(
//!     token: &str,
//!     find_key: impl Fn(&str) -> Option<Key>,
//!     directory: &impl Directory,
//!     now: i64,
//! ) -> Result<ChatAccess, Refusal> {
//!     let unverified = tertulia_token::parse(token)?;
//!     let key = find_key(unverified.issuer());
//!     let token = tertulia_token::verify(unverified, key.as_ref(), &Rules::at(now))?;
//!     tertulia_token::chat(&token, directory)
//! }
//! ```
//!
//! A [`Refusal`] has the code for the wire, and the exact reason for your log. When somebody is
//! stuck, [`explain()`] takes any text at all and says what it is, which checks it passes and what
//! to change.
//!
//! The crate does no input or output, reads no clock, draws no random numbers and contains no
//! unsafe code. Read next: [`Check`] for the order of verification, [`Mint`] for the options.

#![forbid(unsafe_code)]

mod mint;
mod grants;
mod error;
mod parse;
mod verify;
mod chat;
mod explain;

pub mod advice;
pub mod identity;
mod claims;
mod key;
mod refusal;
mod secret;
pub mod sid;

mod json;
mod signature;
mod words;

pub use advice::Advice;
pub use chat::{ChatAccess, ChatClaim, Directory, Known, chat};
pub use claims::AccessToken;
pub use error::MintError;
pub use explain::{Explanation, Given, KeyGiven, Outcome, Step, TokenKind, decode_unchecked, explain, issuer_of};
pub use grants::{ChatGrant, Grant, SyncGrant, TaskRouterGrant, VideoGrant, VoiceGrant};
pub use identity::IdentityFault;
pub use key::{AccountStatus, Key, KeyKind, KeyStatus};
pub use mint::{Mint, Minted, TTL_DEFAULT};
pub use parse::{LIFETIME_MAX, TOKEN_BYTES_MAX, Unverified, parse};
pub use refusal::{Check, Refusal, code};
pub use secret::{Secret, SecretFault};
pub use verify::{Rules, TOLERANCE_MAX, verify};
