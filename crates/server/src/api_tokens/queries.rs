//! SQL of API tokens.

use tertulia_store::{Row, Sql, Tx};

use super::ApiToken;
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, id, hash, subject, facts, friendly_name, expires, created"
    };
}

static FIND: Sql = Sql::new(concat!("SELECT ", columns!(), " FROM api_tokens WHERE account = $1 AND id = $2"));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM api_tokens WHERE account = $1 AND (created, id) > ($2, $3) ORDER BY created, id LIMIT $4"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM api_tokens WHERE account = $1 AND (created, id) < ($2, $3) ORDER BY created DESC, id DESC LIMIT $4"
));
static INSERT: Sql =
    Sql::new(concat!("INSERT INTO api_tokens (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"));
static DELETE: Sql = Sql::new("DELETE FROM api_tokens WHERE account = $1 AND id = $2");

static FORGET: Sql = Sql::new("DELETE FROM api_tokens WHERE account = $1");

fn read(row: &Row) -> Outcome<ApiToken> {
    let mut columns = Columns::of("api_tokens", row);
    Ok(ApiToken {
        account: AccountNumber(columns.take()?),
        id: columns.take()?,
        hash: columns.take()?,
        subject: columns.take()?,
        facts: columns.take()?,
        friendly_name: columns.take()?,
        expires: columns.opt_time()?,
        created: columns.time()?,
    })
}

/// An account's token with this id.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, id: &str) -> Outcome<Option<ApiToken>> {
    tx.query_opt(&FIND, &[account.into(), id.into()]).await?.as_ref().map(read).transpose()
}

/// An account's tokens in the order of their creation; the span says which.
pub async fn list(tx: &mut Tx<'_>, account: AccountNumber, span: Span<Created<'_>>) -> Outcome<Vec<ApiToken>> {
    let sql = if span.backwards { &LIST_BACK } else { &LIST };
    let values = [account.into(), span.key.0.into(), span.key.1.into(), span.limit.into()];
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// Inserts a token.
pub async fn insert(tx: &mut Tx<'_>, token: &ApiToken) -> Outcome<()> {
    let values = [
        token.account.into(),
        token.id.as_str().into(),
        token.hash.clone().into(),
        token.subject.as_str().into(),
        token.facts.as_str().into(),
        token.friendly_name.as_str().into(),
        token.expires.map(|expires| expires.micros()).into(),
        token.created.micros().into(),
    ];
    tx.execute(&INSERT, &values).await?;
    Ok(())
}

/// Deletes a token; whether it was there.
pub async fn delete(tx: &mut Tx<'_>, account: AccountNumber, id: &str) -> Outcome<bool> {
    Ok(tx.execute(&DELETE, &[account.into(), id.into()]).await? > 0)
}

/// Deletes every token of an account that is closed; gives how many.
pub async fn forget(tx: &mut Tx<'_>, account: AccountNumber) -> Outcome<u64> {
    Ok(tx.execute(&FORGET, &[account.into()]).await?)
}
