//! The command line tool, run as people run it.

mod chat;
mod dev;
mod policy;
mod serve;
mod token;
