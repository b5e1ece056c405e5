//! Explaining and verifying never disagree, whatever is done to a token and whatever is known.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tertulia_token::{
    AccountStatus, Given, Key, KeyGiven, KeyKind, KeyStatus, Outcome, PartOfKey, Refusal, Rules, Secret, chat, explain,
    issuer_of, parse, token_in, verify,
};

use crate::explain_hints::signed;
use crate::world::{ACCOUNT, KEY, NOW, ROLE, SECRET, SERVICE, World};

/// A token and all that is done to it on its way.
#[derive(Debug, Clone)]
struct Mutated {
    text: String,
    key: usize,
    now: i64,
}

const POINTERS: [&str; 14] = [
    "/iss",
    "/sub",
    "/exp",
    "/nbf",
    "/iat",
    "/jti",
    "/grants",
    "/grants/identity",
    "/grants/chat",
    "/grants/ip_messaging",
    "/grants/chat/service_sid",
    "/grants/chat/deployment_role_sid",
    "/grants/chat/push_credential_sid",
    "/session",
];

fn values() -> impl Strategy<Value = Value> {
    let listed = vec![
        json!(null),
        json!(true),
        json!(""),
        json!([]),
        json!({}),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(NOW),
        json!(NOW + 3),
        json!(NOW + 31),
        json!(NOW + 90_000),
        json!(NOW * 1000),
        json!(1e300),
        json!("1700000000"),
        json!(KEY),
        json!(ACCOUNT),
        json!(SERVICE),
        json!(ROLE),
        json!(KEY.replace("0001", "0002")),
        json!(ACCOUNT.replace("0001", "0002")),
        json!(SERVICE.replace("0001", "0002")),
        json!(KEY.to_uppercase()),
        json!("system"),
        json!("US0123456789abcdef0123456789abcdef"),
        json!("i".repeat(257)),
        json!("i".repeat(9000)),
        json!({"service_sid": SERVICE}),
        json!({"service_sid": SERVICE, "deployment_role_sid": ROLE}),
        json!("undefined"),
    ];
    prop_oneof![4 => prop::sample::select(listed), 1 => any::<String>().prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from)]
}

fn headers() -> impl Strategy<Value = Value> {
    let good = json!({"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"});
    let others = vec![
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "none", "typ": "JWT", "cty": "twilio-fpa;v=1"}),
        json!({"alg": "HS256", "typ": "jwt", "cty": "twilio-fpa;v=1"}),
        json!({"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1", "twr": "ie1"}),
        json!({"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1", "twr": null, "kid": "x"}),
        json!({"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1", "crit": []}),
        json!([]),
    ];
    prop_oneof![6 => Just(good), 1 => prop::sample::select(others)]
}

/// A well-signed token with some claims set to something.
fn tokens() -> impl Strategy<Value = String> {
    let edits = prop::collection::vec((prop::sample::select(&POINTERS[..]), values()), 0..3);
    (headers(), edits).prop_map(|(header, edits)| {
        let mut payload = json!({
            "jti": "x", "iss": KEY, "sub": ACCOUNT, "iat": NOW, "exp": NOW + 3600,
            "grants": {"identity": "alice", "chat": {"service_sid": SERVICE}},
        });
        for (pointer, value) in edits {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            if let Some(parent) = payload.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.insert(name.to_owned(), value);
            }
        }
        signed(&header, &payload)
    })
}

/// What may happen to a token as a text; mostly nothing.
fn texts() -> impl Strategy<Value = String> {
    let place = any::<prop::sample::Index>;
    let wrapped = prop::sample::select(vec![
        ("Bearer ", ""),
        ("\"", "\""),
        (" ", ""),
        ("", "\n"),
        ("b'", "'"),
        ("<AccessToken ", ">"),
        ("{\"token\":\"", "\"}"),
        ("Authorization: Bearer ", ""),
        ("TOKEN=", ""),
        ("curl -H 'Authorization: Bearer ", "' http://x"),
        ("%22", "%22"),
        ("", "="),
        ("", "."),
    ]);
    (tokens(), place(), place(), any::<char>(), wrapped, 0..12_u8).prop_map(
        |(token, at, to, char, (open, close), edit)| {
            let (at, to) = (at.index(token.len()), to.index(token.len()));
            match edit {
                0 => format!("{}{char}{}", &token[..at], &token[at + 1..]),
                1 => format!("{}{char}{}", &token[..at], &token[at..]),
                2 => token[..at].to_owned(),
                3 => token[at..].to_owned(),
                4 => format!("{}{}", &token[..at.min(to)], &token[at.max(to)..]),
                5 => format!("{open}{token}{close}"),
                6 => format!("{open}{}\n{}{close}", &token[..at], &token[at..]),
                _ => token,
            }
        },
    )
}

fn mutated() -> impl Strategy<Value = Mutated> {
    let nows = prop_oneof![4 => Just(NOW), 1 => (-100_000..100_000_i64).prop_map(|s| NOW + s)];
    (texts(), 0..KEYS, nows).prop_map(|(text, key, now)| Mutated { text, key, now })
}

const KEYS: usize = 13;

/// What looking the key up brings, mostly the right one; and what verification is given for it.
fn key(number: usize) -> Option<Key> {
    let key = Key::new(KEY, ACCOUNT, SECRET);
    Some(match number {
        0 => return None,
        1 => Key { status: KeyStatus::Suspended, ..key },
        2 => Key { status: KeyStatus::Deleted, ..key },
        3 => Key { kind: KeyKind::Restricted, ..key },
        4 => Key { account_status: AccountStatus::Suspended, ..key },
        5 => Key { account_status: AccountStatus::Closed, ..key },
        6 => Key { account_sid: ACCOUNT.replace("0001", "0002"), ..key },
        7 => Key { region: "ie1".into(), ..key },
        8 => Key { secret: Secret::new("another secret, not that of the key"), ..key },
        _ => key,
    })
}

fn judged(text: &str, key: impl FnOnce(&str, &str) -> Option<Key>, now: i64) -> Result<(), Refusal> {
    let unverified = parse(text)?;
    let key = key(unverified.issuer(), unverified.subject());
    let token = verify(unverified, key.as_ref(), &Rules::at(now))?;
    chat(&token, &World).map(drop)
}

/// Fails where an explanation says something else than verification.
fn agree(case: &Mutated) -> Result<(), TestCaseError> {
    let Mutated { text, now, .. } = case;
    let key = key(case.key);
    let given = |key| Given { rules: Rules::at(*now), key, directory: Some(&World), revoked: None };
    same(
        text,
        &given(key.as_ref().map_or(KeyGiven::Unknown, KeyGiven::Known)),
        judged(text, |_, _| key.clone(), *now),
    )?;
    let gone = |issuer: &str, subject: &str| Some(Key { status: KeyStatus::Deleted, ..Key::new(issuer, subject, "") });
    same(text, &given(KeyGiven::Deleted), judged(text, gone, *now))?;
    let rules = Rules::at(*now);
    let part =
        PartOfKey { account_sid: Some(ACCOUNT.into()), secret: Some(Secret::new(SECRET)), ..PartOfKey::default() };
    let explanation = explain(text, &given(KeyGiven::Partly(&part)));
    let expected = judged(text, |issuer, subject| part.assume(issuer, subject, &rules), *now);
    prop_assert_eq!(explanation.refusal, expected.err());
    if let Ok(unverified) = parse(text) {
        prop_assert_eq!(token_in(text), text.as_str());
        prop_assert_eq!(issuer_of(text), Some(unverified.issuer().to_owned()));
    }
    Ok(())
}

fn same(text: &str, given: &Given<'_>, judged: Result<(), Refusal>) -> Result<(), TestCaseError> {
    let explanation = explain(text, given);
    prop_assert_eq!(explanation.is_valid(), judged.is_ok());
    let first = explanation.steps.iter().find(|step| matches!(step.outcome, Outcome::Failed(_)));
    let refusal = judged.err();
    prop_assert_eq!(first.map(|step| step.check), refusal.as_ref().map(|refusal| refusal.check));
    if let (Some(step), Some(refusal)) = (first, &refusal) {
        prop_assert_eq!(step.outcome, Outcome::Failed(refusal.code));
        prop_assert_eq!((&*step.found, &*step.expected), (&*refusal.found, &*refusal.expected));
    }
    prop_assert_eq!(&explanation.refusal, &refusal);
    let told = format!("{explanation} {}", explanation.to_json());
    prop_assert!(!told.contains(SECRET));
    Ok(())
}

/// Another seed each time; `TERTULIA_SEED` repeats one.
#[test]
fn explaining_and_verifying_never_disagree() {
    let drawn = TestRunner::default().rng().random::<u64>();
    let seed = std::env::var("TERTULIA_SEED").ok().map_or(drawn, |seed| seed.parse().expect("a number"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(failure) = runner.run(&mutated(), |case| agree(&case)) {
        panic!("TERTULIA_SEED={seed}: {failure}");
    }
}
