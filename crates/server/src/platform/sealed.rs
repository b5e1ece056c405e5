//! Sealed columns, whichever table they stand in: do the keys at hand open them, and seal them anew.
//!
//! A noun says in its `queries.rs` which of its columns are sealed ([`sealed_column`](crate::sealed_column));
//! [`crate::sealing`] lists them all. Nothing here knows a table.

use tertulia_store::Sql;
use tertulia_store::seal::{KeyRing, Place, SealError};

use super::{AccountNumber, Change, Cx, Error, Outcome, Question};

/// Rows that one step of sealing anew touches.
const BATCH: i64 = 200;

/// A column that holds sealed values. Its table has the columns `account` and `sid`.
#[derive(Debug)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// One row's SID for each key that sealed something here.
    pub samples: Sql,
    /// The value of a row, sealed by a key.
    pub value: Sql,
    /// Rows behind a row that were sealed by another key than the one given.
    pub old: Sql,
    /// Puts a value in the place of another one, if that is still there.
    pub replace: Sql,
}

/// Describes a sealed column of a noun's own table: `sealed_column! { pub static NAME = "table", "column"; }`.
#[macro_export]
macro_rules! sealed_column {
    ($(#[$doc:meta])* pub static $name:ident = $table:literal, $column:literal;) => {
        $(#[$doc])*
        pub static $name: $crate::platform::sealed::SealedColumn = $crate::platform::sealed::SealedColumn {
            table: $table,
            column: $column,
            // The key's id stands in the bytes 2 to 9 of a sealed value.
            samples: Sql::new(concat!(
                "SELECT MIN(sid), substr(", $column, ", 2, 8) FROM ", $table, " WHERE ", $column,
                " IS NOT NULL GROUP BY substr(", $column, ", 2, 8)"
            )),
            value: Sql::new(concat!(
                "SELECT ", $column, " FROM ", $table, " WHERE sid = $1 AND substr(", $column, ", 2, 8) = $2 LIMIT 1"
            )),
            old: Sql::new(concat!(
                "SELECT account, sid, ", $column, " FROM ", $table, " WHERE (account, sid) > ($1, $2) AND ", $column,
                " IS NOT NULL AND substr(", $column, ", 2, 8) <> $3 ORDER BY account, sid LIMIT $4"
            )),
            replace: Sql::new(concat!(
                "UPDATE ", $table, " SET ", $column, " = $4 WHERE account = $1 AND sid = $2 AND ", $column, " = $3"
            )),
        };
    };
}

impl SealedColumn {
    fn place<'a>(&self, sid: &'a str) -> Place<'a> {
        Place { table: self.table, column: self.column, sid }
    }
}

/// Tries keys on one value of each key that has sealed something in these columns.
pub struct TryKeys {
    /// The columns.
    pub columns: &'static [&'static SealedColumn],
    /// The keys.
    pub ring: KeyRing,
}

/// What keys open of what is stored.
#[derive(Debug, Default)]
pub struct Tried {
    /// How many of the values that were tried they open.
    pub opened: usize,
    /// Why the first value that they do not open stays closed.
    pub closed: Option<SealError>,
}

impl Question for TryKeys {
    type Out = Tried;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Tried> {
        let mut tried = Tried::default();
        for column in self.columns {
            for sample in cx.tx.query(&column.samples, &[]).await? {
                let (sid, key): (String, Vec<u8>) = (sample.get(0)?, sample.get(1)?);
                let values = [sid.as_str().into(), key.into()];
                let Some(row) = cx.tx.query_opt(&column.value, &values).await? else { continue };
                let sealed: Vec<u8> = row.get(0)?;
                match self.ring.open(&column.place(&sid), &sealed) {
                    Ok(_) => tried.opened += 1,
                    Err(cause) => tried.closed = tried.closed.or(Some(cause)),
                }
            }
        }
        Ok(tried)
    }
}

/// One step of sealing a column anew, with the key that seals now.
#[derive(Clone)]
pub struct Reseal {
    /// The column.
    pub column: &'static SealedColumn,
    /// The row behind which it begins.
    pub behind: (AccountNumber, String),
    /// The keys.
    pub ring: KeyRing,
}

/// What a step of sealing anew has done.
pub struct Resealed {
    /// Values sealed anew.
    pub count: u64,
    /// The row behind which the next step begins; `None` when there is nothing left.
    pub next: Option<(AccountNumber, String)>,
}

impl Change for Reseal {
    type Out = Resealed;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Resealed> {
        let (account, sid) = &self.behind;
        let key = self.ring.id();
        let values = [(*account).into(), sid.as_str().into(), key.bytes().to_vec().into(), BATCH.into()];
        let rows = cx.tx.query(&self.column.old, &values).await?;
        let mut done = Resealed { count: 0, next: None };
        for row in &rows {
            let (account, sid, old): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let place = self.column.place(&sid);
            let plain = self.ring.open(&place, &old).map_err(|cause| Error::Broken(cause.to_string()))?;
            let new = self.ring.seal(&place, plain.expose(), cx.ids.nonce());
            // Whoever changed it meanwhile has sealed it with the new key.
            let values = [account.into(), sid.as_str().into(), old.into(), new.into()];
            done.count += cx.tx.execute(&self.column.replace, &values).await?;
            done.next = Some((AccountNumber(account), sid));
        }
        done.next = done.next.filter(|_| rows.len() as i64 == BATCH);
        Ok(done)
    }
}
