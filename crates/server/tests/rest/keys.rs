//! /2010-04-01/Accounts/{AccountSid}/Keys.json and SigningKeys.json.

use std::sync::Arc;

use serde_json::json;
use tertulia_protocol::Sid;
use tertulia_server::keys::Kind;
use tertulia_server::keys::commands::CreateKey;
use tertulia_server::platform::sealed::TryKeys;
use tertulia_server::platform::{AccountNumber, Caller};
use tertulia_server::seal::{SealKey, Sealer};
use tertulia_server::sealing::COLUMNS;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_key_lives_and_dies,
    a_restricted_key_does_what_its_policy_says,
    what_is_sealed_late_with_an_old_key_is_sealed_anew,
}
on_sqlite! {
    the_newer_form_has_the_documented_shape,
    a_restricted_key_signs_no_tokens,
    policies_and_kinds_are_checked,
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

fn a_restricted_key_does_what_its_policy_says(world: &World) {
    let policy = json!({"allow": ["/twilio/conversations/conversations/read", "/twilio/of/another/product"]});
    let form = [
        ("AccountSid", world.account.as_str()),
        ("FriendlyName", "reader"),
        ("KeyType", "restricted"),
        ("Policy", &policy.to_string()),
    ];
    let made = world.owner.post("/v1/Keys", &form).is(201);
    assert_fields("IamCreateNewKey", &made);
    assert_eq!(made["policy"], policy, "what is not known is kept");
    let room = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
    let reader = world.with_credentials(&sid(&made), made["secret"].as_str().unwrap());
    reader.get(&room).is(200);
    let message = reader.get("/v1/Conversations").refuses(401, 20003);
    assert!(message.contains("/twilio/conversations/conversations/list"), "{message}");
    let path = format!("/v1/Keys/{}", sid(&made));
    let fetched = world.owner.get(&path).is(200);
    assert_fields("IamFetchKey", &fetched);
    let wider = json!({"allow": ["/twilio/conversations/conversations/list"]}).to_string();
    let updated = world.owner.post(&path, &[("Policy", wider.as_str())]).is(200);
    assert_eq!(updated["policy"].to_string(), wider);
    assert_eq!(updated["friendly_name"], "reader");
    reader.get("/v1/Conversations").is(200);
    reader.get(&room).refuses(401, 20003);
    world.owner.delete(&path).is(204);
    reader.get("/v1/Conversations").refuses(401, 20003);
}

fn the_newer_form_has_the_documented_shape(world: &World) {
    let account = [("AccountSid", world.account.as_str())];
    let standard = world.owner.post("/v1/Keys", &account).is(201);
    assert_fields("IamCreateNewKey", &standard);
    assert_eq!(
        (standard["policy"].is_null(), &standard["date_created"]),
        (true, &"Fri, 02 Jan 2026 03:04:05 +0000".into())
    );
    let policy = r#"{"allow":[]}"#;
    let form = [account[0], ("KeyType", "Restricted"), ("Policy", policy)];
    let restricted = world.owner.post("/v1/Keys", &form).is(201);
    let list = world.owner.get(&format!("/v1/Keys?AccountSid={}", world.account)).is(200);
    assert_eq!(list["meta"]["key"], "keys");
    let url = list["meta"]["first_page_url"].as_str().unwrap();
    assert!(url.ends_with(&format!("/v1/Keys?AccountSid={}&PageSize=50&Page=0", world.account)), "{url}");
    let row = |key: &serde_json::Value| {
        let rows = list["keys"].as_array().unwrap();
        rows.iter().find(|row| row["sid"] == key["sid"]).expect("a row").clone()
    };
    assert_fields("IamListGetKeys", &row(&standard));
    assert_eq!(row(&standard)["flags"], json!(["rest_api", "signing"]));
    assert_eq!(row(&restricted)["flags"], json!(["rest_api"]));
    // Both forms show the same keys.
    world.owner.get(&format!("/2010-04-01/Accounts/{}/Keys/{}.json", world.account, sid(&restricted))).is(200);
    world.owner.get("/v1/Keys").refuses(400, 20001);
    world.owner.get("/v1/Keys?AccountSid=AC1").refuses(400, 20001);
    world.key.get(&format!("/v1/Keys?AccountSid={}", world.account)).refuses(401, 20003);
}

fn a_restricted_key_signs_no_tokens(world: &World) {
    let policy = r#"{"allow":["/twilio/conversations/conversations/read"]}"#;
    let form = [("AccountSid", world.account.as_str()), ("KeyType", "restricted"), ("Policy", policy)];
    let made = world.owner.post("/v1/Keys", &form).is(201);
    let dev = tertulia_server::dev::DevCredentials {
        key: sid(&made).parse().unwrap(),
        secret: made["secret"].as_str().unwrap().to_owned(),
        ..tertulia_server::dev::DevCredentials::fixed()
    };
    let now = tertulia_protocol::Timestamp::parse(crate::support::BEGIN).unwrap().seconds();
    world.play(async {
        let token = dev.mint("ana", now).unwrap();
        let refused = tertulia_client::Client::connect(&world.uri(), token).await.unwrap_err();
        assert_eq!(refused.code(), Some(20103));
    });
}

fn policies_and_kinds_are_checked(world: &World) {
    let create = |form: &[(&str, &str)]| {
        let form: Vec<_> = [&[("AccountSid", world.account.as_str())], form].concat();
        world.owner.post("/v1/Keys", &form)
    };
    let fine = r#"{"allow":["/twilio/x"]}"#;
    create(&[("KeyType", "restricted")]).refuses(400, 20001);
    create(&[("KeyType", "main")]).refuses(400, 20001);
    create(&[("KeyType", "golden"), ("Policy", fine)]).refuses(400, 20001);
    create(&[("Policy", fine)]).refuses(400, 20001);
    create(&[("KeyType", "restricted"), ("Policy", "allow all")]).refuses(400, 20001);
    create(&[("KeyType", "restricted"), ("Policy", r#"{"allow":["twilio"]}"#)]).refuses(400, 20001);
    let many = json!({"allow": vec!["/twilio/x"; 101]}).to_string();
    create(&[("KeyType", "restricted"), ("Policy", &many)]).refuses(400, 20001);
    let standard = create(&[]).is(201);
    world.owner.post(&format!("/v1/Keys/{}", sid(&standard)), &[("Policy", fine)]).refuses(400, 20001);
    world.owner.post("/v1/Keys", &[]).refuses(400, 20001);
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

#[test]
fn an_account_has_a_bounded_number_of_keys() {
    let world = &World::sqlite_with(|config| config.limits.keys_max = 3);
    let keys = format!("/2010-04-01/Accounts/{}/Keys", world.account);
    let create = || world.owner.post(&format!("{keys}.json"), &[]);
    // One is there from the beginning; both forms and both names count the same keys.
    let first = sid(&create().is(201));
    world.owner.post("/v1/Keys", &[("AccountSid", &world.account)]).is(201);
    let message = create().refuses(409, 20409);
    assert!(message.contains("limits.keys_max"), "{message}");
    world.owner.post("/v1/Keys", &[("AccountSid", &world.account)]).refuses(409, 20409);
    world.owner.post(&keys.replace("/Keys", "/SigningKeys.json"), &[]).refuses(409, 20409);
    // Another account's are its own.
    world.tenant.post(&format!("/2010-04-01/Accounts/AC{:032x}/Keys.json", 0x7e_4a47), &[]).is(201);
    world.owner.delete(&format!("{keys}/{first}.json")).is(204);
    create().is(201);
    create().refuses(409, 20409);
}

/// A change that began before the key changed comes in late, sealed with the old key: nothing may be given up
/// before that is found.
fn what_is_sealed_late_with_an_old_key_is_sealed_anew(world: &World) {
    let app = Arc::clone(world.app());
    let late = CreateKey {
        sid: None,
        secret: None,
        kind: Kind::Standard,
        friendly_name: "late".to_owned(),
        policy: None,
        ring: app.sealer.ring(),
    };
    let new = SealKey::new([8; 32]);
    app.sealer.take_up(&[new.clone(), SealKey::new([7; 32])]);
    let operator = world.operator.clone();
    let rotation = std::thread::spawn(move || operator.post("/tertulia/v1/SealRotation", &[]).is(200));
    let (key, secret) = world.play(async {
        let account = Sid::parse(&world.account).expect("a SID");
        app.db.perform(&Caller::system(AccountNumber(1), account), late).await.expect("a key")
    });
    rotation.join().expect("the rotation comes to its end");
    world.play(async {
        for column in COLUMNS {
            let ring = Sealer::new(std::slice::from_ref(&new)).ring();
            let tried = app.db.ask(&Caller::nobody(), TryKeys { column, ring }).await.expect("an answer");
            tried.expect("the new key alone opens everything");
        }
    });
    world.with_credentials(key.sid.as_str(), &secret).get("/v1/Services").is(200);
}
