//! One SQLite connection: how it is set up, and how a statement runs on it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ToSql};

use crate::failure::{Failure, InStatement, OpenError};
use crate::row::{Cell, Packed, Row};
use crate::settings::{Settings, Synchronous};
use crate::sql::{P, Sql, json_ints, json_texts, numbered};
use crate::tx::Trouble;

/// How many prepared statements one connection keeps: more than the service has.
const STATEMENTS_KEPT: usize = 1024;
/// Longer than any checkpoint or reader that can be in the way.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long writing may stand still for a reader when the log is to be restarted.
const RESTART_PATIENCE: Duration = Duration::from_millis(100);
const LOG_BYTES_KEPT: u32 = 64 << 20;
const CACHE_KIB: u32 = 32 << 10;

/// A connection, and how each statement reads on SQLite.
pub(crate) struct Lite {
    pub(super) db: Connection,
    texts: HashMap<usize, Box<str>, BuildHasherDefault<AddressHasher>>,
    statements: Arc<AtomicU64>,
}

impl Lite {
    pub(crate) fn query(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<Vec<Row>, (Failure, Trouble)> {
        self.rows(sql, p).map_err(|failure| (failure, Trouble::Failed))
    }

    pub(crate) fn execute(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<u64, (Failure, Trouble)> {
        self.count(sql, p).map_err(|failure| (failure, Trouble::Failed))
    }

    fn rows(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<Vec<Row>, Failure> {
        let mut statement = self.statement(sql, p)?;
        let columns = statement.column_count();
        let mut found = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(|error| failed(sql, error))? {
            rows.push(Row::sqlite(sql, packed(row, columns).map_err(|e| failed(sql, e))?));
        }
        Ok(rows)
    }

    fn count(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<u64, Failure> {
        let mut statement = self.statement(sql, p)?;
        let reads_only = statement.readonly();
        let mut found = statement.raw_query();
        let mut rows = 0;
        while found.next().map_err(|error| failed(sql, error))?.is_some() {
            rows += 1;
        }
        drop(found);
        drop(statement);
        Ok(if reads_only { rows } else { self.db.changes() })
    }

    fn statement(&mut self, sql: &'static Sql, p: &[P<'_>]) -> Result<CachedStatement<'_>, Failure> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let address = std::ptr::from_ref(sql).addr();
        let text = self.texts.entry(address);
        let text = text.or_insert_with(|| numbered(sql.sqlite).into_boxed_str());
        let mut statement = self.db.prepare_cached(text).map_err(|error| failed(sql, error))?;
        if statement.parameter_count() != p.len() {
            return Err(Failure::Bug(format!(
                "{} parameters where {} were expected, in: {}",
                p.len(),
                statement.parameter_count(),
                sql.head()
            )));
        }
        for (n, p) in p.iter().enumerate() {
            let bound = statement.raw_bind_parameter(n + 1, p);
            bound.map_err(|error| failed(sql, error))?;
        }
        Ok(statement)
    }

    /// Runs one of the few texts that begin and end transactions.
    pub(super) fn control(&self, text: &'static str) -> rusqlite::Result<()> {
        self.db.prepare_cached(text)?.raw_execute().map(drop)
    }

    /// Empties the log, waiting a little for readers that still look at it.
    pub(super) fn restart_log(&self) -> rusqlite::Result<()> {
        self.db.busy_timeout(RESTART_PATIENCE)?;
        let restarted = self.db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        self.db.busy_timeout(BUSY_TIMEOUT)?;
        restarted
    }

    /// Whether no transaction is open: SQLite may have ended it by itself.
    pub(super) fn is_outside(&self) -> bool {
        self.db.is_autocommit()
    }
}

/// The connection that writes. Also made for checkpoints, which write the file.
pub(super) fn open_writing(file: &Path, settings: &Settings) -> Result<Lite, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let lite = open(file, flags, settings)?;
    let set_up = || -> rusqlite::Result<()> {
        let db = &lite.db;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", level(settings))?;
        db.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        // The checkpointer decides; see there.
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        if let Some(pages) = settings.sqlite_knobs.pages_max {
            db.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(())
    };
    set_up().map_err(|error| OpenError::database("setting up the database file", error))?;
    Ok(lite)
}

/// A connection that cannot write.
pub(super) fn open_reading(file: &Path, settings: &Settings) -> Result<Lite, OpenError> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY, settings)
}

fn open(file: &Path, flags: OpenFlags, settings: &Settings) -> Result<Lite, OpenError> {
    let opened = || -> rusqlite::Result<Connection> {
        // Each connection stays on its thread, so SQLite's own mutexes would only cost.
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = match settings.sqlite_knobs.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(file, flags, vfs)?,
            None => Connection::open_with_flags(file, flags)?,
        };
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        // The file may come from a backup, from elsewhere: its schema is not trusted.
        db.pragma_update(None, "trusted_schema", false)?;
        Ok(db)
    };
    let db = opened().map_err(|error| OpenError::database("opening the database file", error))?;
    Ok(Lite { db, texts: HashMap::default(), statements: Arc::clone(&settings.statements) })
}

fn level(settings: &Settings) -> &'static str {
    match settings.sqlite_knobs.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Off => "OFF",
    }
}

fn packed(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Packed> {
    let mut packed = Packed::with_columns(columns);
    for column in 0..columns {
        let cell = match row.get_ref(column)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text)?),
            ValueRef::Blob(bytes) => Cell::Bytes(bytes),
            // No column is a REAL; a computed one must be cast in the statement.
            ValueRef::Real(_) => {
                let name = row.as_ref().column_name(column)?.to_owned();
                let kind = rusqlite::types::Type::Real;
                return Err(rusqlite::Error::InvalidColumnType(column, name, kind));
            }
        };
        packed.push(cell);
    }
    Ok(packed)
}

impl ToSql for P<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            P::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            P::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            P::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            P::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            P::Texts(texts) => json_texts(texts).into(),
            P::Ints(ints) => json_ints(ints).into(),
        })
    }
}

/// What SQLite said about a statement, as a failure.
fn failed(sql: &Sql, error: rusqlite::Error) -> Failure {
    let doing = "running a statement";
    let code = error.sqlite_error_code();
    let source = InStatement::cause(sql, error);
    match code {
        Some(ErrorCode::ConstraintViolation) => Failure::Conflict { doing, source },
        Some(ErrorCode::OperationInterrupted) => Failure::TimedOut { doing },
        _ => Failure::Storage { doing, source },
    }
}

/// Statements are told apart by their address, which needs no hashing to speak of.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize((*byte).into());
        }
    }

    fn write_usize(&mut self, address: usize) {
        // An odd constant spreads neighbouring addresses over all bits.
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
