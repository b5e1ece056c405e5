//! `/token`: who comes in by a login that exists already.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use tertulia_server::login::config::SourceConfig;
use tertulia_server::login::policy::Rule;
use tertulia_server::platform::Config;

use super::tokens::claims;
use crate::support::{Actor, World};

#[derive(Deserialize)]
struct Given {
    sources: Vec<SourceConfig>,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    allowed_origins: Vec<String>,
}

/// Puts sources and rules into a configuration.
pub(crate) fn given(text: &str) -> impl FnOnce(&mut Config) + use<> {
    let given: Given = toml::from_str(text).expect("sources and rules");
    |config| {
        config.login.sources = given.sources;
        config.login.rules = given.rules;
        config.login.allowed_origins = given.allowed_origins;
    }
}

/// An app that knows the session `s=1` as ana, and counts how often it is asked.
pub(super) struct SomeApp {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl SomeApp {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let (status, body) = match head.lines().find_map(|line| line.strip_prefix("cookie: s=")) {
                    Some("1") => (200, r#"{"identity": "ana", "groups": ["staff"]}"#.to_owned()),
                    Some("2") => (200, r#"{"identity": 7}"#.to_owned()),
                    Some("4") => (200, r#"{"identity": 7, "sid": 4711}"#.to_owned()),
                    Some("away") => (302, String::new()),
                    Some("broken") => (500, String::new()),
                    Some("nobody") => (200, "{}".to_owned()),
                    Some("long") => (200, "x".repeat(100_000)),
                    Some("mute") => continue,
                    _ => (401, String::new()),
                };
                let length = body.len();
                let _ =
                    write!(stream, "HTTP/1.1 {status} X\r\nLocation: /login\r\nContent-Length: {length}\r\n\r\n{body}");
            }
        });
        Self { address, asked }
    }

    pub(super) fn source(&self, more: &str) -> String {
        format!("[[sources]]\nname = \"site\"\nkind = \"app\"\nurl = \"http://{}/me?a=b\"\n{more}\n", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn with_cookie(world: &World, cookie: &str) -> Actor {
    world.stranger.with("Cookie", cookie)
}

pub(super) const PROXY: &str = "[[sources]]\nname = \"sso\"\nkind = \"proxy\"\nheader = \"X-User\"\naddresses = [\"127.0.0.0/8\"]\n\
                     facts = { mail = \"X-Mail\" }\nlists = { groups = \"X-Groups\" }\n";

#[test]
fn a_session_of_the_app_comes_in() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&app.source("")));
    let answer = with_cookie(&world, "s=1").post("/token", &[]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.is(200);
    assert_eq!((body["identity"].as_str(), body["service_sid"].as_str()), (Some("ana"), Some(world.service.as_str())));
    let seconds = |name: &str| body[name].as_i64().unwrap() - body["server_time"].as_i64().unwrap();
    assert_eq!(seconds("expires_at"), 14_400);
    assert!((7_200..=11_520).contains(&seconds("refresh_after")));
    assert_eq!(with_cookie(&world, "s=2").post("/token", &[]).is(200)["identity"], "7");
    let text = with_cookie(&world, "s=1").with("Accept", "text/plain").post("/token", &[]);
    assert_eq!((text.status, text.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert_eq!(claims(&text.text.as_str().into())["grants"]["identity"], "ana");
    world.play(async {
        tertulia_client::Client::connect(&world.uri(), text.text.clone()).await.expect("the door is open");
    });
}

#[test]
fn who_is_not_logged_in_is_told_so_and_no_more() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&app.source("")));
    world.stranger.post("/token", &[]).refuses(401, 20003);
    assert_eq!(app.asked(), 0, "nothing to show, nobody to ask");
    for cookie in ["s=3", "other=1"] {
        with_cookie(&world, cookie).post("/token", &[]).refuses(401, 20003);
    }
    for cookie in ["s=broken", "s=nobody", "s=long", "s=mute"] {
        let answer = with_cookie(&world, cookie).post("/token", &[]);
        assert_eq!(answer.header("retry-after"), Some("2"), "{cookie}");
        answer.refuses(503, 20503);
    }
    let refused = with_cookie(&world, "s=1").get("/token");
    assert_eq!(refused.header("allow"), Some("POST"));
    refused.refuses(405, 20004);
    let text = world.stranger.with("Accept", "text/plain").post("/token", &[]);
    assert_eq!((text.status, text.text.as_str()), (401, "Nobody is logged in here\n"));
}

#[test]
fn an_answer_of_the_app_counts_for_a_few_seconds() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&app.source("cache_seconds = 5\nallow_get = true")));
    let ana = with_cookie(&world, "s=1");
    for _ in 0..3 {
        ana.get("/token").is(200);
    }
    assert_eq!(app.asked(), 1);
    // Who is not logged in yet may be in a moment, with the same cookie.
    for _ in 0..2 {
        with_cookie(&world, "s=3").post("/token", &[]).refuses(401, 20003);
    }
    assert_eq!(app.asked(), 3);
    world.pass(5);
    ana.get("/token").is(200);
    assert_eq!(app.asked(), 4);
    with_cookie(&world, "s=broken").post("/token", &[]).refuses(503, 20503);
    with_cookie(&world, "s=broken").post("/token", &[]).refuses(503, 20503);
    assert_eq!(app.asked(), 6, "a failure is not remembered");
}

#[test]
fn a_proxy_is_believed_by_its_address_and_nobody_else_is() {
    let rules = "[[rules]]\nname = \"staff\"\nwhen = { groups = \"staff\" }\nidentity = \"{mail:lower}\"\nttl_seconds = 600\n\
                 [[rules]]\nname = \"none\"\nwhen = { subject = \"eve\" }\ndeny = \"no\"\n";
    let world = World::sqlite_with(given(&format!("{PROXY}{rules}")));
    let user = |name: &str| world.stranger.with("X-User", name);
    let staff = user("ana").with("X-Groups", "a, staff").with("X-Mail", "Ana@Example.com");
    let body = staff.post("/token", &[]).is(200);
    assert_eq!(body["identity"], "ana@example.com");
    assert_eq!(body["expires_at"].as_i64().unwrap() - body["server_time"].as_i64().unwrap(), 600);
    user("ana").with("X-Groups", "staff").post("/token", &[]).refuses(403, 20403);
    user("eve").post("/token", &[]).refuses(403, 20403);
    user("bob").post("/token", &[]).refuses(403, 20403);
    user("").post("/token", &[]).refuses(401, 20003);
    user("ana").with("X-User", "bob").post("/token", &[]).refuses(401, 20003);
    let elsewhere = World::sqlite_with(given(&PROXY.replace("127.0.0.0/8", "192.0.2.1")));
    elsewhere
        .stranger
        .with("X-User", "ana")
        .with("X-Forwarded-For", "192.0.2.1")
        .post("/token", &[])
        .refuses(401, 20003);
}

#[test]
fn an_api_token_comes_in_until_it_ends() {
    let sources = "[[sources]]\nname = \"devices\"\nkind = \"api-token\"\n\
                   [[rules]]\nname = \"devices\"\nidentity = \"{model}/{subject}\"\n";
    let world = World::sqlite_with(given(sources));
    let form = [("Subject", "a/b"), ("Facts", "{\"model\": \"m1\"}"), ("DateExpires", "2026-01-02T04:04:05Z")];
    let made = world.owner.post("/tertulia/v1/ApiTokens", &form).is(201);
    let token = made["token"].as_str().unwrap();
    let bearer = |token: &str| world.stranger.with("Authorization", &format!("Bearer {token}")).post("/token", &[]);
    assert_eq!(bearer(token).is(200)["identity"], "m1/a~2Fb");
    let last = if token.ends_with('x') { "y" } else { "x" };
    bearer(&format!("{}{last}", &token[..token.len() - 1])).refuses(401, 20003);
    bearer("tt_").refuses(401, 20003);
    world.pass(3599);
    bearer(token).is(200);
    world.pass(1);
    bearer(token).refuses(401, 20003);
    let other = world.owner.post("/tertulia/v1/ApiTokens", &form[..2]).is(201);
    let other_token = other["token"].as_str().unwrap();
    bearer(other_token).is(200);
    world.owner.delete(&format!("/tertulia/v1/ApiTokens/{}", other["id"].as_str().unwrap())).is(204);
    bearer(other_token).refuses(401, 20003);
}

/// Two sources that know a person each by the same name.
fn two_sources(app: &SomeApp) -> String {
    format!("{}{PROXY}", app.source(""))
}

fn an_identity_belongs_to_the_first_login_that_comes_to_it(world: &World) {
    let (ana, other) = (with_cookie(world, "s=1"), world.stranger.with("X-User", "ana"));
    ana.post("/token", &[]).is(200);
    let text = other.post("/token", &[]).refuses(409, 20409);
    assert!(text.contains("belongs to another login") && !text.contains("site"), "{text}");
    ana.post("/token", &[]).is(200);
    let owners = world.owner.get("/tertulia/v1/Owners").is(200);
    let owner = &owners["owners"][0];
    let told = ["identity", "chat_service_sid", "source", "subject"].map(|name| owner[name].as_str().unwrap());
    assert_eq!(told, ["ana", world.service.as_str(), "site", "ana"]);
    world.key.delete("/tertulia/v1/Owners/ana").refuses(401, 20003);
    world.tenant.delete("/tertulia/v1/Owners/ana").refuses(404, 20404);
    world.owner.delete("/tertulia/v1/Owners/ana").is(204);
    let noted = world.owner.get("/tertulia/v1/Audit?Event=identity.released").is(200);
    assert_eq!(noted["audit"][0]["identity"], "ana");
    world.owner.delete("/tertulia/v1/Owners/ana").refuses(404, 20404);
    other.post("/token", &[]).is(200);
    ana.post("/token", &[]).refuses(409, 20409);
    // A backend vouches for whomever it names.
    world.key.post("/tertulia/v1/Tokens", &[("Identity", "ana")]).is(201);
}

#[test]
fn an_identity_belongs_to_the_first_login_on_both_engines() {
    let app = SomeApp::start();
    an_identity_belongs_to_the_first_login_that_comes_to_it(&World::sqlite_with(given(&two_sources(&app))));
    let name = "an_identity_belongs_to_the_first_login";
    if let Some(world) = World::postgres_with(name, given(&two_sources(&app))) {
        an_identity_belongs_to_the_first_login_that_comes_to_it(&world);
    }
}

#[test]
fn cookies_are_taken_from_pages_of_listed_origins() {
    let app = SomeApp::start();
    let config = format!("allowed_origins = [\"https://app.example.com\"]\n{}{PROXY}", app.source(""));
    let world = World::sqlite_with(given(&config));
    let ana = with_cookie(&world, "s=1");
    let from = |origin: &str| ana.with("Origin", origin).post("/token", &[]);
    let listed = from("https://app.example.com");
    assert_eq!(listed.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(listed.header("access-control-allow-credentials"), Some("true"));
    assert!(listed.header("vary").unwrap().contains("Origin"));
    listed.is(200);
    from(&world.origin).is(200);
    for origin in ["https://evil.example", "https://app.example.com.evil.example", "null", "http://app.example.com"] {
        let foreign = from(origin);
        assert_eq!(foreign.header("access-control-allow-origin"), None, "{origin}");
        foreign.refuses(403, 20403);
    }
    ana.with("Sec-Fetch-Site", "cross-site").post("/token", &[]).refuses(403, 20403);
    ana.with("Sec-Fetch-Site", "same-origin").post("/token", &[]).is(200);
    // Behind a proxy that ends TLS the browser knows better than we do.
    let secure = ana.with("Origin", &world.origin.replace("http:", "https:"));
    secure.post("/token", &[]).refuses(403, 20403);
    secure.with("Sec-Fetch-Site", "same-origin").post("/token", &[]).is(200);
    secure.with("Sec-Fetch-Site", "same-site").post("/token", &[]).refuses(403, 20403);
    let proxied = world.stranger.with("X-User", "ana").with("Origin", "https://evil.example");
    proxied.post("/token", &[]).refuses(403, 20403);
    let preflight = world.stranger.with("Origin", "https://app.example.com").send("OPTIONS", "/token", b"");
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, Some("GET, POST")));
    let foreign = world.stranger.with("Origin", "https://evil.example").send("OPTIONS", "/token", b"");
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

#[test]
fn any_origin_may_ask_where_cookies_mean_nothing() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&format!("allowed_origins = [\"*\"]\n{}", app.source(""))));
    let page = world.stranger.with("Origin", "https://some.example");
    let answer = page.with("Authorization", "Bearer x").post("/token", &[]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    answer.refuses(401, 20003);
    page.with("Cookie", "s=1").post("/token", &[]).refuses(403, 20403);
}

#[test]
fn who_asks_too_often_is_told_when_there_is_room() {
    let set = |config: &mut Config| {
        given(PROXY)(config);
        config.login.per_caller_per_minute = 5;
        config.login.per_identity_per_minute = 2;
    };
    let world = World::without_dev_mode(set);
    // Each claims an address of its own, which counts from `http.trusted_proxies` only.
    let claimed = |name: &str| format!("203.0.113.{}", name.as_bytes()[0]);
    let user =
        |name: &str| world.stranger.with("X-User", name).with("X-Forwarded-For", &claimed(name)).post("/token", &[]);
    user("ana").is(200);
    user("ana").is(200);
    let refused = user("ana");
    assert_eq!(refused.header("retry-after"), Some("30"));
    refused.refuses(429, 20429);
    user("bob").is(200);
    user("carol").is(200);
    let refused = user("dave");
    assert_eq!(refused.header("retry-after"), Some("12"));
    refused.refuses(429, 20429);
    world.pass(30);
    user("ana").is(200);
    let backend = || world.tenant.post("/tertulia/v1/Tokens", &[("Identity", "backed")]);
    backend().is(201);
    backend().is(201);
    let refused = backend();
    assert_eq!(refused.header("retry-after"), Some("30"));
    refused.refuses(429, 20429);
}

#[test]
fn the_endpoint_of_dev_mode_stays_as_it_is() {
    let world = World::sqlite_with(given(PROXY));
    let token = world.stranger.get("/token?identity=ana&password=tertulia");
    assert_eq!((token.status, token.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(world.stranger.get("/token?identity=ana&password=x").status, 401);
    assert_eq!(World::without_dev_mode(|_| {}).stranger.post("/token", &[]).status, 404);
    let world = World::without_dev_mode(given(PROXY));
    world.stranger.get("/token?identity=ana&password=tertulia").refuses(405, 20004);
    world.stranger.post("/token?identity=ana&password=tertulia", &[]).refuses(401, 20003);
    let body = world.stranger.with("X-User", "ana").post("/token", &[]).is(200);
    assert_eq!(body["identity"], "ana");
}

#[test]
fn what_the_policy_cannot_carry_out_refuses_and_tells_nobody_why() {
    let nowhere = format!("IS{}", "0".repeat(32));
    for (user, rule) in [
        (nowhere.as_str(), "service = \"{subject}\""),
        ("ana", "service = \"{subject}\""),
        ("ana", "role = \"no such {subject}\""),
        ("ana", "identity = \"{mail}\""),
    ] {
        let world = World::sqlite_with(given(&format!("{PROXY}[[rules]]\nname = \"r\"\n{rule}\n")));
        let text = world.stranger.with("X-User", user).post("/token", &[]).refuses(403, 20403);
        assert_eq!(text, "This login has no access to chat", "{rule}");
    }
    let world = World::sqlite_with(given(&format!("{PROXY}[[rules]]\nname = \"r\"\nrole = \"service admin\"\n")));
    let body = world.stranger.with("X-User", "ana").post("/token", &[]).is(200);
    assert!(claims(&body["token"])["grants"]["chat"]["deployment_role_sid"].as_str().unwrap().starts_with("RL"));
}

/// docs/tokens.md, without its indentation.
fn docs() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tokens.md");
    let text = std::fs::read_to_string(path).expect("docs/tokens.md is there");
    text.lines().map(|line| line.strip_prefix("   ").unwrap_or(line).to_owned() + "\n").collect()
}

#[test]
fn the_axum_example_of_the_documentation_works() {
    let source = include_str!("axum_app.rs");
    assert!(docs().contains(&format!("```rust\n{source}```\n")), "docs/tokens.md shows another axum_app.rs");
    let source = crate::support::play(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, super::axum_app::app()).await });
        let source = format!("[[sources]]\nname = \"site\"\nkind = \"app\"\nurl = \"http://{address}/me\"\n");
        source
    });
    let world = World::sqlite_with(given(&source));
    with_cookie(&world, "other=1").post("/token", &[]).refuses(401, 20003);
    let body = with_cookie(&world, "session-of=ana").post("/token", &[]).is(200);
    assert_eq!(body["identity"], "ana");
}

/// Eight people whom the rules lead to one identity, all at once, at a server that has no signing key yet.
fn one_of_many_gets_an_identity_and_one_key_signs(world: &World) {
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let somebody = world.stranger.with("X-User", &format!("user {number}"));
            scope.spawn(move || somebody.post("/token", &[]))
        };
        let asking: Vec<_> = (0..8).map(ask).collect();
        asking.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    let minted = |_| {
        let tokens = || world.key.post("/tertulia/v1/Tokens", &[("Identity", "x")]).is(201);
        claims(&tokens()["token"])["iss"].clone()
    };
    let keys: std::collections::BTreeSet<_> = (0..3).map(minted).map(|key| key.to_string()).collect();
    assert_eq!(keys.len(), 1);
    let list = world.owner.get(&format!("/2010-04-01/Accounts/{}/Keys.json", world.account)).is(200);
    let own = list["keys"].as_array().unwrap().iter().filter(|key| key["friendly_name"] == "Token endpoint").count();
    assert_eq!(own, 1);
}

#[test]
fn one_of_many_gets_an_identity_on_both_engines() {
    let config = format!("{PROXY}[[rules]]\nname = \"one\"\nidentity = \"shared\"\n");
    one_of_many_gets_an_identity_and_one_key_signs(&World::sqlite_with(given(&config)));
    if let Some(world) = World::postgres_with("one_of_many_gets_an_identity", given(&config)) {
        one_of_many_gets_an_identity_and_one_key_signs(&world);
    }
}

#[test]
fn a_login_session_that_was_revoked_gets_no_token_and_all_of_it_is_noted() {
    let proxy = PROXY.replace("mail = \"X-Mail\"", "sid = \"X-Session\"");
    let world = World::sqlite_with(given(&proxy));
    let ana = |session: &str| world.stranger.with("X-User", "ana").with("X-Session", session);
    let token = ana("s1").post("/token", &[]).is(200)["token"].as_str().unwrap().to_owned();
    assert_eq!(claims(&token.as_str().into())["session"], "sso:s1");
    world.pass(1);
    let by_backend = world.key.post("/tertulia/v1/Tokens", &[("Identity", "bruno")]).is(201);
    world.play(async {
        let client = tertulia_client::Client::connect(&world.uri(), token.clone()).await.expect("the door is open");
        world.owner.post("/tertulia/v1/Revocations", &[("Session", "sso:s1")]).is(201);
        ana("s1").post("/token", &[]).refuses(401, 20003);
        world.pass(1);
        let other = ana("s2").post("/token", &[]).is(200)["token"].as_str().unwrap().to_owned();
        tertulia_client::Client::connect(&world.uri(), other).await.expect("another session is another one");
        assert!(tertulia_client::Client::connect(&world.uri(), token).await.is_err(), "it was revoked");
        drop(client);
        let entries = |event: &str| {
            let path = format!("/tertulia/v1/Audit?Event={event}");
            world.owner.get(&path).is(200)["audit"].as_array().unwrap().clone()
        };
        let minted = entries("token.minted");
        let sources: Vec<_> = minted.iter().map(|entry| entry["source"].as_str().unwrap()).collect();
        assert_eq!(sources, ["sso", "backend", "sso"], "the newest first");
        assert_eq!((&minted[2]["identity"], &minted[2]["address"]), (&"ana".into(), &"127.0.0.1".into()));
        assert_eq!((&minted[2]["actor"], &minted[2]["detail"]["subject"]), (&"system".into(), &"ana".into()));
        assert_eq!(minted[1]["actor"], world.dev_key().0);
        // What was minted counts as evidence of the key.
        let key = minted[1]["key_sid"].as_str().unwrap();
        let evidence = world.owner.get(&format!("/tertulia/v1/Keys/{key}/Evidence")).is(200);
        assert_eq!(evidence["has_live_tokens"], true);
        assert!(!by_backend["token"].is_null());
        // Refusals are noted in a quiet moment.
        for _ in 0..1000 {
            if let [refused] = entries("mint.refused").as_slice() {
                assert_eq!((&refused["source"], &refused["code"]), (&"sso".into(), &20003.into()));
                assert_eq!(refused["identity"], "ana");
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the refusal is not noted within ten seconds");
    });
}

#[test]
fn a_session_with_a_number_for_a_name_ends_like_every_other() {
    let app = SomeApp::start();
    let world = World::sqlite_with(given(&app.source("")));
    let asks = || with_cookie(&world, "s=4").post("/token", &[]);
    let token = asks().is(200)["token"].clone();
    assert_eq!((&claims(&token)["session"], &claims(&token)["grants"]["identity"]), (&"site:4711".into(), &"7".into()));
    let made = world.owner.post("/tertulia/v1/Revocations", &[("Session", "site:4711")]).is(201);
    assert_eq!(made["tokens_ended"], 1);
    asks().refuses(401, 20003);
    with_cookie(&world, "s=2").post("/token", &[]).is(200);
}
