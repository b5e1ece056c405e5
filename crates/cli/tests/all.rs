//! The command line tool, run as people run it.

mod dev;
mod chat;
mod token;
