//! /v1/Roles.

use serde_json::json;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! { a_role_lives_and_dies, a_role_in_use_stays }
on_sqlite! {
    every_service_is_born_with_four_roles,
    words_are_read_in_any_letter_case,
    what_a_role_must_say,
}

fn create(world: &World, form: &[(&str, &str)]) -> String {
    sid(&world.owner.post("/v1/Roles", form).is(201))
}

const GUEST: [(&str, &str); 4] = [
    ("FriendlyName", "guest"),
    ("Type", "conversation"),
    ("Permission", "sendMessage"),
    ("Permission", "leaveConversation"),
];

fn a_role_lives_and_dies(world: &World) {
    let created = world.owner.post("/v1/Roles", &GUEST).is(201);
    assert_fields("FetchRole", &created);
    assert_eq!((&created["type"], &created["friendly_name"]), (&json!("conversation"), &json!("guest")));
    let mut permissions: Vec<_> = created["permissions"].as_array().unwrap().clone();
    permissions.sort_by_key(|word| word.as_str().map(str::to_owned));
    assert_eq!(permissions, ["leaveConversation", "sendMessage"]);
    assert_eq!(created["chat_service_sid"], world.service.as_str());
    let path = format!("/v1/Roles/{}", sid(&created));
    assert_eq!(created["url"], format!("{}{path}", world.origin));
    assert_eq!(world.owner.get(&path).is(200), created);
    assert_fields(
        "FetchServiceRole",
        &world.owner.get(&format!("/v1/Services/{}/Roles/{}", world.service, sid(&created))).is(200),
    );
    world.pass(1);
    let form = [("Permission", "editOwnMessage"), ("FriendlyName", "x"), ("Type", "service")];
    let updated = world.owner.post(&path, &form).is(200);
    assert_eq!(updated["permissions"], json!(["editOwnMessage"]), "a new set replaces the old one");
    assert_eq!((&updated["friendly_name"], &updated["type"]), (&json!("guest"), &json!("conversation")));
    assert_eq!(updated["date_updated"], "2026-01-02T03:04:06Z");
    assert_eq!(world.owner.get("/v1/Roles").is(200)["roles"].as_array().unwrap().len(), 5);
    world.owner.delete(&path).is(204);
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
}

fn a_role_in_use_stays(world: &World) {
    for role in world.owner.get("/v1/Roles").is(200)["roles"].as_array().unwrap() {
        // The admin role of the service is nobody's default and nobody's own.
        let status = if role["friendly_name"] == "service admin" { 204 } else { 409 };
        assert_eq!(world.owner.delete(&format!("/v1/Roles/{}", sid(role))).status, status, "{role}");
    }
    let guest = create(world, &GUEST);
    let conversation = sid(&world.conversation(&[]));
    let list = format!("/v1/Conversations/{conversation}/Participants");
    world.owner.post(&list, &[("Identity", "ana"), ("RoleSid", &guest)]).is(201);
    world.owner.delete(&format!("/v1/Roles/{guest}")).refuses(409, 20409);
    world.owner.delete(&format!("{list}/ana")).is(204);
    world.owner.delete(&format!("/v1/Roles/{guest}")).is(204);
    let form = [("FriendlyName", "x"), ("Type", "service"), ("Permission", "createConversation")];
    let own = create(world, &form);
    world.owner.post("/v1/Users/ana", &[("RoleSid", &own)]).is(200);
    world.owner.delete(&format!("/v1/Roles/{own}")).refuses(409, 20409);
    world.owner.delete("/v1/Users/ana").is(204);
    world.owner.delete(&format!("/v1/Roles/{own}")).is(204);
}

fn every_service_is_born_with_four_roles(world: &World) {
    let second = world.second_service();
    let list = world.owner.get(&format!("/v1/Services/{second}/Roles")).is(200);
    let rows = list["roles"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| (row["friendly_name"].as_str().unwrap(), &row["type"])).collect();
    let (service, conversation) = (json!("service"), json!("conversation"));
    let born = [
        ("service admin", &service),
        ("service user", &service),
        ("channel admin", &conversation),
        ("channel user", &conversation),
    ];
    assert_eq!(names, born);
    let own = world.owner.get("/v1/Roles").is(200);
    assert_ne!(own["roles"][0]["sid"], rows[0]["sid"], "nothing is shared between services");
}

fn words_are_read_in_any_letter_case(world: &World) {
    let form = [("FriendlyName", "x"), ("Type", "SERVICE"), ("Permission", "CreateConversation")];
    let created = world.owner.post("/v1/Roles", &form).is(201);
    assert_eq!((&created["type"], &created["permissions"]), (&json!("service"), &json!(["createConversation"])));
}

fn what_a_role_must_say(world: &World) {
    let create = |name: &str, kind: &str, permission: &str| {
        let form = [("FriendlyName", name), ("Type", kind), ("Permission", permission)];
        let form: Vec<_> = form.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        world.owner.post("/v1/Roles", &form)
    };
    create("", "service", "createConversation").refuses(400, 20001);
    create("x", "", "createConversation").refuses(400, 20001);
    create("x", "service", "").refuses(400, 20001);
    create(&"é".repeat(64), "service", "createConversation").is(201);
    create(&"é".repeat(65), "service", "createConversation").refuses(400, 20001);
    create("a\0", "service", "createConversation").refuses(400, 20001);
    create("x", "deployment", "createConversation").refuses(400, 50105);
    create("x", "service", "fly").refuses(400, 50104);
    create("x", "conversation", "createConversation").refuses(400, 50104);
    create("x", "service", "sendMessage").refuses(400, 50104);
    let guest = sid(&world.owner.post("/v1/Roles", &GUEST).is(201));
    world.owner.post(&format!("/v1/Roles/{guest}"), &[]).refuses(400, 20001);
    world.owner.post(&format!("/v1/Roles/{guest}"), &[("Permission", "fly")]).refuses(400, 50104);
}
