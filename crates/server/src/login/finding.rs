//! What the sources and the rules said on the way to a token, as values. The log line, the audit entry and tests are
//! made of them. No IO.
//!
//! A finding names the check, what was found and what was expected. What was found may come from anybody, so it is
//! shortened, its control characters are left out, and whatever looks like a token or a password is replaced.

use std::fmt;

use serde_json::{Value, json};

use super::policy::Step;
use crate::api_tokens::PREFIX;

/// The longest text that is shown of what was found or expected, in characters.
const SHOWN_MAX: usize = 160;
/// Rules that a log line and an audit entry name at most.
const RULES_MAX: usize = 20;

macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $word:literal, $label:literal;)*) => {
        /// What a source looks at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Check {
            $($(#[$doc])* $check,)*
        }
        impl Check {
            /// The word in audit entries.
            pub const fn word(self) -> &'static str {
                match self { $(Check::$check => $word,)* }
            }
            /// What people call it.
            pub const fn label(self) -> &'static str {
                match self { $(Check::$check => $label,)* }
            }
        }
    };
}

checks! {
    /// The method of the request.
    Method = "method", "method";
    /// Whether there is anything to look at.
    Credential = "credential", "credential in the request";
    /// The scheme of the header Authorization.
    Scheme = "scheme", "scheme of the Authorization header";
    /// What kind of bearer token it is.
    TokenKind = "token_kind", "kind of the bearer token";
    /// The size of a bearer token.
    TokenSize = "token_size", "size of the bearer token";
    /// The header of a JWT as a whole.
    TokenHeader = "token_header", "header of the JWT";
    /// `iss`.
    Issuer = "issuer", "issuer (iss)";
    /// `alg`.
    Algorithm = "algorithm", "algorithm (alg)";
    /// `typ`.
    TokenType = "token_type", "type (typ)";
    /// `crit`.
    Critical = "critical", "critical extensions (crit)";
    /// `kid`.
    KeyId = "key_id", "key (kid)";
    /// The signature.
    Signature = "signature", "signature";
    /// `aud`.
    Audience = "audience", "audience (aud)";
    /// `exp`.
    Expiry = "expiry", "expiry (exp)";
    /// `nbf`.
    NotBefore = "not_before", "start of validity (nbf)";
    /// The claims as a whole.
    Claims = "claims", "claims of the JWT";
    /// `cnf`: the token is bound to its sender, and nobody checks the sender's proof yet.
    SenderBound = "sender_bound", "binding to a sender (cnf)";
    /// A logout token where a login was expected, or the other way round.
    LogoutToken = "logout_token", "logout token";
    /// The name of the person.
    Subject = "subject", "name of the person";
    /// A proxy's header.
    Header = "header", "header";
    /// The address that a proxy's header came from.
    Address = "address", "address of the proxy";
    /// An API token.
    ApiToken = "api_token", "API token";
    /// The facts that an API token has.
    Facts = "facts", "facts of the API token";
    /// The status of an app's or a provider's answer.
    Status = "status", "status of the answer";
    /// An answer that leads elsewhere.
    Redirect = "redirect", "redirect";
    /// What an app or a provider answers.
    Answer = "answer", "answer";
    /// The size of an answer.
    AnswerSize = "answer_size", "size of the answer";
    /// How long an answer takes.
    AnswerTime = "answer_time", "time for an answer";
    /// The connection to an app or to a provider.
    Connection = "connection", "connection";
    /// A provider's keys.
    ProviderKeys = "provider_keys", "keys of the provider";
    /// The store.
    Store = "store", "database";
}

/// One check that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// What there was.
    pub found: String,
    /// What there should have been; empty where that is plain.
    pub expected: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl Finding {
    /// Of texts that are shown as they are, within bounds.
    pub fn new(check: Check, found: impl AsRef<str>, expected: impl AsRef<str>) -> Self {
        Self { check, found: bounded(found.as_ref()), expected: bounded(expected.as_ref()), hint: None }
    }

    /// Of a value that came from outside; `None` is one that is not there.
    pub fn of(check: Check, found: Option<&Value>, expected: impl AsRef<str>) -> Self {
        Self::new(check, found.map_or_else(|| "none".to_owned(), shown), expected)
    }

    /// With what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn json(&self) -> Value {
        json!({"check": self.check.word(), "found": self.found, "expected": self.expected, "hint": self.hint})
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}", self.check.label(), self.found)?;
        if !self.expected.is_empty() {
            write!(f, ", expected {}", self.expected)?;
        }
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// How a source took a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It knows who this is.
    Known,
    /// The request is none of its business; the next source is asked.
    PassedOn(Finding),
    /// The credential is meant for it, and is no good.
    Refused(Finding),
    /// It cannot say just now.
    Unavailable(Finding),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::PassedOn(_) => "passed on",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The check that did not pass.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Known => None,
            Self::PassedOn(finding) | Self::Refused(finding) | Self::Unavailable(finding) => Some(finding),
        }
    }
}

/// What one source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The source's name.
    pub source: String,
    /// Its kind, as the configuration writes it.
    pub kind: &'static str,
    /// How it took the request.
    pub verdict: Verdict,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}", self.source, self.kind, self.verdict.word())?;
        self.verdict.finding().map_or(Ok(()), |finding| write!(f, ": {finding}"))
    }
}

/// Everything that was asked about one request for a token, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// The sources that were asked.
    pub sources: Vec<Said>,
    /// The rules that were tried, each with the condition that did not hold.
    pub rules: Vec<Step>,
}

impl Inquiry {
    /// What the sources said, in one line.
    pub fn sources_text(&self) -> String {
        joined(self.sources.iter().map(Said::to_string))
    }

    /// What the rules said, in one line.
    pub fn rules_text(&self) -> String {
        joined(self.rules.iter().take(RULES_MAX).map(Step::to_string))
    }

    /// What the sources said, for an audit entry.
    pub fn sources_json(&self) -> Value {
        let one = |said: &Said| {
            let mut value = said.verdict.finding().map_or_else(|| json!({}), Finding::json);
            value["source"] = said.source.as_str().into();
            value["kind"] = said.kind.into();
            value["verdict"] = said.verdict.word().into();
            value
        };
        self.sources.iter().map(one).collect()
    }

    /// What the rules said, for an audit entry.
    pub fn rules_json(&self) -> Value {
        self.rules.iter().take(RULES_MAX).map(Step::json).collect()
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("; ")
}

/// A value from outside, as the log may have it: JSON without credentials, and not too long.
pub fn shown(value: &Value) -> String {
    bounded(&without_credentials(value).to_string())
}

/// The value of something with a name; one whose name says that it is a secret is not shown.
pub fn shown_as(name: &str, value: &Value) -> String {
    if is_secret_name(name) { LEFT_OUT.to_owned() } else { shown(value) }
}

/// What stands in the place of a credential.
const LEFT_OUT: &str = "(a credential, left out)";

/// Whether whatever has this name is nobody's to read.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    ["password", "secret", "token", "credential", "apikey", "authorization", "cookie"]
        .iter()
        .any(|word| name.contains(word))
}

fn without_credentials(value: &Value) -> Value {
    match value {
        Value::String(text) if looks_like_a_credential(text) => LEFT_OUT.into(),
        Value::Array(list) => list.iter().map(without_credentials).collect(),
        Value::Object(map) => {
            let one = |(name, value): (&String, &Value)| {
                let value = if is_secret_name(name) { LEFT_OUT.into() } else { without_credentials(value) };
                (name.clone(), value)
            };
            Value::Object(map.iter().map(one).collect())
        }
        other => other.clone(),
    }
}

/// A JWT, or one of our own API tokens, wherever it stands in the text.
fn looks_like_a_credential(text: &str) -> bool {
    let has_jwt = text.match_indices("eyJ").any(|(at, _)| text[at..].contains('.') && text[at..].len() > 20);
    let is_id = |at: usize| text[at..].bytes().take_while(u8::is_ascii_hexdigit).count() >= 8;
    has_jwt || text.match_indices(PREFIX).any(|(at, prefix)| is_id(at + prefix.len()))
}

/// A text without control characters, cut to what a line has room for. No credential is in it whole.
fn bounded(text: &str) -> String {
    if looks_like_a_credential(text) {
        return LEFT_OUT.to_owned();
    }
    let mut letters = text.chars().filter(|letter| !letter.is_control());
    let mut shown: String = letters.by_ref().take(SHOWN_MAX).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Where a redirect leads, without what may be a credential in it: a name and a password before the host, the query,
/// the fragment.
pub fn target(location: &str) -> String {
    let (place, rest) = location.split_once(['?', '#']).map_or((location, ""), |(place, _)| (place, "?…"));
    let place = match place.split_once("://") {
        Some((scheme, after)) => {
            let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => place.to_owned(),
    };
    bounded(&format!("{place}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_looks_like_a_credential_is_shown() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl";
        for value in [
            json!(jwt),
            json!([jwt]),
            json!({"a": {"b": jwt}}),
            json!(format!("Bearer {jwt}")),
            json!("tt_0123456789abcdef_x"),
            json!({"access_token": "s3cret"}),
        ] {
            let text = shown(&value);
            assert!(!text.contains("eyJ") && !text.contains("tt_") && !text.contains("s3cret"), "{text}");
        }
        assert_eq!(shown_as("client.Secret", &json!("s3cret")), LEFT_OUT);
        assert_eq!(shown_as("groups", &json!(["staff"])), r#"["staff"]"#);
        assert_eq!(Finding::new(Check::Issuer, jwt, "x").found, LEFT_OUT);
    }

    #[test]
    fn what_is_shown_has_a_bound_and_fits_on_a_line() {
        let text = shown(&json!("a\u{0}\n\u{1b}[31m".repeat(1000)));
        assert_eq!(text.chars().count(), SHOWN_MAX + 1);
        assert!(!text.contains(char::is_control), "{text}");
        assert_eq!(bounded("a\nb"), "ab");
    }

    #[test]
    fn the_target_of_a_redirect_shows_where_it_leads_and_no_more() {
        for (location, wanted) in [
            ("/accounts/login/?next=/me", "/accounts/login/?…"),
            ("https://ana:pw@sso.example.com/login#x", "https://sso.example.com/login?…"),
            ("https://app.example.com/me", "https://app.example.com/me"),
            ("https://a@b", "https://b"),
            ("", ""),
        ] {
            assert_eq!(target(location), wanted);
        }
    }

    #[test]
    fn a_finding_names_what_was_found_and_what_was_expected() {
        let finding = Finding::of(Check::Audience, Some(&json!("other")), "\"chat\"");
        assert_eq!(finding.to_string(), "audience (aud): found \"other\", expected \"chat\"");
        let missing = Finding::of(Check::Audience, None, "\"chat\"").hint("look there");
        assert_eq!(missing.to_string(), "audience (aud): found none, expected \"chat\" (look there)");
    }
}
