//! Tokens for backends, API tokens, and whose an identity is.

use serde_json::Value;
use tertulia_server::platform::Clock;

use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines! { a_backend_gets_a_token_for_whom_it_names, api_tokens_live_and_die }
on_sqlite! {
    a_backend_chooses_service_role_and_time,
    what_makes_no_token_is_refused,
    a_key_of_the_servers_own_signs_and_is_made_again_when_it_is_deleted,
}

const TOKENS: &str = "/tertulia/v1/Tokens";
const API_TOKENS: &str = "/tertulia/v1/ApiTokens";

/// What a token says, without checking it: the door does that.
pub(super) fn claims(token: &Value) -> Value {
    use base64::Engine as _;
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn a_backend_gets_a_token_for_whom_it_names(world: &World) {
    let answer = world.key.post(TOKENS, &[("Identity", "ana")]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.is(201);
    let now = world.clock().machine().seconds();
    assert_eq!((body["identity"].as_str(), body["service_sid"].as_str()), (Some("ana"), Some(world.service.as_str())));
    assert_eq!((body["server_time"].as_i64(), body["expires_at"].as_i64()), (Some(now), Some(now + 14_400)));
    assert!((now + 7_200..=now + 11_520).contains(&body["refresh_after"].as_i64().unwrap()));
    let claims = claims(&body["token"]);
    let parts: Vec<_> = claims["jti"].as_str().unwrap().split('-').collect();
    assert_eq!((parts[0], parts[1], parts[2].len()), (claims["iss"].as_str().unwrap(), now.to_string().as_str(), 16));
    let second = world.key.post(TOKENS, &[("Identity", "ana")]).is(201);
    assert_ne!(second["token"], body["token"], "two tokens of one second are two");
    world.play(async {
        let token = body["token"].as_str().unwrap().to_owned();
        let client = tertulia_client::Client::connect(&world.uri(), token).await.expect("the door is open");
        drop(client);
    });
    assert_eq!(world.owner.get("/v1/Users/ana").is(200)["identity"], "ana");
}

fn a_backend_chooses_service_role_and_time(world: &World) {
    let service = world.second_service();
    let roles = world.owner.get(&format!("/v1/Services/{service}/Roles")).is(200)["roles"].clone();
    let admin = roles.as_array().unwrap().iter().find(|role| role["friendly_name"] == "service admin").unwrap();
    let form = [("Identity", "名前"), ("ServiceSid", &service), ("RoleSid", "service admin"), ("Ttl", "60")];
    let body = world.owner.post(TOKENS, &form).is(201);
    assert_eq!(body["expires_at"].as_i64().unwrap() - body["server_time"].as_i64().unwrap(), 60);
    let grants = claims(&body["token"])["grants"].clone();
    assert_eq!((&grants["identity"], &grants["chat"]["service_sid"]), (&"名前".into(), &service.into()));
    assert_eq!(grants["chat"]["deployment_role_sid"], admin["sid"]);
}

fn what_makes_no_token_is_refused(world: &World) {
    let nowhere = format!("IS{}", "0".repeat(32));
    for (form, status, code) in [
        (&[][..], 400, 20001),
        (&[("Identity", "system")], 400, 20001),
        (&[("Identity", "ana"), ("Ttl", "0")], 400, 20001),
        (&[("Identity", "ana"), ("Ttl", "86401")], 400, 20001),
        (&[("Identity", "ana"), ("Ttl", "1h")], 400, 20001),
        (&[("Identity", "ana"), ("ServiceSid", "IS1")], 400, 20001),
        (&[("Identity", "ana"), ("ServiceSid", &nowhere)], 404, 20404),
        (&[("Identity", "ana"), ("RoleSid", "channel admin")], 400, 50102),
        (&[("Identity", "ana"), ("PushCredentialSid", "x")], 400, 20001),
    ] {
        world.key.post(TOKENS, form).refuses(status, code);
    }
    world.key.get(TOKENS).refuses(405, 20004);
}

fn a_key_of_the_servers_own_signs_and_is_made_again_when_it_is_deleted(world: &World) {
    let keys = format!("/2010-04-01/Accounts/{}/Keys", world.account);
    let mint = || claims(&world.key.post(TOKENS, &[("Identity", "ana")]).is(201)["token"])["iss"].clone();
    let first = mint();
    assert_eq!(mint(), first);
    let key = world.owner.get(&format!("{keys}/{}.json", first.as_str().unwrap())).is(200);
    assert_eq!(
        (key["friendly_name"].as_str(), sid(&key)),
        (Some("Token endpoint"), first.as_str().unwrap().to_owned())
    );
    world.owner.delete(&format!("{keys}/{}.json", first.as_str().unwrap())).is(204);
    assert_ne!(mint(), first);
    assert_eq!(mint(), mint());
}

fn api_tokens_live_and_die(world: &World) {
    let form = [("Subject", "sensor 7"), ("Facts", "{\"model\":  1}"), ("FriendlyName", "hall")];
    let made = world.owner.post(API_TOKENS, &form).is(201);
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("tt_") && token.len() == 52, "{token}");
    let list = world.owner.get(API_TOKENS).is(200);
    let listed = &list["api_tokens"][0];
    assert_eq!((listed["subject"].as_str(), &listed["facts"]["model"]), (Some("sensor 7"), &1.into()));
    assert!(listed.get("token").is_none() && !list.to_string().contains(token));
    world.key.post(API_TOKENS, &form).refuses(401, 20003);
    world.key.get(API_TOKENS).refuses(401, 20003);
    let path = format!("{API_TOKENS}/{}", made["id"].as_str().unwrap());
    world.tenant.delete(&path).refuses(404, 20404);
    world.owner.delete(&path).is(204);
    world.owner.delete(&path).refuses(404, 20404);
    let long = "x".repeat(257);
    for form in [
        &[][..],
        &[("Subject", "")],
        &[("Subject", &long)],
        &[("Subject", "x"), ("Facts", "[]")],
        &[("Subject", "x"), ("Facts", "{")],
        &[("Subject", "x"), ("DateExpires", "2020-01-01T00:00:00Z")],
        &[("Subject", "x"), ("DateExpires", "soon")],
    ] {
        world.owner.post(API_TOKENS, form).refuses(400, 20001);
    }
}

impl World {
    /// The clock of this world.
    pub(super) fn clock(&self) -> &Clock {
        &self.app().db.clock
    }
}
