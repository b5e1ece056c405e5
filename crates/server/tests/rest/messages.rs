//! /v1/Conversations/{ConversationSid}/Messages.

use serde_json::json;

use crate::support::{World, assert_fields, on_both_engines, on_sqlite, sid};

on_both_engines! {
    content_without_a_template_is_refused,
    a_message_lives_and_dies,
    an_index_is_never_used_twice,
    the_list_is_ordered_by_index,
}
on_sqlite! {
    a_body_has_at_most_32_kib_of_utf_8,
    a_message_needs_a_body,
    attributes_come_back_byte_for_byte,
    attributes_are_json_of_at_most_4_kib,
    the_author_is_a_participant_or_just_a_name,
    texts_have_limits_and_no_nul,
    an_importer_brings_its_own_dates,
    a_message_of_another_conversation_is_not_found,
}

fn room(world: &World) -> String {
    format!("/v1/Conversations/{}/Messages", sid(&world.conversation(&[])))
}

fn a_message_lives_and_dies(world: &World) {
    let conversation = world.conversation(&[]);
    let list = format!("/v1/Conversations/{}/Messages", sid(&conversation));
    let sent = world.owner.post(&list, &[("Body", "¡hola señora! 👋"), ("Author", "ana")]).is(201);
    assert_fields("FetchConversationMessage", &sent);
    assert_eq!((&sent["index"], &sent["body"]), (&json!(0), &json!("¡hola señora! 👋")));
    assert_eq!((&sent["media"], &sent["delivery"], &sent["content_sid"]), (&json!(null), &json!(null), &json!(null)));
    assert_eq!(sent["conversation_sid"], conversation["sid"]);
    assert_eq!(sent["date_updated"], sent["date_created"]);
    let path = format!("{list}/{}", sid(&sent));
    assert_eq!(sent["url"], format!("{}{path}", world.origin));
    let links = json!({
        "delivery_receipts": format!("{}{path}/Receipts", world.origin),
        "channel_metadata": format!("{}{path}/ChannelMetadata", world.origin),
    });
    assert_eq!(sent["links"], links);
    assert_eq!(world.owner.get(&path).is(200), sent);
    world.pass(1);
    let edited = world.owner.post(&path, &[("Body", "adiós")]).is(200);
    assert_eq!((&edited["body"], &edited["author"]), (&json!("adiós"), &json!("ana")));
    assert_eq!(edited["date_updated"], "2026-01-02T03:04:06Z");
    let service = format!("/v1/Services/{}{}", world.service, &path["/v1".len()..]);
    let seen = world.owner.get(&service).is(200);
    assert_fields("FetchServiceConversationMessage", &seen);
    assert_eq!(seen["chat_service_sid"], world.service.as_str());
    world.owner.delete(&path).is(204);
    world.owner.get(&path).refuses(404, 20404);
    world.owner.delete(&path).refuses(404, 20404);
    assert_eq!(world.owner.get(&list).is(200)["messages"], json!([]));
}

fn an_index_is_never_used_twice(world: &World) {
    let list = room(world);
    let send = || world.owner.post(&list, &[("Body", "x")]).is(201);
    let (first, second) = (send(), send());
    assert_eq!((&first["index"], &second["index"]), (&json!(0), &json!(1)));
    world.owner.delete(&format!("{list}/{}", sid(&second))).is(204);
    assert_eq!(send()["index"], 2);
    world.owner.delete(&format!("{list}/{}", sid(&first))).is(204);
    let indexes: Vec<_> =
        world.owner.get(&list).is(200)["messages"].as_array().unwrap().iter().map(|row| row["index"].clone()).collect();
    assert_eq!(indexes, [json!(2)]);
}

fn the_list_is_ordered_by_index(world: &World) {
    let list = room(world);
    for body in ["a", "b", "c"] {
        world.owner.post(&list, &[("Body", body)]).is(201);
    }
    let bodies = |query: &str| -> String {
        let page = world.owner.get(&format!("{list}{query}")).is(200);
        page["messages"].as_array().unwrap().iter().map(|row| row["body"].as_str().unwrap()).collect()
    };
    assert_eq!(bodies(""), "abc");
    assert_eq!(bodies("?Order=ASC"), "abc");
    assert_eq!(bodies("?Order=Desc"), "cba");
    world.owner.get(&format!("{list}?Order=up")).refuses(400, 20001);
}

fn a_body_has_at_most_32_kib_of_utf_8(world: &World) {
    let list = room(world);
    let fits = format!("{}a", "é".repeat(32_767 / 2)) + "b";
    assert_eq!(fits.len(), 32_768);
    let sent = world.owner.post(&list, &[("Body", &fits)]).is(201);
    assert_eq!(sent["body"], fits);
    world.owner.post(&list, &[("Body", &format!("{fits}c"))]).refuses(400, 50504);
    world.owner.post(&format!("{list}/{}", sid(&sent)), &[("Body", &format!("{fits}c"))]).refuses(400, 50504);
}

fn a_message_needs_a_body(world: &World) {
    let list = room(world);
    world.owner.post(&list, &[]).refuses(400, 50503);
    world.owner.post(&list, &[("Body", "")]).refuses(400, 50503);
    world.owner.post(&list, &[("Body", "x"), ("MediaSid", &format!("ME{}", "0".repeat(32)))]).refuses(400, 50507);
}

fn attributes_come_back_byte_for_byte(world: &World) {
    let list = room(world);
    for text in ["{ \"a\" :  1 }", "{\"a\":\"\\u00e9\"}", "null", "1e3"] {
        let sent = world.owner.post(&list, &[("Body", "x"), ("Attributes", text)]).is(201);
        assert_eq!(world.owner.get(&format!("{list}/{}", sid(&sent))).is(200)["attributes"], text);
    }
}

fn attributes_are_json_of_at_most_4_kib(world: &World) {
    let list = room(world);
    let fits = format!("\"{}\"", "x".repeat(4096 - 2));
    let send = |text: &str| world.owner.post(&list, &[("Body", "x"), ("Attributes", text)]);
    send(&fits).is(201);
    send(&format!("{fits} ")).refuses(400, 50303);
    send("{").refuses(400, 50304);
}

fn the_author_is_a_participant_or_just_a_name(world: &World) {
    let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
    let ana = world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
    let send = |form: &[(&str, &str)]| world.owner.post(&format!("{path}/Messages"), form).is(201);
    let by_ana = send(&[("Body", "x"), ("Author", "ana")]);
    assert_eq!((&by_ana["author"], &by_ana["participant_sid"]), (&json!("ana"), &ana["sid"]));
    let by_system = send(&[("Body", "x")]);
    assert_eq!((&by_system["author"], &by_system["participant_sid"]), (&json!("system"), &json!(null)));
    let by_name = send(&[("Body", "x"), ("Author", "a bot")]);
    assert_eq!((&by_name["author"], &by_name["participant_sid"]), (&json!("a bot"), &json!(null)));
    let form = [("MessagingBinding.Address", "+1"), ("MessagingBinding.ProxyAddress", "+2")];
    let phone = world.owner.post(&format!("{path}/Participants"), &form).is(201);
    assert_eq!(send(&[("Body", "x"), ("Author", "+1")])["participant_sid"], phone["sid"]);
    // Another author is another participant.
    let change = |author: &str| {
        let message = format!("{path}/Messages/{}", sid(&by_ana));
        let changed = world.owner.post(&message, &[("Author", author)]).is(200);
        assert_eq!(world.owner.get(&message).is(200), changed);
        (changed["author"].clone(), changed["participant_sid"].clone())
    };
    assert_eq!(change("+1"), (json!("+1"), phone["sid"].clone()));
    assert_eq!(change("a bot"), (json!("a bot"), json!(null)));
    assert_eq!(change("ana"), (json!("ana"), ana["sid"].clone()));
    assert_eq!(change(""), (json!("system"), json!(null)));
}

fn texts_have_limits_and_no_nul(world: &World) {
    let list = room(world);
    let send = |name: &str, value: &str| world.owner.post(&list, &[("Body", "x"), (name, value)]);
    send("Author", &"é".repeat(256)).is(201);
    send("Author", &"é".repeat(257)).refuses(400, 50310);
    send("Subject", &"é".repeat(257)).refuses(400, 20001);
    send("Author", "a\0").refuses(400, 20001);
    world.owner.post(&list, &[("Body", "a\0b")]).refuses(400, 20001);
    // A lone surrogate cannot be written in UTF-8; nor can other bytes come in.
    world.owner.send("POST", &list, b"Body=%ED%A0%80").refuses(400, 20001);
    world.owner.send("POST", &list, b"Body=%FF").refuses(400, 20001);
}

fn an_importer_brings_its_own_dates(world: &World) {
    let list = room(world);
    let form = [("Body", "x"), ("DateCreated", "2015-12-16T22:18:37Z"), ("DateUpdated", "2015-12-16T22:18:38Z")];
    let sent = world.owner.post(&list, &form).is(201);
    assert_eq!(sent["date_created"], "2015-12-16T22:18:37Z");
    assert_eq!(sent["date_updated"], "2015-12-16T22:18:38Z");
    world.owner.post(&list, &[("Body", "x"), ("DateCreated", "x")]).refuses(400, 50308);
    world.owner.post(&list, &[("Body", "x"), ("DateUpdated", "x")]).refuses(400, 50309);
}

fn a_message_of_another_conversation_is_not_found(world: &World) {
    let (here, there) = (room(world), room(world));
    let sent = world.owner.post(&here, &[("Body", "x")]).is(201);
    world.owner.get(&format!("{there}/{}", sid(&sent))).refuses(404, 20404);
    world.owner.post(&format!("{there}/{}", sid(&sent)), &[("Body", "y")]).refuses(404, 20404);
    world.owner.delete(&format!("{there}/{}", sid(&sent))).refuses(404, 20404);
    world.owner.get(&format!("{here}/0")).refuses(404, 20404);
    assert_eq!(world.owner.get(&format!("{here}/{}", sid(&sent))).is(200)["body"], "x");
}

fn content_without_a_template_is_refused(world: &World) {
    let path = format!("/v1/Conversations/{}/Messages", sid(&world.conversation(&[])));
    world.owner.post(&path, &[("Body", "x"), ("ContentVariables", "{\"1\":\"a\"}")]).refuses(400, 50528);
    let template = format!("HX{}", "1".repeat(32));
    world.owner.post(&path, &[("Body", "x"), ("ContentSid", &template)]).refuses(400, 50526);
    assert_eq!(world.owner.get(&path).is(200)["messages"], json!([]));
}
