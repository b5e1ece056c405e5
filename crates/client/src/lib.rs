//! A lean client of the realtime protocol: connect, find and make conversations, send, receive.
//!
//! ```
//! use tertulia_client::{Client, NewConversation};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # use tertulia_server::{App, Options, Server, dev, platform, seal, store};
//! # let mut config = platform::Config::defaults();
//! # config.http.listen.set_port(0);
//! # let credentials = dev::DevCredentials::fixed();
//! # let clock = platform::Clock::system();
//! # let token = credentials.mint("ana", clock.machine().seconds())?;
//! # let seal_keys = vec![seal::SealKey::new([7; 32])];
//! # let engine = store::Engine::SqliteMemory;
//! # let (dev, record) = (Some(credentials), None);
//! # let options = Options { engine, clock, seal_keys, seal_file: None, operator: None, dev, record };
//! # let server = Server::start(App::open(config, options).await?).await?;
//! # let uri = format!("ws://{}/v3/wsconnect", server.address());
//! // let (uri, token) = ("ws://127.0.0.1:8765/v3/wsconnect", "<an Access Token>");
//! let ana = Client::connect(&uri, token).await?;
//! let sid = ana.create_conversation(&NewConversation::named("Friday")).await?;
//! ana.join(sid).await?;
//! ana.add(sid, "ben").await?;
//!
//! let mut friday = ana.conversation(sid).await?;
//! let index = friday.send("Who is in?").await?;
//! let message = friday.next_message().await?;
//! assert_eq!((message.index, message.body.as_deref()), (index, Some("Who is in?")));
//! ana.close().await;
//! # server.stop().await;
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! It is for tests, load, bots and tools, many in one process: one task and a few kilobytes a client, and
//! a message is read where it lies until somebody takes it. Every queue has a bound. A reader that falls
//! behind misses nothing: what did not fit is asked for again from the position that the reader has reached.
//!
//! **Cuts.** A client that was in comes back by itself, whatever ended its connection, until it is closed or
//! its token is refused for good ([`Disconnected`]). Subscriptions and conversations go on as if nothing had
//! happened: what was missed comes first, each change once and in order. Calls that only read are repeated;
//! a change that was on its way fails with [`Error::Cut`], since it may have been made or not, and the
//! protocol has no way to ask ([`Error::is_outcome_unknown`]). A message that is sent again after that may
//! be there twice; whoever minds looks first whether it is in the conversation, for example by a mark of its
//! own in the attributes. [`Client::connection_states`] tells of cuts, for those who want to know.
//!
//! The client must never tell a message twice, out of order or not at all, keep what nobody waits for, or
//! decide what a user may do: that is the server's.
//!
//! **TLS.** At a `wss://` address the authorities that the operating system trusts vouch for the server, or
//! those of [`Options::tls`]. That is the feature `tls`, on by default; without it such an address is refused
//! with [`ConnectError::Tls`].
//!
//! Read in this order: [`Client`], [`Conversation`], [`Subscription`]; then [`core`], the client without a
//! socket, and `driver.rs`, the task that drives it.

#![forbid(unsafe_code)]

mod client;
mod conversations;
mod conversation;
mod message;
mod participant;
mod mine;
mod user;
mod typing;
mod subscription;
mod change;
mod state;
mod options;
mod backoff;
mod token;
mod error;
pub mod core;
mod tls;
mod driver;
mod link;

/// For [`Options::tls`].
#[cfg(feature = "tls")]
pub use rustls;

pub use backoff::Backoff;
pub use change::{Change, ChangeKind, ItemKey};
pub use client::Client;
pub use conversation::{Conversation, Event, Facts};
pub use conversations::{ConversationChange, NewConversation};
pub use error::{ConnectError, Disconnected, Error, Refusal};
pub use message::{Message, NewMessage, Order, Page};
pub use mine::{MyConversation, MyEvent, MyEvents};
pub use options::Options;
pub use participant::{Participant, Roster, RosterEvent};
pub use state::{ConnectionState, ConnectionStates};
pub use subscription::Subscription;
pub use token::{TokenError, TokenProvider};
pub use typing::{Typing, TypingEvents};
pub use user::{User, UserChange};

/// SIDs and the kinds of objects, as the protocol has them.
pub use tertulia_protocol::{Sid, sid, sync::ObjectType};
