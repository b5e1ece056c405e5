//! All integration tests of the service, in one binary: it is linked once.
//!
//! `rest` mirrors the tree of URLs. A test is a story that a cast plays in a world of its own; what a
//! world is stands in `support`.

mod support;
mod permissions;
mod realtime;
mod rest;
mod schema;
mod docs;
mod jobs;
mod limits;
mod port;
