//! /v1/Conversations/{ConversationSid}/Participants and /v1/ParticipantConversations.

use serde_json::json;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, path_of, sid};

on_both_engines! {
    a_binding_changes_as_documented_or_is_refused_with_its_code,
    a_participant_comes_and_goes,
    an_identity_takes_part_once,
    the_conversations_of_an_identity_or_an_address_are_found,
}
on_sqlite! {
    a_participant_is_found_by_identity_too,
    adding_an_unknown_identity_creates_the_user,
    a_read_horizon_is_set_moved_and_cleared,
    roles_must_be_conversation_roles_of_the_same_service,
    identities_have_limits,
    a_participant_of_another_messenger_has_a_binding,
    a_binding_needs_two_fitting_addresses,
    bindings_have_bounds,
    the_form_of_an_address_is_checked,
    an_address_pair_leads_to_one_open_conversation,
    an_address_pair_counts_in_the_whole_account,
    participants_of_other_messengers_are_fifty_at_most,
    an_identity_shaped_like_a_sid_is_found,
    one_address_twice_in_a_conversation_is_listed_twice,
    attributes_are_json_of_at_most_4_kib,
    removing_a_participant_keeps_the_messages,
    an_importer_brings_its_own_dates,
}

fn room(world: &World) -> String {
    format!("/v1/Conversations/{}", sid(&world.conversation(&[])))
}

fn a_participant_comes_and_goes(world: &World) {
    let conversation = world.conversation(&[]);
    let list = format!("/v1/Conversations/{}/Participants", sid(&conversation));
    let added = world.owner.post(&list, &[("Identity", "ana"), ("Attributes", "{ \"a\": 1 }")]).is(201);
    assert_fields("FetchConversationParticipant", &added);
    assert_eq!((&added["identity"], &added["messaging_binding"]), (&json!("ana"), &json!(null)));
    assert_eq!(added["attributes"], "{ \"a\": 1 }");
    assert_eq!((&added["last_read_message_index"], &added["last_read_timestamp"]), (&json!(null), &json!(null)));
    let configuration = world.owner.get(&format!("/v1/Services/{}/Configuration", world.service)).is(200);
    assert_eq!(added["role_sid"], configuration["default_conversation_role_sid"]);
    let path = format!("{list}/{}", sid(&added));
    assert_eq!(added["url"], format!("{}{path}", world.origin));
    assert_eq!(world.owner.get(&path).is(200), added);
    let service = format!("/v1/Services/{}{}", world.service, &path["/v1".len()..]);
    let seen = world.owner.get(&service).is(200);
    assert_fields("FetchServiceConversationParticipant", &seen);
    world.pass(1);
    let updated = world.owner.post(&path, &[("Attributes", "5")]).is(200);
    assert_eq!((&updated["attributes"], &updated["date_updated"]), (&json!("5"), &json!("2026-01-02T03:04:06Z")));
    world.owner.delete(&path).is(204);
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
    let again = world.owner.post(&list, &[("Identity", "ana")]).is(201);
    assert_ne!(again["sid"], added["sid"]);
    assert_eq!(world.owner.get(&list).is(200)["participants"].as_array().unwrap().len(), 1);
}

fn an_identity_takes_part_once(world: &World) {
    let list = format!("{}/Participants", room(world));
    world.owner.post(&list, &[("Identity", "ana")]).is(201);
    world.owner.post(&list, &[("Identity", "ana")]).refuses(409, 50433);
    // Identities tell upper from lower case.
    world.owner.post(&list, &[("Identity", "Ana")]).is(201);
    let other = format!("{}/Participants", room(world));
    world.owner.post(&other, &[("Identity", "ana")]).is(201);
}

fn a_participant_is_found_by_identity_too(world: &World) {
    let list = format!("{}/Participants", room(world));
    for (identity, encoded) in [("a b+c@d", "a%20b+c@d"), ("señora", "se%C3%B1ora"), ("a/b", "a%2Fb")] {
        let added = world.owner.post(&list, &[("Identity", identity)]).is(201);
        assert_eq!(world.owner.get(&format!("{list}/{encoded}")).is(200), added);
        world.owner.post(&format!("{list}/{encoded}"), &[("LastReadMessageIndex", "0")]).is(200);
        world.owner.delete(&format!("{list}/{encoded}")).is(204);
    }
}

fn adding_an_unknown_identity_creates_the_user(world: &World) {
    world.owner.get("/v1/Users/ana").refuses(404, 20404);
    world.owner.post(&format!("{}/Participants", room(world)), &[("Identity", "ana")]).is(201);
    assert_eq!(world.owner.get("/v1/Users/ana").is(200)["identity"], "ana");
}

fn a_read_horizon_is_set_moved_and_cleared(world: &World) {
    let list = format!("{}/Participants", room(world));
    let path = format!("{list}/{}", sid(&world.owner.post(&list, &[("Identity", "ana")]).is(201)));
    world.pass(1);
    let read = |form: &[(&str, &str)]| {
        let body = world.owner.post(&path, form).is(200);
        (body["last_read_message_index"].clone(), body["last_read_timestamp"].clone())
    };
    assert_eq!(read(&[("LastReadMessageIndex", "3")]), (json!(3), json!("2026-01-02T03:04:06Z")));
    assert_eq!(read(&[("Attributes", "{}")]), (json!(3), json!("2026-01-02T03:04:06Z")));
    let form = [("LastReadMessageIndex", "1"), ("LastReadTimestamp", "2020-01-01T00:00:00Z")];
    assert_eq!(read(&form), (json!(1), json!("2020-01-01T00:00:00Z")));
    assert_eq!(read(&[("LastReadMessageIndex", "")]), (json!(null), json!(null)));
    assert_eq!(read(&[("LastReadMessageIndex", "0")]).0, json!(0));
    assert_eq!(read(&[("LastReadMessageIndex", "null")]).0, json!(null));
    for wrong in ["x", "-1", "1.5", "99999999999999999999"] {
        world.owner.post(&path, &[("LastReadMessageIndex", wrong)]).refuses(400, 50421);
    }
    world.owner.post(&path, &[("LastReadTimestamp", "soon")]).refuses(400, 50405);
}

fn roles_must_be_conversation_roles_of_the_same_service(world: &World) {
    let list = format!("{}/Participants", room(world));
    let configuration = |service: &str| {
        let body = world.owner.get(&format!("/v1/Services/{service}/Configuration")).is(200);
        let role = |name: &str| body[name].as_str().unwrap().to_owned();
        (role("default_conversation_creator_role_sid"), role("default_chat_service_role_sid"))
    };
    let (creator, service_role) = configuration(&world.service);
    let (foreign, _) = configuration(&world.second_service());
    let add = |identity: &str, role: &str| world.owner.post(&list, &[("Identity", identity), ("RoleSid", role)]);
    let added = add("ana", &creator).is(201);
    assert_eq!(added["role_sid"], creator.as_str());
    for role in [service_role.as_str(), foreign.as_str(), "RL1", "nonsense"] {
        add("bruno", role).refuses(400, 50109);
        world.owner.post(&format!("{list}/ana"), &[("RoleSid", role)]).refuses(400, 50109);
    }
}

fn identities_have_limits(world: &World) {
    let list = format!("{}/Participants", room(world));
    let add = |identity: &str| world.owner.post(&list, &[("Identity", identity)]);
    add(&"é".repeat(256)).is(201);
    add(&"é".repeat(257)).refuses(400, 50207);
    add("system").refuses(400, 50203);
    add(&format!("us{}", "0".repeat(32))).refuses(400, 50206);
    add("a\0b").refuses(400, 20001);
    world.owner.post(&list, &[]).refuses(400, 20001);
}

fn a_participant_of_another_messenger_has_a_binding(world: &World) {
    let list = format!("{}/Participants", room(world));
    let form = [("MessagingBinding.Address", "+15550001"), ("MessagingBinding.ProxyAddress", "+15550002")];
    let added = world.owner.post(&list, &form).is(201);
    let binding = json!({"type": "sms", "address": "+15550001", "proxy_address": "+15550002"});
    assert_eq!(added["messaging_binding"], binding);
    assert_eq!((&added["identity"], &added["role_sid"]), (&json!(null), &json!(null)));
    let form =
        [("MessagingBinding.Address", "whatsapp:+15550001"), ("MessagingBinding.ProxyAddress", "whatsapp:+15550002")];
    assert_eq!(world.owner.post(&list, &form).is(201)["messaging_binding"]["type"], "whatsapp");
    let form = [("Identity", "ana"), ("MessagingBinding.ProjectedAddress", "+15550003")];
    let projected = world.owner.post(&list, &form).is(201);
    assert_eq!(projected["messaging_binding"], json!({"type": "sms", "projected_address": "+15550003"}));
}

fn a_binding_needs_two_fitting_addresses(world: &World) {
    let list = format!("{}/Participants", room(world));
    let add = |address: &str, proxy: &str| {
        let form = [("MessagingBinding.Address", address), ("MessagingBinding.ProxyAddress", proxy)];
        world.owner.post(&list, &form)
    };
    add("+1", "+1").refuses(400, 50409);
    add("+1", "").refuses(400, 50412);
    add("", "+1").refuses(400, 50411);
    add("+1", "whatsapp:+2").refuses(400, 50414);
    add(&"+".repeat(257), "+1").refuses(400, 50407);
    add("+1", &"+".repeat(257)).refuses(400, 50408);
    let both = [("Identity", "ana"), ("MessagingBinding.Address", "+1"), ("MessagingBinding.ProxyAddress", "+2")];
    world.owner.post(&list, &both).refuses(400, 50211);
}

fn an_address_pair_leads_to_one_open_conversation(world: &World) {
    let first = room(world);
    let form = [("MessagingBinding.Address", "+1"), ("MessagingBinding.ProxyAddress", "+2")];
    world.owner.post(&format!("{first}/Participants"), &form).is(201);
    let second = room(world);
    let message = world.owner.post(&format!("{second}/Participants"), &form).refuses(409, 50416);
    let named = first.rsplit('/').next().unwrap();
    assert!(message.ends_with(&format!("in Conversation {named}")), "{message}");
    world.owner.post(&first, &[("State", "closed")]).is(200);
    world.pass(1);
    world.owner.post(&format!("{second}/Participants"), &form).is(201);
    world.owner.delete(&second).is(204);
    world.owner.post(&format!("{}/Participants", room(world)), &form).is(201);
}

fn bindings_have_bounds(world: &World) {
    let list = format!("{}/Participants", room(world));
    let long = "1".repeat(257);
    for (name, code) in [("ProjectedAddress", 50407), ("ProxyAddress", 50408)] {
        let name = format!("MessagingBinding.{name}");
        world.owner.post(&list, &[("Identity", "ana"), (&name, &long)]).refuses(400, code);
    }
    let form = [("Identity", "ana"), ("MessagingBinding.ProxyAddress", "+1")];
    world.owner.post(&list, &form).refuses(400, 50211);
    let empty = [("Identity", ""), ("MessagingBinding.Address", "+1"), ("MessagingBinding.ProxyAddress", "+2")];
    world.owner.post(&list, &empty).is(201);
    world.owner.post(&list, &[("Identity", "")]).refuses(400, 20001);
}

fn the_form_of_an_address_is_checked(world: &World) {
    let list = format!("{}/Participants", room(world));
    let add = |address: &str, proxy: &str| {
        let form = [("MessagingBinding.Address", address), ("MessagingBinding.ProxyAddress", proxy)];
        world.owner.post(&list, &form)
    };
    for wrong in ["hello", "+", "+1 555", "whatsapp:", "tel:1"] {
        add(wrong, "+1").refuses(400, 50407);
        add("+1", wrong).refuses(400, 50408);
    }
    add("12345", "+1").is(201);
    add("messenger:abc", "messenger:def").is(201);
}

fn an_address_pair_counts_in_the_whole_account(world: &World) {
    let form = |projected: &'static str| {
        [
            ("MessagingBinding.Address", "+1"),
            ("MessagingBinding.ProxyAddress", "+2"),
            ("MessagingBinding.ProjectedAddress", projected),
        ]
    };
    let service = format!("/v1/Services/{}", world.second_service());
    let there = sid(&world.owner.post(&format!("{service}/Conversations"), &[]).is(201));
    world.owner.post(&format!("{service}/Conversations/{there}/Participants"), &form("+3")).is(201);
    let here = room(world);
    let message = world.owner.post(&format!("{here}/Participants"), &form("+4")).refuses(409, 50416);
    assert!(message.ends_with(&there), "{message}");
    // A closed conversation does not hide an open one, whatever dates an importer brings.
    world.owner.post(&format!("{service}/Conversations/{there}"), &[("State", "closed")]).is(200);
    let mut imported = form("+3").to_vec();
    imported.push(("DateCreated", "2015-01-01T00:00:00Z"));
    world.owner.post(&format!("{here}/Participants"), &imported).is(201);
    world.owner.post(&format!("{}/Participants", room(world)), &form("+3")).refuses(409, 50416);
    let foreign = sid(&world.tenant.post("/v1/Conversations", &[]).is(201));
    world.tenant.post(&format!("/v1/Conversations/{foreign}/Participants"), &form("+3")).is(201);
}

fn participants_of_other_messengers_are_fifty_at_most(world: &World) {
    let list = format!("{}/Participants", room(world));
    let add = |index: usize| {
        let address = format!("+{index}");
        world.owner.post(&list, &[("MessagingBinding.Address", &address), ("MessagingBinding.ProxyAddress", "+99")])
    };
    let first = sid(&add(0).is(201));
    for index in 1..50 {
        add(index).is(201);
    }
    add(50).refuses(400, 50418);
    world.owner.post(&list, &[("Identity", "ana")]).is(201);
    world.owner.delete(&format!("{list}/{first}")).is(204);
    add(50).is(201);
}

#[test]
fn closed_conversations_do_not_count_against_a_user() {
    let world = &World::sqlite_with(|config| config.limits.conversations_per_user_max = 3);
    let add = |room: &str| world.owner.post(&format!("{room}/Participants"), &[("Identity", "ana")]);
    let rooms: Vec<_> = (0..3).map(|_| room(world)).collect();
    for room in &rooms {
        add(room).is(201);
    }
    let one_more = room(world);
    add(&one_more).refuses(400, 50208);
    add(&rooms[0]).refuses(409, 50433);
    world.owner.post(&rooms[0], &[("State", "closed")]).is(200);
    add(&one_more).is(201);
    add(&room(world)).refuses(400, 50208);
}

fn an_identity_shaped_like_a_sid_is_found(world: &World) {
    let list = format!("{}/Participants", room(world));
    let identity = format!("MB{}", "0".repeat(32));
    let added = world.owner.post(&list, &[("Identity", &identity)]).is(201);
    assert_eq!(world.owner.get(&format!("{list}/{identity}")).is(200), added);
    world.owner.delete(&format!("{list}/{identity}")).is(204);
}

fn one_address_twice_in_a_conversation_is_listed_twice(world: &World) {
    let list = format!("{}/Participants", room(world));
    for proxy in ["+2", "+3", "+4"] {
        world
            .owner
            .post(&list, &[("MessagingBinding.Address", "+1"), ("MessagingBinding.ProxyAddress", proxy)])
            .is(201);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/ParticipantConversations?Address=%2B1&PageSize=1".to_owned());
    loop {
        let page = world.owner.get(&path).is(200);
        seen.extend(page["conversations"].as_array().unwrap().iter().map(|row| row["participant_sid"].clone()));
        let Some(next) = page["meta"]["next_page_url"].as_str() else { break };
        path = path_of(next).to_owned();
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

fn attributes_are_json_of_at_most_4_kib(world: &World) {
    let list = format!("{}/Participants", room(world));
    let add = |text: &str| world.owner.post(&list, &[("Identity", "ana"), ("Attributes", text)]);
    let fits = format!("\"{}\"", "x".repeat(4096 - 2));
    add(&format!("{fits} ")).refuses(400, 50303);
    add("{").refuses(400, 50304);
    assert_eq!(add(&fits).is(201)["attributes"], fits);
    world.owner.post(&format!("{list}/ana"), &[("Attributes", "{")]).refuses(400, 50304);
}

fn removing_a_participant_keeps_the_messages(world: &World) {
    let path = room(world);
    world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
    let sent = world.owner.post(&format!("{path}/Messages"), &[("Body", "x"), ("Author", "ana")]).is(201);
    world.owner.delete(&format!("{path}/Participants/ana")).is(204);
    assert_eq!(world.owner.get(&format!("{path}/Messages/{}", sid(&sent))).is(200), sent);
}

fn an_importer_brings_its_own_dates(world: &World) {
    let list = format!("{}/Participants", room(world));
    let form = [("Identity", "ana"), ("DateCreated", "2015-12-16T22:18:37Z"), ("DateUpdated", "2016-12-16T22:18:37Z")];
    let added = world.owner.post(&list, &form).is(201);
    assert_eq!(added["date_created"], "2015-12-16T22:18:37Z");
    assert_eq!(added["date_updated"], "2016-12-16T22:18:37Z");
    let changed = world.owner.post(&format!("{list}/ana"), &[("DateUpdated", "2017-12-16T22:18:37Z")]).is(200);
    assert_eq!(changed["date_updated"], "2017-12-16T22:18:37Z");
    let changed = world.owner.post(&format!("{list}/ana"), &[("DateCreated", "2014-12-16T22:18:37Z")]).is(200);
    assert_eq!(changed["date_created"], "2014-12-16T22:18:37Z");
    assert_eq!(world.owner.get(&format!("{list}/ana")).is(200), changed);
    world.owner.post(&list, &[("Identity", "b"), ("DateCreated", "x")]).refuses(400, 50308);
}

fn the_conversations_of_an_identity_or_an_address_are_found(world: &World) {
    let created = world.conversation(&[("UniqueName", "lobby"), ("Timers.Closed", "PT10M")]);
    let path = format!("/v1/Conversations/{}", sid(&created));
    let ana = world.owner.post(&format!("{path}/Participants"), &[("Identity", "a+b")]).is(201);
    let form = [("MessagingBinding.Address", "+37255"), ("MessagingBinding.ProxyAddress", "+372551")];
    world.owner.post(&format!("{path}/Participants"), &form).is(201);
    let list = world.owner.get("/v1/ParticipantConversations?Identity=a%2Bb").is(200);
    let row = &list["conversations"][0];
    assert_fields("ListParticipantConversation", row);
    assert_eq!((&row["participant_sid"], &row["participant_identity"]), (&ana["sid"], &json!("a+b")));
    assert_eq!(
        (&row["conversation_unique_name"], &row["conversation_created_by"]),
        (&json!("lobby"), &json!("system"))
    );
    assert_eq!(row["conversation_timers"], created["timers"]);
    assert_eq!(row["participant_messaging_binding"], json!(null));
    let user = world.owner.get("/v1/Users/a+b").is(200);
    assert_eq!(row["participant_user_sid"], user["sid"]);
    assert_eq!(row["links"], json!({"participant": ana["url"], "conversation": created["url"]}));
    assert_eq!(list["meta"]["key"], "conversations");
    let url = format!("{}/v1/ParticipantConversations?Identity=a%2Bb&PageSize=50&Page=0", world.origin);
    assert_eq!(list["meta"]["url"], url);
    let list = world.owner.get("/v1/ParticipantConversations?Address=%2B37255").is(200);
    let binding = json!({
        "type": "sms", "address": "+37255", "proxy_address": "+372551",
        "projected_address": null, "name": null, "level": null,
    });
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1);
    assert_eq!(list["conversations"][0]["participant_messaging_binding"], binding);
    assert_eq!(list["conversations"][0]["participant_user_sid"], json!(null));
    let none = |query: &str| world.owner.get(&format!("/v1/ParticipantConversations?{query}")).is(200);
    assert_eq!(none("Address=%2B372551")["conversations"], json!([]), "a proxy address is nobody's own");
    assert_eq!(none("Identity=nobody")["conversations"], json!([]));
    world.owner.get("/v1/ParticipantConversations?Identity=a&Address=b").refuses(400, 50451);
    world.owner.get("/v1/ParticipantConversations").refuses(400, 20001);
}

fn a_binding_changes_as_documented_or_is_refused_with_its_code(world: &World) {
    const PROXY: &str = "MessagingBinding.ProxyAddress";
    const PROJECTED: &str = "MessagingBinding.ProjectedAddress";
    let path = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
    let add = |form: &[(&str, &str)]| format!("{path}/{}", sid(&world.owner.post(&path, form).is(201)));
    let sms = add(&[("MessagingBinding.Address", "+1"), (PROXY, "+2")]);
    let whatsapp = add(&[("MessagingBinding.Address", "whatsapp:+1"), (PROXY, "whatsapp:+2")]);
    let chat = add(&[("Identity", "ana")]);
    let changed = |path: &str, name: &str, value: &str| {
        world.owner.post(path, &[(name, value)]).is(200);
        world.owner.get(path).is(200)["messaging_binding"].clone()
    };
    assert_eq!(changed(&sms, PROXY, "+3"), json!({"type": "sms", "address": "+1", "proxy_address": "+3"}));
    // The pair is free again, and the new one is taken.
    let other = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
    world.owner.post(&other, &[("MessagingBinding.Address", "+1"), (PROXY, "+3")]).refuses(409, 50416);
    let second = sid(&world.owner.post(&other, &[("MessagingBinding.Address", "+1"), (PROXY, "+2")]).is(201));
    world.owner.post(&format!("{other}/{second}"), &[(PROXY, "+3")]).refuses(409, 50416);
    assert_eq!(changed(&sms, PROXY, "null"), json!({"type": "sms", "address": "+1"}));
    assert_eq!(changed(&chat, PROJECTED, "+7"), json!({"type": "sms", "projected_address": "+7"}));
    assert_eq!(changed(&chat, PROJECTED, "null"), json!(null));
    // What is so already is no fault.
    world.owner.post(&chat, &[("Identity", "ana")]).is(200);
    for (path, name, value, code) in [
        (&sms, PROXY, "null", 50440),
        (&whatsapp, PROXY, "null", 50440),
        (&chat, PROXY, "+9", 50441),
        (&chat, PROJECTED, "null", 50442),
        (&sms, PROJECTED, "+9", 50443),
        (&chat, "Identity", "bob", 50444),
        (&sms, "Identity", "bob", 50444),
        (&whatsapp, PROXY, "+2", 50414),
        (&whatsapp, PROXY, "whatsapp:+1", 50409),
    ] {
        let before = world.owner.get(path).is(200);
        world.owner.post(path, &[(name, value)]).refuses(400, code);
        assert_eq!(world.owner.get(path).is(200), before, "{name}={value}");
    }
}
