//! What a revocation says that it ended, and that it ends no more than it names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tertulia_client::Client;
use tertulia_server::platform::{Caller, Cx, Outcome, Question};
use tertulia_server::tokens::queries;

use super::revocations::{connect, ends, key, revoke, token};
use super::soon;
use crate::rest::login::given;
use crate::support::{Actor, World, on_both_engines, sid};

on_both_engines! {
    revoking_one_token_of_an_official_library_ends_no_other,
    a_jti_of_several_people_is_revoked_by_whoever_means_all_of_them,
    a_revocation_says_how_many_connections_and_known_tokens_it_ended,
    what_names_nobody_is_stored_and_says_that_it_ended_nothing,
    what_is_known_of_tokens_goes_when_they_are_dead,
}

const REVOCATIONS: &str = "/tertulia/v1/Revocations";

/// A token as the official libraries mint it, with another name if one is given: all that a key signs in one second have
/// the same.
fn official(world: &World, identity: &str, jti: Option<Value>) -> String {
    let (key, secret) = world.dev_key();
    let now = world.seconds();
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = json!({"typ": "JWT", "alg": "HS256", "cty": "twilio-fpa;v=1"});
    let claims = json!({
        "jti": jti.unwrap_or_else(|| format!("{key}-{now}").into()), "iss": key, "sub": world.account, "iat": now,
        "exp": now + 3600, "grants": {"identity": identity, "chat": {"service_sid": world.service}},
    });
    let signed = format!("{}.{}", part(&header), part(&claims));
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{signed}.{signature}")
}

async fn comes_in(world: &World, token: &str) -> bool {
    Client::connect_with(&world.uri(), token.to_owned(), tertulia_client::Options::once()).await.is_ok()
}

fn revoking_one_token_of_an_official_library_ends_no_other(world: &World) {
    world.play(async {
        let (ana, bruno) = (official(world, "ana", None), official(world, "bruno", None));
        let (_client, mut own) = connect(world, &ana).await;
        let (other, _) = connect(world, &bruno).await;
        let made = revoke(world, &[("Token", &ana)]);
        assert_eq!((&made["kind"], &made["connections_ended"]), (&json!("exact"), &json!(1)));
        ends(&mut own).await;
        soon(other.conversations()).await.unwrap();
        assert!(!comes_in(world, &ana).await && comes_in(world, &bruno).await);
        let noted = world.owner.get("/tertulia/v1/Audit?Event=revocation.created").is(200);
        assert_eq!(noted["audit"][0]["jti"], format!("{}-{}", world.dev_key().0, world.seconds()));
        // One that has no name can be ended, too.
        let nameless = official(world, "carla", Some(Value::Null));
        revoke(world, &[("Token", &nameless)]);
        assert!(!comes_in(world, &nameless).await);
    });
}

fn a_jti_of_several_people_is_revoked_by_whoever_means_all_of_them(world: &World) {
    world.play(async {
        let (ana, bruno) = (official(world, "ana", None), official(world, "bruno", None));
        let jti = format!("{}-{}", world.dev_key().0, world.seconds());
        let refused = |people: &str, jti: &str| {
            let text = world.owner.post(REVOCATIONS, &[("Jti", jti)]).refuses(409, 20409);
            assert!(text.contains(people) && text.contains("Shared=true"), "{text}");
        };
        // By its shape alone, whoever is known.
        refused("0 people are known", &jti);
        let (_ana, mut anas_own) = connect(world, &ana).await;
        refused("1 person is known", &jti);
        let (_bruno, mut brunos_own) = connect(world, &bruno).await;
        refused("2 people are known", &jti);
        assert_eq!(world.owner.get(REVOCATIONS).is(200)["revocations"], json!([]));
        world.owner.post(REVOCATIONS, &[("Jti", &jti), ("Shared", "perhaps")]).refuses(400, 20001);
        let made = revoke(world, &[("Jti", &jti), ("Shared", "true")]);
        assert_eq!(made["connections_ended"], 2);
        ends(&mut anas_own).await;
        ends(&mut brunos_own).await;

        // Another backend's own names: only who is known tells.
        let [carla, dora] = ["carla", "dora"].map(|identity| official(world, identity, Some("batch".into())));
        let (_carla, _carlas_own) = connect(world, &carla).await;
        let (_dora, _doras_own) = connect(world, &dora).await;
        refused("2 people are known", "batch");
        // The endpoint's own tokens have names of their own.
        let own = world.key.post("/tertulia/v1/Tokens", &[("Identity", "emil")]).is(201);
        let jti = crate::rest::tokens::claims(&own["token"])["jti"].as_str().unwrap().to_owned();
        assert_eq!(revoke(world, &[("Jti", &jti)])["tokens_ended"], 1);
    });
}

/// What a revocation ended: connections, and known tokens.
fn ended(made: &Value) -> [i64; 2] {
    ["connections_ended", "tokens_ended"].map(|field| made[field].as_i64().expect("a number"))
}

fn minted(world: &World, identity: &str) -> String {
    let made = world.key.post("/tertulia/v1/Tokens", &[("Identity", identity)]).is(201);
    made["token"].as_str().unwrap().to_owned()
}

fn a_revocation_says_how_many_connections_and_known_tokens_it_ended(world: &World) {
    world.play(async {
        let (one, _other) = (minted(world, "ana"), minted(world, "ana"));
        minted(world, "bruno");
        let (_home, mut own) = connect(world, &one).await;
        let (_phone, mut phones_own) = connect(world, &token(world, "ana", "1", None)).await;
        let by_identity = [("Identity", "ana")];
        let made = revoke(world, &by_identity);
        assert_eq!(ended(&made), [2, 2], "one connection came by a token that was minted elsewhere");
        ends(&mut own).await;
        ends(&mut phones_own).await;
        let noted = world.owner.get("/tertulia/v1/Audit?Event=revocation.created").is(200);
        assert_eq!(noted["audit"][0]["detail"]["tokens_ended"], 2);
        assert_eq!(ended(&revoke(world, &by_identity)), [0, 0], "nothing is ended twice");
        // Neither what was minted for another chat service, nor what came later.
        let second = world.second_service();
        world.pass(1);
        world.key.post("/tertulia/v1/Tokens", &[("Identity", "ana"), ("ServiceSid", &second)]).is(201);
        assert_eq!(ended(&revoke(world, &[("Identity", "ana"), ("ServiceSid", &world.service)])), [0, 0]);
        let made = revoke(world, &by_identity);
        assert_eq!(ended(&made), [0, 1]);
        // What is taken back lives, and can be ended again.
        world.owner.delete(&format!("{REVOCATIONS}/{}", sid(&made))).is(204);
        let now = world.owner.get("/tertulia/v1/Clock").is(200)["now"].as_str().unwrap().to_owned();
        assert_eq!(ended(&revoke(world, &[("ServiceSid", &second), ("IssuedBefore", &now)])), [0, 1]);
        assert_eq!(ended(&revoke(world, &[("Token", &minted(world, "carla"))])), [0, 1]);
    });
}

fn what_names_nobody_is_stored_and_says_that_it_ended_nothing(world: &World) {
    minted(world, "ana");
    let (_, key, _) = key(world);
    for form in [("Identity", "Ana"), ("Session", "site:1"), ("Jti", "none"), ("KeySid", &key)] {
        let made = revoke(world, &[form]);
        assert_eq!(ended(&made), [0, 0], "{form:?}");
        world.owner.get(&format!("{REVOCATIONS}/{}", sid(&made))).is(200);
    }
    let list = |query: &str| {
        let found = world.owner.get(&format!("{REVOCATIONS}?{query}")).is(200);
        found["revocations"].as_array().unwrap().len()
    };
    assert_eq!([list(""), list("Kind=key"), list("Kind=service")], [4, 1, 0]);
}

/// Accounts of which tokens are known.
struct Known;

impl Question for Known {
    type Out = usize;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<usize> {
        Ok(queries::accounts_of_known(cx.tx).await?.len())
    }
}

fn what_is_known_of_tokens_goes_when_they_are_dead(world: &World) {
    let known = || {
        let app = world.app();
        world.play(async { app.db.ask(&Caller::nobody(), Known).await.unwrap() })
    };
    minted(world, "ana");
    world.pass(14_399);
    assert_eq!(known(), 1, "nothing goes before its time");
    world.pass(1);
    assert_eq!(ended(&revoke(world, &[("Identity", "ana")])), [0, 0], "a dead one is not ended");
    // The job that removes what is dead comes every ten minutes.
    world.pass(600);
    for _ in 0..1000 {
        if known() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it is still known after ten seconds");
}

const DEVICES: &str = "[[sources]]\nname = \"devices\"\nkind = \"api-token\"\n\
                       [[sources]]\nname = \"older\"\nkind = \"api-token\"\n";

fn asks(world: &World, api_token: &Value) -> Actor {
    world.stranger.with("Authorization", &format!("Bearer {}", api_token["token"].as_str().unwrap()))
}

fn deleting_an_api_token_ends_what_came_by_it(world: &World) {
    let tokens = "/tertulia/v1/ApiTokens";
    let text = world.owner.post(tokens, &[("Subject", "x"), ("Facts", r#"{"sid": "x"}"#)]).refuses(400, 20001);
    assert!(text.contains("sid"), "{text}");
    let made = || world.owner.post(tokens, &[("Subject", "sensor")]).is(201);
    let (gone, kept) = (made(), made());
    world.play(async {
        let log_in = |api_token: &Value| {
            asks(world, api_token).post("/token", &[]).is(200)["token"].as_str().unwrap().to_owned()
        };
        let (first, second) = (log_in(&gone), log_in(&kept));
        let session = format!("devices:{}", gone["id"].as_str().unwrap());
        let noted = world.owner.get("/tertulia/v1/Audit?Event=token.minted").is(200);
        let sessions: Vec<_> =
            noted["audit"].as_array().unwrap().iter().map(|entry| &entry["detail"]["session"]).collect();
        assert!(sessions.contains(&&json!(session)) && sessions.len() == 2, "{sessions:?}");
        let (_first, mut own) = connect(world, &first).await;
        let (other, _) = connect(world, &second).await;
        let path = format!("{tokens}/{}", gone["id"].as_str().unwrap());
        world.tenant.delete(&path).refuses(404, 20404);
        soon(other.conversations()).await.unwrap();
        world.owner.delete(&path).is(204);
        ends(&mut own).await;
        soon(other.conversations()).await.unwrap();
        assert!(!comes_in(world, &first).await && comes_in(world, &second).await);
        asks(world, &gone).post("/token", &[]).refuses(401, 20003);
        log_in(&kept);
        // By its session, like every other login.
        let session = format!("devices:{}", kept["id"].as_str().unwrap());
        assert_eq!(ended(&revoke(world, &[("Session", &session)])), [1, 2]);
        asks(world, &kept).post("/token", &[]).refuses(401, 20003);
    });
}

#[test]
fn deleting_an_api_token_ends_what_came_by_it_on_both_engines() {
    deleting_an_api_token_ends_what_came_by_it(&World::sqlite_with(given(DEVICES)));
    if let Some(world) = World::postgres_with("deleting_an_api_token_ends_what_came_by_it", given(DEVICES)) {
        deleting_an_api_token_ends_what_came_by_it(&world);
    }
}

#[test]
fn the_session_of_a_foreign_token_may_be_a_number() {
    let world = &World::sqlite();
    world.play(async {
        let number = official(world, "ana", Some(4711.into()));
        let (_client, mut own) = connect(world, &number).await;
        assert_eq!(ended(&revoke(world, &[("Jti", "4711")])), [1, 0]);
        ends(&mut own).await;
    });
}
