//! What tests need from the machine: PostgreSQL, folders.
//!
//! Nothing here outlives the test process: folders go when their value is dropped, and the
//! PostgreSQL server ends with the process, however that ends. It must never be used by anything
//! but tests and benches.

mod folder;

pub use folder::{TempDir, temp_dir};
