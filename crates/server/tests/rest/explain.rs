//! What the server says of a token is what the door says, and it names the first cause.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tertulia_server::http::ACCOUNT_HEADER;
use tertulia_server::platform::ids::fresh_seed;
use tertulia_server::tokens::Refused;
use tertulia_token::{ChatGrant, Mint, Secret};

use super::audit::{EXPLAIN, INTROSPECT, eventually, keys, knock, signed};
use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_key_that_does_not_count_is_named_with_when_and_by_whom,
}
on_sqlite! {
    a_suspended_account_is_named_with_when_and_by_whom,
    a_revoked_token_is_called_revoked_first,
    every_minted_token_has_a_name_of_its_own,
    the_door_and_the_explanation_never_disagree,
}

/// A new key, and a token that it signed.
fn key_and_token(world: &World) -> (String, String) {
    let created = world.owner.post(&format!("{}.json", keys(world)), &[]).is(201);
    let token = signed(world, &sid(&created), created["secret"].as_str().unwrap(), "ana");
    (sid(&created), token)
}

/// The first sentences of a text, where the first cause belongs.
fn first_lines(explained: &Value) -> String {
    explained["text"].as_str().unwrap().lines().take(3).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

fn a_key_that_does_not_count_is_named_with_when_and_by_whom(world: &World) {
    let (gone, token) = key_and_token(world);
    world.owner.delete(&format!("{}/{gone}.json", keys(world))).is(204);
    let (suspended, other) = key_and_token(world);
    world
        .operator
        .with(ACCOUNT_HEADER, &world.account)
        .post("/tertulia/v1/Revocations", &[("KeySid", &suspended)])
        .is(201);
    let now = "2026-01-02T03:04:05Z";
    let deleted = ["the key", &gone, "was deleted", now, "by the account's auth token", "audit entry AU"];
    let stopped = ["the key", &suspended, "was suspended by RV", now, "by the operator", "audit entry AU"];
    for (token, words) in [(&token, &deleted), (&other, &stopped)] {
        let explained = world.owner.post(EXPLAIN, &[("Token", token)]).is(200);
        assert_eq!((&explained["code"], &explained["failed_check"]), (&json!(20103), &json!("key")));
        has(&first_lines(&explained), words);
        has(explained["history"].as_str().unwrap(), words);
        let standing = world.owner.post(INTROSPECT, &[("Token", token)]).is(200);
        has(standing["summary"].as_str().unwrap(), words);
        assert_eq!(standing["reason"], explained["reason"]);
        // Other accounts learn nothing.
        let foreign = world.tenant.post(EXPLAIN, &[("Token", token)]).is(200);
        assert_eq!((&foreign["failed_check"], &foreign["history"]), (&json!("key"), &Value::Null));
        for word in ["was deleted", "was suspended"] {
            assert!(!foreign.to_string().contains(word), "{foreign}");
        }
    }
    world.play(async {
        knock(world, &token).await;
        let refused = &eventually(world, "Event=token.refused", 1).await[0];
        has(refused["detail"]["history"].as_str().unwrap(), &deleted);
        has(&refused["detail"]["changes"].to_string(), &["gone for good"]);
        let explained = world.owner.post(EXPLAIN, &[("Refusal", &sid(refused))]).is(200);
        has(explained["history"].as_str().unwrap(), &deleted);
    });
}

fn a_suspended_account_is_named_with_when_and_by_whom(world: &World) {
    let created = world.owner.post("/2010-04-01/Accounts.json", &[("FriendlyName", "sub")]).is(201);
    let (account, auth_token) = (sid(&created), created["auth_token"].as_str().unwrap());
    let sub = world.with_credentials(&account, auth_token);
    let key = sub.post(&format!("/2010-04-01/Accounts/{account}/Keys.json"), &[]).is(201);
    let secret = Secret::new(key["secret"].as_str().unwrap());
    let mint = Mint::new(account.as_str(), sid(&key), &secret).identity("ana").grant(ChatGrant::new(&world.service));
    let token = mint.sign(world.seconds(), [7; 8]).unwrap().token;
    world.owner.post(&format!("/2010-04-01/Accounts/{account}.json"), &[("Status", "suspended")]).is(200);
    let operator = world.operator.with(ACCOUNT_HEADER, &account);
    let words = ["the account", &account, "is suspended", "2026-01-02T03:04:05Z", "audit entry AU"];
    let explained = operator.post(EXPLAIN, &[("Token", &token)]).is(200);
    has(&first_lines(&explained), &words);
    let standing = operator.post(INTROSPECT, &[("Token", &token)]).is(200);
    has(standing["summary"].as_str().unwrap(), &words);
    // Entries of one moment have no order.
    world.pass(1);
    // A change of the name is not when it began, and the parent's log is the parent's.
    world.owner.post(&format!("/2010-04-01/Accounts/{account}.json"), &[("FriendlyName", "x")]).is(200);
    let renamed = operator.post(EXPLAIN, &[("Token", &token)]).is(200);
    assert_eq!(renamed["history"], format!("the account {account} is suspended"));
    world.owner.post(&format!("/2010-04-01/Accounts/{account}.json"), &[("Status", "active")]).is(200);
    let parent = format!("/2010-04-01/Accounts/{}.json", world.account);
    world.operator.with(ACCOUNT_HEADER, &world.account).post(&parent, &[("Status", "suspended")]).is(200);
    let of_parent = operator.post(EXPLAIN, &[("Token", &token)]).is(200);
    has(of_parent["history"].as_str().unwrap(), &[&world.account, "the parent of", &account, "suspended"]);
    assert!(!of_parent["history"].to_string().contains("AU"), "{of_parent}");
}

fn a_revoked_token_is_called_revoked_first(world: &World) {
    let (key, secret) = world.dev_key();
    let token = signed(world, &key, &secret, "ana");
    let entry = sid(&world.owner.post("/tertulia/v1/Revocations", &[("Identity", "ana")]).is(201));
    let explained = world.owner.post(EXPLAIN, &[("Token", &token)]).is(200);
    let text = explained["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("This is an Access Token that was revoked: revoked by {entry}")), "{text}");
    assert!(!text.contains("It is valid"), "{text}");
    assert_eq!((&explained["code"], &explained["failed_check"]), (&json!(20104), &json!("revocation")));
    assert_eq!((&explained["verdict"], &explained["revoked"]["sid"]), (&json!("refused"), &json!(entry)));
    let standing = world.owner.post(INTROSPECT, &[("Token", &token)]).is(200);
    assert!(
        standing["summary"].as_str().unwrap().starts_with(&format!("The token was revoked by {entry}")),
        "{standing}"
    );
    assert_eq!((&standing["reason"], &standing["code"]), (&explained["reason"], &explained["code"]));
    // Around a revoked token something else comes first, and the rest is told as well.
    let wrapped = world.owner.post(EXPLAIN, &[("Token", &format!("Bearer {token}"))]).is(200);
    assert_eq!((&wrapped["failed_check"], &wrapped["revoked"]["sid"]), (&json!("form"), &json!(entry)));
    has(wrapped["text"].as_str().unwrap(), &["revocation", &entry]);
    let empty = world.owner.post(EXPLAIN, &[("Token", "")]).is(200);
    assert_eq!(empty["kind"], "empty");
}

fn every_minted_token_has_a_name_of_its_own(world: &World) {
    let name = |token: &str| {
        let standing = world.owner.post(INTROSPECT, &[("Token", token)]).is(200);
        standing["jti"].as_str().expect("a name").to_owned()
    };
    let by_backend = || world.owner.post("/tertulia/v1/Tokens", &[("Identity", "ana")]).is(201);
    let of_backend = || name(by_backend()["token"].as_str().unwrap());
    let of_dev = || name(&world.stranger.get("/token?identity=ana&password=tertulia").text);
    let names = [of_backend(), of_backend(), of_dev(), of_dev()];
    for (number, jti) in names.iter().enumerate() {
        let parts: Vec<_> = jti.split('-').collect();
        assert!(parts.len() == 3 && parts[0].starts_with("SK") && parts[2].len() == 16, "{jti}");
        assert_eq!(parts[1].parse(), Ok(world.seconds()), "{jti}");
        assert!(!names[..number].contains(jti), "{jti} twice");
    }
}

/// What tokens are made of in the next test.
struct Pieces {
    accounts: Vec<String>,
    keys: Vec<(String, String)>,
    services: Vec<String>,
    roles: Vec<String>,
}

fn pieces(world: &World) -> Pieces {
    let (gone, suspended) = (key_and_token(world).0, world.owner.post(&format!("{}.json", keys(world)), &[]).is(201));
    world.owner.delete(&format!("{}/{gone}.json", keys(world))).is(204);
    world.owner.post("/tertulia/v1/Revocations", &[("KeySid", &sid(&suspended))]).is(201);
    world.owner.post("/tertulia/v1/Revocations", &[("Identity", "ben")]).is(201);
    let role = |kind, permission| {
        let form = [("FriendlyName", kind), ("Type", kind), ("Permission", permission)];
        sid(&world.key.post("/v1/Roles", &form).is(201))
    };
    let secret = suspended["secret"].as_str().unwrap().to_owned();
    Pieces {
        accounts: vec![world.account.clone(), format!("AC{}", "9".repeat(32))],
        keys: vec![world.dev_key(), (sid(&suspended), secret), (gone, "a secret that nobody has".to_owned())],
        services: vec![world.service.clone(), format!("IS{}", "9".repeat(32)), "general".to_owned()],
        roles: vec![
            String::new(),
            role("service", "createConversation"),
            role("conversation", "sendMessage"),
            "admin".to_owned(),
        ],
    }
}

/// One of a list, mostly the first.
fn pick<'l, T>(rng: &mut StdRng, list: &'l [T]) -> &'l T {
    if rng.random_range(0..4) > 0 { &list[0] } else { &list[rng.random_range(0..list.len())] }
}

fn some_token(rng: &mut StdRng, world: &World, pieces: &Pieces) -> String {
    let (key, secret) = pick(rng, &pieces.keys).clone();
    let secret = Secret::new(pick(rng, &[secret, "another secret".to_owned()]).as_str());
    let long = "i".repeat(257);
    let identities = ["ana", "ben", "system", "", &long];
    let mut grant = ChatGrant::new(pick(rng, &pieces.services).as_str());
    let role = pick(rng, &pieces.roles);
    if !role.is_empty() {
        grant = grant.deployment_role(role.as_str());
    }
    let mut mint = Mint::new(pick(rng, &pieces.accounts).as_str(), key, &secret).lenient();
    mint = mint.identity(*pick(rng, &identities)).ttl(*pick(rng, &[3600, -10, 3, 90_000]));
    if rng.random_range(0..5) > 0 {
        mint = mint.grant(grant);
    }
    if rng.random_range(0..8) == 0 {
        mint = mint.not_before(world.seconds() + 300);
    }
    if rng.random_range(0..8) == 0 {
        mint = mint.region("ie1");
    }
    mint.sign(world.seconds(), rng.random()).unwrap().token
}

fn some_text(rng: &mut StdRng, token: String) -> String {
    let at = rng.random_range(0..token.len());
    let (start, end) = token.split_at(at);
    match rng.random_range(0..14) {
        0 => start.to_owned(),
        1 => format!("{start}x{}", &end[1..]),
        2 => format!("{start}\n{end}"),
        3 => format!("Bearer {token}"),
        4 => format!("{{\"token\":\"{token}\"}}"),
        5 => format!("{token}="),
        _ => token,
    }
}

/// Of mutated tokens, with keys, services and roles of all kinds: the same code, and the same reason to the letter.
fn the_door_and_the_explanation_never_disagree(world: &World) {
    let pieces = pieces(world);
    let seed = std::env::var("TERTULIA_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| u64::from_le_bytes(fresh_seed()[..8].try_into().unwrap()));
    let mut rng = StdRng::seed_from_u64(seed);
    world.play(async {
        let caller = world.system_soon().await;
        let mut refused = std::collections::BTreeMap::<String, u32>::new();
        for number in 0..400 {
            let token = some_token(&mut rng, world, &pieces);
            let text = some_text(&mut rng, token);
            let told = |rest: String| format!("TERTULIA_SEED={seed}, token {number}: {rest}\n{text}");
            let door = world.app().admit(&text).await.err();
            let explained = world.app().explain(&caller, &text).await.unwrap();
            let (code, reason) = match &door {
                None => (None, None),
                Some(Refused::Token(refusal)) => (Some(u32::from(refusal.code)), door.as_ref().map(Refused::reason)),
                Some(Refused::Revoked(entry)) => (Some(entry.named.code().number()), Some(entry.reason())),
                Some(Refused::Other(error)) => panic!("{}", told(error.to_string())),
            };
            assert_eq!(explained["code"], json!(code), "{}", told(explained.to_string()));
            assert_eq!(explained["reason"], json!(reason), "{}", told(explained.to_string()));
            let steps = explained["steps"].as_array().unwrap();
            let first = steps.iter().find(|step| step["outcome"] == "failed").map(|step| step["check"].clone());
            assert_eq!(explained["failed_check"], json!(first), "{}", told(explained.to_string()));
            *refused.entry(explained["failed_check"].to_string()).or_default() += 1;
        }
        assert!(refused.len() > 8, "TERTULIA_SEED={seed}: few kinds were met: {refused:?}");
    });
}
