//! Bringing a world in: who may, all or nothing, and again.

use serde_json::{Value, json};

use crate::support::{World, on_both_engines};

on_both_engines! {
    what_is_brought_in_works_under_its_own_names,
    an_import_that_fails_leaves_nothing,
}

const IMPORTS: &str = "/tertulia/v1/Imports";
const ACCOUNT: &str = "AC11111111111111111111111111111111";
const KEY: &str = "SK11111111111111111111111111111111";
const SERVICE: &str = "IS11111111111111111111111111111111";
const AUTH_TOKEN: &str = "abcdefabcdefabcdefabcdefabcdef12";
const SECRET: &str = "a-secret-that-was-made-elsewhere";

fn the_world() -> Value {
    json!({
        "accounts": [{"sid": ACCOUNT, "friendly_name": "From elsewhere", "auth_token": AUTH_TOKEN}],
        "keys": [{"sid": KEY, "account_sid": ACCOUNT, "secret": SECRET}],
        "services": [
            {"sid": SERVICE, "account_sid": ACCOUNT},
            {"sid": "IS22222222222222222222222222222222", "account_sid": ACCOUNT, "friendly_name": "Support"},
        ],
        "roles": [{
            "sid": "RL11111111111111111111111111111111", "service_sid": SERVICE,
            "friendly_name": "guest", "type": "service", "permissions": ["joinConversation"],
        }],
    })
}

fn what_is_brought_in_works_under_its_own_names(world: &World) {
    let form = [("World", the_world().to_string())];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let made = world.operator.post(IMPORTS, &form).is(201);
    assert_eq!(made, json!({"accounts": 1, "keys": 1, "services": 2, "roles": 1}));
    let owner = world.with_credentials(ACCOUNT, AUTH_TOKEN);
    assert_eq!(owner.get("/v1/Configuration").is(200)["default_chat_service_sid"], SERVICE);
    assert_eq!(owner.get("/v1/Services/IS22222222222222222222222222222222").is(200)["friendly_name"], "Support");
    assert_eq!(owner.get("/v1/Roles/RL11111111111111111111111111111111").is(200)["friendly_name"], "guest");
    assert_eq!(owner.get(&format!("/v1/Keys/{KEY}")).is(200)["sid"], KEY);
    world.with_credentials(KEY, SECRET).get("/v1/Conversations").is(200);
    // Again: nothing is new, and nothing was changed.
    let again = world.operator.post(IMPORTS, &form).is(201);
    assert_eq!(again, json!({"accounts": 0, "keys": 0, "services": 0, "roles": 0}));
    let told = owner.get("/tertulia/v1/Audit").is(200).to_string();
    for event in ["account.created", "key.created", "role.created"] {
        assert!(told.contains(event), "{event}: {told}");
    }
    world.owner.post(IMPORTS, &form).refuses(404, 20404);
}

fn an_import_that_fails_leaves_nothing(world: &World) {
    let with = |change: fn(&mut Value)| {
        let mut brought = the_world();
        change(&mut brought);
        brought.to_string()
    };
    let wrong: [(String, u16, u64, &str); 8] = [
        (with(|world| world["keys"][0]["secret"] = "short".into()), 400, 20001, "The secret of SK1"),
        (with(|world| world["keys"][0]["type"] = "odd".into()), 400, 20001, "The type of SK1"),
        (with(|world| world["accounts"][0]["auth_token"] = "x".into()), 400, 20001, "The auth_token of AC1"),
        (with(|world| world["roles"][0]["permissions"] = json!(["fly"])), 400, 50104, "fly"),
        (
            with(|world| world["roles"][0]["service_sid"] = json!("IS33333333333333333333333333333333")),
            400,
            20001,
            "IS3",
        ),
        (
            with(|world| world["keys"][0]["account_sid"] = json!("AC33333333333333333333333333333333")),
            400,
            20001,
            "AC3",
        ),
        (with(|world| world["odd"] = json!([])), 400, 20001, "odd"),
        ("{".to_owned(), 400, 20001, "not JSON"),
    ];
    for (brought, status, code, says) in wrong {
        let message = world.operator.post(IMPORTS, &[("World", &brought)]).refuses(status, code);
        assert!(message.contains(says), "{message}");
    }
    // Somebody else's things.
    let mut brought = the_world();
    brought["services"][0]["sid"] = world.service.clone().into();
    let message = world.operator.post(IMPORTS, &[("World", &brought.to_string())]).refuses(409, 20409);
    assert!(message.contains(&world.service), "{message}");
    let mut brought = the_world();
    brought["keys"][0]["sid"] = world.dev_key().0.into();
    world.operator.post(IMPORTS, &[("World", &brought.to_string())]).refuses(409, 20409);
    world.with_credentials(ACCOUNT, AUTH_TOKEN).get("/v1/Conversations").refuses(401, 20003);
    world.operator.get(&format!("/tertulia/v1/Accounts/{ACCOUNT}")).refuses(404, 20404);
}
