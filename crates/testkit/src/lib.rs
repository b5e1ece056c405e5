//! What tests need from the machine: PostgreSQL, folders, bare connections.
//!
//! Nothing here outlives the test process: a folder goes when its value is dropped, and the
//! PostgreSQL server ends with the process, however that ends. It must never be used by anything
//! but tests and benches.

mod database;
mod folder;
mod server;
mod wire;

pub use database::{database, fresh_database, or_skip};
pub use folder::{TempDir, temp_dir};
pub use server::{Server, Unavailable, postgres};
pub use wire::Wire;
