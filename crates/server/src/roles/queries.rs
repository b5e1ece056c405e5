//! SQL of roles.

use tertulia_protocol::sid::{Role as RoleKind, Service};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::{Permissions, Role, Scope};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, sid, service_sid, friendly_name, kind, permissions, created, updated"
    };
}

macro_rules! find {
    () => {
        concat!("SELECT ", columns!(), " FROM roles WHERE account = $1 AND sid = $2")
    };
}

static FIND: Sql = Sql::new(find!());
// SQLite has one writer, so a transaction that writes holds everything already.
static FIND_TO_GIVE: Sql = Sql::pair(find!(), concat!(find!(), " FOR SHARE"));
static FIND_LOCKED: Sql = Sql::pair(find!(), concat!(find!(), " FOR UPDATE"));
static FIND_NAMED: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM roles WHERE account = $1 AND service_sid = $2 AND kind = $3 AND friendly_name = $4 ORDER BY created, sid LIMIT 1"
));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM roles WHERE account = $1 AND service_sid = $2 AND (created, sid) > ($3, $4) ORDER BY created, sid LIMIT $5"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM roles WHERE account = $1 AND service_sid = $2 AND (created, sid) < ($3, $4) ORDER BY created DESC, sid DESC LIMIT $5"
));
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO roles (account, sid, service_sid, friendly_name, kind, permissions, created, updated) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING ",
    columns!()
));
static SET_PERMISSIONS: Sql = Sql::new(concat!(
    "UPDATE roles SET permissions = $3, updated = $4 WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static ANYWHERE: Sql = Sql::new("SELECT 1 FROM roles WHERE sid = $1");
static DELETE: Sql = Sql::new("DELETE FROM roles WHERE account = $1 AND sid = $2");
static PURGE: Sql = Sql::new("DELETE FROM roles WHERE account = $1 AND service_sid = $2");

fn read(row: &Row) -> Outcome<Role> {
    let mut columns = Columns::of("roles", row);
    Ok(Role {
        account: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        service: columns.sid()?,
        friendly_name: columns.take()?,
        scope: columns.word("kind", Scope::parse)?,
        permissions: columns.word("permissions", Permissions::parse)?,
        created: columns.time()?,
        updated: columns.time()?,
    })
}

/// A role of an account, of whichever service.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<RoleKind>) -> Outcome<Option<Role>> {
    tx.query_opt(&FIND, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// Whether any account has a role with this SID.
pub async fn is_anywhere(tx: &mut Tx<'_>, sid: Sid<RoleKind>) -> Outcome<bool> {
    Ok(tx.query_opt(&ANYWHERE, &[sid.as_str().into()]).await?.is_some())
}

/// A service's oldest role with this name.
pub async fn find_named(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    scope: Scope,
    name: &str,
) -> Outcome<Option<Role>> {
    let values = [account.into(), service.as_str().into(), scope.word().into(), name.into()];
    tx.query_opt(&FIND_NAMED, &values).await?.as_ref().map(read).transpose()
}

/// A role that is about to be given to somebody: until the commit it is not deleted.
pub async fn find_to_give(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<RoleKind>) -> Outcome<Option<Role>> {
    tx.query_opt(&FIND_TO_GIVE, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// A role as it stands now, given to nobody until the commit.
pub async fn lock(tx: &mut Tx<'_>, role: &Role) -> Outcome<Option<Role>> {
    tx.query_opt(&FIND_LOCKED, &[role.account.into(), role.sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// A service's roles in the order of their creation; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    span: Span<Created<'_>>,
) -> Outcome<Vec<Role>> {
    let values = [account.into(), service.as_str().into(), span.key.0.into(), span.key.1.into(), span.limit.into()];
    tx.query(if span.backwards { &LIST_BACK } else { &LIST }, &values).await?.iter().map(read).collect()
}

/// A new role's row.
#[derive(Clone, Debug)]
pub struct NewRole<'a> {
    /// Its SID.
    pub sid: Sid<RoleKind>,
    /// Its chat service.
    pub service: Sid<Service>,
    /// Its name.
    pub friendly_name: &'a str,
    /// Where it counts.
    pub scope: Scope,
    /// What it allows.
    pub permissions: Permissions,
}

/// Inserts a role.
pub async fn insert(tx: &mut Tx<'_>, account: AccountNumber, new: &NewRole<'_>, now: Timestamp) -> Outcome<Role> {
    let values = [
        account.into(),
        new.sid.as_str().into(),
        new.service.as_str().into(),
        new.friendly_name.into(),
        new.scope.word().into(),
        new.permissions.words().join(" ").into(),
        now.micros().into(),
    ];
    read(&tx.query_one(&INSERT, &values).await?)
}

/// Replaces what a role allows.
pub async fn set_permissions(
    tx: &mut Tx<'_>,
    role: &Role,
    permissions: Permissions,
    now: Timestamp,
) -> Outcome<Option<Role>> {
    let values =
        [role.account.into(), role.sid.as_str().into(), permissions.words().join(" ").into(), now.micros().into()];
    tx.query_opt(&SET_PERMISSIONS, &values).await?.as_ref().map(read).transpose()
}

/// Deletes a role.
pub async fn delete(tx: &mut Tx<'_>, role: &Role) -> Outcome<()> {
    tx.execute(&DELETE, &[role.account.into(), role.sid.as_str().into()]).await?;
    Ok(())
}

/// Deletes every role of a service that is being purged.
pub async fn purge(tx: &mut Tx<'_>, account: AccountNumber, service: Sid<Service>) -> Outcome<()> {
    tx.execute(&PURGE, &[account.into(), service.as_str().into()]).await?;
    Ok(())
}
