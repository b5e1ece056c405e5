//! The database door: one SQL text, two engines.
//!
//! A [`Command`] is a value; [`Store::write`] runs it in a transaction, commits, tells the news,
//! and only then answers; [`Store::read`] answers a question from one snapshot. On SQLite every
//! write shares its commit with the others that wait (group commit); on PostgreSQL every write has
//! a task, a connection and a transaction of its own.
//!
//! What this crate must never do: know a noun or a table other than its own bookkeeping, answer
//! a write before it is durable, tell news of what was not committed, decide what a caller may do.
//!
//! Read next: [`tx`](Tx) for what a command sees, `sqlite/writer.rs` for the group commit,
//! `postgres/write.rs` for retries, and `docs/storage.md` for the whole.

mod tx;
mod sql;
mod row;
mod news;
mod failure;
mod settings;
mod store;
mod migrate;
mod task;
mod deadline;
mod sqlite;
mod postgres;
pub mod seal;

pub use failure::{Cause, Failure, OpenError};
pub use migrate::{Migration, Obstacle};
pub use news::{News, Publish, Silence, StreamId};
pub use row::{Cell, Column, Row};
pub use settings::{Engine, Settings, SqliteKnobs, Synchronous};
pub use sql::{P, Sql};
pub use store::Store;
pub use tx::{Command, Tx};
