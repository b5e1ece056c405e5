//! A story per way of being stuck: what the explanation says first, and what it tells to change.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tertulia_token::{
    ChatGrant, Check, Explanation, Given, Key, KeyGiven, KeyKind, Mint, Outcome, PartOfKey, Rules, Secret, TokenKind,
    explain,
};

use crate::world::{ACCOUNT, KEY, NOW, SECRET, SERVICE, World, cases, token};

fn good() -> String {
    let secret = Secret::new(SECRET);
    let mint = Mint::new(ACCOUNT, KEY, &secret).identity("alice").grant(ChatGrant::new(SERVICE));
    mint.sign(NOW, [7; 8]).expect("good").token
}

fn signed_with(secret: &str) -> String {
    let secret = Secret::new(secret);
    let mint = Mint::new(ACCOUNT, KEY, &secret).identity("alice").grant(ChatGrant::new(SERVICE));
    mint.lenient().sign(NOW, [7; 8]).expect("lenient").token
}

fn jwt(header: Value, payload: Value) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([7; 32]))
}

/// Explained with the right key and the world, and never with a secret in the answer.
fn explained(token: &str) -> Explanation {
    explained_at(token, NOW)
}

fn explained_at(token: &str, now: i64) -> Explanation {
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let given = Given { rules: Rules::at(now), key: KeyGiven::Known(&key), directory: Some(&World), revoked: None };
    told(explain(token, &given))
}

fn told(explanation: Explanation) -> Explanation {
    let all = format!("{explanation} {} {explanation:?}", explanation.to_json());
    assert!(!all.contains(SECRET), "{all}");
    explanation
}

#[track_caller]
fn advises(explanation: &Explanation, words: &str) {
    let changes = explanation.changes.join("\n");
    assert!(changes.contains(words), "{words:?} is not in:\n{explanation}");
}

fn vector(id: &str) -> String {
    token(cases().find(|case| case["id"] == id).unwrap_or_else(|| panic!("no {id}")))
}

#[test]
fn a_good_token_passes_everything() {
    let explanation = explained(&good());
    assert!(explanation.is_valid());
    assert_eq!(explanation.kind, TokenKind::AccessToken);
    let checks: Vec<_> = explanation.steps.iter().map(|step| step.check).collect();
    assert_eq!(checks, Check::ALL);
    assert!(explanation.changes.is_empty());
    assert!(explanation.notes[0].contains("expires in 1 h"), "{explanation}");
    assert!(explanation.to_string().starts_with("This is an Access Token.\nIt is valid."));
    assert_eq!(explanation.to_json()["verdict"], "valid");
}

#[test]
fn without_a_key_the_rest_is_still_checked() {
    let explanation = explain(&good(), &Given::at(NOW));
    assert!(!explanation.is_valid());
    assert_eq!(explanation.refusal, None);
    assert_eq!(explanation.to_json()["verdict"], "unknown");
    let skipped: Vec<_> =
        explanation.steps.iter().filter(|step| step.outcome == Outcome::Skipped).map(|step| step.check).collect();
    assert_eq!(skipped, [Check::Key, Check::Signature]);
}

#[test]
fn wrappings_are_named_and_what_is_inside_is_checked() {
    let good = good();
    let (start, end) = good.split_at(80);
    for (text, note) in [
        (format!("Bearer {good}"), "Bearer"),
        (format!("\"{good}\""), "quotes"),
        (format!("{good}\n"), "white space around"),
        (format!(" {good}\r\n"), "white space around"),
        (format!("{start}\n{end}"), "inside the token"),
        (json!({"identity": "alice", "token": good}).to_string(), "inside JSON"),
        (json!([{"jwt": good}]).to_string(), "inside JSON"),
        (good.replace('.', "%2E"), "percent-encoded"),
    ] {
        let explanation = explained(&text);
        assert_eq!(explanation.kind, TokenKind::AccessToken, "{text}");
        assert_eq!(explanation.refusal.as_ref().map(|r| (r.code, r.check)), Some((20101, Check::Form)));
        assert!(explanation.notes[0].contains(note), "{explanation}");
        advises(&explanation, "bare token");
        let failed = explanation.steps.iter().filter(|s| matches!(s.outcome, Outcome::Failed(_)));
        assert_eq!(failed.count(), 1, "only the form is wrong: {explanation}");
    }
}

#[test]
fn other_kinds_of_token_are_recognised() {
    let plain = json!({"alg": "HS256", "typ": "JWT"});
    let worker = json!({"iss": ACCOUNT, "workspace_sid": "WS", "policies": [], "version": "v1"});
    let five = format!("{}.a.b.c.d", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#));
    for (text, kind, advice) in [
        (vector("kind-capability"), TokenKind::CapabilityToken, "mint an Access Token"),
        (vector("kind-taskrouter"), TokenKind::TaskRouterCapability, "mint an Access Token"),
        (vector("kind-pkcv"), TokenKind::ClientValidation, "REST requests"),
        (vector("kind-oidc-id-token"), TokenKind::IdToken, "token endpoint"),
        (jwt(plain.clone(), worker), TokenKind::TaskRouterCapability, "mint an Access Token"),
        (jwt(plain, json!({"a": 1})), TokenKind::OtherJwt, "helper library"),
        (five, TokenKind::Encrypted, "three parts"),
        ("0123456789abcdef0123456789abcdef".into(), TokenKind::AuthToken, "never give"),
        ("AbCdEfGhIjKlMnOpQrStUvWxYz012345".into(), TokenKind::Secret, "never leaves"),
        (KEY.into(), TokenKind::Sid, "only names something"),
        (String::new(), TokenKind::Empty, "no token arrived"),
        ("hello".into(), TokenKind::NoToken, "eyJ"),
    ] {
        let explanation = explained(&text);
        assert_eq!(explanation.kind, kind, "{text}");
        assert!(explanation.refusal.is_some());
        advises(&explanation, advice);
    }
}

#[test]
fn what_looks_like_a_secret_is_not_repeated() {
    let secret = "AbCdEfGhIjKlMnOpQrStUvWxYz012345";
    for text in [
        secret.to_owned(),
        jwt(
            json!({"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}),
            json!({"iss": secret, "sub": ACCOUNT, "exp": NOW + 60, "grants": {"identity": "a"}}),
        ),
    ] {
        let explanation = explained(&text);
        assert!(!explanation.to_string().contains(secret), "{explanation}");
    }
}

#[test]
fn accidents_with_the_secret_are_found() {
    let mut swapped = signed_with(KEY);
    for (token, words) in [
        (signed_with(&format!("{SECRET}\n")), "newline after it"),
        (signed_with(&format!("{SECRET}\r\n")), "CR LF"),
        (signed_with(&format!("\"{SECRET}\"")), "in quotes"),
        (signed_with(&SECRET.to_uppercase()), "upper case"),
        (signed_with(""), "empty secret"),
        (signed_with("undefined"), "did not find it"),
        (std::mem::take(&mut swapped), "API Key SID in place of"),
        (signed_with("FAKE-vector-secret-not-real-0077"), "another secret"),
    ] {
        let explanation = explained(&token);
        let refusal = explanation.refusal.as_ref().expect("refused");
        assert_eq!((refusal.code, refusal.check), (20107, Check::Signature));
        advises(&explanation, words);
    }
}

#[test]
fn a_given_secret_with_a_newline_is_said() {
    let part = PartOfKey { secret: Some(Secret::new(format!("{SECRET}\n"))), ..PartOfKey::default() };
    let given = Given { key: KeyGiven::Partly(&part), ..Given::at(NOW) };
    let explanation = told(explain(&good(), &given));
    advises(&explanation, "without the white space around it");
    advises(&explanation, "together with its newline");
}

#[test]
fn clocks_and_lifetimes_are_told_in_words() {
    let late = explained_at(&good(), NOW + 2 * 3600);
    assert_eq!(late.refusal.as_ref().map(|r| r.code), Some(20104));
    advises(&late, "expired 1 h ago");

    let early = explained_at(&good(), NOW - 300);
    assert_eq!(early.refusal.as_ref().map(|r| r.code), Some(20105));
    advises(&early, "5 min ahead of this clock");

    let millis = explained(&vector("ttl-milliseconds--node-3.84.1"));
    assert_eq!(millis.refusal.as_ref().map(|r| r.code), Some(20157));
    advises(&millis, "give 3600 seconds");

    let text = explained_at(&vector("ttl-text-3600-later--node-3.84.1"), NOW + 600);
    advises(&text, "only 3 s");

    let exp = explained(&vector("exp-milliseconds"));
    advises(&exp, "exp is in milliseconds");
}

#[test]
fn keys_and_accounts_that_do_not_fit_are_named() {
    let token = good();
    let given = Given { key: KeyGiven::Unknown, ..Given::at(NOW) };
    let explanation = explain(&token, &given);
    assert_eq!(explanation.refusal.as_ref().map(|r| r.check), Some(Check::Key));
    advises(&explanation, "nobody knows this key here");

    let mut key = Key::new(KEY, ACCOUNT, SECRET);
    key.kind = KeyKind::Restricted;
    let given = Given { key: KeyGiven::Known(&key), ..Given::at(NOW) };
    let explanation = explain(&token, &given);
    assert!(explanation.refusal.expect("refused").found.contains("Restricted"));

    let swapped = explained(&vector("account-is-key--node-3.84.1"));
    advises(&swapped, "the Account SID is missing");
    let region = explained(&vector("region-ie1-us1-key--node-3.84.1"));
    assert_eq!(region.refusal.as_ref().map(|r| r.check), Some(Check::Region));
}

#[test]
fn grants_that_open_nothing_are_explained() {
    advises(&explained(&vector("grant-chat-mg--node-3.84.1")), "Messaging Service");
    advises(&explained(&vector("chat-service-camel")), "not serviceSid");
    advises(&explained(&vector("grant-video--node-3.84.1")), "add one chat grant");
    advises(&explained(&vector("identity-top-level")), "grants.identity");
    advises(&explained(&vector("identity-reserved-system--node-3.84.1")), "another identity");
    advises(&explained(&vector("chat-role-unknown")), "role of that chat service");
}

#[test]
fn a_token_for_another_product_is_not_called_broken() {
    let explanation = explained(&vector("grant-video--node-3.84.1"));
    assert_eq!(explanation.refusal.as_ref().map(|refusal| refusal.check), Some(Check::ChatGrant));
    assert!(explanation.to_string().contains("good as such"), "{explanation}");
}

#[test]
fn several_faults_are_all_shown_and_the_first_decides() {
    let explanation = explained_at(&signed_with("wrong"), NOW + 7200);
    let failed: Vec<_> = explanation
        .steps
        .iter()
        .filter_map(|step| match step.outcome {
            Outcome::Failed(code) => Some((step.check, code)),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [(Check::Signature, 20107), (Check::Expiry, 20104)]);
    assert_eq!(explanation.refusal.map(|refusal| refusal.code), Some(20107));
}
