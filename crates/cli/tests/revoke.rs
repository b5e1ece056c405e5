//! Revocations from the command line: what they ended, what is misspelt, and whom a jti may be of.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use testkit::temp_dir;

use crate::dev::{Running, asked, tertulia};
use crate::serve::{Serving, sealed_folder};

/// What a command printed, what it said beside that, and its status.
struct Said {
    out: String,
    errors: String,
    status: i32,
}

fn says(data: &Path, args: &[&str], input: &str) -> Said {
    let mut command = tertulia(args);
    command.args(["--data", data.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever does not read it is none the worse.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { out: text(output.stdout), errors: text(output.stderr), status: output.status.code().unwrap() }
}

fn revoke(data: &Path, args: &[&str]) -> Said {
    says(data, &[&["revocation", "create"], args].concat(), "")
}

fn dev(data: &Path) -> Running {
    Running::start(&["dev", "--data", data.to_str().unwrap(), "--port", "0"])
}

#[test]
fn a_misspelt_name_is_noticed_by_people_and_by_scripts() {
    let folder = temp_dir();
    let data = folder.path();
    let server = dev(data);
    assert_eq!(server.get("/token?identity=ana&password=tertulia").0, 200);
    for wrong in [["--identity", "Ana"], ["--session", "site:4712"], ["--jti", "no-such-token"]] {
        let said = revoke(data, &wrong);
        assert_eq!(said.status, 3, "{wrong:?}: {} {}", said.out, said.errors);
        assert!(said.out.ends_with("ended 0 connections of this server and 0 known tokens\n"), "{}", said.out);
        let sid = &said.out[..34];
        assert!(said.errors.contains("misspelt") && said.errors.contains(sid), "{}", said.errors);
        // It is stored all the same.
        asked(data, &["revocation", "delete", sid]).unwrap();
    }
    let said = revoke(data, &["--identity", "ana", "-o", "json"]);
    let made: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.status, &made["connections_ended"], &made["tokens_ended"]), (0, &0.into(), &1.into()));
    assert_eq!(revoke(data, &["--identity", "ana"]).status, 3, "it has ended already");
}

#[test]
fn a_suspended_key_is_shown_as_that() {
    let folder = temp_dir();
    let data = folder.path();
    let _server = dev(data);
    let key: Value = serde_json::from_str(&asked(data, &["key", "create", "ci", "-o", "json"]).unwrap()).unwrap();
    let sid = key["sid"].as_str().unwrap();
    let shown = || asked(data, &["key", "show", sid]).unwrap();
    let listed = || {
        let list = asked(data, &["key", "list"]).unwrap();
        list.lines().find(|line| line.starts_with(sid)).unwrap().to_owned()
    };
    assert!(
        !listed().contains("suspended")
            && shown().lines().any(|line| line.split_whitespace().eq(["suspended_by", "null"]))
    );
    // The key is there, or it could not be suspended: nobody has misspelt anything.
    let said = revoke(data, &["--key", sid]);
    assert_eq!(said.status, 0, "{}", said.errors);
    let entry = &said.out[..34];
    assert!(listed().ends_with("(suspended)") && shown().contains(entry), "{} {}", listed(), shown());
    let keys: Value = serde_json::from_str(&asked(data, &["key", "list", "-o", "json"]).unwrap()).unwrap();
    let by: Vec<_> = keys["keys"].as_array().unwrap().iter().filter_map(|key| key["suspended_by"].as_str()).collect();
    assert_eq!(by, [entry], "and no other key");
    asked(data, &["revocation", "delete", entry]).unwrap();
    assert!(!listed().contains("suspended"));
}

#[test]
fn a_jti_of_several_people_is_asked_about() {
    let folder = temp_dir();
    let data = folder.path();
    let server = dev(data);
    let jti = format!("{}-1700000000", server.value("API key SID"));
    let create = ["revocation", "create", "--jti", &jti];
    for silence in ["", "n\n", "perhaps\n"] {
        let said = says(data, &create, silence);
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.errors);
        for part in ["0 people are known", "End all of them? [y/N]", "nothing was revoked", "--yes", "--token-file"] {
            assert!(said.errors.contains(part), "{part} is not in: {}", said.errors);
        }
    }
    assert_eq!(asked(data, &["revocation", "list"]).unwrap(), "nothing is revoked\n");
    for (args, input) in [(&create[..], "y\n"), (&[&create[..], &["--yes"]].concat()[..], "")] {
        let said = says(data, args, input);
        assert_eq!(said.status, 3, "stored, and nobody is known to have it: {}", said.errors);
        assert!(said.out.contains(&jti), "{}", said.out);
    }
    // The token itself names no other, and is a secret: no argument.
    let (_, token) = server.get("/token?identity=ana&password=tertulia");
    let said = says(data, &["revocation", "create", "--token-file", "-"], &token);
    assert_eq!(said.status, 0, "{}", said.errors);
    assert!(said.out.ends_with("and 1 known token\n") && !said.out.contains(&token), "{}", said.out);
}

#[test]
fn what_came_by_an_api_token_ends_with_it_and_the_log_names_its_session() {
    let (_folder, data) = sealed_folder();
    let config = data.join("devices.toml");
    std::fs::write(&config, "[[login.sources]]\nname = \"devices\"\nkind = \"api-token\"\n").unwrap();
    let server = Serving::of(&data, &["--config", config.to_str().unwrap()], &[]);
    let made = server.ask_json(&["api-token", "create", "--subject", "sensor"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(server.token_for(&header), 200);
    server.logs(&format!("session=\"devices:{id}\""));
    server.ask(&["api-token", "delete", id]).unwrap();
    assert_eq!(server.token_for(&header), 401);
    let entries = server.ask_json(&["audit", "list", "--event", "revocation.created"]);
    let detail = &entries["audit"][0]["detail"];
    assert_eq!((&detail["value"], &detail["tokens_ended"]), (&format!("devices:{id}").into(), &1.into()));
}
