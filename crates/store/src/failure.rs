//! What can go wrong below the nouns: a failing statement, a full queue, a database that cannot
//! be opened.
//!
//! A failure is never a refusal: what a caller may not do is decided by the nouns, and said by
//! their own enums. No message here holds a parameter of a statement, so no secret and no message
//! body can reach a log through it.

use std::error::Error;
use std::path::PathBuf;

use thiserror::Error;

use crate::sql::Sql;

/// The cause of a failure, kept for whoever logs the chain.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a command or a query could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Too much is waiting already; trying again later may help.
    #[error("the store is busy: its queue is full")]
    Busy,
    /// The store was closed, or is closing.
    #[error("the store is closed")]
    Closed,
    /// The read, or a statement of the write, took longer than it may.
    #[error("the store gave up while {doing}: it took too long")]
    TimedOut {
        /// What was being attempted.
        doing: &'static str,
    },
    /// A unique index or another constraint said no. Commands ask first (`ON CONFLICT DO
    /// NOTHING`), so this is two commands that met, or a bug.
    #[error("a constraint of the database was violated while {doing}")]
    Conflict {
        /// What was being attempted.
        doing: &'static str,
        /// The database's own words.
        source: Cause,
    },
    /// A value in the database that cannot be understood.
    #[error("the value in {table}.{column} of row {row} cannot be understood")]
    Corrupt {
        /// The table it stands in.
        table: &'static str,
        /// The column it stands in.
        column: &'static str,
        /// The row, by its key.
        row: String,
    },
    /// The database, the disk or the network failed. Nothing was written.
    #[error("the database failed while {doing}")]
    Storage {
        /// What was being attempted.
        doing: &'static str,
        /// The database's own words.
        source: Cause,
    },
    /// The connection was lost in the middle of a commit, and whether it took place could not be
    /// found out: it may be there or not.
    #[error("it is unknown whether the change was written")]
    Unknown {
        /// Why it could not be found out.
        source: Cause,
    },
    /// A mistake in the program: an unexpected type, a panic, something awaited that is not `Tx`.
    #[error("a bug in the program: {0}")]
    Bug(String),
}

impl Failure {
    /// A value that cannot be understood, named by table, column and row.
    pub fn corrupt(table: &'static str, column: &'static str, row: impl Into<String>) -> Self {
        Self::Corrupt { table, column, row: row.into() }
    }

    pub(crate) fn storage(doing: &'static str, source: impl Into<Cause>) -> Self {
        Self::Storage { doing, source: source.into() }
    }

    /// Whether the same call may succeed when it is made again a little later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Busy | Self::TimedOut { .. })
    }
}

/// Why a store could not be opened. Each message is one sentence for the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process holds the lock of the data folder.
    #[error(
        "the data folder {} is in use by another running server; stop that one, or choose another folder",
        folder.display()
    )]
    Taken {
        /// The data folder.
        folder: PathBuf,
    },
    /// The data folder cannot be made, read or written.
    #[error("the data folder {} cannot be used: {source}", folder.display())]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// The database was written by a newer version.
    #[error(
        "the database holds migration {name}, which this version does not know; \
         run the version that made it, or restore a backup made before"
    )]
    Newer {
        /// The migration found in the database.
        name: String,
    },
    /// A migration that was applied has been changed since.
    #[error(
        "migration {name} is not the text that was applied to this database; \
         an applied migration never changes: undo the change, and add a new one"
    )]
    Changed {
        /// The changed migration.
        name: String,
    },
    /// The list of migrations given to the store is wrong.
    #[error("the list of migrations is wrong: {0}")]
    List(String),
    /// A migration failed; it was undone, and those before it stay.
    #[error("migration {name} failed: {source}")]
    Migration {
        /// The failing migration.
        name: String,
        /// The database's own words.
        source: Cause,
    },
    /// Rows of the database are in a migration's way; it was undone, and those before it stay.
    #[error("migration {name} was not applied, and nothing was changed: {row} {problem}")]
    Obstacle {
        /// The migration that did not work.
        name: String,
        /// The row that was found.
        row: String,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
    /// The address of the database cannot be understood.
    #[error("the address of the PostgreSQL database cannot be understood: {source}")]
    Address {
        /// What is wrong with it.
        source: Cause,
    },
    /// The database did not answer, or refused.
    #[error("the database cannot be opened, while {doing}: {source}")]
    Database {
        /// What was being attempted.
        doing: &'static str,
        /// The database's own words.
        source: Cause,
    },
}

impl OpenError {
    pub(crate) fn database(doing: &'static str, source: impl Into<Cause>) -> Self {
        Self::Database { doing, source: source.into() }
    }
}

/// What a database said about a statement, with the statement's first words.
///
/// Only the message is kept. PostgreSQL's detail quotes whole rows, and those must not reach a log.
#[derive(Debug, Error)]
#[error("{says} (in: {head})")]
pub(crate) struct InStatement {
    says: String,
    head: String,
}

impl InStatement {
    pub(crate) fn cause(sql: &Sql, says: impl ToString) -> Cause {
        Box::new(Self { says: says.to_string(), head: sql.head() })
    }
}
