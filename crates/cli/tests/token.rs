//! `tertulia token`: what goes to which stream, which exit status, and that no secret is shown.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

const ACCOUNT: &str = "ACfa4efa4efa4efa4efa4efa4efa4e0001";
const KEY: &str = "SKfa4efa4efa4efa4efa4efa4efa4e0001";
const SERVICE: &str = "ISfa4efa4efa4efa4efa4efa4efa4e0001";
const SECRET: &str = "FAKE-cli-secret-not-real-at-all1";
const NOW: &str = "1700000000";

/// A world with one of everything, as `--world` reads it.
const WORLD: &str = r#"{
  "region": "us1",
  "accounts": [{"sid": "ACfa4efa4efa4efa4efa4efa4efa4e0001", "status": "active"}],
  "keys": [{"sid": "SKfa4efa4efa4efa4efa4efa4efa4e0001", "account_sid": "ACfa4efa4efa4efa4efa4efa4efa4e0001",
            "secret": "FAKE-cli-secret-not-real-at-all1", "type": "standard", "status": "active", "region": "us1"}],
  "services": [{"sid": "ISfa4efa4efa4efa4efa4efa4efa4e0001", "account_sid": "ACfa4efa4efa4efa4efa4efa4efa4e0001"}],
  "roles": [{"sid": "RLfa4efa4efa4efa4efa4efa4efa4e0001", "service_sid": "ISfa4efa4efa4efa4efa4efa4efa4e0001"}]
}"#;

const ENV: [(&str, &str); 3] =
    [("TWILIO_ACCOUNT_SID", ACCOUNT), ("TWILIO_API_KEY", KEY), ("TWILIO_API_SECRET", SECRET)];

struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs `tertulia token …` with this environment and nothing else.
fn run_with(args: &[&str], env: &[(&str, &str)], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tertulia"));
    command.arg("token").args(args).env_clear();
    command.envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the binary ends");
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    for stream in [&stdout, &stderr] {
        assert!(!stream.contains(SECRET), "the secret was printed: {stream}");
    }
    Run { status: output.status.code().expect("an exit status"), stdout, stderr }
}

fn run(args: &[&str]) -> Run {
    run_with(args, &ENV, "")
}

fn mint(more: &[&str]) -> String {
    let args = [&["mint", "--identity", "alice", "--now", NOW], more].concat();
    let env = [&ENV[..], &[("TWILIO_CHAT_SERVICE_SID", SERVICE)]].concat();
    let run = run_with(&args, &env, "");
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stdout.trim_end().to_owned()
}

/// A file that goes when the test ends.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, content: &str) -> File {
        let folder = env!("CARGO_TARGET_TMPDIR");
        let path = std::path::Path::new(folder).join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("the file can be written");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn mint_prints_the_bare_token_and_advice_elsewhere() {
    let args = ["mint", "--identity", "alice@example.com", "--chat-service-sid", SERVICE];
    let run = run(&args);
    assert_eq!(run.status, 0);
    assert_eq!(run.stdout.lines().count(), 1);
    assert_eq!(run.stdout.matches('.').count(), 2);
    assert!(run.stderr.starts_with("advice: "), "{}", run.stderr);
}

#[test]
fn mint_writes_every_grant() {
    let token = mint(&[
        "--endpoint-id",
        "e",
        "--deployment-role-sid",
        "RLfa4efa4efa4efa4efa4efa4efa4e0001",
        "--push-credential-sid",
        "CRfa4efa4efa4efa4efa4efa4efa4e0001",
        "--sync-service-sid",
        "default",
        "--video-room",
        "daily",
        "--voice-outgoing-application-sid",
        "APfa4efa4efa4efa4efa4efa4efa4e0001",
        "--voice-incoming",
        "--voice-push-credential-sid",
        "CRfa4efa4efa4efa4efa4efa4efa4e0002",
        "--voice-param",
        "to=bob=1",
        "--task-router-workspace-sid",
        "WSfa4efa4efa4efa4efa4efa4efa4e0001",
        "--task-router-worker-sid",
        "WKfa4efa4efa4efa4efa4efa4efa4e0001",
        "--task-router-role",
        "worker",
        "--playback-grant",
        r#"{"requestCredentials":null}"#,
        "--region",
        "ie1",
        "--nbf",
        "1699999000",
        "--ttl",
        "60",
        "--jti-suffix",
        "x1",
    ]);
    let mut inspected = run(&["inspect", &token, "-o", "json"]).json();
    let jti = inspected["payload"].as_object_mut().and_then(|payload| payload.remove("jti"));
    let jti = jti.as_ref().and_then(Value::as_str).unwrap_or_default();
    assert!(jti.starts_with(&format!("{KEY}-{NOW}-x1-")), "{jti}");
    let expected = serde_json::json!({
        "iss": KEY, "sub": ACCOUNT,
        "nbf": 1_699_999_000, "iat": 1_700_000_000, "exp": 1_700_000_060,
        "grants": {
            "identity": "alice",
            "chat": {
                "service_sid": SERVICE, "endpoint_id": "e",
                "deployment_role_sid": "RLfa4efa4efa4efa4efa4efa4efa4e0001",
                "push_credential_sid": "CRfa4efa4efa4efa4efa4efa4efa4e0001",
            },
            "data_sync": { "service_sid": "default", "endpoint_id": "e" },
            "video": { "room": "daily" },
            "voice": {
                "incoming": { "allow": true },
                "outgoing": {
                    "application_sid": "APfa4efa4efa4efa4efa4efa4efa4e0001", "params": { "to": "bob=1" },
                },
                "push_credential_sid": "CRfa4efa4efa4efa4efa4efa4efa4e0002", "endpoint_id": "e",
            },
            "task_router": {
                "workspace_sid": "WSfa4efa4efa4efa4efa4efa4efa4e0001",
                "worker_sid": "WKfa4efa4efa4efa4efa4efa4efa4e0001", "role": "worker",
            },
            "player": { "requestCredentials": null },
        },
    });
    assert_eq!(inspected["payload"], expected);
    assert_eq!(inspected["header"]["twr"], "ie1");
    assert_eq!(inspected["checked"], false);
}

#[test]
fn mint_refuses_in_words_and_with_status_2() {
    for (args, words) in [
        (&["mint", "--identity", "system"][..], "--identity: "),
        (&["mint", "--identity", "a", "--ttl", "3600000"], "milliseconds"),
        (&["mint", "--identity", "a", "--ttl", "-1"], "--ttl: "),
        (&["mint", "--identity", "a", "--chat-service-sid", "MGfa4efa4efa4efa4efa4efa4efa4e0001"], "Messaging Service"),
        (&["mint", "--identity", "a", "--account-sid", KEY], "--account-sid: the Account SID must be AC"),
        (&["mint", "--identity", "a", "--voice-param", "x=y"], "--voice-param: "),
        (&["mint", "--identity", "a", "--voice-param", "x"], "NAME=VALUE"),
        (&["mint", "--identity", "a", "--playback-grant", "[]"], "JSON object"),
        (&["mint"], "--identity"),
    ] {
        let run = run(args);
        assert_eq!(run.status, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn the_secret_comes_from_the_environment_a_file_or_standard_input() {
    let ids = [("TWILIO_ACCOUNT_SID", ACCOUNT), ("TWILIO_API_KEY", KEY)];
    let file = File::new("secret", &format!("{SECRET}\n"));
    let base = ["mint", "--identity", "alice", "--chat-service-sid", SERVICE, "--now", NOW];
    let from_file = run_with(&[&base[..], &["--secret-file", file.path()]].concat(), &ids, "");
    let from_stdin = run_with(&[&base[..], &["--secret-file", "-"]].concat(), &ids, SECRET);
    let from_environment = mint(&[]);
    // All are signed with the same secret, and each has a name of its own.
    let tokens = [from_file.stdout.trim_end(), from_stdin.stdout.trim_end(), &from_environment];
    for token in tokens {
        assert_eq!(run(&["verify", token, "--now", NOW]).status, 0);
    }
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);

    let none = run_with(&base, &ids, "");
    assert_eq!(none.status, 2);
    assert!(none.stderr.contains("TWILIO_API_SECRET"), "{}", none.stderr);
    let newline = [ids[0], ids[1], ("TWILIO_API_SECRET", "FAKE-secret-with-newline\n")];
    let newline = run_with(&base, &newline, "");
    assert_eq!(newline.status, 2);
    assert!(newline.stderr.contains("newline"), "{}", newline.stderr);
}

#[test]
fn inspect_says_loudly_that_nothing_was_checked() {
    let token = mint(&[]);
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let run_inspect = run(&["inspect", &format!("{signed}.AAAA")]);
    assert_eq!(run_inspect.status, 0);
    assert!(run_inspect.stderr.starts_with("NOT CHECKED"));
    assert!(run_inspect.stdout.contains("not checked"));
    assert_eq!(run(&["inspect", "nonsense"]).status, 1);
}

#[test]
fn verify_accepts_and_refuses() {
    let token = mint(&[]);
    let good = run(&["verify", &token, "--now", NOW]);
    assert_eq!(good.status, 0, "{}", good.stderr);
    assert_eq!(good.json()["grants"]["identity"], "alice");

    let piped = [("TWILIO_API_SECRET", SECRET)];
    assert_eq!(run_with(&["verify", "--now", NOW], &piped, &format!("{token}\n")).status, 0);

    let wrong = [("TWILIO_API_SECRET", "FAKE-another-secret-not-the-same")];
    let refused = run_with(&["verify", &token, "--now", NOW, "-o", "json"], &wrong, "");
    assert_eq!(refused.status, 1);
    assert_eq!(refused.json()["code"], 20107);
    assert!(refused.stderr.starts_with("20107 "), "{}", refused.stderr);

    let newline = [("TWILIO_API_SECRET", "FAKE-secret-with-newline\n")];
    let newline = run_with(&["verify", &token, "--now", NOW], &newline, "");
    assert!(newline.stderr.contains("newline"), "{}", newline.stderr);

    let expired = run(&["verify", &token, "--now", "1700003605"]);
    assert_eq!(expired.status, 1);
    assert_eq!(expired.stdout, "");
    assert!(expired.stderr.starts_with("20104 ") && expired.stderr.contains("5 s ago"), "{}", expired.stderr);
    assert_eq!(run(&["verify", &token, "--now", "1700003605", "--grace", "10"]).status, 0);
    assert_eq!(run(&["verify", &token, "--now", "1699999970"]).status, 0);
    assert_eq!(run(&["verify", &token, "--now", "1699999970", "--leeway", "29"]).status, 1);
    assert_eq!(run(&["verify", &token, "--now", NOW, "--grace", "301"]).status, 2);

    let other_key = run(&["verify", &token, "--now", NOW, "--key-sid", "SKfa4efa4efa4efa4efa4efa4efa4e0002"]);
    assert_eq!(other_key.status, 1);
    assert!(other_key.stderr.starts_with("20103 "), "{}", other_key.stderr);
    let abroad = mint(&["--region", "ie1"]);
    assert_eq!(run(&["verify", &abroad, "--now", NOW]).status, 1);
    assert_eq!(run(&["verify", &abroad, "--now", NOW, "--region", "ie1"]).status, 0);
}

#[test]
fn verify_knows_the_world() {
    let world = File::new("world.json", WORLD);
    let verify = |token: &str, more: &[&str]| {
        let args = [&["verify", token, "--now", NOW, "--world", world.path()], more].concat();
        run_with(&args, &[], "")
    };
    let token = mint(&["--deployment-role-sid", "RLfa4efa4efa4efa4efa4efa4efa4e0001"]);
    let good = verify(&token, &["--chat", "-o", "json"]);
    assert_eq!(good.status, 0, "{}", good.stderr);
    assert_eq!(good.json()["chat"]["service_sid"], SERVICE);

    let elsewhere = mint(&["--chat-service-sid", "ISfa4efa4efa4efa4efa4efa4efa4e0002"]);
    assert_eq!(verify(&elsewhere, &[]).status, 0, "without --chat the service does not matter");
    let refused = verify(&elsewhere, &["--chat"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.starts_with("20106 ") && refused.stderr.contains("no service"), "{}", refused.stderr);

    let broken = File::new("broken.json", r#"{"keyz": []}"#);
    let args = ["verify", &token, "--world", broken.path()];
    let run = run_with(&args, &[], "");
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("keyz"), "{}", run.stderr);
}

#[test]
fn explain_says_what_to_change() {
    let token = mint(&[]);
    let good = run(&["explain", &token, "--now", NOW]);
    assert_eq!(good.status, 0, "{}", good.stdout);
    let bearer = run(&["explain", &format!("Bearer {token}"), "--now", NOW]);
    assert_eq!(bearer.status, 1);
    assert!(bearer.stdout.contains("What to change"), "{}", bearer.stdout);
    assert!(bearer.stdout.contains("Bearer"), "{}", bearer.stdout);

    let answer = format!("{{\"identity\":\"alice\",\"token\":\"{token}\"}}\n");
    let piped = run_with(&["explain", "--now", NOW, "-o", "json"], &[], &answer);
    assert_eq!(piped.status, 1);
    assert_eq!(piped.json()["kind"], "access_token");
    assert_eq!(piped.json()["notes"][0], "the token is inside JSON");

    let auth_token = run_with(&["explain"], &[], "0123456789abcdef0123456789abcdef\n");
    assert!(auth_token.stdout.contains("auth token"), "{}", auth_token.stdout);

    let world = File::new("explain-world.json", WORLD);
    let known = run_with(&["explain", &token, "--now", NOW, "--world", world.path()], &[], "");
    assert_eq!(known.status, 0);
    assert!(known.stdout.starts_with("This is an Access Token.\nIt is valid."), "{}", known.stdout);
}

/// What `verify` refuses `explain` refuses with the same code, and the other way round, with the same arguments.
#[test]
fn explain_and_verify_agree_on_the_same_arguments() {
    let token = mint(&[]);
    let other = "ACfa4efa4efa4efa4efa4efa4efa4e0002";
    let other_key = "SKfa4efa4efa4efa4efa4efa4efa4e0002";
    let world = File::new("agree-world.json", WORLD);
    let role = mint(&["--deployment-role-sid", "RLfa4efa4efa4efa4efa4efa4efa4e0009"]);
    for (token, args) in [
        (&token, &[][..]),
        (&token, &["--account-sid", other]),
        (&token, &["--key-sid", other_key]),
        (&token, &["--region", "ie1"]),
        (&token, &["--now", "1800000000"]),
        (&token, &["--world", world.path()]),
        (&role, &["--world", world.path()]),
        (&"nonsense".to_owned(), &["--key-sid", other_key]),
        (&format!("Bearer {token}"), &[]),
    ] {
        let now: &[&str] = if args.contains(&"--now") { &[] } else { &["--now", NOW] };
        let both = ["verify", "explain"].map(|command| {
            let chat: &[&str] = if command == "verify" { &["--chat"] } else { &[] };
            run_with(&[&[command, "-", "-o", "json"], args, now, chat].concat(), &ENV, token)
        });
        assert_eq!(both[0].status, both[1].status, "{args:?}: {} {}", both[0].stdout, both[1].stdout);
        assert_eq!(both[0].json()["code"], both[1].json()["code"], "{args:?}");
        assert_eq!(both[0].json()["check"], both[1].json()["failed_check"], "{args:?}");
        assert!(!both[1].stderr.contains("another key"), "{}", both[1].stderr);
    }
}

#[test]
fn every_token_comes_from_a_file_or_standard_input_as_well() {
    let token = mint(&[]);
    let file = File::new("token.txt", &format!("{token}\n"));
    for command in ["inspect", "verify", "explain"] {
        let clock: &[&str] = if command == "inspect" { &[] } else { &["--now", NOW] };
        for (args, input) in [
            (&[command, &token][..], ""),
            (&[command, "-"], &format!("{token}\n")),
            (&[command], &format!("{token}\r\n")),
            (&[command, "--token-file", file.path()], ""),
            (&[command, "--token-file", "-"], &token),
        ] {
            let run = run_with(&[args, clock].concat(), &ENV, input);
            assert_eq!(run.status, 0, "{args:?}: {}{}", run.stdout, run.stderr);
            assert!(run.stdout.contains("alice"), "{args:?}: {}", run.stdout);
        }
    }
    let both = run_with(&["verify", "--token-file", "-", "--secret-file", "-"], &[], &token);
    assert_eq!((both.status, both.stderr.contains("--token-file")), (2, true), "{}", both.stderr);
    let missing = run(&["explain", "--token-file", "/nowhere/token"]);
    assert_eq!((missing.status, missing.stderr.contains("/nowhere/token")), (2, true), "{}", missing.stderr);
}

#[test]
fn no_example_has_a_token_on_the_command_line() {
    for command in ["mint", "inspect", "verify", "explain"] {
        let help = run(&[command, "--help"]).stdout;
        assert!(!help.contains("$TOKEN"), "{help}");
    }
}

#[test]
fn help_has_an_example_for_each_command() {
    for command in ["mint", "inspect", "verify", "explain"] {
        let help = run(&[command, "--help"]);
        assert_eq!(help.status, 0);
        assert!(help.stdout.contains("Example:"), "{command}");
    }
}
