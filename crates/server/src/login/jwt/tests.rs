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

fn proved(header: &Value, claims: &Value) -> Result<Value, String> {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_ed_der(&SIGNER);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
    let (config, token) = (config(), format!("{signed}.{signature}"));
    let unproved = Unproved::read(&token, &config).unwrap()?;
    unproved.prove(&keys(), &config.audience, Timestamp::from_seconds(NOW))
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({"iss": "https://a.example", "aud": "chat", "sub": "7", "exp": NOW + 60});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn logout(more: &Value) -> Result<Logout, String> {
    let mut all = claims(&json!({"iat": NOW, "jti": "j", "events": {LOGOUT_EVENT: {}}}));
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let claims = proved(&json!({"alg": "EdDSA"}), &all)?;
    Logout::read(&claims, &config()).map_err(str::to_owned)
}

#[test]
fn a_header_with_critical_extensions_is_refused() {
    let claims = claims(&json!({}));
    assert!(proved(&json!({"alg": "EdDSA", "kid": "k"}), &claims).is_ok());
    assert!(proved(&json!({"alg": "EdDSA", "kid": "another"}), &claims).is_err());
    for crit in [json!(["b64"]), json!([])] {
        let header = json!({"alg": "EdDSA", "crit": crit, "b64": false});
        assert!(proved(&header, &claims).unwrap_err().contains("critical"));
    }
}

#[test]
fn a_logout_token_logs_nobody_in() {
    let claims = claims(&json!({"events": {LOGOUT_EVENT: {}}}));
    let claims = proved(&json!({"alg": "EdDSA"}), &claims).unwrap();
    assert!(login(claims, &config()).unwrap_err().contains("logout token"));
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
