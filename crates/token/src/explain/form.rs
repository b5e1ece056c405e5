//! Reads what can be read of a token whose form is wrong, and says how it is wrong.
//!
//! Only explanations use this: verification takes one spelling and nothing else.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::parse;

/// Takes padding or none, and unused bits in the last character.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Characters of an HMAC-SHA256 signature in base64url.
const SIGNATURE_CHARS: usize = 43;

/// Lengths that fields and buffers have: a text of exactly that length was probably cut there.
const LIMITS: [usize; 10] = [128, 200, 250, 255, 256, 500, 511, 512, 1000, 1024];

/// A way in which the form is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// `=` at the end of a part.
    Padded,
    /// `+` or `/` where base64url has `-` and `_`.
    StandardBase64,
    /// It ends too early: with that many characters.
    CutOff(usize),
    /// Its beginning is missing.
    CutInFront,
    /// Nothing after the second dot.
    Unsigned,
    /// It has that many parts, which is too many.
    Parts(usize),
}

impl Damage {
    /// Whether a piece of the token is missing.
    pub(super) fn is_cut(self) -> bool {
        matches!(self, Damage::CutOff(_) | Damage::CutInFront | Damage::Unsigned)
    }

    pub(super) fn note(self) -> String {
        match self {
            Damage::Padded => "the token is padded: it has = at the end of a part".into(),
            Damage::StandardBase64 => {
                "the token is in standard base64 (with + and /) instead of base64url (with - and _)".into()
            }
            Damage::CutOff(chars) if LIMITS.contains(&chars) => {
                format!(
                    "the token was cut off; what arrived has exactly {chars} characters, which looks like the limit of a field"
                )
            }
            Damage::CutOff(chars) => format!("the token was cut off after {chars} characters"),
            Damage::CutInFront => "the beginning of the token is missing".into(),
            Damage::Unsigned => "the token has no signature: nothing stands after the second dot".into(),
            Damage::Parts(count) => format!("there are {count} parts with dots between them; a token has three"),
        }
    }

    pub(super) fn advice(self) -> &'static str {
        match self {
            Damage::Padded => "encode without padding: take the = off the end of each part before signing",
            Damage::StandardBase64 => "encode with base64url, the alphabet of JWTs, before signing; a library does it",
            Damage::CutOff(_) => {
                "find out where the token is cut: a database column that is too short, a limit of a form field, a \
                 selection in a terminal that ends early"
            }
            Damage::CutInFront => "copy or store the whole token; it begins with eyJ",
            Damage::Unsigned => {
                "sign the token with the secret of an API key; a token without a signature proves nothing"
            }
            Damage::Parts(_) => "send one token and nothing else: header, payload and signature",
        }
    }
}

/// What can be read of a text that should be a token.
#[derive(Default)]
pub(super) struct Readable {
    pub(super) header: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) signature: Option<Vec<u8>>,
    /// The text that may have been signed: as it arrived, and in the right spelling.
    pub(super) signed: Vec<String>,
    pub(super) damage: Vec<Damage>,
}

impl Readable {
    pub(super) fn of(token: &str) -> Readable {
        if parse::check_size(token).is_err() || !token.is_ascii() {
            return Readable::default();
        }
        let parts: Vec<&str> = token.split('.').collect();
        // One word is no header, although most words can be decoded.
        let is_word = parts.len() == 1 && !token.starts_with("eyJ");
        let part = |n: usize| parts.get(n).copied().filter(|part| !part.is_empty() && !is_word);
        let [header, payload, signature] = [0, 1, 2].map(|n| part(n).and_then(decode));
        let mut readable = Readable { header, payload, signature, ..Readable::default() };
        if readable.header.is_some() && readable.payload.is_some() {
            let signed = token.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
            let respelled = respelled(&signed);
            readable.signed = if respelled == signed { vec![signed] } else { vec![signed, respelled] };
        }
        if parse::split(token).is_err() {
            readable.damage = damage(token, &parts);
        } else if readable.signature.as_ref().is_some_and(|bytes| bytes.len() < 32) {
            readable.damage = vec![Damage::CutOff(token.len())];
        }
        readable
    }
}

pub(super) fn decode(part: &str) -> Option<Vec<u8>> {
    LOOSE.decode(part.replace('+', "-").replace('/', "_")).ok()
}

fn respelled(text: &str) -> String {
    text.replace('+', "-").replace('/', "_").replace('=', "")
}

/// How the form of a text is wrong that is no token, but may have been one.
fn damage(token: &str, parts: &[&str]) -> Vec<Damage> {
    let mut damage = Vec::new();
    if !token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b'/' | b'=')) {
        return damage;
    }
    if parts.iter().any(|part| part.ends_with('=')) {
        damage.push(Damage::Padded);
    }
    if token.contains(['+', '/']) {
        damage.push(Damage::StandardBase64);
    }
    match parts {
        [header, ..] if !header.starts_with("eyJ") => {
            let has_payload = parts.len() > 1 && parts[1..].iter().any(|part| part.starts_with("eyJ"));
            damage.extend(has_payload.then_some(Damage::CutInFront));
        }
        [_] | [_, _] => damage.push(Damage::CutOff(token.len())),
        [_, payload, ""] if !payload.is_empty() => damage.push(Damage::Unsigned),
        [_, _, signature] if respelled(signature).len() < SIGNATURE_CHARS => damage.push(Damage::CutOff(token.len())),
        [_, _, _] => {}
        _ => damage.push(Damage::Parts(parts.len())),
    }
    damage
}
