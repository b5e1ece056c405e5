//! `tertulia key rotate` at a server that serves: the token endpoint's own signer goes with it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tertulia_client::Client;
use testkit::temp_dir;

use crate::dev::{Running, asked, tertulia};
use crate::serve::{Serving, outcome, sealed_folder};

/// The key that signs what the token endpoint mints.
fn signer(server: &Serving) -> String {
    let first = server.first();
    let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
    let (status, minted) = server.call(account, "POST", "/tertulia/v1/Tokens", "Identity=ana");
    assert_eq!(status, 201, "{minted}");
    let claims = minted["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["iss"].as_str().unwrap().to_owned()
}

/// Whether it went well, its one JSON document, and what it said beside it.
fn said(server: &Serving, args: &[&str]) -> (bool, Value, String) {
    let data = ["--data", server.data.to_str().unwrap(), "-o", "json"];
    let output = tertulia(&[args, &data].concat()).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).expect("one document");
    (output.status.success(), document, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_rotation_switches_the_token_endpoint_at_once() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    let old = signer(&server);
    assert!(server.ask(&["key", "evidence", &old]).unwrap().contains("token endpoint       signs with it\n"));
    let (is_done, made, beside) = said(&server, &["key", "rotate", &old, "--no-wait"]);
    let new = made["sid"].as_str().unwrap();
    assert!(is_done && beside.contains(&format!("the token endpoint signs with {new} from now on\n")), "{beside}");
    assert!(beside.contains(&format!("tertulia key delete {old}")), "{beside}");
    assert_eq!((&made["friendly_name"], &made["replaces"]), (&"Token endpoint".into(), &old.as_str().into()));
    assert_eq!(signer(&server), new);
    assert!(server.ask(&["key", "evidence", &old]).unwrap().contains("does not sign with it"));
    // Tokens of the old one live: it goes by force only.
    assert!(server.ask(&["key", "delete", &old]).unwrap_err().contains("--force"));
    server.ask(&["key", "delete", &old, "--force"]).unwrap();
    assert_eq!(signer(&server), new);

    // All of it in one go, for keys of each kind.
    let allow = ["--allow", "/twilio/conversations/services/list"];
    let kinds: [&[&str]; 3] =
        [&["--kind", "standard"], &["--kind", "main"], &[&["--kind", "restricted"], &allow[..]].concat()];
    for kind in kinds {
        let old = server.ask_json(&[&["key", "create", "ci"], kind].concat())["sid"].as_str().unwrap().to_owned();
        let was = server.ask_json(&["key", "show", &old]);
        let (is_done, made, beside) = said(&server, &["key", "rotate", &old, "--longest", "0"]);
        assert!(is_done && beside.ends_with(&format!("{old} is deleted\n")), "{beside}");
        assert!(server.ask(&["key", "show", &old]).is_err());
        let (key, secret) = (made["sid"].as_str().unwrap(), made["secret"].as_str().unwrap());
        let is = server.ask_json(&["key", "show", key]);
        assert_eq!((&is["friendly_name"], &is["policy"]), (&was["friendly_name"], &was["policy"]));
        let may = ["/v1/Services", "/v1/Roles", &format!("/v1/Keys/{key}")].map(|path| server.get((key, secret), path));
        let wanted = match kind[1] {
            "main" => [200, 200, 200],
            "standard" => [200, 200, 401],
            _ => [200, 401, 401],
        };
        assert_eq!(may, wanted, "{kind:?}");
    }
}

/// A rotation that goes on beside the test.
struct Rotating {
    child: Child,
    says: BufReader<ChildStderr>,
}

impl Rotating {
    fn start(data: &str, key: &str, more: &[&str]) -> Self {
        // The new key is on stdout; what is said meanwhile is read here.
        let args = ["key", "rotate", key, "--account", ACCOUNT, "--every", "1", "-o", "json", "--data", data];
        let mut child = tertulia(&[&args, more].concat()).spawn().unwrap();
        let says = BufReader::new(child.stderr.take().unwrap());
        Self { child, says }
    }

    /// Reads until it says this; what came before, or, if it ends, all there was.
    fn until(&mut self, words: &str) -> Result<(), String> {
        let mut said = String::new();
        while !said.contains(words) {
            if self.says.read_line(&mut said).unwrap() == 0 {
                return Err(said);
            }
        }
        Ok(())
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ACCOUNT: &str = "AC00000000000000000000000000000de0";

#[test]
fn a_key_is_deleted_when_its_last_token_is_dead_and_not_before() {
    let folder = temp_dir();
    let data = folder.path().to_str().unwrap();
    let server = Running::start(&["dev", "--data", data, "--port", "0"]);
    let ask = |args: &[&str]| asked(folder.path(), args);
    let made: Value =
        serde_json::from_str(&ask(&["key", "create", "ci", "--account", ACCOUNT, "-o", "json"]).unwrap()).unwrap();
    let (key, secret) = (made["sid"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let is_there = || ask(&["key", "show", key, "--account", ACCOUNT]).is_ok();
    // A token comes in and goes: what is left of it is what the server knows.
    let mut mint = tertulia(&["token", "mint", "--identity", "ana", "--account-sid", ACCOUNT, "--key-sid", key]);
    mint.args(["--chat-service-sid", server.value("Chat service")]).env("TWILIO_API_SECRET", secret);
    let token = outcome(&mut mint).unwrap().trim().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Client::connect(server.value("Realtime"), token).await.unwrap().close().await });

    let mut rotating = Rotating::start(data, key, &["--longest", "0"]);
    rotating.until("is still needed").unwrap();
    assert!(is_there());
    ask(&["clock", "--advance", "2d"]).unwrap();
    rotating.until(&format!("{key} is deleted")).unwrap();
    assert!(rotating.child.wait().unwrap().success() && !is_there());
}

#[test]
fn a_key_without_a_known_token_stays_as_long_as_the_longest_of_a_backend() {
    let folder = temp_dir();
    let data = folder.path().to_str().unwrap();
    let _server = Running::start(&["dev", "--data", data, "--port", "0"]);
    let ask = |args: &[&str]| asked(folder.path(), args);
    let made: Value =
        serde_json::from_str(&ask(&["key", "create", "ci", "--account", ACCOUNT, "-o", "json"]).unwrap()).unwrap();
    let key = made["sid"].as_str().unwrap();
    let is_there = || ask(&["key", "show", key, "--account", ACCOUNT]).is_ok();
    // A day, unless something else is said; and the time counts from the switch, whatever the server's clock says.
    let mut rotating = Rotating::start(data, key, &[]);
    rotating.until("stays until 86400 s have passed").unwrap();
    ask(&["clock", "--advance", "2d"]).unwrap();
    assert!(is_there());
    drop(rotating);
    let mut rotating = Rotating::start(data, key, &["--longest", "1"]);
    rotating.until("stays until 1 s have passed").unwrap();
    rotating.until(&format!("{key} is deleted")).unwrap();
    assert!(rotating.child.wait().unwrap().success() && !is_there());
}

#[test]
fn a_key_that_the_configuration_names_stays_until_that_is_changed() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    let old = server.first()["TWILIO_API_KEY"].clone();
    server.end();
    let server = Serving::with(&data, &[("TERTULIA__LOGIN__KEY", &old)]);
    assert_eq!(signer(&server), old);
    let (is_done, made, beside) = said(&server, &["key", "rotate", &old, "--longest", "0"]);
    let new = made["sid"].as_str().unwrap().to_owned();
    assert!(!is_done, "the old one is still there");
    let hints = [
        format!("login.key of the server's configuration names {old}"),
        format!("login.key = \"{new}\""),
        format!("TERTULIA__LOGIN__KEY={new}"),
        "--config".to_owned(),
        "restart".to_owned(),
        format!("tertulia key delete {old}"),
    ];
    for hint in hints {
        assert!(beside.contains(&hint), "{hint}: {beside}");
    }
    assert_eq!((&made["replaced_is_login_key"], &made["signs_for_token_endpoint"]), (&true.into(), &false.into()));
    assert_eq!(signer(&server), old);
    assert!(server.ask(&["key", "delete", &old]).unwrap_err().contains("login.key"));
    assert!(server.ask(&["key", "evidence", &old]).unwrap().contains("login.key names it"));
    // As a first step it is no failure, and says the same.
    let text = server.ask(&["key", "rotate", &old, "--no-wait"]).unwrap();
    assert!(text.contains("login.key of the server's configuration") && text.contains("TWILIO_API_SECRET="), "{text}");

    server.end();
    let server = Serving::with(&data, &[("TERTULIA__LOGIN__KEY", &new)]);
    assert_eq!(signer(&server), new);
    server.ask(&["key", "delete", &old, "--force"]).unwrap();
    assert_eq!(signer(&server), new);
}
