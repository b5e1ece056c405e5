//! `tertulia dev` and `tertulia env`: the first five minutes, and how they go wrong.
#![expect(clippy::disallowed_methods, reason = "a server in another process takes real time to start and to end")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::{TempDir, temp_dir};

pub(crate) fn tertulia(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tertulia"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The documented account SID and auth token, as Basic credentials.
pub(crate) const DOCUMENTED: &str =
    "Authorization: Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMGRlMDpkZTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMGRlMA==";

/// A server that has printed its block.
pub(crate) struct Running {
    child: Child,
    block: String,
    log: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(&mut tertulia(args))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut block = String::new();
        while !block.contains("new Client(") {
            assert_ne!(out.read_line(&mut block).unwrap(), 0, "ended early: {}", rest(child.stderr.take()));
        }
        // Logs are read, so that a full pipe never stops the server.
        let errors = child.stderr.take();
        let log = Some(std::thread::spawn(move || rest(errors)));
        Self { child, block, log }
    }

    /// The value behind a label of the block.
    pub(crate) fn value(&self, label: &str) -> &str {
        let line = self.block.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        line.trim_start()[label.len()..].trim()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(self.value("REST"), path)
    }

    pub(crate) fn signal(&self, signal: i32) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([format!("-{signal}"), id]).status().unwrap();
        assert!(sent.success());
    }

    /// Somebody comes in with a token of the key in this file, which lives on.
    pub(crate) fn is_used_with(&self, file: &Path) {
        let (account, service) = (self.value("Account SID"), self.value("Chat service"));
        let mut mint = tertulia(&["token", "mint", "--identity", "ana", "--account-sid", account]);
        let minted = mint.args(["--chat-service-sid", service]).envs(sourced(file)).output().unwrap();
        let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
        let mut chat = tertulia(&["chat", "room", "--send", "Hi", "--uri", self.value("Realtime")]);
        assert!(chat.env("TERTULIA_TOKEN", token).status().unwrap().success());
    }

    pub(crate) fn end(mut self, signal: i32) -> i32 {
        self.signal(signal);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Running {
    /// Ends it; what it has logged from first to last.
    pub(crate) fn end_for_log(mut self) -> String {
        self.signal(15);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn rest(errors: Option<ChildStderr>) -> String {
    let mut text = String::new();
    errors.unwrap().read_to_string(&mut text).unwrap();
    text
}

fn get(url: &str, path: &str) -> (u16, String) {
    get_with(url, path, "X-Nothing: 1")
}

pub(crate) fn get_with(url: &str, path: &str, header: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// What a shell makes of a dotenv file.
pub(crate) fn sourced(file: &Path) -> BTreeMap<String, String> {
    let script = format!("set -a; . '{}'; env", file.display());
    let output = Command::new("sh").args(["-c", &script]).env_clear().output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Runs a command that must fail; gives its status and its one sentence.
pub(crate) fn fails(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it succeeded: {error}");
    let last = error.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: "), "{error}");
    (output.status.code().unwrap(), last)
}

pub(crate) fn data(folder: &TempDir) -> String {
    folder.join("data").display().to_string()
}

#[test]
fn the_block_says_what_an_app_needs_and_the_token_url_gives_a_token() {
    let server = Running::start(&["dev", "--ephemeral", "--port", "0"]);
    assert_eq!(server.value("Account SID"), "AC00000000000000000000000000000de0");
    assert!(server.value("Realtime").ends_with("/v3/wsconnect"));
    assert!(server.value("alice").starts_with("eyJ"));
    assert!(server.block.contains("new Client(token, { Twilsock: { uri: \"ws://127.0.0.1:"));

    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/demo").0, 200);
    let (status, token) = server.get("/token?identity=carol&password=tertulia");
    assert_eq!((status, token.split('.').count()), (200, 3));
    let (status, text) = server.get("/token?identity=carol&password=wrong");
    assert!(status == 401 && text.contains("password"), "{status} {text}");
    for incomplete in
        ["", "?identity=carol", "?password=tertulia", "?identity=&password=tertulia", "?identity=x&password="]
    {
        let (status, text) = server.get(&format!("/token{incomplete}"));
        assert!(status == 401 && text.starts_with("No credentials"), "{incomplete}: {status} {text}");
    }
    assert_eq!(server.get("/token?identity=system&password=tertulia").0, 400);
}

#[test]
fn both_signals_end_it_cleanly_and_soon() {
    for signal in [2, 15] {
        let server = Running::start(&["dev", "--ephemeral", "--port", "0"]);
        // A connection that does nothing must not hold it up.
        let _idle = TcpStream::connect(server.value("REST").strip_prefix("http://").unwrap()).unwrap();
        let began = Instant::now();
        assert_eq!(server.end(signal), 0);
        // Twice what is promised, for a machine that is busy with other tests.
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

#[test]
fn the_env_file_can_be_sourced_and_env_prints_the_same() {
    let folder = temp_dir();
    let (data, file) = (data(&folder), folder.join("server.env"));
    let server = Running::start(&["dev", "--data", &data, "--port", "0", "--env-file", file.to_str().unwrap()]);
    // The block comes first, the file last: wait for the server's own answer that both are done.
    server.get("/readyz");
    let names = sourced_when_there(&file);
    assert_eq!(names["TERTULIA_URL"], server.value("REST"));
    assert_eq!(names["TERTULIA_TWILSOCK_URI"], server.value("Realtime"));
    assert_eq!(names["TWILIO_AUTH_TOKEN"], server.value("Auth token"));
    for name in ["TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_CHAT_SERVICE_SID"] {
        assert!(!names[name].is_empty(), "{name}");
    }

    let printed = |form: &str| {
        let output = tertulia(&["env", "--data", &data, "-o", form]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(printed("dotenv"), std::fs::read_to_string(&file).unwrap());
    assert!(printed("shell").starts_with("export TERTULIA_URL='http://127.0.0.1:"));
    let json: BTreeMap<String, String> = serde_json::from_str(&printed("json")).unwrap();
    assert!(json.iter().all(|(name, value)| names.get(name) == Some(value)));

    assert_eq!(server.end(15), 0);
    assert!(fails(&mut tertulia(&["env", "--data", &data])).1.contains("no server runs"));
}

/// The file is renamed into place whole; its coming is bounded by the server's own start.
fn sourced_when_there(file: &Path) -> BTreeMap<String, String> {
    let began = Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < Duration::from_secs(10), "the file never came");
        std::thread::yield_now();
    }
    sourced(file)
}

#[test]
fn data_and_random_credentials_outlive_a_restart() {
    let folder = temp_dir();
    let data = data(&folder);
    let start = || Running::start(&["dev", "--data", &data, "--port", "0", "--host", "0.0.0.0"]);
    let first = start();
    let token = first.value("Auth token").to_owned();
    assert_ne!(token, "de000000000000000000000000000de0", "beyond loopback the documented token must not work");
    assert!(first.value("REST").starts_with("http://127.0.0.1:"));
    assert_eq!(first.end(15), 0);
    assert_eq!(start().value("Auth token"), token);
}

#[test]
fn the_documented_credentials_work_on_loopback_only_whatever_the_folder_holds() {
    let folder = temp_dir();
    let data = data(&folder);
    let server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    assert_eq!(get_with(server.value("REST"), "/v1/Conversations", DOCUMENTED).0, 200);
    assert_eq!(server.end(15), 0);
    let exposed = Running::start(&["dev", "--data", &data, "--port", "0", "--host", "0.0.0.0"]);
    assert_eq!(get_with(exposed.value("REST"), "/v1/Conversations", DOCUMENTED).0, 401);
}

#[test]
fn a_busy_port_is_one_clear_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, sentence) = fails(&mut tertulia(&["dev", "--ephemeral", "--port", &port]));
    assert_ne!(status, 0);
    assert!(sentence.contains(&port) && sentence.contains("in use") && sentence.contains("--port"), "{sentence}");
}

#[test]
fn a_folder_that_cannot_be_used_is_one_clear_sentence() {
    let folder = temp_dir();
    let file = folder.join("a-file");
    std::fs::write(&file, "").unwrap();
    let (_, sentence) = fails(&mut tertulia(&["dev", "--data", file.join("data").to_str().unwrap(), "--port", "0"]));
    assert!(sentence.contains("a-file"), "{sentence}");
}

#[test]
fn a_folder_in_use_is_one_clear_sentence() {
    let folder = temp_dir();
    let data = data(&folder);
    let _server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let (_, sentence) = fails(&mut tertulia(&["dev", "--data", &data, "--port", "0"]));
    assert!(sentence.contains("data"), "{sentence}");
}

#[test]
fn a_newer_database_is_refused() {
    let folder = temp_dir();
    let data = data(&folder);
    assert_eq!(Running::start(&["dev", "--data", &data, "--port", "0"]).end(15), 0);
    let database = rusqlite::Connection::open(folder.join("data").join("tertulia.db")).unwrap();
    let table: String = database
        .query_row("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%migration%'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let newer = format!("INSERT INTO {table} SELECT 9999, name, checksum, applied_at FROM {table} LIMIT 1");
    database.execute(&newer, []).unwrap();
    drop(database);
    let (_, sentence) = fails(&mut tertulia(&["dev", "--data", &data, "--port", "0"]));
    assert!(sentence.contains("9999") || sentence.contains("newer"), "{sentence}");
}

#[test]
fn a_broken_configuration_is_named() {
    let folder = temp_dir();
    let file = folder.join("own.toml");
    let with = |text: &str| {
        std::fs::write(&file, text).unwrap();
        fails(&mut tertulia(&["dev", "--ephemeral", "--port", "0", "--config", file.to_str().unwrap()])).1
    };
    assert!(with("[http]\nprot = 1").contains("\"http.prot\""));
    assert!(with("[http").contains("not valid TOML"));
    assert!(with("[tokens]\ngrace_seconds = 1000").contains("between 0 and 300"));
    let missing = fails(&mut tertulia(&["dev", "--ephemeral", "--config", "nowhere.toml"])).1;
    assert!(missing.contains("nowhere.toml"), "{missing}");
    let variable = fails(tertulia(&["dev", "--ephemeral"]).env("TERTULIA__HTTP__PROT", "1")).1;
    assert!(variable.contains("TERTULIA__HTTP__PROT"), "{variable}");
}

#[test]
fn config_prints_the_defaults_that_a_server_can_read() {
    let output = tertulia(&["config"]).output().unwrap();
    let folder = temp_dir();
    let file = folder.join("all.toml");
    std::fs::write(&file, &output.stdout).unwrap();
    Running::start(&["dev", "--ephemeral", "--port", "0", "--config", file.to_str().unwrap()]);
}

#[test]
fn one_node_runs_on_postgres_too() {
    let Some(url) = testkit::fresh_database("one_node_runs_on_postgres_too") else { return };
    let folder = temp_dir();
    let data = data(&folder);
    let postgres = |args: &[&str]| {
        let mut command = tertulia(args);
        command.env("TERTULIA__STORE__ENGINE", "postgres").env("TERTULIA__STORE__URL", &url);
        command
    };
    let start = || Running::of(&mut postgres(&["dev", "--data", &data, "--port", "0"]));
    let server = start();
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.end(15), 0);
    assert_eq!(start().get("/readyz").0, 200);
    // Its secrets are sealed with a key of the data folder: without one they would be lost at the end.
    let (_, sentence) = fails(&mut postgres(&["dev", "--ephemeral", "--port", "0"]));
    assert!(sentence.contains("--ephemeral"), "{sentence}");
}

#[test]
fn a_recording_holds_every_frame_with_tokens_cut() {
    let folder = temp_dir();
    let record = folder.join("frames");
    let server = Running::start(&["dev", "--ephemeral", "--port", "0", "--record", record.to_str().unwrap()]);
    let (uri, token) = (server.value("Realtime").to_owned(), server.value("alice").to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let alice = tertulia_client::Client::connect(&uri, token.clone()).await.unwrap();
        alice.conversations().await.unwrap();
        alice.close().await;
    });
    assert_eq!(server.end(15), 0);

    let file = std::fs::read_dir(&record).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains(&token), "no token is recorded whole");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let directions: Vec<&str> = lines.iter().map(|line| line["dir"].as_str().unwrap()).collect();
    assert_eq!((directions[0], directions[1], directions[2]), ("open", "c2s", "s2c"));
    assert_eq!(directions.last(), Some(&"close"));
    assert_eq!(lines[1]["header"]["method"], "init");
    assert!(lines[1]["header"]["token"].as_str().unwrap().starts_with("eyJhbGciOiJI…("));
    assert_eq!(lines[2]["header"]["status"]["code"], 200);
    assert_eq!(lines[2]["client"], "alice");
    let asked = lines.iter().find(|line| line["header"]["method"] == "message").unwrap();
    assert_eq!(asked["header"]["http_request"]["method"], "GET");
}

#[test]
fn a_request_is_one_line_as_documented_and_no_secret_is_logged() {
    let mut command = tertulia(&["dev", "--ephemeral", "--port", "0"]);
    let command = command.env("TERTULIA__LOG__FORMAT", "json").env("TERTULIA__LOG__LEVEL", "trace");
    let server = Running::of(command);
    let (rest, uri, token) = ["REST", "Realtime", "bob"].map(|label| server.value(label).to_owned()).into();
    assert_eq!(get_with(&rest, "/v1/Conversations/a-private-name", DOCUMENTED).0, 404);
    assert_eq!(get_with(&rest, "/v1/Conversations", DOCUMENTED).0, 200);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bob = tertulia_client::Client::connect(&uri, token.clone()).await.unwrap();
        let sid = bob.create_conversation(&tertulia_client::NewConversation::named("a-private-name")).await.unwrap();
        bob.join(sid).await.unwrap();
        bob.send(sid, "a-private-body").await.unwrap();
        let refused = tertulia_client::Client::connect(&uri, format!("{token}x")).await;
        assert!(refused.is_err());
    });
    let log = server.end_for_log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let request = |operation: &str| {
        let found = lines.iter().find(|line| line["target"] == "request" && line["operation"] == operation);
        found.unwrap_or_else(|| panic!("no line of {operation} in:\n{log}"))
    };
    let (missed, sent) = (request("FetchConversation"), request("CreateClientMessage"));
    assert_eq!((&missed["status"], &missed["method"], &missed["source"]), (&404.into(), &"GET".into(), &"rest".into()));
    assert_eq!((&sent["status"], &sent["source"]), (&201.into(), &"sdk".into()));
    assert!(sent["duration_us"].is_u64() || sent["duration_us"].is_i64());
    assert!(missed["request_id"].as_str().unwrap().starts_with("RQ") && missed["account"] != "");
    let refused = lines.iter().find(|line| line["target"] == "token").expect("a refused token has a line");
    assert_eq!(refused["code"], 20107);
    for secret in ["a-private", "tertulia-dev-secret", "de000000000000000000000000000de0", &token[token.len() - 20..]] {
        assert!(!log.contains(secret), "the log holds {secret}:\n{log}");
    }
}

/// What a command prints on a server's data folder, or its last words.
pub(crate) fn asked(data: &Path, args: &[&str]) -> Result<String, String> {
    let output = tertulia(args).args(["--data", data.to_str().unwrap()]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn the_clock_and_faults_of_a_running_server_obey_the_command_line() {
    let folder = temp_dir();
    let data = folder.path();
    let server = Running::start(&["dev", "--data", data.to_str().unwrap(), "--port", "0"]);
    assert!(asked(data, &["clock", "--advance", "4h", "--freeze"]).unwrap().contains("14400 s ahead of the real time"));
    assert!(asked(data, &["clock"]).unwrap().contains("standing still"));
    assert!(asked(data, &["clock", "--advance", "soon"]).unwrap_err().contains("90, 90s, 5m, 4h or 1d"));
    assert!(!asked(data, &["clock", "--reset"]).unwrap().contains("real time"));

    let added = asked(data, &["fault", "add", "answer", "--path", "*/Services", "--status", "418", "-o", "json"]);
    assert!(added.unwrap().contains("\"times_left\": 1"));
    assert_eq!(get_with(server.value("REST"), "/v1/Services", DOCUMENTED).0, 418);
    assert!(asked(data, &["fault", "list"]).unwrap().contains("answer           struck 1, over"));
    assert!(asked(data, &["fault", "add", "explode"]).unwrap_err().contains("there are refuse-upgrade"));
    assert!(asked(data, &["fault", "delete", "7"]).unwrap_err().contains("no fault 7"));
    asked(data, &["fault", "delete", "1"]).unwrap();
    assert_eq!(asked(data, &["fault", "list"]).unwrap(), "there are no faults\n");

    // The process dies between a commit and its publication; the next start has what was committed.
    asked(data, &["fault", "add", "stop"]).unwrap();
    let url = server.value("REST").to_owned();
    assert_eq!(post(&url, "/v1/Conversations", "UniqueName=kept"), Some(201), "nobody is told of this");
    assert_eq!(post(&url, "/v1/Conversations/kept/Participants", "Identity=ana"), None, "and of this nobody hears");
    drop(server);
    let again = Running::start(&["dev", "--data", data.to_str().unwrap(), "--port", "0"]);
    assert_eq!(get_with(again.value("REST"), "/v1/Conversations/kept/Participants/ana", DOCUMENTED).0, 200);
    again.end(15);
    assert!(asked(data, &["fault", "list"]).unwrap_err().contains("no server runs on"));
}

/// The status of a form's answer; none when the server hung up.
fn post(url: &str, path: &str, form: &str) -> Option<u16> {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\n{DOCUMENTED}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    // A reset is no answer either.
    let _ = stream.read_to_string(&mut answer);
    answer.get(9..12)?.parse().ok()
}

#[test]
fn tokens_and_keys_of_a_running_server_end_by_the_command_line() {
    let folder = temp_dir();
    let data = folder.path();
    let server = Running::start(&["dev", "--data", data.to_str().unwrap(), "--port", "0"]);
    // Not by the key that is rotated below: that would wait for the token's end.
    assert_eq!(post(server.value("REST"), "/tertulia/v1/Tokens", "Identity=ana"), Some(201));
    let made = asked(data, &["revocation", "create", "--identity", "ana"]).unwrap();
    assert!(made.starts_with("RV") && made.contains("identity ana"), "{made}");
    assert!(made.ends_with("\nended 0 connections of this server and 1 known token\n"), "{made}");
    assert_eq!(asked(data, &["revocation", "list"]).unwrap().lines().next(), made.lines().next());
    asked(data, &["revocation", "delete", &made[..34]]).unwrap();
    assert_eq!(asked(data, &["revocation", "list"]).unwrap(), "nothing is revoked\n");
    assert!(asked(data, &["revocation", "create"]).unwrap_err().contains("Name one thing"));

    let listed = asked(data, &["audit", "list", "--identity", "ana"]).unwrap();
    assert!(listed.contains("revocation.deleted") && listed.contains("revocation.created"), "{listed}");
    assert_eq!(asked(data, &["audit", "export", "--event", "revocation.created"]).unwrap().lines().count(), 1);

    let key = server.value("API key SID").to_owned();
    let token = data.join("token");
    std::fs::write(&token, server.value("alice")).unwrap();
    let token = ["--token-file", token.to_str().unwrap()];
    assert!(asked(data, &[&["audit", "explain"], &token[..]].concat()).unwrap().contains("It is valid"));
    assert!(asked(data, &[&["audit", "introspect"], &token[..]].concat()).unwrap().contains(&key));
    let file = data.join("new.env");
    let rotated = ["key", "rotate", &key, "--longest", "0", "--credentials-file", file.to_str().unwrap()];
    assert!(asked(data, &rotated).unwrap().ends_with(&format!("{key} is deleted\n")));
    let new = sourced(&file).remove("TWILIO_API_KEY").unwrap();
    assert!(asked(data, &["key", "evidence", &new]).unwrap().contains("last token came in   never"));
    // Without waiting, the old one stays; and no live token goes without --force.
    assert!(asked(data, &["key", "rotate", &new, "--no-wait"]).unwrap().contains("tertulia key delete"));
    server.is_used_with(&file);
    let refused = asked(data, &["key", "delete", &new]).unwrap_err();
    assert!(refused.contains("--force") && refused.contains("safe to delete at"), "{refused}");
    asked(data, &["key", "delete", &new, "--force"]).unwrap();
    assert!(asked(data, &["key", "evidence", &new]).unwrap_err().contains("no API key"));
    assert!(asked(data, &["revocation", "delete", &made[..34]]).unwrap_err().contains("tertulia revocation list"));
    server.end(15);
}
