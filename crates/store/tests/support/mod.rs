//! What the tests share: a small schema, a bench with an open store on it, and commands.

mod commands;
mod heard;
mod seed;

use std::sync::Arc;

use tertulia_store::{Engine, Migration, Settings, Store};
use testkit::TempDir;

pub(crate) use self::commands::*;
pub(crate) use self::heard::{Heard, assert_whole};
pub(crate) use self::seed::seed;

/// Rooms with a counter each, messages in them, and one row of every type.
pub(crate) static MIGRATIONS: [Migration; 1] = [Migration {
    number: 1,
    name: "first",
    sqlite: "
        CREATE TABLE room (id INTEGER PRIMARY KEY, last_index INTEGER NOT NULL) STRICT;
        CREATE TABLE message (room INTEGER NOT NULL REFERENCES room, idx INTEGER NOT NULL,
            sid TEXT NOT NULL UNIQUE, body TEXT NOT NULL, PRIMARY KEY (room, idx)) STRICT;
        CREATE TABLE thing (id INTEGER PRIMARY KEY, number INTEGER, words TEXT, bits BLOB) STRICT;",
    postgres: "
        CREATE TABLE room (id BIGINT PRIMARY KEY, last_index BIGINT NOT NULL);
        CREATE TABLE message (room BIGINT NOT NULL REFERENCES room, idx BIGINT NOT NULL,
            sid TEXT NOT NULL UNIQUE, body TEXT NOT NULL, PRIMARY KEY (room, idx));
        CREATE TABLE thing (id BIGINT PRIMARY KEY, number BIGINT, words TEXT, bits BYTEA);",
    obstacles: &[],
}];

/// An open store, who hears its news, and what must outlive it.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) heard: Arc<Heard>,
    pub(crate) settings: Settings,
    pub(crate) folder: Option<TempDir>,
}

impl Bench {
    pub(crate) async fn sqlite() -> Self {
        Self::sqlite_with(|_| ()).await
    }

    pub(crate) async fn sqlite_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::sqlite_in(testkit::temp_dir(), change).await
    }

    pub(crate) async fn sqlite_in(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let engine = Engine::Sqlite { folder: folder.path().to_owned() };
        Self::open(engine, Some(folder), change).await
    }

    /// `None` when this machine has no PostgreSQL.
    pub(crate) async fn postgres(test: &str) -> Option<Self> {
        Self::postgres_with(test, |_| ()).await
    }

    pub(crate) async fn postgres_with(test: &str, change: impl FnOnce(&mut Settings)) -> Option<Self> {
        let url = testkit::fresh_database(test)?;
        Some(Self::open(Engine::Postgres { url }, None, change).await)
    }

    pub(crate) async fn open(engine: Engine, folder: Option<TempDir>, change: impl FnOnce(&mut Settings)) -> Self {
        let heard = Arc::new(Heard::default());
        let publish = Arc::clone(&heard);
        let mut settings = Settings::new(engine, &MIGRATIONS, publish, 1_700_000_000_000_000);
        change(&mut settings);
        Self { store: Store::open(settings.clone()).await.expect("the store opens"), heard, settings, folder }
    }

    /// Every message of the room in order: index and SID.
    pub(crate) async fn messages(&self, room: i64) -> Vec<(i64, String)> {
        self.store.read(Messages { room }).await.expect("messages can be read")
    }
}
