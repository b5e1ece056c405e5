//! For the person who is stuck: every check with what was found and what was expected, what kind
//! of text this is when it is no Access Token, and what to change.
//!
//! Whether the token is refused, and why, is what [`parse`](crate::parse()),
//! [`verify`](crate::verify()) and [`chat`](crate::chat()) answer for the text as it was given, so
//! that explaining and verifying cannot disagree. The steps beside it go on where verification
//! stops, and look into texts that only contain a token. This module must never print a secret or a
//! signature, and its words are for whoever holds the key, not for the client.

use serde_json::Value as Json;

use crate::chat::{Directory, Known, chat};
use crate::key::{Key, KeyStatus};
use crate::parse::{self, parse};
use crate::refusal::{Check, Refusal};
use crate::secret::Secret;
use crate::verify::{Rules, verify};

mod claims;
mod form;
mod hints;
mod kind;
mod scrub;
mod steps;
mod text;
mod unwrap;

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
    /// What the service answers to a token that passes all checks but was revoked. Its check is
    /// [`Check::Revocation`].
    pub revoked: Option<Refusal>,
}

/// What is known about the key that [`issuer_of`] names.
#[derive(Clone, Copy)]
pub enum KeyGiven<'a> {
    /// Nobody has looked.
    NotLookedUp,
    /// There is no such key.
    Unknown,
    /// There was such a key, and it was deleted together with its secret.
    Deleted,
    /// This is it.
    Known(&'a Key),
    /// There is no service to ask, only what somebody knows of the key.
    Partly(&'a PartOfKey),
}

/// What somebody knows of a key without a service to ask. What is missing is taken to be as the
/// token says.
#[derive(Debug, Clone, Default)]
pub struct PartOfKey {
    /// The key that should have signed.
    pub sid: Option<String>,
    /// The account that it should belong to.
    pub account_sid: Option<String>,
    /// Its secret.
    pub secret: Option<Secret>,
}

impl PartOfKey {
    /// The key to verify with, for a token that names this key and this account; nothing without a
    /// secret.
    #[must_use]
    pub fn assume(&self, issuer: &str, subject: &str, rules: &Rules) -> Option<Key> {
        self.secret.as_ref().map(|secret| self.with(secret, issuer, subject, rules))
    }

    fn with(&self, secret: &Secret, issuer: &str, subject: &str, rules: &Rules) -> Key {
        let sid = self.sid.as_deref().unwrap_or(issuer);
        let account = self.account_sid.as_deref().unwrap_or(subject);
        Key { region: rules.region_name().to_owned(), ..Key::new(sid, account, secret.reveal()) }
    }

    /// What can be said of the key when nothing speaks against it.
    fn compared(&self) -> &'static str {
        match (&self.sid, &self.account_sid) {
            (None, None) => "only a secret was given, no key",
            _ => "iss and sub are as given here; whether the key is active was not looked up",
        }
    }
}

impl<'a> Given<'a> {
    /// Only the clock: form and times are checked, signature and grants' objects are not.
    #[must_use]
    pub fn at(now: i64) -> Given<'a> {
        Given { rules: Rules::at(now), key: KeyGiven::NotLookedUp, directory: None, revoked: None }
    }

    fn secret(&self) -> Option<&'a Secret> {
        match self.key {
            KeyGiven::Known(key) => Some(&key.secret),
            KeyGiven::Partly(part) => part.secret.as_ref(),
            KeyGiven::NotLookedUp | KeyGiven::Unknown | KeyGiven::Deleted => None,
        }
    }

    /// The key as far as it is known, to compare it with what a token names.
    fn key_for(&self, issuer: &str, subject: &str) -> Option<Key> {
        match self.key {
            KeyGiven::NotLookedUp | KeyGiven::Unknown => None,
            KeyGiven::Deleted => Some(Key { status: KeyStatus::Deleted, ..Key::new(issuer, subject, "") }),
            KeyGiven::Known(key) => Some(key.clone()),
            KeyGiven::Partly(part) => {
                let nobodys = Secret::new("");
                Some(part.with(part.secret.as_ref().unwrap_or(&nobodys), issuer, subject, &self.rules))
            }
        }
    }

    /// Whether everything is known that verification asks for.
    fn can_verify(&self) -> bool {
        match self.key {
            KeyGiven::NotLookedUp => false,
            KeyGiven::Partly(part) => part.secret.is_some(),
            KeyGiven::Unknown | KeyGiven::Deleted | KeyGiven::Known(_) => true,
        }
    }

    /// What the door answers to this very text.
    fn judge(&self, token: &str) -> Result<(), Refusal> {
        const ANYTHING: Known = Known { service: true, role: true, push_credential: true };
        let unverified = parse(token)?;
        let key = self.key_for(unverified.issuer(), unverified.subject());
        let token = verify(unverified, key.as_ref(), &self.rules)?;
        chat(&token, self.directory.unwrap_or(&ANYTHING))?;
        self.revoked.clone().map_or(Ok(()), Err)
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
    /// Of the notes, how many the first sentence tells: what stands around the token, or damaged it.
    told_first: usize,
    is_wrapped: bool,
}

impl Explanation {
    /// Adds what only the caller knows, such as when the key was deleted, as the first of the notes.
    pub fn add_note(&mut self, note: impl Into<String>) {
        self.notes.insert(self.told_first, note.into());
    }

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
    let unwrapped = unwrap::unwrap(token);
    let inner = unwrapped.text.as_ref();
    let walked = steps::walk(token, inner, given);
    let kind = kind::of(inner, walked.header.as_ref(), walked.payload.as_ref());
    let mut notes: Vec<String> = unwrapped.wrappings.iter().map(|w| w.note().to_owned()).collect();
    notes.extend(walked.damage.iter().map(|damage| damage.note()));
    let is_jwt = walked.header.is_some() || walked.payload.is_some();
    let told_first = if is_jwt { notes.len() } else { 0 };
    notes.extend(hints::clock(walked.payload.as_ref(), &given.rules));
    let changes = hints::changes(kind, &unwrapped, &walked, given);
    // Without the key only the steps can tell; with it, verification itself does.
    let refusal = if given.can_verify() { given.judge(token).err() } else { walked.refusal };
    let payload = walked.payload.as_ref().map(|doc| doc.root().to_serde());
    let is_wrapped = !unwrapped.wrappings.is_empty();
    let steps = walked.steps;
    let explanation = Explanation { kind, notes, changes, payload, refusal, steps, told_first, is_wrapped };
    scrub::scrub(explanation, given.secret())
}

/// The token that a text contains, as [`explain()`] finds it, or the text itself. Never let anybody
/// in for it: the door takes the bare token only.
#[must_use]
pub fn token_in(text: &str) -> String {
    unwrap::unwrap(text).text.into_owned()
}

/// The key SID a text claims to be signed with, wherever it can be found, for looking the key up
/// before [`explain()`]. Nothing about it is checked.
#[must_use]
pub fn issuer_of(token: &str) -> Option<String> {
    let readable = form::Readable::of(&unwrap::unwrap(token).text);
    let payload = parse::read_payload(readable.payload?).ok()?;
    let issuer = payload.root().get("iss")?.text()?;
    Some(issuer.into_owned())
}

/// Header and payload of a JWT of any kind, also of one that is wrapped or damaged, **without any
/// check of the signature**: for looking, never for deciding.
pub fn decode_unchecked(token: &str) -> Result<(Json, Json), Refusal> {
    let unwrapped = unwrap::unwrap(token);
    parse::check_size(&unwrapped.text)?;
    let readable = form::Readable::of(&unwrapped.text);
    let (Some(header), Some(payload)) = (readable.header, readable.payload) else {
        return Err(parse::split(&unwrapped.text).err().unwrap_or_else(parse::no_parts));
    };
    let header = parse::read_header(header)?;
    let payload = parse::read_payload(payload)?;
    Ok((header.root().to_serde(), payload.root().to_serde()))
}
