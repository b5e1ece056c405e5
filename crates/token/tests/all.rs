//! The tests of the crate, in one binary: it links once.

mod agreement;
mod chat;
mod dependencies;
mod explain;
mod explain_hints;
mod explain_texts;
mod mint;
mod properties;
mod vectors;
mod world;
