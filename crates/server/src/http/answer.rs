//! From a refusal or a failure to an answer.

use tertulia_protocol::Code;

use crate::platform::{Error, Reply, Surface};

/// The answer to a request that came to nothing. A failure is logged here, once, with its cause; the
/// caller hears no more than that it happened. `path` is the path below the mount point.
pub fn refuse(error: &Error, surface: Surface, path: &str) -> Reply {
    let own = error.code();
    // REST knows one code for all that is not there; the SDK has its own for conversations
    // and for Sync objects (Sync facts §2.1).
    let code = match (surface, own) {
        (
            Surface::Sdk,
            Code::ConversationNotFound | Code::DocumentNotFound | Code::ListNotFound | Code::MapNotFound,
        ) => own,
        _ if own.status() == 404 => Code::NotFound,
        _ => own,
    };
    if let Error::Failed(_) | Error::Broken(_) = error {
        tracing::error!(code = code.number(), cause = %chain(error), "a request failed");
    }
    let body = error.body(code, &format!("The requested resource {path} was not found"));
    Reply { retry_after: error.retry_after(), ..Reply::new(code.status(), &body) }
}

/// An error with its causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
