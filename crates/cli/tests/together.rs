//! Several servers that start at once on one empty PostgreSQL database: one seeds it, all serve, or say why not.
#![expect(clippy::disallowed_methods, reason = "a server in another process is killed after some real time")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{TempDir, temp_dir};

use crate::dev::{DOCUMENTED, Running, fails, get_with, tertulia};
use crate::serve::{Serving, outcome, sealed_folder, serve_fails};

const SERVERS: usize = 4;
const ROUNDS: usize = 3;

/// The documented account and its auth token.
const DEV: (&str, &str) = ("AC00000000000000000000000000000de0", "de000000000000000000000000000de0");

fn postgres(url: &str) -> [(&'static str, &str); 2] {
    [("TERTULIA__STORE__ENGINE", "postgres"), ("TERTULIA__STORE__URL", url)]
}

/// Does something once for each number at the same moment.
fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let act = &act;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || act(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// A dev server on a data folder of its own.
fn dev(url: &str, folder: &TempDir, number: usize) -> Running {
    let data = folder.join(format!("dev-{number}"));
    let mut command = tertulia(&["dev", "--port", "0", "--data", data.to_str().unwrap()]);
    Running::of(command.envs(postgres(url)))
}

/// What the documented account gets from a dev server.
fn as_dev(server: &Running, path: &str) -> Value {
    let (status, text) = get_with(server.value("REST"), path, DOCUMENTED);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Each server is ready and uses what each of the others has stored and sealed; there is one account.
fn agree(servers: &[Running], folder: &TempDir, numbers: std::ops::Range<usize>) {
    for server in servers {
        assert_eq!(server.get("/readyz"), (200, "ready\n".to_owned()));
        assert_eq!(as_dev(server, "/v1/Conversations")["meta"]["key"], "conversations");
        let accounts = as_dev(server, "/2010-04-01/Accounts.json");
        assert_eq!(accounts["accounts"].as_array().unwrap().len(), 1, "{accounts}");
        let keys = as_dev(server, "/2010-04-01/Accounts/AC00000000000000000000000000000de0/Keys.json");
        assert!(!keys["keys"].as_array().unwrap().is_empty(), "{keys}");
        assert_eq!(server.get("/token?identity=carol&password=tertulia").0, 200);
    }
    for number in numbers {
        let data = folder.join(format!("dev-{number}"));
        let made = outcome(tertulia(&["key", "create", "-o", "json", "--data"]).arg(&data)).unwrap();
        let key: Value = serde_json::from_str(&made).unwrap();
        let credentials = basic(key["sid"].as_str().unwrap(), key["secret"].as_str().unwrap());
        for server in servers {
            assert_eq!(get_with(server.value("REST"), "/v1/Conversations", &credentials).0, 200);
        }
    }
}

fn basic(user: &str, secret: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
    format!("Authorization: Basic {text}")
}

#[test]
fn four_dev_servers_on_one_empty_database_agree() {
    for _ in 0..ROUNDS {
        let Some(url) = testkit::fresh_database("four_dev_servers_on_one_empty_database_agree") else { return };
        let folder = temp_dir();
        let servers = at_once(SERVERS, |number| dev(&url, &folder, number));
        agree(&servers, &folder, 0..SERVERS);
        // One that comes later, and one that comes back.
        drop(servers);
        let servers = [dev(&url, &folder, SERVERS), dev(&url, &folder, 0)];
        agree(&servers, &folder, SERVERS..SERVERS + 1);
    }
}

/// A data folder for each server, or one for all.
fn folders(round: usize, folder: &TempDir) -> Vec<PathBuf> {
    let name = |number| if round.is_multiple_of(2) { format!("serve-{number}") } else { "serve".to_owned() };
    (0..SERVERS).map(|number| folder.join(name(number))).collect()
}

/// The files with a first account's credentials in some folders, finished or not.
fn credentials(folders: &[PathBuf]) -> BTreeSet<PathBuf> {
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().flatten());
    let is_first = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("first-account.env");
    entries.map(|entry| entry.path()).filter(is_first).collect()
}

#[test]
fn four_servers_on_one_empty_database_create_one_account() {
    let key = ("TERTULIA_SEAL_KEY", "ab".repeat(32));
    for round in 0..ROUNDS {
        let Some(url) = testkit::fresh_database("four_servers_on_one_empty_database_create_one_account") else {
            return;
        };
        let folder = temp_dir();
        let folders = folders(round, &folder);
        let environment = [&postgres(&url)[..], &[(key.0, key.1.as_str())]].concat();
        let servers = at_once(SERVERS, |number| Serving::with(&folders[number], &environment));
        let files = credentials(&folders);
        assert_eq!(files.len(), 1, "{files:?}");
        let first = crate::dev::sourced(files.first().unwrap());
        let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
        let told = servers.iter().filter(|server| server.said.contains("first account's credentials")).count();
        assert_eq!(told, 1);
        for server in &servers {
            let (status, accounts) = server.call(account, "GET", "/2010-04-01/Accounts.json", "");
            assert_eq!((status, accounts["accounts"].as_array().unwrap().len()), (200, 1), "{accounts}");
            assert_eq!(server.get((&first["TWILIO_API_KEY"], &first["TWILIO_API_SECRET"]), "/v1/Services"), 200);
            assert_eq!(server.get(account, "/readyz"), 200);
        }
    }
}

/// How a server ended that should serve: its status and the last line it logged.
fn serve_once(data: &Path, environment: &[(&str, &str)]) -> Result<Serving, (Option<i32>, String)> {
    let mut command = tertulia(&["serve", "--port", "0", "--data", data.to_str().unwrap()]);
    let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while out.read_line(&mut said).unwrap() > 0 && !said.contains("Tertulia serves at") {}
    if said.contains("Tertulia serves at") {
        return Ok(Serving::taken(child, said, data));
    }
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    Err((child.wait().unwrap().code(), log.lines().last().unwrap_or_default().to_owned()))
}

#[test]
fn of_servers_with_different_seal_keys_one_serves_and_the_others_say_why() {
    for _ in 0..ROUNDS {
        let test = "of_servers_with_different_seal_keys_one_serves_and_the_others_say_why";
        let Some(url) = testkit::fresh_database(test) else { return };
        let folder = temp_dir();
        let folders = folders(0, &folder);
        let keys: Vec<_> = (1..=SERVERS).map(|number| format!("{number:02x}").repeat(32)).collect();
        let servers = at_once(SERVERS, |number| {
            let environment = [&postgres(&url)[..], &[("TERTULIA_SEAL_KEY", keys[number].as_str())]].concat();
            serve_once(&folders[number], &environment)
        });
        let (serving, ended): (Vec<_>, Vec<_>) = servers.into_iter().partition(Result::is_ok);
        assert_eq!((serving.len(), ended.len()), (1, SERVERS - 1));
        for (status, line) in ended.into_iter().filter_map(Result::err) {
            assert_eq!(status, Some(2), "{line}");
            assert!(line.starts_with("error: ") && line.contains("was sealed with key"), "{line}");
            assert!(keys.iter().all(|key| !line.contains(key)), "{line}");
        }
        let files = credentials(&folders);
        assert_eq!(files.len(), 1, "those who were slower leave nothing: {files:?}");
        let first = crate::dev::sourced(files.first().unwrap());
        let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
        let server = serving.into_iter().find_map(Result::ok).unwrap();
        assert_eq!(server.get(account, "/v1/Services"), 200);
    }
}

#[test]
fn a_key_that_dev_mode_left_in_the_database_is_not_for_serving() {
    let test = "a_key_that_dev_mode_left_in_the_database_is_not_for_serving";
    let Some(url) = testkit::fresh_database(test) else { return };
    // A dev server takes the key of its folder, if there is one, and leaves it in the database.
    let (_folder, data) = sealed_folder();
    let mut command = tertulia(&["dev", "--port", "0", "--data", data.to_str().unwrap()]);
    assert_eq!(Running::of(command.envs(postgres(&url))).end(15), 0);
    let (_other_folder, other) = sealed_folder();
    assert!(serve_fails(&other, &postgres(&url)).contains("was sealed with key"));
    let sentence = serve_fails(&data, &postgres(&url));
    assert!(sentence.contains("dev mode") && sentence.contains("seal rotate"), "{sentence}");
    // As the sentence says: a new key above it, and a rotation.
    let left = fs::read_to_string(data.join("seal.key")).unwrap();
    fs::write(data.join("seal.key"), format!("{}\n{left}", "ef".repeat(32))).unwrap();
    let server = Serving::with(&data, &postgres(&url));
    server.ask(&["seal", "rotate"]).unwrap();
    server.end();
    // Nobody finds the old key in the database any more.
    let environment = [&postgres(&url)[..], &[("TERTULIA_SEAL_KEY", left.trim())]].concat();
    assert!(serve_fails(&data, &environment).contains("was sealed with key"));
    let (_folder, fresh) = sealed_folder();
    let mut again = tertulia(&["dev", "--port", "0", "--data", fresh.to_str().unwrap()]);
    assert!(fails(again.envs(postgres(&url))).1.contains("was sealed with key"));
    assert_eq!(Serving::with(&data, &postgres(&url)).get(DEV, "/v1/Services"), 401, "these are for dev mode");
}

/// Starts a server and kills it: at the moment when its tables are there, or a little later.
fn killed(mut command: Command, after: Duration) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.any(|line| line.unwrap().contains("applied migration 0008_unique.sql"));
    assert!(ready, "it has not applied the last migration");
    let began = Instant::now();
    while began.elapsed() < after {
        std::hint::spin_loop();
    }
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Some moments of the time between the last migration and being ready, spread evenly.
fn moments() -> impl Iterator<Item = Duration> {
    (0..8).map(|step| Duration::from_millis(step * 6))
}

#[test]
fn a_server_that_is_killed_while_it_seeds_leaves_what_the_next_ones_go_on_with() {
    let test = "a_server_that_is_killed_while_it_seeds_leaves_what_the_next_ones_go_on_with";
    for after in moments() {
        let Some(url) = testkit::fresh_database(test) else { return };
        let folder = temp_dir();
        let data = folder.join("dev-0");
        let mut command = tertulia(&["dev", "--port", "0", "--data", data.to_str().unwrap()]);
        command.envs(postgres(&url));
        killed(command, after);
        let servers = at_once(2, |number| dev(&url, &folder, number));
        agree(&servers, &folder, 0..2);
    }
}

#[test]
fn a_server_that_is_killed_while_it_creates_the_first_account_loses_no_credentials() {
    let test = "a_server_that_is_killed_while_it_creates_the_first_account_loses_no_credentials";
    for after in moments() {
        let Some(url) = testkit::fresh_database(test) else { return };
        let (_folder, data) = sealed_folder();
        let mut command = tertulia(&["serve", "--port", "0", "--data", data.to_str().unwrap()]);
        command.envs(postgres(&url));
        killed(command, after);
        let server = Serving::with(&data, &postgres(&url));
        let first = server.first();
        let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
        let (status, accounts) = server.call(account, "GET", "/2010-04-01/Accounts.json", "");
        assert_eq!((status, accounts["accounts"].as_array().unwrap().len()), (200, 1), "{after:?}: {accounts}");
    }
}

/// The moment that the test above can only hit by chance: the account is there, and the file has not got its name.
#[test]
fn credentials_whose_account_is_there_get_their_name_at_the_next_start() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    let first = server.first();
    server.end();
    let file = data.join("first-account.env");
    let pending = data.join(format!("first-account.env.{}", first["TWILIO_ACCOUNT_SID"]));
    fs::rename(&file, &pending).unwrap();
    let foreign = data.join("first-account.env.AC11111111111111111111111111111111");
    fs::write(&foreign, "of another database").unwrap();
    let server = Serving::start(&data);
    assert_eq!(server.first(), first);
    assert!(!pending.exists() && foreign.exists(), "what this database does not know is left alone");
    server.logs("its account is not in this database");
}
