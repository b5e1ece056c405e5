//! The command line tool, run as people run it.

mod dev;
mod policy;
mod token;
