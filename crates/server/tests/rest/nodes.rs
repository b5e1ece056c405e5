//! Two servers on one PostgreSQL that look for something and create it, at the same moment: it ends in one row and an
//! ordinary answer for everybody.

use std::sync::Arc;

use serde_json::json;
use tertulia_server::seal::SealKey;

use super::login::{PROXY, given};
use super::together::{statuses, together};
use crate::support::{World, sid};

const ROUNDS: usize = 6;

fn nodes(test: &str) -> Option<[World; 2]> {
    World::two_nodes_with(test, || given(PROXY))
}

/// How many rows of a list say this.
fn count(world: &World, path: &str, list: &str, field: &str, value: &str) -> usize {
    let body = world.owner.get(path).is(200);
    body[list].as_array().expect("a list").iter().filter(|row| row[field] == value).count()
}

#[test]
fn who_connects_to_both_at_once_is_one_user_and_online() {
    let Some(nodes) = nodes("who_connects_to_both_at_once_is_one_user_and_online") else { return };
    let service = format!("/v1/Services/{}/Configuration", nodes[0].service);
    nodes[0].owner.post(&service, &[("ReachabilityEnabled", "true")]).is(200);
    for round in 0..ROUNDS {
        let who = format!("user {round}");
        let [here, there] = &nodes;
        let clients = here
            .play(async { tokio::join!(here.client(&who), there.client(&who), here.client(&who), there.client(&who)) });
        assert_eq!(count(here, "/v1/Users?PageSize=100", "users", "identity", &who), 1);
        drop(clients);
    }
}

#[test]
fn an_identity_that_is_added_on_both_while_its_user_is_deleted_gets_ordinary_answers() {
    let Some(nodes) = nodes("an_identity_that_is_added_on_both_while_its_user_is_deleted") else { return };
    for round in 0..ROUNDS * 2 {
        let rooms: Vec<_> = (0..4).map(|_| sid(&nodes[0].conversation(&[]))).collect();
        let answers = together(12, |number| {
            let owner = &nodes[number % 2].owner;
            let room = |number: usize| format!("/v1/Conversations/{}/Participants", rooms[number % 4]);
            match number {
                0..4 => owner.post(&room(number), &[("Identity", "ana")]),
                4..8 => owner.post("/v1/Users", &[("Identity", "ana")]),
                _ => owner.delete("/v1/Users/ana"),
            }
        });
        let statuses = statuses(&answers);
        assert!(statuses.iter().all(|status| [201, 204, 404, 409].contains(status)), "round {round}: {statuses:?}");
        assert!(count(&nodes[1], "/v1/Users", "users", "identity", "ana") <= 1);
    }
}

#[test]
fn of_many_that_take_a_unique_name_on_both_one_wins() {
    let Some(nodes) = nodes("of_many_that_take_a_unique_name_on_both_one_wins") else { return };
    for round in 0..ROUNDS {
        let name = format!("hall {round}");
        let made = together(6, |number| nodes[number % 2].owner.post("/v1/Conversations", &[("UniqueName", &name)]));
        assert_eq!(statuses(&made), [201, 409, 409, 409, 409, 409]);
    }
}

#[test]
fn tokens_that_are_asked_for_on_both_are_signed_by_one_key() {
    let Some(nodes) = nodes("tokens_that_are_asked_for_on_both_are_signed_by_one_key") else { return };
    for _ in 0..ROUNDS {
        let minted = together(6, |number| {
            let identity = format!("u{number}");
            nodes[number % 2].owner.post("/tertulia/v1/Tokens", &[("Identity", &identity)])
        });
        assert_eq!(statuses(&minted), [201; 6]);
        let keys = nodes[0].owner.get(&format!("/v1/Keys?AccountSid={}", nodes[0].account)).is(200);
        let signers: Vec<_> =
            keys["keys"].as_array().unwrap().iter().filter(|key| key["friendly_name"] == "Token endpoint").collect();
        assert_eq!(signers.len(), 1, "{keys}");
        // The next round makes another one.
        nodes[0].owner.delete(&format!("/v1/Keys/{}", sid(signers[0]))).is(204);
    }
}

#[test]
fn an_identity_that_two_servers_see_first_has_one_owner() {
    let Some(nodes) = nodes("an_identity_that_two_servers_see_first_has_one_owner") else { return };
    for round in 0..ROUNDS {
        let who = format!("user-{round}");
        let given = together(6, |number| nodes[number % 2].stranger.with("X-User", &who).post("/token", &[]));
        assert_eq!(statuses(&given), [200; 6]);
        assert_eq!(count(&nodes[1], "/tertulia/v1/Owners?PageSize=100", "owners", "identity", &who), 1);
    }
}

#[test]
fn an_identity_that_two_logins_claim_at_once_belongs_to_one_of_them() {
    let rules = "[[rules]]\nname = \"one\"\nidentity = \"shared\"\n";
    let test = "an_identity_that_two_logins_claim_at_once_belongs_to_one_of_them";
    let Some(nodes) = World::two_nodes_with(test, || given(&format!("{PROXY}{rules}"))) else { return };
    for _ in 0..ROUNDS {
        let asked = together(4, |number| {
            let login = format!("login-{}", number % 2);
            nodes[number % 2].stranger.with("X-User", &login).post("/token", &[])
        });
        assert_eq!(statuses(&asked), [200, 200, 409, 409]);
        nodes[0].owner.delete("/tertulia/v1/Owners/shared").is(204);
    }
}

#[test]
fn one_world_that_is_imported_on_both_at_once_comes_in_once() {
    let Some(nodes) = nodes("one_world_that_is_imported_on_both_at_once_comes_in_once") else { return };
    for round in 1..=ROUNDS {
        let number = |kind: &str| format!("{kind}{round:032x}");
        let world = json!({
            "accounts": [{"sid": number("AC"), "friendly_name": "From elsewhere"}],
            "keys": [{"sid": number("SK"), "account_sid": number("AC"), "secret": "a-secret-that-was-made-elsewhere"}],
            "services": [{"sid": number("IS"), "account_sid": number("AC")}],
            "roles": [{
                "sid": number("RL"), "service_sid": number("IS"), "friendly_name": "guest", "type": "service",
                "permissions": ["joinConversation"],
            }],
        });
        let world = world.to_string();
        let answers =
            together(4, |number| nodes[number % 2].operator.post("/tertulia/v1/Imports", &[("World", &world)]));
        let made: i64 = answers.into_iter().map(|answer| answer.is(201)["accounts"].as_i64().unwrap()).sum();
        assert_eq!(made, 1);
        let key = nodes[1].with_credentials(&number("SK"), "a-secret-that-was-made-elsewhere");
        key.get("/v1/Conversations").is(200);
    }
}

#[test]
fn a_server_whose_keys_open_nothing_any_more_is_not_ready_and_gives_up() {
    let Some([here, there]) = nodes("a_server_whose_keys_open_nothing_any_more") else { return };
    let look = || there.play(async { there.app().look_at_seals().await });
    // One secret that it cannot open: it says so and serves on.
    let app = Arc::clone(here.app());
    app.sealer.take_up(&[SealKey::new([8; 32]), SealKey::new([7; 32])]);
    here.owner.post("/v1/Keys", &[("AccountSid", &here.account), ("FriendlyName", "new")]).is(201);
    look();
    assert!(!there.app().has_given_up());
    assert_eq!(there.stranger.get("/readyz").status, 200);
    // Everything was sealed anew, and this one was not told the key.
    here.operator.post("/tertulia/v1/SealRotation", &[]).is(200);
    look();
    assert!(there.app().has_given_up());
    let ready = there.stranger.get("/readyz");
    assert_eq!((ready.status, ready.text.as_str()), (503, "the seal key does not open what is stored\n"));
    let why = there.play(async { there.app().until_given_up().await });
    assert!(why.contains("was sealed with key"), "{why}");
    assert_eq!(here.stranger.get("/readyz").status, 200);
}
