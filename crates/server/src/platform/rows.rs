//! Reading a row column by column, in the order of a noun's column list.

use tertulia_protocol::sid::Kind;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Column, Failure, Row};

use super::Outcome;

/// The columns of one row, from the left.
pub struct Columns<'r> {
    row: &'r Row,
    table: &'static str,
    at: usize,
}

impl<'r> Columns<'r> {
    /// Begins with the first column; `table` is for messages about values that make no sense.
    pub fn of(table: &'static str, row: &'r Row) -> Self {
        Self { row, table, at: 0 }
    }

    /// The next column.
    pub fn take<T: Column>(&mut self) -> Outcome<T> {
        let value = self.row.get(self.at)?;
        self.at += 1;
        Ok(value)
    }

    /// The next column, a SID.
    pub fn sid<K: Kind>(&mut self) -> Outcome<Sid<K>> {
        let text: String = self.take()?;
        Sid::parse(&text).map_err(|_| self.corrupt(K::NAME, &text))
    }

    /// The next column, a SID or NULL.
    pub fn opt_sid<K: Kind>(&mut self) -> Outcome<Option<Sid<K>>> {
        let Some(text) = self.take::<Option<String>>()? else { return Ok(None) };
        Sid::parse(&text).map(Some).map_err(|_| self.corrupt(K::NAME, &text))
    }

    /// The next column, a moment.
    pub fn time(&mut self) -> Outcome<Timestamp> {
        self.take().map(Timestamp::from_micros)
    }

    /// The next column, a moment or NULL.
    pub fn opt_time(&mut self) -> Outcome<Option<Timestamp>> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    /// The next column, one of a few words; `read` knows them.
    pub fn word<T>(&mut self, column: &'static str, read: impl Fn(&str) -> Option<T>) -> Outcome<T> {
        let text: String = self.take()?;
        read(&text).ok_or_else(|| self.corrupt(column, &text))
    }

    fn corrupt(&self, column: &'static str, value: &str) -> super::Error {
        Failure::corrupt(self.table, column, format!("value {value:?}")).into()
    }
}
