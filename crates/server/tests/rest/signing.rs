//! Which key signs for the token endpoint, and what is said where none can.

use serde_json::Value;
use tertulia_server::platform::Config;

use super::login::{PROXY, given};
use super::tokens::claims;
use crate::support::{Answer, World, sid};

const REVOCATIONS: &str = "/tertulia/v1/Revocations";
const TOKENS: &str = "/tertulia/v1/Tokens";

fn log_in(world: &World) -> Answer {
    world.stranger.with("X-User", "ana").post("/token", &[])
}

fn signer(body: &Value) -> String {
    claims(&body["token"])["iss"].as_str().unwrap().to_owned()
}

fn suspend(world: &World, key: &str) -> String {
    sid(&world.owner.post(REVOCATIONS, &[("KeySid", key)]).is(201))
}

/// On both engines, with logins by a proxy.
fn play(name: &str, story: fn(&World)) {
    story(&World::sqlite_with(given(PROXY)));
    if let Some(world) = World::postgres_with(name, given(PROXY)) {
        story(&world);
    }
}

/// Nobody gets a token, and only the operator hears which key it is about.
#[track_caller]
fn assert_nothing_signs(world: &World, key: &str, why: &str) {
    let answer = log_in(world);
    assert!(answer.header("retry-after").is_some(), "it may pass");
    let text = answer.refuses(503, 20503);
    assert!(text.contains("the operator") && !text.contains(key), "{text}");
    let text = world.key.post(TOKENS, &[("Identity", "ana")]).refuses(503, 20503);
    assert!(text.contains(key) && text.contains(why), "{text}");
    assert_noted(world, &[key, why]);
}

/// Refusals are noted in a quiet moment.
#[track_caller]
fn assert_noted(world: &World, words: &[&str]) {
    let mut entries = Value::Null;
    for _ in 0..1000 {
        entries = world.owner.get("/tertulia/v1/Audit?Event=mint.refused").is(200)["audit"].clone();
        let newest = entries[0]["detail"]["reason"].as_str().unwrap_or_default();
        if words.iter().all(|word| newest.contains(word)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{words:?} are not noted within ten seconds: {entries}");
}

#[test]
fn a_suspended_key_of_the_servers_own_signs_nothing_until_somebody_decides() {
    play("a_suspended_key_of_the_servers_own", |world| {
        let first = signer(&log_in(world).is(200));
        let entry = suspend(world, &first);
        assert_nothing_signs(world, &first, "is suspended");
        world.owner.delete(&format!("{REVOCATIONS}/{entry}")).is(204);
        assert_eq!(signer(&log_in(world).is(200)), first);
        suspend(world, &first);
        let next = world.owner.post(&format!("/tertulia/v1/Keys/{first}/Successor"), &[]).is(201);
        assert_eq!(signer(&log_in(world).is(200)), sid(&next));
        // One that is deleted while it is suspended is replaced, as always.
        suspend(world, &sid(&next));
        world.owner.delete(&format!("/2010-04-01/Accounts/{}/Keys/{}.json", world.account, sid(&next))).is(204);
        let third = signer(&log_in(world).is(200));
        assert!(third != first && third != sid(&next));
    });
}

#[test]
fn a_spare_key_signs_while_the_configured_one_cannot() {
    let [main, spare] = ["0a", "0b"].map(|pair| format!("SK{}", pair.repeat(16)));
    let restricted = format!("SK{}", "0c".repeat(16));
    let import = |world: &World| {
        let key = |sid: &str, more: &str| {
            format!(r#"{{"sid": "{sid}", "account_sid": "{}", "secret": "{}"{more}}}"#, world.account, "x".repeat(32))
        };
        let kind = r#", "type": "restricted", "allow": []"#;
        let keys = [key(&main, ""), key(&spare, ""), key(&restricted, kind)].join(", ");
        let text = format!(r#"{{"keys": [{keys}]}}"#);
        world.operator.post("/tertulia/v1/Imports", &[("World", &text)]).is(201);
    };
    let set = |spare_keys: &[&String]| {
        let (main, spare_keys) = (main.clone(), spare_keys.iter().map(|key| (*key).clone()).collect());
        move |config: &mut Config| {
            given(PROXY)(config);
            (config.login.key, config.login.spare_keys) = (main, spare_keys);
        }
    };
    // A server does not start with keys that are not there, so they come first.
    let with_keys = |spare_keys: &[&String]| {
        let folder = testkit::temp_dir();
        import(&World::in_folder(folder.path()));
        (World::in_folder_with(folder.path(), set(spare_keys)), folder)
    };
    let (world, _folder) = with_keys(&[&restricted, &spare]);
    assert_eq!(signer(&log_in(&world).is(200)), main);
    let entry = suspend(&world, &main);
    assert_eq!(signer(&log_in(&world).is(200)), spare, "a Restricted key is passed over");
    let evidence = |key: &str| {
        let found = world.owner.get(&format!("/tertulia/v1/Keys/{key}/Evidence")).is(200);
        found["signs_for_token_endpoint"] == true
    };
    assert_eq!((evidence(&main), evidence(&spare)), (false, true));
    suspend(&world, &spare);
    assert_nothing_signs(&world, &main, "is suspended");
    world.owner.delete(&format!("{REVOCATIONS}/{entry}")).is(204);
    assert_eq!(signer(&log_in(&world).is(200)), main);
    world.owner.delete(&format!("/2010-04-01/Accounts/{}/Keys/{main}.json", world.account)).is(204);
    assert_nothing_signs(&world, &main, "does not exist");

    let (alone, _folder) = with_keys(&[]);
    suspend(&alone, &main);
    assert_nothing_signs(&alone, &main, "is suspended");
}

#[test]
fn an_account_that_has_all_the_keys_it_may_says_so() {
    let set = |config: &mut Config| {
        given(PROXY)(config);
        config.limits.keys_max = 1;
    };
    let world = World::sqlite_with(set);
    log_in(&world).refuses(503, 20503);
    let text = world.key.post(TOKENS, &[("Identity", "ana")]).refuses(503, 20503);
    assert!(text.contains("limits.keys_max"), "{text}");
    assert_noted(&world, &["limits.keys_max"]);
}

#[test]
fn a_login_into_an_account_that_is_not_active_is_refused_for_good() {
    play("a_login_into_an_account_that_is_not_active", |world| {
        let path = format!("/tertulia/v1/Accounts/{}", world.account);
        log_in(world).is(200);
        let keys = || {
            let list = world.operator.get(&format!("/2010-04-01/Accounts/{}/Keys.json", world.account)).is(200);
            list["keys"].as_array().unwrap().len()
        };
        let before = keys();
        for status in ["suspended", "closed"] {
            world.operator.post(&path, &[("Status", status)]).is(200);
            let answer = log_in(world);
            assert_eq!(answer.header("retry-after"), None, "asking again changes nothing");
            let text = answer.refuses(403, 20403);
            assert!(text.contains("account") && text.contains("suspended"), "{text}");
            // Who is not logged in hears that, whatever the account is.
            world.stranger.post("/token", &[]).refuses(401, 20003);
            let dev = world.stranger.get("/token?identity=ana&password=tertulia");
            assert_eq!(dev.status, 403, "{}", dev.text);
            let operator = world.operator.with("Tertulia-Account", &world.account);
            operator.post(TOKENS, &[("Identity", "ana")]).refuses(403, 20403);
        }
        assert_eq!(keys(), before, "no key is made for nobody");
    });
}

#[test]
fn a_subaccount_of_logins_follows_its_parent() {
    let sub = format!("AC{}", "5".repeat(32));
    let set = |config: &mut Config| {
        given(PROXY)(config);
        config.login.account.clone_from(&sub);
    };
    let folder = testkit::temp_dir();
    let world = World::in_folder(folder.path());
    let app = world.app();
    let parent = world.system();
    let child = tertulia_server::accounts::commands::CreateAccount {
        sid: Some(sub.parse().unwrap()),
        service: None,
        parent: Some(parent.account),
        friendly_name: "sub".to_owned(),
        auth_token: "0123456789abcdef0123456789abcdef".to_owned(),
        ring: app.sealer.ring(),
    };
    world.play(app.db.perform(&parent, child)).unwrap();
    drop(world);
    let world = World::in_folder_with(folder.path(), set);
    log_in(&world).is(200);
    world.operator.post(&format!("/tertulia/v1/Accounts/{}", world.account), &[("Status", "suspended")]).is(200);
    log_in(&world).refuses(403, 20403);
}

#[test]
fn an_api_token_of_an_account_that_is_not_active_is_refused_for_good() {
    let world = World::sqlite_with(given("[[sources]]\nname = \"devices\"\nkind = \"api-token\"\n"));
    let made = world.owner.post("/tertulia/v1/ApiTokens", &[("Subject", "sensor")]).is(201);
    let device = world.stranger.with("Authorization", &format!("Bearer {}", made["token"].as_str().unwrap()));
    device.post("/token", &[]).is(200);
    world.operator.post(&format!("/tertulia/v1/Accounts/{}", world.account), &[("Status", "suspended")]).is(200);
    device.post("/token", &[]).refuses(403, 20403);
}

#[test]
fn the_endpoint_of_dev_mode_gives_no_token_that_nobody_takes() {
    let world = World::sqlite();
    let ask = || world.stranger.get("/token?identity=ana&password=tertulia");
    let (key, _) = world.dev_key();
    let entry = suspend(&world, &key);
    let refused = ask();
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains(&key) && refused.text.contains("is suspended"), "{}", refused.text);
    assert_noted(&world, &[&key, "is suspended"]);
    assert_eq!(world.stranger.get("/token?identity=ana&password=x").status, 401);
    world.owner.delete(&format!("{REVOCATIONS}/{entry}")).is(204);
    assert_eq!(ask().status, 200);
    world.owner.delete(&format!("/2010-04-01/Accounts/{}/Keys/{key}.json", world.account)).is(204);
    assert_eq!(ask().status, 503);
}
