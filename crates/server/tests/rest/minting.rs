//! What is told of each answer of `/token`: what is noted of it, and that nobody keeps it.

use serde_json::Value;
use tertulia_server::platform::Config;

use super::login::{PROXY, SomeApp, given};
use crate::support::{Answer, World};

/// The newest audit entry of an event. Refusals are noted in a quiet moment.
fn noted(world: &World, event: &str) -> Value {
    for _ in 0..1000 {
        let entries = world.owner.get(&format!("/tertulia/v1/Audit?Event={event}")).is(200);
        if !entries["audit"][0].is_null() {
            return entries["audit"][0].clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no {event} was noted within ten seconds");
}

fn told(entry: &Value) -> [&Value; 4] {
    [&entry["source"], &entry["detail"]["subject"], &entry["rule"], &entry["identity"]]
}

#[test]
fn a_login_that_comes_to_an_owned_identity_is_noted_with_its_name_and_the_rule() {
    let app = SomeApp::start();
    let rules = "[[rules]]\nname = \"everybody\"\nidentity = \"shared\"\n";
    let world = World::sqlite_with(given(&format!("{}{PROXY}{rules}", app.source(""))));
    world.stranger.with("Cookie", "s=1").post("/token", &[]).is(200);
    assert_eq!(told(&noted(&world, "token.minted")), ["site", "ana", "everybody", "shared"]);
    world.stranger.with("X-User", "eve").post("/token", &[]).refuses(409, 20409);
    let refused = noted(&world, "mint.refused");
    assert_eq!(told(&refused), ["sso", "eve", "everybody", "shared"]);
    assert_eq!(refused["code"], 20409);
}

#[track_caller]
fn assert_kept_by_nobody(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}: {}", answer.asked, answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{}: {status}", answer.asked);
}

#[test]
fn no_answer_of_the_token_endpoint_is_kept_by_anybody() {
    let app = SomeApp::start();
    let config = format!(
        "{}{PROXY}[[rules]]\nname = \"eve\"\nwhen = {{ subject = \"eve\" }}\ndeny = \"no\"\n\
         [[rules]]\nname = \"one\"\nidentity = \"shared\"\n",
        app.source("allow_get = true")
    );
    let set = |world: &mut Config| {
        given(&config)(world);
        world.login.per_identity_per_minute = 3;
    };
    let world = World::without_dev_mode(set);
    for wanted in ["application/json", "text/plain"] {
        let accepting = world.stranger.with("Accept", wanted);
        let ana = accepting.with("Cookie", "s=1");
        assert_kept_by_nobody(&ana.post("/token", &[]), 200);
        assert_kept_by_nobody(&accepting.post("/token", &[]), 401);
        assert_kept_by_nobody(&accepting.with("X-User", "eve").post("/token", &[]), 403);
        assert_kept_by_nobody(&ana.with("Origin", "https://evil.example").post("/token", &[]), 403);
        assert_kept_by_nobody(&accepting.with("X-User", "bob").post("/token", &[]), 409);
        assert_kept_by_nobody(&accepting.with("Cookie", "s=broken").post("/token", &[]), 503);
        assert_kept_by_nobody(&ana.send("PUT", "/token", b""), 405);
        assert_kept_by_nobody(&ana.send("OPTIONS", "/token", b""), 204);
    }
    let ana = world.stranger.with("Cookie", "s=1");
    assert_kept_by_nobody(&ana.get("/token"), 200);
    assert_kept_by_nobody(&ana.post("/token", &[]), 429);
    // Where no login is configured, or dev mode answers.
    let (dev, password) = (World::sqlite(), "/token?identity=ana&password");
    assert_kept_by_nobody(&dev.stranger.get(&format!("{password}=tertulia")), 200);
    assert_kept_by_nobody(&dev.stranger.get(&format!("{password}=x")), 401);
    assert_kept_by_nobody(&World::without_dev_mode(|_| {}).stranger.post("/token", &[]), 404);
}
