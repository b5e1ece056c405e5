//! Refusals that do not depend on the resource, and what every answer has.

use crate::support::{World, on_sqlite, sid};

on_sqlite! {
    an_unknown_path_is_not_found,
    another_verb_is_not_allowed,
    bad_credentials_are_all_refused_alike,
    good_credentials_are_read_generously,
    a_refusal_names_the_whole_path_without_the_version,
    a_body_that_is_too_large_or_no_form_is_refused,
    every_answer_has_an_id_and_may_be_read_by_a_browser,
    unknown_parameters_are_ignored,
    a_content_type_on_get_means_nothing,
}

fn an_unknown_path_is_not_found(world: &World) {
    for path in ["/v1/Nothing", "/v1", "/v2/Conversations", "/v1/Conversations/", "/v1/conversations", "/2010-04-01"] {
        world.owner.get(path).refuses(404, 20404);
    }
    world.stranger.get("/v1/Nothing").refuses(404, 20404);
}

fn another_verb_is_not_allowed(world: &World) {
    world.owner.delete("/v1/Conversations").refuses(405, 20004);
    world.owner.send("PUT", "/v1/Conversations", b"").refuses(405, 20004);
    world.owner.send("PATCH", "/v1/Services", b"").refuses(405, 20004);
}

fn bad_credentials_are_all_refused_alike(world: &World) {
    let (unknown, key) = (format!("AC{}", "9".repeat(32)), format!("SK{}", "9".repeat(32)));
    let wrong = [
        world.stranger.clone(),
        world.with_credentials(&world.account, "wrong"),
        world.with_credentials(&world.account, ""),
        world.with_credentials(&unknown, "wrong"),
        world.with_credentials(&key, "wrong"),
        world.with_credentials("ana", "wrong"),
        world.stranger.with("Authorization", "Bearer x"),
        world.stranger.with("Authorization", "Basic !"),
    ];
    for actor in wrong {
        let answer = actor.get("/v1/Conversations");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Twilio API\""));
        assert_eq!(answer.refuses(401, 20003), "Authenticate");
    }
}

fn good_credentials_are_read_generously(world: &World) {
    let upper = format!("ac{}", world.account[2..].to_uppercase());
    let token = "de000000000000000000000000000de0";
    world.with_credentials(&upper, token).get("/v1/Conversations").is(200);
    world.key.get("/v1/Conversations").is(200);
}

fn a_refusal_names_the_whole_path_without_the_version(world: &World) {
    let service = &world.service;
    let message =
        world.owner.get(&format!("/v1/Services/{service}/Conversations/x/Participants/bob")).refuses(404, 20404);
    let path = format!("/Services/{service}/Conversations/x/Participants/bob");
    assert_eq!(message, format!("The requested resource {path} was not found"));
}

fn a_body_that_is_too_large_or_no_form_is_refused(world: &World) {
    let large = vec![b'x'; 1_048_577];
    world.owner.send("POST", "/v1/Conversations", &large).refuses(413, 20413);
    world.owner.send("POST", "/v1/Conversations", b"FriendlyName=\xff").refuses(400, 20001);
}

fn every_answer_has_an_id_and_may_be_read_by_a_browser(world: &World) {
    for answer in [world.owner.get("/v1/Conversations"), world.stranger.get("/v1/Conversations")] {
        assert!(answer.header("twilio-request-id").is_some_and(|id| id.starts_with("RQ") && id.len() == 34));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let preflight = world.stranger.send("OPTIONS", "/v1/Conversations", b"");
    assert!(preflight.header("access-control-allow-methods").is_some_and(|methods| methods.contains("DELETE")));
    assert_eq!(preflight.status, 204);
}

fn unknown_parameters_are_ignored(world: &World) {
    world.conversation(&[("Colour", "red"), ("X", "")]);
    world.owner.get("/v1/Conversations?Colour=red").is(200);
}

fn a_content_type_on_get_means_nothing(world: &World) {
    let conversation = sid(&world.conversation(&[]));
    // The client sends a form's content type with every request.
    world.owner.send("GET", &format!("/v1/Conversations/{conversation}"), b"%").is(200);
}
