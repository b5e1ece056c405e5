//! /v1/Users and /v1/Users/{UserSid}/Conversations.

use serde_json::json;

use tertulia_server::store::{Command, Failure, Sql, Tx};

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! {
    a_user_lives_and_dies,
    deleting_a_user_ends_every_participation,
    a_users_conversations_are_listed_changed_and_left,
}
on_sqlite! {
    identities_have_limits_and_are_unique_in_a_service,
    odd_identities_are_found_after_one_round_of_decoding,
    roles_must_be_service_roles_of_the_same_service,
    attributes_are_json_of_at_most_4_kib,
    nobody_is_online_while_the_service_does_not_say,
    unread_messages_are_counted_above_the_horizon,
    unread_messages_are_counted_up_to_a_thousand,
}

fn a_user_lives_and_dies(world: &World) {
    let created = world.owner.post("/v1/Users", &[("Identity", "ana"), ("FriendlyName", "Ana")]).is(201);
    assert_fields("FetchUser", &created);
    assert_eq!((&created["is_online"], &created["is_notifiable"]), (&json!(null), &json!(null)));
    assert_eq!(created["attributes"], "{}");
    let configuration = world.owner.get(&format!("/v1/Services/{}/Configuration", world.service)).is(200);
    assert_eq!(created["role_sid"], configuration["default_chat_service_role_sid"]);
    let path = format!("/v1/Users/{}", sid(&created));
    assert_eq!(created["url"], format!("{}{path}", world.origin));
    assert_eq!(created["links"], json!({"user_conversations": format!("{}{path}/Conversations", world.origin)}));
    assert_eq!(world.owner.get(&path).is(200), created);
    assert_eq!(world.owner.get("/v1/Users/ana").is(200), created);
    let seen = world.owner.get(&format!("/v1/Services/{}/Users/ana", world.service)).is(200);
    assert_fields("FetchServiceUser", &seen);
    assert_eq!(seen["url"], format!("{}/v1/Services/{}/Users/{}", world.origin, world.service, sid(&created)));
    world.pass(1);
    let updated = world.owner.post("/v1/Users/ana", &[("FriendlyName", ""), ("Attributes", "{ }")]).is(200);
    assert_eq!((&updated["friendly_name"], &updated["attributes"]), (&json!(null), &json!("{ }")));
    assert_eq!(updated["date_updated"], "2026-01-02T03:04:06Z");
    world.owner.delete("/v1/Users/ana").is(204);
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
    let again = world.owner.post("/v1/Users", &[("Identity", "ana")]).is(201);
    assert_ne!(again["sid"], created["sid"]);
}

fn identities_have_limits_and_are_unique_in_a_service(world: &World) {
    let create = |identity: &str| world.owner.post("/v1/Users", &[("Identity", identity)]);
    create("ana").is(201);
    create("ana").refuses(409, 50201);
    create("Ana").is(201);
    create(&"é".repeat(256)).is(201);
    create(&"é".repeat(257)).refuses(400, 50207);
    create(&format!("US{}", "0".repeat(32))).refuses(400, 50206);
    create("system").refuses(400, 50203);
    create("").refuses(400, 20001);
    world.owner.post("/v1/Users", &[]).refuses(400, 20001);
    let second = world.second_service();
    world.owner.post(&format!("/v1/Services/{second}/Users"), &[("Identity", "ana")]).is(201);
}

fn odd_identities_are_found_after_one_round_of_decoding(world: &World) {
    for (identity, encoded) in [("a b+c@d", "a%20b+c@d"), ("50%", "50%25"), ("Ωmega/1?", "%CE%A9mega%2F1%3F")] {
        let created = world.owner.post("/v1/Users", &[("Identity", identity)]).is(201);
        assert_eq!(world.owner.get(&format!("/v1/Users/{encoded}")).is(200), created);
        world.owner.get(&format!("/v1/Users/{encoded}/Conversations")).is(200);
    }
}

fn roles_must_be_service_roles_of_the_same_service(world: &World) {
    let roles = world.owner.get("/v1/Roles").is(200);
    let role = |index: usize| roles["roles"][index]["sid"].as_str().unwrap().to_owned();
    let create =
        |identity: &str, role: &str| world.owner.post("/v1/Users", &[("Identity", identity), ("RoleSid", role)]);
    let (admin, conversation_role) = (role(0), role(2));
    assert_eq!(create("ana", &admin).is(201)["role_sid"], admin.as_str());
    let second = world.second_service();
    let foreign = world.owner.get(&format!("/v1/Services/{second}/Roles")).is(200)["roles"][0]["sid"].clone();
    for wrong in [conversation_role.as_str(), foreign.as_str().unwrap(), "RL1"] {
        create("bruno", wrong).refuses(400, 50102);
        world.owner.post("/v1/Users/ana", &[("RoleSid", wrong)]).refuses(400, 50102);
    }
}

fn attributes_are_json_of_at_most_4_kib(world: &World) {
    let fits = format!("\"{}\"", "x".repeat(4096 - 2));
    let create = |text: &str| world.owner.post("/v1/Users", &[("Identity", "ana"), ("Attributes", text)]);
    create(&format!("{fits} ")).refuses(400, 50303);
    create("{").refuses(400, 50304);
    assert_eq!(create(&fits).is(201)["attributes"], fits);
    world.owner.post("/v1/Users/ana", &[("Attributes", "")]).refuses(400, 50304);
    world.owner.post("/v1/Users/ana", &[("FriendlyName", &"é".repeat(257))]).refuses(400, 50003);
}

fn nobody_is_online_while_the_service_does_not_say(world: &World) {
    world.owner.post("/v1/Users", &[("Identity", "ana")]).is(201);
    let configuration = format!("/v1/Services/{}/Configuration", world.service);
    for flag in ["true", "False"] {
        world.owner.post(&configuration, &[("ReachabilityEnabled", flag)]).is(200);
        // Never seen, so nothing is known of ana in either case.
        assert_eq!(world.owner.get("/v1/Users/ana").is(200)["is_online"], json!(null));
        let list = world.owner.get("/v1/Users").is(200);
        assert_eq!(list["users"][0]["is_online"], json!(null));
    }
}

fn deleting_a_user_ends_every_participation(world: &World) {
    let paths: Vec<String> = (0..3).map(|_| format!("/v1/Conversations/{}", sid(&world.conversation(&[])))).collect();
    for path in &paths {
        world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
        world.owner.post(&format!("{path}/Participants"), &[("Identity", "bruno")]).is(201);
        world.owner.post(&format!("{path}/Messages"), &[("Body", "x"), ("Author", "ana")]).is(201);
    }
    world.owner.delete("/v1/Users/ana").is(204);
    world.owner.get("/v1/Users/ana").refuses(404, 20404);
    for path in &paths {
        let list = world.owner.get(&format!("{path}/Participants")).is(200);
        assert_eq!(list["participants"].as_array().unwrap().len(), 1);
        assert_eq!(list["participants"][0]["identity"], "bruno");
        assert_eq!(world.owner.get(&format!("{path}/Messages")).is(200)["messages"][0]["author"], "ana");
    }
    world.owner.post(&format!("{}/Participants", paths[0]), &[("Identity", "ana")]).is(201);
    let own = world.owner.get("/v1/Users/ana/Conversations").is(200);
    assert_eq!(own["conversations"].as_array().unwrap().len(), 1, "the new ana begins anew");
}

fn a_users_conversations_are_listed_changed_and_left(world: &World) {
    let created = world.conversation(&[("UniqueName", "lobby"), ("FriendlyName", "Lobby")]);
    let path = format!("/v1/Conversations/{}", sid(&created));
    let ana = world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
    let user = world.owner.get("/v1/Users/ana").is(200);
    let list = world.owner.get("/v1/Users/ana/Conversations").is(200);
    let row = &list["conversations"][0];
    assert_fields("FetchUserConversation", row);
    assert_eq!((&row["user_sid"], &row["participant_sid"]), (&user["sid"], &ana["sid"]));
    assert_eq!((&row["unread_messages_count"], &row["last_read_message_index"]), (&json!(null), &json!(null)));
    assert_eq!((&row["created_by"], &row["notification_level"]), (&json!("system"), &json!("default")));
    assert_eq!((&row["unique_name"], &row["friendly_name"]), (&json!("lobby"), &json!("Lobby")));
    let own = format!("/v1/Users/{}/Conversations/{}", sid(&user), sid(&created));
    assert_eq!(row["url"], format!("{}{own}", world.origin));
    assert_eq!(row["links"], json!({"participant": ana["url"], "conversation": created["url"]}));
    assert_eq!(&world.owner.get("/v1/Users/ana/Conversations/lobby").is(200), row);
    let service = format!("/v1/Services/{}/Users/ana/Conversations/lobby", world.service);
    assert_fields("FetchServiceUserConversation", &world.owner.get(&service).is(200));
    let form = [("NotificationLevel", "Muted"), ("LastReadMessageIndex", "0")];
    let updated = world.owner.post(&own, &form).is(200);
    assert_eq!((&updated["notification_level"], &updated["last_read_message_index"]), (&json!("muted"), &json!(0)));
    assert_eq!(world.owner.get(&format!("{path}/Participants/ana")).is(200)["last_read_message_index"], 0);
    world.owner.post(&own, &[("NotificationLevel", "loud")]).refuses(400, 50210);
    world.owner.post(&own, &[("LastReadMessageIndex", "x")]).refuses(400, 50421);
    world.owner.get("/v1/Users/nobody/Conversations/lobby").refuses(404, 20404);
    world.owner.get("/v1/Users/nobody/Conversations").refuses(404, 20404);
    world.owner.delete(&own).is(204);
    world.owner.get(&own).refuses(404, 20404);
    world.owner.get(&format!("{path}/Participants/ana")).refuses(404, 20404);
    assert_eq!(world.owner.get("/v1/Users/ana/Conversations").is(200)["conversations"], json!([]));
}

fn unread_messages_are_counted_above_the_horizon(world: &World) {
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[("UniqueName", "lobby")])));
    world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
    let sent: Vec<_> =
        (0..4).map(|_| sid(&world.owner.post(&format!("{path}/Messages"), &[("Body", "x")]).is(201))).collect();
    let unread = || world.owner.get("/v1/Users/ana/Conversations/lobby").is(200)["unread_messages_count"].clone();
    assert_eq!(unread(), json!(null));
    let own = "/v1/Users/ana/Conversations/lobby";
    let set = |index: &str| {
        world.owner.post(own, &[("LastReadMessageIndex", index)]).is(200)["unread_messages_count"].clone()
    };
    assert_eq!(set("1"), json!(2));
    world.owner.delete(&format!("{path}/Messages/{}", sent[3])).is(204);
    world.owner.delete(&format!("{path}/Messages/{}", sent[0])).is(204);
    assert_eq!(unread(), json!(1));
    assert_eq!(set("3"), json!(0));
    assert_eq!(set(""), json!(null));
}

/// Moves a conversation's last index, as many messages would.
struct LastIndex(String, i64);

impl Command for LastIndex {
    type Out = ();
    type Refusal = Failure;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        static SET: Sql = Sql::new("UPDATE conversations SET last_index = $2 WHERE sid = $1");
        tx.execute(&SET, &[self.0.as_str().into(), self.1.into()]).await?;
        Ok(())
    }
}

fn unread_messages_are_counted_up_to_a_thousand(world: &World) {
    let conversation = sid(&world.conversation(&[]));
    let path = format!("/v1/Conversations/{conversation}");
    world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
    world.owner.post(&format!("{path}/Messages"), &[("Body", "first")]).is(201);
    world.owner.post(&format!("{path}/Participants/ana"), &[("LastReadMessageIndex", "0")]).is(200);
    for (last, told) in [(0, 0), (999, 999), (1000, 1000), (1001, 1000), (5_000_000, 1000)] {
        world.play(world.app().db.store.write(LastIndex(conversation.clone(), last))).expect("a change");
        let over_rest = world.owner.get(&format!("/v1/Users/ana/Conversations/{conversation}")).is(200);
        assert_eq!(over_rest["unread_messages_count"], told, "{last}");
        let in_sdk = world.user("ana").get(&format!("/MyConversations/{conversation}")).is(200);
        assert_eq!(in_sdk["unread_messages_count"], told, "{last}");
    }
}
