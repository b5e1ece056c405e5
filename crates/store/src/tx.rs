//! The transaction a command runs in, and what a command is.
//!
//! `Tx` is one concrete type over both engines, so a store operation is a plain `async fn
//! op(tx: &mut Tx<'_>, …)`. Such an operation must never await anything but `Tx`: on SQLite its
//! future is polled exactly once, in the middle of a transaction that other callers share.

use std::future::Future;

use crate::failure::Failure;
use crate::news::News;
use crate::postgres::Session;
use crate::row::Row;
use crate::sql::{P, Sql};
use crate::sqlite::Lite;

/// A change or a question as a value: it may run again, so it is run by reference, and everything
/// that varies from run to run (clock, new ids) was drawn before the first.
pub trait Command: Send + Sync + 'static {
    /// What it gives.
    type Out: Send + 'static;
    /// Why it may be refused. An `Err` undoes every write of the command; a refusal that must
    /// leave a trace is an `Ok`.
    type Refusal: From<Failure> + Send + 'static;

    /// Runs inside one transaction, and awaits nothing but that transaction.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Out, Self::Refusal>> + Send;
}

/// One transaction on one of the engines, and the news it will tell once it is committed.
pub struct Tx<'c> {
    engine: EngineTx<'c>,
    access: Access,
    news: Vec<News>,
    trouble: Option<Trouble>,
}

enum EngineTx<'c> {
    Sqlite(&'c mut Lite),
    Postgres(&'c Session),
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What happened to a transaction that cannot be committed any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// A statement failed, and would fail again.
    Failed,
    /// Another transaction was in the way: the same command may succeed when run again.
    InTheWay,
    /// The connection is gone, or no longer usable: run again on another.
    Lost,
}

impl<'c> Tx<'c> {
    /// All rows.
    pub async fn query(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<Vec<Row>, Failure> {
        self.usable()?;
        let rows = match &mut self.engine {
            EngineTx::Sqlite(lite) => lite.query(sql, p),
            EngineTx::Postgres(session) => session.query(sql, p).await,
        };
        self.note(rows)
    }

    /// The row, if there is one. More than one is a bug.
    pub async fn query_opt(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<Option<Row>, Failure> {
        let mut rows = self.query(sql, p).await?;
        if rows.len() > 1 {
            return Err(wrong_count(sql, rows.len()));
        }
        Ok(rows.pop())
    }

    /// The one row. None, or more than one, is a bug.
    pub async fn query_one(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<Row, Failure> {
        let row = self.query_opt(sql, p).await?;
        row.ok_or_else(|| wrong_count(sql, 0))
    }

    /// How many rows were inserted, updated or deleted.
    pub async fn execute(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<u64, Failure> {
        self.usable()?;
        let count = match &mut self.engine {
            EngineTx::Sqlite(lite) => lite.execute(sql, p),
            EngineTx::Postgres(session) => session.execute(sql, p).await,
        };
        self.note(count)
    }

    /// Tells this once the transaction is committed, and never otherwise.
    pub fn announce(&mut self, news: News) {
        if self.access == Access::Read {
            // A question has nothing to tell; its answer is withheld, so that no test misses it.
            self.trouble = Some(Trouble::Failed);
            return;
        }
        self.news.push(news);
    }

    pub(crate) fn sqlite(lite: &'c mut Lite, access: Access) -> Self {
        Self::new(EngineTx::Sqlite(lite), access)
    }

    pub(crate) fn postgres(session: &'c Session, access: Access) -> Self {
        Self::new(EngineTx::Postgres(session), access)
    }

    fn new(engine: EngineTx<'c>, access: Access) -> Self {
        Self { engine, access, news: Vec::new(), trouble: None }
    }

    /// What the command left behind: its news, and what stands against committing it.
    pub(crate) fn finish(self) -> (Vec<News>, Option<Trouble>) {
        (self.news, self.trouble)
    }

    /// After a failed statement SQLite would go on and PostgreSQL would not, so neither may.
    fn usable(&self) -> Result<(), Failure> {
        match self.trouble {
            None => Ok(()),
            Some(_) => Err(went_on()),
        }
    }

    fn note<T>(&mut self, done: Result<T, (Failure, Trouble)>) -> Result<T, Failure> {
        done.map_err(|(failure, trouble)| {
            self.trouble = Some(trouble);
            failure
        })
    }
}

/// The command caught a failure and went on; nothing of it may be kept.
pub(crate) fn went_on() -> Failure {
    Failure::Bug("a command went on after a failed statement, or a query announced news".into())
}

fn wrong_count(sql: &Sql, count: usize) -> Failure {
    Failure::Bug(format!("{count} rows where one was expected, from: {}", sql.head()))
}
