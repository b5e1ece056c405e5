//! Many at the same time, and a stop in between: what must hold all the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, World, on_both_engines, on_sqlite, sid};

on_both_engines! {
    of_many_that_take_a_name_one_wins,
    many_messages_have_indexes_without_gaps,
    an_identity_added_many_times_takes_part_once,
    changes_of_different_fields_do_not_undo_each_other,
}
on_sqlite! { a_stop_while_a_service_is_purged_is_made_good_by_the_next_start }

/// Does something `count` times at the same time.
pub(super) fn together(count: usize, act: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn({
                    let act = &act;
                    move || act(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

pub(super) fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

fn of_many_that_take_a_name_one_wins(world: &World) {
    let created = together(6, |_| world.owner.post("/v1/Conversations", &[("UniqueName", "lobby")]));
    assert_eq!(statuses(&created), [201, 409, 409, 409, 409, 409]);
    let rooms: Vec<_> = (0..4).map(|_| sid(&world.conversation(&[]))).collect();
    let mut refused = created;
    for round in 0..8 {
        let name = format!("hall {round}");
        let renamed = together(4, |number| {
            world.owner.post(&format!("/v1/Conversations/{}", rooms[number]), &[("UniqueName", &name)])
        });
        assert_eq!(statuses(&renamed), [200, 409, 409, 409]);
        refused.extend(renamed);
    }
    for answer in refused.into_iter().filter(|answer| answer.status == 409) {
        answer.refuses(409, 50353);
    }
    let users = together(4, |_| world.owner.post("/v1/Users", &[("Identity", "ana")]));
    assert_eq!(statuses(&users), [201, 409, 409, 409]);
}

fn many_messages_have_indexes_without_gaps(world: &World) {
    let list = format!("/v1/Conversations/{}/Messages", sid(&world.conversation(&[])));
    let sent = together(16, |number| world.owner.post(&list, &[("Body", &number.to_string())]));
    let indexes: BTreeSet<_> = sent.into_iter().map(|answer| answer.is(201)["index"].as_i64()).collect();
    assert_eq!(indexes, (0..16).map(Some).collect());
}

fn an_identity_added_many_times_takes_part_once(world: &World) {
    let list = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
    let added = together(6, |_| world.owner.post(&list, &[("Identity", "ana")]));
    assert_eq!(statuses(&added), [201, 409, 409, 409, 409, 409]);
    // And once more in many conversations, which brings one user into being.
    let rooms: Vec<_> = (0..6).map(|_| sid(&world.conversation(&[]))).collect();
    let added = together(6, |number| {
        world.owner.post(&format!("/v1/Conversations/{}/Participants", rooms[number]), &[("Identity", "bruno")])
    });
    assert_eq!(statuses(&added), [201; 6]);
    let own = world.owner.get("/v1/Users/bruno/Conversations").is(200);
    assert_eq!(own["conversations"].as_array().map(Vec::len), Some(6));
}

fn changes_of_different_fields_do_not_undo_each_other(world: &World) {
    let room = format!("/v1/Conversations/{}", sid(&world.conversation(&[("UniqueName", "lobby")])));
    world.owner.post(&format!("{room}/Participants"), &[("Identity", "ana")]).is(201);
    let participant = format!("{room}/Participants/ana");
    let own = "/v1/Users/ana/Conversations/lobby";
    for round in 0..5 {
        let text = round.to_string();
        let changes: [(&str, &str, &str); 6] = [
            (&participant, "Attributes", &text),
            (own, "NotificationLevel", if round % 2 == 0 { "muted" } else { "default" }),
            (own, "LastReadMessageIndex", &text),
            ("/v1/Users/ana", "Attributes", &text),
            ("/v1/Users/ana", "FriendlyName", &text),
            (&room, "FriendlyName", &text),
        ];
        let answers = together(6, |number| {
            let (path, name, value) = changes[number];
            world.owner.post(path, &[(name, value)])
        });
        assert_eq!(statuses(&answers), [200; 6]);
        let seen = |path: &str, field: &str| -> Value { world.owner.get(path).is(200)[field].clone() };
        assert_eq!(seen(&participant, "attributes"), text.as_str());
        assert_eq!(seen(&participant, "last_read_message_index"), round);
        assert_eq!(seen(own, "notification_level"), changes[1].2);
        assert_eq!(seen("/v1/Users/ana", "attributes"), text.as_str());
        assert_eq!(seen("/v1/Users/ana", "friendly_name"), text.as_str());
    }
}

fn a_stop_while_a_service_is_purged_is_made_good_by_the_next_start(_: &World) {
    let folder = testkit::temp_dir();
    let world = World::in_folder(folder.path());
    let second = world.second_service();
    let path = format!("/v1/Services/{second}");
    let room = sid(&world.owner.post(&format!("{path}/Conversations"), &[]).is(201));
    world.owner.post(&format!("{path}/Conversations/{room}/Participants"), &[("Identity", "ana")]).is(201);
    world.mark_service_deleted(&second);
    drop(world);
    let world = World::in_folder(folder.path());
    world.owner.get(&path).refuses(404, 20404);
    world.eventually_purged();
    let list = world.owner.get("/v1/Services").is(200);
    assert_eq!(list["services"].as_array().map(Vec::len), Some(1), "{}", json!(list));
}
