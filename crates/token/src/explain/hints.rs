//! What to change. Each hint is a sentence to act on, and is about what was found; the most likely
//! cause comes first.

use std::cmp::Ordering;

use super::claims;
use super::kind::{TokenKind, is_any_sid, is_auth_token, is_secret};
use super::steps::Walked;
use super::unwrap::Unwrapped;
use super::{Given, KeyGiven, Outcome};
use crate::claims::Seconds;
use crate::json::{Doc, Value};
use crate::parse::CONTENT_TYPE;
use crate::refusal::Check;
use crate::secret::Secret;
use crate::signature::{self, Received};
use crate::verify::{KeyFault, Rules};
use crate::{sid, words};

/// The times of the token by this clock, in one sentence. A time that is not a whole number of
/// seconds is left to its check.
pub(super) fn clock(payload: Option<&Doc>, rules: &Rules) -> Option<String> {
    let root = payload?.root();
    let now = rules.now();
    let told = |name: &str, past: &str, future: &str| {
        let time = whole_seconds(root, name)?;
        let distance = words::span(time.saturating_sub(now));
        Some(match time.cmp(&now) {
            Ordering::Less => format!("{past} {distance} ago"),
            Ordering::Equal => format!("{past} just now"),
            Ordering::Greater => future.replace("{}", &distance),
        })
    };
    let times = [
        told("iat", "issued", "issued {} ahead of now"),
        told("nbf", "valid since", "not valid for another {}"),
        told("exp", "expired", "expires in {}"),
    ];
    let parts: Vec<_> = times.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("by this clock ({}): {}", words::date(now), parts.join(", ")))
}

pub(super) fn whole_seconds(payload: Value<'_>, name: &str) -> Option<i64> {
    Seconds::read(payload.get(name)?).filter(|time| !time.fraction).map(|time| time.whole)
}

pub(super) fn changes(kind: TokenKind, unwrapped: &Unwrapped<'_>, walked: &Walked, given: &Given<'_>) -> Vec<String> {
    let mut changes: Vec<String> = Vec::new();
    let is_jwt = walked.header.is_some() || walked.payload.is_some();
    changes.extend(unwrapped.wrappings.iter().filter_map(|w| w.advice()).filter(|_| is_jwt).map(str::to_owned));
    if is_jwt && !unwrapped.wrappings.is_empty() {
        changes.push("send the bare token: three parts and two dots, nothing around it".into());
    }
    // The five parts of an encrypted token are right in their way.
    let damage = walked.damage.iter().filter(|_| kind != TokenKind::Encrypted);
    changes.extend(damage.map(|damage| damage.advice().to_owned()));
    changes.extend(kind_hint(kind, &unwrapped.text));
    // A token of another kind fails nearly every check; telling each one would only distract.
    if kind == TokenKind::AccessToken {
        let failed = walked.steps.iter().filter(|step| matches!(step.outcome, Outcome::Failed(_)));
        let untold = failed.map(|step| step.check).filter(|check| !is_told(*check, unwrapped, walked));
        changes.extend(untold.filter_map(|check| hint(check, walked, given)));
    }
    if let Some(fault) = given.secret().and_then(Secret::fault) {
        changes.push(format!("about the secret given here: {fault}"));
    }
    without_repeats(changes)
}

/// Whether what stands around the token, or how it was damaged, is all there is to say of this check.
fn is_told(check: Check, unwrapped: &Unwrapped<'_>, walked: &Walked) -> bool {
    let is_cut = walked.damage.iter().any(|damage| damage.is_cut());
    match check {
        Check::Form => !unwrapped.wrappings.is_empty() || !walked.damage.is_empty(),
        Check::Header | Check::Payload | Check::Signature => is_cut,
        _ => false,
    }
}

fn without_repeats(mut changes: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    changes.retain(|change| {
        let new = !seen.contains(change);
        seen.push(change.clone());
        new
    });
    changes
}

fn kind_hint(kind: TokenKind, text: &str) -> Option<String> {
    let hint = match kind {
        TokenKind::AccessToken => return None,
        TokenKind::CapabilityToken => {
            "mint an Access Token with an API key instead (class AccessToken, not ClientCapability)"
        }
        TokenKind::TaskRouterCapability => "mint an Access Token with an API key and the grants you need instead",
        TokenKind::ClientValidation => {
            "this token signs REST requests; for an SDK mint an Access Token with an API key"
        }
        TokenKind::IdToken => {
            "this token says who logged in; send it to the token endpoint, which answers with an \
             Access Token"
        }
        TokenKind::OtherJwt => "mint an Access Token with an official helper library or this tool",
        TokenKind::Encrypted => "an Access Token is signed, not encrypted: it has three parts",
        TokenKind::Fragment => "send the whole token: three parts with two dots between them, beginning with eyJ",
        TokenKind::ApiToken => {
            "send this token to the token endpoint (POST /token with Authorization: Bearer), which answers with an \
             Access Token; if it was posted somewhere, delete it with tertulia api-token delete"
        }
        TokenKind::AuthToken => {
            "never give an auth token to an app: it opens the whole account; if this one went \
             out, replace it, and mint an Access Token with an API key"
        }
        TokenKind::Secret => {
            "a secret never leaves the backend: the backend signs an Access Token with it; if \
             this one went out, delete its key"
        }
        TokenKind::Credentials => {
            "this opens REST, and an app must not have it: let the backend mint an Access Token; if it went out, \
             delete the key or replace the auth token"
        }
        TokenKind::Sid => return Some(sid_hint(text)),
        TokenKind::MissingValue => {
            "the program had no token when it wrote this: look at what the token endpoint answered, at the name of \
             the member that you read (token?), and whether the answer was awaited"
        }
        TokenKind::ObjectText => return Some(object_hint(text).into()),
        TokenKind::WebPage => {
            "the address of the token endpoint answered with a web page: a page of your app, a login page or an error \
             page; open the address with curl to see it"
        }
        TokenKind::Json => "the token endpoint answered without a token, probably with an error; its message says why",
        TokenKind::Empty => "no token arrived: look at what your token endpoint answered",
        TokenKind::NoToken => {
            "this is not what a token endpoint should answer; an Access Token begins with eyJ and \
             has two dots"
        }
    };
    Some(hint.into())
}

fn sid_hint(text: &str) -> String {
    let what = sid::describe(text);
    let use_of_it = if text.starts_with("SK") {
        "the key's SID and its secret go into minting, in the backend"
    } else {
        "an Access Token is a longer text with two dots"
    };
    format!("this is {what}, which only names something; {use_of_it}")
}

fn object_hint(text: &str) -> &'static str {
    if text.contains("Promise") || text.starts_with("<coroutine") || text.starts_with("async ") {
        "the token was not awaited: write await before the call that fetches or mints it"
    } else if text.starts_with("[object Response") {
        "this is the answer of fetch, not what it contains: await response.text(), or (await response.json()).token"
    } else if text.starts_with("[object ") {
        "an object was sent where its token belongs: send its member, such as data.token, or call toJwt() on it"
    } else if text.starts_with("function") || text.starts_with("() =>") || text.starts_with("<bound method") {
        "a function was sent instead of its result: call it, with ()"
    } else {
        "send what the object's toJwt(), to_jwt or ToJwt() returns, not the object itself"
    }
}

fn hint(check: Check, walked: &Walked, given: &Given<'_>) -> Option<String> {
    let payload = walked.payload.as_ref().map(Doc::root);
    let claim = |name| payload.and_then(|payload| payload.get(name)).and_then(Value::text);
    Some(match check {
        Check::Size => "make the token smaller: fewer grants, shorter parameters".into(),
        Check::Form => "the token was altered on its way; compare it with what was minted".into(),
        Check::Header | Check::Payload => {
            "mint the token with a library; this one was put together by hand or altered".into()
        }
        Check::Type => "the header's typ must be exactly JWT".into(),
        Check::Algorithm => "sign with HS256, the default of every helper library".into(),
        Check::ContentType => {
            format!("the header needs \"cty\": {CONTENT_TYPE:?}, as the helper libraries write it")
        }
        Check::Extensions => "leave crit, zip and b64 out of the header".into(),
        Check::Issuer => issuer_hint(claim("iss").as_deref(), claim("sub").as_deref()),
        Check::Subject => subject_hint(claim("iss").as_deref(), claim("sub").as_deref()),
        Check::Region => format!(
            "leave the region out when you mint, or give {:?}, the region of this service; for another region use \
             another service's address",
            given.rules.region_name()
        ),
        Check::Key => key_hint(claim("iss")?.as_ref(), claim("sub")?.as_ref(), given)?.into(),
        Check::Signature => signature_hint(walked, given),
        Check::Expiry => claims::expiry(payload?, &given.rules),
        Check::NotBefore => claims::not_before(payload?, &given.rules),
        Check::IssuedAt => claims::issued_at(payload?, &given.rules),
        Check::Lifetime => claims::lifetime(payload?, &given.rules)?,
        Check::Grants => claims::grants(payload?),
        Check::Identity => claims::identity(payload?),
        Check::ChatIdentity => claims::chat_identity(payload?),
        Check::ChatGrant => claims::chat_grant(payload?),
        Check::Service => claims::service(payload?),
        Check::Role => claims::role(payload?),
        Check::PushCredential => claims::push_credential(payload?),
        Check::Revocation => {
            "get another token from the backend; to let this one in again, delete the revocation with tertulia \
             revocation delete"
                .into()
        }
    })
}

const ARGUMENTS: &str =
    "the arguments are, in this order, the Account SID (AC…), the API Key SID (SK…) and the secret of that key";

fn is(text: Option<&str>, prefix: &str) -> bool {
    text.is_some_and(|text| sid::is_sid(text, prefix))
}

/// What stands in `iss`, or before it was spoiled.
fn issuer_hint(issuer: Option<&str>, subject: Option<&str>) -> String {
    if is(issuer, "AC") && is(subject, "SK") {
        return format!("Account SID and API Key SID are swapped: {ARGUMENTS}");
    }
    if is(issuer, "AC") {
        return format!(
            "iss is the Account SID, so the token was minted without an API key: make one, and sign with its \
             secret rather than with the auth token; {ARGUMENTS}"
        );
    }
    wrong_sid("iss", "API Key SID", "SK", issuer)
}

fn subject_hint(issuer: Option<&str>, subject: Option<&str>) -> String {
    if is(issuer, "AC") && is(subject, "SK") {
        return format!("Account SID and API Key SID are swapped: {ARGUMENTS}");
    }
    if is(subject, "SK") {
        return format!("sub is an API Key SID, and the Account SID is missing: {ARGUMENTS}");
    }
    wrong_sid("sub", "Account SID", "AC", subject)
}

fn wrong_sid(claim: &str, name: &str, prefix: &str, found: Option<&str>) -> String {
    let wanted = format!("{claim} must be the {name} ({prefix}…)");
    let Some(found) = found else {
        return format!("{wanted}, as a text; give it when you mint");
    };
    let trimmed = found.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    if found.is_empty() {
        format!("{wanted}, and it is empty: the minting code did not find it; is its environment variable set?")
    } else if found.len() != trimmed.len() && sid::is_sid(trimmed, prefix) {
        format!("{wanted} without white space or quotes around it: trim it where you read it")
    } else if sid::is_sid(found, prefix) {
        format!("{wanted} in lower case, as it was given out")
    } else if found.len() == 34 && found.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
        format!("{wanted}, with {prefix} in upper case and 32 hexadecimal digits after it")
    } else if is_any_sid(found) {
        format!("{wanted}, not {}; {ARGUMENTS}", sid::describe(found))
    } else if is_auth_token(found) || is_secret(found) {
        format!(
            "{wanted}; what stands there has the shape of a secret, and whoever gets the token can read it: \
             replace that secret; {ARGUMENTS}"
        )
    } else if ["undefined", "null", "None", "nil"].contains(&found) {
        format!("{wanted}; the minting code did not find it: is its environment variable set?")
    } else {
        format!("{wanted}; {ARGUMENTS}")
    }
}

fn key_hint(issuer: &str, subject: &str, given: &Given<'_>) -> Option<&'static str> {
    let key = given.key_for(issuer, subject);
    Some(match KeyFault::of(issuer, subject, key.as_ref(), &given.rules)? {
        KeyFault::Unknown => {
            "nobody knows this key here: compare the API Key SID of the minting code with the keys of the account \
             (tertulia key list); was it made on another server, or for another account?"
        }
        KeyFault::Other => {
            "the token names another key than the one given here: compare TWILIO_API_KEY (or --key-sid) with the \
             minting code, and use the secret that belongs to the key in iss"
        }
        KeyFault::Suspended => {
            "the key is suspended: mint with another key, or end its suspension with tertulia revocation delete"
        }
        KeyFault::Deleted => "the key is gone for good, and all its tokens with it: mint with another key",
        KeyFault::Restricted => "mint with a Main or Standard key; a Restricted one cannot sign Access Tokens",
        KeyFault::OtherRegion => "mint with a key of this service's region",
        KeyFault::OtherAccount if matches!(given.key, KeyGiven::Partly(_)) => {
            "sub names another account than the one given here: compare TWILIO_ACCOUNT_SID (or --account-sid) with \
             the minting code"
        }
        KeyFault::OtherAccount => "mint with the Account SID that the key belongs to",
        KeyFault::AccountSuspended => {
            "the account is suspended: nothing of it works until an operator sets it active again"
        }
        KeyFault::AccountClosed => "the account is closed for good: mint with a key of another one",
        KeyFault::TestAccount => "mint with the live Account SID; test credentials carry no Access Tokens",
    })
}

fn signature_hint(walked: &Walked, given: &Given<'_>) -> String {
    let Some((signed, received)) = &walked.signed else {
        return "sign the token with the secret of the key in iss".into();
    };
    match received.length {
        32 => {}
        48 | 64 => return "the signature is one of HS384 or HS512: sign with HS256".into(),
        length if length < 32 => return "the end of the token is missing: find out where it is cut".into(),
        _ => {
            return "the signature is too long for HS256: something was appended, or it was signed in another way"
                .into();
        }
    }
    let found = given.secret().and_then(|secret| {
        let issuer = walked.payload.as_ref()?.root().get("iss")?.text();
        signed_with(secret.reveal(), issuer.as_deref().unwrap_or_default(), signed, received)
    });
    found.map_or_else(
        || {
            "the token was signed with another secret than that of the key in iss, or altered \
             afterwards: compare the secret the minting code uses with the one of this key"
                .into()
        },
        |how| format!("the token was signed with {how}"),
    )
}

/// Tries the usual accidents with a secret.
fn signed_with(secret: &str, issuer: &str, signed: &[String], received: &Received) -> Option<&'static str> {
    let plain = secret.trim();
    let bare = plain.trim_matches(|c| c == '"' || c == '\'');
    let tries: [(String, &str); 11] = [
        (plain.into(), "the secret given here without the white space around it: trim it"),
        (bare.into(), "the secret given here without the quotes around it: take them off"),
        (format!("{bare}\n"), "the right secret and a newline after it: trim it where you mint"),
        (format!("{bare}\r\n"), "the right secret and a line end (CR LF) after it: trim it where you mint"),
        (format!("{bare}\r"), "the right secret and a carriage return after it: trim it where you mint"),
        (format!("{bare} "), "the right secret and a space after it: trim it where you mint"),
        (format!("\"{bare}\""), "the right secret in quotes: take them off where you mint"),
        (format!("'{bare}'"), "the right secret in quotes: take them off where you mint"),
        (issuer.into(), "the API Key SID in place of the secret"),
        (String::new(), "an empty secret: the minting code did not find it"),
        (format!("{issuer}:{bare}"), "the API Key SID and the secret together: give the secret alone"),
    ];
    let named = ["undefined", "null", "None", "nil"].map(|word| {
        (word.to_owned(), "the word for a missing value in place of the secret: the minting code did not find it")
    });
    let folded = [(bare.to_lowercase(), "the secret in lower case"), (bare.to_uppercase(), "the secret in upper case")];
    let fits = |secret: &[u8]| signed.iter().any(|signed| signature::fits(secret, signed.as_bytes(), received));
    let accident = tries.into_iter().chain(named).chain(folded).find(|(secret, _)| fits(secret.as_bytes()));
    accident.map(|(_, how)| how).or_else(|| {
        let decoded = super::form::decode(bare)?;
        fits(&decoded).then_some("the secret decoded from base64: use it as the text that it is")
    })
}
