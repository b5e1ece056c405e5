//! SQL of users.

use tertulia_protocol::sid::{Role, Service, User as UserKind};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::User;
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, sid, service_sid, identity, friendly_name, attributes, role_sid, online, created, updated, \
         mine_position, conversations_count, info_position, friendly_name_pos, attributes_pos, online_pos"
    };
}

macro_rules! find {
    () => {
        concat!("SELECT ", columns!(), " FROM users WHERE account = $1 AND sid = $2 AND removed IS NULL")
    };
}

static FIND: Sql = Sql::new(find!());
// SQLite has one writer, so a transaction that writes holds everything already.
static FIND_LOCKED: Sql = Sql::pair(find!(), concat!(find!(), " FOR UPDATE"));
static BY_IDENTITY: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM users WHERE account = $1 AND service_sid = $2 AND identity = $3 AND removed IS NULL"
));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM users WHERE account = $1 AND service_sid = $2 AND removed IS NULL AND (created, sid) > ($3, $4) ",
    "ORDER BY created, sid LIMIT $5"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM users WHERE account = $1 AND service_sid = $2 AND removed IS NULL AND (created, sid) < ($3, $4) ",
    "ORDER BY created DESC, sid DESC LIMIT $5"
));
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO users (account, sid, service_sid, identity, friendly_name, attributes, role_sid, created, updated, ",
    "mine_position, conversations_count, info_position, friendly_name_pos, attributes_pos, online_pos) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0, 0, 1, 1, 1, 1) ON CONFLICT DO NOTHING RETURNING ",
    columns!()
));
static UPDATE: Sql = Sql::new(concat!(
    "UPDATE users SET friendly_name = $3, attributes = $4, role_sid = $5, updated = $6, info_position = $7, ",
    "friendly_name_pos = $8, attributes_pos = $9 WHERE account = $1 AND sid = $2 AND removed IS NULL RETURNING ",
    columns!()
));
// Whether somebody is online is none of their dates' business.
static SET_ONLINE: Sql =
    Sql::new("UPDATE users SET online = $3, info_position = $4, online_pos = $5 WHERE account = $1 AND sid = $2");
static BUMP_MINE: Sql = Sql::new(
    "UPDATE users SET mine_position = mine_position + 1, conversations_count = conversations_count + $3 \
     WHERE account = $1 AND sid = $2 AND (removed IS NULL OR $3 < 1) RETURNING mine_position, conversations_count",
);
static REMOVE: Sql = Sql::new(
    "UPDATE users SET removed = $3, friendly_name = NULL, attributes = '{}', identity = '' \
     WHERE account = $1 AND sid = $2 AND removed IS NULL",
);
static HOLDS_ROLE: Sql = Sql::new(
    "SELECT COUNT(*) FROM (SELECT 1 FROM users WHERE account = $1 AND service_sid = $2 AND role_sid = $3 \
     AND removed IS NULL LIMIT 1) AS found",
);
static PURGE: Sql = Sql::new(
    "DELETE FROM users WHERE account = $1 AND sid IN \
     (SELECT sid FROM users WHERE account = $1 AND service_sid = $2 LIMIT $3) RETURNING sid, mine_position",
);

fn read(row: &Row) -> Outcome<User> {
    let mut columns = Columns::of("users", row);
    Ok(User {
        account: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        service: columns.sid()?,
        identity: columns.take()?,
        friendly_name: columns.take()?,
        attributes: columns.take()?,
        role: columns.sid()?,
        online: columns.take()?,
        created: columns.time()?,
        updated: columns.time()?,
        mine_position: columns.take()?,
        conversations_count: columns.take()?,
        info_position: columns.take()?,
        friendly_name_pos: columns.take()?,
        attributes_pos: columns.take()?,
        online_pos: columns.take()?,
    })
}

/// A user of an account, of whichever service.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<UserKind>) -> Outcome<Option<User>> {
    tx.query_opt(&FIND, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// A user as it stands now, locked against other writers until the commit.
pub async fn lock(tx: &mut Tx<'_>, user: &User) -> Outcome<Option<User>> {
    find_locked(tx, user.account, user.sid).await
}

/// As [`find`], and the row is locked against other writers until the commit.
pub async fn find_locked(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<UserKind>) -> Outcome<Option<User>> {
    tx.query_opt(&FIND_LOCKED, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The user with this identity in a service.
pub async fn find_by_identity(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    identity: &str,
) -> Outcome<Option<User>> {
    let values = [account.into(), service.as_str().into(), identity.into()];
    tx.query_opt(&BY_IDENTITY, &values).await?.as_ref().map(read).transpose()
}

/// A service's users in the order of their creation; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    span: Span<Created<'_>>,
) -> Outcome<Vec<User>> {
    let values = [account.into(), service.as_str().into(), span.key.0.into(), span.key.1.into(), span.limit.into()];
    tx.query(if span.backwards { &LIST_BACK } else { &LIST }, &values).await?.iter().map(read).collect()
}

/// A new user's row.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// Its SID.
    pub sid: Sid<UserKind>,
    /// The chat service.
    pub service: Sid<Service>,
    /// The app's own name for the user.
    pub identity: &'a str,
    /// Name to show.
    pub friendly_name: Option<&'a str>,
    /// JSON text.
    pub attributes: &'a str,
    /// Role in the service.
    pub role: Sid<Role>,
}

/// Inserts a user, unless the identity is taken: then `None`.
pub async fn insert(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    new: &NewUser<'_>,
    now: Timestamp,
) -> Outcome<Option<User>> {
    let values = [
        account.into(),
        new.sid.as_str().into(),
        new.service.as_str().into(),
        new.identity.into(),
        new.friendly_name.into(),
        new.attributes.into(),
        new.role.as_str().into(),
        now.micros().into(),
    ];
    tx.query_opt(&INSERT, &values).await?.as_ref().map(read).transpose()
}

/// Stores name, attributes, role and positions as they stand in `user`.
pub async fn update(tx: &mut Tx<'_>, user: &User) -> Outcome<Option<User>> {
    let values = [
        user.account.into(),
        user.sid.as_str().into(),
        user.friendly_name.as_deref().into(),
        user.attributes.as_str().into(),
        user.role.as_str().into(),
        user.updated.micros().into(),
        user.info_position.into(),
        user.friendly_name_pos.into(),
        user.attributes_pos.into(),
    ];
    tx.query_opt(&UPDATE, &values).await?.as_ref().map(read).transpose()
}

/// Stores whether a user, whose row is locked, is online, with the positions as they stand in `user`.
pub async fn set_online(tx: &mut Tx<'_>, user: &User, online: bool) -> Outcome<()> {
    let values = [
        user.account.into(),
        user.sid.as_str().into(),
        online.into(),
        user.info_position.into(),
        user.online_pos.into(),
    ];
    tx.execute(&SET_ONLINE, &values).await?;
    Ok(())
}

/// Takes the next position of a user's `mine`, and counts `joined` (1, 0 or -1) conversations.
/// Gives the position and the count after it; a user who has just been deleted joins nothing.
pub async fn bump_mine(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    sid: Sid<UserKind>,
    joined: i64,
) -> Outcome<(i64, i64)> {
    let row = tx.query_opt(&BUMP_MINE, &[account.into(), sid.as_str().into(), joined.into()]).await?;
    let row = row.ok_or(super::Refusal::NotFound)?;
    Ok((row.get(0)?, row.get(1)?))
}

/// Empties a user's row and frees the identity.
pub async fn remove(tx: &mut Tx<'_>, user: &User, now: Timestamp) -> Outcome<()> {
    tx.execute(&REMOVE, &[user.account.into(), user.sid.as_str().into(), now.micros().into()]).await?;
    Ok(())
}

/// Whether some user of the service holds the role.
pub async fn any_holds_role(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    role: Sid<Role>,
) -> Outcome<bool> {
    let values = [account.into(), service.as_str().into(), role.as_str().into()];
    Ok(tx.query_one(&HOLDS_ROLE, &values).await?.get(0)?)
}

/// Deletes up to `limit` users of a service that is being purged; gives who they were, with their positions of
/// `mine`.
pub async fn purge(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    limit: i64,
) -> Outcome<Vec<(Sid<UserKind>, i64)>> {
    let rows = tx.query(&PURGE, &[account.into(), service.as_str().into(), limit.into()]).await?;
    let read = |row: &Row| {
        let mut columns = Columns::of("users", row);
        Ok((columns.sid()?, columns.take()?))
    };
    rows.iter().map(read).collect()
}
