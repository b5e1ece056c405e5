//! Requests that come at the same moment. On PostgreSQL each has a transaction of its own.

use std::thread;

use serde_json::{Value, json};

use crate::support::{Answer, World, on_both_engines, sid};

on_both_engines! {
    changes_of_one_participant_are_all_kept,
    changes_of_one_user_are_all_kept,
    changes_of_one_service_are_all_kept,
    one_of_many_gets_a_unique_name,
    one_of_many_gets_an_address_pair,
    who_is_removed_and_deleted_at_once_is_counted_once,
    a_role_is_given_or_deleted_and_never_both,
}

const ROUNDS: usize = 12;

/// Does all of it at once.
fn at_once<T: Send>(works: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = works.into_iter().map(|work| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Sets each of the fields at the same moment, round after round, and compares what was kept.
fn all_are_kept(world: &World, path: &str, fields: &[(&'static str, &'static str, [&str; 2])]) {
    for round in 0..ROUNDS {
        let value = |values: &[&str; 2]| values[round % 2].to_owned();
        let set = |(name, _, values): &(&'static str, &'static str, [&str; 2])| {
            let (name, value) = (*name, value(values));
            Box::new(move || world.owner.post(path, &[(name, &value)]).is(200)) as Box<dyn FnOnce() -> Value + Send>
        };
        at_once(fields.iter().map(set).collect());
        let kept = world.owner.get(path).is(200);
        for (_, key, values) in fields {
            let text = kept[*key].as_str().map_or_else(|| kept[*key].to_string(), str::to_owned);
            assert_eq!(text, value(values), "round {round}: {key} of {kept}");
        }
    }
}

fn changes_of_one_participant_are_all_kept(world: &World) {
    let list = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
    let path = format!("{list}/{}", sid(&world.owner.post(&list, &[("Identity", "ana")]).is(201)));
    let roles = world.owner.get("/v1/Roles").is(200);
    let role = |index: usize| roles["roles"][index]["sid"].as_str().unwrap();
    all_are_kept(
        world,
        &path,
        &[
            ("Attributes", "attributes", ["1", "2"]),
            ("LastReadMessageIndex", "last_read_message_index", ["3", "4"]),
            ("RoleSid", "role_sid", [role(2), role(3)]),
        ],
    );
}

fn changes_of_one_user_are_all_kept(world: &World) {
    world.owner.post("/v1/Users", &[("Identity", "ana")]).is(201);
    let fields = [("Attributes", "attributes", ["1", "2"]), ("FriendlyName", "friendly_name", ["a", "b"])];
    all_are_kept(world, "/v1/Users/ana", &fields);
}

fn changes_of_one_service_are_all_kept(world: &World) {
    let roles = world.owner.get("/v1/Roles").is(200);
    let role = |index: usize| roles["roles"][index]["sid"].as_str().unwrap();
    let path = format!("/v1/Services/{}/Configuration", world.service);
    all_are_kept(
        world,
        &path,
        &[
            ("ReachabilityEnabled", "reachability_enabled", ["true", "false"]),
            ("DefaultConversationRoleSid", "default_conversation_role_sid", [role(2), role(3)]),
            ("DefaultConversationCreatorRoleSid", "default_conversation_creator_role_sid", [role(3), role(2)]),
            ("DefaultChatServiceRoleSid", "default_chat_service_role_sid", [role(0), role(1)]),
        ],
    );
}

/// One answer is good, the others say 409 and this code.
#[track_caller]
fn one_wins(answers: Vec<Answer>, code: u64) {
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status < 300);
    assert_eq!(won.len(), 1, "{won:?}");
    for answer in lost {
        answer.refuses(409, code);
    }
}

fn one_of_many_gets_a_unique_name(world: &World) {
    for round in 0..ROUNDS {
        let name = format!("name {round}");
        let rename = |_| {
            let path = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
            let name = &name;
            Box::new(move || world.owner.post(&path, &[("UniqueName", name)])) as Box<dyn FnOnce() -> Answer + Send>
        };
        one_wins(at_once((0..6).map(rename).collect()), 50353);
    }
}

fn one_of_many_gets_an_address_pair(world: &World) {
    for round in 0..ROUNDS {
        let address = format!("+{round}");
        let add = |_| {
            let path = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
            let form = [("MessagingBinding.Address", &address), ("MessagingBinding.ProxyAddress", &"+99".to_owned())]
                .map(|(name, value)| (name, value.clone()));
            let form = move || {
                let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                world.owner.post(&path, &form)
            };
            Box::new(form) as Box<dyn FnOnce() -> Answer + Send>
        };
        one_wins(at_once((0..5).map(add).collect()), 50416);
    }
}

fn who_is_removed_and_deleted_at_once_is_counted_once(world: &World) {
    let paths: Vec<_> = (0..3).map(|_| format!("/v1/Conversations/{}", sid(&world.conversation(&[])))).collect();
    for path in &paths {
        world.owner.post(&format!("{path}/Participants"), &[("Identity", "bruno")]).is(201);
    }
    for _ in 0..ROUNDS {
        for path in &paths {
            world.owner.post(&format!("{path}/Participants"), &[("Identity", "ana")]).is(201);
        }
        let remove = |path: &String| {
            let path = format!("{path}/Participants/ana");
            Box::new(move || world.owner.delete(&path).status) as Box<dyn FnOnce() -> u16 + Send>
        };
        let mut works: Vec<_> = paths.iter().map(remove).collect();
        works.push(Box::new(|| world.owner.delete("/v1/Users/ana").status));
        for status in at_once(works) {
            assert!([204, 404].contains(&status), "{status}");
        }
        world.owner.get("/v1/Users/ana").refuses(404, 20404);
        for path in &paths {
            assert_eq!(world.participants_count(path.strip_prefix("/v1").unwrap()), 1, "only bruno is left");
        }
    }
}

fn a_role_is_given_or_deleted_and_never_both(world: &World) {
    let list = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
    for round in 0..ROUNDS {
        let form = [("FriendlyName", "r"), ("Type", "conversation"), ("Permission", "sendMessage")];
        let role = sid(&world.owner.post("/v1/Roles", &form).is(201));
        let identity = format!("user {round}");
        let works: Vec<Box<dyn FnOnce() -> u16 + Send>> = vec![
            Box::new(|| world.owner.post(&list, &[("Identity", &identity), ("RoleSid", &role)]).status),
            Box::new(|| world.owner.delete(&format!("/v1/Roles/{role}")).status),
        ];
        let statuses = at_once(works);
        assert!(statuses == [201, 409] || statuses == [400, 204], "round {round}: {statuses:?}");
    }
    assert_eq!(world.owner.get(&list).is(200)["meta"]["key"], json!("participants"));
}
