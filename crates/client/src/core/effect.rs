//! What comes out of the core.

use super::calls::{CallFailure, Reply};
use crate::state::ConnectionState;
use crate::typing::Typing;

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask where tokens come from, and give the answer to [`Core::token`].
    Token,
    /// Open a websocket, and say how that went: [`Core::connected`] or [`Core::disconnected`].
    Connect,
    /// Send a packet.
    Send(Vec<u8>),
    /// Send a websocket ping; its answer is a reason for [`Core::heard`].
    Ping,
    /// Close the websocket, after what was sent before; nothing more of it is of interest.
    Disconnect,
    /// A call has come to its end.
    Finish(u64, Result<Reply, CallFailure>),
    /// Somebody is typing.
    Typing(Typing),
    /// The state of the connection is another one.
    State(ConnectionState),
}
