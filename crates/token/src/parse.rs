//! From text to an [`Unverified`] token: everything that can be said without a key.
//!
//! Nothing here is trusted: `issuer` serves to look the key up and for nothing else. Every bound
//! is applied before anything is built.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::{Doc, Fault, Kind, Value};
use crate::refusal::{Check, Refusal, code};
use crate::sid;
use crate::signature::Received;

/// A longer token is refused before anything of it is decoded.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// Twilio's bound on the lifetime of a token, in seconds.
pub const LIFETIME_MAX: i64 = 86_400;

/// The content type that makes a JWT an Access Token.
pub(crate) const CONTENT_TYPE: &str = "twilio-fpa;v=1";

/// A well-formed token whose signature nobody has checked yet.
#[derive(Clone)]
pub struct Unverified<'t> {
    pub(crate) signed: &'t str,
    pub(crate) header: Doc,
    pub(crate) payload: Doc,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) signature: Received,
}

impl Unverified<'_> {
    /// The API Key SID the token claims to be signed with: look this key up.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The Account SID the token claims to belong to.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// Reads a token as far as that is possible without its key.
///
/// ```
/// let refusal = tertulia_token::parse("not a token").unwrap_err();
/// assert_eq!(refusal.code, 20101);
/// ```
pub fn parse(token: &str) -> Result<Unverified<'_>, Refusal> {
    check_size(token)?;
    let parts = split(token)?;
    let header = read_header(parts.header)?;
    check_type(header.root())?;
    check_algorithm(header.root())?;
    check_content_type(header.root())?;
    check_extensions(header.root())?;
    let payload = read_payload(parts.payload)?;
    let issuer = check_issuer(payload.root())?;
    let subject = check_subject(payload.root())?;
    Ok(Unverified {
        signed: parts.signed,
        header,
        payload,
        issuer,
        subject,
        signature: Received::new(&parts.signature),
    })
}

pub(crate) fn check_size(token: &str) -> Result<(), Refusal> {
    if token.len() <= TOKEN_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        code::INVALID_TOKEN,
        Check::Size,
        format!("{} bytes", token.len()),
        format!("at most {TOKEN_BYTES_MAX} bytes"),
    ))
}

/// The three parts, decoded, and the text that was signed.
pub(crate) struct Parts<'t> {
    pub(crate) signed: &'t str,
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn split(token: &str) -> Result<Parts<'_>, Refusal> {
    let form = |found: String| {
        Refusal::new(
            code::INVALID_TOKEN,
            Check::Form,
            found,
            "three parts of base64url without padding, with a dot between them",
        )
    };
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let count = token.split('.').count();
        return Err(form(if count == 1 { "one part".to_owned() } else { format!("{count} parts") }));
    };
    let decode = |name: &str, part: &str| {
        if part.is_empty() {
            return Err(form(format!("an empty {name}")));
        }
        // This engine refuses padding, and bits left over in the last character: a token must
        // not have two spellings.
        URL_SAFE_NO_PAD.decode(part).map_err(|error| form(format!("in the {name}: {}", decode_fault(&error))))
    };
    Ok(Parts {
        signed: &token[..header.len() + 1 + payload.len()],
        header: decode("header", header)?,
        payload: decode("payload", payload)?,
        signature: decode("signature", signature)?,
    })
}

/// The engine's own message could repeat a character of the signature; this one does not.
fn decode_fault(error: &base64::DecodeError) -> String {
    use base64::DecodeError;
    match error {
        DecodeError::InvalidByte(at, b'=') => format!("padding (=) at character {at}"),
        DecodeError::InvalidByte(at, b'+' | b'/') => {
            format!("standard base64 instead of base64url at character {at}")
        }
        DecodeError::InvalidByte(at, _) => {
            format!("a character that base64url does not have, at character {at}")
        }
        DecodeError::InvalidLastSymbol { .. } => "unused bits that are not zero in the last character".to_owned(),
        _ => "a length that base64url cannot have (cut off?)".to_owned(),
    }
}

pub(crate) fn read_header(bytes: Vec<u8>) -> Result<Doc, Refusal> {
    read_object(bytes, code::INVALID_HEADER, Check::Header)
}

pub(crate) fn read_payload(bytes: Vec<u8>) -> Result<Doc, Refusal> {
    read_object(bytes, code::INVALID_TOKEN, Check::Payload)
}

fn read_object(bytes: Vec<u8>, code: u16, check: Check) -> Result<Doc, Refusal> {
    let expected = "one JSON object, without a member name twice";
    let refuse = |found: String| Refusal::new(code, check, found, expected);
    let doc = Doc::read(bytes).map_err(|Fault { at, what }| refuse(format!("{what}, at byte {at}")))?;
    match doc.root().kind() {
        Kind::Object => Ok(doc),
        other => Err(refuse(other.name().to_owned())),
    }
}

pub(crate) fn check_type(header: Value<'_>) -> Result<(), Refusal> {
    header_is(header, Check::Type, "JWT")
}

pub(crate) fn check_algorithm(header: Value<'_>) -> Result<(), Refusal> {
    header_is(header, Check::Algorithm, "HS256")
}

pub(crate) fn check_content_type(header: Value<'_>) -> Result<(), Refusal> {
    header_is(header, Check::ContentType, CONTENT_TYPE)
}

/// Checks that are about one header member are named like it.
fn header_is(header: Value<'_>, check: Check, wanted: &'static str) -> Result<(), Refusal> {
    let member = header.get(check.name());
    if member.is_some_and(|value| value.is_text(wanted)) {
        return Ok(());
    }
    Err(Refusal::new(code::INVALID_HEADER, check, show(member), format!("{wanted:?}")))
}

/// `crit` names members a reader must understand, and we understand none; `zip` and `b64` say that
/// the payload is not what it seems. Other members are ignored, `kid`, `jku` and `jwk` among them:
/// a token does not choose its own key.
pub(crate) fn check_extensions(header: Value<'_>) -> Result<(), Refusal> {
    for name in ["crit", "zip", "b64"] {
        if header.get(name).is_some() {
            return Err(Refusal::new(
                code::INVALID_HEADER,
                Check::Extensions,
                format!("a header member {name:?}"),
                "no header member that changes how the token is read",
            ));
        }
    }
    Ok(())
}

pub(crate) fn check_issuer(payload: Value<'_>) -> Result<String, Refusal> {
    sid_claim(payload, Check::Issuer, "SK", "an API Key SID (SK…), in lower case")
}

pub(crate) fn check_subject(payload: Value<'_>) -> Result<String, Refusal> {
    sid_claim(payload, Check::Subject, "AC", "an Account SID (AC…), in lower case")
}

/// The claims that name key and account are taken in their one true spelling only.
fn sid_claim(payload: Value<'_>, check: Check, prefix: &str, expected: &'static str) -> Result<String, Refusal> {
    let claim = payload.get(check.name());
    let text = claim.and_then(Value::text);
    match text {
        Some(text) if sid::is_exact(&text, prefix) => Ok(text.into_owned()),
        Some(text) => Err(sid_refusal(check, sid::describe(&text), expected)),
        None => Err(sid_refusal(check, kind_name(claim).to_owned(), expected)),
    }
}

fn sid_refusal(check: Check, found: String, expected: &'static str) -> Refusal {
    Refusal::new(code::INVALID_ISSUER, check, found, expected)
}

/// What kind of value is there, for messages.
pub(crate) fn kind_name(value: Option<Value<'_>>) -> &'static str {
    value.map_or("nothing", |value| value.kind().name())
}

/// A short text or number as it is, anything else by its kind. Only for places where a secret
/// cannot stray to.
pub(crate) fn show(value: Option<Value<'_>>) -> String {
    let text = value.and_then(Value::text);
    match (text, value.and_then(Value::number)) {
        (Some(text), _) if text.chars().count() <= 24 => format!("{text:?}"),
        (_, Some(number)) if number.len() <= 24 => number.to_owned(),
        _ => kind_name(value).to_owned(),
    }
}
