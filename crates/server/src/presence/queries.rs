//! SQL of presences and leases.

use tertulia_protocol::sid::User;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Sql, Tx};

use crate::platform::{AccountNumber, Columns, Outcome};

static TAKE_LEASE: Sql =
    Sql::new("INSERT INTO leases (node, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING node");
static RENEW_LEASE: Sql = Sql::new("UPDATE leases SET expires = $2 WHERE node = $1 AND ended IS NULL RETURNING node");
static END_LAPSED: Sql = Sql::new("UPDATE leases SET ended = $1 WHERE ended IS NULL AND expires <= $1 AND node <> $2");
static STALE: Sql = Sql::new(
    "SELECT node, ended FROM leases WHERE (ended IS NOT NULL OR expires <= $1) AND node <> $2 ORDER BY node LIMIT $3",
);
static DROP_LEASE: Sql = Sql::new(
    "DELETE FROM leases WHERE node = $1 AND ended IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM presences WHERE presences.node = $1)",
);
static INSERT: Sql =
    Sql::new("INSERT INTO presences (account, user_sid, node) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
static DELETE: Sql = Sql::new("DELETE FROM presences WHERE account = $1 AND user_sid = $2 AND node = $3");
static ANY: Sql = Sql::new("SELECT node FROM presences WHERE account = $1 AND user_sid = $2 LIMIT 1");
static OF_NODE: Sql =
    Sql::new("SELECT account, user_sid FROM presences WHERE node = $1 ORDER BY account, user_sid LIMIT $2");

/// Takes a lease for a node that has none; `false` when it had one once.
pub async fn take_lease(tx: &mut Tx<'_>, node: &str, expires: Timestamp) -> Outcome<bool> {
    Ok(tx.query_opt(&TAKE_LEASE, &[node.into(), expires.micros().into()]).await?.is_some())
}

/// Moves the end of a node's lease; `false` when it has ended.
pub async fn renew_lease(tx: &mut Tx<'_>, node: &str, expires: Timestamp) -> Outcome<bool> {
    Ok(tx.query_opt(&RENEW_LEASE, &[node.into(), expires.micros().into()]).await?.is_some())
}

/// Ends the leases of other nodes that were not renewed in time. An ended lease never comes back.
pub async fn end_lapsed(tx: &mut Tx<'_>, own: &str, now: Timestamp) -> Outcome<()> {
    tx.execute(&END_LAPSED, &[now.micros().into(), own.into()]).await?;
    Ok(())
}

/// Some nodes whose leases have lapsed, and whether they are ended already.
pub async fn stale(tx: &mut Tx<'_>, own: &str, now: Timestamp, limit: i64) -> Outcome<Vec<(String, bool)>> {
    let rows = tx.query(&STALE, &[now.micros().into(), own.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get::<Option<i64>>(1)?.is_some()))).collect()
}

/// Deletes the row of an ended lease on which nothing hangs any more.
pub async fn drop_lease(tx: &mut Tx<'_>, node: &str) -> Outcome<()> {
    tx.execute(&DROP_LEASE, &[node.into()]).await?;
    Ok(())
}

/// Notes that a user, whose row is locked, is connected to a node.
pub async fn insert(tx: &mut Tx<'_>, account: AccountNumber, user: Sid<User>, node: &str) -> Outcome<()> {
    tx.execute(&INSERT, &[account.into(), user.as_str().into(), node.into()]).await?;
    Ok(())
}

/// Takes a presence back; whether there was one.
pub async fn delete(tx: &mut Tx<'_>, account: AccountNumber, user: Sid<User>, node: &str) -> Outcome<bool> {
    Ok(tx.execute(&DELETE, &[account.into(), user.as_str().into(), node.into()]).await? > 0)
}

/// Whether a user, whose row is locked, is connected to any node.
pub async fn is_anywhere(tx: &mut Tx<'_>, account: AccountNumber, user: Sid<User>) -> Outcome<bool> {
    Ok(tx.query_opt(&ANY, &[account.into(), user.as_str().into()]).await?.is_some())
}

/// Some of the users that are connected to a node, in the order of accounts and SIDs.
pub async fn of_node(tx: &mut Tx<'_>, node: &str, limit: i64) -> Outcome<Vec<(AccountNumber, Sid<User>)>> {
    let rows = tx.query(&OF_NODE, &[node.into(), limit.into()]).await?;
    let pair = |row| {
        let mut columns = Columns::of("presences", row);
        Ok((AccountNumber(columns.take()?), columns.sid()?))
    };
    rows.iter().map(pair).collect()
}
