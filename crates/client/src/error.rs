//! What can go wrong, each with what the caller needs to decide.

use tertulia_protocol::client::{ErrorBody, ReceivedStatus};

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

impl Refusal {
    /// Of a request that was answered with this status and body.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        let told: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        Self { status, ..Self::from(told) }
    }

    /// Whether the same may be granted later.
    pub(crate) fn may_pass(&self) -> bool {
        self.status == 429 || self.status >= 500
    }
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

/// Why there is no connection (any more).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disconnected {
    /// No websocket could be opened.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server answered the upgrade with an HTTP status; 503 when it is full or going away.
    #[error("the server answered with HTTP status {0} instead of a websocket")]
    NotAWebsocket(u16),
    /// There is no token.
    #[error("there is no token: {0}")]
    NoToken(String),
    /// The server refused the token.
    #[error("the token was refused: {0}")]
    Refused(Refusal),
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
    /// The client is over, and nothing was done.
    #[error(transparent)]
    Disconnected(Disconnected),
    /// Nothing was done: there was no connection for as long as a call waits for one.
    #[error("not sent: there was no connection for 20 seconds")]
    NotSent,
    /// The connection was cut before the answer came. Whether the server has done what was asked is unknown.
    #[error("cut off before the answer came, so it may be done or not: {0}")]
    Cut(Disconnected),
    /// No answer in time. Whether the server has done what was asked is unknown.
    #[error("no answer within 30 seconds, so it may be done or not")]
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

    /// Whether there is nothing of that name, or nothing that the user may see.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Gone) || matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// Whether the server may have done what was asked, or not. After any other error it has not.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::TimedOut | Self::Unintelligible { .. })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no token to connect with.
    #[error("there is no token: {0}")]
    Token(String),
    /// The crate was built without its feature `tls`.
    #[error("{0} wants TLS, which was left out of this client: build it with the feature `tls`")]
    Tls(String),
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
    pub(crate) fn new(uri: &str, why: Disconnected) -> Self {
        let uri = uri.to_owned();
        match why {
            Disconnected::Unreachable(cause) => Self::Unreachable { uri, cause },
            Disconnected::NotAWebsocket(status) => Self::NotAWebsocket { uri, status },
            Disconnected::NoToken(cause) => Self::Token(cause),
            Disconnected::Refused(refusal) => Self::Refused(refusal),
            why => Self::Failed(Error::Disconnected(why)),
        }
    }

    /// The documented code of a refusal.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Failed(error) => error.code(),
            _ => None,
        }
    }
}
