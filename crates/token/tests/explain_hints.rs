//! Each hint in each state that leads to it: what is said fits what was found.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tertulia_token::{
    AccountStatus, Check, Explanation, Given, Key, KeyGiven, KeyKind, KeyStatus, PartOfKey, Refusal, Rules, Secret,
    code, explain,
};

use crate::world::{ACCOUNT, KEY, NOW, SECRET, SERVICE, World};

/// A good payload, to be spoiled.
fn payload() -> Value {
    json!({
        "jti": format!("{KEY}-{NOW}"), "iss": KEY, "sub": ACCOUNT, "iat": NOW, "exp": NOW + 3600,
        "grants": {"identity": "alice", "chat": {"service_sid": SERVICE}},
    })
}

pub(crate) fn signed(header: &Value, payload: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"})
}

/// A good token but for one member of its payload, which is set, or taken out by null.
fn with(pointer: &str, value: Value) -> String {
    let mut payload = payload();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = payload.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    match value {
        Value::Null => drop(parent.remove(name)),
        value => drop(parent.insert(name.to_owned(), value)),
    }
    signed(&header(), &payload)
}

fn explained(token: &str) -> Explanation {
    let key = Key::new(KEY, ACCOUNT, SECRET);
    explain(token, &given(KeyGiven::Known(&key)))
}

fn given(key: KeyGiven<'_>) -> Given<'_> {
    Given { rules: Rules::at(NOW), key, directory: Some(&World), revoked: None }
}

/// The first cause, and its hint, which is the only one unless there are several faults.
#[track_caller]
fn says(explanation: &Explanation, check: Check, words: &str) {
    assert_eq!(explanation.refusal.as_ref().map(|refusal| refusal.check), Some(check), "{explanation}");
    assert!(explanation.changes[0].contains(words), "{words:?} is not first in:\n{explanation}");
}

#[test]
fn times_that_cannot_be_used_are_called_what_they_are() {
    let none = "";
    for (claim, value, check, words, not) in [
        ("/exp", Value::Null, Check::Expiry, "exp is missing", "text"),
        ("/exp", json!("1700003600"), Check::Expiry, "exp is a text", none),
        ("/exp", json!(true), Check::Expiry, "exp is true", "text"),
        ("/exp", json!({}), Check::Expiry, "exp is an object", "text"),
        ("/exp", json!(1_700_003_600.5), Check::Expiry, "not a whole number", "expired"),
        ("/exp", json!(3600), Check::Expiry, "the time now plus 3600", "expired"),
        ("/exp", json!(NOW - 7200), Check::Expiry, "before it was issued", none),
        ("/exp", json!(NOW + 900_000_000_000_i64), Check::Lifetime, "milliseconds", none),
        ("/exp", json!(NOW + 90_000), Check::Lifetime, "at most 86400 seconds (1 day)", "millisecond"),
        ("/exp", json!(NOW + 3_600_000), Check::Lifetime, "give 3600 seconds", none),
        ("/iat", json!(NOW + 7200), Check::IssuedAt, "iat is 2 h ahead", "nbf"),
        ("/iat", json!(NOW * 1000), Check::IssuedAt, "iat looks like milliseconds", "nbf"),
        ("/iat", json!("now"), Check::IssuedAt, "iat is a text", "nbf"),
        ("/iat", json!(5), Check::Lifetime, "iat says that the token was issued", "lifetime of at most"),
        ("/nbf", json!(NOW + 300), Check::NotBefore, "nbf is 5 min ahead", none),
        ("/nbf", json!(NOW + 400_000), Check::NotBefore, "nbf lets the token begin", "NTP"),
        ("/nbf", json!(NOW * 1000), Check::NotBefore, "nbf looks like milliseconds", none),
        ("/nbf", json!([]), Check::NotBefore, "nbf is an array", none),
    ] {
        let explanation = explained(&with(claim, value.clone()));
        says(&explanation, check, words);
        let first = &explanation.changes[0];
        assert!(not.is_empty() || !first.contains(not), "{claim} {value}: {first}");
    }
    let fraction = explained(&with("/exp", json!(1_700_003_600.5)));
    assert!(!fraction.notes.concat().contains("expires"), "{fraction}");
}

#[test]
fn a_token_that_has_expired_is_spoken_of_in_the_past() {
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let at = |now: i64| Given { rules: Rules::at(now), ..given(KeyGiven::Known(&key)) };
    let token = signed(&header(), &payload());
    let soon = explain(&token, &at(NOW + 3700));
    assert!(soon.notes[0].contains("expired 1 min 40 s ago"), "{soon}");
    says(&soon, Check::Expiry, "set the clocks");
    let late = explain(&token, &at(NOW + 400_000));
    assert!(!late.changes[0].contains("clock"), "a clock is not wrong by days: {late}");
    let python = explain(&with("/iat", Value::Null), &at(NOW + 3700));
    assert!(!python.changes[0].contains("Node"), "{python}");
}

#[test]
fn issuer_and_subject_are_told_apart_and_called_what_they_are() {
    let (other_key, upper) = (json!("SKfa4efa4efa4efa4efa4efa4efa4e0009"), json!(KEY.replace("fa4e", "FA4E")));
    for (claims, check, words) in [
        (vec![("/iss", json!(ACCOUNT)), ("/sub", json!(KEY))], Check::Issuer, "are swapped"),
        (vec![("/iss", json!(ACCOUNT))], Check::Issuer, "minted without an API key"),
        (vec![("/sub", json!(KEY))], Check::Subject, "the Account SID is missing"),
        (vec![("/sub", other_key)], Check::Subject, "the Account SID is missing"),
        (vec![("/iss", Value::Null)], Check::Issuer, "give it when you mint"),
        (vec![("/sub", Value::Null)], Check::Subject, "give it when you mint"),
        (vec![("/iss", json!(""))], Check::Issuer, "environment variable"),
        (vec![("/iss", json!("undefined"))], Check::Issuer, "environment variable"),
        (vec![("/iss", json!(format!(" {KEY}")))], Check::Issuer, "trim it"),
        (vec![("/iss", json!(format!("\"{KEY}\"")))], Check::Issuer, "trim it"),
        (vec![("/iss", upper)], Check::Issuer, "in lower case"),
        (vec![("/iss", json!(SERVICE))], Check::Issuer, "a Service SID"),
        (vec![("/iss", json!("AbCdEfGhIjKlMnOpQrStUvWxYz012345"))], Check::Issuer, "replace that secret"),
        (vec![("/iss", json!("0123456789abcdef0123456789abcdef"))], Check::Issuer, "replace that secret"),
        (vec![("/iss", json!(5))], Check::Issuer, "as a text"),
    ] {
        let mut payload = payload();
        for (pointer, value) in claims {
            payload[&pointer[1..]] = value.clone();
            if value.is_null() {
                payload.as_object_mut().expect("an object").remove(&pointer[1..]);
            }
        }
        says(&explained(&signed(&header(), &payload)), check, words);
    }
    // Both the account: nothing is swapped.
    let explanation = explained(&with("/iss", json!(ACCOUNT)));
    assert!(!explanation.changes.concat().contains("swapped"), "{explanation}");
}

#[test]
fn each_state_of_a_key_has_its_own_words() {
    let token = signed(&header(), &payload());
    let key = || Key::new(KEY, ACCOUNT, SECRET);
    for (key, found, words) in [
        (Key { status: KeyStatus::Suspended, ..key() }, "is suspended", "revocation delete"),
        (Key { status: KeyStatus::Deleted, ..key() }, "was deleted", "gone for good"),
        (Key { kind: KeyKind::Restricted, ..key() }, "is Restricted", "Main or Standard"),
        (Key { region: "ie1".into(), ..key() }, "region \"ie1\"", "this service's region"),
        (Key { account_sid: ACCOUNT.replace("0001", "0002"), ..key() }, "belongs to", "that the key belongs to"),
        (Key { account_status: AccountStatus::Suspended, ..key() }, "is suspended", "sets it active"),
        (Key { account_status: AccountStatus::Closed, ..key() }, "is closed", "closed for good"),
        (Key { account_status: AccountStatus::Test, ..key() }, "test credentials", "live Account SID"),
    ] {
        let explanation = explain(&token, &given(KeyGiven::Known(&key)));
        says(&explanation, Check::Key, words);
        // The first cause stands in the first sentences.
        let start: String = explanation.to_string().lines().take(2).collect();
        assert!(start.contains(found), "{explanation}");
    }
    says(&explain(&token, &given(KeyGiven::Unknown)), Check::Key, "nobody knows this key");
    says(&explain(&token, &given(KeyGiven::Deleted)), Check::Key, "gone for good");
}

#[test]
fn what_is_known_of_a_key_is_compared_with_the_token() {
    let token = signed(&header(), &payload());
    let secret = Some(Secret::new(SECRET));
    let part = |sid: Option<&str>, account: Option<&str>, secret: &Option<Secret>| PartOfKey {
        sid: sid.map(str::to_owned),
        account_sid: account.map(str::to_owned),
        secret: secret.clone(),
    };
    let (other_key, other_account) = (KEY.replace("0001", "0002"), ACCOUNT.replace("0001", "0002"));
    for secret in [&secret, &None] {
        let foreign = part(Some(KEY), Some(&other_account), secret);
        says(&explain(&token, &given(KeyGiven::Partly(&foreign))), Check::Key, "names another account");
        let other = part(Some(&other_key), None, secret);
        says(&explain(&token, &given(KeyGiven::Partly(&other))), Check::Key, "names another key");
        let right = part(Some(KEY), Some(ACCOUNT), secret);
        let explanation = explain(&token, &given(KeyGiven::Partly(&right)));
        assert_eq!(explanation.refusal, None);
        assert!(!explanation.is_valid(), "nobody has looked the key up");
    }
    // What cannot be read at all names no key that could be another one.
    let other = part(Some(&other_key), None, &secret);
    let explanation = explain("nonsense", &given(KeyGiven::Partly(&other)));
    assert!(!explanation.to_string().contains("another key"), "{explanation}");
}

#[test]
fn grants_that_are_wrong_are_called_what_they_are() {
    let two = json!({"identity": "a", "chat": {"service_sid": SERVICE}, "ip_messaging": {"service_sid": SERVICE}});
    for (claim, value, check, words) in [
        ("/grants", Value::Null, Check::Grants, "has no grants"),
        ("/grants", json!([]), Check::Grants, "grants is an array"),
        ("/grants/identity", Value::Null, Check::Identity, "there is no identity"),
        ("/grants/identity", json!(""), Check::Identity, "is empty"),
        ("/grants/identity", json!(true), Check::Identity, "is true"),
        ("/grants/identity", json!(1.5), Check::Identity, "not a whole number"),
        ("/grants/identity", json!("i".repeat(300)), Check::ChatIdentity, "has 300 characters"),
        ("/grants/identity", json!("system"), Check::ChatIdentity, "user-system"),
        ("/grants/identity", json!("USfa4efa4efa4efa4efa4efa4efa4e0001"), Check::ChatIdentity, "User SID"),
        ("/grants/identity", json!("a\0"), Check::ChatIdentity, "NUL"),
        ("/grants", two, Check::ChatGrant, "leave ip_messaging out"),
        ("/grants", json!({"identity": "a", "video": {}}), Check::ChatGrant, "there is only video"),
        ("/grants", json!({"identity": "a"}), Check::ChatGrant, "add one chat grant"),
        ("/grants/chat", json!(true), Check::ChatGrant, "the chat grant is true"),
        ("/grants/chat", json!({}), Check::Service, "needs service_sid"),
        ("/grants/chat", json!({"serviceSid": SERVICE}), Check::Service, "not serviceSid"),
        ("/grants/chat/service_sid", json!("general"), Check::Service, "no SID"),
        ("/grants/chat/service_sid", json!(KEY), Check::Service, "an API Key SID"),
        (
            "/grants/chat/service_sid",
            json!(SERVICE.replace("0001", "0009")),
            Check::Service,
            "no chat service with that SID",
        ),
        ("/grants/chat/deployment_role_sid", json!("admin"), Check::Role, "not its name"),
        (
            "/grants/chat/deployment_role_sid",
            json!("RLfa4efa4efa4efa4efa4efa4efa4e0009"),
            Check::Role,
            "a service role of",
        ),
        ("/grants/chat/push_credential_sid", json!("x"), Check::PushCredential, "takes the SID"),
        (
            "/grants/chat/push_credential_sid",
            json!("CRfa4efa4efa4efa4efa4efa4efa4e0009"),
            Check::PushCredential,
            "no push credential",
        ),
    ] {
        says(&explained(&with(claim, value)), check, words);
    }
    let mut beside = payload();
    beside["grants"]["identity"].take();
    beside["identity"] = json!("alice");
    says(&explained(&signed(&header(), &beside)), Check::Identity, "beside grants");
}

#[test]
fn a_signature_of_the_wrong_length_or_a_secret_in_base64_is_named() {
    let token = signed(&header(), &payload());
    let (content, _) = token.rsplit_once('.').expect("three parts");
    for (length, words) in [(16, "cut"), (64, "HS256"), (40, "too long")] {
        let other = format!("{content}.{}", URL_SAFE_NO_PAD.encode(vec![7; length]));
        let explanation = explained(&other);
        assert_eq!(explanation.refusal.as_ref().map(|refusal| refusal.check), Some(Check::Signature));
        assert!(explanation.changes.concat().contains(words), "{explanation}");
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk");
    let mut mac = Hmac::<Sha256>::new_from_slice(&decoded.expect("base64")).expect("any length is a key");
    mac.update(content.as_bytes());
    let token = format!("{content}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let key = Key::new(KEY, ACCOUNT, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk");
    says(&explain(&token, &given(KeyGiven::Known(&key))), Check::Signature, "decoded from base64");
}

#[test]
fn a_revoked_token_is_called_revoked_in_the_first_sentence() {
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let revoked = Refusal {
        code: code::EXPIRED,
        check: Check::Revocation,
        found: "revoked by RVx (identity alice)".into(),
        expected: "no revocation".into(),
    };
    let given = Given { revoked: Some(revoked.clone()), ..given(KeyGiven::Known(&key)) };
    let explanation = explain(&signed(&header(), &payload()), &given);
    let text = explanation.to_string();
    assert!(text.starts_with("This is an Access Token that was revoked: revoked by RVx"), "{text}");
    assert!(!text.contains("valid.") && !explanation.is_valid(), "{text}");
    assert_eq!(
        (explanation.refusal.as_ref(), explanation.to_json()["verdict"].as_str()),
        (Some(&revoked), Some("refused"))
    );
    // Something that the door finds before is the first cause.
    let expired = explain(&with("/exp", json!(NOW - 60)), &given);
    assert_eq!(expired.refusal.map(|refusal| refusal.check), Some(Check::Expiry));
}
