//! SQL of accounts, and of the installation they live in.

use tertulia_protocol::sid::{Account as AccountKind, Service};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::{Account, Status};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};
use crate::sealed_column;

macro_rules! columns {
    () => {
        "account, sid, parent, friendly_name, status, default_service_sid, default_messaging_service_sid, \
         default_inactive_timer, default_closed_timer, created, updated, \
         COALESCE((SELECT above.sid FROM accounts AS above WHERE above.account = accounts.parent), sid), \
         COALESCE((SELECT above.status FROM accounts AS above WHERE above.account = accounts.parent), status)"
    };
}
macro_rules! by_number {
    () => {
        concat!("SELECT ", columns!(), " FROM accounts WHERE account = $1")
    };
}

static BY_SID: Sql = Sql::new(concat!("SELECT ", columns!(), " FROM accounts WHERE sid = $1"));
static FIRST: Sql = Sql::new(concat!("SELECT ", columns!(), " FROM accounts ORDER BY account LIMIT 1"));
static BY_NUMBER: Sql = Sql::new(by_number!());
// SQLite has one writer, so a transaction that writes holds everything already.
static BY_NUMBER_LOCKED: Sql = Sql::pair(by_number!(), concat!(by_number!(), " FOR UPDATE"));
macro_rules! list {
    ($whose:literal, $beyond:literal, $order:literal) => {
        Sql::new(concat!(
            "SELECT ",
            columns!(),
            ", auth_token FROM accounts WHERE ",
            $whose,
            " AND (CAST($2 AS TEXT) IS NULL OR friendly_name = $2) AND (CAST($3 AS TEXT) IS NULL OR status = $3) AND ",
            $beyond,
            " ORDER BY ",
            $order,
            " LIMIT $6"
        ))
    };
}
static LIST: Sql = list!("(account = $1 OR parent = $1)", "(created, sid) > ($4, $5)", "created, sid");
static LIST_BACK: Sql = list!("(account = $1 OR parent = $1)", "(created, sid) < ($4, $5)", "created DESC, sid DESC");
static LIST_ALL: Sql = list!("CAST($1 AS BIGINT) IS NULL", "(created, sid) > ($4, $5)", "created, sid");
static LIST_ALL_BACK: Sql = list!("CAST($1 AS BIGINT) IS NULL", "(created, sid) < ($4, $5)", "created DESC, sid DESC");
static UPDATE: Sql = Sql::new(concat!(
    "UPDATE accounts SET friendly_name = $2, status = $3, updated = $4 WHERE account = $1 RETURNING ",
    columns!()
));
static SET_AUTH_TOKENS: Sql =
    Sql::new("UPDATE accounts SET auth_token = $2, secondary_auth_token = $3, updated = $4 WHERE account = $1");
static ANY: Sql = Sql::new("SELECT sid FROM accounts LIMIT 1");
// Numbers are given one after the other: two nodes must not give the same.
static LOCK_INSTALLATION: Sql =
    Sql::pair("SELECT one FROM installation", "SELECT one FROM installation WHERE one = 1 FOR UPDATE");

sealed_column! {
    /// The auth tokens of accounts.
    pub static AUTH_TOKENS = "accounts", "auth_token";
}
sealed_column! {
    /// The secondary auth tokens of accounts.
    pub static SECONDARY_AUTH_TOKENS = "accounts", "secondary_auth_token";
}

static AUTH_TOKEN: Sql = Sql::new("SELECT auth_token, secondary_auth_token FROM accounts WHERE account = $1");
static COUNT_SUBACCOUNTS: Sql = Sql::new("SELECT COUNT(*) FROM accounts WHERE parent = $1 AND status <> $2");
static NEXT_NUMBER: Sql = Sql::new("SELECT COALESCE(MAX(account), 0) + 1 FROM accounts");
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO accounts (account, sid, parent, friendly_name, status, auth_token, default_service_sid, created, updated) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING ",
    columns!()
));
static CONFIGURE: Sql = Sql::new(concat!(
    "UPDATE accounts SET default_service_sid = $2, default_messaging_service_sid = $3, default_inactive_timer = $4, ",
    "default_closed_timer = $5, updated = $6 WHERE account = $1 RETURNING ",
    columns!()
));
static SUBACCOUNTS: Sql = Sql::new("SELECT account FROM accounts WHERE parent = $1");
static INSTALLATION: Sql = Sql::new("SELECT id FROM installation WHERE one = 1");
static DEV_SEAL_KEY: Sql = Sql::new("SELECT dev_seal_key FROM installation WHERE one = 1");
static SET_DEV_SEAL_KEY: Sql = Sql::new("UPDATE installation SET dev_seal_key = $1 WHERE one = 1");
static INSTALL: Sql = Sql::new("INSERT INTO installation (one, id, created) VALUES (1, $1, $2) ON CONFLICT DO NOTHING");

fn read(row: &Row) -> Outcome<Account> {
    let mut columns = Columns::of("accounts", row);
    Ok(Account {
        number: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        parent: columns.take::<Option<i64>>()?.map(AccountNumber),
        friendly_name: columns.take()?,
        status: columns.word("status", Status::parse)?,
        default_service: columns.opt_sid()?,
        default_messaging_service: columns.opt_sid()?,
        default_inactive_timer: columns.take()?,
        default_closed_timer: columns.take()?,
        created: columns.time()?,
        updated: columns.time()?,
        owner: columns.sid()?,
        owner_status: columns.word("status", Status::parse)?,
    })
}

/// The account with this SID.
pub async fn find(tx: &mut Tx<'_>, sid: Sid<AccountKind>) -> Outcome<Option<Account>> {
    tx.query_opt(&BY_SID, &[sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The account that was there first.
pub async fn first(tx: &mut Tx<'_>) -> Outcome<Option<Account>> {
    tx.query_opt(&FIRST, &[]).await?.as_ref().map(read).transpose()
}

/// The account with this number.
pub async fn get(tx: &mut Tx<'_>, number: AccountNumber) -> Outcome<Account> {
    read(&tx.query_one(&BY_NUMBER, &[number.into()]).await?)
}

/// The account with this number, locked against other writers until the commit.
pub async fn get_locked(tx: &mut Tx<'_>, number: AccountNumber) -> Outcome<Account> {
    read(&tx.query_one(&BY_NUMBER_LOCKED, &[number.into()]).await?)
}

/// The sealed auth tokens: primary, and secondary while there is one.
pub async fn auth_tokens(tx: &mut Tx<'_>, number: AccountNumber) -> Outcome<(Vec<u8>, Option<Vec<u8>>)> {
    let row = tx.query_one(&AUTH_TOKEN, &[number.into()]).await?;
    Ok((row.get(0)?, row.get(1)?))
}

/// Which accounts a list is of.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// This one and its subaccounts; everybody's without it.
    pub of: Option<AccountNumber>,
    /// With exactly this name.
    pub friendly_name: Option<String>,
    /// In this status.
    pub status: Option<Status>,
}

/// Accounts in the order of their creation, with their sealed auth tokens.
pub async fn list(tx: &mut Tx<'_>, filter: &Filter, span: Span<Created<'_>>) -> Outcome<Vec<(Account, Vec<u8>)>> {
    let sql = match (filter.of, span.backwards) {
        (Some(_), false) => &LIST,
        (Some(_), true) => &LIST_BACK,
        (None, false) => &LIST_ALL,
        (None, true) => &LIST_ALL_BACK,
    };
    let values = [
        filter.of.map(|of| of.0).into(),
        filter.friendly_name.as_deref().into(),
        filter.status.map(Status::word).into(),
        span.key.0.into(),
        span.key.1.into(),
        span.limit.into(),
    ];
    let rows = tx.query(sql, &values).await?;
    rows.iter().map(|row| Ok((read(row)?, row.get(13)?))).collect()
}

/// Stores an account's name and status as they stand.
pub async fn update(tx: &mut Tx<'_>, account: &Account, now: Timestamp) -> Outcome<Account> {
    let values = [
        account.number.into(),
        account.friendly_name.as_str().into(),
        account.status.word().into(),
        now.micros().into(),
    ];
    read(&tx.query_one(&UPDATE, &values).await?)
}

/// Stores an account's sealed auth tokens.
pub async fn set_auth_tokens(
    tx: &mut Tx<'_>,
    number: AccountNumber,
    primary: Vec<u8>,
    secondary: Option<Vec<u8>>,
    now: Timestamp,
) -> Outcome<()> {
    tx.execute(&SET_AUTH_TOKENS, &[number.into(), primary.into(), secondary.into(), now.micros().into()]).await?;
    Ok(())
}

/// Whether there is no account at all.
pub async fn is_empty(tx: &mut Tx<'_>) -> Outcome<bool> {
    Ok(tx.query_opt(&ANY, &[]).await?.is_none())
}

/// Locks the installation until the commit: accounts come into being one after the other, on whichever server.
pub async fn lock_installation(tx: &mut Tx<'_>) -> Outcome<()> {
    tx.query_opt(&LOCK_INSTALLATION, &[]).await?;
    Ok(())
}

/// As [`is_empty`]. Whoever asks first holds the installation until the commit.
pub async fn is_empty_locked(tx: &mut Tx<'_>) -> Outcome<bool> {
    lock_installation(tx).await?;
    is_empty(tx).await
}

/// The subaccounts of an account.
pub async fn subaccounts(tx: &mut Tx<'_>, owner: AccountNumber) -> Outcome<Vec<AccountNumber>> {
    tx.query(&SUBACCOUNTS, &[owner.into()]).await?.iter().map(|row| Ok(AccountNumber(row.get(0)?))).collect()
}

/// How many subaccounts an account has that are not closed. Whoever asks holds the installation until the commit,
/// so that no other one comes into being meanwhile.
pub async fn count_subaccounts_locked(tx: &mut Tx<'_>, parent: AccountNumber) -> Outcome<i64> {
    lock_installation(tx).await?;
    Ok(tx.query_one(&COUNT_SUBACCOUNTS, &[parent.into(), Status::Closed.word().into()]).await?.get(0)?)
}

/// A new account's row.
pub struct NewAccount<'a> {
    /// Its SID.
    pub sid: Sid<AccountKind>,
    /// The owner, for a subaccount.
    pub parent: Option<AccountNumber>,
    /// Its name.
    pub friendly_name: &'a str,
    /// Its auth token, sealed.
    pub auth_token: Vec<u8>,
    /// The chat service it is born with.
    pub default_service: Sid<Service>,
}

/// Inserts an account under the next number.
pub async fn insert(tx: &mut Tx<'_>, new: NewAccount<'_>, now: Timestamp) -> Outcome<Account> {
    lock_installation(tx).await?;
    let number: i64 = tx.query_one(&NEXT_NUMBER, &[]).await?.get(0)?;
    let values = [
        number.into(),
        new.sid.as_str().into(),
        new.parent.map(|parent| parent.0).into(),
        new.friendly_name.into(),
        Status::Active.word().into(),
        new.auth_token.into(),
        new.default_service.as_str().into(),
        now.micros().into(),
    ];
    read(&tx.query_one(&INSERT, &values).await?)
}

/// Stores an account's defaults as they stand.
pub async fn configure(tx: &mut Tx<'_>, account: &Account, now: Timestamp) -> Outcome<Account> {
    let values = [
        account.number.into(),
        account.default_service.as_ref().map(Sid::as_str).into(),
        account.default_messaging_service.as_ref().map(Sid::as_str).into(),
        account.default_inactive_timer.as_deref().into(),
        account.default_closed_timer.as_deref().into(),
        now.micros().into(),
    ];
    read(&tx.query_one(&CONFIGURE, &values).await?)
}

/// The installation's id; clients' caches are bound to it.
pub async fn installation(tx: &mut Tx<'_>) -> Outcome<Option<String>> {
    Ok(tx.query_opt(&INSTALLATION, &[]).await?.map(|row| row.get(0)).transpose()?)
}

/// Gives the installation an id, unless it has one.
pub async fn install(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Outcome<()> {
    tx.execute(&INSTALL, &[id.into(), now.micros().into()]).await?;
    Ok(())
}

/// The key that the dev servers of this database seal with.
pub async fn dev_seal_key(tx: &mut Tx<'_>) -> Outcome<Option<Vec<u8>>> {
    let Some(row) = tx.query_opt(&DEV_SEAL_KEY, &[]).await? else { return Ok(None) };
    Ok(row.get(0)?)
}

/// Stores that key, or forgets it.
pub async fn set_dev_seal_key(tx: &mut Tx<'_>, key: Option<&[u8; 32]>) -> Outcome<()> {
    tx.execute(&SET_DEV_SEAL_KEY, &[key.map(|bits| bits.to_vec()).into()]).await?;
    Ok(())
}
