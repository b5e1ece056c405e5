//! A run that uses every kind of secret there is (`logins.rs`: those of logins, tokens and imports) and logs everything it can: none is in the logs, in an error, or in
//! what is printed twice.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tertulia_client::Client;

use crate::dev::{sourced, tertulia};
use crate::operate::certificate;
use crate::serve::{Serving, outcome, sealed_folder, serve_fails};

mod logins;

/// A run, what it has used and what it has said.
struct Run {
    server: Serving,
    account: (String, String),
    /// The first account's API key.
    key: (String, String),
    service: String,
    secrets: Vec<String>,
    said: String,
}

impl Run {
    fn begin(data: &Path, environment: &[(&str, &str)]) -> Self {
        let config = logins::elsewhere().configure(data);
        let server = Serving::of(data, &["--config", &config], environment);
        let first = server.first();
        let of = |name: &str| first[name].clone();
        let account = (of("TWILIO_ACCOUNT_SID"), of("TWILIO_AUTH_TOKEN"));
        let key = (of("TWILIO_API_KEY"), of("TWILIO_API_SECRET"));
        let run: Value = serde_json::from_str(&fs::read_to_string(data.join("run.json")).unwrap()).unwrap();
        let secrets = vec![account.1.clone(), key.1.clone(), run["operator"].as_str().unwrap().to_owned()];
        let said = server.said.clone();
        let mut run = Self { server, account, key, service: of("TWILIO_CHAT_SERVICE_SID"), secrets, said };
        run.remember_seal_key();
        run
    }

    fn remember_seal_key(&mut self) {
        self.secrets.push(fs::read_to_string(self.server.data.join("seal.key")).unwrap().trim().to_owned());
    }

    fn owner(&self) -> (&str, &str) {
        (&self.account.0, &self.account.1)
    }

    fn post(&self, path: &str, form: &str) -> Value {
        self.server.call(self.owner(), "POST", path, form).1
    }

    /// Keys of both forms and of all kinds: made, used, mistyped, deleted.
    fn keys(&mut self) {
        let account = self.account.0.clone();
        let policy = "%7B%22allow%22%3A%5B%22%2Ftwilio%2Fconversations%2Fservices%2Flist%22%5D%7D";
        let restricted = format!("AccountSid={account}&KeyType=restricted&Policy={policy}");
        let forms = [
            ("/v1/Keys".to_owned(), format!("AccountSid={account}")),
            ("/v1/Keys".to_owned(), restricted),
            (format!("/2010-04-01/Accounts/{account}/Keys.json"), "FriendlyName=x".to_owned()),
        ];
        for (path, form) in forms {
            let key = self.post(&path, &form);
            self.use_up(&key);
        }
        // From the command line, on the terminal and into a file.
        let main = self.server.ask_json(&["key", "create", "main", "--kind", "main", "--account", &account]);
        self.use_up(&main);
        let file = self.server.data.join("key.env");
        let file_name = file.to_str().unwrap();
        let create = ["key", "create", "file", "--account", &account, "--credentials-file", file_name];
        self.said += &self.server.ask(&create).unwrap();
        self.secrets.push(sourced(&file)["TWILIO_API_SECRET"].clone());
    }

    fn use_up(&mut self, key: &Value) {
        let (sid, secret) = (key["sid"].as_str().unwrap(), key["secret"].as_str().unwrap());
        assert_eq!(self.server.get((sid, secret), "/v1/Services"), 200);
        // Allowed to a Main key, refused to all others.
        self.server.get((sid, secret), &format!("/v1/Keys/{sid}"));
        let near = format!("{}-almost", &secret[..20]);
        assert_eq!(self.server.get((sid, &near), "/v1/Services"), 401);
        self.server.call(self.owner(), "POST", &format!("/v1/Keys/{sid}"), "Policy=nonsense");
        self.server.call(self.owner(), "DELETE", &format!("/v1/Keys/{sid}"), "");
        assert_eq!(self.server.get((sid, secret), "/v1/Services"), 401);
        self.secrets.extend([secret.to_owned(), near]);
    }

    /// Accounts and their auth tokens: made, changed, suspended, shown.
    fn accounts(&mut self) {
        let sub = self.post("/2010-04-01/Accounts.json", "FriendlyName=sub");
        let (sub, token) = (sub["sid"].as_str().unwrap(), sub["auth_token"].as_str().unwrap());
        let secondary = |token| self.server.call((sub, token), "POST", "/v1/AuthTokens/Secondary", "").1;
        let second = secondary(token)["secondary_auth_token"].as_str().unwrap().to_owned();
        self.server.call((sub, &second), "POST", "/v1/AuthTokens/Promote", "");
        let third = secondary(&second)["secondary_auth_token"].as_str().unwrap().to_owned();
        self.post(&format!("/2010-04-01/Accounts/{sub}.json"), "Status=suspended");
        assert_eq!(self.server.get((sub, &second), "/v1/Services"), 401);
        self.server.call(self.owner(), "GET", "/2010-04-01/Accounts.json", "");
        let shop = self.server.ask_json(&["account", "create", "shop"]);
        self.secrets.extend([token, shop["auth_token"].as_str().unwrap()].map(str::to_owned));
        self.secrets.extend([second, third]);
        self.said += &self.server.ask(&["account", "list"]).unwrap();
        self.said += &self.server.ask(&["account", "show", sub, "-o", "json"]).unwrap();
        self.said += &self.server.ask(&["key", "list", "--account", &self.account.0]).unwrap();
        self.said += &self.server.ask(&["account", "show", "AC1"]).unwrap_err();
    }

    /// The operator's credential and the seal keys: right, wrong, changed.
    fn operator(&mut self) {
        let near = "an-operator-credential-that-is-not".to_owned();
        assert_eq!(self.server.get(("operator", &near), "/tertulia/v1/Accounts"), 401);
        self.secrets.push(near);
        self.said += &self.server.ask(&["seal", "rotate"]).unwrap();
        self.remember_seal_key();
        let file = self.server.data.join("seal.key");
        let right = fs::read_to_string(&file).unwrap();
        let wrong = "0123456789abcdef".repeat(3);
        fs::write(&file, &wrong).unwrap();
        self.said += &self.server.ask(&["seal", "rotate", "--keep-file"]).unwrap_err();
        self.said += &self.server.ask(&["seal", "rotate"]).unwrap_err();
        self.secrets.push(wrong);
        fs::write(&file, right).unwrap();
    }

    /// Somebody comes in with a token, and somebody with one of a wrong secret does not.
    fn tokens(&mut self) {
        let uri = format!("{}/v3/wsconnect", self.server.url.replace("http", "ws"));
        let token = |secret: &str| {
            let mut mint = tertulia(&["token", "mint", "--identity", "ana", "--account-sid", &self.account.0]);
            mint.args(["--key-sid", &self.key.0, "--chat-service-sid", &self.service]);
            outcome(mint.env("TWILIO_API_SECRET", secret)).unwrap().trim().to_owned()
        };
        let (good, bad) = (token(&self.key.1), token("another-secret-that-is-long-enough"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Client::connect(&uri, good.clone()).await.unwrap().close().await;
            Client::connect(&uri, bad.clone()).await.unwrap_err();
        });
        self.secrets.extend([good, bad].map(|token| token.rsplit('.').next().unwrap().to_owned()));
    }
}

fn holds_none(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(secret.len() >= 20, "{secret}");
        assert!(!text.contains(secret.as_str()), "the {what} holds {secret}:\n{text}");
        let encoded = STANDARD.encode(secret);
        assert!(!text.contains(&encoded[..encoded.len() - 4]), "the {what} holds {secret} in base64");
        // As bytes, which is how a parameter of a statement would show itself.
        let bytes = format!("{:?}", &secret.as_bytes()[..20]);
        assert!(!text.contains(bytes.trim_matches(['[', ']'])), "the {what} holds {secret} as bytes");
    }
}

/// A full run; what it has used.
fn full_run(data: &Path, environment: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut run = Run::begin(data, environment);
    run.keys();
    run.accounts();
    run.operator();
    run.tokens();
    run.logins();
    run.minted();
    run.import();
    let log = run.server.end();
    for operation in ["CreateNewKey", "CreateSealRotation", "EndLogin", "CreateImport"] {
        assert!(log.contains(operation), "the log is of this run: {operation}");
    }
    holds_none("log", &log, &run.secrets);
    holds_none("command line", &run.said, &run.secrets);
    (run.secrets, run.said)
}

#[test]
fn no_secret_of_a_full_run_is_in_its_logs_or_errors() {
    for format in ["json", "text"] {
        let (_folder, data) = sealed_folder();
        let environment = [("TERTULIA__LOG__LEVEL", "trace"), ("TERTULIA__LOG__FORMAT", format)];
        let (secrets, _) = full_run(&data, &environment);
        // A sealed value that was moved: the server cannot open it, says so once, and shows nothing of it.
        let database = rusqlite::Connection::open(data.join("tertulia.db")).unwrap();
        // Of all accounts: the start tries one value of each key.
        let moved = "UPDATE accounts SET auth_token = (SELECT secret FROM keys LIMIT 1)";
        assert_eq!(database.execute(moved, []).unwrap(), 4);
        drop(database);
        let sentence = serve_fails(&data, &environment);
        assert!(sentence.contains("does not open"), "{sentence}");
        holds_none("sentence", &sentence, &secrets);
    }
}

#[test]
fn no_secret_of_a_full_run_on_postgres_is_in_its_logs_or_errors() {
    let name = "no_secret_of_a_full_run_on_postgres_is_in_its_logs_or_errors";
    let Some(url) = testkit::fresh_database(name) else { return };
    let (_folder, data) = sealed_folder();
    let engine = [("TERTULIA__STORE__ENGINE", "postgres"), ("TERTULIA__LOG__LEVEL", "trace")];
    let (secrets, _) = full_run(&data, &[engine[0], engine[1], ("TERTULIA__STORE__URL", &url)]);
    let wrong =
        serve_fails(&data, &[engine[0], ("TERTULIA__STORE__URL", &url), ("TERTULIA_SEAL_KEY", &"ab".repeat(32))]);
    assert!(wrong.contains("was sealed with key"), "{wrong}");
    holds_none("sentence", &wrong, &secrets);
    // The database's own password, when it cannot be reached and when its address cannot be read.
    let password = "the-password-of-a-database".to_owned();
    for broken in
        ["postgres://ana:PASSWORD@127.0.0.1:1/chat", "postgres//ana:PASSWORD@chat", "postgres://ana:PASSWORD@["]
    {
        let broken = broken.replace("PASSWORD", &password);
        let sentence = serve_fails(&data, &[engine[0], engine[1], ("TERTULIA__STORE__URL", &broken)]);
        holds_none("sentence", &sentence, std::slice::from_ref(&password));
    }
}

/// The key of a certificate, in a server that uses it and in one that cannot.
#[test]
fn no_private_key_of_tls_is_in_logs_or_errors() {
    let (folder, data) = sealed_folder();
    let (certificate_file, key_file) = certificate(folder.path());
    let environment = |certificate: &str, key: &str| {
        [("LOG__LEVEL", "trace"), ("TLS__CERTIFICATE", certificate), ("TLS__KEY", key)]
            .map(|(name, value)| (format!("TERTULIA__{name}"), value.to_owned()))
    };
    let text = fs::read_to_string(&key_file).unwrap();
    let mut secrets: Vec<String> = text.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned).collect();
    // Decoded, as bytes of a debug output: of a P-256 key in PKCS #8 these are the number itself.
    let der = STANDARD.decode(secrets.concat()).unwrap();
    secrets.push(format!("{:?}", &der[36..68]).trim_matches(['[', ']']).to_owned());
    let hex = der[36..68].iter().map(|byte| format!("{byte:02x}")).collect();
    secrets.push(hex);
    secrets.retain(|secret| secret.len() >= 20);
    let refused = |certificate: &str, key: &str| {
        let environment = environment(certificate, key);
        let environment = environment.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        serve_fails(&data, &environment)
    };
    // A wrong file in each place, a key that does not fit, and one that is cut.
    let (other_folder, _) = sealed_folder();
    let (other, _) = certificate(other_folder.path());
    let cut = folder.join("cut.pem");
    fs::write(&cut, &text[..text.len() - 60]).unwrap();
    let files = [(&key_file, &certificate_file), (&other, &key_file), (&certificate_file, &cut.display().to_string())];
    let mut said = files.map(|(certificate, key)| refused(certificate, key)).concat();
    let environment = environment(&certificate_file, &key_file);
    let environment = environment.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
    let server = Serving::with(&data, &environment);
    said += &server.ask(&["account", "list"]).unwrap();
    said += &server.ask(&["account", "list", "--ca", &key_file]).unwrap_or_else(|error| error);
    holds_none("log", &server.end(), &secrets);
    holds_none("command line", &said, &secrets);
}
