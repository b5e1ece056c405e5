//! Opening a database: whose it is, how its schema comes up to date, and what is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tertulia_store::{Engine, Migration, Obstacle, OpenError, Settings, Silence, Sql, Store};
use tokio::task::JoinSet;

use crate::support::{Refused, command};

const FIRST: Migration = Migration {
    number: 1,
    name: "first",
    sqlite: "CREATE TABLE one (n INTEGER NOT NULL) STRICT; INSERT INTO one VALUES (1);",
    postgres: "CREATE TABLE one (n BIGINT NOT NULL); INSERT INTO one VALUES (1);",
    obstacles: &[],
};
const SECOND: Migration = Migration {
    number: 2,
    name: "second",
    sqlite: "INSERT INTO one VALUES (2);",
    postgres: "INSERT INTO one VALUES (2);",
    obstacles: &[],
};
/// It fails in its second statement; the first must be undone.
const BROKEN: Migration = Migration {
    number: 2,
    name: "broken",
    sqlite: "INSERT INTO one VALUES (3); INSERT INTO nowhere VALUES (1);",
    postgres: "INSERT INTO one VALUES (3); INSERT INTO nowhere VALUES (1);",
    obstacles: &[],
};
/// It makes unique what is there twice.
const UNIQUE: Migration = Migration {
    number: 3,
    name: "unique",
    sqlite: "INSERT INTO one VALUES (2); CREATE UNIQUE INDEX one_n ON one (n);",
    postgres: "INSERT INTO one VALUES (2); CREATE UNIQUE INDEX one_n ON one (n);",
    obstacles: &[
        Obstacle { find: "SELECT CAST(n AS TEXT) FROM one WHERE n = 9", problem: "is nine" },
        Obstacle {
            find: "SELECT CAST(n AS TEXT) FROM one GROUP BY n HAVING COUNT(*) > 1",
            problem: "is there twice; delete one of them",
        },
    ],
};
const TWICE: Migration =
    Migration { sqlite: "INSERT INTO one VALUES (1);", postgres: "INSERT INTO one VALUES (1);", ..SECOND };
const CHANGED: Migration = Migration { sqlite: "SELECT 1;", postgres: "SELECT 1;", ..FIRST };

/// Where each test has its database: a folder or an address.
enum Place {
    Folder(testkit::TempDir),
    Address(String),
}

impl Place {
    fn folder() -> Option<Self> {
        Some(Self::Folder(testkit::temp_dir()))
    }

    fn postgres(test: &str) -> Option<Self> {
        testkit::fresh_database(test).map(Self::Address)
    }

    async fn open(&self, migrations: &'static [Migration]) -> Result<Store, OpenError> {
        let engine = match self {
            Self::Folder(folder) => Engine::Sqlite { folder: folder.path().to_owned() },
            Self::Address(url) => Engine::Postgres { url: url.clone() },
        };
        open(engine, migrations).await
    }
}

async fn open(engine: Engine, migrations: &'static [Migration]) -> Result<Store, OpenError> {
    Store::open(Settings::new(engine, migrations, Arc::new(Silence), 7)).await
}

async fn numbers(store: &Store) -> Vec<i64> {
    static ALL: Sql = Sql::new("SELECT n FROM one ORDER BY n");
    ask(store, &ALL).await
}

async fn ask(store: &Store, sql: &'static Sql) -> Vec<i64> {
    let asked = command(move |tx| {
        Box::pin(async move {
            let rows = tx.query(sql, &[]).await?;
            rows.iter().map(|row| row.get(0).map_err(Refused::from)).collect()
        })
    });
    store.read(asked).await.unwrap()
}

macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Place::folder()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Place::postgres(stringify!($test))).await;
            })*
        }
    };
}

on_both_engines!(
    what_is_missing_is_applied_once,
    a_failing_migration_is_undone_and_named,
    rows_that_are_in_a_migrations_way_are_named_in_one_sentence,
    a_changed_migration_is_refused_by_name,
    a_newer_database_is_refused_by_name,
);

async fn what_is_missing_is_applied_once(place: Option<Place>) {
    static APPLIED: Sql = Sql::new("SELECT applied_at FROM schema_migration ORDER BY number");
    let Some(place) = place else { return };
    let store = place.open(&[FIRST]).await.unwrap();
    assert_eq!(numbers(&store).await, [1]);
    store.close().await;
    for _ in 0..2 {
        let store = place.open(&[FIRST, SECOND]).await.unwrap();
        assert_eq!(numbers(&store).await, [1, 2]);
        assert_eq!(ask(&store, &APPLIED).await, [7, 7]);
        store.close().await;
    }
}

async fn a_failing_migration_is_undone_and_named(place: Option<Place>) {
    let Some(place) = place else { return };
    let error = place.open(&[FIRST, BROKEN]).await.unwrap_err();
    assert!(matches!(&error, OpenError::Migration { name, .. } if name == "0002_broken.sql"), "{error}");
    let store = place.open(&[FIRST, SECOND]).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 2]);
    store.close().await;
}

async fn rows_that_are_in_a_migrations_way_are_named_in_one_sentence(place: Option<Place>) {
    let Some(place) = place else { return };
    let error = place.open(&[FIRST, TWICE, UNIQUE]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 0003_unique.sql was not applied, and nothing was changed: 1 is there twice; delete one of them"
    );
    let store = place.open(&[FIRST, TWICE]).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 1]);
    store.close().await;
}

async fn a_changed_migration_is_refused_by_name(place: Option<Place>) {
    let Some(place) = place else { return };
    place.open(&[FIRST]).await.unwrap().close().await;
    let error = place.open(&[CHANGED]).await.unwrap_err();
    assert!(error.to_string().starts_with("migration 0001_first.sql is not the text"), "{error}");
}

async fn a_newer_database_is_refused_by_name(place: Option<Place>) {
    let Some(place) = place else { return };
    place.open(&[FIRST, SECOND]).await.unwrap().close().await;
    let error = place.open(&[FIRST]).await.unwrap_err();
    assert!(error.to_string().contains("0002_second.sql, which this version does not know"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_migrate_once() {
    let Some(place) = Place::postgres("nodes_that_start_at_once_migrate_once") else {
        return;
    };
    let place = Arc::new(place);
    let mut nodes = JoinSet::new();
    for _ in 0..6 {
        let place = Arc::clone(&place);
        nodes.spawn(async move { place.open(&[FIRST, SECOND]).await });
    }
    for store in nodes.join_all().await {
        assert_eq!(numbers(&store.unwrap()).await, [1, 2]);
    }
}

#[tokio::test]
async fn a_folder_has_one_user() {
    let place = Place::folder().unwrap();
    let store = place.open(&[FIRST]).await.unwrap();
    let error = place.open(&[FIRST]).await.unwrap_err();
    assert!(matches!(error, OpenError::Taken { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("is in use by another running server"), "{said}");
    store.close().await;
    place.open(&[FIRST]).await.unwrap().close().await;
}

#[tokio::test]
async fn a_dropped_store_lets_its_folder_go() {
    let place = Place::folder().unwrap();
    drop(place.open(&[FIRST]).await.unwrap());
    // Its writer needs a moment, and nothing tells when it is over.
    loop {
        match place.open(&[FIRST]).await {
            Ok(store) => break store.close().await,
            Err(OpenError::Taken { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_one_sentence() {
    let place = testkit::temp_dir();
    std::fs::write(place.join("file"), "").unwrap();
    let folder = place.join("file").join("below");
    let error = open(Engine::Sqlite { folder: folder.clone() }, &[FIRST]).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("the data folder {} cannot be used", folder.display())), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let place = testkit::temp_dir();
    let file = place.join("tertulia.db");
    let letter = "Dear reader, this is a letter and no database. ".repeat(100);
    std::fs::write(&file, &letter).unwrap();
    let engine = Engine::Sqlite { folder: place.path().to_owned() };
    let error = open(engine, &[FIRST]).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), letter);
}

#[tokio::test]
async fn closing_leaves_one_file_and_the_lock() {
    let place = testkit::temp_dir();
    let engine = Engine::Sqlite { folder: place.path().to_owned() };
    open(engine, &[FIRST]).await.unwrap().close().await;
    assert_eq!(files(place.path()), ["tertulia.db", "tertulia.lock"]);
}

#[tokio::test]
async fn a_database_in_memory_leaves_nothing_behind() {
    let ours = format!("tertulia-memory-{}-", std::process::id());
    let left = || files(&std::env::temp_dir()).into_iter().filter(|name| name.starts_with(&ours)).count();
    // One that was killed long ago, and one that is starting at this moment.
    let (old, fresh) = (temporary(60 * 60), temporary(0));
    let store = open(Engine::SqliteMemory, &[FIRST]).await.unwrap();
    assert_eq!(left(), 1);
    assert_eq!(numbers(&store).await, [1]);
    store.close().await;
    assert_eq!(left(), 0);
    assert!(!old.exists() && fresh.exists());
    std::fs::remove_dir_all(fresh).unwrap();
}

/// A folder like that of a database in memory, whose lock nobody holds.
fn temporary(seconds_old: u64) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tertulia-memory-test-{}-{seconds_old}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let lock = std::fs::File::create(folder.join("tertulia.lock")).unwrap();
    let made = lock.metadata().unwrap().modified().unwrap();
    lock.set_modified(made - Duration::from_secs(seconds_old)).unwrap();
    folder
}

#[tokio::test]
async fn nobody_at_the_address_is_said_without_the_password() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://me:hush@{free}/nowhere");
    let error = open(Engine::Postgres { url }, &[FIRST]).await.unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
}

fn files(folder: &Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        found.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
