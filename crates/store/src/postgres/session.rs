//! One connection with a transaction open on it, and how a statement runs there.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_postgres::{ClientWrapper, Object};
use futures_util::{FutureExt as _, TryStreamExt as _};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Error, SimpleQueryMessage, Statement};

use crate::failure::{Cause, Failure, InStatement};
use crate::row::Row;
use crate::sql::{P, Sql};
use crate::tx::Trouble;

/// A connection on loan. Dropped without [`Session::give_back`], it is closed rather than lent to
/// the next one with a transaction open: a panic or a cancelled read ends there.
pub(crate) struct Session {
    client: Option<Object>,
    statements: Arc<AtomicU64>,
}

impl Session {
    pub(super) fn new(client: Object, statements: Arc<AtomicU64>) -> Self {
        Self { client: Some(client), statements }
    }

    pub(crate) async fn query(&self, sql: &'static Sql, p: &[P<'_>]) -> Result<Vec<Row>, (Failure, Trouble)> {
        let statement = self.prepare(sql, p).await?;
        let failed = |error| self.failed(sql, error);
        let found = self.client().query_raw(&statement, p).await.map_err(failed)?;
        let mut found = pin!(found);
        let mut rows = Vec::new();
        while let Some(row) = found.try_next().await.map_err(failed)? {
            rows.push(Row::postgres(sql, row));
        }
        Ok(rows)
    }

    pub(crate) async fn execute(&self, sql: &'static Sql, p: &[P<'_>]) -> Result<u64, (Failure, Trouble)> {
        let statement = self.prepare(sql, p).await?;
        let done = self.client().execute_raw(&statement, p).await;
        done.map_err(|error| self.failed(sql, error))
    }

    /// Runs a text that begins or ends a transaction, or asks about one. The first column of the
    /// first row, if it gives one.
    pub(super) async fn control(&self, text: &str) -> Result<Option<String>, Error> {
        let answer = self.client().simple_query(text).await?;
        Ok(answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// Ends the transaction without keeping anything, and gives the connection back.
    pub(super) async fn roll_back(self) {
        if self.control("ROLLBACK").await.is_ok() {
            self.give_back();
        }
    }

    /// Gives the connection back with the end of its transaction sent, and does not wait for the
    /// server's word: whoever gets it next speaks after that.
    pub(super) fn roll_back_soon(self) {
        // A future that is dropped after its first step has sent what it had to say.
        if let Some(Err(_)) = self.control("ROLLBACK").now_or_never() {
            return;
        }
        self.give_back();
    }

    /// Gives the connection back. No transaction may be open on it.
    pub(super) fn give_back(mut self) {
        self.client = None;
    }

    pub(super) fn trouble(&self, error: &Error) -> Trouble {
        if error.is_closed() || self.client().is_closed() {
            return Trouble::Lost;
        }
        error.as_db_error().map_or(Trouble::Failed, trouble_of)
    }

    /// The connection itself, for what is not a command.
    pub(super) fn client(&self) -> &ClientWrapper {
        self.client.as_ref().expect("a session has its connection until it is given back")
    }

    async fn prepare(&self, sql: &'static Sql, p: &[P<'_>]) -> Result<Statement, (Failure, Trouble)> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let prepared = self.client().prepare_cached(sql.postgres).await;
        let statement = prepared.map_err(|error| self.failed(sql, error))?;
        let wanted = statement.params().len();
        if wanted == p.len() {
            return Ok(statement);
        }
        let given = p.len();
        let head = sql.head();
        let words = format!("{given} parameters where {wanted} were expected, in: {head}");
        Err((Failure::Bug(words), Trouble::Failed))
    }

    fn failed(&self, sql: &Sql, error: Error) -> (Failure, Trouble) {
        let doing = "running a statement";
        let trouble = self.trouble(&error);
        let code = error.code().cloned();
        let source = InStatement::cause(sql, words(&error));
        let failure = match code {
            Some(SqlState::QUERY_CANCELED) => Failure::TimedOut { doing },
            Some(code) if code.code().starts_with("23") => Failure::Conflict { doing, source },
            _ => Failure::Storage { doing, source },
        };
        (failure, trouble)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

/// What the server said, without the detail, which quotes rows.
pub(super) fn words(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => chain(error),
    }
}

/// The same as a cause.
pub(super) fn cause(error: &Error) -> Cause {
    words(error).into()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        words.push_str(": ");
        words.push_str(&source.to_string());
        next = source.source();
    }
    words
}

fn trouble_of(said: &DbError) -> Trouble {
    match *said.code() {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Trouble::InTheWay,
        // The server shuts down or starts: another connection will do.
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Trouble::Lost,
        // A table was altered under a prepared statement. Only the words tell this from others.
        SqlState::FEATURE_NOT_SUPPORTED if said.message().starts_with("cached plan") => Trouble::Lost,
        _ if said.code().code().starts_with("08") => Trouble::Lost,
        _ => Trouble::Failed,
    }
}
