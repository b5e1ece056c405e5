//! SQL of chat services.

use tertulia_protocol::sid::{Role, Service as ServiceKind};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::Service;
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, sid, friendly_name, conversation_creator_role_sid, conversation_role_sid, service_role_sid, \
         reachability_enabled, open_conversations, created, updated"
    };
}

macro_rules! find {
    () => {
        concat!("SELECT ", columns!(), " FROM services WHERE account = $1 AND sid = $2 AND removed IS NULL")
    };
}

static FIND: Sql = Sql::new(find!());
// SQLite has one writer, so a transaction that writes holds everything already.
static FIND_LOCKED: Sql = Sql::pair(find!(), concat!(find!(), " FOR UPDATE"));
static FIND_HELD: Sql = Sql::pair(find!(), concat!(find!(), " FOR SHARE"));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM services WHERE account = $1 AND removed IS NULL AND (created, sid) > ($2, $3) ORDER BY created, sid LIMIT $4"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM services WHERE account = $1 AND removed IS NULL AND (created, sid) < ($2, $3) ORDER BY created DESC, sid DESC LIMIT $4"
));
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO services (account, sid, friendly_name, conversation_creator_role_sid, conversation_role_sid, ",
    "service_role_sid, reachability_enabled, open_conversations, created, updated) ",
    "VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, $7) RETURNING ",
    columns!()
));
static CONFIGURE: Sql = Sql::new(concat!(
    "UPDATE services SET conversation_creator_role_sid = $3, conversation_role_sid = $4, service_role_sid = $5, ",
    "reachability_enabled = $6, open_conversations = $7, updated = $8 WHERE account = $1 AND sid = $2 AND removed IS NULL RETURNING ",
    columns!()
));
static ANYWHERE: Sql = Sql::new("SELECT 1 FROM services WHERE sid = $1");
static REMOVE: Sql =
    Sql::new("UPDATE services SET removed = $3, updated = $3 WHERE account = $1 AND sid = $2 AND removed IS NULL");
static DELETE: Sql = Sql::new("DELETE FROM services WHERE account = $1 AND sid = $2 AND removed IS NOT NULL");

fn read(row: &Row) -> Outcome<Service> {
    let mut columns = Columns::of("services", row);
    Ok(Service {
        account: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        friendly_name: columns.take()?,
        conversation_creator_role: columns.sid()?,
        conversation_role: columns.sid()?,
        service_role: columns.sid()?,
        reachability_enabled: columns.take()?,
        has_open_conversations: columns.take()?,
        created: columns.time()?,
        updated: columns.time()?,
    })
}

/// A service of an account.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<ServiceKind>) -> Outcome<Option<Service>> {
    tx.query_opt(&FIND, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// Whether any account has, or had, a service with this SID.
pub async fn is_anywhere(tx: &mut Tx<'_>, sid: Sid<ServiceKind>) -> Outcome<bool> {
    Ok(tx.query_opt(&ANYWHERE, &[sid.as_str().into()]).await?.is_some())
}

/// A service as it stands now, locked against other writers until the commit.
pub async fn lock(tx: &mut Tx<'_>, service: &Service) -> Outcome<Option<Service>> {
    let values = [service.account.into(), service.sid.as_str().into()];
    tx.query_opt(&FIND_LOCKED, &values).await?.as_ref().map(read).transpose()
}

/// A service, if it is there and stays until the commit; others may hold it at the same time.
pub async fn hold(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<ServiceKind>) -> Outcome<Option<Service>> {
    tx.query_opt(&FIND_HELD, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// An account's services in the order of their creation; the span says which.
pub async fn list(tx: &mut Tx<'_>, account: AccountNumber, span: Span<Created<'_>>) -> Outcome<Vec<Service>> {
    let rows = tx
        .query(
            if span.backwards { &LIST_BACK } else { &LIST },
            &[account.into(), span.key.0.into(), span.key.1.into(), span.limit.into()],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// The three roles that a service gives by default.
#[derive(Clone, Copy, Debug)]
pub struct DefaultRoles {
    /// To who creates a conversation through the SDK.
    pub conversation_creator: Sid<Role>,
    /// To who is added to a conversation.
    pub conversation: Sid<Role>,
    /// To a new user.
    pub service: Sid<Role>,
}

/// Inserts a service.
pub async fn insert(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    sid: Sid<ServiceKind>,
    friendly_name: &str,
    roles: DefaultRoles,
    now: Timestamp,
) -> Outcome<Service> {
    let values = [
        account.into(),
        sid.as_str().into(),
        friendly_name.into(),
        roles.conversation_creator.as_str().into(),
        roles.conversation.as_str().into(),
        roles.service.as_str().into(),
        now.micros().into(),
    ];
    read(&tx.query_one(&INSERT, &values).await?)
}

/// Stores a service's configuration.
pub async fn configure(tx: &mut Tx<'_>, service: &Service, now: Timestamp) -> Outcome<Option<Service>> {
    let values = [
        service.account.into(),
        service.sid.as_str().into(),
        service.conversation_creator_role.as_str().into(),
        service.conversation_role.as_str().into(),
        service.service_role.as_str().into(),
        service.reachability_enabled.into(),
        service.has_open_conversations.into(),
        now.micros().into(),
    ];
    tx.query_opt(&CONFIGURE, &values).await?.as_ref().map(read).transpose()
}

/// Marks a service as removed; its rows are purged afterwards, in batches.
pub async fn mark_removed(tx: &mut Tx<'_>, service: &Service, now: Timestamp) -> Outcome<()> {
    tx.execute(&REMOVE, &[service.account.into(), service.sid.as_str().into(), now.micros().into()]).await?;
    Ok(())
}

/// Deletes the row of a service that nothing belongs to any more.
pub async fn delete(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<ServiceKind>) -> Outcome<()> {
    tx.execute(&DELETE, &[account.into(), sid.as_str().into()]).await?;
    Ok(())
}
