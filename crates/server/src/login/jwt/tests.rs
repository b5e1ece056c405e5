use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::*;

/// The first key of RFC 8032, section 7.1; the prefix is PKCS #8's.
const SIGNER: [u8; 48] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
    \x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
    \x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const NOW: i64 = 1_700_000_000;

fn config() -> OidcConfig {
    let text = r#"{"name": "company", "issuer": "https://a.example", "audience": ["chat"], "algorithms": ["EdDSA"]}"#;
    serde_json::from_str(text).unwrap()
}

fn keys() -> ProviderKeys {
    let text = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": PUBLIC}]}).to_string();
    ProviderKeys::read(text.as_bytes()).unwrap()
}

fn proved(header: &Value, claims: &Value) -> Result<Value, Finding> {
    let (config, token) = (config(), signed(header, claims));
    let unproved = Unproved::read(&token, &config).map_err(|unread| match unread {
        Unread::Foreign(finding) | Unread::Refused(finding) => finding,
    })?;
    unproved.prove(&keys(), &config.audience, Timestamp::from_seconds(NOW))
}

fn signed(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_ed_der(&SIGNER);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
    format!("{signed}.{signature}")
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({"iss": "https://a.example", "aud": "chat", "sub": "7", "exp": NOW + 60});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn logout(more: &Value) -> Result<Logout, String> {
    let mut all = claims(&json!({"iat": NOW, "jti": "j", "events": {LOGOUT_EVENT: {}}}));
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let claims = proved(&json!({"alg": "EdDSA"}), &all).map_err(|finding| finding.to_string())?;
    Logout::read(&claims, &config()).map_err(str::to_owned)
}

#[test]
fn a_header_with_critical_extensions_is_refused() {
    let claims = claims(&json!({}));
    assert!(proved(&json!({"alg": "EdDSA", "kid": "k"}), &claims).is_ok());
    assert!(proved(&json!({"alg": "EdDSA", "kid": "another"}), &claims).is_err());
    for crit in [json!(["b64"]), json!([])] {
        let header = json!({"alg": "EdDSA", "crit": crit, "b64": false});
        assert_eq!(proved(&header, &claims).unwrap_err().check, Check::Critical);
    }
}

#[test]
fn a_logout_token_logs_nobody_in() {
    let claims = claims(&json!({"events": {LOGOUT_EVENT: {}}}));
    let claims = proved(&json!({"alg": "EdDSA"}), &claims).unwrap();
    assert!(login(claims, &config()).unwrap_err().to_string().contains("logout token"));
}

#[test]
fn a_refusal_names_the_check_with_what_was_found_and_expected() {
    let good = claims(&json!({}));
    let head = |more: &Value| {
        let mut head = json!({"alg": "EdDSA", "kid": "k"});
        head.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        head
    };
    let stored = json!("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl");
    for (header, changed, check, found, expected) in [
        (
            json!({}),
            json!({"iss": "https://b.example"}),
            Check::Issuer,
            "\"https://b.example\"",
            "\"https://a.example\"",
        ),
        (json!({}), json!({"iss": null}), Check::Issuer, "null", "\"https://a.example\""),
        (json!({}), json!({"iss": stored}), Check::Issuer, "\"(a credential, left out)\"", "\"https://a.example\""),
        (json!({"alg": "HS256"}), json!({}), Check::Algorithm, "\"HS256\"", "EdDSA"),
        (json!({"alg": "none"}), json!({}), Check::Algorithm, "\"none\"", "EdDSA"),
        (json!({"kid": "x"}), json!({}), Check::KeyId, "\"x\"", "one of the 1 that the provider publishes: k"),
        (json!({}), json!({"aud": ["a", "b"]}), Check::Audience, "[\"a\",\"b\"]", "\"chat\""),
        (json!({}), json!({"exp": NOW - 31}), Check::Expiry, "1699999969", "over 1700000000 less 30 (leeway_seconds)"),
        (json!({}), json!({"exp": "soon"}), Check::Expiry, "\"soon\"", "seconds since 1970"),
        (
            json!({}),
            json!({"nbf": NOW + 31}),
            Check::NotBefore,
            "1700000031",
            "at most 1700000000 and 30 (leeway_seconds)",
        ),
    ] {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let finding = proved(&head(&header), &all).unwrap_err();
        assert_eq!((finding.check, &*finding.found, &*finding.expected), (check, found, expected), "{changed}");
    }
    let mut without = good;
    without.as_object_mut().unwrap().remove("aud");
    let finding = proved(&head(&json!({})), &without).unwrap_err();
    assert_eq!((finding.check, &*finding.found, &*finding.expected), (Check::Audience, "none", "\"chat\""));
}

#[test]
fn an_issuer_that_differs_in_a_slash_is_said_to() {
    let finding = proved(&json!({"alg": "EdDSA"}), &claims(&json!({"iss": "https://a.example/"}))).unwrap_err();
    assert!(finding.hint.unwrap().contains("slash"));
}

#[test]
fn a_signature_by_another_key_is_called_that() {
    let token = signed(&json!({"alg": "EdDSA", "kid": "k"}), &claims(&json!({})));
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
    let config = config();
    let Ok(unproved) = Unproved::read(&forged, &config) else { panic!("the header is good") };
    let finding = unproved.prove(&keys(), &config.audience, Timestamp::from_seconds(NOW)).unwrap_err();
    assert_eq!((finding.check, &*finding.found), (Check::Signature, "one that the provider's key \"k\" did not make"));
}

#[test]
fn a_token_that_is_bound_to_its_sender_logs_nobody_in() {
    for (bound, found) in [
        (json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}), "cnf.jkt"),
        (json!({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}), "cnf.x5t#S256"),
        (json!({"cnf": [{"jkt": "x"}]}), "cnf.jkt"),
        (json!({"cnf": {"keys": [{"x5t#S256": "x"}]}}), "cnf.x5t#S256"),
        (json!({"cnf": {"jwk": {"kty": "OKP"}}}), "cnf"),
        (json!({"cnf": {"kid": "x"}}), "cnf"),
        (json!({"cnf": "x"}), "cnf"),
        (json!({"cnf.jkt": "x"}), "cnf.jkt"),
        (json!({"act": {"sub": "8", "cnf": {"jkt": "x"}}}), "cnf.jkt"),
        (json!({"tokens": [{"cnf": [{"jkt": "x"}]}]}), "cnf.jkt"),
    ] {
        let claims = proved(&json!({"alg": "EdDSA"}), &claims(&bound)).unwrap();
        let finding = login(claims, &config()).unwrap_err();
        assert_eq!((finding.check, &*finding.found), (Check::SenderBound, found), "{bound}");
        assert!(finding.to_string().contains("nobody checks the sender's proof yet"), "{finding}");
    }
    let plain = proved(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &claims(&json!({"cnf": null}))).unwrap();
    assert!(login(plain, &config()).is_ok());
    for kind in ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt"] {
        let finding = proved(&json!({"alg": "EdDSA", "typ": kind}), &claims(&json!({}))).unwrap_err();
        assert_eq!(finding.check, Check::TokenType, "{kind}");
        assert!(finding.to_string().contains("bound to its sender"), "{finding}");
    }
}

#[test]
fn what_is_no_jwt_is_called_what_it_is() {
    let config = config();
    for (token, kind) in [
        ("", "an empty text"),
        ("tt_0123456789abcdef_x", "an API token (tt_…)"),
        ("a.b.c.d.e", "an encrypted JWT (five parts)"),
        ("a.b.c", "three parts that are not those of a JWT"),
        ("0d3f4c", "an opaque text that is no JWT"),
    ] {
        let Err(Unread::Foreign(finding)) = Unproved::read(token, &config) else { panic!("{token} is one") };
        assert_eq!((finding.check, &*finding.found, &*finding.expected), (Check::TokenKind, kind, "a JWT"));
    }
}

#[test]
fn a_logout_token_counts_once_whatever_its_end_looks_like() {
    let at = |second: i64| Timestamp::from_seconds(NOW + second);
    for end in [json!(NOW + 60), json!(1_700_000_059.5), json!(i64::MAX), json!(u64::MAX), json!(1e19)] {
        let logout = logout(&json!({"exp": end})).unwrap();
        let mut taken = Taken::default();
        assert!(!taken.has(&logout, at(0)));
        taken.remember(&logout, at(0));
        // The clocks may differ by 30 seconds.
        assert!(taken.has(&logout, at(89)), "{end}");
        if NOW + 60 == end {
            assert!(!taken.has(&logout, at(90)), "{end}");
        }
    }
}

#[test]
fn a_logout_names_a_session_that_can_be_one() {
    assert_eq!(logout(&json!({"sid": "s"})).unwrap().sid.as_deref(), Some("s"));
    for sid in [":7".to_owned(), "s".repeat(250)] {
        assert!(logout(&json!({"sid": sid})).unwrap_err().contains("sid"));
    }
}

#[test]
fn so_many_keys_count_and_no_more() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": PUBLIC});
    let text = json!({"keys": vec![key; KEYS_MAX + 1]}).to_string();
    assert_eq!(ProviderKeys::read(text.as_bytes()).unwrap().count(), KEYS_MAX);
}

#[test]
fn discovery_leads_to_a_safe_place() {
    let url = |issuer: &str, keys: &str| {
        keys_url(issuer, json!({"issuer": issuer, "jwks_uri": keys}).to_string().as_bytes()).is_ok()
    };
    assert!(url("https://a.example", "https://keys.example/k"));
    assert!(url("http://127.0.0.1:1/realm", "http://127.0.0.1:2/k"));
    for elsewhere in
        ["http://a.example/k", "https://a.example@evil.example/k", "/k", "https:/k", "https://:/k", "file:///k", ""]
    {
        assert!(!url("https://a.example", elsewhere), "{elsewhere}");
    }
    assert!(!url("http://127.0.0.1:1", "http://ana@127.0.0.1/k") && !url("http://127.0.0.1:1", "http://127.0.0.2/k"));
}
