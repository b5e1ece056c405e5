//! /v1/Services, their configuration, and /v1/Configuration.

use serde_json::json;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_service_lives_and_dies,
    a_deleted_service_is_gone_with_all_it_held,
    a_conversation_that_was_being_purged_goes_with_its_service,
}
on_sqlite! {
    a_service_has_a_name,
    the_default_service_stays,
    the_default_service_is_what_short_routes_mean,
    defaults_of_a_service_are_roles_of_its_own,
    the_accounts_configuration_has_documented_codes,
}

fn a_service_lives_and_dies(world: &World) {
    let created = world.owner.post("/v1/Services", &[("FriendlyName", "Second")]).is(201);
    assert_fields("FetchService", &created);
    let path = format!("/v1/Services/{}", sid(&created));
    let url = format!("{}{path}", world.origin);
    assert_eq!(created["url"], url.as_str());
    let links = json!({
        "conversations": format!("{url}/Conversations"), "users": format!("{url}/Users"),
        "roles": format!("{url}/Roles"), "bindings": format!("{url}/Bindings"),
        "configuration": format!("{url}/Configuration"),
        "participant_conversations": format!("{url}/ParticipantConversations"),
        "conversation_with_participants": format!("{url}/ConversationWithParticipants"),
    });
    assert_eq!(created["links"], links);
    assert_eq!(world.owner.get(&path).is(200), created);
    let list = world.owner.get("/v1/Services").is(200);
    assert_eq!(list["services"].as_array().unwrap().len(), 2);
    assert_eq!(list["meta"]["key"], "services");
    world.owner.delete(&path).is(204);
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
    world.owner.post(&path, &[("FriendlyName", "x")]).refuses(405, 20004);
}

fn a_service_has_a_name(world: &World) {
    let create = |name: &str| world.owner.post("/v1/Services", &[("FriendlyName", name)]);
    create(&"é".repeat(256)).is(201);
    create(&"é".repeat(257)).refuses(400, 50003);
    create("a\0").refuses(400, 20001);
    create("").refuses(400, 20001);
    let message = world.owner.post("/v1/Services", &[]).refuses(400, 20001);
    assert_eq!(message, "Missing required parameter FriendlyName in the post body");
}

fn a_deleted_service_is_gone_with_all_it_held(world: &World) {
    let second = format!("/v1/Services/{}", world.second_service());
    let conversation = world.owner.post(&format!("{second}/Conversations"), &[("UniqueName", "lobby")]).is(201);
    let room = format!("{second}/Conversations/{}", sid(&conversation));
    world.owner.post(&format!("{room}/Participants"), &[("Identity", "ana")]).is(201);
    world.owner.post(&format!("{room}/Messages"), &[("Body", "x")]).is(201);
    world.owner.delete(&second).is(204);
    for path in ["", "/Conversations", "/Conversations/lobby", "/Users", "/Users/ana", "/Roles", "/Configuration"] {
        world.owner.get(&format!("{second}{path}")).refuses(404, 20404);
    }
    world.owner.post(&format!("{second}/Users"), &[("Identity", "ana")]).refuses(404, 20404);
    world.owner.get(&room).refuses(404, 20404);
    // What other services hold under the same names is not touched.
    world.conversation(&[("UniqueName", "lobby")]);
    world.eventually_purged();
}

fn a_conversation_that_was_being_purged_goes_with_its_service(world: &World) {
    let path = format!("/v1/Services/{}", world.second_service());
    let rooms: Vec<_> = (0..2)
        .map(|_| {
            format!("{path}/Conversations/{}", sid(&world.owner.post(&format!("{path}/Conversations"), &[]).is(201)))
        })
        .collect();
    for room in &rooms {
        world.owner.post(&format!("{room}/Participants"), &[("Identity", "ana")]).is(201);
        world.owner.post(&format!("{room}/Messages"), &[("Body", "x")]).is(201);
    }
    world.mark_removed(&rooms[0]);
    world.owner.delete(&path).is(204);
    world.eventually_purged();
}

fn the_default_service_stays(world: &World) {
    let path = format!("/v1/Services/{}", world.service);
    let message = world.owner.delete(&path).refuses(409, 20409);
    assert!(message.contains("DefaultChatServiceSid"), "{message}");
    let second = world.second_service();
    world.owner.post("/v1/Configuration", &[("DefaultChatServiceSid", &second)]).is(200);
    world.owner.delete(&path).is(204);
    world.owner.delete(&format!("/v1/Services/{second}")).refuses(409, 20409);
}

fn the_default_service_is_what_short_routes_mean(world: &World) {
    let second = world.second_service();
    let created = world.conversation(&[("UniqueName", "lobby")]);
    let configuration = world.owner.post("/v1/Configuration", &[("DefaultChatServiceSid", &second)]).is(200);
    assert_eq!(configuration["default_chat_service_sid"], second.as_str());
    let link = format!("{}/v1/Services/{second}/Configuration", world.origin);
    assert_eq!(configuration["links"]["service"], link);
    world.owner.get("/v1/Conversations/lobby").refuses(404, 20404);
    world.owner.get(&format!("/v1/Conversations/{}", sid(&created))).refuses(404, 20404);
    assert_eq!(world.conversation(&[])["chat_service_sid"], second.as_str());
    world.owner.get(&format!("/v1/Services/{}/Conversations/lobby", world.service)).is(200);
}

fn defaults_of_a_service_are_roles_of_its_own(world: &World) {
    let path = format!("/v1/Services/{}/Configuration", world.service);
    let fetched = world.owner.get(&path).is(200);
    assert_fields("FetchServiceConfiguration", &fetched);
    assert_eq!(fetched["reachability_enabled"], false);
    let roles = world.owner.get("/v1/Roles").is(200);
    let role = |index: usize| roles["roles"][index]["sid"].as_str().unwrap().to_owned();
    let form = [
        ("DefaultConversationRoleSid", role(2)),
        ("DefaultConversationCreatorRoleSid", role(3)),
        ("DefaultChatServiceRoleSid", role(0)),
        ("ReachabilityEnabled", "True".to_owned()),
    ];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let updated = world.owner.post(&path, &form).is(200);
    assert_eq!(updated["default_conversation_role_sid"], role(2).as_str());
    assert_eq!(updated["default_conversation_creator_role_sid"], role(3).as_str());
    assert_eq!(updated["default_chat_service_role_sid"], role(0).as_str());
    assert_eq!(updated["reachability_enabled"], true);
    assert_eq!(world.owner.get(&path).is(200), updated);
    assert_eq!(world.owner.post("/v1/Users", &[("Identity", "ana")]).is(201)["role_sid"], role(0).as_str());
    world.owner.post(&path, &[("DefaultConversationRoleSid", &role(0))]).refuses(400, 50109);
    world.owner.post(&path, &[("DefaultConversationCreatorRoleSid", &role(1))]).refuses(400, 50109);
    world.owner.post(&path, &[("DefaultChatServiceRoleSid", &role(2))]).refuses(400, 50102);
    world.owner.post(&path, &[("ReachabilityEnabled", "perhaps")]).refuses(400, 20001);
    let second = world.second_service();
    let foreign = format!("/v1/Services/{second}/Configuration");
    world.owner.post(&foreign, &[("DefaultChatServiceRoleSid", &role(0))]).refuses(400, 50102);
}

fn the_accounts_configuration_has_documented_codes(world: &World) {
    let fetched = world.owner.get("/v1/Configuration").is(200);
    assert_fields("FetchConfiguration", &fetched);
    assert_eq!(fetched["default_chat_service_sid"], world.service.as_str());
    assert_eq!((&fetched["default_inactive_timer"], &fetched["default_closed_timer"]), (&json!(null), &json!(null)));
    assert_eq!(fetched["links"]["webhooks"], format!("{}/v1/Configuration/Webhooks", world.origin));
    let set = |name: &str, value: &str| world.owner.post("/v1/Configuration", &[(name, value)]);
    assert_eq!(set("DefaultInactiveTimer", "PT60S").is(200)["default_inactive_timer"], "PT60S");
    assert_eq!(set("DefaultClosedTimer", "P1D").is(200)["default_inactive_timer"], "PT60S");
    assert_eq!(set("DefaultInactiveTimer", "").is(200)["default_inactive_timer"], json!(null));
    set("DefaultInactiveTimer", "PT59S").refuses(400, 50375);
    set("DefaultClosedTimer", "PT1M").refuses(400, 50376);
    set("DefaultInactiveTimer", "x").refuses(400, 50379);
    set("DefaultClosedTimer", "x").refuses(400, 50380);
    set("DefaultMessagingServiceSid", "x").refuses(400, 50341);
    let messaging = format!("MG{}", "a".repeat(32));
    assert_eq!(
        set("DefaultMessagingServiceSid", &messaging).is(200)["default_messaging_service_sid"],
        messaging.as_str()
    );
    let message = set("DefaultChatServiceSid", &format!("IS{}", "0".repeat(32))).refuses(404, 20404);
    assert!(message.contains("DefaultChatServiceSid"), "{message}");
    set("DefaultChatServiceSid", "IS1").refuses(400, 20001);
    let foreign = world.tenant.get("/v1/Configuration").is(200)["default_chat_service_sid"].clone();
    set("DefaultChatServiceSid", foreign.as_str().unwrap()).refuses(404, 20404);
}
