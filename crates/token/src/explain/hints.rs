//! What to change. Each hint is a sentence to act on; the most likely cause comes first.

use super::kind::{TokenKind, Unwrapped};
use super::steps::Walked;
use super::{Given, Outcome};
use crate::claims::Seconds;
use crate::json::{Doc, Value};
use crate::parse::{CONTENT_TYPE, LIFETIME_MAX};
use crate::refusal::Check;
use crate::secret::Secret;
use crate::signature::{self, Received};
use crate::verify::Rules;
use crate::{sid, words};

/// The times of the token by this clock, in one sentence.
pub(super) fn clock(payload: Option<&Doc>, rules: &Rules) -> Option<String> {
    let root = payload?.root();
    let now = rules.now();
    let told = |name: &str, verb: &str| {
        let time = seconds(root, name)?;
        Some(format!("{verb} {}", words::relative(time, now)))
    };
    let parts: Vec<_> =
        [told("iat", "issued"), told("nbf", "valid from"), told("exp", "expires")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("by this clock ({}): {}", words::date(now), parts.join(", ")))
}

fn seconds(payload: Value<'_>, name: &str) -> Option<i64> {
    Some(Seconds::read(payload.get(name)?)?.whole)
}

pub(super) fn changes(kind: TokenKind, unwrapped: &Unwrapped<'_>, walked: &Walked, given: &Given<'_>) -> Vec<String> {
    let mut changes: Vec<String> = Vec::new();
    changes.extend(kind_hint(kind).map(str::to_owned));
    if !unwrapped.wrappings.is_empty() {
        changes.push("send the bare token: three parts and two dots, nothing around it".into());
    }
    // A token of another kind fails nearly every check; telling each one would only distract.
    if kind == TokenKind::AccessToken {
        for step in &walked.steps {
            // What is wrong about the form has been said when something stands around the token.
            let said = step.check == Check::Form && !unwrapped.wrappings.is_empty();
            if matches!(step.outcome, Outcome::Failed(_)) && !said {
                changes.extend(hint(step.check, walked, given));
            }
        }
    }
    if let Some(fault) = given.secret().and_then(Secret::fault) {
        changes.push(format!("about the secret given here: {fault}"));
    }
    let mut seen = Vec::new();
    changes.retain(|change| {
        let new = !seen.contains(change);
        seen.push(change.clone());
        new
    });
    changes
}

fn kind_hint(kind: TokenKind) -> Option<&'static str> {
    Some(match kind {
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
        TokenKind::AuthToken => {
            "never give an auth token to an app: it opens the whole account; if this one went \
             out, replace it, and mint an Access Token with an API key"
        }
        TokenKind::Secret => {
            "a secret never leaves the backend: the backend signs an Access Token with it; if \
             this one went out, delete its key"
        }
        TokenKind::Sid => "this names something; an Access Token is a longer text with two dots",
        TokenKind::Empty => "no token arrived: look at what your token endpoint answered",
        TokenKind::NoToken => {
            "this is not what a token endpoint should answer; an Access Token begins with eyJ and \
             has two dots"
        }
    })
}

fn hint(check: Check, walked: &Walked, given: &Given<'_>) -> Option<String> {
    let payload = walked.payload.as_ref().map(Doc::root);
    let claim = |name| payload.and_then(|payload| payload.get(name)).and_then(Value::text);
    Some(match check {
        Check::Size => "make the token smaller: fewer grants, shorter parameters".into(),
        Check::Form => "look whether the token was cut off or altered on its way".into(),
        Check::Header | Check::Payload => {
            "mint the token with a library; this one was put together by hand or altered".into()
        }
        Check::Type => "the header's typ must be exactly JWT".into(),
        Check::Algorithm => "sign with HS256, the default of every helper library".into(),
        Check::ContentType => {
            format!("the header needs \"cty\": {CONTENT_TYPE:?}, as the helper libraries write it")
        }
        Check::Extensions => "leave crit, zip and b64 out of the header".into(),
        Check::Issuer | Check::Subject => argument_order(claim("iss").as_deref(), claim("sub").as_deref()),
        Check::Region => format!(
            "mint with a key of this service's region ({}) and without another region",
            given.rules.region_name()
        ),
        Check::Key => "look at the key: does it exist, is it active, Main or Standard, of this \
                       region, and of the account the token names?"
            .into(),
        Check::Signature => signature_hint(walked, given),
        Check::Expiry => return expiry_hint(payload?, &given.rules),
        Check::NotBefore | Check::IssuedAt => return ahead_hint(payload?, check, &given.rules),
        Check::Lifetime => return lifetime_hint(payload?, &given.rules),
        Check::Grants | Check::Identity => "the identity belongs into grants.identity, as a text \
                                            that is not empty: give one when minting"
            .into(),
        Check::ChatIdentity => "choose another identity: at most 256 characters, not reserved, \
                                not shaped like a User SID"
            .into(),
        Check::ChatGrant => "add one chat grant (ChatGrant) before signing".into(),
        Check::Service => return Some(service_hint(payload)),
        Check::Role => "deployment_role_sid must name a role of that chat service".into(),
        Check::PushCredential => "push_credential_sid must name a credential of the account".into(),
    })
}

fn argument_order(issuer: Option<&str>, subject: Option<&str>) -> String {
    let is = |text: Option<&str>, prefix| text.is_some_and(|text| sid::is_sid(text, prefix));
    if is(issuer, "AC") || is(subject, "SK") {
        return "the arguments were given in the wrong order: first the Account SID (AC…), then \
                the API Key SID (SK…), then the secret"
            .into();
    }
    "iss must be the API Key SID (SK…) and sub the Account SID (AC…), in lower case, with nothing \
     around them"
        .into()
}

fn signature_hint(walked: &Walked, given: &Given<'_>) -> String {
    let found = walked.signed.as_ref().zip(given.secret()).and_then(|((signed, received), secret)| {
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
fn signed_with(secret: &str, issuer: &str, signed: &str, received: &Received) -> Option<&'static str> {
    let plain = secret.trim();
    let bare = plain.trim_matches(|c| c == '"' || c == '\'');
    let tries: [(String, &str); 9] = [
        (plain.into(), "the secret given here without the white space around it: trim it"),
        (bare.into(), "the secret given here without the quotes around it: take them off"),
        (format!("{bare}\n"), "the right secret and a newline after it: trim it where you mint"),
        (format!("{bare}\r\n"), "the right secret and a line end (CR LF) after it: trim it where you mint"),
        (format!("{bare} "), "the right secret and a space after it: trim it where you mint"),
        (format!("\"{bare}\""), "the right secret in quotes: take them off where you mint"),
        (format!("'{bare}'"), "the right secret in quotes: take them off where you mint"),
        (issuer.into(), "the API Key SID in place of the secret"),
        (String::new(), "an empty secret: the minting code did not find it"),
    ];
    let named = ["undefined", "null", "None"].map(|word| {
        (word.to_owned(), "the word for a missing value in place of the secret: the minting code did not find it")
    });
    let folded = [(bare.to_lowercase(), "the secret in lower case"), (bare.to_uppercase(), "the secret in upper case")];
    tries
        .into_iter()
        .chain(named)
        .chain(folded)
        .find(|(secret, _)| signature::fits(secret.as_bytes(), signed.as_bytes(), received))
        .map(|(_, how)| how)
}

fn expiry_hint(payload: Value<'_>, rules: &Rules) -> Option<String> {
    let Some(exp) = seconds(payload, "exp") else {
        return Some("exp must be a whole number of seconds since 1970, not a text".into());
    };
    let start = seconds(payload, "iat").or_else(|| seconds(payload, "nbf"));
    let lived = start.map(|start| exp.saturating_sub(start));
    Some(match lived {
        Some(lived) if lived <= 0 => {
            "the token expired before it was issued: give a positive lifetime in seconds".into()
        }
        Some(lived) if lived < 60 => format!(
            "the lifetime was only {lived} s; a lifetime given as text (\"3600\") is read as \
             milliseconds by the library for Node: give a number of seconds"
        ),
        _ => format!(
            "the token expired {}: fetch a new one before that (on tokenAboutToExpire), or, if \
             it was minted just now, set the clocks: the minting one is behind, or this one ahead",
            words::relative(exp, rules.now())
        ),
    })
}

fn ahead_hint(payload: Value<'_>, check: Check, rules: &Rules) -> Option<String> {
    let name = check.name();
    let Some(time) = seconds(payload, name) else {
        return Some(format!("{name} must be a number of seconds since 1970, or left out"));
    };
    let ahead = time.saturating_sub(rules.now());
    if time > rules.now().saturating_mul(100) {
        return Some(format!("{name} looks like milliseconds: divide it by 1000"));
    }
    Some(format!(
        "{name} is {} ahead of this clock: synchronize the clock where the token is minted (NTP), \
         or set nbf earlier",
        words::span(ahead)
    ))
}

fn lifetime_hint(payload: Value<'_>, rules: &Rules) -> Option<String> {
    let exp = seconds(payload, "exp")?;
    let start = seconds(payload, "iat").unwrap_or(rules.now());
    let lifetime = exp.saturating_sub(start);
    let thousandth = lifetime / 1000;
    if exp > start.saturating_mul(100) {
        return Some("exp is in milliseconds; it must be in seconds".into());
    }
    if lifetime > LIFETIME_MAX && (60..=LIFETIME_MAX).contains(&thousandth) && lifetime % 1000 < 60 {
        return Some(format!("the lifetime was probably given in milliseconds; give {thousandth} seconds"));
    }
    Some("give a lifetime of at most 86400 seconds (24 hours); renew instead of living long".into())
}

fn service_hint(payload: Option<Value<'_>>) -> String {
    let grants = payload.and_then(|payload| payload.get("grants"));
    let grant = grants.and_then(|grants| grants.get("chat").or(grants.get("ip_messaging")));
    let service = grant.and_then(|grant| grant.get("service_sid")).and_then(Value::text);
    let camel = grant.is_some_and(|grant| grant.get("serviceSid").is_some());
    match service {
        None if camel => "the member is called service_sid, not serviceSid".into(),
        None => "the chat grant needs service_sid, the SID of your chat service (IS…)".into(),
        Some(service) if sid::is_sid(&service, "MG") => {
            "that is a Messaging Service (MG…); take the SID of the chat service (IS…)".into()
        }
        Some(_) => "service_sid must name a chat service (IS…) of the account in sub".into(),
    }
}
