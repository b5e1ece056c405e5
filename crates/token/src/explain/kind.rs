//! What a text is.

use std::fmt;

use crate::json::{Doc, Value};
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
    /// A piece of a JWT, too short to say of which kind.
    Fragment,
    /// An API token of Tertulia (`tt_…`), with which devices log in at the token endpoint.
    ApiToken,
    /// The auth token of an account, or something with its shape.
    AuthToken,
    /// Something with the shape of an API Key Secret.
    Secret,
    /// A name and a secret, as REST takes them.
    Credentials,
    /// A SID.
    Sid,
    /// What a program writes when there is no value: `undefined`, `null`, `NaN`.
    MissingValue,
    /// What a program writes when it is asked for the text of an object: `[object Promise]`.
    ObjectText,
    /// A web page.
    WebPage,
    /// JSON without a token in it.
    Json,
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
            TokenKind::Fragment => "fragment",
            TokenKind::ApiToken => "api_token",
            TokenKind::AuthToken => "auth_token",
            TokenKind::Secret => "secret",
            TokenKind::Credentials => "credentials",
            TokenKind::Sid => "sid",
            TokenKind::MissingValue => "missing_value",
            TokenKind::ObjectText => "object_text",
            TokenKind::WebPage => "web_page",
            TokenKind::Json => "json",
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
            TokenKind::Fragment => "a piece of a token, not a whole one",
            TokenKind::ApiToken => "an API token for the token endpoint (tt_…), not an Access Token",
            TokenKind::AuthToken => "32 hexadecimal digits, the shape of an auth token, not an Access Token",
            TokenKind::Secret => "32 letters and digits, the shape of an API Key Secret, not an Access Token",
            TokenKind::Credentials => "a name and a secret, as REST takes them, not an Access Token",
            TokenKind::Sid => "a SID, not an Access Token",
            TokenKind::MissingValue => "the text of a missing value, not an Access Token",
            TokenKind::ObjectText => "the text of an object in a program, not an Access Token",
            TokenKind::WebPage => "a web page, not an Access Token",
            TokenKind::Json => "JSON without a token in it",
            TokenKind::Empty => "nothing: the text is empty",
            TokenKind::NoToken => "not a token of any kind known here",
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
    } else if has("grants") && (issuer.starts_with("SK") || issuer.starts_with("AC")) {
        // Everything but the header is right.
        TokenKind::AccessToken
    } else if issuer.contains("://") || has("aud") {
        TokenKind::IdToken
    } else {
        TokenKind::OtherJwt
    }
}

fn of_text(text: &str) -> TokenKind {
    let lower = text.trim_start().get(..16).unwrap_or(text).to_ascii_lowercase();
    if text.is_empty() {
        TokenKind::Empty
    } else if is_missing_value(text) {
        TokenKind::MissingValue
    } else if is_object_text(text) {
        TokenKind::ObjectText
    } else if text.starts_with("tt_") {
        TokenKind::ApiToken
    } else if is_any_sid(text) {
        TokenKind::Sid
    } else if is_auth_token(text) {
        TokenKind::AuthToken
    } else if is_secret(text) {
        TokenKind::Secret
    } else if is_credentials(text) {
        TokenKind::Credentials
    } else if text.split('.').count() == 5 && text.starts_with("eyJ") {
        TokenKind::Encrypted
    } else if is_fragment(text) {
        TokenKind::Fragment
    } else if lower.starts_with("<!doctype") || lower.starts_with("<html") || lower.starts_with("<?xml") {
        TokenKind::WebPage
    } else if text.starts_with(['{', '[']) && Doc::read(text.as_bytes().to_vec()).is_ok() {
        TokenKind::Json
    } else {
        TokenKind::NoToken
    }
}

/// What languages write for a value that is not there, or that is no text.
fn is_missing_value(text: &str) -> bool {
    const WORDS: [&str; 12] =
        ["undefined", "null", "nil", "none", "nan", "false", "true", "(null)", "<nil>", "%!s(<nil>)", "[]", "{}"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn is_object_text(text: &str) -> bool {
    let function = text.starts_with("function") || text.starts_with("async ") || text.starts_with("() =>");
    // `#<Twilio::JWT::AccessToken…>`, `com.twilio.jwt.accesstoken.AccessToken@1b28cdfa`, `<coroutine object …>`.
    let object = ["[object ", "#<", "<coroutine ", "<bound method ", "<function ", "<__main__.", "&{", "Promise {"];
    let class = text.contains("jwt.accesstoken.AccessToken") || text.starts_with("Twilio.Jwt.");
    function || class || object.iter().any(|start| text.starts_with(start))
}

pub(super) fn is_any_sid(text: &str) -> bool {
    text.get(..2).is_some_and(|prefix| prefix.bytes().all(|b| b.is_ascii_uppercase()) && sid::is_sid(text, prefix))
}

pub(super) fn is_auth_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

pub(super) fn is_secret(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `SK…:secret`, or the header `Basic …` that is made of it.
fn is_credentials(text: &str) -> bool {
    let pair = text.split_once(':').is_some_and(|(name, secret)| is_any_sid(name) && !secret.is_empty());
    pair || text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("basic "))
}

/// The beginning or the end of a token that was cut.
fn is_fragment(text: &str) -> bool {
    let is_token_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b'/' | b'=');
    let begins = text.starts_with("eyJ") || text.contains(".eyJ");
    begins && text.len() >= 8 && text.bytes().all(is_token_byte)
}
