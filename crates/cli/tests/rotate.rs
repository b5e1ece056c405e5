//! `tertulia key rotate` at a server that serves: the token endpoint's own signer goes with it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use testkit::temp_dir;

use crate::dev::{Running, asked, data, tertulia};
use crate::serve::{Serving, sealed_folder};

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

#[test]
fn a_rotated_key_stays_while_a_token_of_it_is_known_to_live() {
    let folder = temp_dir();
    let data = data(&folder);
    let path = Path::new(&data);
    let server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let file = path.join("old.env");
    let created = ["key", "create", "ci", "--credentials-file", file.to_str().unwrap(), "-o", "json"];
    let created: Value = serde_json::from_str(&asked(path, &created).unwrap()).unwrap();
    let old = created["sid"].as_str().unwrap();
    server.is_used_with(&file);

    let mut rotate = tertulia(&["key", "rotate", old, "--longest", "0", "--every", "1", "--data", &data]);
    let mut rotating = rotate.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(rotating.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("is still needed")), "it waits, and says for what");
    assert!(asked(path, &["key", "show", old]).is_ok() && rotating.try_wait().unwrap().is_none());
    asked(path, &["clock", "--advance", "1d"]).unwrap();
    assert!(told.any(|line| line == format!("{old} is deleted")));
    assert!(rotating.wait().unwrap().success());
    assert!(asked(path, &["key", "show", old]).unwrap_err().contains("no API key"));
}

#[test]
fn a_rotated_key_stays_for_as_long_as_the_longest_token_may_live() {
    let (_folder, data) = sealed_folder();
    let server = Serving::start(&data);
    let old = server.ask_json(&["key", "create", "ci"])["sid"].as_str().unwrap().to_owned();
    #[expect(clippy::disallowed_methods, reason = "the command waits in real time, for tokens that no server knows of")]
    let began = Instant::now();
    let said = server.ask(&["key", "rotate", &old, "--longest", "2", "--every", "1"]).unwrap();
    assert!(said.contains("it stays until 2 s have passed"), "{said}");
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(server.ask(&["key", "show", &old]).is_err());
}
