//! What an identity provider writes, and whoever claims to be one: JWTs of logins and logouts, and documents.
//!
//! The targets sign what they are given, so that what comes after the signature is reached; and whatever was not
//! signed must be refused.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};
use sha2::Sha256;
use tertulia_protocol::Timestamp;
use tertulia_server::login::config::OidcConfig;
use tertulia_server::login::jwt::{
    self, KEYS_MAX, LOGOUT_EVENT, Logout, ProviderKeys, TOKEN_BYTES_MAX, Taken, Unproved,
};
use tertulia_server::login::policy;
use tertulia_server::platform::Form;

/// The first key of RFC 8032, section 7.1, whose signatures need no chance; the prefix is PKCS #8's.
const SIGNER: [u8; 48] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
    \x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
    \x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const KID: &str = "k";
const ISSUER: &str = "https://login.example.com";
const LEEWAY: i64 = 30;
const HEADER: &[u8] = br#"{"alg":"EdDSA"}"#;
/// Every algorithm that can be pinned.
const ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

static CONFIG: LazyLock<OidcConfig> = LazyLock::new(|| config(&["EdDSA"]));
static OTHERS: LazyLock<OidcConfig> = LazyLock::new(|| config(&ALGORITHMS[..8]));
static ALL: LazyLock<OidcConfig> = LazyLock::new(|| config(&ALGORITHMS));
/// The signer's key between others: one to encrypt with, a symmetric one, and one of another family.
static KEYS: LazyLock<ProviderKeys> = LazyLock::new(|| read(include_bytes!("../seeds/provider/keys")));
/// The same without the signer's.
static STRANGERS: LazyLock<ProviderKeys> = LazyLock::new(|| read(include_bytes!("../seeds/provider/strangers")));

fn config(algorithms: &[&str]) -> OidcConfig {
    let config = json!({"name": "company", "issuer": ISSUER, "audience": ["chat"], "logout_audience": ["web"],
        "algorithms": algorithms, "leeway_seconds": LEEWAY});
    serde_json::from_value(config).expect("a configuration")
}

fn read(keys: &[u8]) -> ProviderKeys {
    ProviderKeys::read(keys).expect("the seeds are key sets")
}

fn now() -> Timestamp {
    Timestamp::from_seconds(crate::NOW)
}

fn message(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn sign(message: &str) -> String {
    let key = EncodingKey::from_ed_der(&SIGNER);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA);
    format!("{message}.{}", signature.expect("Ed25519 signs anything"))
}

fn claims_of(token: &str, config: &OidcConfig, keys: &ProviderKeys, audience: &str, now: Timestamp) -> Option<Value> {
    let unproved = Unproved::read(token, config).ok()?;
    unproved.prove(keys, &[audience.to_owned()], now).ok()
}

/// Header and payload, a line each; without a line's end only the payload, under a good header.
fn lines(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (HEADER, data),
    }
}

/// Checks what must hold of a token that was taken for `audience`.
fn proved(header: &[u8], payload: &[u8], claims: &Value, audience: &str) {
    let header: Value = serde_json::from_slice(header).expect("a header is JSON");
    assert_eq!(header["alg"], "EdDSA", "only a pinned algorithm is taken");
    assert!(header["kid"].is_null() || header["kid"] == KID, "only the named key proves a token");
    assert!(header["crit"].is_null(), "what is critical is not known here");
    assert_eq!(serde_json::from_slice::<Value>(payload).ok().as_ref(), Some(claims), "the claims are those signed");
    assert_eq!(claims["iss"], ISSUER, "another's token");
    let is_for = |value: &Value| value == audience;
    assert!(
        is_for(&claims["aud"]) || claims["aud"].as_array().is_some_and(|list| list.iter().any(is_for)),
        "for whom?"
    );
    let (now, leeway) = (crate::NOW as f64, LEEWAY as f64);
    assert!(claims["exp"].as_f64().expect("an end") > now - leeway, "a dead token");
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().expect("a moment") <= now + leeway), "a token too early");
}

/// Whoever has no key of the provider's proves nothing, by no algorithm.
fn refused_unless_signed(token: &str) {
    for audience in ["chat", "web"] {
        if claims_of(token, &CONFIG, &KEYS, audience, now()).is_some() {
            let (message, _) = token.rsplit_once('.').expect("a token has parts");
            assert_eq!(sign(message), token, "what was not signed was believed");
        }
        assert_eq!(claims_of(token, &OTHERS, &KEYS, audience, now()), None, "an algorithm that is not pinned");
        assert_eq!(claims_of(token, &ALL, &STRANGERS, audience, now()), None, "a stranger's key");
    }
}

/// Somebody's login: a whole token as it comes in, and header and claims that are signed here.
pub fn jwt(data: &[u8]) {
    refused_unless_signed(&String::from_utf8_lossy(data));
    let (header, payload) = lines(data);
    let message = message(header, payload);
    // The public key, and the symmetric one of the set, as a secret.
    for secret in [PUBLIC.as_bytes(), &URL_SAFE_NO_PAD.decode(PUBLIC).expect("base64"), b"a symmetric key"] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length is a key");
        mac.update(message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        assert_eq!(claims_of(&token, &ALL, &KEYS, "chat", now()), None, "a public key is no secret");
    }
    let token = sign(&message);
    refused_unless_signed(&token);
    let Some(claims) = claims_of(&token, &CONFIG, &KEYS, "chat", now()) else { return };
    assert!(token.len() <= TOKEN_BYTES_MAX, "a bound that is none");
    proved(header, payload, &claims, "chat");
    let Ok(login) = jwt::login(claims.clone(), &CONFIG) else { return };
    assert_eq!((login.source.as_str(), &login.facts), ("company", &claims), "facts are the claims");
    assert!(!login.subject.is_empty(), "nobody came in");
    assert_eq!(policy::as_name(&claims["sub"]).as_ref(), Some(&login.subject), "the subject is as it was signed");
    assert!(!claims["events"][LOGOUT_EVENT].is_object(), "a logout token logs nobody in");
    crate::login::named(&login);
}

/// Back-channel logout: the claims of a logout token, signed here.
pub fn logout(data: &[u8]) {
    let (header, payload) = lines(data);
    let token = sign(&message(header, payload));
    let form = Form::parse(format!("logout_token={token}").as_bytes()).expect("a form");
    assert_eq!(form.required("logout_token").ok(), Some(token.as_str()), "a form keeps a token");
    let Some(claims) = claims_of(&token, &CONFIG, &KEYS, "web", now()) else { return };
    proved(header, payload, &claims, "web");
    let Ok(logout) = Logout::read(&claims, &CONFIG) else { return };
    assert!(claims["events"][LOGOUT_EVENT].is_object() && claims["iat"].is_number(), "it is no logout token");
    assert!(claims.get("nonce").is_none(), "a token of a login is no logout token");
    let jti = policy::as_name(&claims["jti"]);
    assert!(jti.is_some_and(|jti| (1..=255).contains(&jti.len())), "it has a name");
    assert!(jwt::login(claims, &CONFIG).is_err(), "a logout token logs nobody in");
    assert!(logout.sid.is_some() || logout.subject.is_some(), "it says who");
    assert_ne!(logout.subject.as_deref(), Some(""), "it says who");
    if let Some(sid) = &logout.sid {
        assert!(policy::session("company", sid).is_some(), "a session that none can be");
    }
    // As long as it would be believed it counts once.
    let mut taken = Taken::default();
    assert!(!taken.has(&logout, now()), "it has not come yet");
    taken.remember(&logout, now());
    for later in [0, 1, 29, 30, 31, 89, 90, 91, 3600, 1 << 32, 1 << 43] {
        let then = Timestamp::from_seconds(crate::NOW + later);
        if claims_of(&token, &CONFIG, &KEYS, "web", then).is_some() {
            assert!(taken.has(&logout, then), "a logout token counts twice");
        }
    }
}

/// What a provider answers: a set of keys, or the document of its discovery.
pub fn provider(data: &[u8]) {
    if let Ok(keys) = ProviderKeys::read(data) {
        assert!(keys.count() <= KEYS_MAX, "a bound that is none");
        key_set(&keys, &serde_json::from_slice(data).expect("a set of keys is JSON"));
    }
    for issuer in [ISSUER, "http://127.0.0.1:8080/realm"] {
        let Ok(url) = jwt::keys_url(issuer, data) else { continue };
        let answer: Value = serde_json::from_slice(data).expect("a document is JSON");
        assert_eq!(answer["issuer"], issuer, "another's document");
        let lower = url.to_ascii_lowercase();
        let is_own = issuer.starts_with("http:")
            && ["/", ":", "?", "#"].iter().any(|end| lower.starts_with(&format!("http://127.0.0.1{end}")));
        let has_host = lower.strip_prefix("https://").is_some_and(|rest| !rest.starts_with(['/', '?', '#', ':']));
        assert!(has_host || is_own || lower == "http://127.0.0.1", "keys that anybody can answer: {url}");
    }
}

fn key_set(keys: &ProviderKeys, answer: &Value) {
    let payload = format!(r#"{{"iss":"{ISSUER}","aud":"chat","sub":"7","exp":{}}}"#, crate::NOW + 60);
    for (header, kid) in [(HEADER, None), (br#"{"alg":"EdDSA","kid":"k"}"#, Some(KID))] {
        if claims_of(&sign(&message(header, payload.as_bytes())), &CONFIG, keys, "chat", now()).is_none() {
            continue;
        }
        let is_signers = |key: &Value| {
            let is = |name: &str, wanted: &str| key[name] == wanted;
            let may = |name: &str, wanted: &str| !key[name].is_string() || is(name, wanted);
            is("kty", "OKP")
                && is("crv", "Ed25519")
                && is("x", PUBLIC)
                && may("use", "sig")
                && may("alg", "EdDSA")
                && kid.is_none_or(|kid| is("kid", kid))
        };
        assert!(answer["keys"].as_array().is_some_and(|list| list.iter().any(is_signers)), "proved by no key");
    }
    // Keys of all kinds, under signatures that are none.
    for algorithm in ALGORITHMS {
        let message = message(format!(r#"{{"alg":"{algorithm}"}}"#).as_bytes(), payload.as_bytes());
        for length in [0, 64, 96, 256] {
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(vec![1; length]));
            assert_eq!(claims_of(&token, &ALL, keys, "chat", now()), None, "a signature that is none");
        }
    }
}
