//! /v1/Conversations.

use serde_json::json;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_conversation_lives_and_dies,
    a_unique_name_is_taken_once_and_free_after_a_delete,
    lists_are_filtered_by_state_and_date,
    a_deletion_is_told_once_whatever_the_number_of_participants,
}
on_sqlite! {
    both_routes_show_the_same_conversation_with_their_own_urls,
    odd_unique_names_are_found_after_one_round_of_decoding,
    attributes_come_back_byte_for_byte,
    attributes_are_json_of_at_most_16_kib,
    states_and_timers_have_documented_codes,
    timers_run_from_the_last_activity,
    default_timers_belong_to_new_conversations_without_their_own,
    an_importer_brings_its_own_dates,
    names_have_limits,
    bindings_are_kept_and_bounded,
    imported_messages_do_not_drive_the_timers,
    a_state_that_is_set_again_is_not_a_change_of_state,
    an_end_second_counts_as_a_whole,
    too_many_parameters_and_nuls_are_refused,
    a_closed_conversation_can_be_read_and_deleted_only,
}

fn a_conversation_lives_and_dies(world: &World) {
    let form = [("FriendlyName", "Café"), ("UniqueName", "café"), ("Attributes", r#"{"a": 1}"#)];
    let created = world.conversation(&form);
    assert_fields("FetchConversation", &created);
    assert_eq!(created["state"], "active");
    assert_eq!(created["date_created"], "2026-01-02T03:04:05Z");
    assert_eq!(created["date_updated"], created["date_created"]);
    assert_eq!(created["account_sid"], world.account.as_str());
    assert_eq!((&created["timers"], &created["bindings"]), (&json!({}), &json!({})));
    assert_eq!(created["messaging_service_sid"], json!(null));
    let path = format!("/v1/Conversations/{}", sid(&created));
    assert_eq!(world.owner.get(&path).is(200), created);
    world.pass(5);
    let updated = world.owner.post(&path, &[("FriendlyName", "")]).is(200);
    assert_eq!(updated["friendly_name"], json!(null));
    assert_eq!(updated["unique_name"], "café");
    assert_eq!(updated["date_updated"], "2026-01-02T03:04:10Z");
    assert_eq!(world.owner.post(&path, &[]).is(200)["unique_name"], "café");
    let list = world.owner.get("/v1/Conversations").is(200);
    assert_eq!(list["conversations"][0]["sid"], created["sid"]);
    assert_eq!(world.owner.delete(&path).is(204), json!(null));
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
    world.owner.get(&format!("{path}/Messages")).refuses(404, 20404);
    assert_eq!(world.owner.get("/v1/Conversations").is(200)["conversations"], json!([]));
}

fn both_routes_show_the_same_conversation_with_their_own_urls(world: &World) {
    let created = world.conversation(&[]);
    let sid = sid(&created);
    let short = format!("{}/v1/Conversations/{sid}", world.origin);
    let service = format!("{}/v1/Services/{}/Conversations/{sid}", world.origin, world.service);
    assert_eq!(created["url"], short.as_str());
    let links = json!({
        "participants": format!("{short}/Participants"), "messages": format!("{short}/Messages"),
        "webhooks": format!("{short}/Webhooks"), "export": format!("{short}/Export"),
    });
    assert_eq!(created["links"], links);
    let path = format!("/v1/Services/{}/Conversations/{sid}", world.service);
    let seen = world.owner.get(&path).is(200);
    assert_fields("FetchServiceConversation", &seen);
    assert_eq!(seen["url"], service.as_str());
    assert_eq!(seen["links"]["messages"], format!("{service}/Messages"));
    let list = world.owner.get(&format!("/v1/Services/{}/Conversations", world.service)).is(200);
    assert_eq!(list["conversations"][0], seen);
    let upper = format!("/v1/Conversations/CH{}", sid[2..].to_uppercase());
    assert_eq!(world.owner.get(&upper).is(200)["sid"], sid.as_str());
}

fn odd_unique_names_are_found_after_one_round_of_decoding(world: &World) {
    let names = [
        ("a b+c@d", "a%20b+c@d"),
        ("50%", "50%25"),
        ("çà/où?", "%C3%A7%C3%A0%2Fo%C3%B9%3F"),
        ("%41", "%2541"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
    ];
    for (name, encoded) in names {
        let created = world.conversation(&[("UniqueName", name)]);
        let path = format!("/v1/Conversations/{encoded}");
        let seen = world.owner.get(&path).is(200);
        assert_eq!((&seen["sid"], &seen["unique_name"]), (&created["sid"], &json!(name)), "{name}");
        assert_eq!(seen["url"], created["url"], "URLs always have the SID");
        let sent = world.owner.post(&format!("{path}/Messages"), &[("Body", "x")]).is(201);
        assert_eq!(sent["conversation_sid"], created["sid"]);
    }
    world.owner.get("/v1/Conversations/a+b+c@d").refuses(404, 20404);
}

fn a_unique_name_is_taken_once_and_free_after_a_delete(world: &World) {
    let first = world.conversation(&[("UniqueName", "lobby")]);
    let message = world.owner.post("/v1/Conversations", &[("UniqueName", "lobby")]).refuses(409, 50353);
    assert_eq!(message, "Conversation with provided unique name already exists");
    let second = world.conversation(&[("UniqueName", "hall")]);
    let path = format!("/v1/Conversations/{}", sid(&second));
    world.owner.post(&path, &[("UniqueName", "lobby")]).refuses(409, 50353);
    world.owner.post(&path, &[("UniqueName", "hall")]).is(200);
    // Unique names belong to one service.
    let other = world.second_service();
    world.owner.post(&format!("/v1/Services/{other}/Conversations"), &[("UniqueName", "lobby")]).is(201);
    world.owner.delete("/v1/Conversations/lobby").is(204);
    world.owner.get("/v1/Conversations/lobby").refuses(404, 20404);
    let again = world.conversation(&[("UniqueName", "lobby")]);
    assert_ne!(again["sid"], first["sid"]);
    world.owner.post(&path, &[("UniqueName", "")]).is(200);
    world.conversation(&[("UniqueName", "hall")]);
}

fn attributes_come_back_byte_for_byte(world: &World) {
    for text in ["{ \"a\" :  1 }", "{\"a\":\"\\u00e9\\n\"}", "5", "[ ]", "\"é\"", "{\"a\":1,\"a\":2}", " {} "] {
        let created = world.conversation(&[("Attributes", text)]);
        assert_eq!(created["attributes"], text);
        let seen = world.owner.get(&format!("/v1/Conversations/{}", sid(&created))).is(200);
        assert_eq!(seen["attributes"], text);
    }
    assert_eq!(world.conversation(&[])["attributes"], "{}");
}

fn attributes_are_json_of_at_most_16_kib(world: &World) {
    let fits = format!("\"{}\"", "x".repeat(16_384 - 2));
    world.conversation(&[("Attributes", &fits)]);
    let post = |text: &str| world.owner.post("/v1/Conversations", &[("Attributes", text)]);
    post(&format!("{fits} ")).refuses(400, 50303);
    for wrong in ["", "{", "nonsense", "{'a': 1}"] {
        post(wrong).refuses(400, 50304);
    }
    post("\"a\0b\"").refuses(400, 20001);
}

fn states_and_timers_have_documented_codes(world: &World) {
    let create = |name: &str, value: &str| world.owner.post("/v1/Conversations", &[(name, value)]);
    assert_eq!(create("State", "Inactive").is(201)["state"], "inactive");
    create("State", "closed").refuses(400, 50384);
    create("State", "asleep").refuses(400, 50378);
    create("State", "").refuses(400, 50374);
    create("Timers.Inactive", "PT59S").refuses(400, 50375);
    create("Timers.Closed", "PT9M").refuses(400, 50376);
    create("Timers.Inactive", "soon").refuses(400, 50379);
    create("Timers.Closed", "10").refuses(400, 50380);
    create("MessagingServiceSid", "MG1").refuses(400, 50341);
    create("Timers.Inactive", "PT0S").is(201);
    create("Timers.Closed", "").is(201);
}

fn timers_run_from_the_last_activity(world: &World) {
    let created = world.conversation(&[("Timers.Inactive", "PT1M"), ("Timers.Closed", "PT10M")]);
    let dates = json!({"date_inactive": "2026-01-02T03:05:05Z", "date_closed": "2026-01-02T03:14:05Z"});
    assert_eq!(created["timers"], dates);
    let path = format!("/v1/Conversations/{}", sid(&created));
    world.pass(30);
    world.owner.post(&format!("{path}/Messages"), &[("Body", "x")]).is(201);
    assert_eq!(world.owner.get(&path).is(200)["timers"]["date_inactive"], "2026-01-02T03:05:35Z");
    let updated = world.owner.post(&path, &[("Timers.Inactive", "PT0S")]).is(200);
    assert_eq!(updated["timers"], json!({"date_closed": "2026-01-02T03:14:35Z"}));
    let inactive = world.owner.post(&path, &[("State", "inactive"), ("Timers.Inactive", "PT2M")]).is(200);
    assert_eq!((&inactive["state"], &inactive["timers"]["date_inactive"]), (&json!("inactive"), &json!(null)));
    world.owner.post(&format!("{path}/Messages"), &[("Body", "x")]).is(201);
    assert_eq!(world.owner.get(&path).is(200)["state"], "active");
}

fn default_timers_belong_to_new_conversations_without_their_own(world: &World) {
    let before = world.conversation(&[]);
    let defaults = [("DefaultInactiveTimer", "PT5M"), ("DefaultClosedTimer", "PT1H")];
    world.owner.post("/v1/Configuration", &defaults).is(200);
    let timers = |form: &[(&str, &str)]| world.conversation(form)["timers"].clone();
    let both = json!({"date_inactive": "2026-01-02T03:09:05Z", "date_closed": "2026-01-02T04:04:05Z"});
    assert_eq!(timers(&[]), both);
    assert_eq!(timers(&[("Timers.Inactive", "PT1M")])["date_inactive"], "2026-01-02T03:05:05Z");
    assert_eq!(timers(&[("Timers.Inactive", ""), ("Timers.Closed", "PT0S")]), json!({}));
    let path = format!("/v1/Conversations/{}", sid(&before));
    assert_eq!(world.owner.get(&path).is(200)["timers"], json!({}));
}

fn an_importer_brings_its_own_dates(world: &World) {
    let form = [("DateCreated", "2015-12-16T22:18:37Z"), ("DateUpdated", "2015-12-17T00:00:00.999Z")];
    let created = world.conversation(&form);
    assert_eq!(created["date_created"], "2015-12-16T22:18:37Z");
    assert_eq!(created["date_updated"], "2015-12-17T00:00:00Z");
    let only_created = world.conversation(&form[..1]);
    assert_eq!(only_created["date_updated"], "2015-12-16T22:18:37Z");
    let post = |name: &str, value: &str| world.owner.post("/v1/Conversations", &[(name, value)]);
    post("DateCreated", "yesterday").refuses(400, 50308);
    post("DateUpdated", "2015").refuses(400, 50309);
}

fn lists_are_filtered_by_state_and_date(world: &World) {
    for (day, state) in [("10", "active"), ("11", "inactive"), ("12", "active")] {
        world.conversation(&[
            ("DateCreated", &format!("2020-01-{day}T12:00:00Z")),
            ("State", state),
            ("UniqueName", day),
        ]);
    }
    let names = |query: &str| -> Vec<String> {
        let list = world.owner.get(&format!("/v1/Conversations?{query}")).is(200);
        let rows = list["conversations"].as_array().unwrap().clone();
        rows.iter().map(|row| row["unique_name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(""), ["10", "11", "12"]);
    assert_eq!(names("State=ACTIVE"), ["10", "12"]);
    assert_eq!(names("StartDate=2020-01-11"), ["12", "11"]);
    assert_eq!(names("StartDate=2020-01-10T12:00:00Z&EndDate=2020-01-11"), ["11", "10"]);
    assert_eq!(names("EndDate=2020-01-11&State=inactive"), ["11"]);
    let get = |query: &str| world.owner.get(&format!("/v1/Conversations?{query}"));
    get("StartDate=2020-01-12&EndDate=2020-01-11").refuses(400, 50396);
    get("StartDate=soon").refuses(400, 20001);
    get("State=asleep").refuses(400, 50378);
}

fn names_have_limits(world: &World) {
    let post = |name: &str, value: &str| world.owner.post("/v1/Conversations", &[(name, value)]);
    post("FriendlyName", &"é".repeat(256)).is(201);
    post("FriendlyName", &"é".repeat(257)).refuses(400, 50003);
    post("UniqueName", &"é".repeat(257)).refuses(400, 50004);
    post("UniqueName", &format!("ch{}", "0".repeat(32))).refuses(400, 50390);
    post("FriendlyName", "a\0b").refuses(400, 20001);
    post("UniqueName", "a\0b").refuses(400, 20001);
}

fn bindings_are_kept_and_bounded(world: &World) {
    let created = world.conversation(&[("Bindings.Email.Address", "a@b.example"), ("Bindings.Email.Name", "A")]);
    assert_eq!(created["bindings"], json!({"email": {"projected_address": "a@b.example", "name": "A"}}));
    let path = format!("/v1/Conversations/{}", sid(&created));
    let updated = world.owner.post(&path, &[("Bindings.Email.Name", "B")]).is(200);
    assert_eq!(updated["bindings"], json!({"email": {"projected_address": "a@b.example", "name": "B"}}));
    for name in ["Bindings.Email.Name", "Bindings.Email.Address"] {
        world.owner.post(&path, &[(name, &"é".repeat(257))]).refuses(400, 20001);
        world.owner.post("/v1/Conversations", &[(name, &"é".repeat(257))]).refuses(400, 20001);
    }
}

fn imported_messages_do_not_drive_the_timers(world: &World) {
    let created = world.conversation(&[("Timers.Inactive", "PT1M"), ("State", "inactive")]);
    let path = format!("/v1/Conversations/{}", sid(&created));
    world.pass(30);
    for date in ["2015-01-01T00:00:00Z", "9000-01-01T00:00:00Z"] {
        world.owner.post(&format!("{path}/Messages"), &[("Body", "x"), ("DateCreated", date)]).is(201);
        let seen = world.owner.get(&path).is(200);
        assert_eq!(
            (&seen["state"], &seen["timers"]),
            (&json!("active"), &json!({"date_inactive": "2026-01-02T03:05:35Z"}))
        );
    }
    let row = world.row(&path);
    assert_eq!(row.state_since.seconds_text(), "2026-01-02T03:04:35Z");
    assert_eq!(row.last_message_at.unwrap().seconds_text(), "9000-01-01T00:00:00Z");
}

fn a_state_that_is_set_again_is_not_a_change_of_state(world: &World) {
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Closed", "PT10M")])));
    let since = world.row(&path).state_since;
    world.pass(30);
    let set = world.owner.post(&path, &[("State", "active"), ("Timers.Inactive", "PT1M")]).is(200);
    let restarted = json!({"date_inactive": "2026-01-02T03:05:35Z", "date_closed": "2026-01-02T03:14:35Z"});
    assert_eq!(set["timers"], restarted);
    assert_eq!(world.row(&path).state_since, since);
    world.owner.post(&path, &[("State", "inactive")]).is(200);
    assert_ne!(world.row(&path).state_since, since);
}

fn an_end_second_counts_as_a_whole(world: &World) {
    world.conversation(&[("DateCreated", "2020-01-11T12:00:00.5Z")]);
    let count = |query: &str| {
        let list = world.owner.get(&format!("/v1/Conversations?{query}")).is(200);
        list["conversations"].as_array().unwrap().len()
    };
    assert_eq!(count("EndDate=2020-01-11T12:00:00Z"), 1);
    assert_eq!(count("EndDate=2020-01-11T11:59:59Z"), 0);
    assert_eq!(count("EndDate=2020-01-11T12:00:00.4Z"), 0);
    assert_eq!(count("EndDate=2020-01-11"), 1);
}

fn too_many_parameters_and_nuls_are_refused(world: &World) {
    let send = |body: &[u8]| world.owner.send("POST", "/v1/Conversations", body);
    send("a&".repeat(1001).as_bytes()).refuses(400, 20001);
    send(b"Unknown=%00").refuses(400, 20001);
    for query in ["ParticipantConversations?Identity=%00", "ParticipantConversations?Address=%00", "Users?x=%00"] {
        world.owner.get(&format!("/v1/{query}")).refuses(400, 20001);
    }
    let post = |date: &str| world.owner.post("/v1/Conversations", &[("DateCreated", date)]);
    post("-009998-01-01T00:00:00Z").refuses(400, 50308);
    for timer in ["PT+60S", "PT0000000000000000000000000000000060S"] {
        world.owner.post("/v1/Conversations", &[("Timers.Inactive", timer)]).refuses(400, 50379);
    }
}

fn a_deletion_is_told_once_whatever_the_number_of_participants(world: &World) {
    for count in [0, 1, 100, 101] {
        let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
        for index in 0..count {
            world.owner.post(&format!("{path}/Participants"), &[("Identity", &format!("u{index}"))]).is(201);
        }
        let before = world.position(&path);
        world.owner.delete(&path).is(204);
        world.eventually_purged();
        assert_eq!(world.position(&path), before + 1, "{count} participants");
    }
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[("Timers.Inactive", "PT1M")])));
    world.owner.delete(&path).is(204);
    let row = world.row(&path);
    assert_eq!((row.created_by.as_str(), row.inactive_timer), ("", None), "a tombstone keeps no names");
}

fn a_closed_conversation_can_be_read_and_deleted_only(world: &World) {
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
    let message = sid(&world.owner.post(&format!("{path}/Messages"), &[("Body", "x")]).is(201));
    let participant = sid(&world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201));
    assert_eq!(world.owner.post(&path, &[("State", "closed")]).is(200)["state"], "closed");
    for (path, form) in [
        (path.clone(), ("FriendlyName", "x")),
        (path.clone(), ("State", "active")),
        (format!("{path}/Messages"), ("Body", "x")),
        (format!("{path}/Messages/{message}"), ("Body", "y")),
        (format!("{path}/Participants"), ("Identity", "bruno")),
        (format!("{path}/Participants/{participant}"), ("Attributes", "1")),
    ] {
        world.owner.post(&path, &[form]).refuses(400, 50377);
    }
    world.owner.get(&format!("{path}/Messages/{message}")).is(200);
    world.owner.get(&format!("{path}/Participants/{participant}")).is(200);
    world.owner.delete(&path).is(204);
}
