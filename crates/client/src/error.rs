//! What can go wrong, each with what the caller needs to decide.

use tertulia_protocol::client::{ErrorBody, ReceivedStatus};

use crate::token::TokenError;

/// The server said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused with {status}{}: {message}", .code.map(|code| format!(" (code {code})")).unwrap_or_default())]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The documented code, if there is one.
    pub code: Option<u32>,
    /// For the developer.
    pub message: String,
}

impl From<ReceivedStatus> for Refusal {
    fn from(status: ReceivedStatus) -> Self {
        Self { status: status.code, code: status.error_code, message: status.description.unwrap_or(status.status) }
    }
}

impl From<ErrorBody> for Refusal {
    fn from(body: ErrorBody) -> Self {
        Self { status: body.status, code: (body.code != 0).then_some(body.code), message: body.message }
    }
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disconnected {
    /// This client closed it.
    #[error("the client was closed")]
    Closed,
    /// The server closed the websocket.
    #[error("the server closed the connection ({code}{}{reason})", if .reason.is_empty() { "" } else { ": " })]
    ByServer {
        /// The websocket's close code; 1005 when the server gave none.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// The server said good-bye in a packet.
    #[error("the server said good-bye: {0}")]
    Goodbye(Refusal),
    /// The network failed.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing was heard for too long, not even an answer to a ping.
    #[error("the server has fallen silent")]
    Silent,
    /// The server sent something that is no packet.
    #[error("the server sent bytes that are no packet: {0}")]
    Malformed(String),
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection is over. Whether the server has done what was asked is unknown.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// No answer in time; the connection is still there.
    #[error("no answer within 30 seconds")]
    TimedOut,
    /// This connection is subscribed to the object already; one subscription an object is all there is.
    #[error("this connection is subscribed to {0} already")]
    AlreadySubscribed(String),
    /// The object is gone: the conversation was deleted, or the user is no longer in it.
    #[error("the object is gone")]
    Gone,
    /// An answer without what must be in it.
    #[error("the answer to {request} cannot be understood: {cause}")]
    Unintelligible {
        /// What was asked.
        request: String,
        /// What was wrong with the answer.
        cause: String,
    },
}

impl Error {
    /// The documented code of a refusal.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(refusal) => refusal.code,
            _ => None,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no token to connect with.
    #[error("there is no token: {0}")]
    Token(#[source] TokenError),
    /// No websocket could be opened.
    #[error("{uri} cannot be reached: {cause}")]
    Unreachable {
        /// Where.
        uri: String,
        /// The network's or the server's words.
        cause: String,
    },
    /// The server answered the upgrade with an HTTP status; 503 when it is full or going away.
    #[error("{uri} answered with HTTP status {status} instead of a websocket")]
    NotAWebsocket {
        /// Where.
        uri: String,
        /// The status.
        status: u16,
    },
    /// The server refused the token.
    #[error("the token was refused: {0}")]
    Refused(#[source] Refusal),
    /// The connection failed before it was of use.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl ConnectError {
    /// The documented code of a refusal.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Failed(error) => error.code(),
            _ => None,
        }
    }
}
