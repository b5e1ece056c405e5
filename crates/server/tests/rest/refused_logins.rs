//! Logins that are refused: what the audit log says of them, what the caller hears, and what keeps a server from
//! starting.

use std::time::Duration;

use serde_json::{Value, json};
use tertulia_server::dev::DevCredentials;
use tertulia_server::platform::{Clock, Config};
use tertulia_server::seal::SealKey;
use tertulia_server::store::Engine;
use tertulia_server::{App, Options};

use super::login::{PROXY, SomeApp, given};
use crate::support::{World, play};

/// The newest refusal of a mint, once there are so many. What comes afterwards is younger.
fn newest(world: &World, count: usize) -> Value {
    for _ in 0..1000 {
        let body = world.owner.get("/tertulia/v1/Audit?Event=mint.refused").is(200);
        let found = body["audit"].as_array().unwrap();
        if found.len() >= count {
            world.pass(1);
            return found[0].clone();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{count} refusals are not noted within ten seconds")
}

fn said(entry: &Value, place: usize) -> [String; 5] {
    let source = &entry["detail"]["sources"][place];
    ["source", "verdict", "check", "found", "expected"].map(|name| source[name].as_str().unwrap_or("-").to_owned())
}

const OTHERS: &str = "[[sources]]\nname = \"company\"\nkind = \"oidc\"\nissuer = \"https://login.example\"\naudience = [\"chat\"]\n\
                      [[sources]]\nname = \"devices\"\nkind = \"api-token\"\n";

#[test]
fn every_source_that_was_asked_says_in_the_audit_log_what_it_found() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&format!("{}{PROXY}{OTHERS}", app.source(""))));
    let heard = world.stranger.post("/token", &[]).refuses(401, 20003);
    assert_eq!(heard, "Nobody is logged in here");
    let entry = newest(&world, 1);
    assert_eq!(entry["detail"]["reason"], "no source knows who this is");
    let told: Vec<_> = (0..4).map(|place| said(&entry, place)).collect();
    assert_eq!(
        told[0],
        ["site", "passed on", "credential", "no header cookie, no header authorization", "cookie or authorization"]
    );
    assert_eq!(
        told[1],
        ["sso", "passed on", "header", "no header X-User", "one header X-User with the name of the person"]
    );
    assert_eq!(
        told[2],
        ["company", "passed on", "credential", "no header Authorization", "one header Authorization: Bearer …"]
    );
    assert_eq!(
        told[3],
        ["devices", "passed on", "credential", "no header Authorization", "one header Authorization: Bearer …"]
    );

    // One that knows the credential for its own ends it; those behind are not asked.
    let heard = world.stranger.with("X-User", "ana").with("X-User", "bob").post("/token", &[]).refuses(401, 20003);
    assert_eq!(heard, "Nobody is logged in here");
    let entry = newest(&world, 2);
    assert_eq!(entry["source"], "sso");
    assert_eq!(
        entry["detail"]["reason"],
        "header: found several headers X-User, expected one header X-User with the name of the person"
    );
    assert_eq!((said(&entry, 1)[1].as_str(), entry["detail"]["sources"].as_array().unwrap().len()), ("refused", 2));

    // An API token that is gone is named by its id, and never shown.
    let token = format!("tt_0123456789abcdef_{}", "x".repeat(32));
    world.stranger.with("Authorization", &format!("Bearer {token}")).post("/token", &[]).refuses(401, 20003);
    let entry = newest(&world, 3);
    assert_eq!(said(&entry, 0)[2..4], ["status", "401"]);
    assert_eq!(said(&entry, 2)[2..], ["token_kind", "an API token (tt_…)", "a JWT"]);
    assert!(said(&entry, 3)[3].contains("0123456789abcdef, which no API token of the account has"), "{entry}");
    assert!(!entry.to_string().contains("xxxx"), "{entry}");
    for (place, (scheme, found)) in
        [("DPoP abc", "DPoP"), ("Basic abc", "Basic"), ("s3cret abc", "another one")].iter().enumerate()
    {
        world.stranger.with("Authorization", scheme).post("/token", &[]).refuses(401, 20003);
        let entry = newest(&world, 4 + place);
        assert_eq!(said(&entry, 2)[2..], ["scheme", *found, "Bearer"]);
        assert!(!entry.to_string().contains("s3cret") && !entry.to_string().contains("abc"), "{entry}");
    }
}

#[test]
fn a_proxy_that_is_not_listed_is_named_with_those_that_are() {
    let world = World::sqlite_with(given(&PROXY.replace("127.0.0.0/8", "192.0.2.1")));
    world.stranger.with("X-User", "ana").post("/token", &[]).refuses(401, 20003);
    assert_eq!(said(&newest(&world, 1), 0), ["sso", "passed on", "address", "127.0.0.1", "192.0.2.1/32"]);
    let world = World::sqlite_with(given(&format!("{PROXY}allow_get = true\n{OTHERS}")));
    world.stranger.get("/token").refuses(401, 20003);
    assert_eq!(said(&newest(&world, 1), 1), ["company", "passed on", "method", "GET", "POST"]);
}

#[test]
fn every_rule_that_was_tried_says_which_fact_did_not_fit() {
    let rules = "[[rules]]\nname = \"staff\"\nwhen = { groups = [\"staff\", \"admins\"] }\n\
                 [[rules]]\nname = \"writers\"\nwhen = { mail = \"*@example.com\", subject = \"*\" }\n";
    let world = World::sqlite_with(given(&format!("{PROXY}{rules}")));
    let heard = world.stranger.with("X-User", "ana").with("X-Groups", "guests").post("/token", &[]).refuses(403, 20403);
    assert_eq!(heard, "This login has no access to chat");
    let entry = newest(&world, 1);
    assert_eq!(
        (&entry["detail"]["subject"], &entry["detail"]["reason"]),
        (&json!("ana"), &json!("no rule is about this login"))
    );
    let wanted = json!([
        {"rule": "staff", "fact": "groups", "found": "[\"guests\"]", "expected": "\"staff\" or \"admins\""},
        {"rule": "writers", "fact": "mail", "found": null, "expected": "\"*@example.com\""},
    ]);
    assert_eq!(entry["detail"]["rules"], wanted);
    assert_eq!(entry["detail"]["sources"][0]["verdict"], "known");
}

#[test]
fn the_owner_of_an_identity_is_named_to_the_log_and_to_nobody_else() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&format!("{}{PROXY}", app.source(""))));
    world.stranger.with("Cookie", "s=1").post("/token", &[]).is(200);
    let heard = world.stranger.with("X-User", "ana").post("/token", &[]).refuses(409, 20409);
    assert!(!heard.contains("site"), "{heard}");
    let reason = newest(&world, 1)["detail"]["reason"].clone();
    assert_eq!(reason, "the identity ana belongs to site, ana, and this login is sso, ana");
}

#[test]
fn an_app_that_sends_elsewhere_is_a_fault_of_its_own() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&app.source("")));
    let answer = world.stranger.with("Cookie", "s=away").post("/token", &[]);
    let text = answer.refuses(502, 20503);
    assert!(!text.contains("/login"), "{text}");
    let entry = newest(&world, 1);
    assert_eq!(said(&entry, 0)[..4], ["site", "unavailable", "redirect", "302 to /login"]);
    for (count, cookie, check, found) in [
        (2, "s=broken", "status", "500"),
        (
            3,
            "s=nobody",
            "answer",
            "JSON without a text or whole number \"identity\" (the key subject) (no content type)",
        ),
    ] {
        world.stranger.with("Cookie", cookie).post("/token", &[]).refuses(503, 20503);
        assert_eq!(said(&newest(&world, count), 0)[2..4], [check, found]);
    }
}

#[test]
fn the_refusal_of_a_page_names_its_origin_and_what_it_was_compared_with() {
    let app = SomeApp::start();
    for (public_url, own) in [("https://chat.example.com/", "https://chat.example.com"), ("", "http://127.0.0.1:")] {
        let source = app.source("");
        let world = World::sqlite_with(|config| {
            given(&source)(config);
            config.login.allowed_origins = vec!["https://app.example.com".to_owned()];
            public_url.clone_into(&mut config.http.public_url);
        });
        let ana = world.stranger.with("Cookie", "s=1");
        let text = ana.with("Origin", "https://evil.example").post("/token", &[]).refuses(403, 20403);
        assert!(
            text.contains("https://evil.example") && text.contains(own) && text.contains("http.public_url"),
            "{text}"
        );
        assert!(!text.contains("app.example.com"), "{text}");
        let reason = newest(&world, 1)["detail"]["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("https://evil.example") && reason.contains(own), "{reason}");
        assert!(reason.contains("https://app.example.com"), "{reason}");
        let text = ana.with("Sec-Fetch-Site", "cross-site").post("/token", &[]).refuses(403, 20403);
        assert!(text.contains("Sec-Fetch-Site: cross-site"), "{text}");
        // Browsers leave the port out that a scheme has by default.
        if !public_url.is_empty() {
            ana.with("Origin", "https://chat.example.com").post("/token", &[]).is(200);
        }
    }
}

/// Why a server with this configuration does not start.
fn fails(text: &str, is_dev: bool) -> Option<String> {
    let config = Config::parse(text).expect("a configuration that can be read");
    let options = Options {
        engine: Engine::SqliteMemory,
        clock: Clock::system(),
        seal_keys: vec![SealKey::new([7; 32])],
        seal_file: None,
        operator: None,
        dev: is_dev.then(DevCredentials::fixed),
        record: None,
    };
    play(async { App::open(config, options).await.err().map(|cause| cause.to_string()) })
}

#[test]
fn a_server_whose_logins_name_what_is_not_there_does_not_start() {
    let source =
        "[[login.sources]]\nname = \"company\"\nkind = \"proxy\"\nheader = \"X-User\"\naddresses = [\"127.0.0.1\"]\n";
    let nowhere = format!("IS{}", "9".repeat(32));
    let rule = |rule: &str| format!("{source}[[login.rules]]\nname = \"staff\"\n{rule}\n");
    let account = format!("AC{}", "9".repeat(32));
    let key = format!("SK{}", "9".repeat(32));
    for (text, says) in [
        (
            rule("role = \"moderator\""),
            &["line 8", "rule \"staff\"", "role", "\"moderator\"", "logins of \"company\""][..],
        ),
        (
            rule(&format!("service = \"{nowhere}\"")),
            &["line 8", "rule \"staff\"", "service", &nowhere, "no such chat service"],
        ),
        (rule("role = \"channel user\""), &["role", "no service role"]),
        (format!("[login]\nkey = \"{key}\"\n{source}"), &["line 2", "login.key", &key, "no such API key"]),
        (
            format!("[login]\naccount = \"{account}\"\n{source}"),
            &["line 2", "login.account", &account, "no such account"],
        ),
    ] {
        let said = fails(&text, true).unwrap_or_else(|| panic!("it starts with {text}"));
        assert!(says.iter().all(|word| said.contains(word)) && !said.contains('\n'), "{text}: {said}");
    }
    for text in
        [rule("role = \"service admin\""), rule("role = \"{subject}\""), rule("service = \"{subject}\"\nrole = \"x\"")]
    {
        assert_eq!(fails(&text, true), None, "{text}");
    }
    // Before the first account is there, all of it may still come.
    assert_eq!(fails(&rule("role = \"moderator\""), false), None);
}

#[test]
fn a_role_that_is_gone_refuses_its_logins_and_the_log_says_which_names_are_wrong() {
    let rule = "[[rules]]\nname = \"staff\"\nrole = \"{subject}\"\n";
    let world = World::sqlite_with(given(&format!("{PROXY}{rule}")));
    world.stranger.with("X-User", &format!("RL{}", "9".repeat(32))).post("/token", &[]).refuses(403, 20403);
    let entry = newest(&world, 1);
    let reason = entry["detail"]["reason"].as_str().unwrap();
    assert!(reason.contains("the rule cannot be carried out") && reason.contains("no such service role"), "{reason}");
    assert_eq!(entry["rule"], "staff");
}
