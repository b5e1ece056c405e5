//! The secrets of logins: API tokens, sessions of an app, JWTs of a provider, and the tokens that they bring.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

use super::Run;
use crate::dev::tertulia;
use crate::serve::outcome;

const SESSION: &str = "a-session-of-the-app-that-is-good";
const SHOWN: &str = "a-header-for-the-app-that-is-good";

/// An identity provider and an app, at one address.
pub(super) struct Elsewhere {
    address: SocketAddr,
    key: KeyPair,
}

impl Elsewhere {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, key) = (listener.local_addr().unwrap(), KeyPair::generate_for(&PKCS_ED25519).unwrap());
        let point = URL_SAFE_NO_PAD.encode(key.public_key_raw());
        std::thread::spawn(move || {
            let issuer = format!("http://{address}");
            let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": point}]});
            let discovery = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let (status, body) = match head.split(' ').nth(1).unwrap_or_default() {
                    "/.well-known/openid-configuration" => (200, discovery.to_string()),
                    "/keys" => (200, keys.to_string()),
                    "/me" if head.contains(SESSION) || head.contains(SHOWN) => {
                        (200, json!({"identity": "bea"}).to_string())
                    }
                    _ => (401, String::new()),
                };
                let length = body.len();
                let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
            }
        });
        Self { address, key }
    }

    /// A file of the configuration that names both, and API tokens.
    pub(super) fn configure(&self, data: &Path) -> String {
        let address = self.address;
        let sources = format!(
            "[[login.sources]]\nname = \"company\"\nkind = \"oidc\"\nissuer = \"http://{address}\"\naudience = [\"chat\"]\n\
             algorithms = [\"EdDSA\"]\n\
             [[login.sources]]\nname = \"devices\"\nkind = \"api-token\"\n\
             [[login.sources]]\nname = \"site\"\nkind = \"app\"\nurl = \"http://{address}/me\"\n"
        );
        let file = data.join("login.toml");
        std::fs::write(&file, sources).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// A JWT of the provider: its usual claims, and more.
    fn jwt(&self, more: &Value) -> String {
        #[expect(clippy::disallowed_methods, reason = "a server in another process goes by the machine's clock")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let issuer = format!("http://{}", self.address);
        let mut claims = json!({"iss": issuer, "aud": "chat", "sub": "ana", "iat": now, "exp": now + 600});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let mut token = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": "k"})), part(&claims));
        let signature = self.key.sign(token.as_bytes()).unwrap();
        write!(token, ".{}", URL_SAFE_NO_PAD.encode(signature)).unwrap();
        token
    }
}

/// The provider and the app of every run: they keep nothing.
pub(super) fn elsewhere() -> &'static Elsewhere {
    static ELSEWHERE: OnceLock<Elsewhere> = OnceLock::new();
    ELSEWHERE.get_or_init(Elsewhere::start)
}

/// The same with another signature.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", signature.chars().rev().collect::<String>())
}

impl Run {
    /// What a POST is answered that shows something in a header, and whether that was let in.
    fn shows(&self, path: &str, header: &str, form: &str) -> (u16, Value) {
        let host = self.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n{kind}\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{form}", form.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (answer[9..12].parse().unwrap(), body)
    }

    /// A token is secret by its signature; what else is in it, its owner is told anyhow.
    fn remember_token(&mut self, token: &str) {
        self.secrets.push(token.rsplit('.').next().unwrap().to_owned());
    }

    /// Shows something to the token endpoint; what that mints, if it does.
    fn log_in(&mut self, header: &str, status: u16) -> Option<String> {
        let (found, body) = self.shows("/token", header, "");
        assert_eq!(found, status, "{header}: {body}");
        let token = body["token"].as_str()?.to_owned();
        self.remember_token(&token);
        Some(token)
    }

    /// Everybody who can come in does, and everybody who cannot tries.
    pub(super) fn logins(&mut self) {
        let made = self.post("/tertulia/v1/ApiTokens", "Subject=device");
        let api_token = made["token"].as_str().unwrap().to_owned();
        let asked = self.server.ask_json(&["api-token", "create", "--subject", "other", "--account", &self.account.0]);
        let other = asked["token"].as_str().unwrap().to_owned();
        self.said += &self.server.ask(&["api-token", "list", "--account", &self.account.0]).unwrap();
        let near = format!("{}almost", &api_token[..api_token.len() - 6]);
        self.log_in(&format!("Authorization: Bearer {api_token}"), 200);
        self.log_in(&format!("Authorization: Bearer {other}"), 200);
        self.log_in(&format!("Authorization: Bearer {near}"), 401);
        self.server.call(
            self.owner(),
            "DELETE",
            &format!("/tertulia/v1/ApiTokens/{}", made["id"].as_str().unwrap()),
            "",
        );
        self.log_in(&format!("Authorization: Bearer {api_token}"), 401);
        self.secrets.extend([api_token, other, near]);

        let wrong = "a-session-of-the-app-that-is-none";
        self.log_in(&format!("Cookie: s={SESSION}"), 200);
        self.log_in(&format!("Cookie: s={wrong}"), 401);
        self.log_in(&format!("Authorization: Custom {SHOWN}"), 200);
        self.log_in("Authorization: Custom a-header-that-the-app-does-not-know", 401);
        let headers = [SESSION, wrong, SHOWN, "a-header-that-the-app-does-not-know"];
        self.secrets.extend(headers.map(str::to_owned));

        let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        let provider = elsewhere();
        let good = provider.jwt(&json!({"sid": "s1"}));
        let late = provider.jwt(&json!({"exp": 1_000_000_000}));
        let foreign = provider.jwt(&json!({"aud": "another"}));
        let strange = provider.jwt(&json!({"iss": "https://nobody.example"}));
        let logout = provider.jwt(&json!({"sid": "s1", "jti": "j", "events": event}));
        self.log_in(&format!("Authorization: Bearer {good}"), 200);
        for refused in [&late, &foreign, &strange, &forged(&good), &logout] {
            self.log_in(&format!("Authorization: Bearer {refused}"), 401);
            self.remember_token(refused);
        }
        // Taken once; again, forged, of a login, of nobody that is known: refused.
        for (token, status) in [(&logout, 200), (&logout, 400), (&forged(&logout), 400), (&good, 400), (&strange, 400)]
        {
            let (found, body) = self.shows("/token/logout", "X: y", &format!("logout_token={token}"));
            assert_eq!(found, status, "{body}");
            self.remember_token(token);
        }
        self.log_in(&format!("Authorization: Bearer {good}"), 401);
        self.remember_token(&good);
    }

    /// Tokens that are minted here, looked at and ended; and the key that signs them, once its secret is known.
    pub(super) fn minted(&mut self) {
        let signed_by = |token: &str| {
            let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice::<Value>(&claims).unwrap()["iss"].as_str().unwrap().to_owned()
        };
        let mint = |run: &mut Self| {
            let minted = run.post("/tertulia/v1/Tokens", "Identity=cleo");
            let token = minted["token"].as_str().unwrap().to_owned();
            run.remember_token(&token);
            token
        };
        let first = mint(self);
        let account = self.account.0.clone();
        let signer = self.server.ask_json(&["key", "rotate", &signed_by(&first), "--no-wait", "--account", &account]);
        let (signer, secret) = (signer["sid"].as_str().unwrap(), signer["secret"].as_str().unwrap());
        let second = mint(self);
        assert_eq!(signed_by(&second), signer);
        self.secrets.push(secret.to_owned());
        self.log_in(&format!("Cookie: s={SESSION}"), 200).unwrap();
        let junk = "what-is-no-token-but-secret-all-the-same".to_owned();
        let broken = [forged(&first), forged(&second), junk.clone(), format!("{}.x", junk)];
        self.secrets.push(junk);
        for token in [&first, &second].into_iter().chain(&broken) {
            if token.matches('.').count() == 2 {
                self.remember_token(token);
            }
            for path in ["Tokens/Introspect", "Tokens/Explain", "Revocations"] {
                self.post(&format!("/tertulia/v1/{path}"), &format!("Token={token}"));
                self.server.call(("AC1", "x"), "POST", &format!("/tertulia/v1/{path}"), &format!("Token={token}"));
            }
            let file = self.server.data.join("one.token");
            std::fs::write(&file, token).unwrap();
            for what in ["introspect", "explain"] {
                let told =
                    self.server.ask(&["audit", what, "--token-file", file.to_str().unwrap(), "--account", &account]);
                self.said += &told.unwrap_or_else(|error| error);
            }
            let told = self.server.ask(&[
                "revocation",
                "create",
                "--token-file",
                file.to_str().unwrap(),
                "--account",
                &account,
            ]);
            self.said += &told.unwrap_or_else(|error| error);
        }
        self.said += &self.server.ask(&["audit", "export", "--account", &account]).unwrap();
    }

    /// A world with secrets in it, right and wrong in each of its places.
    pub(super) fn import(&mut self) {
        let (token, secret) = ("fedcbafedcbafedcbafedcbafedcba12", "a-secret-that-comes-from-elsewhere");
        let (account, key) = ("AC22222222222222222222222222222222", "SK22222222222222222222222222222222");
        let world = json!({
            "accounts": [{"sid": account, "friendly_name": "Moved", "auth_token": token}],
            "keys": [{"sid": key, "account_sid": account, "secret": secret}],
        });
        let file = self.server.data.join("world.json");
        let mut bring = |world: &str| {
            std::fs::write(&file, world).unwrap();
            let told = outcome(
                tertulia(&["import", file.to_str().unwrap()]).args(["--data", self.server.data.to_str().unwrap()]),
            );
            self.said += told.as_ref().unwrap_or_else(|error| error);
            told.is_ok()
        };
        let text = world.to_string();
        assert!(bring(&text) && bring(&text), "once, and again");
        let with = |path: &str, value: Value| {
            let mut world = world.clone();
            *world.pointer_mut(path).unwrap() = value;
            world.to_string()
        };
        let wrong = [
            with("/keys", json!(secret)),
            with("/keys", json!([secret])),
            with("/keys/0/secret", json!([secret])),
            with("/keys/0/secret", json!({secret: secret})),
            with("/keys/0/sid", json!(secret)),
            with("/keys/0/account_sid", json!(secret)),
            with("/keys/0", json!({"sid": key, "account_sid": account, "secret": secret, "type": secret})),
            with("/keys/0", json!({"sid": key, "account_sid": account, "secret": secret, "allow": secret})),
            with("/keys/0", json!({"sid": key, "account_sid": account, "secret": secret, "allow": [secret]})),
            with("/keys/0", json!({"sid": key, "account_sid": account, secret: secret})),
            with("/accounts/0/auth_token", json!([token])),
            with("/accounts/0/auth_token", json!(format!("{token}!"))),
            with("/accounts/0/sid", json!(token)),
            with("/accounts/0", json!({"sid": account, "auth_token": token, "status": token})),
            json!(secret).to_string(),
            json!({secret: []}).to_string(),
            text[..text.len() - 1].to_owned(),
        ];
        for wrong in wrong {
            assert!(!bring(&wrong), "{wrong}");
        }
        assert_eq!(self.server.get((account, token), "/v1/Services"), 200);
        assert_eq!(self.server.get((key, secret), "/v1/Services"), 200);
        self.secrets.extend([token, secret].map(str::to_owned));
    }
}
