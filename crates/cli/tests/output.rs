//! `-o json` of every command that answers something: one JSON document on stdout, or one a line where that is said.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use testkit::temp_dir;

use crate::dev::{Running, tertulia};
use crate::serve::{Serving, sealed_folder};

/// Commands without the option: two that serve, and one whose answer is a file of another form.
const WITHOUT: [&str; 3] = ["dev", "serve", "config"];
/// Commands whose help says that they print an object a line.
const LINES: [&str; 2] = ["audit export", "chat"];

const ACCOUNT: &str = "AC00000000000000000000000000000de0";

/// The commands as `--help` lists them, down to those that do something.
fn leaves(above: &[String]) -> BTreeSet<String> {
    let args: Vec<&str> = above.iter().map(String::as_str).chain(["--help"]).collect();
    let help = String::from_utf8(tertulia(&args).output().unwrap().stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What goes on in another line stands further to the right.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    let below: Vec<_> = names.filter(|name| *name != "help").collect();
    if below.is_empty() {
        return BTreeSet::from([above.join(" ")]);
    }
    below.iter().flat_map(|name| leaves(&[above, &[(*name).to_owned()]].concat())).collect()
}

/// What was played so far.
struct Walk {
    played: BTreeSet<String>,
    data: String,
}

impl Walk {
    fn at(data: &Path) -> Self {
        Self { played: BTreeSet::new(), data: data.to_str().unwrap().to_owned() }
    }

    /// Runs a command as it is; gives what it printed, whose status must be this.
    #[track_caller]
    fn bare(&mut self, status: i32, command: &str, args: &[&str], environment: &[(&str, &str)]) -> Value {
        let words: Vec<&str> = command.split(' ').collect();
        let mut run = tertulia(&[&words, args, &["-o", "json"]].concat());
        let output = run.envs(environment.iter().copied()).output().unwrap();
        let (out, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(status), "{command} {args:?}: {out}{errors}");
        self.played.insert(command.to_owned());
        let read = |text: &str| {
            serde_json::from_str(text).unwrap_or_else(|cause| panic!("{command} {args:?}: {cause}: {out:?}"))
        };
        match LINES.contains(&command) {
            true => out.lines().map(read).collect::<Vec<Value>>().into(),
            false => read(&out),
        }
    }

    /// Runs a command at the server.
    #[track_caller]
    fn run(&mut self, command: &str, args: &[&str]) -> Value {
        let data = self.data.clone();
        self.bare(0, command, &[args, &["--data", &data]].concat(), &[])
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

/// What needs no server.
fn offline(walk: &mut Walk, folder: &Path) {
    let rules = folder.join("rules.toml");
    let example = |identity: &str| {
        format!(
            "[[login.sources]]\nname = \"site\"\nkind = \"app\"\nurl = \"http://127.0.0.1:3000/me\"\n\
             [[login.examples]]\nlogin = {{ source = \"site\", subject = \"7\", facts = {{}} }}\n\
             gives = {{ identity = \"{identity}\" }}\n"
        )
    };
    let file = rules.to_str().unwrap();
    for (identity, status) in [("7", 0), ("8", 1)] {
        std::fs::write(&rules, example(identity)).unwrap();
        let told = walk.bare(status, "policy test", &[file], &[]);
        assert_eq!((told["failed"].as_i64(), told["examples"].as_array().unwrap().len()), (Some(status.into()), 1));
    }
    let told = walk.bare(0, "policy explain", &[file, "--source", "site", "--subject", "7"], &[]);
    assert_eq!(told["gives"]["identity"], "7");

    let seal = folder.join("another.key");
    let told = walk.bare(
        0,
        "seal init",
        &["--data", walk.data.clone().as_str(), "--seal-key-file", seal.to_str().unwrap()],
        &[],
    );
    assert_eq!(text(&told, "file"), seal.to_str().unwrap());

    let secret = ("TWILIO_API_SECRET", "a-secret-of-thirty-two-characters");
    let (key, service) = (format!("SK{}", "1".repeat(32)), format!("IS{}", "2".repeat(32)));
    let mint = ["--account-sid", ACCOUNT, "--key-sid", &key, "--identity", "ana", "--chat-service-sid", &service];
    let minted = walk.bare(0, "token mint", &mint, &[secret]);
    let token = text(&minted, "token").to_owned();
    assert_eq!(walk.bare(0, "token inspect", &[&token], &[])["checked"], false);
    assert_eq!(walk.bare(1, "token inspect", &["nonsense"], &[])["payload"], Value::Null);
    assert_eq!(walk.bare(0, "token verify", &[&token], &[secret])["valid"], true);
    assert_eq!(walk.bare(1, "token verify", &[&token, "--now", "1"], &[secret])["valid"], false);
    walk.bare(0, "token explain", &[&token], &[secret]);
    walk.bare(1, "token explain", &["nonsense"], &[]);
}

/// A life of everything that a server has.
fn online(walk: &mut Walk, folder: &Path, uri: &str) {
    assert_eq!(text(&walk.run("env", &[]), "TWILIO_ACCOUNT_SID"), ACCOUNT);
    assert_eq!(walk.run("clock", &[])["is_frozen"], false);

    let service = walk.run("service create", &["second"]);
    walk.run("service show", &[text(&service, "sid")]);
    let open = [text(&service, "sid"), "--open-conversations", "true"];
    assert_eq!(walk.run("service settings", &open)["open_conversations"], true);
    assert_eq!(walk.run("service settings", &[text(&service, "sid")])["open_conversations"], true);
    assert_eq!(walk.run("service list", &[])["services"].as_array().unwrap().len(), 2);
    assert_eq!(walk.run("service delete", &[text(&service, "sid")])["deleted"], service["sid"]);

    let key = walk.run("key create", &["ci"]);
    let sid = text(&key, "sid");
    walk.run("key show", &[sid]);
    walk.run("key update", &[sid, "--name", "cd"]);
    walk.run("key evidence", &[sid]);
    let next = walk.run("key rotate", &[sid, "--longest", "0"]);
    assert_eq!(walk.run("key list", &[])["keys"].as_array().unwrap().len(), 2, "the old one went");
    assert_eq!(walk.run("key delete", &[text(&next, "sid")])["deleted"], next["sid"]);

    let made = walk.run("api-token create", &["--subject", "sensor"]);
    assert!(walk.run("api-token list", &[]).is_array());
    assert_eq!(walk.run("api-token delete", &[text(&made, "id")])["deleted"], made["id"]);

    let data = walk.data.clone();
    let revoked = walk.bare(3, "revocation create", &["--identity", "ana", "--data", &data], &[]);
    assert_eq!((&revoked["connections_ended"], &revoked["tokens_ended"]), (&0.into(), &0.into()));
    walk.run("revocation list", &[]);
    assert_eq!(walk.run("revocation delete", &[text(&revoked, "sid")])["deleted"], revoked["sid"]);

    let fault = walk.run("fault add", &["hold", "--times", "0"]);
    walk.run("fault list", &[]);
    assert_eq!(walk.run("fault delete", &[&fault["id"].to_string()])["deleted"], fault["id"].to_string());
    assert_eq!(walk.run("fault delete", &["--all"])["deleted"], "all");

    // Somebody talks, and somebody is refused.
    assert_eq!(walk.run("chat", &["lobby", "--send", "Hi"]).as_array().unwrap().len(), 1);
    let token = folder.join("token");
    let (key, service) = (format!("SK{}", "9".repeat(32)), format!("IS{}", "9".repeat(32)));
    let mint = ["--account-sid", ACCOUNT, "--key-sid", &key, "--identity", "eve", "--chat-service-sid", &service];
    let secret = ("TWILIO_API_SECRET", "a-secret-of-thirty-two-characters");
    std::fs::write(&token, text(&walk.bare(0, "token mint", &mint, &[secret]), "token")).unwrap();
    let token = ["--token-file", token.to_str().unwrap()];
    let environment = [("TERTULIA_TOKEN", std::fs::read_to_string(token[1]).unwrap())];
    let refused = tertulia(&["chat", "--uri", uri, "--send", "Hi", "-o", "json"]).envs(environment).output().unwrap();
    assert_eq!((refused.status.success(), refused.stdout.len()), (false, 0), "an error is none of the answers");
    assert_eq!(walk.run("audit introspect", &token)["active"], false);
    assert!(!walk.run("audit explain", &token)["failed_check"].is_null());
    assert!(!walk.run("audit list", &[])["audit"].as_array().unwrap().is_empty());
    let exported = walk.run("audit export", &["--event", "key.created"]);
    assert_eq!(exported.as_array().unwrap().len(), 3, "{exported}");

    let world = folder.join("world.json");
    std::fs::write(&world, r#"{"accounts": []}"#).unwrap();
    assert_eq!(walk.run("import", &[world.to_str().unwrap()])["accounts"], 0);

    let account = walk.run("account create", &["shop"]);
    let sid = text(&account, "sid");
    assert!(walk.run("account show", &[sid]).get("auth_token").is_none());
    assert_eq!(walk.run("account list", &[])["accounts"].as_array().unwrap().len(), 2);
    walk.run("account update", &[sid, "--status", "suspended"]);
    walk.run("account update", &[sid, "--status", "active"]);
    for action in ["secondary", "promote", "secondary"] {
        walk.run("account auth-token", &[action, "--account", sid]);
    }
    let gone = walk.run("account auth-token", &["remove", "--account", sid]);
    assert_eq!(gone["deleted"], "secondary_auth_token");
    let closed = walk.run("account delete", &[sid, "--yes"]);
    assert_eq!((&closed["status"], closed.get("auth_token")), (&"closed".into(), None));
}

/// Owners come of logins, and a seal key is a server's that serves.
fn serving(walk: &mut Walk) {
    let (folder, data) = sealed_folder();
    let config = folder.join("login.toml");
    let source =
        "[[login.sources]]\nname = \"sso\"\nkind = \"proxy\"\nheader = \"X-User\"\naddresses = [\"127.0.0.1\"]\n";
    std::fs::write(&config, source).unwrap();
    let server = Serving::of(&data, &["--config", config.to_str().unwrap()], &[]);
    assert_eq!(server.token_for("X-User: ana"), 200);
    let before = std::mem::replace(&mut walk.data, data.to_str().unwrap().to_owned());
    assert_eq!(walk.run("owner list", &[]).as_array().unwrap().len(), 1);
    assert_eq!(walk.run("owner release", &["ana"])["released"], "ana");
    assert!(walk.run("seal rotate", &[])["resealed_count"].is_u64());
    walk.data = before;
}

#[test]
fn every_command_answers_with_one_document() {
    let folder = temp_dir();
    let data = folder.join("data");
    let server = Running::start(&["dev", "--data", data.to_str().unwrap(), "--port", "0"]);
    let mut walk = Walk::at(&data);
    offline(&mut walk, folder.path());
    online(&mut walk, folder.path(), server.value("Realtime"));
    serving(&mut walk);

    let listed = leaves(&[]);
    assert!(listed.len() > 40 && listed.contains("key rotate"), "{listed:?}");
    let missing: Vec<_> = listed.difference(&walk.played).filter(|one| !WITHOUT.contains(&one.as_str())).collect();
    assert!(missing.is_empty(), "this test does not play {missing:?} with -o json");
    for command in WITHOUT {
        let help = tertulia(&[command, "--help"]).output().unwrap().stdout;
        assert!(!String::from_utf8(help).unwrap().contains("--output"), "{command} has -o: play it");
    }
}
