//! Hints about times and grants.

use super::hints::whole_seconds;
use crate::claims::Seconds;
use crate::identity::{self, IdentityFault};
use crate::json::{Kind, Value};
use crate::verify::{self, LIFETIME_MAX, Rules};
use crate::{sid, words};

/// A moment before this one (2001) is a length of time that somebody took for a moment.
const MOMENT_MIN: i64 = 1_000_000_000;

/// Why this cannot be a time at all, in words; nothing when it is one.
fn no_time(payload: Value<'_>, name: &str) -> Option<String> {
    let Some(claim) = payload.get(name) else {
        return Some(format!("{name} is missing"));
    };
    let found = match (claim.kind(), Seconds::read(claim)) {
        (_, Some(_)) => return None,
        (Kind::Text | Kind::EscapedText, None) => "a text".to_owned(),
        (kind, None) => kind.name().to_owned(),
    };
    Some(format!("{name} is {found}"))
}

pub(super) fn expiry(payload: Value<'_>, rules: &Rules) -> String {
    if let Some(fault) = no_time(payload, "exp") {
        return match payload.get("exp") {
            None => format!("{fault}: give the token a lifetime; exp is the Unix time at which it ends"),
            Some(_) => format!("{fault}: it must be a number, the Unix time in whole seconds at which the token ends"),
        };
    }
    let Some(exp) = whole_seconds(payload, "exp") else {
        return "exp is not a whole number of seconds: round it, in JavaScript with Math.floor(Date.now() / 1000)"
            .into();
    };
    if (1..MOMENT_MIN).contains(&exp) {
        return format!("exp is a moment, not a lifetime: the time now plus {exp}, in seconds since 1970");
    }
    let issued = whole_seconds(payload, "iat");
    match issued.or(whole_seconds(payload, "nbf")).map(|start| exp.saturating_sub(start)) {
        Some(lived) if lived <= 0 => {
            "the token expired before it was issued: give a positive lifetime in seconds".into()
        }
        Some(lived) if lived < 60 && issued.is_some() => format!(
            "the lifetime was only {lived} s; a lifetime given as text (\"3600\") is read as \
             milliseconds by the library for Node: give a number of seconds"
        ),
        Some(lived) if lived < 60 => format!("the lifetime was only {lived} s: give a longer one, in seconds"),
        _ => expired(exp, rules),
    }
}

fn expired(exp: i64, rules: &Rules) -> String {
    let when = words::relative(exp, rules.now());
    let renew = format!("the token expired {when}: fetch a new one before that (on tokenAboutToExpire)");
    // Nobody's clock is wrong by days without being noticed.
    if rules.now().saturating_sub(exp) > LIFETIME_MAX {
        return renew;
    }
    format!("{renew}; if it was minted just now, set the clocks: the minting one is behind, or this one ahead")
}

pub(super) fn not_before(payload: Value<'_>, rules: &Rules) -> String {
    let ahead = match ahead(payload, "nbf", rules) {
        Ok(ahead) => ahead,
        Err(hint) => return hint,
    };
    if ahead > LIFETIME_MAX {
        return format!("nbf lets the token begin in {}: leave it out, or give an earlier time", words::span(ahead));
    }
    format!(
        "nbf is {} ahead of this clock: synchronize the clock where the token is minted (NTP), or set nbf earlier",
        words::span(ahead)
    )
}

pub(super) fn issued_at(payload: Value<'_>, rules: &Rules) -> String {
    match ahead(payload, "iat", rules) {
        Ok(ahead) => format!(
            "iat is {} ahead of this clock: synchronize the clock where the token is minted (NTP), or this one",
            words::span(ahead)
        ),
        Err(hint) => hint,
    }
}

/// How far a time is ahead, or what is wrong with it as a time.
fn ahead(payload: Value<'_>, name: &str, rules: &Rules) -> Result<i64, String> {
    let time = payload.get(name).and_then(Seconds::read).map(|time| time.whole);
    let Some(time) = time else {
        let fault = no_time(payload, name).unwrap_or_default();
        return Err(format!("{fault}: it must be a number of seconds since 1970, or be left out"));
    };
    if time > rules.now().saturating_mul(100) {
        return Err(format!("{name} looks like milliseconds: divide it by 1000"));
    }
    Ok(time.saturating_sub(rules.now()))
}

pub(super) fn lifetime(payload: Value<'_>, rules: &Rules) -> Option<String> {
    let exp = whole_seconds(payload, "exp")?;
    let issued = payload.get("iat").and_then(Seconds::read).map(|time| time.whole);
    let start = issued.unwrap_or(rules.now());
    let (lifetime, left) = (exp.saturating_sub(start), exp.saturating_sub(rules.now()));
    let max = rules.tolerances().2;
    if exp > rules.now().saturating_mul(100) {
        return Some("exp is in milliseconds; it must be in seconds".into());
    }
    if left <= max && start < rules.now().saturating_sub(10 * LIFETIME_MAX) {
        return Some(format!(
            "iat says that the token was issued {}: it must be the Unix time in seconds, or be left out",
            words::relative(start, rules.now())
        ));
    }
    if let Some(seconds) = given_in_milliseconds(lifetime) {
        return Some(format!("the lifetime was probably given in milliseconds; give {seconds} seconds"));
    }
    Some(format!("give a lifetime of at most {max} seconds ({}); renew instead of living long", words::span(max)))
}

/// The lifetime that was meant, where a thousandth of it is more likely than the whole. Whole days are meant as days.
fn given_in_milliseconds(lifetime: i64) -> Option<i64> {
    let (days, rest) = (lifetime / LIFETIME_MAX, lifetime % LIFETIME_MAX);
    let is_days = rest == 0 && (days <= 31 || [60, 90, 180, 365].contains(&days));
    // A clock that ticked while the token was minted leaves some seconds over.
    let seconds = (lifetime / 1000).clamp(300, LIFETIME_MAX);
    (!is_days && seconds == lifetime / 1000 && lifetime % 1000 < 60).then_some(seconds)
}

pub(super) fn grants(payload: Value<'_>) -> String {
    match payload.get("grants").map(Value::kind) {
        None => "the token has no grants: add the identity and a ChatGrant before signing".into(),
        Some(kind) => format!("grants is {}: it must be an object, as the helper libraries write it", kind.name()),
    }
}

pub(super) fn identity(payload: Value<'_>) -> String {
    let own = payload.get("grants").and_then(|grants| grants.get("identity"));
    let found = match own.map(Value::kind) {
        None | Some(Kind::Null) if payload.get("identity").is_some() => {
            return "the identity stands beside grants; it belongs inside, as grants.identity".into();
        }
        None | Some(Kind::Null) => {
            return "there is no identity: give one when you mint, as a text; what is not a text is left out by the \
                    library for Node"
                .into();
        }
        Some(Kind::Text | Kind::EscapedText) => "empty: the minting code did not know who it is for".to_owned(),
        Some(Kind::Number) => "not a whole number".to_owned(),
        Some(kind) => kind.name().to_owned(),
    };
    format!("the identity is {found}; give the user's name or id as a text")
}

pub(super) fn chat_identity(payload: Value<'_>) -> String {
    let identity = payload.get("grants").and_then(|grants| verify::check_identity(grants).ok());
    match identity::check(identity.as_deref().unwrap_or_default()) {
        Err(IdentityFault::TooLong(chars)) => {
            format!("choose another identity: this one has {chars} characters, and at most 256 are allowed")
        }
        Err(IdentityFault::Reserved(word)) => {
            format!("choose another identity: {word:?} is reserved; a prefix such as user-{word} is enough")
        }
        Err(IdentityFault::UserSid) => {
            "choose another identity: this one is a User SID (US…), and the app's own name for the user belongs there"
                .into()
        }
        Err(IdentityFault::Nul) => "choose another identity: this one contains a NUL character".into(),
        _ => "choose another identity".into(),
    }
}

pub(super) fn chat_grant(payload: Value<'_>) -> String {
    let Some(grants) = payload.get("grants") else {
        return "add one chat grant (ChatGrant) before signing".into();
    };
    match (grants.get("chat"), grants.get("ip_messaging")) {
        (Some(_), Some(_)) => {
            "there are two chat grants, chat and ip_messaging, its old name: leave ip_messaging out".into()
        }
        (Some(grant), None) | (None, Some(grant)) => {
            format!("the chat grant is {}: it must be an object with service_sid", grant.kind().name())
        }
        (None, None) => {
            let names = grants.members().filter_map(|(name, _)| name.text());
            let others: Vec<_> = names.filter(|name| name != "identity").collect();
            let only =
                if others.is_empty() { String::new() } else { format!(" (there is only {})", others.join(", ")) };
            format!("add one chat grant (ChatGrant) before signing{only}")
        }
    }
}

fn of_chat<'v>(payload: Value<'v>, name: &str) -> Option<Value<'v>> {
    let grants = payload.get("grants")?;
    grants.get("chat").or(grants.get("ip_messaging"))?.get(name)
}

pub(super) fn service(payload: Value<'_>) -> String {
    let service = of_chat(payload, "service_sid");
    let is_camel = of_chat(payload, "serviceSid").is_some();
    match service.and_then(Value::text) {
        None if is_camel => "the member is called service_sid, not serviceSid".into(),
        None => "the chat grant needs service_sid, the SID of your chat service (IS…): give it to ChatGrant".into(),
        Some(service) if sid::is_sid(&service, "MG") => {
            "that is a Messaging Service (MG…); take the SID of the chat service (IS…)".into()
        }
        Some(service) if sid::is_sid(&service, "IS") => {
            "the account has no chat service with that SID: compare it with tertulia service list; was it made on \
             another server, or in another account?"
                .into()
        }
        Some(service) => {
            format!("service_sid must be the SID of a chat service (IS…), and there is {}", sid::describe(&service))
        }
    }
}

pub(super) fn role(payload: Value<'_>) -> String {
    match of_chat(payload, "deployment_role_sid").and_then(Value::text) {
        Some(role) if sid::is_sid(&role, "RL") => {
            "deployment_role_sid must name a service role of that chat service; leave it out to use the user's own role"
                .into()
        }
        _ => "deployment_role_sid takes the SID of a role (RL…) of that chat service, not its name; leave it out to \
              use the user's own role"
            .into(),
    }
}

pub(super) fn push_credential(payload: Value<'_>) -> String {
    match of_chat(payload, "push_credential_sid").and_then(Value::text) {
        Some(credential) if sid::is_sid(&credential, "CR") => {
            "the account has no push credential with that SID; leave it out if you send no pushes".into()
        }
        _ => "push_credential_sid takes the SID of a push credential (CR…); leave it out if you send no pushes".into(),
    }
}
