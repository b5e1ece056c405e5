//! Who is typing.

use std::time::Duration;

use tertulia_protocol::Sid;
use tertulia_protocol::client::{ReceivedTyping, typing};
use tertulia_protocol::sid::Conversation;
use tokio::sync::broadcast;

use crate::client::Client;
use crate::error::Error;

/// Somebody is typing. That is told to participants who are connected and have the conversation open, and kept
/// nowhere.
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

/// Everybody who types in a conversation that this client has open, as it happens.
#[derive(Debug)]
pub struct TypingEvents(broadcast::Receiver<Typing>);

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

impl Client {
    /// Tells the other participants that this user is typing. Say it again while it lasts, every few seconds.
    pub async fn typing(&self, conversation: Sid<Conversation>) -> Result<(), Error> {
        self.link.call_form(&self.own.typing, typing(conversation)).await.map(drop)
    }

    /// Who types from now on, in any conversation that is open here.
    pub fn typing_events(&self) -> TypingEvents {
        TypingEvents(self.link.typing())
    }
}
