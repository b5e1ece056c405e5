//! `tertulia serve`, and the command line that manages what runs: accounts, keys, chat services, the seal key.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use testkit::{TempDir, temp_dir};

use crate::dev::{fails, rest, sourced, tertulia};

/// A server that serves, on a folder of its own.
pub(crate) struct Serving {
    child: Child,
    pub(crate) said: String,
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    log: Option<JoinHandle<()>>,
    /// What it has logged so far.
    logged: Arc<Mutex<String>>,
}

impl Serving {
    pub(crate) fn start(data: &Path) -> Self {
        Self::with(data, &[])
    }

    pub(crate) fn with(data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::of(data, &[], environment)
    }

    /// With more arguments.
    pub(crate) fn of(data: &Path, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let serve = ["serve", "--port", "0", "--data", data.to_str().unwrap()];
        let mut command = tertulia(&[&serve, args].concat());
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("Tertulia serves at") {
            assert_ne!(out.read_line(&mut said).unwrap(), 0, "ended early: {}", rest(child.stderr.take()));
        }
        Self::taken(child, said, data)
    }

    /// One that runs already and has said so.
    pub(crate) fn taken(mut child: Child, said: String, data: &Path) -> Self {
        let errors = child.stderr.take();
        let logged = Arc::<Mutex<String>>::default();
        let lines = Arc::clone(&logged);
        let log = Some(std::thread::spawn(move || {
            for line in BufReader::new(errors.unwrap()).lines() {
                *lines.lock().unwrap() += &(line.unwrap() + "\n");
            }
        }));
        let url = said.split("serves at ").nth(1).unwrap().split(". Data").next().unwrap().to_owned();
        Self { child, said, url, data: data.to_owned(), log, logged }
    }

    /// The first account's credentials, as the first start left them.
    pub(crate) fn first(&self) -> BTreeMap<String, String> {
        sourced(&self.data.join("first-account.env"))
    }

    pub(crate) fn call(&self, who: (&str, &str), method: &str, path: &str, form: &str) -> (u16, Value) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let credentials = STANDARD.encode(format!("{}:{}", who.0, who.1));
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (answer[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// What the token endpoint answers to a login that a header tells of.
    pub(crate) fn token_for(&self, header: &str) -> u16 {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!("POST /token HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse().unwrap()
    }

    pub(crate) fn get(&self, who: (&str, &str), path: &str) -> u16 {
        self.call(who, "GET", path, "").0
    }

    /// What a command says to this server.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String, String> {
        outcome(tertulia(args).args(["--data", self.data.to_str().unwrap()]))
    }

    /// The same, as the JSON it printed.
    pub(crate) fn ask_json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ask(&[args, &["-o", "json"]].concat()).unwrap()).unwrap()
    }

    /// Waits until it has logged these words.
    pub(crate) fn logs(&self, words: &str) {
        for _ in 0..3000 {
            if self.logged.lock().unwrap().contains(words) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{words} is not logged within thirty seconds:\n{}", self.logged.lock().unwrap());
    }

    /// Ends it; what it has logged from first to last.
    pub(crate) fn end(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-15", &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.log.take().unwrap().join().unwrap();
        self.logged.lock().unwrap().clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn outcome(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A folder with a key.
pub(crate) fn sealed_folder() -> (TempDir, PathBuf) {
    let folder = temp_dir();
    let data = folder.join("data");
    outcome(&mut tertulia(&["seal", "init", "--data", data.to_str().unwrap()])).unwrap();
    (folder, data)
}

pub(crate) fn serve_fails(data: &Path, environment: &[(&str, &str)]) -> String {
    let mut command = tertulia(&["serve", "--port", "0", "--data", data.to_str().unwrap()]);
    fails(command.envs(environment.iter().copied())).1
}

#[cfg(unix)]
fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077 == 0
}

#[test]
fn without_a_seal_key_it_does_not_start_and_says_what_to_do() {
    let folder = temp_dir();
    let data = folder.join("data");
    let sentence = serve_fails(&data, &[]);
    assert!(sentence.contains("tertulia seal init") && sentence.contains("TERTULIA_SEAL_KEY"), "{sentence}");
    assert!(!data.exists(), "nothing is made before there is a key");
    let sentence = serve_fails(&data, &[("TERTULIA_SEAL_KEY", "short")]);
    assert!(sentence.contains("64 hexadecimal digits") && !sentence.contains("short"), "{sentence}");
    let (_again, again) = sealed_folder();
    let again = tertulia(&["seal", "init", "--data", again.to_str().unwrap()]).output().unwrap();
    assert!(!again.status.success() && String::from_utf8(again.stderr).unwrap().contains("seal rotate"));
}

#[test]
fn the_first_start_hands_one_account_over_and_the_second_none() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    let first = server.first();
    let (account, token) = (first["TWILIO_ACCOUNT_SID"].clone(), first["TWILIO_AUTH_TOKEN"].clone());
    let file = data.join("first-account.env");
    assert!(server.said.contains("first-account.env") && !server.said.contains(&token), "{}", server.said);
    #[cfg(unix)]
    for private in [&file, &data.join("run.json"), &data.join("seal.key"), &data] {
        assert!(is_private(private), "{}", private.display());
    }
    assert_eq!(server.get((&account, &token), "/v1/Conversations"), 200);
    assert_eq!(server.get((&first["TWILIO_API_KEY"], &first["TWILIO_API_SECRET"]), "/v1/Services"), 200);
    let service = format!("/v1/Services/{}", first["TWILIO_CHAT_SERVICE_SID"]);
    assert_eq!(server.get((&account, &token), &service), 200);
    // What everybody knows of dev mode opens nothing, and nothing of dev mode is there.
    let known = ("AC00000000000000000000000000000de0", "de000000000000000000000000000de0");
    assert_eq!(server.get(known, "/v1/Conversations"), 401);
    assert_eq!(server.get((&account, &token), "/tertulia/v1/Clock"), 404);
    assert_eq!(server.get((&account, &token), "/token?identity=ana&password=tertulia"), 404);
    server.end();
    assert!(!data.join("run.json").exists());

    std::fs::remove_file(&file).unwrap();
    let again = Serving::start(&data);
    assert!(!file.exists() && !again.said.contains("first account"), "{}", again.said);
    assert_eq!(again.get((&account, &token), "/v1/Conversations"), 200);
}

#[test]
fn a_wrong_seal_key_is_one_clear_sentence() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    server.end();
    let wrong = "ab".repeat(32);
    let sentence = serve_fails(&data, &[("TERTULIA_SEAL_KEY", &wrong)]);
    assert!(sentence.contains("was sealed with key") && sentence.contains("give the key"), "{sentence}");
    assert!(!sentence.contains(&wrong), "{sentence}");
    // The right one, from the environment, below a new one.
    let right = std::fs::read_to_string(data.join("seal.key")).unwrap();
    let server = Serving::with(&data, &[("TERTULIA_SEAL_KEY", &format!("{wrong}\n{right}"))]);
    assert!(server.ask(&["account", "list"]).unwrap().contains("First account"));
}

#[test]
fn accounts_keys_and_chat_services_are_managed_from_the_command_line() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    // The one account need not be named.
    let key = server.ask_json(&["key", "create", "ci"]);
    let (key, secret) = (key["sid"].as_str().unwrap(), key["secret"].as_str().unwrap());
    assert_eq!(server.get((key, secret), "/v1/Services"), 200);
    assert!(server.ask(&["key", "list"]).unwrap().contains("ci"));
    assert!(!server.ask(&["key", "show", key]).unwrap().contains(secret), "it is shown once");
    server.ask(&["key", "update", key, "--name", "cd"]).unwrap();
    assert_eq!(server.ask_json(&["key", "show", key])["friendly_name"], "cd");

    let permission = "/twilio/conversations/services/list";
    let reader = server.ask_json(&["key", "create", "r", "--kind", "restricted", "--allow", permission]);
    let reader = (reader["sid"].as_str().unwrap(), reader["secret"].as_str().unwrap());
    assert_eq!((server.get(reader, "/v1/Services"), server.get(reader, "/v1/Roles")), (200, 401));
    server.ask(&["key", "update", reader.0, "--allow", "/twilio/conversations/roles/list"]).unwrap();
    assert_eq!((server.get(reader, "/v1/Services"), server.get(reader, "/v1/Roles")), (401, 200));
    assert!(server.ask(&["key", "create", "--kind", "restricted"]).unwrap_err().contains("--allow"));
    server.ask(&["key", "delete", key]).unwrap();
    assert_eq!(server.get((key, secret), "/v1/Services"), 401);

    let service = server.ask_json(&["service", "create", "second"]);
    let service = service["sid"].as_str().unwrap();
    assert_eq!(server.ask(&["service", "list"]).unwrap().lines().count(), 2);
    assert!(server.ask(&["service", "show", service]).unwrap().contains("second"));
    server.ask(&["service", "delete", service]).unwrap();
    assert!(server.ask(&["service", "show", service]).unwrap_err().contains("no chat service"));

    // A second account: now it must be said which one is meant.
    let file = data.join("shop.env");
    let said = server.ask(&["account", "create", "shop", "--credentials-file", file.to_str().unwrap()]).unwrap();
    assert_eq!(said, "");
    let shop = sourced(&file);
    let other = data.join("other.env");
    let told = server.ask_json(&["account", "create", "other", "--credentials-file", other.to_str().unwrap()]);
    assert_eq!(
        (&told["auth_token"], told["sid"].as_str()),
        (&Value::Null, Some(sourced(&other)["TWILIO_ACCOUNT_SID"].as_str()))
    );
    let (sid, token) = (shop["TWILIO_ACCOUNT_SID"].as_str(), shop["TWILIO_AUTH_TOKEN"].as_str());
    assert_eq!(server.get((sid, token), "/v1/Conversations"), 200);
    assert!(server.ask(&["key", "list"]).unwrap_err().contains("--account"));
    let main = server.ask_json(&["key", "create", "main", "--kind", "main", "--account", sid]);
    let main = (main["sid"].as_str().unwrap(), main["secret"].as_str().unwrap());
    assert_eq!(server.get(main, &format!("/2010-04-01/Accounts/{sid}.json")), 200);
    assert_eq!(server.call(main, "POST", "/tertulia/v1/Tokens", "Identity=ana").0, 201);
    let revoked = server.ask_json(&["revocation", "create", "--identity", "ana", "--account", sid]);
    assert_eq!(revoked["kind"], "identity");
    let heard = server.ask(&["audit", "list", "--event", "revocation.created", "--account", sid]).unwrap();
    assert!(heard.contains("operator") && heard.lines().count() == 1, "{heard}");
    assert!(server.ask(&["account", "list"]).unwrap().contains("shop"));
    assert_eq!(server.ask_json(&["account", "show", sid])["friendly_name"], "shop");
    server.ask(&["account", "update", sid, "--status", "suspended"]).unwrap();
    assert_eq!(server.get((sid, token), "/v1/Conversations"), 401);
    server.ask(&["account", "update", sid, "--status", "active", "--name", "shop 2"]).unwrap();

    // The auth token changes without a gap.
    let second = server.ask_json(&["account", "auth-token", "secondary", "--account", sid]);
    let second = second["secondary_auth_token"].as_str().unwrap();
    assert_eq!([token, second].map(|token| server.get((sid, token), "/v1/Services")), [200, 200]);
    server.ask(&["account", "auth-token", "promote", "--account", sid]).unwrap();
    assert_eq!([token, second].map(|token| server.get((sid, token), "/v1/Services")), [401, 200]);

    // By the environment: an account's own credentials, and what those may do.
    let own = |args: &[&str], name: &str, user: &str, secret_name: &str, secret: &str| {
        outcome(tertulia(args).envs([("TERTULIA_URL", server.url.as_str()), (name, user), (secret_name, secret)]))
    };
    let by_token = |args: &[&str]| own(args, "TWILIO_ACCOUNT_SID", sid, "TWILIO_AUTH_TOKEN", second);
    let made = by_token(&["account", "create", "below", "-o", "json"]).unwrap();
    let below: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(below["owner_account_sid"], sid);
    assert!(by_token(&["account", "list"]).unwrap().contains(&format!("(of {sid})")));
    assert!(by_token(&["key", "create", "x", "--kind", "main"]).unwrap_err().contains("KeyType"));
    by_token(&["key", "create", "x", "--account", below["sid"].as_str().unwrap()]).unwrap();
    let by_key = |args: &[&str]| own(args, "TWILIO_API_KEY", reader.0, "TWILIO_API_SECRET", reader.1);
    assert!(by_key(&["account", "list"]).unwrap_err().contains("Restricted"));

    assert!(server.ask(&["account", "delete", sid]).unwrap_err().contains("--yes"));
    server.ask(&["account", "delete", sid, "--yes"]).unwrap();
    assert_eq!(server.get((sid, second), "/v1/Services"), 401);
    assert!(server.ask(&["account", "update", sid, "--status", "active"]).unwrap_err().contains("stays closed"));
    assert!(server.ask(&["clock"]).unwrap_err().contains("dev mode"));
}

/// The world of docs/operations.md, as it stands there.
#[test]
fn a_world_from_elsewhere_moves_in() {
    let (_folder, data) = sealed_folder();
    let serving = Serving::start(&data);
    let docs = include_str!("../../../docs/operations.md");
    let world = docs.split("<<'END'\n").nth(1).unwrap().split("END\n").next().unwrap();
    let file = data.join("world.json");
    std::fs::write(&file, world).unwrap();
    let import = ["import", file.to_str().unwrap()];
    assert_eq!(serving.ask(&import).unwrap(), "new: 1 accounts, 1 keys, 1 services, 1 roles\n");
    assert_eq!(serving.ask(&import).unwrap(), "new: 0 accounts, 0 keys, 0 services, 0 roles\n");
    let key = ("SK11111111111111111111111111111111", "a-secret-that-was-made-elsewhere");
    assert_eq!(serving.get(key, "/v1/Roles/RL11111111111111111111111111111111"), 200);
    std::fs::write(&file, world.replace("AC1", "XX1")).unwrap();
    let wrong = serving.ask(&import).unwrap_err();
    assert!(wrong.contains("World, line 2") && !wrong.contains("a-secret"), "{wrong}");
}

#[test]
fn the_seal_key_changes_while_it_serves() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    let first = server.first();
    let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
    let old = std::fs::read_to_string(data.join("seal.key")).unwrap();
    let second = server.ask_json(&["account", "auth-token", "secondary"])["secondary_auth_token"].clone();
    // One for the first key, one for each auth token, and enough keys for more than one step.
    let keys = format!("/2010-04-01/Accounts/{}/Keys.json", account.0);
    let mut made = Vec::new();
    for _ in 0..210 {
        let (status, key) = server.call(account, "POST", &keys, "");
        assert_eq!(status, 201);
        made.push((key["sid"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned()));
    }
    let answer = server.ask_json(&["seal", "rotate"]);
    assert_eq!(answer["resealed_count"], 213);
    let new = std::fs::read_to_string(data.join("seal.key")).unwrap();
    assert!(new.lines().count() == 1 && new != old, "the old key is gone");
    let all_work = |server: &Serving| {
        for (key, secret) in made.iter().step_by(30) {
            assert_eq!(server.get((key, secret), "/v1/Services"), 200);
        }
        assert_eq!(server.get(account, "/v1/Services"), 200);
        assert_eq!(server.get((account.0, second.as_str().unwrap()), "/v1/Services"), 200);
    };
    all_work(&server);
    server.end();
    let sentence = serve_fails(&data, &[("TERTULIA_SEAL_KEY", &old)]);
    assert!(sentence.contains("was sealed with key"), "nothing is left that the old key opens: {sentence}");
    let server = Serving::start(&data);
    all_work(&server);
    // A file that the server does not read is left as it was.
    let other = data.join("other.key");
    outcome(&mut tertulia(&[
        "seal",
        "init",
        "--data",
        data.to_str().unwrap(),
        "--seal-key-file",
        other.to_str().unwrap(),
    ]))
    .unwrap();
    let before = std::fs::read_to_string(&other).unwrap();
    let refused = server.ask(&["seal", "rotate", "--seal-key-file", other.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), before);
}

#[test]
fn it_serves_from_postgres_too() {
    let Some(url) = testkit::fresh_database("it_serves_from_postgres_too") else { return };
    let (_folder, data) = sealed_folder();
    let environment = [("TERTULIA__STORE__ENGINE", "postgres"), ("TERTULIA__STORE__URL", url.as_str())];
    let server = Serving::with(&data, &environment);
    let first = server.first();
    let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
    assert_eq!(server.ask_json(&["seal", "rotate"])["resealed_count"], 2);
    assert_eq!(server.get(account, "/v1/Services"), 200);
    server.end();
    let wrong = [environment[0], environment[1], ("TERTULIA_SEAL_KEY", &"cd".repeat(32))];
    assert!(serve_fails(&data, &wrong).contains("was sealed with key"));
    let again = Serving::with(&data, &environment);
    assert_eq!(again.get(account, "/v1/Services"), 200);
    assert!(again.ask(&["account", "list"]).unwrap().contains("First account"));
}
