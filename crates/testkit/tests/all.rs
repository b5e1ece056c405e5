//! The server that tests get ends with them, however they end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set for the process that is killed.
const CHILD: &str = "TERTULIA_TESTKIT_CHILD";

/// Not a test of its own: the body of the process that is killed.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let server = testkit::Server::start().expect("a server");
    let line = format!("\nserver {}\n", server.url());
    std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
    // Killed here.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn the_server_of_a_killed_process_ends_and_leaves_nothing() {
    let test = "the_server_of_a_killed_process_ends_and_leaves_nothing";
    // The outer one only tells whether this machine can start one at all.
    let Some(own) = testkit::or_skip(test, testkit::Server::start()) else {
        return;
    };
    drop(own);
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary starts again");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let server = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("server ").map(str::to_owned));
    let server = server.expect("the child has a server");
    let address = server.trim_start_matches("postgres://postgres@").trim_end_matches("/postgres");
    let port = address.rsplit(':').next().expect("a port");
    let folder = std::env::temp_dir().join(format!("tertulia-pg-{}-{port}", child.id()));
    assert!(folder.is_dir());

    let mut connected = TcpStream::connect(address).expect("the server listens");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    // The server ends this connection, by a word or without one, when it ends itself.
    let _ = connected.read_to_end(&mut Vec::new());
    wait_until_gone(&folder);
    assert!(TcpStream::connect(address).is_err(), "the server is gone");
}

/// The folder is removed last; nothing else tells of it.
fn wait_until_gone(folder: &Path) {
    while folder.exists() {
        std::thread::yield_now();
    }
}

#[test]
fn a_folder_is_fresh_and_goes() {
    let (one, other) = (testkit::temp_dir(), testkit::temp_dir());
    assert_ne!(one.path(), other.path());
    std::fs::write(one.join("file"), "text").expect("it can be written");
    let path = one.path().to_owned();
    drop(one);
    assert!(!path.exists());
}

#[test]
fn databases_are_fresh() {
    let Some(one) = testkit::fresh_database("databases_are_fresh") else {
        return;
    };
    let other = testkit::fresh_database("databases_are_fresh").expect("the same server");
    assert_ne!(one, other);
}
