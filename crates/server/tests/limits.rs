//! How much an account and an address may ask for: reached, told, and over when time has passed.

use tertulia_client::{Client, ConnectError, Options};
use tertulia_server::platform::Config;
use tertulia_token::{ChatGrant, Mint, Secret};

use crate::support::{Actor, Answer, World, sid};

fn told_to_wait(answer: Answer, seconds: &str) {
    assert_eq!(answer.header("retry-after"), Some(seconds));
    answer.refuses(429, 20429);
}

#[test]
fn an_account_has_so_many_requests_and_another_has_its_own() {
    let world = World::sqlite_with(|config| {
        config.limits.requests_per_second = 1;
        config.limits.requests_burst = 3;
    });
    for _ in 0..2 {
        world.owner.get("/v1/Conversations").is(200);
    }
    world.key.get("/v1/Conversations").is(200);
    told_to_wait(world.owner.get("/v1/Conversations"), "1");
    told_to_wait(world.key.post("/v1/Conversations", &[]), "1");
    world.tenant.get("/v1/Conversations").is(200);
    world.pass(1);
    let list = world.owner.get("/v1/Conversations").is(200);
    assert_eq!(list["conversations"], serde_json::json!([]), "what was refused did nothing");
    told_to_wait(world.owner.get("/v1/Conversations"), "1");
}

#[test]
fn an_address_has_so_many_requests_whoever_asks_and_another_has_its_own() {
    let world = World::sqlite_with(|config| {
        config.http.requests_per_address_per_second = 2;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let from =
        |address: &'static str| move |actor: &Actor| actor.with("X-Forwarded-For", address).get("/v1/Conversations");
    let (here, elsewhere) = (from("203.0.113.1"), from("203.0.113.2"));
    for actor in [&world.owner, &world.tenant, &world.key] {
        here(actor).is(200);
    }
    here(&world.stranger).refuses(401, 20003);
    for actor in [&world.owner, &world.tenant, &world.stranger] {
        told_to_wait(here(actor), "1");
    }
    elsewhere(&world.owner).is(200);
    world.pass(1);
    here(&world.owner).is(200);
}

#[test]
fn who_guesses_waits_and_so_does_everybody_at_that_address() {
    let set = |config: &mut Config| {
        config.http.failed_authentications_per_minute = 3;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let world = World::without_dev_mode(set);
    let from = |address: &str| world.tenant.with("X-Forwarded-For", address);
    let guess = || world.with_credentials(&world.account, "a guess").with("X-Forwarded-For", "203.0.113.1");
    for _ in 0..5 {
        world.stranger.with("X-Forwarded-For", "203.0.113.1").get("/v1/Conversations").refuses(401, 20003);
        from("203.0.113.1").get("/v1/Conversations").is(200);
    }
    for _ in 0..3 {
        guess().get("/v1/Conversations").refuses(401, 20003);
    }
    told_to_wait(guess().get("/v1/Conversations"), "20");
    told_to_wait(from("203.0.113.1").get("/v1/Conversations"), "20");
    from("203.0.113.2").get("/v1/Conversations").is(200);
    world.pass(20);
    from("203.0.113.1").get("/v1/Conversations").is(200);
    guess().get("/v1/Conversations").refuses(401, 20003);
    told_to_wait(guess().get("/v1/Conversations"), "20");
}

#[test]
fn an_account_has_so_many_connections_and_one_that_ends_leaves_its_place() {
    let world = World::sqlite_with(|config| config.limits.connections_per_account_max = 2);
    world.play(async {
        let first = world.client("ana").await;
        let second = world.client("bruno").await;
        let (uri, token) = (world.uri(), world.token("carla"));
        let refused = Client::connect_with(&uri, token.clone(), Options::once()).await.err();
        let Some(ConnectError::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert_eq!((refusal.status, refusal.code), (429, Some(20429)));
        assert!(refusal.to_string().contains("limits.connections_per_account_max"), "{refusal}");
        // A new token of somebody who is in takes no second place.
        second.update_token(&world.token("bruno")).await.expect("an update");
        first.close().await;
        let free = async { while Client::connect_with(&uri, token.clone(), Options::once()).await.is_err() {} };
        let twenty = std::time::Duration::from_secs(20);
        tokio::time::timeout(twenty, free).await.expect("a place that was left is free");
    });
}

/// A token of the other account, of a key that it makes.
fn tenants_token(world: &World, identity: &str) -> String {
    let account = sid(&world.tenant.get("/2010-04-01/Accounts.json").is(200)["accounts"][0]);
    let key = world.tenant.post(&format!("/2010-04-01/Accounts/{account}/Keys.json"), &[]).is(201);
    let service =
        world.tenant.get("/v1/Configuration").is(200)["default_chat_service_sid"].as_str().unwrap().to_owned();
    let secret = Secret::new(key["secret"].as_str().unwrap());
    let mint = Mint::new(account, sid(&key), &secret).identity(identity).grant(ChatGrant::new(service)).ttl(3600);
    mint.sign(world.seconds(), [7; 8]).unwrap().token
}

#[test]
fn an_account_that_is_full_takes_nothing_from_another() {
    let world = World::sqlite_with(|config| config.limits.connections_per_account_max = 1);
    let enter = async |token: String| Client::connect_with(&world.uri(), token, Options::once()).await;
    let (ana, other) = (tenants_token(&world, "ana"), tenants_token(&world, "other"));
    world.play(async {
        let first = world.client("ana").await;
        assert!(enter(world.token("bruno")).await.is_err(), "the owner's account is full");
        // The same identity elsewhere is somebody else, with a place of that account.
        let elsewhere = enter(ana).await.expect("the other account has room");
        assert!(enter(other).await.is_err(), "and is full now");
        for client in [&first, &elsewhere] {
            client.conversations().await.expect("who is in stays in");
        }
        // A place that the one leaves is not the other's.
        elsewhere.close().await;
        assert!(enter(world.token("bruno")).await.is_err());
        first.conversations().await.expect("who is in stays in");
    });
}
