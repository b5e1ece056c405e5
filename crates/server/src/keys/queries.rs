//! SQL of API keys.

use tertulia_protocol::sid::Key as KeyKind;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{P, Row, Sql, Tx};

use super::{Key, Kind, Policy};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Error, Outcome};
use crate::sealed_column;

macro_rules! columns {
    () => {
        "account, sid, kind, friendly_name, created, updated, policy"
    };
}

macro_rules! own {
    () => {
        concat!("SELECT ", columns!(), " FROM keys WHERE account = $1 AND sid = $2")
    };
}

static BY_SID: Sql = Sql::new(concat!("SELECT ", columns!(), ", secret FROM keys WHERE sid = $1"));
static OWN: Sql = Sql::new(own!());
static OWN_LOCKED: Sql = Sql::pair(own!(), concat!(own!(), " FOR UPDATE"));
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
    "INSERT INTO keys (account, sid, kind, friendly_name, secret, created, updated, policy) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $6, $7) RETURNING ",
    columns!()
));
static UPDATE: Sql = Sql::new(concat!(
    "UPDATE keys SET friendly_name = $3, policy = $4, updated = $5 WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static COUNT: Sql = Sql::new("SELECT COUNT(*) FROM keys WHERE account = $1");
static DELETE: Sql = Sql::new("DELETE FROM keys WHERE account = $1 AND sid = $2");

sealed_column! {
    /// The secrets of keys.
    pub static SECRETS = "keys", "secret";
}

fn read(row: &Row) -> Outcome<Key> {
    let mut columns = Columns::of("keys", row);
    Ok(Key {
        account: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        kind: columns.word("kind", Kind::parse)?,
        friendly_name: columns.take()?,
        created: columns.time()?,
        updated: columns.time()?,
        policy: columns.take::<Option<String>>()?.map(|json| policy(&json)).transpose()?,
    })
}

fn policy(json: &str) -> Outcome<Policy> {
    Policy::parse(json).map_err(|_| Error::Broken("a key's policy cannot be read".to_owned()))
}

fn policy_text(policy: Option<&Policy>) -> P<'static> {
    policy.map(|policy| policy.json().to_string()).into()
}

/// The key with this SID in any account, with its sealed secret: for a login or a token.
pub async fn find_anywhere(tx: &mut Tx<'_>, sid: Sid<KeyKind>) -> Outcome<Option<(Key, Vec<u8>)>> {
    let Some(row) = tx.query_opt(&BY_SID, &[sid.as_str().into()]).await? else { return Ok(None) };
    Ok(Some((read(&row)?, row.get(7)?)))
}

/// An account's own key.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<KeyKind>) -> Outcome<Option<Key>> {
    tx.query_opt(&OWN, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// As [`find`], locked against other writers until the commit.
pub async fn find_locked(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<KeyKind>) -> Outcome<Option<Key>> {
    tx.query_opt(&OWN_LOCKED, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
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

/// How many keys an account has.
pub async fn count(tx: &mut Tx<'_>, account: AccountNumber) -> Outcome<i64> {
    Ok(tx.query_one(&COUNT, &[account.into()]).await?.get(0)?)
}

/// A new key's row.
pub struct NewKey<'a> {
    /// The owner.
    pub account: AccountNumber,
    /// Its SID.
    pub sid: Sid<KeyKind>,
    /// What it may do.
    pub kind: Kind,
    /// Its name.
    pub friendly_name: &'a str,
    /// What a Restricted key may do.
    pub policy: Option<&'a Policy>,
    /// Its secret, sealed.
    pub secret: Vec<u8>,
}

/// Inserts a key with its sealed secret.
pub async fn insert(tx: &mut Tx<'_>, new: NewKey<'_>, now: Timestamp) -> Outcome<Key> {
    let values = [
        new.account.into(),
        new.sid.as_str().into(),
        new.kind.word().into(),
        new.friendly_name.into(),
        new.secret.into(),
        now.micros().into(),
        policy_text(new.policy),
    ];
    read(&tx.query_one(&INSERT, &values).await?)
}

/// Stores a key's name and policy as they stand.
pub async fn update(tx: &mut Tx<'_>, key: &Key, now: Timestamp) -> Outcome<Option<Key>> {
    let values = [
        key.account.into(),
        key.sid.as_str().into(),
        key.friendly_name.as_str().into(),
        policy_text(key.policy.as_ref()),
        now.micros().into(),
    ];
    tx.query_opt(&UPDATE, &values).await?.as_ref().map(read).transpose()
}

/// Deletes a key; every token it signed dies with it.
pub async fn delete(tx: &mut Tx<'_>, key: &Key) -> Outcome<()> {
    tx.execute(&DELETE, &[key.account.into(), key.sid.as_str().into()]).await?;
    Ok(())
}
