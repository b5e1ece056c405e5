//! A database for one test alone.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::NoTls;

use crate::server::{Unavailable, postgres};

static MADE: AtomicU64 = AtomicU64::new(0);

/// The address of a fresh database, or `None` when this machine has no PostgreSQL. It says so
/// loudly, and in CI it fails: a test that is skipped there is a test nobody has.
#[must_use]
pub fn fresh_database(test: &str) -> Option<String> {
    or_skip(test, postgres()).map(|server| database(&server))
}

/// What was found, or `None` after saying loudly what is missing; in CI it fails.
pub fn or_skip<T>(test: &str, found: Result<T, Unavailable>) -> Option<T> {
    found.inspect_err(|unavailable| skip(test, unavailable)).ok()
}

/// Makes a fresh database on the server and gives its address. It may be called from inside and
/// outside a runtime.
///
/// # Panics
/// When the server refuses: no test can go on then.
#[must_use]
pub fn database(server: &str) -> String {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    // A server that outlives the process may know the process number already.
    let chance = RandomState::new().hash_one(number);
    let name = format!("test_{}_{chance:x}_{number}", std::process::id());
    let (address, made) = (server.to_owned(), format!("CREATE DATABASE {name}"));
    let making = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(run(&address, &made))
    });
    let made = making.join().expect("making a database does not panic");
    made.expect("the PostgreSQL server makes databases");
    with_database(server, &name)
}

async fn run(address: &str, text: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    let connection = tokio::spawn(connection);
    let done = client.batch_execute(text).await;
    connection.abort();
    done
}

/// The same address with another database.
fn with_database(server: &str, name: &str) -> String {
    let (address, options) = server.split_once('?').map_or((server, None), |(a, o)| (a, Some(o)));
    let after_scheme = address.find("://").map_or(0, |at| at + 3);
    let end = address[after_scheme..].find('/').map_or(address.len(), |at| after_scheme + at);
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    format!("{}/{name}{options}", &address[..end])
}

fn skip(test: &str, unavailable: &Unavailable) {
    let line = format!("SKIPPED: {test} needs PostgreSQL: install postgresql ({unavailable})");
    let in_ci = means_yes(&std::env::var("CI").unwrap_or_default());
    assert!(!in_ci, "in CI nothing is skipped. {line}");
    // Not the macro: the test harness would hide its line.
    let _ = writeln!(std::io::stderr(), "\n{line}\n");
}

/// What CI systems set `CI` to, and what people set it to who mean the opposite.
fn means_yes(ci: &str) -> bool {
    !matches!(ci, "" | "0" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_known_by_its_variable() {
        assert_eq!(["true", "1", "", "0", "false"].map(means_yes), [true, true, false, false, false]);
    }

    #[test]
    fn the_database_of_an_address_is_replaced() {
        let new = |address| with_database(address, "n");
        assert_eq!(new("postgres://a:b@h:1/old"), "postgres://a:b@h:1/n");
        assert_eq!(new("postgres://a@h"), "postgres://a@h/n");
        assert_eq!(new("postgres://a@h/old?x=/y"), "postgres://a@h/n?x=/y");
    }
}
