//! /tertulia/v1/Keys/{Sid}/Successor: a key takes the place of another one, at the token endpoint too.

use serde_json::{Value, json};
use tertulia_protocol::Sid;
use tertulia_protocol::sid::Key;
use tertulia_server::dev::DevCredentials;
use tertulia_server::keys::Kind;
use tertulia_server::keys::commands::CreateKey;
use tertulia_server::platform::{Change, Cx, Outcome};
use tertulia_server::tokens::queries::set_signer;

use super::login::{PROXY, given};
use super::tokens::claims;
use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines! { a_successor_is_what_the_key_was }
on_sqlite! { a_key_that_signs_nothing_is_no_signer, whoever_manages_no_keys_rotates_none }

fn successor(key: &str) -> String {
    format!("/tertulia/v1/Keys/{key}/Successor")
}

/// The key that signs what the endpoint mints for a login.
fn signer(world: &World) -> String {
    let body = world.stranger.with("X-User", "ana").post("/token", &[]).is(200);
    claims(&body["token"])["iss"].as_str().unwrap().to_owned()
}

/// The same for a backend.
fn backed(world: &World) -> String {
    let body = world.key.post("/tertulia/v1/Tokens", &[("Identity", "bruno")]).is(201);
    claims(&body["token"])["iss"].as_str().unwrap().to_owned()
}

/// Rotates on one node; another one of the same database, if there is one, hears it at once, too.
fn a_rotated_signer_stops_signing_at_once(world: &World, other: &World) {
    let first = signer(world);
    assert_eq!((signer(other), backed(other)), (first.clone(), first.clone()));
    let made = world.owner.post(&successor(&first), &[]).is(201);
    let second = sid(&made);
    assert_eq!(made["replaces"], first);
    assert_eq!((&made["signs_for_token_endpoint"], &made["replaced_is_login_key"]), (&true.into(), &false.into()));
    for _ in 0..3 {
        for node in [world, other] {
            assert_eq!((signer(node), backed(node)), (second.clone(), second.clone()));
        }
    }
    // Whoever asks for many while it happens again: nothing that was asked for afterwards is signed by the old key.
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| (0..20).map(|_| backed(other)).collect::<Vec<_>>());
        let third = sid(&world.owner.post(&successor(&second), &[]).is(201));
        assert_eq!((signer(other), backed(world)), (third.clone(), third.clone()));
        let seen = asking.join().expect("answers");
        let switched = seen.iter().position(|key| *key == third).unwrap_or(seen.len());
        assert!(seen[..switched].iter().all(|key| *key == second), "{seen:?}");
        assert!(seen[switched..].iter().all(|key| *key == third), "{seen:?}");
    });
    // Of the one that is not the signer any more, a successor is a key like others.
    let made = world.owner.post(&successor(&first), &[]).is(201);
    assert_eq!(made["signs_for_token_endpoint"], false);
    assert_ne!(signer(world), sid(&made));
    let evidence = |key: &str| world.owner.get(&format!("/tertulia/v1/Keys/{key}/Evidence")).is(200);
    assert_eq!(evidence(&first)["signs_for_token_endpoint"], false);
    assert_eq!(evidence(&signer(world))["signs_for_token_endpoint"], true);
    // With the old one goes what it has signed, and nothing else.
    world.owner.delete(&format!("/v1/Keys/{first}")).is(204);
    assert_ne!(signer(world), first);
    let made = world.owner.get("/tertulia/v1/Audit?Event=key.created").is(200)["audit"].clone();
    let noted = made.as_array().unwrap().iter().find(|entry| entry["target"] == second).expect("an entry");
    assert_eq!(noted["detail"], json!({"replaces": first, "signs_for_token_endpoint": true}));
}

#[test]
fn a_rotated_signer_stops_signing_at_once_on_both_engines() {
    let world = World::sqlite_with(given(PROXY));
    a_rotated_signer_stops_signing_at_once(&world, &world);
    let name = "a_rotated_signer_stops_signing_at_once";
    if let Some([one, other]) = World::two_nodes_with(name, || given(PROXY)) {
        a_rotated_signer_stops_signing_at_once(&one, &other);
    }
}

fn a_successor_is_what_the_key_was(world: &World) {
    let account = ("AccountSid", world.account.as_str());
    let policy = r#"{"allow":["/twilio/conversations/services/list"]}"#;
    let form = [account, ("FriendlyName", "reader"), ("KeyType", "restricted"), ("Policy", policy)];
    let restricted = world.owner.post("/v1/Keys", &form).is(201);
    let made = world.owner.post(&successor(&sid(&restricted)), &[]).is(201);
    assert_eq!((&made["friendly_name"], made["policy"].to_string()), (&"reader".into(), policy.to_owned()));
    assert_ne!(made["secret"], restricted["secret"]);
    let reader = world.with_credentials(&sid(&made), made["secret"].as_str().unwrap());
    reader.get("/v1/Services").is(200);
    reader.get("/v1/Roles").refuses(401, 20003);

    let main = [account, ("FriendlyName", "everything"), ("KeyType", "main")];
    let main = world.operator.with("Tertulia-Account", &world.account).post("/v1/Keys", &main).is(201);
    // A Main key sees to its own.
    let own = world.with_credentials(&sid(&main), main["secret"].as_str().unwrap());
    let made = own.post(&successor(&sid(&main)), &[]).is(201);
    let next = world.with_credentials(&sid(&made), made["secret"].as_str().unwrap());
    assert_eq!(next.get(&format!("/v1/Keys/{}", sid(&main))).is(200)["friendly_name"], "everything");
    assert_eq!(made["friendly_name"], "everything");

    let (standard, _) = world.dev_key();
    let made = world.owner.post(&successor(&standard), &[]).is(201);
    let next = world.with_credentials(&sid(&made), made["secret"].as_str().unwrap());
    next.get("/v1/Services").is(200);
    next.get(&format!("/v1/Keys/{standard}")).refuses(401, 20003);
    assert_eq!(made["signs_for_token_endpoint"], false);
    // The old ones stay until somebody deletes them.
    own.get("/v1/Services").is(200);
    world.key.get("/v1/Services").is(200);
}

/// What no route makes: a row that is wrong already.
#[derive(Clone)]
struct SetSigner(Sid<Key>);

impl Change for SetSigner {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        set_signer(cx.tx, cx.caller.account, self.0, cx.now).await
    }
}

fn keys(world: &World) -> Value {
    world.owner.get(&format!("/v1/Keys?AccountSid={}", world.account)).is(200)["keys"].clone()
}

fn a_key_that_signs_nothing_is_no_signer(world: &World) {
    let app = world.app();
    let new = CreateKey {
        sid: None,
        secret: None,
        kind: Kind::Restricted,
        friendly_name: String::new(),
        policy: Some(tertulia_server::keys::Policy { allow: [].into() }),
        ring: app.sealer.ring(),
    };
    let system = world.system();
    let key = world.play(async {
        let (key, _) = app.db.perform(&system, new).await.expect("a key");
        app.db.perform(&system, SetSigner(key.sid)).await.expect("a signer");
        key.sid.to_string()
    });
    let before = keys(world);
    let text = world.owner.post(&successor(&key), &[]).refuses(409, 20409);
    assert!(text.contains("Restricted"), "{text}");
    assert_eq!(keys(world), before, "nothing is left of it");
    // The endpoint does not sign with it either, and helps itself.
    assert_ne!(backed(world), key);
}

fn whoever_manages_no_keys_rotates_none(world: &World) {
    let path = successor(&world.dev_key().0);
    world.key.post(&path, &[]).refuses(401, 20003);
    world.tenant.post(&path, &[]).refuses(404, 20404);
    world.stranger.post(&path, &[]).refuses(401, 20003);
    world.owner.post(&successor(&format!("SK{}", "f".repeat(32))), &[]).refuses(404, 20404);
}

#[test]
fn the_key_of_the_configuration_signs_until_that_is_changed() {
    let named = DevCredentials::fixed().key.to_string();
    let world = World::sqlite_with(|config| config.login.key = DevCredentials::fixed().key.to_string());
    assert_eq!(backed(&world), named);
    let made = world.owner.post(&successor(&named), &[]).is(201);
    assert_eq!((&made["signs_for_token_endpoint"], &made["replaced_is_login_key"]), (&false.into(), &true.into()));
    assert_eq!(backed(&world), named);
    let evidence = |key: &str| {
        let body = world.owner.get(&format!("/tertulia/v1/Keys/{key}/Evidence")).is(200);
        (body["signs_for_token_endpoint"].clone(), body["is_login_key"].clone())
    };
    assert_eq!(evidence(&named), (true.into(), true.into()));
    assert_eq!(evidence(&sid(&made)), (false.into(), false.into()));
}
