//! The store: one handle over whichever engine was opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::OpenError;
use crate::postgres::Postgres;
use crate::settings::{Engine, Settings};
use crate::sqlite::Sqlite;
use crate::tx::Command;

/// An open database. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Opened>,
    statements: Arc<AtomicU64>,
}

enum Opened {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let statements = Arc::clone(&settings.statements);
        let opened = match &settings.engine {
            Engine::Postgres { .. } => Opened::Postgres(Postgres::open(settings).await?),
            _ => Opened::Sqlite(Sqlite::open(settings).await?),
        };
        Ok(Self { engine: Arc::new(opened), statements })
    }

    /// Runs the command in a transaction and answers once it is durable.
    ///
    /// It runs to its end even if the caller goes away. An `Err` means that nothing was written,
    /// except [`Failure::Unknown`].
    pub async fn write<C: Command>(&self, command: C) -> Result<C::Out, C::Refusal> {
        match &*self.engine {
            Opened::Sqlite(sqlite) => sqlite.write(command).await,
            Opened::Postgres(postgres) => postgres.write(command).await,
        }
    }

    /// Answers a question from one snapshot, which holds every write answered before.
    pub async fn read<Q: Command>(&self, question: Q) -> Result<Q::Out, Q::Refusal> {
        match &*self.engine {
            Opened::Sqlite(sqlite) => sqlite.read(question).await,
            Opened::Postgres(postgres) => postgres.read(question).await,
        }
    }

    /// Takes no new work, finishes what waits, and lets the database go. A second call waits for
    /// the first.
    pub async fn close(&self) {
        match &*self.engine {
            Opened::Sqlite(sqlite) => sqlite.close().await,
            Opened::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Whether other nodes may use the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(&*self.engine, Opened::Postgres(_))
    }

    /// How many writes are waiting or running: for a gauge, and for deciding about load early.
    #[must_use]
    pub fn writes_waiting(&self) -> usize {
        match &*self.engine {
            Opened::Sqlite(sqlite) => sqlite.writes_waiting(),
            Opened::Postgres(postgres) => postgres.writes_waiting(),
        }
    }

    /// How many statements commands and questions have run since it was opened: for a gauge, and for whoever
    /// wants to know what something costs the database.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &*self.engine {
            Opened::Sqlite(_) => "Store(SQLite)",
            Opened::Postgres(_) => "Store(PostgreSQL)",
        })
    }
}
