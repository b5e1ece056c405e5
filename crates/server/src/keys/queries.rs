//! SQL of API keys.

use tertulia_protocol::sid::Key as KeyKind;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::{Key, Kind};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, sid, kind, friendly_name, created, updated"
    };
}

static BY_SID: Sql = Sql::new(concat!("SELECT ", columns!(), ", secret FROM keys WHERE sid = $1"));
static OWN: Sql = Sql::new(concat!("SELECT ", columns!(), " FROM keys WHERE account = $1 AND sid = $2"));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM keys WHERE account = $1 AND (created, sid) > ($2, $3) ORDER BY created, sid LIMIT $4"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM keys WHERE account = $1 AND (created, sid) < ($2, $3) ORDER BY created DESC, sid DESC LIMIT $4"
));
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO keys (account, sid, kind, friendly_name, secret, created, updated) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING ",
    columns!()
));
static RENAME: Sql = Sql::new(concat!(
    "UPDATE keys SET friendly_name = $3, updated = $4 WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static DELETE: Sql = Sql::new("DELETE FROM keys WHERE account = $1 AND sid = $2");

fn read(row: &Row) -> Outcome<Key> {
    let mut columns = Columns::of("keys", row);
    Ok(Key {
        account: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        kind: columns.word("kind", Kind::parse)?,
        friendly_name: columns.take()?,
        created: columns.time()?,
        updated: columns.time()?,
    })
}

/// The key with this SID in any account, with its sealed secret: for a login or a token.
pub async fn find_anywhere(tx: &mut Tx<'_>, sid: Sid<KeyKind>) -> Outcome<Option<(Key, Vec<u8>)>> {
    let Some(row) = tx.query_opt(&BY_SID, &[sid.as_str().into()]).await? else { return Ok(None) };
    Ok(Some((read(&row)?, row.get(6)?)))
}

/// An account's own key.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<KeyKind>) -> Outcome<Option<Key>> {
    tx.query_opt(&OWN, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// An account's keys in the order of their creation; the span says which.
pub async fn list(tx: &mut Tx<'_>, account: AccountNumber, span: Span<Created<'_>>) -> Outcome<Vec<Key>> {
    let rows = tx
        .query(
            if span.backwards { &LIST_BACK } else { &LIST },
            &[account.into(), span.key.0.into(), span.key.1.into(), span.limit.into()],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Inserts a key with its sealed secret.
pub async fn insert(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    sid: Sid<KeyKind>,
    kind: Kind,
    friendly_name: &str,
    secret: Vec<u8>,
    now: Timestamp,
) -> Outcome<Key> {
    let values = [
        account.into(),
        sid.as_str().into(),
        kind.word().into(),
        friendly_name.into(),
        secret.into(),
        now.micros().into(),
    ];
    read(&tx.query_one(&INSERT, &values).await?)
}

/// Renames a key.
pub async fn rename(tx: &mut Tx<'_>, key: &Key, friendly_name: &str, now: Timestamp) -> Outcome<Option<Key>> {
    let values = [key.account.into(), key.sid.as_str().into(), friendly_name.into(), now.micros().into()];
    tx.query_opt(&RENAME, &values).await?.as_ref().map(read).transpose()
}

/// Deletes a key; every token it signed dies with it.
pub async fn delete(tx: &mut Tx<'_>, key: &Key) -> Outcome<()> {
    tx.execute(&DELETE, &[key.account.into(), key.sid.as_str().into()]).await?;
    Ok(())
}
