//! Who is typing.

use std::time::Duration;

use tertulia_protocol::Sid;
use tertulia_protocol::client::ReceivedTyping;
use tertulia_protocol::sid::Conversation;
use tokio::sync::broadcast;

/// Somebody is typing. That is told to participants who are connected, and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Where.
    pub conversation: Sid<Conversation>,
    /// Who.
    pub identity: String,
    /// For how long, unless a message comes first.
    pub lasts: Duration,
}

/// Reads the payload of a typing notification; nothing, if it is none.
pub(crate) fn read_typing(payload: &[u8]) -> Option<Typing> {
    let read: ReceivedTyping = serde_json::from_slice(payload).ok()?;
    let lasts = Duration::from_secs(read.seconds.into());
    Some(Typing { conversation: read.conversation, identity: read.identity, lasts })
}

/// Everybody who types in one of the user's conversations, as it happens.
#[derive(Debug)]
pub struct TypingEvents(pub(crate) broadcast::Receiver<Typing>);

impl TypingEvents {
    /// Waits for the next. Whoever falls far behind misses some, and nothing hangs on them; `None` when the
    /// client is over.
    pub async fn next(&mut self) -> Option<Typing> {
        loop {
            match self.0.recv().await {
                Ok(typing) => return Some(typing),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
