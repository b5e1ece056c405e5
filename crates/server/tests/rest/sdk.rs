//! What a user may do, and what not, through the operations that an SDK tunnels.

use serde_json::{Value, json};

use crate::support::{SdkUser, World, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_creator_who_was_removed_is_a_stranger,
    a_change_that_changes_nothing_writes_nothing_and_tells_nobody,
    the_own_list_goes_on_behind_conversations_that_are_being_deleted,
    a_conversation_role_counts_for_who_is_in_the_same_conversation,
}
on_sqlite! {
    subjects_and_empty_updates_change_nobody_elses_message,
    an_empty_update_of_a_conversation_changes_nothing,
    a_creator_who_left_comes_back_as_anybody_else_does,
    a_creators_identity_does_not_inherit_its_rights,
    who_was_deleted_may_nothing_whatever_the_token_says,
    a_service_role_counts_without_taking_part,
    a_stranger_does_not_learn_who_takes_part,
    an_update_by_unique_name_may_rename,
    a_binding_beside_an_identity_is_refused,
    a_horizon_moves_in_a_closed_conversation,
    odd_names_are_not_found_and_odd_queries_refused,
}

/// A conversation that this user has created.
fn created_by(user: &SdkUser<'_>) -> String {
    format!("/Conversations/{}", sid(&user.post("/Conversations", &json!({})).is(201)))
}

fn add(world: &World, path: &str, identity: &str) {
    world.owner.post(&format!("/v1{path}/Participants"), &[("Identity", identity)]).is(201);
}

fn role(world: &World, name: &str) -> Value {
    world.owner.get(&format!("/v1/Services/{}/Configuration", world.service)).is(200)[name].clone()
}

fn subjects_and_empty_updates_change_nobody_elses_message(world: &World) {
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let path = created_by(&alice);
    add(world, &path, "alice");
    add(world, &path, "bob");
    let sent = alice.post(&format!("{path}/Messages"), &json!({"body": "x", "subject": "s"})).is(201);
    let message = format!("{path}/Messages/{}", sid(&sent));
    let before = world.owner.get(&format!("/v1{message}")).is(200);
    world.pass(1);
    bob.post(&message, &json!({"subject": "y"})).refuses(403, 50107);
    bob.post(&message, &json!({"body": "y"})).refuses(403, 50107);
    bob.post(&message, &json!({})).is(200);
    world.owner.post(&format!("/v1{message}"), &[]).is(200);
    assert_eq!(world.owner.get(&format!("/v1{message}")).is(200), before, "nothing has changed, not even its date");
    alice.post(&message, &json!({"subject": "z"})).is(200);
    assert_ne!(world.owner.get(&format!("/v1{message}")).is(200)["date_updated"], before["date_updated"]);
    world.user("carol").post(&message, &json!({})).refuses(403, 50430);
}

fn an_empty_update_of_a_conversation_changes_nothing(world: &World) {
    let path = created_by(&world.user("alice"));
    let before = world.owner.get(&format!("/v1{path}")).is(200);
    let position = world.position(&path);
    world.pass(1);
    assert_eq!(world.user("alice").post(&path, &json!({})).is(200)["sid"], before["sid"]);
    assert_eq!(world.owner.post(&format!("/v1{path}"), &[]).is(200), before);
    assert_eq!(world.position(&path), position, "and nobody is told");
    world.owner.post(&format!("/v1{path}"), &[("FriendlyName", "x")]).is(200);
    assert_eq!(world.position(&path), position + 1);
}

/// Takes away what the default service role allows beyond creating conversations.
fn nobody_just_joins(world: &World) {
    let user = role(world, "default_chat_service_role_sid");
    let path = format!("/v1/Roles/{}", user.as_str().unwrap());
    world.owner.post(&path, &[("Permission", "createConversation")]).is(200);
}

fn a_creator_who_was_removed_is_a_stranger(world: &World) {
    nobody_just_joins(world);
    let alice = world.user("alice");
    let path = created_by(&alice);
    alice.get(&path).is(200);
    let joined = alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).is(201);
    assert_eq!(joined["role_sid"], role(world, "default_conversation_creator_role_sid"));
    alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).refuses(409, 50433);
    world.owner.delete(&format!("/v1{path}/Participants/alice")).is(204);
    alice.get(&path).refuses(403, 50430);
    alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).refuses(403, 50430);
    add(world, &path, "alice");
    let back = world.owner.get(&format!("/v1{path}/Participants/alice")).is(200);
    assert_eq!(back["role_sid"], role(world, "default_conversation_role_sid"));
}

fn a_creator_who_left_comes_back_as_anybody_else_does(world: &World) {
    let alice = world.user("alice");
    let path = created_by(&alice);
    alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).is(201);
    alice.delete(&format!("{path}/Participants/alice")).is(204);
    alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).refuses(403, 50430);
    let settings = format!("/tertulia/v1/Services/{}/Settings", world.service);
    world.owner.post(&settings, &[("OpenConversations", "true")]).is(200);
    let back = alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).is(201);
    assert_eq!(back["role_sid"], role(world, "default_conversation_role_sid"));
}

fn a_creators_identity_does_not_inherit_its_rights(world: &World) {
    nobody_just_joins(world);
    let path = created_by(&world.user("alice"));
    world.owner.delete("/v1/Users/alice").is(204);
    world.user("alice").get(&path).refuses(403, 50430);
}

fn a_conversation_role_counts_for_who_is_in_the_same_conversation(world: &World) {
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    world.user("carol");
    let form = [("FriendlyName", "host"), ("Type", "conversation"), ("Permission", "editAnyUserInfo")];
    let host = sid(&world.owner.post("/v1/Roles", &form).is(201));
    let path = created_by(&alice);
    let hosts = [("Identity", "alice"), ("RoleSid", host.as_str())];
    world.owner.post(&format!("/v1{path}/Participants"), &hosts).is(201);
    add(world, &path, "bob");
    let name = json!({"friendly_name": "x"});
    assert_eq!(alice.post("/Users/bob", &name).is(200)["friendly_name"], "x");
    alice.post("/Users/carol", &name).refuses(403, 50107);
    bob.post("/Users/alice", &name).refuses(403, 50107);
    world.owner.delete(&format!("/v1{path}/Participants/bob")).is(204);
    alice.post("/Users/bob", &name).refuses(403, 50107);
}

/// A request may be on its way while its user is deleted.
fn who_was_deleted_may_nothing_whatever_the_token_says(world: &World) {
    let admin = world.owner.get("/v1/Roles").is(200)["roles"][0]["sid"].as_str().unwrap().to_owned();
    let bob = world.user("bob").in_role(&admin);
    let (made, others) = (created_by(&bob), created_by(&world.user("alice")));
    bob.post(&others, &json!({"friendly_name": "x"})).is(200);
    world.owner.delete("/v1/Users/bob").is(204);
    bob.post("/Conversations", &json!({})).refuses(403, 50107);
    for path in [&made, &others] {
        bob.get(path).refuses(403, 50430);
        bob.post(path, &json!({"friendly_name": "x"})).refuses(403, 50430);
        bob.delete(path).refuses(403, 50430);
        bob.post(&format!("{path}/Participants"), &json!({"identity": "bob"})).refuses(403, 50430);
        bob.ask("GET", &format!("/v3/Documents/{}.channel", &path["/Conversations/".len()..]), None)
            .refuses(404, 54100);
    }
    bob.post("/Users/alice", &json!({"friendly_name": "x"})).refuses(403, 50107);
    world.owner.get("/v1/Users/bob").refuses(404, 20404);
}

fn a_service_role_counts_without_taking_part(world: &World) {
    let (admin, alice) = (world.user("admin"), world.user("alice"));
    world.give_role("admin", 0);
    let path = created_by(&alice);
    add(world, &path, "alice");
    let sent = sid(&alice.post(&format!("{path}/Messages"), &json!({"body": "x"})).is(201));
    let message = format!("{path}/Messages/{sent}");
    assert_eq!(admin.post(&message, &json!({"body": "y"})).is(200)["body"], "y");
    admin.post(&message, &json!({"attributes": "1"})).is(200);
    admin.post(&format!("{path}/Participants/alice"), &json!({"attributes": "1"})).is(200);
    admin.delete(&message).is(204);
    admin.post(&format!("{path}/Messages"), &json!({"body": "x"})).refuses(403, 50430);
    // Who may name a conversation may look at it.
    let names = [("FriendlyName", "namer"), ("Type", "service"), ("Permission", "editConversationName")];
    let role = sid(&world.owner.post("/v1/Roles", &names).is(201));
    let namer = world.user("namer");
    world.owner.post("/v1/Users/namer", &[("RoleSid", &role)]).is(200);
    assert_eq!(namer.post(&path, &json!({"friendly_name": "n"})).is(200)["friendly_name"], "n");
    namer.post(&path, &json!({})).is(200);
    namer.post(&format!("{path}/Participants"), &json!({"identity": "namer"})).refuses(403, 50430);
}

fn a_stranger_does_not_learn_who_takes_part(world: &World) {
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let path = created_by(&alice);
    add(world, &path, "alice");
    for name in ["alice", "nobody"] {
        let participant = format!("{path}/Participants/{name}");
        bob.delete(&participant).refuses(403, 50430);
        bob.post(&participant, &json!({"attributes": "1"})).refuses(403, 50430);
        bob.post(&participant, &json!({})).refuses(403, 50430);
    }
    let message = format!("{path}/Messages/IM{}", "0".repeat(32));
    bob.post(&message, &json!({"body": "y"})).refuses(403, 50430);
    bob.delete(&message).refuses(403, 50430);
}

fn an_update_by_unique_name_may_rename(world: &World) {
    let (alice, path) = (world.user("alice"), "/Conversations/old");
    world.give_role("alice", 0);
    let created = alice.post("/Conversations", &json!({"unique_name": "old"})).is(201);
    let renamed = alice.post(path, &json!({"unique_name": "new"})).is(200);
    assert_eq!((&renamed["sid"], &renamed["unique_name"]), (&created["sid"], &json!("new")));
}

fn the_own_list_goes_on_behind_conversations_that_are_being_deleted(world: &World) {
    let alice = world.user("alice");
    let mut paths: Vec<_> = (0..6).map(|_| created_by(&alice)).collect();
    paths.sort();
    for path in &paths {
        add(world, path, "alice");
    }
    for path in &paths[..2] {
        world.mark_removed(path);
    }
    let (mut seen, mut query) = (Vec::new(), "/MyConversations?PageSize=3".to_owned());
    loop {
        let page = alice.get(&query).is(200);
        seen.extend(page["conversations"].as_array().unwrap().iter().map(|row| row["conversation_sid"].clone()));
        let Some(token) = page["meta"]["next_token"].as_str() else { break };
        query = format!("/MyConversations?PageSize=3&PageToken={token}");
    }
    let wanted: Vec<_> = paths[2..].iter().map(|path| json!(&path["/Conversations/".len()..])).collect();
    assert_eq!(seen, wanted);
}

fn a_binding_beside_an_identity_is_refused(world: &World) {
    let alice = world.user("alice");
    let path = created_by(&alice);
    alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).is(201);
    let bound = json!({"identity": "bob", "messaging_binding": {"proxy_address": "+1"}});
    alice.post(&format!("{path}/Participants"), &bound).refuses(400, 50211);
    let empty = json!({"identity": "bob", "messaging_binding": {"proxy_address": "", "address": null}});
    assert_eq!(alice.post(&format!("{path}/Participants"), &empty).is(201)["messaging_binding"], json!(null));
}

fn a_horizon_moves_in_a_closed_conversation(world: &World) {
    let alice = world.user("alice");
    let path = created_by(&alice);
    add(world, &path, "alice");
    alice.post(&format!("{path}/Messages"), &json!({"body": "x"})).is(201);
    world.owner.post(&format!("/v1{path}"), &[("State", "closed")]).is(200);
    let own = format!("/My{}", &path[1..]);
    assert_eq!(alice.post(&own, &json!({"last_read_message_index": 0})).is(200)["unread_messages_count"], 0);
    let participant = format!("/v1{path}/Participants/alice");
    world.owner.post(&participant, &[("LastReadMessageIndex", "")]).is(200);
    world.owner.post(&participant, &[("Attributes", "1")]).refuses(400, 50377);
}

fn odd_names_are_not_found_and_odd_queries_refused(world: &World) {
    let alice = world.user("alice");
    alice.get("/Conversations/a%00b").refuses(404, 20404);
    alice.get("/Conversations/nothing").refuses(404, 50350);
    alice.get("/MyConversations?PageToken=%00").refuses(400, 20001);
}

fn a_change_that_changes_nothing_writes_nothing_and_tells_nobody(world: &World) {
    let alice = world.user("alice");
    let path = created_by(&alice);
    alice.post(&format!("{path}/Participants"), &json!({"identity": "alice"})).is(201);
    let sent = alice.post(&format!("{path}/Messages"), &json!({"body": "b", "attributes": "{\"m\":1}"})).is(201);
    let message = format!("{path}/Messages/{}", sid(&sent));
    let own = path.replace("/Conversations/", "/MyConversations/");
    let changes = [
        (path.clone(), json!({"friendly_name": "f", "unique_name": "u", "attributes": "{\"c\":1}"})),
        (message, json!({"body": "b", "attributes": "{\"m\":1}"})),
        (format!("{path}/Participants/alice"), json!({"attributes": "{\"p\":1}"})),
        (own, json!({"last_read_message_index": 0, "notification_level": "muted"})),
        ("/Users/alice".to_owned(), json!({"friendly_name": "Alice", "attributes": "{\"u\":1}"})),
    ];
    for (path, body) in &changes {
        alice.post(path, body).is(200);
    }
    let rest = format!("/v1{path}");
    let shown = || {
        let places = [rest.clone(), format!("{rest}/Participants/alice"), "/v1/Users/alice".to_owned()];
        places.map(|place| world.owner.get(&place).is(200))
    };
    let positions = || (world.position(&path), world.positions_of(&path, "alice"));
    let before = (shown(), positions());
    world.pass(5);
    for (path, body) in &changes {
        // The answer is as if it had been changed.
        let answer = alice.post(path, body).is(200);
        for (name, value) in body.as_object().unwrap() {
            assert!(answer.get(name).is_none_or(|shown| shown == value), "{path}: {answer}");
        }
    }
    assert_eq!((shown(), positions()), before);
    // Over REST an equal horizon still says when it was read.
    world.owner.post(&format!("{rest}/Participants/alice"), &[("LastReadMessageIndex", "0")]).is(200);
    let after = shown();
    assert_ne!(after[1]["last_read_timestamp"], before.0[1]["last_read_timestamp"]);
    assert_ne!(positions(), before.1);
}
