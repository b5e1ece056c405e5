//! The tests of the crate, in one binary: it links once.

mod chat;
mod dependencies;
mod explain;
mod mint;
mod properties;
mod vectors;
mod world;
