//! /tertulia/v1/Audit, /Tokens/Introspect, /Tokens/Explain and /Keys/{Sid}/Evidence.

use std::time::Duration;

use serde_json::{Value, json};
use tertulia_client::Client;
use tertulia_protocol::Timestamp;
use tertulia_server::audit::commands::Minted;
use tertulia_server::tokens::KnownToken;
use tertulia_token::{ChatGrant, Mint, Secret};
use testkit::Wire;

use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines! {
    what_is_done_to_keys_roles_and_tokens_is_noted_with_whom_and_from_where,
    a_refused_token_is_noted_and_explained_to_its_owner_alone,
    a_key_shows_when_it_was_used_and_when_it_is_safe_to_delete,
}
on_sqlite! {
    nobody_but_a_proxy_says_where_something_came_from,
    a_token_is_introspected_by_its_owner_alone,
    a_token_is_explained_with_all_that_its_owner_has,
    the_list_has_pages_and_filters,
    the_log_is_for_those_who_manage_the_account,
    old_entries_go,
    what_is_old_or_dead_goes_at_the_next_start,
    refusals_of_one_account_are_bounded,
}

const AUDIT: &str = "/tertulia/v1/Audit";
pub(super) const EXPLAIN: &str = "/tertulia/v1/Tokens/Explain";
pub(super) const INTROSPECT: &str = "/tertulia/v1/Tokens/Introspect";

fn entries(world: &World, query: &str) -> Vec<Value> {
    world.owner.get(&format!("{AUDIT}?PageSize=1000&{query}")).is(200)["audit"].as_array().unwrap().clone()
}

/// Waits for what is noted in a quiet moment.
pub(super) async fn eventually(world: &World, query: &str, count: usize) -> Vec<Value> {
    for _ in 0..1000 {
        let found = entries(world, query);
        if found.len() >= count {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{count} entries of {query} are not there within ten seconds")
}

pub(super) fn keys(world: &World) -> String {
    format!("/2010-04-01/Accounts/{}/Keys", world.account)
}

pub(super) fn signed(world: &World, key: &str, secret: &str, identity: &str) -> String {
    let secret = Secret::new(secret);
    let mint = Mint::new(world.account.as_str(), key, &secret).identity(identity).ttl(3600);
    mint.grant(ChatGrant::new(world.service.as_str())).sign(world.seconds(), [7; 8]).unwrap().token
}

pub(super) async fn knock(world: &World, token: &str) {
    drop(Client::connect(&world.uri(), token.to_owned()).await);
}

fn what_is_done_to_keys_roles_and_tokens_is_noted_with_whom_and_from_where(world: &World) {
    let created = world.owner.post(&format!("{}.json", keys(world)), &[]).is(201);
    world.owner.post(&format!("{}/{}.json", keys(world), sid(&created)), &[("FriendlyName", "x")]).is(200);
    world.owner.delete(&format!("{}/{}.json", keys(world), sid(&created))).is(204);
    let role = [("FriendlyName", "x"), ("Type", "service"), ("Permission", "createConversation")];
    let role = sid(&world.key.post("/v1/Roles", &role).is(201));
    world.key.post("/v1/Users", &[("Identity", "ana")]).is(201);
    world.key.post("/v1/Users/ana", &[("RoleSid", &role)]).is(200);
    let entry = world.key.post("/tertulia/v1/Revocations", &[("Identity", "ana")]).is(201);
    // Accounts, auth tokens, roles, and what lets people in.
    let (one, talk) = (
        sid(&world
            .key
            .post("/v1/Roles", &[("FriendlyName", "y"), ("Type", "conversation"), ("Permission", "sendMessage")])
            .is(201)),
        sid(&world.conversation(&[])),
    );
    world.key.post(&format!("/v1/Roles/{one}"), &[("Permission", "leaveConversation")]).is(200);
    world.key.post(&format!("/v1/Conversations/{talk}/Participants"), &[("Identity", "ben")]).is(201);
    world.key.post(&format!("/v1/Conversations/{talk}/Participants/ben"), &[("RoleSid", &one)]).is(200);
    let other = sid(&world
        .key
        .post("/v1/Roles", &[("FriendlyName", "z"), ("Type", "conversation"), ("Permission", "sendMessage")])
        .is(201));
    world.key.delete(&format!("/v1/Roles/{other}")).is(204);
    world.owner.post(&format!("/2010-04-01/Accounts/{}.json", world.account), &[("FriendlyName", "x")]).is(200);
    world.owner.post("/v1/AuthTokens/Secondary", &[]).is(201);
    world.owner.delete("/v1/AuthTokens/Secondary").is(204);
    let api_token = world.owner.post("/tertulia/v1/ApiTokens", &[("Subject", "sensor")]).is(201);
    let id = api_token["id"].as_str().unwrap().to_owned();
    world.owner.delete(&format!("/tertulia/v1/ApiTokens/{id}")).is(204);
    for (event, target, count) in [
        ("role.updated", &one, 1),
        ("role.deleted", &other, 1),
        ("participant.role_changed", &one, 1),
        ("account.updated", &world.account, 1),
        ("auth_token.changed", &world.account, 2),
        ("api_token.created", &id, 1),
        ("api_token.deleted", &id, 1),
    ] {
        let found = entries(world, &format!("Event={event}"));
        assert_eq!(found.iter().filter(|entry| entry["target"] == json!(target)).count(), count, "{event}");
    }
    // A refused change leaves nothing.
    world.key.delete(&format!("/v1/Roles/{role}")).refuses(409, 20409);
    for (event, actor, target) in [
        ("key.created", "account", Some(sid(&created))),
        ("key.updated", "account", Some(sid(&created))),
        ("key.deleted", "account", Some(sid(&created))),
        ("role.created", &world.dev_key().0, Some(role.clone())),
        ("user.role_changed", &world.dev_key().0, Some(role)),
        ("revocation.created", &world.dev_key().0, Some(sid(&entry))),
    ] {
        let found = entries(world, &format!("Event={event}"));
        let found: Vec<_> = found.iter().filter(|entry| entry["target"] == json!(target)).collect();
        assert_eq!(found.len(), 1, "{event}");
        assert_eq!((&found[0]["actor"], &found[0]["address"]), (&json!(actor), &json!("127.0.0.1")), "{event}");
    }
    assert_eq!(entries(world, "Event=role.deleted").len(), 1);
    assert_eq!(entries(world, "Identity=ana").len(), 2);
    let text = Value::from(entries(world, "")).to_string();
    assert!(!text.contains(created["secret"].as_str().unwrap()) && !text.contains(&world.dev_key().1));
}

/// Over REST and through the websocket: the address that is noted is the connection's.
fn nobody_but_a_proxy_says_where_something_came_from(world: &World) {
    world.owner.with("X-Forwarded-For", "203.0.113.1").post(&format!("{}.json", keys(world)), &[]).is(201);
    world.play(async {
        let (key, _) = world.dev_key();
        let token = signed(world, &key, "another secret, not the one of the key", "ana");
        let address = world.origin.strip_prefix("http://").unwrap();
        let mut wire = Wire::open_with(address, None, "X-Forwarded-For: 203.0.113.1\r\n").await.unwrap();
        wire.init(&token).await.unwrap_err();
        eventually(world, "Event=token.refused", 1).await;
    });
    let noted = entries(world, "");
    for event in ["key.created", "token.refused"] {
        assert!(noted.iter().any(|entry| entry["event"] == event), "{event}");
    }
    let claims = |entry: &&Value| entry["address"].as_str().is_some_and(|address| address != "127.0.0.1");
    assert_eq!(noted.iter().find(claims), None);
}

fn a_refused_token_is_noted_and_explained_to_its_owner_alone(world: &World) {
    world.play(async {
        let (key, _) = world.dev_key();
        let token = signed(world, &key, "another secret, not the one of the key", "ana");
        knock(world, &token).await;
        let refused = &eventually(world, "Event=token.refused", 1).await[0];
        assert_eq!((&refused["code"], &refused["identity"]), (&json!(20107), &json!("ana")));
        assert_eq!((&refused["key_sid"], &refused["address"]), (&json!(key), &json!("127.0.0.1")));
        assert!(refused["detail"]["reason"].as_str().unwrap().contains("signature"), "{refused}");
        assert!(!refused["detail"]["changes"].as_array().unwrap().is_empty(), "{refused}");
        let explained = world.owner.post(EXPLAIN, &[("Refusal", &sid(refused))]).is(200);
        assert_eq!((&explained["code"], &explained["failed_check"]), (&json!(20107), &json!("signature")));
        world.tenant.post(EXPLAIN, &[("Refusal", &sid(refused))]).refuses(404, 20404);
        let made = entries(world, "Event=key.created");
        world.owner.post(EXPLAIN, &[("Refusal", &sid(&made[0]))]).refuses(400, 20001);
        // The token itself is nowhere.
        let signature = token.rsplit('.').next().unwrap();
        assert!(!Value::from(entries(world, "")).to_string().contains(signature));
        // What a deleted key signed finds its account all the same, and nonsense finds none.
        let gone = format!("SK{}", "9".repeat(32));
        knock(world, "nonsense").await;
        knock(world, &signed(world, &gone, "another secret, not the one of the key", "bruno")).await;
        let refused = eventually(world, "Event=token.refused", 2).await;
        assert_eq!(refused.len(), 2);
        assert!(refused.iter().any(|entry| entry["code"] == 20103 && entry["identity"] == "bruno"));
    });
}

fn a_key_shows_when_it_was_used_and_when_it_is_safe_to_delete(world: &World) {
    world.play(async {
        let created = world.owner.post(&format!("{}.json", keys(world)), &[]).is(201);
        let (key, secret) = (sid(&created), created["secret"].as_str().unwrap());
        let path = format!("/tertulia/v1/Keys/{key}/Evidence");
        let fresh = world.owner.get(&path).is(200);
        assert_eq!((&fresh["last_used"], &fresh["has_live_tokens"]), (&Value::Null, &json!(false)));
        world.pass(60);
        let _client = Client::connect(&world.uri(), signed(world, &key, secret, "ana")).await.unwrap();
        let used = world.owner.get(&path).is(200);
        assert_eq!((&used["last_used"], &used["connections"]), (&json!("2026-01-02T03:05:05Z"), &json!(1)));
        assert_eq!((&used["last_called"], &used["last_minted"]), (&Value::Null, &Value::Null));
        assert_eq!(used["latest_expiry"], "2026-01-02T04:05:05Z");
        assert_eq!(used["safe_to_delete_at"], "2026-01-02T04:05:10Z", "and the grace");
        world.with_credentials(&key, secret).get("/v1/Conversations").is(200);
        // A token that was minted here counts before anybody uses it.
        let app = world.app();
        let minted = Minted {
            source: "site",
            rule: "everybody",
            subject: "7",
            token: KnownToken {
                fingerprint: "1".to_owned(),
                jti: "SK-1-x".to_owned(),
                identity: "bruno".to_owned(),
                service: world.service.parse().unwrap(),
                key: key.parse().unwrap(),
                session: None,
                issued: Timestamp::parse("2026-01-02T03:00:00Z").unwrap(),
                expires: Timestamp::parse("2026-01-02T05:00:00Z").unwrap(),
            },
            address: None,
        };
        let system = world.system_soon().await;
        app.note_minted(&system, &minted).await.unwrap();
        let used = world.owner.get(&path).is(200);
        assert_eq!(used["last_called"], used["last_minted"]);
        assert_eq!(used["safe_to_delete_at"], "2026-01-02T05:00:05Z");
        let entry = &entries(world, "Event=token.minted")[0];
        assert_eq!((&entry["source"], &entry["rule"]), (&json!("site"), &json!("everybody")));
        assert_eq!((&entry["identity"], &entry["key_sid"]), (&json!("bruno"), &json!(key)));
        world.pass(3 * 3600);
        let dead = world.owner.get(&path).is(200);
        assert_eq!(dead["has_live_tokens"], false);
        world.tenant.get(&path).refuses(404, 20404);
    });
}

fn a_token_is_introspected_by_its_owner_alone(world: &World) {
    world.play(async {
        let (key, secret) = world.dev_key();
        let token = signed(world, &key, &secret, "ana");
        let _client = Client::connect(&world.uri(), token.clone()).await.unwrap();
        let good = world.owner.post(INTROSPECT, &[("Token", &token)]).is(200);
        assert_eq!((&good["active"], &good["identity"]), (&json!(true), &json!("ana")));
        assert_eq!((&good["service_sid"], &good["key_sid"]), (&json!(world.service), &json!(key)));
        assert_eq!(good["date_expires"], "2026-01-02T04:04:05Z");
        assert_eq!(good["connections"].as_array().unwrap().len(), 1, "{good}");
        let foreign = world.tenant.post(INTROSPECT, &[("Token", &token)]).is(200);
        assert_eq!((&foreign["active"], &foreign["identity"]), (&json!(false), &Value::Null));
        assert!(foreign["reason"].as_str().unwrap().contains("no key"), "{foreign}");
        world.owner.post("/tertulia/v1/Revocations", &[("Token", &token)]).is(201);
        let revoked = world.owner.post(INTROSPECT, &[("Token", &token)]).is(200);
        assert_eq!((&revoked["active"], &revoked["code"]), (&json!(false), &json!(20104)));
        assert_eq!(world.owner.post(INTROSPECT, &[("Token", "x")]).is(200)["code"], 20101);
    });
}

fn a_token_is_explained_with_all_that_its_owner_has(world: &World) {
    let (key, secret) = world.dev_key();
    let token = signed(world, &key, &secret, "ana");
    let explain = |token: &str| world.owner.post(EXPLAIN, &[("Token", token)]).is(200);
    let good = explain(&token);
    assert_eq!((&good["code"], &good["revoked"]), (&Value::Null, &Value::Null));
    assert!(good["steps"].as_array().unwrap().iter().all(|step| step["outcome"] == "passed"), "{good}");
    world.owner.post("/tertulia/v1/Revocations", &[("Token", &token)]).is(201);
    assert_eq!(explain(&token)["revoked"]["code"], 20104);
    let wrong = explain(&signed(world, &key, "another secret, not the one of the key", "ana"));
    assert_eq!(wrong["failed_check"], "signature");
    // To anybody else it is a token of an unknown key.
    let foreign = world.tenant.post(EXPLAIN, &[("Token", &token)]).is(200);
    assert_eq!(foreign["failed_check"], "key");
    assert!(!foreign.to_string().contains(&secret));
}

fn the_list_has_pages_and_filters(world: &World) {
    for _ in 0..3 {
        world.pass(10);
        world.owner.post("/tertulia/v1/Revocations", &[("Jti", "x")]).is(201);
    }
    let page = world.owner.get(&format!("{AUDIT}?PageSize=2&Event=revocation.created")).is(200);
    assert_eq!(page["audit"][0]["date_created"], "2026-01-02T03:04:35Z", "the newest first");
    let next = crate::support::path_of(page["meta"]["next_page_url"].as_str().unwrap()).to_owned();
    let rest = world.owner.get(&next).is(200);
    assert_eq!(rest["audit"].as_array().unwrap().len(), 1, "the filter goes along");
    assert_eq!(entries(world, "Event=revocation.created&StartDate=2026-01-02T03:04:20Z").len(), 2);
    assert_eq!(entries(world, "Event=revocation.created&EndDate=2026-01-02T03:04:20Z").len(), 1);
    let one = sid(&page["audit"][0]);
    assert_eq!(world.owner.get(&format!("{AUDIT}/{one}")).is(200), page["audit"][0]);
    world.owner.get(&format!("{AUDIT}?Event=nonsense")).refuses(400, 20001);
}

fn the_log_is_for_those_who_manage_the_account(world: &World) {
    world.key.get(AUDIT).refuses(401, 20003);
    world.key.get(&format!("/tertulia/v1/Keys/{}/Evidence", world.dev_key().0)).refuses(401, 20003);
    // Another account has its own.
    let foreign = world.tenant.get(AUDIT).is(200);
    let events: Vec<_> = foreign["audit"].as_array().unwrap().iter().map(|entry| &entry["event"]).collect();
    assert_eq!(events, [&json!("account.created")]);
}

fn old_entries_go(world: &World) {
    world.owner.post("/tertulia/v1/Revocations", &[("Jti", "x")]).is(201);
    world.pass(91 * 86_400);
    world.owner.post("/tertulia/v1/Revocations", &[("Jti", "y")]).is(201);
    until("only the new entry is left", || {
        let left = entries(world, "");
        left.len() == 1 && left[0]["jti"] == "y"
    });
}

fn what_is_old_or_dead_goes_at_the_next_start(_: &World) {
    let folder = testkit::temp_dir();
    let revocations = "/tertulia/v1/Revocations";
    let world = World::in_folder(folder.path());
    // The next one begins where this one did, which is 91 days after this.
    world.pass(-91 * 86_400);
    world.owner.post(revocations, &[("Jti", "x")]).is(201);
    assert_eq!(entries(&world, "Event=revocation.created").len(), 1);
    assert_eq!(world.owner.get(revocations).is(200)["revocations"].as_array().unwrap().len(), 1);
    drop(world);
    let world = World::in_folder(folder.path());
    until("the old entries are gone", || {
        let dead = world.owner.get(revocations).is(200)["revocations"].as_array().unwrap().len();
        (dead, entries(&world, "Event=revocation.created").len()) == (0, 0)
    });
}

/// Asks again and again, for ten seconds at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

fn refusals_of_one_account_are_bounded(world: &World) {
    world.play(async {
        let token = signed(world, &world.dev_key().0, "another secret, not the one of the key", "ana");
        for _ in 0..120 {
            knock(world, &token).await;
        }
        let noted = eventually(world, "Event=token.refused", 100).await;
        assert_eq!(noted.len(), 100);
        assert!(noted.iter().any(|entry| entry["detail"]["more_in_this_minute_are_not_noted"] == true));
    });
}
