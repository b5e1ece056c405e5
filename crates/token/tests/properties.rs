//! What holds for whatever is minted, and for whatever arrives.

use proptest::prelude::*;
use tertulia_token::{
    AccessToken, ChatGrant, Given, Grant, Key, KeyGiven, Mint, Minted, Refusal, Rules, Secret, VideoGrant, explain,
    parse, verify,
};

use crate::world::{ACCOUNT, KEY, NOW, SERVICE};

fn check(token: &str, key: &Key, now: i64) -> Result<AccessToken, Refusal> {
    verify(parse(token)?, Some(key), &Rules::at(now))
}

/// Identities of all kinds that chat allows.
fn identities() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("allowed", |text| tertulia_token::identity::check(text).is_ok())
}

fn secrets() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]{1,80}"
}

fn mint(identity: &str, secret: &str, room: &str, ttl: i64) -> Minted {
    let secret = Secret::new(secret);
    Mint::new(ACCOUNT, KEY, &secret)
        .identity(identity)
        .grant(ChatGrant::new(SERVICE))
        .grant(VideoGrant { room: Some(room.into()) })
        .ttl(ttl)
        .sign(NOW, [7; 8])
        .expect("allowed")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_minted_verifies(
        identity in identities(), secret in secrets(), room in any::<String>(),
        ttl in 1..=86_400i64, later in 0..86_400i64,
    ) {
        let minted = mint(&identity, &secret, &room, ttl);
        let key = Key::new(KEY, ACCOUNT, secret);
        let outcome = check(&minted.token, &key, NOW + later);
        if later < ttl + 5 {
            let token = outcome.expect("still valid");
            prop_assert_eq!(token.identity(), identity);
            prop_assert_eq!(token.expires_at(), NOW + ttl);
            prop_assert_eq!(token.jti(), Some(minted.jti));
            let grants = [Grant::from(ChatGrant::new(SERVICE)), VideoGrant { room: Some(room) }.into()];
            prop_assert_eq!(token.grants(), grants);
        } else {
            prop_assert_eq!(outcome.expect_err("expired").code, 20104);
        }
    }

    #[test]
    fn any_changed_byte_is_refused(
        identity in identities(), at in any::<prop::sample::Index>(), byte in 0u8..128,
    ) {
        let secret = "FAKE-vector-secret-not-real-0001";
        let token = mint(&identity, secret, "r", 60).token;
        let at = at.index(token.len());
        let mut changed = token.clone().into_bytes();
        changed[at] = byte;
        prop_assume!(changed != token.as_bytes());
        let changed = String::from_utf8(changed).expect("ASCII");
        prop_assert!(check(&changed, &Key::new(KEY, ACCOUNT, secret), NOW).is_err());
    }

    #[test]
    fn another_secret_is_refused(secret in secrets(), other in secrets()) {
        prop_assume!(secret != other);
        let token = mint("alice", &secret, "r", 60).token;
        let refusal = check(&token, &Key::new(KEY, ACCOUNT, other), NOW).expect_err("not ours");
        prop_assert_eq!(refusal.code, 20107);
    }

    #[test]
    fn nothing_that_arrives_makes_a_panic(text in any::<String>(), json in any::<String>()) {
        survives(&text);
        survives(&format!("{text}.{json}.x"));
        survives(&format!("{{\"token\":{text:?}}}"));
    }

    /// Well signed and well encoded, with anything inside.
    #[test]
    fn no_payload_makes_a_panic(
        header in prop_oneof![Just(r#"{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}"#.to_owned()), any::<String>()],
        payload in json_like(),
    ) {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let encoded = [header, payload, "signature".into()].map(|part| URL_SAFE_NO_PAD.encode(part));
        survives(&encoded.join("."));
    }
}

/// Texts made of the things JSON is made of.
fn json_like() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\u",
        "d800",
        "dc00",
        "0",
        "-",
        "1e9",
        ".5",
        " ",
        "null",
        "true",
        "\"iss\"",
        "\"sub\"",
        "\"exp\"",
        "\"nbf\"",
        "\"iat\"",
        "\"grants\"",
        "\"identity\"",
        "\"chat\"",
        "\"SKfa4efa4efa4efa4efa4efa4efa4e0001\"",
        "\"ACfa4efa4efa4efa4efa4efa4efa4e0001\"",
        "\"😀\"",
        "9223372036854775808",
        "1e999",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

fn survives(text: &str) {
    let key = Key::new(KEY, ACCOUNT, "FAKE-vector-secret-not-real-0001");
    let refusal = check(text, &key, NOW).err();
    let given = Given { key: KeyGiven::Known(&key), ..Given::at(NOW) };
    let explanation = explain(text, &given);
    // Without a directory the explanation can only be stricter, by the chat checks.
    if let Some(refusal) = refusal {
        assert_eq!(explanation.refusal, Some(refusal));
    }
    let _ = explanation.to_string();
    let _ = tertulia_token::issuer_of(text);
    let _ = tertulia_token::decode_unchecked(text);
}
