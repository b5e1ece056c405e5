//! PostgreSQL: a pool of connections, and a task and a transaction for every write.

use crate::failure::{Failure, OpenError};
use crate::row::Row;
use crate::settings::Settings;
use crate::sql::{P, Sql};
use crate::store::gone;
use crate::task::Answer;
use crate::tx::{Command, Trouble};

pub(crate) struct Postgres;
pub(crate) struct Session;

impl Session {
    pub(crate) async fn query(&self, _sql: &'static Sql, _p: &[P<'_>]) -> Result<Vec<Row>, (Failure, Trouble)> {
        Err((Failure::Closed, Trouble::Failed))
    }

    pub(crate) async fn execute(&self, _sql: &'static Sql, _p: &[P<'_>]) -> Result<u64, (Failure, Trouble)> {
        Err((Failure::Closed, Trouble::Failed))
    }
}

impl Postgres {
    pub(crate) async fn open(_settings: Settings) -> Result<Self, OpenError> {
        Err(OpenError::database("connecting", "PostgreSQL is not built yet"))
    }

    pub(crate) async fn write<C: Command>(&self, _command: C) -> Answer<C> {
        Err(gone())
    }

    pub(crate) async fn read<Q: Command>(&self, _question: Q) -> Answer<Q> {
        Err(gone())
    }

    pub(crate) async fn close(&self) {}

    pub(crate) fn writes_waiting(&self) -> usize {
        0
    }
}
