//! What the hub puts into mailboxes.

use bytes::Bytes;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::Conversation;
use tertulia_store::StreamId;

use crate::realtime::news::Part;

/// Something for one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Post {
    /// An event of an object it subscribed to.
    Packet {
        /// The stream, so that a subscription that has ended since is not served.
        stream: StreamId,
        /// The object in it.
        part: Part,
        /// The packet, ready to send.
        packet: Bytes,
    },
    /// The user's own list moved on, and perhaps a conversation is no longer the user's to read.
    Own {
        /// The position it moved to.
        upto: i64,
        /// The conversation that ended for the user.
        ended: Option<Sid<Conversation>>,
    },
    /// Somebody is typing.
    Typing(Bytes),
    /// An answer to a subscription request: replayed events and `subscription_established` or another.
    Answer(Bytes),
    /// From here on the events of this object go out.
    Subscribed {
        /// Its stream.
        stream: StreamId,
        /// The object in it.
        part: Part,
        /// The position of the user's own list at which the right to read was found.
        own: i64,
    },
    /// What the user may read may have changed, or the user is gone.
    Rights,
    /// The clock was moved: what is due by it may be due now.
    Tick,
    /// The connection is to be cut, without a word.
    Cut,
    /// The token that opened the connection was revoked.
    Revoked,
}
