//! An identity provider's keys over HTTP: how long they count, and how many.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::login::given;
use super::tokens::claims;
use crate::support::{Answer, World};

/// The first key of RFC 8032, section 7.1; the prefix is PKCS #8's.
const SIGNER: [u8; 48] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
    \x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
    \x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// The second one; nobody signs with it here.
const ANOTHER: &str = "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw";

/// A provider that answers discovery and gives the keys that it has just now.
struct Provider {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Value>>>,
}

fn key(kid: &str, public: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": public})
}

impl Provider {
    fn start(keys: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, keys) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(keys)));
        let now = Arc::clone(&keys);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let body = if head.starts_with(b"GET /.well-known/openid-configuration ") {
                    json!({"issuer": format!("http://{address}"), "jwks_uri": format!("http://{address}/keys")})
                } else {
                    json!({"keys": *now.lock().unwrap()})
                };
                let body = body.to_string();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { address, keys }
    }

    fn now_has(&self, keys: Vec<Value>) {
        *self.keys.lock().unwrap() = keys;
    }

    /// A server that takes this provider's logins, with what documentation says of the rest.
    fn world(&self) -> World {
        World::sqlite_with(given(&format!(
            "[[sources]]\nname = \"company\"\nkind = \"oidc\"\nissuer = \"http://{}\"\naudience = [\"chat\"]\n\
             algorithms = [\"EdDSA\"]\n",
            self.address
        )))
    }

    /// Asks for a token with a login of this moment, signed with the key `k`.
    fn login(&self, world: &World) -> Answer {
        self.login_of(world, &json!({"sub": "7"}))
    }

    fn login_of(&self, world: &World, claims: &Value) -> Answer {
        world.stranger.with("Authorization", &format!("Bearer {}", self.jwt(world, claims))).post("/token", &[])
    }

    /// Tells of a logout.
    fn logout(&self, world: &World, claims: &Value) -> Answer {
        let mut claims = claims.clone();
        claims["iat"] = world.seconds().into();
        claims["events"] = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        world.stranger.post("/token/logout", &[("logout_token", &self.jwt(world, &claims))])
    }

    /// A JWT of this moment, signed with the key `k`.
    fn jwt(&self, world: &World, more: &Value) -> String {
        let mut claims = json!({"iss": format!("http://{}", self.address), "aud": "chat", "exp": world.seconds() + 60});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": "k"})), part(&claims));
        let key = jsonwebtoken::EncodingKey::from_ed_der(&SIGNER);
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
        format!("{signed}.{signature}")
    }
}

#[test]
fn a_key_that_the_provider_withdrew_counts_for_an_hour_and_no_longer() {
    let provider = Provider::start(vec![key("k", PUBLIC)]);
    let world = provider.world();
    assert_eq!(provider.login(&world).is(200)["identity"], "7");
    provider.now_has(vec![key("another", ANOTHER)]);
    world.pass(3599);
    provider.login(&world).is(200);
    world.pass(1);
    provider.login(&world).refuses(401, 20003);
    // It comes back: unknown keys are looked for again, though not at once.
    provider.now_has(vec![key("k", PUBLIC)]);
    world.pass(10);
    provider.login(&world).is(200);
}

#[test]
fn the_first_hundred_keys_of_a_provider_count() {
    for (before, status) in [(99, 200), (100, 401)] {
        let mut keys = vec![key("another", ANOTHER); before];
        keys.push(key("k", PUBLIC));
        let provider = Provider::start(keys);
        let answer = provider.login(&provider.world());
        assert_eq!(answer.status, status, "after {before} others: {}", answer.text);
    }
}

#[test]
fn subjects_and_sessions_of_a_provider_may_be_numbers() {
    let provider = Provider::start(vec![key("k", PUBLIC)]);
    let world = provider.world();
    let log_in = |sid: Value| provider.login_of(&world, &json!({"sub": 7, "sid": sid, "iat": world.seconds()}));
    let minted = log_in(4711.into()).is(200);
    assert_eq!((&minted["identity"], &claims(&minted["token"])["session"]), (&"7".into(), &"company:4711".into()));
    provider.logout(&world, &json!({"sid": 4711, "jti": 1})).is(200);
    log_in(4711.into()).refuses(401, 20003);
    log_in("4711".into()).refuses(401, 20003);
    log_in(4712.into()).is(200);
    provider.logout(&world, &json!({"sid": 4712, "jti": 1})).refuses_as_a_logout("refused for its logout token");
    provider.logout(&world, &json!({"sub": 7, "jti": 2})).is(200);
    log_in(4712.into()).refuses(401, 20003);
}

#[test]
fn a_logout_counts_while_the_account_is_suspended() {
    let provider = Provider::start(vec![key("k", PUBLIC)]);
    let world = provider.world();
    let status = |status: &str| {
        world.operator.post(&format!("/tertulia/v1/Accounts/{}", world.account), &[("Status", status)]).is(200);
    };
    let log_in = || provider.login_of(&world, &json!({"sub": "7", "sid": "s"}));
    log_in().is(200);
    status("suspended");
    log_in().refuses(403, 20403);
    provider.logout(&world, &json!({"sid": "s", "jti": "j"})).is(200);
    status("active");
    log_in().refuses(401, 20003);
}

impl Answer {
    #[track_caller]
    fn refuses_as_a_logout(self, why: &str) {
        assert_eq!(self.status, 400, "{}", self.text);
        assert!(self.text.contains(why), "{}", self.text);
    }
}
