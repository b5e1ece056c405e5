//! For the person who is stuck: every check with what was found and what was expected, what kind
//! of text this is when it is no Access Token, and what to change.
//!
//! The checks are the functions that [`verify`](crate::verify()) uses, so the two cannot disagree;
//! this module only goes on where verification stops. It must never print a secret or a signature,
//! and its words are for whoever holds the key, not for the client.

use serde_json::Value as Json;

use crate::chat::Directory;
use crate::key::Key;
use crate::parse;
use crate::refusal::{Check, Refusal};
use crate::secret::Secret;
use crate::verify::Rules;

mod hints;
mod kind;
mod steps;
mod text;

pub use kind::TokenKind;

/// What is known when a token is explained. The more, the further the explanation goes.
#[derive(Clone)]
pub struct Given<'a> {
    /// The clock and the tolerances.
    pub rules: Rules,
    /// What looking up the key has brought.
    pub key: KeyGiven<'a>,
    /// What exists at the chat service; without it only the shape of the grant is checked.
    pub directory: Option<&'a dyn Directory>,
}

/// What is known about the key that [`issuer_of`] names.
#[derive(Clone, Copy)]
pub enum KeyGiven<'a> {
    /// Nobody has looked.
    NotLookedUp,
    /// There is no such key.
    Unknown,
    /// This is it.
    Known(&'a Key),
    /// Only a secret, without knowing whether it belongs to the key.
    SecretOnly(&'a Secret),
}

impl<'a> Given<'a> {
    /// Only the clock: form and times are checked, signature and grants' objects are not.
    #[must_use]
    pub fn at(now: i64) -> Given<'a> {
        Given { rules: Rules::at(now), key: KeyGiven::NotLookedUp, directory: None }
    }

    fn secret(&self) -> Option<&'a Secret> {
        match self.key {
            KeyGiven::Known(key) => Some(&key.secret),
            KeyGiven::SecretOnly(secret) => Some(secret),
            KeyGiven::NotLookedUp | KeyGiven::Unknown => None,
        }
    }
}

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed; the code is what it would be refused with, were it the first.
    Failed(u16),
    /// It could not be done; `found` says why.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub check: Check,
    /// How it went.
    pub outcome: Outcome,
    /// What was there, or why the check was skipped.
    pub found: String,
    /// What should have been there.
    pub expected: String,
}

/// What [`explain()`] has to say. `Display` gives it as text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// What this text is.
    pub kind: TokenKind,
    /// All checks in order.
    pub steps: Vec<Step>,
    /// The first failure, which is what verification answers.
    pub refusal: Option<Refusal>,
    /// What was noticed: wrappings, times by this clock.
    pub notes: Vec<String>,
    /// What to change, the most likely first.
    pub changes: Vec<String>,
    /// The payload as it stands in the token, if it can be read.
    pub payload: Option<Json>,
}

impl Explanation {
    /// Whether no check failed and none had to be left out.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.steps.iter().all(|step| step.outcome == Outcome::Passed)
    }
}

/// Explains any text at all.
///
/// ```
/// use tertulia_token::{Given, TokenKind, explain};
///
/// let explanation = explain("0123456789abcdef0123456789abcdef", &Given::at(1_700_000_000));
/// assert_eq!(explanation.kind, TokenKind::AuthToken);
/// println!("{explanation}");
/// ```
#[must_use]
pub fn explain(token: &str, given: &Given<'_>) -> Explanation {
    let unwrapped = kind::unwrap(token);
    let inner = unwrapped.text.as_ref();
    let walked = steps::walk(token, inner, given);
    let kind = kind::of(inner, walked.header.as_ref(), walked.payload.as_ref());
    let mut notes: Vec<String> = unwrapped.wrappings.iter().map(|w| (*w).to_owned()).collect();
    notes.extend(hints::clock(walked.payload.as_ref(), &given.rules));
    let changes = hints::changes(kind, &unwrapped, &walked, given);
    Explanation {
        kind,
        notes,
        changes,
        payload: walked.payload.as_ref().map(|doc| doc.root().to_serde()),
        refusal: walked.refusal,
        steps: walked.steps,
    }
}

/// The key SID a text claims to be signed with, wherever it can be found, for looking the key up
/// before [`explain()`]. Nothing about it is checked.
#[must_use]
pub fn issuer_of(token: &str) -> Option<String> {
    let unwrapped = kind::unwrap(token);
    parse::check_size(&unwrapped.text).ok()?;
    let parts = parse::split(&unwrapped.text).ok()?;
    let payload = parse::read_payload(parts.payload).ok()?;
    let issuer = payload.root().get("iss")?.text()?;
    Some(issuer.into_owned())
}

/// Header and payload of a JWT of any kind, **without any check of the signature**: for looking,
/// never for deciding.
pub fn decode_unchecked(token: &str) -> Result<(Json, Json), Refusal> {
    let unwrapped = kind::unwrap(token);
    parse::check_size(&unwrapped.text)?;
    let parts = parse::split(&unwrapped.text)?;
    let header = parse::read_header(parts.header)?;
    let payload = parse::read_payload(parts.payload)?;
    Ok((header.root().to_serde(), payload.root().to_serde()))
}
