//! The command line tool, run as people run it.

mod chat;
mod dev;
mod operate;
mod output;
mod policy;
mod refusals;
mod revoke;
mod rotate;
mod secrets;
mod serve;
mod together;
mod token;
