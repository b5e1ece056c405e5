//! A lean client of the realtime protocol: connect, find and make conversations, send, receive.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tertulia_client::{Client, NewConversation};
//!
//! let ana = Client::connect("ws://127.0.0.1:8765/v3/wsconnect", "<an Access Token>").await?;
//! let sid = ana.create_conversation(&NewConversation::named("Friday")).await?;
//! ana.join(sid).await?;
//! ana.add(sid, "ben").await?;
//!
//! let mut friday = ana.conversation(sid).await?;
//! let index = friday.send("Who is in?").await?;
//! let message = friday.next_message().await?;
//! assert_eq!(message.index, index);
//! # Ok(()) }
//! ```
//!
//! It is for tests, load, bots and tools, many in one process: one task and a few kilobytes a
//! connection, and a message is read where it lies until somebody takes it. Every queue has a bound. A
//! reader that falls behind misses nothing: what did not fit is asked for again from the position that
//! the reader has reached ([`Subscription`]).
//!
//! The client must never tell a message twice, out of order or not at all, keep what nobody waits for,
//! or decide what a user may do: that is the server's. It does not reconnect: a connection that ends says
//! why ([`Disconnected`]), and [`Conversation::position`] is where another one goes on. It speaks `ws://`
//! only; `wss://` is for a proxy beside it.
//!
//! Read in this order: [`Client`], [`Conversation`], [`Subscription`]; then `connection.rs`, the task.

#![forbid(unsafe_code)]

mod client;
mod conversation;
mod subscription;
mod connection;
mod shared;
mod queue;
mod token;
mod error;

pub use client::{Client, MyConversation, NewConversation};
pub use conversation::{Conversation, Event, Facts, Message, Order, Page};
pub use error::{ConnectError, Disconnected, Error, Refusal};
pub use subscription::{Change, ChangeKind, ItemKey, Subscription};
pub use token::{TokenError, TokenProvider};

/// SIDs and the kinds of objects, as the protocol has them.
pub use tertulia_protocol::{Sid, sid, sync::ObjectType};
