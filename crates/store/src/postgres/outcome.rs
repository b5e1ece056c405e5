//! What became of a commit whose answer never came.
//!
//! The transaction told its number when it began, so another connection can ask the server. Only
//! if nothing was written may the command run again; only if it was written is it acknowledged.

use super::Inner;
use super::session::{Session, words};
use super::write::Pause;
use crate::deadline::Deadline;
use crate::failure::Cause;

/// What a lost commit came to.
pub(super) enum Outcome {
    Committed,
    NotCommitted,
    Unknown(Cause),
}

impl Inner {
    /// Asks until there is an answer, or patience ends.
    ///
    /// `life` is the server's life that was known before the transaction began. A server that
    /// crashed since, or a standby that took over, may have given the same number to another
    /// transaction; then "committed" may speak of that one and proves nothing. "Not committed"
    /// always tells the truth.
    pub(super) async fn outcome(&self, number: &str, life: u64) -> Outcome {
        let deadline = Deadline::after(self.write_patience);
        let mut pause = Pause::default();
        loop {
            match self.status(number).await {
                Ok(Status::Committed) if self.writing.life() == life => return Outcome::Committed,
                Ok(Status::Committed) => {
                    return Outcome::Unknown("the database server was started anew".into());
                }
                Ok(Status::NotCommitted) => return Outcome::NotCommitted,
                Ok(Status::Forgotten) => {
                    return Outcome::Unknown("the server has forgotten the transaction".into());
                }
                Ok(Status::Open) if deadline.has_passed() => {
                    return Outcome::Unknown("the transaction did not end in time".into());
                }
                Err(why) if deadline.has_passed() => return Outcome::Unknown(why),
                Ok(Status::Open) | Err(_) => pause.wait().await,
            }
        }
    }

    async fn status(&self, number: &str) -> Result<Status, Cause> {
        let session = self.writing.get().await.map_err(|(failure, _)| Box::new(failure))?;
        // The number came from the server and holds digits only.
        let asked = session.control(&format!("SELECT pg_xact_status('{number}')")).await;
        let status = match asked {
            Ok(Some(status)) if status == "committed" => Status::Committed,
            Ok(Some(status)) if status == "aborted" => Status::NotCommitted,
            Ok(Some(_)) => {
                self.end_if_deserted(&session, number).await;
                Status::Open
            }
            Ok(None) => Status::Forgotten,
            // "transaction ID … is in the future": this server never heard of it.
            Err(error) if error.code().is_some_and(|code| code.code() == "22023") => Status::NotCommitted,
            Err(error) => return Err(words(&error).into()),
        };
        session.give_back();
        Ok(status)
    }

    /// Ends the server's session if it still waits for a client that is gone: it will never hear
    /// of the commit, and holds its locks. One that is at work is committing, perhaps waiting for
    /// a standby, and is left alone.
    async fn end_if_deserted(&self, session: &Session, number: &str) {
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE state LIKE 'idle in transaction%' \
             AND backend_xid = CAST(CAST('{number}' AS xid8) AS xid)"
        );
        // We may lack the right to; then there is still waiting.
        let _ = session.control(&end).await;
    }
}

enum Status {
    Committed,
    NotCommitted,
    Open,
    Forgotten,
}
