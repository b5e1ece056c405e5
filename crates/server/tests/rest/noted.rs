//! What the token endpoint leaves behind: entries with source, subject and rule for what it did and refused, and nothing
//! in anybody's cache.

use serde_json::Value;

use super::login::{PROXY, given};
use crate::support::{Answer, World};

/// By address of a mail; guests get nothing.
const RULES: &str = "[[rules]]\nname = \"staff\"\nwhen = { groups = \"staff\" }\nidentity = \"{mail:lower}\"\n\
                     [[rules]]\nname = \"guests\"\nwhen = { groups = \"guests\" }\ndeny = \"no\"\n";

/// A login at the proxy, of somebody in a group.
fn login(world: &World, subject: &str, group: &str) -> Answer {
    let user = world.stranger.with("X-User", subject).with("X-Groups", group);
    user.with("X-Mail", "Team@Example.com").post("/token", &[])
}

/// The first entries of a kind, once there are so many: refusals are noted in a quiet moment.
fn entries(world: &World, event: &str, count: usize) -> Vec<Value> {
    world.play(async {
        for _ in 0..1000 {
            let noted = world.owner.get(&format!("/tertulia/v1/Audit?Event={event}")).is(200);
            let entries = noted["audit"].as_array().unwrap();
            if entries.len() >= count {
                return entries.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{count} entries of {event} do not come within ten seconds")
    })
}

#[test]
fn each_login_is_noted_with_its_source_and_its_rule() {
    let world = World::sqlite_with(given(&format!("{PROXY}{RULES}")));
    let told = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ours = ["source", "rule", "identity"].map(|name| text(&entry[name]));
        (ours, text(&entry["detail"]["subject"]), entry["code"].as_u64())
    };
    let of = |rule: &str, identity: &str| ["sso", rule, identity].map(str::to_owned);

    login(&world, "ana", "staff").is(200);
    let minted = entries(&world, "token.minted", 1);
    assert_eq!(told(&minted[0]), (of("staff", "team@example.com"), "ana".to_owned(), None));
    // Another login that comes to the same identity.
    login(&world, "bob", "staff").refuses(409, 20409);
    let refused = entries(&world, "mint.refused", 1);
    assert_eq!(told(&refused[0]), (of("staff", "team@example.com"), "bob".to_owned(), Some(20409)));
    login(&world, "eve", "guests").refuses(403, 20403);
    // The clock stands still, so the two are in any order.
    let refused: Vec<_> = entries(&world, "mint.refused", 2).iter().map(told).collect();
    assert!(refused.contains(&(of("guests", ""), "eve".to_owned(), Some(20403))), "{refused:?}");
    assert_eq!(entries(&world, "token.minted", 1).len(), 1, "nothing was minted for them");
}

#[test]
fn no_answer_of_the_token_endpoint_is_to_be_stored() {
    // Dev mode counts nobody's requests.
    let world = World::without_dev_mode(|config| {
        given(&format!("{PROXY}allow_get = true\n{RULES}"))(config);
        config.login.per_caller_per_minute = 6;
    });
    let ana = world.stranger.with("X-User", "ana").with("X-Groups", "staff").with("X-Mail", "team@example.com");
    let answers = [
        ana.post("/token", &[]),
        ana.with("Accept", "text/plain").post("/token", &[]),
        ana.get("/token"),
        login(&world, "bob", "staff"),
        login(&world, "eve", "guests"),
        world.stranger.post("/token", &[]),
        ana.post("/token", &[]),
        world.stranger.send("DELETE", "/token", b""),
        world.stranger.send("OPTIONS", "/token", b""),
    ];
    let stored: Vec<_> = answers.iter().map(|answer| (answer.status, answer.header("cache-control"))).collect();
    let statuses = [200, 200, 200, 409, 403, 401, 429, 405, 204];
    assert_eq!(stored, statuses.map(|status| (status, Some("no-store"))));
}
