//! What dev mode has beside the API: the clock and the faults, as a developer asks for them.

use std::time::Duration;

use tertulia_client::{Client, Conversation, Disconnected, Error, NewConversation};
use tertulia_server::router::mounted;

use super::tokens::claims;
use crate::support::{World, on_both_engines, on_sqlite, sid};

on_sqlite!(
    the_clock_is_frozen_set_and_advanced,
    nonsense_is_refused_with_what_would_do,
    faults_are_listed_and_deleted_by_their_owner,
    a_request_is_answered_with_a_chosen_status,
    a_held_reply_comes_when_the_fault_is_deleted,
    a_cut_ends_the_connections_of_one_identity,
    an_upgrade_is_refused,
);
on_both_engines!(
    whatever_becomes_of_news_everything_is_heard_once_and_in_order,
    a_token_for_the_password_is_noted_as_every_other,
);

const CLOCK: &str = "/tertulia/v1/Clock";
const FAULTS: &str = "/tertulia/v1/Faults";

fn fault(world: &World, form: &[(&str, &str)]) -> String {
    format!("{FAULTS}/{}", world.owner.post(FAULTS, form).is(201)["id"])
}

fn hits(world: &World, fault: &str) -> u64 {
    world.owner.get(fault).is(200)["hits"].as_u64().unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens within twenty seconds")
}

/// A room of alice and bob, and bob's view of it.
async fn room(world: &World) -> (Client, String, Client, Conversation) {
    let alice = world.client("alice").await;
    let sid = alice.create_conversation(&NewConversation::named("room")).await.unwrap();
    alice.join(sid).await.unwrap();
    alice.add(sid, "bob").await.unwrap();
    let bob = world.client("bob").await;
    let heard = bob.conversation(sid).await.unwrap();
    (alice, sid.to_string(), bob, heard)
}

fn the_clock_is_frozen_set_and_advanced(world: &World) {
    let state = world.owner.get(CLOCK).is(200);
    assert_eq!((state["is_frozen"].as_bool(), state["ahead_seconds"].as_f64()), (Some(false), Some(0.0)));
    let ahead = world.owner.post(CLOCK, &[("Advance", "90.5"), ("Freeze", "true")]).is(200);
    assert_eq!((ahead["is_frozen"].as_bool(), ahead["ahead_seconds"].as_f64()), (Some(true), Some(90.5)));
    world.pass(1000);
    assert_eq!(world.owner.get(CLOCK).is(200)["now"], ahead["now"], "it stands still");
    let at = "2030-01-01T00:00:00Z";
    world.owner.post(CLOCK, &[("At", at)]).is(200);
    assert_eq!(world.conversation(&[])["date_created"], at);
    let token = world.stranger.get("/token?identity=ana&password=tertulia");
    assert_eq!(token.status, 200);
    // Another account's time is its own.
    assert_eq!(world.tenant.get("/v1/Configuration").status, 200);
    let reset = world.owner.post(CLOCK, &[("Reset", "true")]).is(200);
    assert_eq!((reset["is_frozen"].as_bool(), reset["ahead_seconds"].as_f64()), (Some(false), Some(0.0)));
}

fn a_token_for_the_password_is_noted_as_every_other(world: &World) {
    let entries = |event: &str| {
        let path = format!("/tertulia/v1/Audit?Event={event}");
        world.owner.get(&path).is(200)["audit"].as_array().unwrap().clone()
    };
    let key = world.dev_key().0;
    let given = world.stranger.get("/token?identity=ana&password=tertulia");
    assert_eq!(given.status, 200);
    // Noted before it is handed out: there is nothing to wait for.
    let minted = entries("token.minted");
    assert_eq!(minted.len(), 1);
    let claims = claims(&given.text.as_str().into());
    for (name, wanted) in [
        ("source", "dev"),
        ("actor", "system"),
        ("identity", "ana"),
        ("key_sid", &key),
        ("service_sid", &world.service),
        ("jti", claims["jti"].as_str().unwrap()),
        ("address", "127.0.0.1"),
    ] {
        assert_eq!(minted[0][name], wanted, "{name}");
    }
    // It counts as evidence of the key, though nobody has used it yet.
    let evidence = world.owner.get(&format!("/tertulia/v1/Keys/{key}/Evidence")).is(200);
    assert_eq!((&evidence["last_minted"], &evidence["has_live_tokens"]), (&minted[0]["date_created"], &true.into()));

    assert_eq!(world.stranger.get("/token?identity=ana&password=a-wrong-one").status, 401);
    assert_eq!(world.stranger.get("/token?identity=&password=tertulia").status, 401);
    world.play(async {
        let mut refused = Vec::new();
        for _ in 0..1000 {
            refused = entries("mint.refused");
            if refused.len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Both are of one moment: the clock stands still.
        refused.sort_by_key(|entry| entry["detail"]["reason"].to_string());
        let codes: Vec<_> = refused.iter().map(|entry| (&entry["source"], entry["code"].as_u64().unwrap())).collect();
        assert_eq!(codes, [(&"dev".into(), 20003), (&"dev".into(), 20003)]);
        let reasons = refused.iter().map(|entry| entry["detail"]["reason"].as_str().unwrap());
        assert!(
            reasons.zip(["No credentials", "Wrong password"]).all(|(said, begin)| said.starts_with(begin)),
            "{refused:?}"
        );
    });
    assert_eq!(entries("token.minted").len(), 1);
    let all = world.owner.get("/tertulia/v1/Audit").is(200).to_string();
    assert!(!all.contains("a-wrong-one") && !all.contains(&given.text), "no password and no token");
}

fn nonsense_is_refused_with_what_would_do(world: &World) {
    for (path, form, says) in [
        (CLOCK, &[][..], "one or more of"),
        (CLOCK, &[("Advance", "soon")], "Advance must be seconds"),
        (CLOCK, &[("Advance", "1e300")], "a hundred years"),
        (CLOCK, &[("At", "noon")], "At must look like"),
        (CLOCK, &[("Freeze", "maybe")], "true or false"),
        (FAULTS, &[], "Kind"),
        (FAULTS, &[("Kind", "explode")], "there are refuse-upgrade, cut"),
        (FAULTS, &[("Kind", "cut"), ("Times", "-1")], "a number from 0 on"),
        (FAULTS, &[("Kind", "answer"), ("Status", "99")], "HTTP status"),
        (FAULTS, &[("Kind", "answer"), ("When", "later")], "before"),
        (FAULTS, &[("Kind", "drop-event"), ("Stream", "river")], "talk, roster, mine or info"),
        (FAULTS, &[("Kind", "drop-event"), ("Identity", "ana")], "Identity narrows"),
        (FAULTS, &[("Kind", "hold"), ("Milliseconds", "9999999")], "at most"),
        (FAULTS, &[("Kind", "hole"), ("ConversationSid", "CH1")], "no SID"),
    ] {
        let text = world.owner.post(path, form).refuses(400, 20001);
        assert!(text.contains(says), "{form:?}: {text}");
    }
    assert_eq!(world.owner.get(FAULTS).is(200)["faults"].as_array().unwrap().len(), 0);
}

#[test]
fn outside_dev_mode_there_is_neither_clock_nor_fault() {
    let world = World::without_dev_mode(|_| {});
    let of_dev = ["/tertulia/v1/Clock", "/tertulia/v1/Faults"];
    let own = mounted().filter(|mounted| of_dev.iter().any(|path| mounted.pattern().starts_with(path)));
    for mounted in own {
        let path = mounted.pattern().replace("{Id}", "1");
        let answer = match mounted.route.method.name() {
            "POST" => world.tenant.post(&path, &[("Kind", "stop"), ("Freeze", "true")]),
            "DELETE" => world.tenant.delete(&path),
            _ => world.tenant.get(&path),
        };
        answer.refuses(404, 20404);
    }
}

fn faults_are_listed_and_deleted_by_their_owner(world: &World) {
    let first = fault(world, &[("Kind", "hold"), ("Path", "*/Messages"), ("Times", "0")]);
    let second = fault(world, &[("Kind", "cut"), ("Identity", "ana"), ("AfterPackets", "3")]);
    let list = world.owner.get(FAULTS).is(200);
    let kinds: Vec<_> = list["faults"].as_array().unwrap().iter().map(|fault| fault["kind"].clone()).collect();
    assert_eq!(kinds, ["hold", "cut"]);
    assert!(world.owner.get(&first).is(200)["times_left"].is_null(), "until it is deleted");
    world.tenant.delete(FAULTS).is(204);
    world.tenant.get(&second).refuses(404, 20404);
    world.owner.delete(&first).is(204);
    world.owner.get(&first).refuses(404, 20404);
    world.owner.delete(FAULTS).is(204);
    world.owner.get(&second).refuses(404, 20404);
}

fn a_request_is_answered_with_a_chosen_status(world: &World) {
    world.play(async {
        let (alice, room, _bob, mut heard) = room(world).await;
        let room = room.parse().unwrap();
        let before = fault(
            world,
            &[("Kind", "answer"), ("Method", "POST"), ("Path", "*/Messages"), ("Status", "429"), ("Code", "20429")],
        );
        assert_eq!(alice.send(room, "refused").await.unwrap_err().code(), Some(20429));
        let after = fault(
            world,
            &[("Kind", "answer"), ("Path", "*/Messages"), ("When", "after"), ("Identity", "alice"), ("Status", "500")],
        );
        assert!(alice.send(room, "performed").await.is_err());
        assert_eq!(alice.send(room, "answered").await.unwrap(), 1);
        for body in ["performed", "answered"] {
            assert_eq!(soon(heard.next_message()).await.unwrap().body.as_deref(), Some(body));
        }
        assert_eq!([hits(world, &before), hits(world, &after)], [1, 1]);
    });
    // Over REST, too, and never for these routes themselves.
    let all = fault(world, &[("Kind", "answer"), ("Path", "*"), ("Status", "503"), ("Times", "0")]);
    world.owner.get("/v1/Conversations").refuses(503, 20503);
    world.tenant.get("/v1/Conversations").is(200);
    world.owner.delete(&all).is(204);
    world.owner.get("/v1/Conversations").is(200);
}

fn a_held_reply_comes_when_the_fault_is_deleted(world: &World) {
    world.play(async {
        let (alice, room, _bob, mut heard) = room(world).await;
        let room = room.parse().unwrap();
        let hold = fault(world, &[("Kind", "hold"), ("Path", "*/Messages"), ("Identity", "alice")]);
        let sent = tokio::spawn(async move { alice.send(room, "held").await });
        assert_eq!(soon(heard.next_message()).await.unwrap().body.as_deref(), Some("held"), "it is performed");
        assert!(!sent.is_finished(), "and not answered");
        world.owner.delete(&hold).is(204);
        assert_eq!(soon(sent).await.unwrap().unwrap(), 0);
    });
}

fn a_cut_ends_the_connections_of_one_identity(world: &World) {
    world.play(async {
        let (alice, room, _bob, mut heard) = room(world).await;
        let room = room.parse().unwrap();
        let now = fault(world, &[("Kind", "cut"), ("Identity", "bob")]);
        assert_eq!(hits(world, &now), 1);
        let gone = |error| {
            let (Error::Disconnected(why) | Error::Cut(why)) = error else { return false };
            matches!(why, Disconnected::Broken(_) | Disconnected::ByServer { .. })
        };
        assert!(gone(soon(heard.next_message()).await.unwrap_err()));
        alice.send(room, "alice is there").await.unwrap();
        let later = fault(world, &[("Kind", "cut"), ("Identity", "alice"), ("AfterPackets", "1")]);
        alice.send(room, "the reply is the last packet").await.unwrap();
        assert!(gone(alice.send(room, "no answer to this").await.unwrap_err()));
        assert_eq!(hits(world, &later), 1);
    });
    let room = world.owner.get("/v1/Conversations").is(200)["conversations"][0].clone();
    let messages = world.owner.get(&format!("/v1/Conversations/{}/Messages", sid(&room))).is(200);
    assert_eq!(messages["messages"].as_array().unwrap().len(), 3, "what was cut is the answer");
}

fn an_upgrade_is_refused(world: &World) {
    world.play(async {
        fault(world, &[("Kind", "refuse-upgrade"), ("Status", "429")]);
        let refused = Client::connect(&world.uri(), world.token("ana")).await.unwrap_err();
        assert!(refused.to_string().contains("429"), "{refused}");
        world.client("ana").await;
    });
}

fn whatever_becomes_of_news_everything_is_heard_once_and_in_order(world: &World) {
    world.play(async {
        let (alice, room, _bob, mut heard) = room(world).await;
        let to = room.parse().unwrap();
        let acts: [&[(&str, &str)]; 6] = [
            &[("Kind", "drop-event"), ("Stream", "talk"), ("Times", "3")],
            &[("Kind", "duplicate-event"), ("Stream", "talk"), ("Times", "3")],
            &[("Kind", "reorder-event"), ("Stream", "talk"), ("Times", "2")],
            &[("Kind", "delay-event"), ("Stream", "talk"), ("Times", "2"), ("Milliseconds", "50")],
            &[("Kind", "hole"), ("ConversationSid", &room), ("Positions", "3")],
            &[("Kind", "hole"), ("ConversationSid", &room), ("Stream", "mine"), ("Identity", "bob")],
        ];
        let mut expected = 0;
        for act in acts {
            let answer = world.owner.post(FAULTS, act);
            assert!(matches!(answer.status, 201 | 204), "{act:?}: {}", answer.text);
            for _ in 0..5 {
                alice.send(to, "x").await.unwrap();
            }
            for _ in 0..5 {
                let message = soon(heard.next_message()).await.unwrap();
                assert_eq!(message.index, expected, "{act:?}");
                expected += 1;
            }
        }
    });
}
