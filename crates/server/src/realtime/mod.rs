//! The realtime gateway: from a websocket to the nouns' rules and back to every watcher.
//!
//! The store is the truth; everything here is news of it. A change commits, the store publishes what
//! happened ([`news`]), the bus brings it to the hub of every node ([`bus`]), the hub delivers it to the
//! mailboxes of those who watch ([`hub`], [`mailbox`]), and a connection's session decides what of it
//! goes out ([`session`], [`socket`]). Typing alone travels without the store.
//!
//! Nothing here may tell what is not committed, tell a thing before `subscription_established`, or drop a
//! thing in silence: a connection that cannot keep up is closed, and catches up when it is back.

pub mod attachments;
pub mod bus;
pub mod ends;
pub mod establish;
pub mod gate;
pub mod hub;
pub mod http;
pub mod mailbox;
pub mod news;
pub mod items;
pub mod objects;
pub mod presence;
pub mod record;
pub mod requests;
pub mod session;
pub mod socket;
pub mod subscribe;
pub mod tunnel;
mod unchanged;
pub mod upgrade;

use std::sync::Mutex;

use mailbox::Mailbox;

/// The hub of this node, behind a lock that guards a few lines and no await.
pub type SharedHub = Mutex<hub::Hub<std::sync::Arc<Mailbox>>>;
