//! How a store is opened: which engine, which migrations, who hears the news, and every bound.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::migrate::Migration;
use crate::news::Publish;

/// Which database.
#[derive(Clone)]
pub enum Engine {
    /// One file, `tertulia.db`, in a folder that one process at a time may use.
    Sqlite {
        /// The data folder; made if it is not there.
        folder: PathBuf,
    },
    /// A database that is gone when the store is closed: a file in a temporary folder, written
    /// without waiting for the disk.
    SqliteMemory,
    /// A PostgreSQL server, which many nodes may share.
    Postgres {
        /// `postgres://user:password@host:port/database`.
        url: String,
    },
}

/// Everything a store needs to be opened. Start from [`Settings::new`].
#[derive(Clone)]
pub struct Settings {
    /// Which database.
    pub engine: Engine,
    /// Every migration there is, in ascending order.
    pub migrations: &'static [Migration],
    /// Who hears the news after each commit.
    pub publish: Arc<dyn Publish>,
    /// The time, noted beside migrations that are applied now.
    pub now_micros: i64,
    /// How many writes may wait; one more is answered with `Busy`.
    pub writes_waiting_max: usize,
    /// How many reads may wait; one more is answered with `Busy`.
    pub reads_waiting_max: usize,
    /// How long a read may wait and run.
    pub read_time_max: Duration,
    /// SQLite: how many commands may share one commit.
    pub group_commands_max: usize,
    /// SQLite: threads that read.
    pub read_threads: usize,
    /// SQLite: the write-ahead log is copied into the file from this many pages on.
    pub checkpoint_pages: u32,
    /// PostgreSQL: connections for writing.
    pub write_connections: usize,
    /// PostgreSQL: connections for reading.
    pub read_connections: usize,
    /// PostgreSQL: for how long a write is tried again when another transaction is in the way or
    /// the connection is lost.
    pub write_patience: Duration,
    /// What happens when the outcome of a commit on SQLite is unknown (a failed fsync above all):
    /// nothing may be read or written after that, so the default says so and ends the process. A
    /// function that returns leaves a closed store behind; tests use that.
    pub on_fatal: Arc<dyn Fn(&str) + Send + Sync>,
    /// Statements that were run; every connection counts here.
    pub(crate) statements: Arc<AtomicU64>,
    /// For tests of this crate, see there.
    #[doc(hidden)]
    pub sqlite_knobs: SqliteKnobs,
}

/// Knobs no operator should turn. They exist because a test of durability must be able to pull the
/// plug (a file system of its own), to fill the disk (a cap on pages), and to show that without
/// waiting for the disk it really fails.
#[derive(Clone, Debug)]
pub struct SqliteKnobs {
    /// The name of a registered VFS, instead of the operating system's.
    pub vfs: Option<&'static str>,
    /// Whether a commit waits for the disk.
    pub synchronous: Synchronous,
    /// A cap on the size of the database.
    pub pages_max: Option<u32>,
}

/// Whether a commit on SQLite waits until it is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Synchronous {
    /// It does: an acknowledged write survives a power cut.
    Full,
    /// It does not: for databases that nobody will miss.
    Off,
}

impl Settings {
    /// The default bounds.
    #[must_use]
    pub fn new(engine: Engine, migrations: &'static [Migration], publish: Arc<dyn Publish>, now_micros: i64) -> Self {
        let synchronous = match engine {
            Engine::SqliteMemory => Synchronous::Off,
            _ => Synchronous::Full,
        };
        Self {
            engine,
            migrations,
            publish,
            now_micros,
            writes_waiting_max: 4096,
            reads_waiting_max: 4096,
            read_time_max: Duration::from_secs(5),
            group_commands_max: 256,
            read_threads: 4,
            checkpoint_pages: 1000,
            write_connections: 8,
            read_connections: 8,
            write_patience: Duration::from_secs(10),
            on_fatal: Arc::new(end_the_process),
            statements: Arc::default(),
            sqlite_knobs: SqliteKnobs { vfs: None, synchronous, pages_max: None },
        }
    }
}

fn end_the_process(why: &str) {
    use std::io::Write as _;
    tracing::error!("{why}");
    // The log may be buffered, and abort flushes nothing.
    let _ = writeln!(std::io::stderr(), "{why}");
    std::process::abort();
}
