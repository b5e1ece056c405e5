//! /2010-04-01/Accounts/{AccountSid}/Keys.json and SigningKeys.json.

use serde_json::json;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! { a_key_lives_and_dies }
on_sqlite! {
    signing_keys_are_the_same_keys,
    the_list_has_the_shape_of_2010,
    a_standard_key_manages_no_keys,
    the_account_in_the_path_is_the_callers_own,
    names_have_limits,
}

fn a_key_lives_and_dies(world: &World) {
    let keys = format!("/2010-04-01/Accounts/{}/Keys", world.account);
    let created = world.owner.post(&format!("{keys}.json"), &[("FriendlyName", "ci")]).is(201);
    assert_fields("CreateNewKey", &created);
    let secret = created["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32);
    assert_eq!(created["date_created"], "Fri, 02 Jan 2026 03:04:05 +0000");
    let user = world.with_credentials(&sid(&created), secret);
    user.get("/v1/Conversations").is(200);
    world.with_credentials(&sid(&created), "wrong").get("/v1/Conversations").refuses(401, 20003);
    let path = format!("{keys}/{}.json", sid(&created));
    let fetched = world.owner.get(&path).is(200);
    assert_fields("FetchKey", &fetched);
    assert_eq!(fetched["friendly_name"], "ci");
    world.pass(1);
    let renamed = world.owner.post(&path, &[("FriendlyName", "cd")]).is(200);
    assert_fields("FetchKey", &renamed);
    assert_eq!(renamed["date_updated"], "Fri, 02 Jan 2026 03:04:06 +0000");
    assert_eq!(world.owner.post(&path, &[]).is(200)["friendly_name"], "cd");
    world.owner.delete(&path).is(204);
    user.get("/v1/Conversations").refuses(401, 20003);
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
}

fn signing_keys_are_the_same_keys(world: &World) {
    let account = format!("/2010-04-01/Accounts/{}", world.account);
    let created = world.owner.post(&format!("{account}/SigningKeys.json"), &[]).is(201);
    assert_fields("CreateNewSigningKey", &created);
    let fetched = world.owner.get(&format!("{account}/Keys/{}.json", sid(&created))).is(200);
    assert_fields("FetchSigningKey", &fetched);
    let list = world.owner.get(&format!("{account}/SigningKeys.json")).is(200);
    assert!(list["signing_keys"].as_array().unwrap().contains(&fetched));
    world.owner.delete(&format!("{account}/SigningKeys/{}.json", sid(&created))).is(204);
}

fn the_list_has_the_shape_of_2010(world: &World) {
    let path = format!("/2010-04-01/Accounts/{}/Keys.json", world.account);
    for name in ["a", "b"] {
        world.owner.post(&path, &[("FriendlyName", name)]).is(201);
    }
    let list = world.owner.get(&path).is(200);
    let keys: Vec<_> = list.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted =
        ["end", "first_page_uri", "keys", "next_page_uri", "page", "page_size", "previous_page_uri", "start", "uri"];
    assert_eq!(keys, wanted);
    assert_eq!(list["uri"], format!("{path}?PageSize=50&Page=0"));
    assert_eq!((&list["start"], &list["end"]), (&json!(0), &json!(2)));
    let mut next = Some(format!("{path}?PageSize=1"));
    let mut seen = Vec::new();
    while let Some(uri) = next {
        let page = world.owner.get(&uri).is(200);
        seen.extend(page["keys"].as_array().unwrap().iter().map(sid));
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }
    let all: Vec<_> = list["keys"].as_array().unwrap().iter().map(sid).collect();
    assert_eq!(seen, all);
    assert_eq!(world.owner.get(&format!("{path}?PageSize=5000")).is(200)["page_size"], 1000);
}

fn a_standard_key_manages_no_keys(world: &World) {
    let path = format!("/2010-04-01/Accounts/{}/Keys.json", world.account);
    let message = world.key.get(&path).refuses(401, 20003);
    assert!(message.contains("Standard"), "{message}");
    world.key.post(&path, &[]).refuses(401, 20003);
    let own = format!("/2010-04-01/Accounts/{}/Keys/SK{}.json", world.account, "0".repeat(32));
    world.key.delete(&own).refuses(401, 20003);
    world.key.get("/v1/Services").is(200);
}

fn the_account_in_the_path_is_the_callers_own(world: &World) {
    let path = format!("/2010-04-01/Accounts/{}/Keys.json", world.account);
    world.tenant.get(&path).refuses(404, 20404);
    world.owner.get("/2010-04-01/Accounts/AC1/Keys.json").refuses(404, 20404);
    let upper = format!("/2010-04-01/Accounts/AC{}/Keys.json", world.account[2..].to_uppercase());
    world.owner.get(&upper).is(200);
}

fn names_have_limits(world: &World) {
    let path = format!("/2010-04-01/Accounts/{}/Keys.json", world.account);
    let create = |name: &str| world.owner.post(&path, &[("FriendlyName", name)]);
    create(&"é".repeat(64)).is(201);
    create(&"é".repeat(65)).refuses(400, 20001);
    create("a\0").refuses(400, 20001);
}
