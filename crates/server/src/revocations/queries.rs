//! SQL of revocations.

use tertulia_protocol::sid::{Key, Revocation as RevocationKind};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{P, Row, Sql, Tx};

use super::{Bearer, Named, Revocation};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Error, Outcome};

macro_rules! columns {
    () => {
        "account, sid, kind, value, service_sid, issued_before, refuses, created, expires"
    };
}

static INSERT: Sql = Sql::pair(
    concat!(
        "INSERT INTO revocations (",
        columns!(),
        ", noted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CAST(unixepoch('subsec') * 1000000 AS INTEGER))"
    ),
    concat!(
        "INSERT INTO revocations (",
        columns!(),
        ", noted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ",
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint)"
    ),
);
static NOW: Sql = Sql::pair(
    "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
);
static NOTED_SINCE: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    ", noted FROM revocations WHERE (noted, sid) > ($1, $2) ORDER BY noted, sid LIMIT $3"
));
static REFUSING: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM revocations WHERE account = $1 AND refuses = 1 AND issued_before >= $2 AND (",
    "(kind = 'exact' AND value = $7) OR (kind = 'token' AND value = $3) OR (kind = 'session' AND value = $4) OR ",
    "(kind = 'identity' AND value = $5 AND service_sid IN ('', $6)) OR (kind = 'service' AND value = $6)) LIMIT 1"
));
static SUSPENDS: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM revocations WHERE account = $1 AND kind = 'key' AND value = $2 AND refuses = 1 LIMIT 1"
));
static SESSION: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM revocations WHERE account = $1 AND kind = 'session' AND value = $2 AND refuses = 1 AND issued_before >= $3 LIMIT 1"
));
static FIND: Sql = Sql::new(concat!("SELECT ", columns!(), " FROM revocations WHERE account = $1 AND sid = $2"));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM revocations WHERE account = $1 AND refuses = 1 AND ($5 = '' OR kind = $5) AND (created, sid) > ($2, $3) ",
    "ORDER BY created, sid LIMIT $4"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM revocations WHERE account = $1 AND refuses = 1 AND ($5 = '' OR kind = $5) AND (created, sid) < ($2, $3) ",
    "ORDER BY created DESC, sid DESC LIMIT $4"
));
static DELETE: Sql = Sql::new("DELETE FROM revocations WHERE account = $1 AND sid = $2");
static DELETE_OF_KEY: Sql = Sql::new("DELETE FROM revocations WHERE account = $1 AND kind = 'key' AND value = $2");
static ACCOUNTS: Sql =
    Sql::new("SELECT account, MIN(expires) FROM revocations WHERE expires IS NOT NULL GROUP BY account");
static PURGE: Sql = Sql::new(
    "DELETE FROM revocations WHERE account = $1 AND sid IN \
     (SELECT sid FROM revocations WHERE account = $1 AND expires < $2 LIMIT $3)",
);

fn read(row: &Row) -> Outcome<Revocation> {
    let mut columns = Columns::of("revocations", row);
    let (account, sid) = (AccountNumber(columns.take()?), columns.sid()?);
    let (word, value, service): (String, String, String) = (columns.take()?, columns.take()?, columns.take()?);
    let broken = || Error::Broken(format!("a revocation of the kind {word:?} cannot be understood"));
    Ok(Revocation {
        account,
        sid,
        named: Named::parse(&word, value, &service).ok_or_else(broken)?,
        issued_before: columns.time()?,
        refuses: columns.take::<i64>()? != 0,
        created: columns.time()?,
        expires: columns.opt_time()?,
    })
}

/// Inserts an entry.
pub async fn insert(tx: &mut Tx<'_>, entry: &Revocation) -> Outcome<()> {
    let values = [
        entry.account.into(),
        entry.sid.as_str().into(),
        entry.named.word().into(),
        entry.named.value().into(),
        entry.named.service().into(),
        entry.issued_before.micros().into(),
        entry.refuses.into(),
        entry.created.micros().into(),
        entry.expires.map(|at| at.micros()).into(),
    ];
    tx.execute(&INSERT, &values).await?;
    Ok(())
}

/// The database's own time, which all nodes share.
pub async fn shared_now(tx: &mut Tx<'_>) -> Outcome<i64> {
    Ok(tx.query_one(&NOW, &[]).await?.get(0)?)
}

/// Entries of all accounts in the order in which they were noted, after a moment and an entry; each with
/// its moment.
pub async fn noted_since(tx: &mut Tx<'_>, after: (i64, &str), limit: i64) -> Outcome<Vec<(Revocation, i64)>> {
    let rows = tx.query(&NOTED_SINCE, &[after.0.into(), after.1.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((read(row)?, row.get(9)?))).collect()
}

/// An entry that refuses this token. What suspends its key is found with the key.
pub async fn refusing(tx: &mut Tx<'_>, bearer: &Bearer) -> Outcome<Option<Revocation>> {
    let text = |text: &Option<Box<str>>| P::from(text.as_deref().unwrap_or_default().to_owned());
    let values = [
        bearer.account.into(),
        bearer.issued.micros().into(),
        text(&bearer.jti),
        text(&bearer.session),
        (&*bearer.identity).into(),
        bearer.service.as_str().into(),
        (&*bearer.fingerprint).into(),
    ];
    tx.query_opt(&REFUSING, &values).await?.as_ref().map(read).transpose()
}

/// The entry that suspends a key.
pub async fn suspending(tx: &mut Tx<'_>, account: AccountNumber, key: Sid<Key>) -> Outcome<Option<Revocation>> {
    tx.query_opt(&SUSPENDS, &[account.into(), key.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The entry that ends a login session that was vouched for then.
pub async fn of_session(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    session: &str,
    issued: Timestamp,
) -> Outcome<Option<Revocation>> {
    tx.query_opt(&SESSION, &[account.into(), session.into(), issued.micros().into()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// An account's own entry.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<RevocationKind>) -> Outcome<Option<Revocation>> {
    tx.query_opt(&FIND, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// An account's entries in the order of their creation, of one kind if that is not empty; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    kind: &str,
    span: Span<Created<'_>>,
) -> Outcome<Vec<Revocation>> {
    let values = [account.into(), span.key.0.into(), span.key.1.into(), span.limit.into(), kind.into()];
    tx.query(if span.backwards { &LIST_BACK } else { &LIST }, &values).await?.iter().map(read).collect()
}

/// Takes an entry back.
pub async fn delete(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<RevocationKind>) -> Outcome<()> {
    tx.execute(&DELETE, &[account.into(), sid.as_str().into()]).await?;
    Ok(())
}

/// Takes back what names a key that is gone: nothing that it signed is let in any more.
pub async fn delete_of_key(tx: &mut Tx<'_>, account: AccountNumber, key: Sid<Key>) -> Outcome<()> {
    tx.execute(&DELETE_OF_KEY, &[account.into(), key.as_str().into()]).await?;
    Ok(())
}

/// Accounts whose entries die, each with the first death.
pub async fn accounts(tx: &mut Tx<'_>) -> Outcome<Vec<(AccountNumber, Timestamp)>> {
    let rows = tx.query(&ACCOUNTS, &[]).await?;
    rows.iter().map(|row| Ok((AccountNumber(row.get(0)?), Timestamp::from_micros(row.get(1)?)))).collect()
}

/// Removes dead entries of an account; gives how many.
pub async fn purge(tx: &mut Tx<'_>, account: AccountNumber, now: Timestamp, limit: i64) -> Outcome<u64> {
    Ok(tx.execute(&PURGE, &[account.into(), now.micros().into(), limit.into()]).await?)
}
