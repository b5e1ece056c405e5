//! /2010-04-01/Accounts.json, /v1/AuthTokens, and /tertulia/v1/Accounts for whoever runs the server.

use serde_json::Value;

use crate::support::{Actor, World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_parent_makes_renames_suspends_and_closes_a_subaccount,
    auth_tokens_are_changed_without_a_gap,
    the_operator_keeps_accounts_and_gives_main_keys,
}
on_sqlite! {
    accounts_are_listed_with_their_filters,
    a_subaccount_reaches_neither_its_parent_nor_its_siblings,
    a_subaccount_follows_its_parent,
    nobody_changes_the_own_status,
    the_operator_says_for_which_account,
    names_and_statuses_are_checked,
}

const ACCOUNTS: &str = "/2010-04-01/Accounts";

fn subaccount(world: &World) -> (Value, Actor) {
    let made = world.owner.post(&format!("{ACCOUNTS}.json"), &[("FriendlyName", "sub")]).is(201);
    let actor = world.with_credentials(&sid(&made), made["auth_token"].as_str().unwrap());
    (made, actor)
}

fn path(account: &Value) -> String {
    format!("{ACCOUNTS}/{}.json", sid(account))
}

fn a_parent_makes_renames_suspends_and_closes_a_subaccount(world: &World) {
    let (made, sub) = subaccount(world);
    assert_fields("FetchAccount", &made);
    assert_eq!(
        (&made["owner_account_sid"], &made["status"], &made["type"]),
        (&world.account.clone().into(), &"active".into(), &"Full".into())
    );
    assert_eq!(made["uri"], path(&made));
    assert_eq!(made["subresource_uris"]["keys"], format!("{ACCOUNTS}/{}/Keys.json", sid(&made)));
    assert_eq!(made["auth_token"].as_str().unwrap().len(), 32);
    assert_eq!(made["date_created"], "Fri, 02 Jan 2026 03:04:05 +0000");

    // It is born with everything that an account has, and sees nothing of the parent's.
    world.conversation(&[]);
    sub.get("/v1/Configuration").is(200);
    assert_eq!(sub.get("/v1/Conversations").is(200)["conversations"].as_array().unwrap().len(), 0);
    assert_eq!(sub.get("/v1/Roles").is(200)["roles"].as_array().unwrap().len(), 4);

    // The parent manages its keys.
    let keys = format!("{ACCOUNTS}/{}/Keys.json", sid(&made));
    let key = world.owner.post(&keys, &[]).is(201);
    let with_key = world.with_credentials(&sid(&key), key["secret"].as_str().unwrap());
    with_key.get("/v1/Conversations").is(200);
    assert_eq!(sub.get(&keys).is(200)["keys"][0]["sid"], key["sid"]);

    world.pass(1);
    let renamed = world.owner.post(&path(&made), &[("FriendlyName", "renamed")]).is(200);
    assert_eq!(
        (&renamed["friendly_name"], &renamed["date_updated"]),
        (&"renamed".into(), &"Fri, 02 Jan 2026 03:04:06 +0000".into())
    );
    assert_eq!(sub.post(&path(&made), &[("FriendlyName", "own")]).is(200)["friendly_name"], "own");

    world.owner.post(&path(&made), &[("Status", "Suspended")]).is(200);
    for refused in [&sub, &with_key] {
        refused.get("/v1/Conversations").refuses(401, 20005);
        refused.get(&path(&made)).refuses(401, 20005);
    }
    world.owner.post(&path(&made), &[("Status", "active")]).is(200);
    sub.get("/v1/Conversations").is(200);
    assert_eq!(world.owner.post(&path(&made), &[("Status", "closed")]).is(200)["status"], "closed");
    with_key.get("/v1/Conversations").refuses(401, 20005);
    world.owner.post(&path(&made), &[("Status", "active")]).refuses(400, 20001);
    assert_eq!(world.owner.get(&path(&made)).is(200)["status"], "closed");
}

fn accounts_are_listed_with_their_filters(world: &World) {
    let (first, _) = subaccount(world);
    let (second, sub) = subaccount(world);
    world.owner.post(&path(&second), &[("FriendlyName", "second"), ("Status", "suspended")]).is(200);
    let listed = |query: &str| {
        let list = world.owner.get(&format!("{ACCOUNTS}.json{query}")).is(200);
        list["accounts"].as_array().unwrap().iter().map(sid).collect::<Vec<_>>()
    };
    let own = world.account.clone();
    let mut all = listed("");
    all.sort();
    let mut expected = vec![own.clone(), sid(&first), sid(&second)];
    expected.sort();
    assert_eq!(all, expected);
    assert_eq!(listed("?FriendlyName=second"), [sid(&second)]);
    assert_eq!(listed("?Status=suspended"), [sid(&second)]);
    assert_eq!(listed("?FriendlyName=sub&Status=suspended"), Vec::<String>::new());
    world.owner.get(&format!("{ACCOUNTS}.json?Status=asleep")).refuses(400, 20001);
    // Page by page, filters kept.
    let mut next = Some(format!("{ACCOUNTS}.json?Status=active&PageSize=1"));
    let mut seen = Vec::new();
    while let Some(uri) = next {
        let page = world.owner.get(&uri).is(200);
        seen.extend(page["accounts"].as_array().unwrap().iter().map(sid));
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }
    seen.sort();
    let mut active = vec![own, sid(&first)];
    active.sort();
    assert_eq!(seen, active);
    sub.get(&format!("{ACCOUNTS}.json")).refuses(401, 20005);
}

fn a_subaccount_reaches_neither_its_parent_nor_its_siblings(world: &World) {
    let (_, sub) = subaccount(world);
    let (sibling, _) = subaccount(world);
    let tenant = sid(&world.tenant.get(&format!("{ACCOUNTS}.json")).is(200)["accounts"][0]);
    for other in [&world.account, &sid(&sibling), &tenant] {
        sub.get(&format!("{ACCOUNTS}/{other}.json")).refuses(404, 20404);
        sub.post(&format!("{ACCOUNTS}/{other}.json"), &[("Status", "closed")]).refuses(404, 20404);
        sub.get(&format!("{ACCOUNTS}/{other}/Keys.json")).refuses(404, 20404);
        sub.get(&format!("/v1/Keys?AccountSid={other}")).refuses(404, 20404);
        sub.post("/v1/Keys", &[("AccountSid", other)]).refuses(404, 20404);
    }
    let own = sub.get(&format!("{ACCOUNTS}.json")).is(200);
    assert_eq!(own["accounts"].as_array().unwrap().len(), 1);
    sub.post(&format!("{ACCOUNTS}.json"), &[]).refuses(403, 20006);
    world.tenant.get(&path(&sibling)).refuses(404, 20404);
}

fn a_subaccount_follows_its_parent(world: &World) {
    let (_, sub) = subaccount(world);
    let parent = format!("/tertulia/v1/Accounts/{}", world.account);
    world.operator.post(&parent, &[("Status", "suspended")]).is(200);
    sub.get("/v1/Conversations").refuses(401, 20005);
    world.owner.get("/v1/Conversations").refuses(401, 20005);
    world.play(async {
        let refused = tertulia_client::Client::connect(&world.uri(), world.token("ana")).await.unwrap_err();
        assert_eq!(refused.code(), Some(20103), "tokens of a suspended account are worth nothing");
    });
    world.operator.post(&parent, &[("Status", "active")]).is(200);
    sub.get("/v1/Conversations").is(200);
    world.play(async { drop(world.client("ana").await) });
}

fn nobody_changes_the_own_status(world: &World) {
    let (made, sub) = subaccount(world);
    for status in ["suspended", "closed"] {
        sub.post(&path(&made), &[("Status", status)]).refuses(403, 20006);
        world.owner.post(&format!("{ACCOUNTS}/{}.json", world.account), &[("Status", status)]).refuses(403, 20006);
    }
    sub.post(&path(&made), &[("Status", "active")]).is(200);
}

fn names_and_statuses_are_checked(world: &World) {
    let accounts = format!("{ACCOUNTS}.json");
    world.owner.post(&accounts, &[("FriendlyName", &"é".repeat(65))]).refuses(400, 20001);
    let nameless = world.owner.post(&accounts, &[]).is(201);
    assert_eq!(nameless["friendly_name"], "SubAccount Created at 2026-01-02 03:04 am");
    world.owner.post(&path(&nameless), &[("Status", "asleep")]).refuses(400, 20001);
    world.owner.post(&path(&nameless), &[("FriendlyName", &"x".repeat(65))]).refuses(400, 20001);
    let unchanged = world.owner.post(&path(&nameless), &[]).is(200);
    assert_eq!(unchanged["date_updated"], nameless["date_updated"]);
    world.owner.get(&format!("{ACCOUNTS}/AC1.json")).refuses(404, 20404);
}

fn auth_tokens_are_changed_without_a_gap(world: &World) {
    let (made, sub) = subaccount(world);
    let as_token = |token: &str| world.with_credentials(&sid(&made), token);
    sub.post("/v1/AuthTokens/Promote", &[]).refuses(404, 20404);
    sub.delete("/v1/AuthTokens/Secondary").refuses(404, 20404);
    let first = sub.post("/v1/AuthTokens/Secondary", &[]).is(201);
    let second = sub.post("/v1/AuthTokens/Secondary", &[]).is(201);
    assert_eq!(second["account_sid"], made["sid"]);
    let secondary = second["secondary_auth_token"].as_str().unwrap();
    as_token(first["secondary_auth_token"].as_str().unwrap()).get("/v1/Services").refuses(401, 20003);
    // Both work, until the new one has taken the place of the old one.
    for actor in [&sub, &as_token(secondary)] {
        actor.get("/v1/Services").is(200);
    }
    let promoted = as_token(secondary).post("/v1/AuthTokens/Promote", &[]).is(200);
    assert_eq!(promoted["auth_token"], secondary);
    sub.get("/v1/Services").refuses(401, 20003);
    let renewed = as_token(secondary);
    assert_eq!(renewed.get(&path(&made)).is(200)["auth_token"], secondary);
    let third = renewed.post("/v1/AuthTokens/Secondary", &[]).is(201);
    renewed.delete("/v1/AuthTokens/Secondary").is(204);
    as_token(third["secondary_auth_token"].as_str().unwrap()).get("/v1/Services").refuses(401, 20003);
    world.key.post("/v1/AuthTokens/Secondary", &[]).refuses(401, 20003);
}

fn the_operator_keeps_accounts_and_gives_main_keys(world: &World) {
    let accounts = "/tertulia/v1/Accounts";
    world.operator.post(accounts, &[]).refuses(400, 20001);
    let made = world.operator.post(accounts, &[("FriendlyName", "shop")]).is(201);
    assert_eq!(made["owner_account_sid"], made["sid"]);
    let owner = world.with_credentials(&sid(&made), made["auth_token"].as_str().unwrap());
    assert_eq!(owner.get("/v1/Configuration").is(200)["default_chat_service_sid"], made["default_chat_service_sid"]);
    let shown = world.operator.get(&format!("{accounts}/{}", sid(&made))).is(200);
    assert!(shown.get("auth_token").is_none(), "it is shown once");
    let list = world.operator.get(&format!("{accounts}?FriendlyName=shop")).is(200);
    assert_eq!(list["accounts"].as_array().unwrap().iter().map(sid).collect::<Vec<_>>(), [sid(&made)]);
    assert!(world.operator.get(accounts).is(200)["accounts"].as_array().unwrap().len() >= 3);

    let main = [("AccountSid", made["sid"].as_str().unwrap()), ("KeyType", "main"), ("FriendlyName", "main")];
    owner.post("/v1/Keys", &main).refuses(400, 20001);
    let acting = world.operator.with("Tertulia-Account", made["sid"].as_str().unwrap());
    let key = acting.post("/v1/Keys", &main).is(201);
    let main = world.with_credentials(&sid(&key), key["secret"].as_str().unwrap());
    // A Main key does what the auth token does.
    main.get(&format!("{ACCOUNTS}.json")).is(200);
    let keys = format!("{ACCOUNTS}/{}/Keys.json", sid(&made));
    main.post(&keys, &[]).is(201);
    assert_eq!(main.get(&keys).is(200)["keys"].as_array().unwrap().len(), 2);
    world.operator.post(&format!("{accounts}/{}", sid(&made)), &[("Status", "closed")]).is(200);
    main.get(&keys).refuses(401, 20005);
}

fn the_operator_says_for_which_account(world: &World) {
    let message = world.operator.get("/v1/Conversations").refuses(400, 20001);
    assert!(message.contains("Tertulia-Account"), "{message}");
    let named = |name: &str| world.operator.with("Tertulia-Account", name);
    world.conversation(&[]);
    assert_eq!(named(&world.account).get("/v1/Conversations").is(200)["conversations"].as_array().unwrap().len(), 1);
    named("AC1").get("/v1/Conversations").refuses(404, 20404);
    named(&format!("AC{}", "9".repeat(32))).get("/v1/Conversations").refuses(404, 20404);
    world.operator.get(&format!("{ACCOUNTS}/{}/Keys.json", world.account)).is(200);
    // The header is the operator's alone.
    let tenant = world.tenant.with("Tertulia-Account", &world.account);
    assert_eq!(tenant.get("/v1/Conversations").is(200)["conversations"].as_array().unwrap().len(), 0);
}

#[test]
fn an_account_has_a_bounded_number_of_subaccounts() {
    let world = &World::sqlite_with(|config| config.limits.subaccounts_max = 2);
    let create = || world.owner.post(&format!("{ACCOUNTS}.json"), &[]);
    let first = create().is(201);
    create().is(201);
    let message = create().refuses(409, 20409);
    assert!(message.contains("limits.subaccounts_max"), "{message}");
    // A suspended one still counts, a closed one no more.
    world.owner.post(&path(&first), &[("Status", "suspended")]).is(200);
    create().refuses(409, 20409);
    world.owner.post(&path(&first), &[("Status", "closed")]).is(200);
    create().is(201);
    create().refuses(409, 20409);
    // Main accounts are whoever runs the server's own.
    world.operator.post("/tertulia/v1/Accounts", &[("FriendlyName", "shop")]).is(201);
}
