//! Why a token was refused is said in four places, in the same words: the log line, the audit entry, and what explains
//! and introspects a token.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::temp_dir;

use crate::dev::{Running, asked, tertulia};

fn json(data: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&asked(data, &[args, &["-o", "json"]].concat()).unwrap()).unwrap()
}

/// A token of a key, and what else it says.
fn minted(account: &str, service: &str, key: (&str, &str), more: &[&str]) -> String {
    let args = ["token", "mint", "--account-sid", account, "--chat-service-sid", service, "--key-sid", key.0];
    let output = tertulia(&[&args, more].concat()).env("TWILIO_API_SECRET", key.1).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The entries of refused tokens, as soon as there are so many.
fn noted(data: &Path, count: usize) -> Vec<Value> {
    for _ in 0..1000 {
        let found = json(data, &["audit", "list", "--event", "token.refused", "--account", ACCOUNT]);
        let found = found["audit"].as_array().unwrap();
        if found.len() == count {
            return found.clone();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{count} refusals are not noted within ten seconds")
}

const ACCOUNT: &str = "AC00000000000000000000000000000de0";

#[test]
fn a_refusal_has_one_reason_wherever_it_is_said() {
    let folder = temp_dir();
    let data = folder.path();
    let mut command = tertulia(&["dev", "--data", data.to_str().unwrap(), "--port", "0"]);
    let server = Running::of(command.env("TERTULIA__LOG__FORMAT", "json"));
    // Reasons tell the time: it stands still.
    let now = json(data, &["clock", "--at", "2030-01-01T00:00:00Z", "--freeze"]);
    assert_eq!(now["is_frozen"], true);
    let at = 1_893_456_000;
    let (service, uri) = (server.value("Chat service").to_owned(), server.value("Realtime").to_owned());
    let made = |name: &str| {
        let key = json(data, &["key", "create", name, "--account", ACCOUNT]);
        (key["sid"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned())
    };
    let (good, gone, suspended) = (made("good"), made("gone"), made("suspended"));
    asked(data, &["key", "delete", &gone.0, "--account", ACCOUNT]).unwrap();
    asked(data, &["revocation", "create", "--key", &suspended.0, "--account", ACCOUNT]).unwrap();
    let told = asked(data, &["revocation", "create", "--identity", "revoked", "--account", ACCOUNT]).unwrap_err();
    assert!(told.contains("nothing that is known has ended"), "a token comes later: {told}");
    let other = json(data, &["account", "create", "other"])["sid"].as_str().unwrap().to_owned();
    let wrong_secret = "a-secret-that-is-not-the-key's-01";
    let nowhere = format!("IS{}", "9".repeat(32));

    let of = |key: &(String, String), secret: &str, service: &str, identity: &str, issued: i64, more: &[&str]| {
        let issued = issued.to_string();
        let args = [&["--identity", identity, "--now", &issued], more].concat();
        minted(ACCOUNT, service, (&key.0, secret), &args)
    };
    let later = (at + 1800).to_string();
    let tokens = [
        ("expired", 20104_u32, of(&good, &good.1, &service, "expired", at - 7200, &[])),
        ("early", 20105, of(&good, &good.1, &service, "early", at, &["--nbf", &later])),
        ("wrong-signature", 20107, of(&good, wrong_secret, &service, "wrong-signature", at, &[])),
        ("unknown-key", 20103, of(&gone, &gone.1, &service, "unknown-key", at, &[])),
        ("suspended-key", 20103, of(&suspended, &suspended.1, &service, "suspended-key", at, &[])),
        ("revoked", 20104, of(&good, &good.1, &service, "revoked", at, &[])),
        ("wrong-service", 20106, of(&good, &good.1, &nowhere, "wrong-service", at, &[])),
        ("wrong-account", 20103, {
            let issued = at.to_string();
            let args = ["--identity", "wrong-account", "--now", &issued];
            minted(&other, &service, (&good.0, &good.1), &args)
        }),
        ("suspended-account", 20103, of(&good, &good.1, &service, "suspended-account", at, &[])),
    ];
    let mut reasons = Vec::new();
    for (number, (identity, code, token)) in tokens.iter().enumerate() {
        if *identity == "suspended-account" {
            asked(data, &["account", "update", ACCOUNT, "--status", "suspended"]).unwrap();
        }
        let mut chat = tertulia(&["chat", "room", "--send", "Hi", "--uri", &uri]);
        assert!(!chat.env("TERTULIA_TOKEN", token).status().unwrap().success(), "{identity} came in");
        let entries = noted(data, number + 1);
        let entry = entries.iter().find(|entry| entry["identity"] == *identity).expect("an entry");
        assert_eq!(entry["code"], *code, "{identity}: {entry}");
        let reason = entry["detail"]["reason"].as_str().unwrap().to_owned();

        let file = data.join("token");
        std::fs::write(&file, token).unwrap();
        let by_token = ["--token-file", file.to_str().unwrap(), "--account", ACCOUNT];
        let sid = entry["sid"].as_str().unwrap();
        for (place, said) in [
            ("explain the entry", json(data, &["audit", "explain", sid, "--account", ACCOUNT])),
            ("explain the token", json(data, &[&["audit", "explain"], &by_token[..]].concat())),
            ("introspect", json(data, &[&["audit", "introspect"], &by_token[..]].concat())),
        ] {
            assert_eq!(said["reason"], reason, "{identity}: {place}: {said}");
            let told = if said["code"].is_null() { &said["revoked"]["code"] } else { &said["code"] };
            assert_eq!(told, code, "{identity}: {place}: {said}");
        }
        reasons.push((u64::from(*code), reason));
    }
    let log = server.end_for_log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<_> = lines.filter(|line| line["target"] == "token" && !line["reason"].is_null()).collect();
    let logged: Vec<_> =
        lines.iter().map(|line| (line["code"].as_u64().unwrap(), line["reason"].as_str().unwrap())).collect();
    let wanted: Vec<_> = reasons.iter().map(|(code, reason)| (*code, reason.as_str())).collect();
    assert_eq!(logged, wanted, "{log}");
    // Each says what it is.
    for (part, (_, reason)) in
        ["exp", "nbf", "signature", &gone.0, "suspended", "revoked by RV", &nowhere, &other, "suspended"]
            .iter()
            .zip(&reasons)
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
}
