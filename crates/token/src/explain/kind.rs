//! What a text is, and what stands around the token in it.

use std::borrow::Cow;
use std::fmt;

use crate::json::{Doc, Kind, Value};
use crate::parse::CONTENT_TYPE;
use crate::sid;

/// The kinds of text that get mixed up with Access Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// An Access Token, good or bad.
    AccessToken,
    /// A capability token for the Voice client, signed with the auth token.
    CapabilityToken,
    /// A capability token for TaskRouter, signed with the auth token.
    TaskRouterCapability,
    /// A token for public key client validation of REST requests.
    ClientValidation,
    /// An ID or access token of an OpenID provider: a login.
    IdToken,
    /// A JWT of another kind.
    OtherJwt,
    /// An encrypted token (JWE).
    Encrypted,
    /// The auth token of an account, or something with its shape.
    AuthToken,
    /// Something with the shape of an API Key Secret.
    Secret,
    /// A SID.
    Sid,
    /// Nothing.
    Empty,
    /// None of these.
    NoToken,
}

impl TokenKind {
    /// A short name, for JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TokenKind::AccessToken => "access_token",
            TokenKind::CapabilityToken => "capability_token",
            TokenKind::TaskRouterCapability => "taskrouter_capability_token",
            TokenKind::ClientValidation => "client_validation_token",
            TokenKind::IdToken => "id_token",
            TokenKind::OtherJwt => "other_jwt",
            TokenKind::Encrypted => "encrypted_token",
            TokenKind::AuthToken => "auth_token",
            TokenKind::Secret => "secret",
            TokenKind::Sid => "sid",
            TokenKind::Empty => "empty",
            TokenKind::NoToken => "no_token",
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenKind::AccessToken => "an Access Token",
            TokenKind::CapabilityToken => "a Voice client capability token, not an Access Token",
            TokenKind::TaskRouterCapability => "a TaskRouter capability token, not an Access Token",
            TokenKind::ClientValidation => {
                "a public key client validation token for REST requests, not an Access Token"
            }
            TokenKind::IdToken => "a token of a login provider (OpenID), not an Access Token",
            TokenKind::OtherJwt => "a JWT, but not an Access Token",
            TokenKind::Encrypted => "an encrypted token (JWE), not an Access Token",
            TokenKind::AuthToken => "32 hexadecimal digits, the shape of an auth token, not an Access Token",
            TokenKind::Secret => "32 letters and digits, the shape of an API Key Secret, not an Access Token",
            TokenKind::Sid => "a SID, not an Access Token",
            TokenKind::Empty => "nothing",
            TokenKind::NoToken => "no token of any kind known here",
        })
    }
}

pub(super) fn of(text: &str, header: Option<&Doc>, payload: Option<&Doc>) -> TokenKind {
    match (header, payload) {
        (Some(header), Some(payload)) => of_jwt(header.root(), payload.root()),
        (Some(header), None) if header.root().get("cty").is_some_and(is_access) => TokenKind::AccessToken,
        _ => of_text(text),
    }
}

fn is_access(content_type: Value<'_>) -> bool {
    content_type.is_text(CONTENT_TYPE)
}

fn of_jwt(header: Value<'_>, payload: Value<'_>) -> TokenKind {
    let content_type = header.get("cty").and_then(Value::text).unwrap_or_default();
    let issuer = payload.get("iss").and_then(Value::text).unwrap_or_default();
    let has = |name| payload.get(name).is_some();
    let scope = payload.get("scope").and_then(Value::text).unwrap_or_default();
    if content_type == CONTENT_TYPE {
        TokenKind::AccessToken
    } else if content_type.starts_with("twilio-pkrv") || has("hrh") && has("rqh") {
        TokenKind::ClientValidation
    } else if scope.contains("scope:client:") || scope.contains("scope:stream:") {
        TokenKind::CapabilityToken
    } else if has("policies") && has("workspace_sid") {
        TokenKind::TaskRouterCapability
    } else if has("grants") && issuer.starts_with("SK") {
        // Everything but the header is right.
        TokenKind::AccessToken
    } else if issuer.contains("://") || has("aud") {
        TokenKind::IdToken
    } else {
        TokenKind::OtherJwt
    }
}

fn of_text(text: &str) -> TokenKind {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_sid =
        text.get(..2).is_some_and(|prefix| prefix.bytes().all(|b| b.is_ascii_uppercase()) && sid::is_sid(text, prefix));
    if text.is_empty() {
        TokenKind::Empty
    } else if is_sid {
        TokenKind::Sid
    } else if text.len() == 32 && hex(text) {
        TokenKind::AuthToken
    } else if text.len() == 32 && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        TokenKind::Secret
    } else if text.split('.').count() == 5 && text.starts_with("eyJ") {
        TokenKind::Encrypted
    } else {
        TokenKind::NoToken
    }
}

/// The text that may be a token, and what was taken off to reach it.
pub(super) struct Unwrapped<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) wrappings: Vec<&'static str>,
}

/// Longer texts are not searched for a token.
const SEARCHED_BYTES_MAX: usize = 65_536;

/// Takes off what people leave around tokens.
pub(super) fn unwrap(text: &str) -> Unwrapped<'_> {
    let mut unwrapped = Unwrapped { text: Cow::Borrowed(text), wrappings: Vec::new() };
    if text.len() > SEARCHED_BYTES_MAX {
        return unwrapped;
    }
    // A quoted "Bearer …" inside JSON is three layers; nobody needs more than a few.
    for _ in 0..5 {
        let Some((inner, wrapping)) = unwrap_once(&unwrapped.text) else {
            break;
        };
        unwrapped.text = Cow::Owned(inner);
        unwrapped.wrappings.push(wrapping);
    }
    unwrapped
}

fn unwrap_once(text: &str) -> Option<(String, &'static str)> {
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        return Some((trimmed.to_owned(), "there is white space around the token"));
    }
    for quote in ['"', '\'', '`'] {
        let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return Some((inner.to_owned(), "there are quotes around the token"));
        }
    }
    let bearer = text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
    if bearer {
        return Some((text[7..].to_owned(), "the token begins with \"Bearer \""));
    }
    if text.starts_with(['{', '[']) {
        let token = token_in_json(text)?;
        return Some((token, "the token is inside JSON"));
    }
    if text.contains("%2E") || text.contains("%2e") {
        let plain = text.replace("%2E", ".").replace("%2e", ".");
        return Some((plain, "the token is percent-encoded"));
    }
    if text.starts_with("eyJ") && text.contains(char::is_whitespace) {
        let joined = text.split_whitespace().collect();
        return Some((joined, "there is white space or a line break inside the token"));
    }
    None
}

/// The token in an answer like `{"identity": …, "token": …}` or `[{"jwt": …}]`.
fn token_in_json(text: &str) -> Option<String> {
    let doc = Doc::read(text.as_bytes().to_vec()).ok()?;
    let root = doc.root();
    let object = match root.kind() {
        Kind::Array => root.items().next()?,
        _ => root,
    };
    let names = ["token", "jwt", "accessToken", "access_token", "chatToken"];
    let token = names.into_iter().find_map(|name| object.get(name)?.text())?;
    Some(token.into_owned())
}
