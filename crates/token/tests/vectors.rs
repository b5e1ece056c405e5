//! All vectors, at both levels, and what was chosen where they leave a choice.

use std::time::{Duration, Instant};

use serde_json::Value;
use tertulia_token::{AccessToken, Given, KeyGiven, Refusal, chat, explain, parse, verify};

use crate::world::{World, cases, find_key, rules, text, token};

/// One token may take this long, in a debug build on a busy machine.
const TIME_MAX: Duration = Duration::from_millis(100);

fn check(token: &str, now: i64) -> Result<AccessToken, Refusal> {
    let unverified = parse(token)?;
    let key = find_key(unverified.issuer());
    verify(unverified, key.as_ref(), &rules(now))
}

fn now(case: &Value) -> i64 {
    case["now"].as_i64().expect("now")
}

/// What is wrong about an outcome, if anything.
fn complaint(expected: &Value, refusal: Option<&Refusal>) -> Option<String> {
    let allowed = |code: u16| {
        let codes = expected["codes"].as_array();
        codes.is_some_and(|codes| codes.iter().any(|allowed| *allowed == code))
    };
    match (text(expected, "verdict"), refusal) {
        ("accept" | "either", None) => None,
        ("reject" | "either", Some(refusal)) if allowed(refusal.code) => None,
        (verdict, None) => Some(format!("accepted instead of {verdict}")),
        (_, Some(refusal)) => Some(format!("{refusal}; allowed {}", expected["codes"])),
    }
}

fn time<T>(call: impl Fn() -> T) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this measures work")]
    let begin = Instant::now();
    call();
    begin.elapsed()
}

#[test]
fn every_vector_gets_its_verdict_at_both_levels() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for case in cases() {
        let token = token(case);
        let both = || {
            let verified = check(&token, now(case));
            let access = match &verified {
                Ok(token) => chat(token, &World).err(),
                Err(refusal) => Some(refusal.clone()),
            };
            (verified, access)
        };
        let (verified, access) = both();
        // The best of three: a pause of the machine is not the token's fault.
        let took = (0..3).map(|_| time(both)).min().unwrap_or_default();
        let id = text(case, "id");
        let verify_complaint = complaint(&case["verify"], verified.as_ref().err());
        let chat_complaint = complaint(&case["chat"], access.as_ref());
        complaints.extend(verify_complaint.map(|why| format!("{id}, verify: {why}")));
        complaints.extend(chat_complaint.map(|why| format!("{id}, chat: {why}")));
        if took > TIME_MAX {
            complaints.push(format!("{id} took {took:?}"));
        }
        count += 2;
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert_eq!(count, 2 * 636);
}

#[test]
fn accepted_tokens_contain_what_they_should() {
    let mut count = 0;
    for case in cases().filter(|case| case.get("payload").is_some()) {
        let id = text(case, "id");
        let token = check(&token(case), now(case)).unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
        assert_eq!(token.header(), case["header"], "{id}");
        assert_eq!(token.payload(), case["payload"], "{id}");
        let payload = token.payload();
        assert_eq!(payload["iss"], token.key_sid(), "{id}");
        assert_eq!(payload["sub"], token.account_sid(), "{id}");
        assert_eq!(payload["exp"].as_f64(), Some(token.expires_at() as f64), "{id}");
        assert_eq!(payload["grants"]["identity"], token.identity(), "{id}");
        count += 1;
    }
    assert_eq!(count, 249);
}

/// The explanation uses the same checks, so its first failure is the refusal.
#[test]
fn explanations_agree_with_verification() {
    for case in cases() {
        let token = token(case);
        let refusal = check(&token, now(case)).and_then(|token| chat(&token, &World).map(drop)).err();
        let issuer = tertulia_token::issuer_of(&token);
        let key = issuer.and_then(|issuer| find_key(&issuer));
        let given = Given {
            rules: rules(now(case)),
            key: key.as_ref().map_or(KeyGiven::Unknown, KeyGiven::Known),
            directory: Some(&World),
            revoked: None,
        };
        let explanation = explain(&token, &given);
        assert_eq!(explanation.refusal, refusal, "{}", text(case, "id"));
        assert_eq!(explanation.is_valid(), refusal.is_none(), "{}", text(case, "id"));
        let told = format!("{explanation}{}", explanation.to_json());
        let id = text(case, "id");
        for secret in ["FAKE-vector-secret", "not-real-00"] {
            assert!(!told.contains(secret), "{id} shows a secret");
        }
        let signature = token.rsplit('.').next().filter(|signature| signature.len() >= 40);
        assert!(!signature.is_some_and(|signature| told.contains(signature)), "{id} shows a signature");
    }
}

/// Where the vectors allow both, this is what the crate does. Change it on purpose only.
#[test]
fn choices_are_held() {
    const ACCEPTED_AT_CHAT: [&str; 13] = [
        "identity-256-emoji--node-3.84.1",
        "identity-control--node-3.84.1",
        "identity-int--python-7.17.0",
        "grant-chat-upper-service--node-3.84.1",
        "nbf-minus-1--node-3.84.1",
        "ttl-ten-years-last-day--python-7.17.0",
        "shape-exponent",
        "shape-no-jti",
        "twr-empty",
        "kid-number",
        "jti-number",
        "jti-key-differs",
        "grants-identity-number",
    ];
    const REFUSED: [(&str, u16); 22] = [
        ("identity-nul--node-3.84.1", 20106),
        ("identity-reserved-system--node-3.84.1", 20106),
        ("identity-reserved-user-sid--node-3.84.1", 20106),
        ("identity-len-257--node-3.84.1", 51003),
        ("grant-chat-and-ip-messaging--node-3.84.1", 20106),
        ("nbf-1s-ahead--node-3.84.1", 20105),
        ("nbf-text--python-7.17.0", 20101),
        ("minted-on-fast-clock-1h--node-3.84.1", 20105),
        ("exp-float", 20104),
        ("typ-lower", 20102),
        ("twr-upper", 20103),
        ("zip", 20102),
        ("iat-null", 20101),
        ("iat-string", 20101),
        ("nbf-null", 20101),
        ("deep-64", 20101),
        ("payload-16kb", 20101),
        ("many-claims-5000", 20101),
        ("form-leading-space", 20101),
        ("form-trailing-newline", 20101),
        ("form-crlf", 20101),
        ("form-trailing-space", 20101),
    ];
    let outcome = |id: &str| {
        let case = cases().find(|case| case["id"] == id).unwrap_or_else(|| panic!("no case {id}"));
        check(&token(case), now(case))
            .and_then(|token| chat(&token, &World).map(drop))
            .err()
            .map(|refusal| refusal.code)
    };
    for id in ACCEPTED_AT_CHAT {
        assert_eq!(outcome(id), None, "{id}");
    }
    for (id, code) in REFUSED {
        assert_eq!(outcome(id), Some(code), "{id}");
    }
}

/// Changes one byte at a time, at places spread over the token (each token begins at another one).
#[test]
fn no_accepted_token_survives_a_changed_byte_or_a_cut() {
    const PLACES: usize = 24;
    let accepted = cases().filter(|case| case.get("payload").is_some());
    for (n, case) in accepted.enumerate() {
        let token = token(case);
        let step = (token.len() / PLACES).max(1);
        let last = token.len() - 1;
        for at in (n % step..token.len()).step_by(step).chain([last]) {
            let bit = 1 << (n % 6);
            let mut changed = token.clone().into_bytes();
            changed[at] ^= bit;
            let changed = String::from_utf8(changed).expect("ASCII stays ASCII");
            let outcome = check(&changed, now(case));
            assert!(outcome.is_err(), "{} with byte {at} changed", text(case, "id"));
            let outcome = check(&token[..at], now(case));
            assert!(outcome.is_err(), "{} cut at {at}", text(case, "id"));
        }
    }
}

/// The same without sampling, for two tokens: every byte to every other that base64url has.
#[test]
fn no_byte_of_a_token_can_be_replaced() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    let step = 7;
    for (offset, id) in [(0, "identity-plain--node-3.84.1"), (1, "identity-plain--python-7.17.0")] {
        let case = cases().find(|case| case["id"] == id).expect("a plain token");
        let token = token(case);
        for at in 0..token.len() {
            for &byte in ALPHABET.iter().skip((at + offset) % step).step_by(step) {
                let mut changed = token.clone().into_bytes();
                if std::mem::replace(&mut changed[at], byte) == byte {
                    continue;
                }
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(check(&changed, now(case)).is_err(), "byte {at} of {id} as {byte}");
            }
            assert!(check(&token[..at], now(case)).is_err(), "{id} cut at {at}");
        }
    }
}
