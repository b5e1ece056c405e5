//! The contract of Tertulia's wire: SIDs, codes, times, realtime packets, Sync shapes, REST bodies
//! and page cursors.
//!
//! This crate compiles alone and is fuzzed alone. It must never do IO, read a clock or draw a random
//! number, and it decides nothing: which message may be sent is the server's business, how a message
//! looks on the wire is decided here. The wire has older words for some things (channel, member,
//! consumption); they are translated here and appear nowhere else.
//!
//! Read in this order: [`sid`] and [`code`], which everything uses; [`packet`] and [`realtime`], what
//! travels on the websocket; [`sync`], the objects a client subscribes to; [`form`], [`rest`] and
//! [`sdk`], the bodies of requests and answers; [`client`], the same wire from the client's side.

pub mod client;
pub mod code;
pub mod cursor;
pub mod form;
pub mod packet;
pub mod realtime;
pub mod rest;
pub mod sdk;
pub mod sid;
pub mod sync;
pub mod time;

pub use code::Code;
pub use cursor::Cursor;
pub use sid::{Sid, SidError};
pub use time::Timestamp;
