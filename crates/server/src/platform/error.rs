//! Refusal, failure, reply: three things.
//!
//! A noun refuses with an enum of its own that has never heard of HTTP; it becomes a [`Refusal`] with a
//! code of the closed list. A failure carries its cause, is logged once at the boundary, and tells the
//! caller nothing but that it happened.

use tertulia_protocol::Code;
use tertulia_protocol::rest::ErrorBody;
use tertulia_store::Failure;

/// The caller asked for something that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From the closed list.
    pub code: Code,
    /// For the person who is stuck; `None` for "not found", where the boundary names the path.
    pub message: Option<String>,
    /// Seconds after which to ask again, where that is known.
    pub retry_after: Option<i64>,
}

/// Why something did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's fault.
    #[error("refused: {}", .0.message.as_deref().unwrap_or(.0.code.title()))]
    Refused(Refusal),
    /// Ours, or the machine's.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// A row that cannot be understood, or a secret that cannot be opened.
    #[error("{0}")]
    Broken(String),
}

/// What most functions of a noun give.
pub type Outcome<T> = Result<T, Error>;

impl Error {
    /// A refusal with a message.
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { code, message: Some(message.into()), retry_after: None })
    }

    /// A refusal in the code's own words.
    pub fn plain(code: Code) -> Self {
        Self::refused(code, code.title())
    }

    /// Nothing is there, or nothing that the caller may know of.
    pub fn not_found(code: Code) -> Self {
        Self::Refused(Refusal { code, message: None, retry_after: None })
    }

    /// A parameter that is missing or malformed.
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::refused(Code::ParameterInvalid, message)
    }

    /// A caller who asks too often, and when there is room again.
    pub fn too_many(retry_after: i64) -> Self {
        Self::busy(format!("Too many requests; try again in {retry_after} seconds"), retry_after)
    }

    /// Something of which there are too many, and when to ask again.
    pub fn busy(message: String, retry_after: i64) -> Self {
        let code = Code::TooManyRequests;
        Self::Refused(Refusal { code, message: Some(message), retry_after: Some(retry_after) })
    }

    /// Seconds after which to ask again, where that is known.
    pub fn retry_after(&self) -> Option<i64> {
        if let Self::Refused(refusal) = self { refusal.retry_after } else { None }
    }

    /// The code to answer with.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Failed(failure) if failure.may_pass() => Code::Unavailable,
            Self::Failed(_) | Self::Broken(_) => Code::Internal,
        }
    }

    /// The body to answer with; `not_found` is the text for a refusal that has none.
    pub fn body(&self, code: Code, not_found: &str) -> ErrorBody {
        let message = match self {
            Self::Refused(Refusal { message: Some(message), .. }) => message.as_str(),
            Self::Refused(_) => not_found,
            Self::Failed(_) | Self::Broken(_) => code.title(),
        };
        ErrorBody::new(code, message)
    }
}
