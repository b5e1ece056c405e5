//! Rows that were read, the same for both engines.
//!
//! A column is read as exactly the type it has; nothing is converted silently. A column that
//! holds another type than asked for is a mistake in a statement, and is reported as one.

use std::ops::Range;

use tokio_postgres::types::Type;

use crate::failure::Failure;
use crate::sql::Sql;

/// One row, in the order of the statement's columns.
#[derive(Debug)]
pub struct Row {
    sql: &'static Sql,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Sqlite(Packed),
    Postgres(tokio_postgres::Row),
}

impl Row {
    /// The value of the column, counted from 0.
    pub fn get<T: Column>(&self, column: usize) -> Result<T, Failure> {
        let cell = self.cell(column)?;
        T::from_cell(cell).ok_or_else(|| self.mismatch(column, cell.kind(), T::KIND))
    }

    /// The text in the column, without a copy.
    pub fn text(&self, column: usize) -> Result<&str, Failure> {
        match self.cell(column)? {
            Cell::Text(text) => Ok(text),
            other => Err(self.mismatch(column, other.kind(), "a text")),
        }
    }

    /// The bytes in the column, without a copy.
    pub fn bytes(&self, column: usize) -> Result<&[u8], Failure> {
        match self.cell(column)? {
            Cell::Bytes(bytes) => Ok(bytes),
            other => Err(self.mismatch(column, other.kind(), "bytes")),
        }
    }

    /// How many columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Sqlite(packed) => packed.slots.len(),
            Values::Postgres(row) => row.len(),
        }
    }

    /// Whether there is no column at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn sqlite(sql: &'static Sql, packed: Packed) -> Self {
        let values = Values::Sqlite(packed);
        Self { sql, values }
    }

    pub(crate) fn postgres(sql: &'static Sql, row: tokio_postgres::Row) -> Self {
        let values = Values::Postgres(row);
        Self { sql, values }
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, Failure> {
        let cell = match &self.values {
            Values::Sqlite(packed) => packed.cell(column),
            Values::Postgres(row) => {
                postgres_cell(row, column).map_err(|found| self.mismatch(column, &found, "another type"))?
            }
        };
        cell.ok_or_else(|| self.mismatch(column, "nothing", "a column"))
    }

    fn mismatch(&self, column: usize, found: &str, wanted: &str) -> Failure {
        Failure::Bug(format!("column {column} holds {found} where {wanted} was expected, in: {}", self.sql.head()))
    }
}

/// One value of a row, as the engine gave it.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'r> {
    /// `NULL`.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'r str),
    /// Bytes.
    Bytes(&'r [u8]),
}

impl Cell<'_> {
    fn kind(self) -> &'static str {
        match self {
            Cell::Null => "NULL",
            Cell::Int(_) => "a number",
            Cell::Text(_) => "a text",
            Cell::Bytes(_) => "bytes",
        }
    }
}

/// A type that a column can be read as.
pub trait Column: Sized {
    /// What the type is called in a message.
    const KIND: &'static str;

    /// The value, if the cell holds this type.
    fn from_cell(cell: Cell<'_>) -> Option<Self>;
}

impl Column for i64 {
    const KIND: &'static str = "a number";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Int(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for bool {
    const KIND: &'static str = "0 or 1";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Int(0) => Some(false),
            Cell::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl Column for String {
    const KIND: &'static str = "a text";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(value) => Some(value.to_owned()),
            _ => None,
        }
    }
}

impl Column for Vec<u8> {
    const KIND: &'static str = "bytes";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bytes(value) => Some(value.to_owned()),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    const KIND: &'static str = T::KIND;

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// A row of SQLite, copied out of the statement: two allocations, however many columns.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    slots: Vec<Slot>,
    texts: String,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Slot {
    Null,
    Int(i64),
    Text(Range<usize>),
    Bytes(Range<usize>),
}

impl Packed {
    pub(crate) fn with_columns(columns: usize) -> Self {
        Self { slots: Vec::with_capacity(columns), ..Self::default() }
    }

    pub(crate) fn push(&mut self, cell: Cell<'_>) {
        let slot = match cell {
            Cell::Null => Slot::Null,
            Cell::Int(value) => Slot::Int(value),
            Cell::Text(text) => {
                let start = self.texts.len();
                self.texts.push_str(text);
                Slot::Text(start..self.texts.len())
            }
            Cell::Bytes(bytes) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                Slot::Bytes(start..self.bytes.len())
            }
        };
        self.slots.push(slot);
    }

    fn cell(&self, column: usize) -> Option<Cell<'_>> {
        Some(match self.slots.get(column)? {
            Slot::Null => Cell::Null,
            Slot::Int(value) => Cell::Int(*value),
            Slot::Text(range) => Cell::Text(&self.texts[range.clone()]),
            Slot::Bytes(range) => Cell::Bytes(&self.bytes[range.clone()]),
        })
    }
}

/// The value in a row of PostgreSQL; the name of its type if the store does not read that type.
fn postgres_cell(row: &tokio_postgres::Row, column: usize) -> Result<Option<Cell<'_>>, String> {
    let Some(described) = row.columns().get(column) else {
        return Ok(None);
    };
    let kind = described.type_();
    let cell = match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column).map(|v| v.map(Cell::Int)),
        Type::INT4 => row.try_get::<_, Option<i32>>(column).map(|v| v.map(|v| Cell::Int(v.into()))),
        Type::BOOL => row.try_get::<_, Option<bool>>(column).map(|v| v.map(|v| Cell::Int(v.into()))),
        Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR => {
            row.try_get::<_, Option<&str>>(column).map(|v| v.map(Cell::Text))
        }
        Type::BYTEA => row.try_get::<_, Option<&[u8]>>(column).map(|v| v.map(Cell::Bytes)),
        _ => return Err(format!("the type {kind}")),
    };
    let cell = cell.map_err(|error| error.to_string())?;
    Ok(Some(cell.unwrap_or(Cell::Null)))
}
