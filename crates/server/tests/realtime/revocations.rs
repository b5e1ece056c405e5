//! Revocations: refused at the next use with the documented code, and live connections end at once.

use std::time::Duration;

use serde_json::Value;
use tertulia_client::{Client, ConnectError, Disconnected, Error, Options, Subscription};
use tertulia_server::revocations::Named;
use tertulia_server::revocations::commands::Revoke;
use tertulia_token::{ChatGrant, Mint, Secret};

use super::soon;
use crate::support::{World, on_both_engines, on_sqlite, play, sid};

on_both_engines!(
    one_token_ends_with_its_connection_and_no_other,
    a_session_an_identity_and_a_service_end,
    a_deleted_key_ends_what_it_signed,
    a_suspended_key_is_refused_everywhere_until_it_is_taken_back,
    a_suspended_or_closed_account_ends_all_that_it_has,
);
on_sqlite!(
    a_revocation_names_one_thing_of_the_account,
    a_revoked_token_does_not_update_a_connection,
    lost_news_are_found_in_the_store,
    dead_entries_go,
);

const REVOCATIONS: &str = "/tertulia/v1/Revocations";

/// Connections end within one second of the answer, which `promised.rs` measures; the rest is for a busy machine.
pub(super) const PROMISED: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_secs(10);

/// A token as the token endpoint mints it, of the dev key.
pub(super) fn token(world: &World, identity: &str, suffix: &str, session: Option<&str>) -> String {
    let (key, secret) = world.dev_key();
    minted(world, &key, &secret, identity, suffix, session)
}

pub(super) fn minted(
    world: &World,
    key: &str,
    secret: &str,
    identity: &str,
    suffix: &str,
    session: Option<&str>,
) -> String {
    let secret = Secret::new(secret);
    let mint = Mint::new(world.account.as_str(), key, &secret).identity(identity).jti_suffix(suffix).ttl(3600);
    let mint = match session {
        Some(session) => mint.session(session),
        None => mint,
    };
    mint.grant(ChatGrant::new(world.service.as_str())).sign(world.seconds(), [7; 8]).unwrap().token
}

pub(super) async fn connect(world: &World, token: &str) -> (Client, Subscription) {
    let client = Client::connect_with(&world.uri(), token.to_owned(), Options::once()).await.unwrap();
    let own = client.subscribe_own().await.unwrap();
    (client, own)
}

/// The connection is closed plainly.
pub(super) async fn ends(own: &mut Subscription) {
    let ended = tokio::time::timeout(PROMISED + BUSY, own.next()).await.expect("it ends").unwrap_err();
    assert!(matches!(&ended, Error::Disconnected(Disconnected::ByServer { code: 1000, .. })), "{ended:?}");
}

async fn lives(client: &Client) {
    soon(client.conversations()).await.unwrap();
}

async fn refused(world: &World, token: &str, code: u32) {
    let refused = Client::connect_with(&world.uri(), token.to_owned(), Options::once()).await.err().unwrap();
    assert!(
        matches!(&refused, ConnectError::Refused(refusal) if (refusal.status, refusal.code) == (401, Some(code))),
        "{refused:?}"
    );
}

pub(super) fn revoke(world: &World, form: &[(&str, &str)]) -> Value {
    world.owner.post(REVOCATIONS, form).is(201)
}

fn one_token_ends_with_its_connection_and_no_other(world: &World) {
    world.play(async {
        let (one, other) = (token(world, "ana", "1", None), token(world, "ana", "2", None));
        let (_client, mut own) = connect(world, &one).await;
        let (second, _) = connect(world, &other).await;
        let entry = revoke(world, &[("Token", &one)]);
        ends(&mut own).await;
        lives(&second).await;
        refused(world, &one, 20104).await;
        connect(world, &other).await;
        // Its name does as well, and dies with the longest lifetime instead of with the token.
        let (key, _) = world.dev_key();
        let by_name = revoke(world, &[("Jti", &format!("{key}-{}-2-0707070707070707", world.seconds()))]);
        refused(world, &other, 20104).await;
        lives(&world.client("ana").await).await;
        assert!(entry["date_expires"].as_str() < by_name["date_expires"].as_str(), "{entry} {by_name}");
        // Taken back, it is good again.
        world.owner.delete(&format!("{REVOCATIONS}/{}", sid(&by_name))).is(204);
        connect(world, &other).await;
    });
}

fn a_session_an_identity_and_a_service_end(world: &World) {
    world.play(async {
        let in_session = token(world, "ana", "1", Some("session-1"));
        let (_client, mut own) = connect(world, &in_session).await;
        let (other, mut others_own) = connect(world, &token(world, "ana", "2", Some("session-2"))).await;
        revoke(world, &[("Session", "session-1")]);
        ends(&mut own).await;
        lives(&other).await;
        refused(world, &in_session, 20104).await;

        let (bruno, mut brunos_own) = connect(world, &token(world, "bruno", "3", None)).await;
        let old = token(world, "ana", "4", None);
        revoke(world, &[("Identity", "ana"), ("ServiceSid", &world.service)]);
        ends(&mut others_own).await;
        lives(&bruno).await;
        refused(world, &old, 20104).await;
        // Who logs in again gets a token that was issued after it.
        world.pass(1);
        let (ana, mut anas_own) = connect(world, &token(world, "ana", "5", None)).await;
        lives(&ana).await;

        let before = world.owner.get("/tertulia/v1/Clock").is(200)["now"].as_str().unwrap().to_owned();
        revoke(world, &[("ServiceSid", &world.service), ("IssuedBefore", &before)]);
        ends(&mut anas_own).await;
        ends(&mut brunos_own).await;
        world.pass(1);
        connect(world, &token(world, "ana", "6", None)).await;
        let mut kinds: Vec<_> = world.owner.get(REVOCATIONS).is(200)["revocations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        assert_eq!(kinds, ["identity", "service", "session"]);
        assert_eq!(world.tenant.get(REVOCATIONS).is(200)["revocations"], serde_json::json!([]));
    });
}

/// A key of the account: its path, SID and secret.
pub(super) fn key(world: &World) -> (String, String, String) {
    let keys = format!("/2010-04-01/Accounts/{}/Keys", world.account);
    let created = world.owner.post(&format!("{keys}.json"), &[]).is(201);
    let secret = created["secret"].as_str().unwrap().to_owned();
    (format!("{keys}/{}.json", sid(&created)), sid(&created), secret)
}

fn a_deleted_key_ends_what_it_signed(world: &World) {
    world.play(async {
        let (path, key, secret) = key(world);
        let signed = minted(world, &key, &secret, "ana", "1", None);
        let (_client, mut own) = connect(world, &signed).await;
        let bystander = world.client("bruno").await;
        world.owner.delete(&path).is(204);
        ends(&mut own).await;
        lives(&bystander).await;
        refused(world, &signed, 20103).await;
        assert_eq!(world.owner.get(REVOCATIONS).is(200)["revocations"], serde_json::json!([]), "nothing to take back");
    });
}

fn a_suspended_key_is_refused_everywhere_until_it_is_taken_back(world: &World) {
    world.play(async {
        let (path, key, secret) = key(world);
        let signed = minted(world, &key, &secret, "ana", "1", None);
        let user = world.with_credentials(&key, &secret);
        let (_client, mut own) = connect(world, &signed).await;
        world.key.post(REVOCATIONS, &[("KeySid", &key)]).refuses(401, 20003);
        let entry = revoke(world, &[("KeySid", &key)]);
        assert_eq!(revoke(world, &[("KeySid", &key)])["sid"], entry["sid"], "it is suspended already");
        ends(&mut own).await;
        refused(world, &signed, 20103).await;
        user.get("/v1/Conversations").refuses(401, 20003);
        world.owner.delete(&format!("{REVOCATIONS}/{}", sid(&entry))).is(204);
        user.get("/v1/Conversations").is(200);
        connect(world, &signed).await;
        // A key that is gone needs no entry.
        revoke(world, &[("KeySid", &key)]);
        world.owner.delete(&path).is(204);
        assert_eq!(world.owner.get(REVOCATIONS).is(200)["revocations"], serde_json::json!([]));
    });
}

/// A token of a new subaccount, and the subaccount's path.
pub(super) fn in_subaccount(world: &World) -> (String, String) {
    let created = world.owner.post("/2010-04-01/Accounts.json", &[("FriendlyName", "sub")]).is(201);
    let (account, auth_token) = (sid(&created), created["auth_token"].as_str().unwrap());
    let sub = world.with_credentials(&account, auth_token);
    let service = sub.get("/v1/Configuration").is(200)["default_chat_service_sid"].as_str().unwrap().to_owned();
    let key = sub.post(&format!("/2010-04-01/Accounts/{account}/Keys.json"), &[]).is(201);
    let secret = Secret::new(key["secret"].as_str().unwrap());
    let mint = Mint::new(account.as_str(), sid(&key), &secret).identity("ana").ttl(3600);
    let token = mint.grant(ChatGrant::new(service)).sign(world.seconds(), [7; 8]).unwrap().token;
    (token, format!("/2010-04-01/Accounts/{account}.json"))
}

fn a_suspended_or_closed_account_ends_all_that_it_has(world: &World) {
    world.play(async {
        let (token, path) = in_subaccount(world);
        let (_client, mut own) = connect(world, &token).await;
        let bystander = world.client("bruno").await;
        world.owner.post(&path, &[("Status", "suspended")]).is(200);
        ends(&mut own).await;
        refused(world, &token, 20103).await;
        lives(&bystander).await;
        world.owner.post(&path, &[("Status", "active")]).is(200);
        let (_client, mut own) = connect(world, &token).await;
        world.owner.post(&path, &[("Status", "closed")]).is(200);
        ends(&mut own).await;
        refused(world, &token, 20103).await;
        lives(&bystander).await;
    });
}

fn a_revocation_names_one_thing_of_the_account(world: &World) {
    let service = world.service.as_str();
    let long = "x".repeat(256);
    let foreign = format!("SK{}", "7".repeat(32));
    for form in [
        &[][..],
        &[("Jti", "a"), ("Session", "b")],
        &[("ServiceSid", service)],
        &[("Token", "a.b.c")],
        &[("Jti", &long)],
        &[("Identity", "ana"), ("IssuedBefore", "2030-01-01T00:00:00Z")],
        &[("Identity", "ana"), ("IssuedBefore", "soon")],
    ] {
        world.owner.post(REVOCATIONS, form).refuses(400, 20001);
    }
    world.owner.post(REVOCATIONS, &[("KeySid", &foreign)]).refuses(404, 20404);
    // Another account's token is no token of this one's, and its entries are nobody else's.
    let token = token(world, "ana", "1", None);
    world.tenant.post(REVOCATIONS, &[("Token", &token)]).refuses(400, 20001);
    world.tenant.post(REVOCATIONS, &[("Identity", "ana")]).is(201);
    world.play(async { drop(connect(world, &token).await) });
}

fn a_revoked_token_does_not_update_a_connection(world: &World) {
    world.play(async {
        let (client, _own) = connect(world, &token(world, "ana", "1", None)).await;
        let next = token(world, "ana", "2", None);
        client.update_token(&next).await.unwrap();
        let revoked = token(world, "ana", "3", None);
        revoke(world, &[("Token", &revoked)]);
        lives(&client).await;
        let refused = client.update_token(&revoked).await.unwrap_err();
        assert!(matches!(&refused, Error::Refused(refusal) if refusal.code == Some(20104)), "{refused:?}");
        // What ends a connection is the token that it has now.
        let (client, mut own) = connect(world, &token(world, "ana", "4", None)).await;
        client.update_token(&token(world, "ana", "5", None)).await.unwrap();
        revoke(world, &[("Token", &token(world, "ana", "4", None))]);
        lives(&client).await;
        revoke(world, &[("Token", &token(world, "ana", "5", None))]);
        ends(&mut own).await;
    });
}

fn lost_news_are_found_in_the_store(world: &World) {
    world.play(async {
        let (_client, mut own) = connect(world, &token(world, "ana", "1", None)).await;
        world.owner.post("/tertulia/v1/Faults", &[("Kind", "drop-event"), ("Times", "0")]).is(201);
        // Without the node's own look at what it just stored: it stands for one that only reads.
        let revoke = Revoke::all(Named::Identity("ana".to_owned(), None));
        world.app().db.perform(&world.system_soon().await, revoke).await.unwrap();
        world.app().ends.look();
        ends(&mut own).await;
    });
}

fn dead_entries_go(world: &World) {
    revoke(world, &[("Jti", "x")]);
    world.pass(2 * 86_400);
    world.play(soon(async {
        while world.owner.get(REVOCATIONS).is(200)["revocations"] != serde_json::json!([]) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }));
}

/// Nobody tells the other node: it reads the store twice a second.
#[test]
fn another_node_ends_its_connections_within_a_second() {
    let Some([here, there]) = World::two_nodes("another_node_ends_its_connections_within_a_second") else { return };
    let (suspended, deleted) = (key(&here), key(&here));
    let signed = |by: &(String, String, String)| minted(&here, &by.1, &by.2, "ana", "1", None);
    let (of_subaccount, subaccount) = in_subaccount(&here);
    let (one, before) = (token(&here, "ana", "1", None), &here.owner.get("/tertulia/v1/Clock").is(200)["now"]);
    let cases: [(String, u32, &dyn Fn() -> Value); 6] = [
        (one.clone(), 20104, &|| revoke(&here, &[("Token", &one)])),
        (token(&here, "ana", "2", Some("login")), 20104, &|| revoke(&here, &[("Session", "login")])),
        (token(&here, "bruno", "3", None), 20104, &|| revoke(&here, &[("Identity", "bruno")])),
        (signed(&suspended), 20103, &|| revoke(&here, &[("KeySid", &suspended.1)])),
        (signed(&deleted), 20103, &|| here.owner.delete(&deleted.0).is(204)),
        (of_subaccount, 20103, &|| here.owner.post(&subaccount, &[("Status", "suspended")]).is(200)),
    ];
    play(async {
        let last = token(&here, "carla", "4", None);
        let (bystander, mut bystanders_own) = connect(&there, &last).await;
        for (token, code, end) in cases {
            let (_client, mut own) = connect(&there, &token).await;
            end();
            ends(&mut own).await;
            refused(&there, &token, code).await;
            lives(&bystander).await;
        }
        revoke(&here, &[("ServiceSid", &here.service), ("IssuedBefore", before.as_str().unwrap())]);
        ends(&mut bystanders_own).await;
        refused(&there, &last, 20104).await;
    });
}
