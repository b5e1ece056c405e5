//! The command line tool, run as people run it.

mod chat;
mod dev;
mod serve;
mod token;
