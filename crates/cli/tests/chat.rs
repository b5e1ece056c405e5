//! `tertulia chat`, as people and scripts run it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use testkit::temp_dir;

use crate::dev::{Running, data, fails, tertulia};
use crate::operate::certificate;

/// Somebody who chats, and what is printed, a JSON object at a time.
struct Person {
    child: Child,
    events: mpsc::Receiver<Value>,
}

impl Person {
    fn enter(data: &str, args: &[&str]) -> Self {
        let person = Self::begin(data, args);
        assert_eq!(person.next()["event"], "open");
        person
    }

    fn begin(data: &str, args: &[&str]) -> Self {
        let mut command = tertulia(&["chat", "-o", "json", "--data", data]);
        let mut child = command.args(args).stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // Nobody may wait for more.
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Self { child, events }
    }

    fn next(&self) -> Value {
        self.events.recv_timeout(Duration::from_secs(60)).expect("something happens within a minute")
    }

    /// The next event of this kind.
    fn until(&self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == kind {
                return event;
            }
        }
    }

    fn typed(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_acknowledged_arrives_once_though_the_server_is_killed() {
    let folder = temp_dir();
    let data = data(&folder);
    let server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let port = server.value("REST").rsplit(':').next().unwrap().to_owned();
    let mut alice = Person::enter(&data, &["--as", "alice", "room", "--invite", "bob"]);
    let bob = Person::enter(&data, &["--as", "bob", "room", "--listen"]);
    let (mut server, mut acknowledged, mut unknown) = (Some(server), BTreeMap::new(), 0);
    for number in 0..60 {
        writeln!(alice.typed(), "line {number}").unwrap();
        if number % 20 == 15 {
            // Without waiting for the answer.
            let killed = server.take().unwrap();
            killed.signal(9);
            drop(killed);
            server = Some(Running::start(&["dev", "--data", &data, "--port", &port]));
        }
        let outcome = loop {
            let event = alice.next();
            if ["sent", "failed"].contains(&event["event"].as_str().unwrap()) {
                break event;
            }
        };
        if outcome["event"] == "sent" {
            acknowledged.insert(outcome["index"].as_i64().unwrap(), format!("line {number}"));
        } else {
            assert_eq!(outcome["outcome_unknown"], true, "{outcome}");
            unknown += 1;
        }
    }
    assert_eq!(acknowledged.len() + unknown, 60);
    let last = *acknowledged.keys().last().unwrap();
    for expected in 0..=last {
        let message = bob.until("message");
        assert_eq!(message["index"], expected, "every message once and in order");
        let body = message["body"].as_str().unwrap();
        assert!(acknowledged.remove(&expected).is_none_or(|sent| sent == body), "{message}");
    }
    assert_eq!(acknowledged, BTreeMap::new());
    // The end of the input is a good end.
    drop(alice.child.stdin.take());
    assert!(alice.child.wait().unwrap().success());
}

#[test]
fn what_was_committed_and_told_by_nobody_arrives_once_after_the_next_start() {
    let folder = temp_dir();
    let data = data(&folder);
    let server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let port = server.value("REST").rsplit(':').next().unwrap().to_owned();
    let mut alice = Person::enter(&data, &["--as", "alice", "room", "--invite", "bob"]);
    let bob = Person::enter(&data, &["--as", "bob", "room", "--listen"]);
    let mut server = Some(server);
    for round in 0..3 {
        let fault = tertulia(&["fault", "add", "stop", "--stream", "talk", "--data", &data]).output().unwrap();
        assert!(fault.status.success(), "{}", String::from_utf8_lossy(&fault.stderr));
        writeln!(alice.typed(), "round {round}").unwrap();
        let failed = alice.until("failed");
        assert_eq!(failed["outcome_unknown"], true, "it is kept, and she cannot know: {failed}");
        drop(server.take());
        server = Some(Running::start(&["dev", "--data", &data, "--port", &port]));
        for person in [&alice, &bob] {
            let message = person.until("message");
            assert_eq!((&message["index"], &message["body"]), (&round.into(), &format!("round {round}").into()));
        }
    }
}

#[test]
fn a_chat_is_encrypted_where_the_server_is() {
    let folder = temp_dir();
    let data = data(&folder);
    let (certificate_file, key) = certificate(folder.path());
    let tls = [("TERTULIA__TLS__CERTIFICATE", certificate_file.as_str()), ("TERTULIA__TLS__KEY", &key)];
    let server = Running::of(tertulia(&["dev", "--data", &data, "--port", "0"]).envs(tls));
    let uri = server.value("REST").replace("https://127.0.0.1", "wss://localhost") + "/v3/wsconnect";
    // Beside the server its certificate is known; from elsewhere somebody has to vouch for it.
    let mut alice = Person::enter(&data, &["--as", "alice", "room", "--invite", "bob"]);
    let bob = Person::enter(&data, &["--as", "bob", "room", "--listen", "--uri", &uri, "--ca", &certificate_file]);
    writeln!(alice.typed(), "a secret").unwrap();
    assert_eq!(bob.until("message")["body"], "a secret");
    let (_, sentence) = fails(&mut tertulia(&["chat", "--data", &data, "--uri", &uri, "--send", "to whom?"]));
    assert!(sentence.contains("certificate") && sentence.contains("--ca FILE"), "{sentence}");
}

#[test]
fn people_read_what_was_said_and_leave_with_the_end_of_the_input() {
    let folder = temp_dir();
    let data = data(&folder);
    let _server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let chat = |args: &[&str], input: &str| {
        let mut command = tertulia(&["chat", "--data", &data]);
        let mut child = command.args(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{errors}");
        (out, errors)
    };
    assert_eq!(chat(&["room", "--send", "Hi \u{1b}[2Jthere"], "").0, "");
    assert!(chat(&["room", "--history", "0"], "/add carol\n/add bob\n").1.contains("carol is in\n"));
    let (out, errors) = chat(&["--as", "bob", "room"], "hello\n\n//me\n/who\n/add dora\n/what\n");
    assert_eq!(out, "[0] alice: Hi \u{fffd}[2Jthere\n[1] bob: hello\n[2] bob: /me\n");
    for part in
        ["bob is in room (CH", "here: alice, bob, carol\n", "/add dora: refused with 403", "/what is no command"]
    {
        assert!(errors.contains(part), "{part} {errors}");
    }
    // The history is as long as one wants.
    assert_eq!(chat(&["--as", "carol", "room", "--history", "1"], "/quit\nunsent\n").0, "[2] bob: /me\n");
    assert_eq!(chat(&["--as", "carol"], "").0, "", "without a name it is another conversation");
}

#[test]
fn an_outsider_waits_to_be_added_and_a_script_is_told_how() {
    let folder = temp_dir();
    let data = data(&folder);
    let _server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let mut alice = Person::enter(&data, &["--as", "alice", "room"]);
    let (_, sentence) = fails(&mut tertulia(&["chat", "--data", &data, "--as", "bob", "room", "--send", "Hi"]));
    assert!(sentence.contains("bob is not in the conversation room") && sentence.contains("/add bob"), "{sentence}");
    let mut bob = Person::begin(&data, &["--as", "bob", "room"]);
    assert_eq!(bob.next()["event"], "waiting");
    writeln!(alice.typed(), "/add bob").unwrap();
    assert_eq!(bob.until("open")["identity"], "bob");
    writeln!(bob.typed(), "thanks").unwrap();
    assert_eq!(alice.until("message")["body"], "thanks");
}

#[test]
fn who_is_stuck_is_told_what_to_do() {
    let folder = temp_dir();
    let data = data(&folder);
    let chat = |args: &[&str]| {
        let mut command = tertulia(&["chat", "--data", &data]);
        command.args(args);
        command
    };
    let (status, sentence) = fails(&mut chat(&[]));
    assert!(status == 2 && sentence.contains("tertulia dev"), "{sentence}");
    let (_, sentence) = fails(&mut chat(&["--uri", "ws://127.0.0.1:9/v3/wsconnect"]));
    assert!(sentence.contains("--token"), "{sentence}");
    let (_, sentence) = fails(&mut chat(&["--uri", "ws://127.0.0.1:9/v3/wsconnect", "--token", "any"]));
    assert!(sentence.contains("cannot be reached") && sentence.contains("is the server running?"), "{sentence}");

    let server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let (_, sentence) = fails(&mut chat(&["CH00000000000000000000000000000001"]));
    assert!(sentence.contains("there is no conversation"), "{sentence}");
    let (_, sentence) = fails(chat(&[]).env("TERTULIA_TOKEN", "nonsense"));
    assert!(sentence.contains("20101") && sentence.contains("token explain"), "{sentence}");
    let (_, sentence) = fails(&mut chat(&["--as", ""]));
    assert!(sentence.contains("--as"), "{sentence}");
    // A token is enough, wherever it comes from.
    let mut with_token = tertulia(&["chat", "room", "--send", "Hi", "--uri", server.value("Realtime")]);
    assert!(with_token.env("TERTULIA_TOKEN", server.value("bob")).status().unwrap().success());
}

/// A token comes from a file, or from the first line of the input, whose other lines are messages.
#[test]
fn a_token_is_no_argument_and_no_message() {
    let folder = temp_dir();
    let data = data(&folder);
    let server = Running::start(&["dev", "--data", &data, "--port", "0"]);
    let token = server.value("alice").to_owned();
    let uri = server.value("REST").replace("http", "ws") + "/v3/wsconnect";
    let file = folder.path().join("token.txt");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let chat = |args: &[&str], input: &str| {
        let mut command = tertulia(&["chat", "--uri", &uri, "room"]);
        let mut child = command.args(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let by_file = ["--token-file", file.to_str().unwrap()];
    chat(&by_file, "from a file\n");
    chat(&["--token", "-"], &format!("{token}\nfrom the input\n"));
    chat(&["--token-file", "-"], &format!("{token}\r\nfrom the input, too\n"));
    let read = chat(&[&by_file[..], &["--history", "50"]].concat(), "");
    assert_eq!(read, "[0] alice: from a file\n[1] alice: from the input\n[2] alice: from the input, too\n");
}
