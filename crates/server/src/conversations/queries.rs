//! SQL of conversations.

use tertulia_protocol::sid::{Conversation as ConversationKind, Service, User};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Failure, P, Row, Sql, Tx};

use super::{Conversation, State};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, sid, service_sid, friendly_name, unique_name, attributes, messaging_service_sid, state, state_since, \
         inactive_timer, closed_timer, bindings, created_by, created_by_user, created, updated, position, last_index, last_message_at, \
         active_at, messages_count, removed"
    };
}
macro_rules! find {
    () => {
        concat!("SELECT ", columns!(), " FROM conversations WHERE account = $1 AND sid = $2")
    };
}
macro_rules! find_by_name {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM conversations WHERE account = $1 AND service_sid = $2 AND unique_name = $3 AND removed IS NULL"
        )
    };
}
macro_rules! positions {
    () => {
        "SELECT c.sid, c.position, r.position FROM conversations c \
         JOIN participants p ON p.account = c.account AND p.conversation_sid = c.sid \
         JOIN rosters r ON r.account = c.account AND r.conversation_sid = c.sid \
         WHERE c.account = $1 AND c.service_sid = $2 AND c.removed IS NULL \
         AND p.user_sid = $3 AND p.removed IS NULL AND "
    };
}

static FIND: Sql = Sql::new(find!());
// SQLite has one writer, so a transaction that writes holds everything already.
static FIND_LOCKED: Sql = Sql::pair(find!(), concat!(find!(), " FOR UPDATE"));
static FIND_BY_NAME: Sql = Sql::new(find_by_name!());
static FIND_BY_NAME_LOCKED: Sql = Sql::pair(find_by_name!(), concat!(find_by_name!(), " FOR UPDATE"));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM conversations WHERE account = $1 AND service_sid = $2 AND removed IS NULL AND (created, sid) > ($3, $4) ",
    "AND (CAST($5 AS TEXT) IS NULL OR state = $5) ORDER BY created, sid LIMIT $6"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM conversations WHERE account = $1 AND service_sid = $2 AND removed IS NULL AND (created, sid) < ($3, $4) ",
    "AND (CAST($5 AS TEXT) IS NULL OR state = $5) ORDER BY created DESC, sid DESC LIMIT $6"
));
static LIST_BETWEEN: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM conversations WHERE account = $1 AND service_sid = $2 AND removed IS NULL AND (created, sid) < ($3, $4) ",
    "AND (CAST($5 AS TEXT) IS NULL OR state = $5) AND created >= $6 AND created <= $7 ",
    "ORDER BY created DESC, sid DESC LIMIT $8"
));
static LIST_BETWEEN_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM conversations WHERE account = $1 AND service_sid = $2 AND removed IS NULL AND (created, sid) > ($3, $4) ",
    "AND (CAST($5 AS TEXT) IS NULL OR state = $5) AND created >= $6 AND created <= $7 ",
    "ORDER BY created, sid LIMIT $8"
));
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO conversations (account, sid, service_sid, friendly_name, unique_name, attributes, ",
    "messaging_service_sid, state, state_since, inactive_timer, closed_timer, bindings, created_by, created_by_user, ",
    "created, updated, active_at, position, last_index, messages_count, purged) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, -1, 0, 0) ",
    "ON CONFLICT DO NOTHING RETURNING ",
    columns!()
));
static NAME_TAKEN: Sql = Sql::new(
    "SELECT sid FROM conversations WHERE account = $1 AND service_sid = $2 AND unique_name = $3 AND removed IS NULL",
);
static UPDATE: Sql = Sql::new(concat!(
    "UPDATE conversations SET friendly_name = $3, unique_name = $4, attributes = $5, messaging_service_sid = $6, ",
    "state = $7, state_since = $8, inactive_timer = $9, closed_timer = $10, bindings = $11, created = $12, ",
    "updated = $13, active_at = $14, position = position + 1 WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static TAKE_INDEX: Sql = Sql::new(concat!(
    "UPDATE conversations SET last_index = last_index + 1, position = position + 1, messages_count = messages_count + 1, ",
    "last_message_at = $3, active_at = $4, ",
    "state_since = CASE WHEN state = 'active' THEN state_since ELSE $4 END, state = 'active' ",
    "WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static TAKE_POSITION: Sql = Sql::new(concat!(
    "UPDATE conversations SET position = position + 1, messages_count = messages_count - $3 ",
    "WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static MARK_REMOVED: Sql = Sql::new(concat!(
    "UPDATE conversations SET removed = $3, friendly_name = NULL, unique_name = NULL, created_by = '', created_by_user = NULL, ",
    "attributes = '{}', bindings = NULL, messaging_service_sid = NULL, inactive_timer = NULL, closed_timer = NULL WHERE account = $1 AND sid = $2 RETURNING ",
    columns!()
));
static MARK_PURGED: Sql = Sql::new("UPDATE conversations SET purged = 1 WHERE account = $1 AND sid = $2");
static LIVE_OF_SERVICE: Sql = Sql::new(
    "SELECT sid FROM conversations WHERE account = $1 AND service_sid = $2 AND removed IS NULL ORDER BY created, sid LIMIT $3",
);

static UNPURGED_OF_SERVICE: Sql = Sql::new(
    "SELECT sid FROM conversations WHERE account = $1 AND service_sid = $2 AND removed IS NOT NULL AND purged = 0 \
     ORDER BY sid LIMIT $3",
);
static OPEN_AMONG: Sql = Sql::pair(
    "SELECT sid FROM conversations WHERE account = $1 AND sid IN (SELECT value FROM json_each($2)) \
     AND state <> 'closed' AND removed IS NULL ORDER BY sid",
    "SELECT sid FROM conversations WHERE account = $1 AND sid = ANY($2) \
     AND state <> 'closed' AND removed IS NULL ORDER BY sid",
);
// Three tables in one statement, so that a reconnect reads rights and positions of all conversations at once.
static POSITIONS: Sql = Sql::pair(
    concat!(positions!(), "c.sid IN (SELECT value FROM json_each($4))"),
    concat!(positions!(), "c.sid = ANY($4)"),
);

// One row an account: the index is read in leaps, not as a whole.

fn read(row: &Row) -> Outcome<Conversation> {
    let mut columns = Columns::of("conversations", row);
    Ok(Conversation {
        account: AccountNumber(columns.take()?),
        sid: columns.sid()?,
        service: columns.sid()?,
        friendly_name: columns.take()?,
        unique_name: columns.take()?,
        attributes: columns.take()?,
        messaging_service: columns.opt_sid()?,
        state: columns.word("state", State::parse)?,
        state_since: columns.time()?,
        inactive_timer: columns.take()?,
        closed_timer: columns.take()?,
        bindings: columns.take()?,
        created_by: columns.take()?,
        created_by_user: columns.opt_sid()?,
        created: columns.time()?,
        updated: columns.time()?,
        position: columns.take()?,
        last_index: columns.take()?,
        last_message_at: columns.opt_time()?,
        active_at: columns.time()?,
        messages_count: columns.take()?,
        removed: columns.opt_time()?,
    })
}

/// Whether a row that is found is also locked against other writers until the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// For changes: the first lock in the one order of locks.
    Row,
    /// For questions.
    None,
}

/// A conversation, deleted ones included until their row is gone.
pub async fn find_even_removed(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    sid: Sid<ConversationKind>,
    lock: Lock,
) -> Outcome<Option<Conversation>> {
    let sql = if lock == Lock::Row { &FIND_LOCKED } else { &FIND };
    tx.query_opt(sql, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The conversation of a service with this SID or unique name.
pub async fn find(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    key: &str,
    lock: Lock,
) -> Outcome<Option<Conversation>> {
    if key.contains('\0') {
        return Ok(None);
    }
    if let Ok(sid) = Sid::parse(key) {
        let found = find_even_removed(tx, account, sid, lock).await?;
        return Ok(found.filter(|found| found.service == service && found.removed.is_none()));
    }
    let sql = if lock == Lock::Row { &FIND_BY_NAME_LOCKED } else { &FIND_BY_NAME };
    let values = [account.into(), service.as_str().into(), key.into()];
    tx.query_opt(sql, &values).await?.as_ref().map(read).transpose()
}

/// Which conversations a list holds.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Created within these bounds; the list is then newest first.
    pub between: Option<(Timestamp, Timestamp)>,
}

/// A service's conversations in the order that the filter says; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    filter: &Filter,
    span: Span<Created<'_>>,
) -> Outcome<Vec<Conversation>> {
    let state: P<'_> = filter.state.map(State::word).into();
    let mut values: Vec<P<'_>> =
        vec![account.into(), service.as_str().into(), span.key.0.into(), span.key.1.into(), state];
    let sql = match (filter.between, span.backwards) {
        (None, false) => &LIST,
        (None, true) => &LIST_BACK,
        (Some(_), false) => &LIST_BETWEEN,
        (Some(_), true) => &LIST_BETWEEN_BACK,
    };
    if let Some((from, to)) = filter.between {
        values.extend([from.micros().into(), to.micros().into()]);
    }
    values.push(span.limit.into());
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// Inserts a conversation, unless its unique name is taken: then `None`.
pub async fn insert(tx: &mut Tx<'_>, new: &Conversation) -> Outcome<Option<Conversation>> {
    let values = [
        new.account.into(),
        new.sid.as_str().into(),
        new.service.as_str().into(),
        new.friendly_name.as_deref().into(),
        new.unique_name.as_deref().into(),
        new.attributes.as_str().into(),
        new.messaging_service.as_ref().map(Sid::as_str).into(),
        new.state.word().into(),
        new.state_since.micros().into(),
        new.inactive_timer.as_deref().into(),
        new.closed_timer.as_deref().into(),
        new.bindings.as_deref().into(),
        new.created_by.as_str().into(),
        new.created_by_user.as_ref().map(Sid::as_str).into(),
        new.created.micros().into(),
        new.updated.micros().into(),
        new.active_at.micros().into(),
    ];
    tx.query_opt(&INSERT, &values).await?.as_ref().map(read).transpose()
}

/// Whether a conversation other than `own` has the unique name.
pub async fn name_is_taken(tx: &mut Tx<'_>, own: &Conversation, name: &str) -> Outcome<bool> {
    let values = [own.account.into(), own.service.as_str().into(), name.into()];
    let found = tx.query_opt(&NAME_TAKEN, &values).await?;
    Ok(found.is_some_and(|row| row.text(0).is_ok_and(|sid| sid != own.sid.as_str())))
}

/// Stores a conversation as it stands and takes the next position. `None` when another transaction has
/// taken the unique name since [`name_is_taken`] was asked; nothing can follow in this one.
pub async fn update(tx: &mut Tx<'_>, conversation: &Conversation) -> Outcome<Option<Conversation>> {
    let values = [
        conversation.account.into(),
        conversation.sid.as_str().into(),
        conversation.friendly_name.as_deref().into(),
        conversation.unique_name.as_deref().into(),
        conversation.attributes.as_str().into(),
        conversation.messaging_service.as_ref().map(Sid::as_str).into(),
        conversation.state.word().into(),
        conversation.state_since.micros().into(),
        conversation.inactive_timer.as_deref().into(),
        conversation.closed_timer.as_deref().into(),
        conversation.bindings.as_deref().into(),
        conversation.created.micros().into(),
        conversation.updated.micros().into(),
        conversation.active_at.micros().into(),
    ];
    match tx.query_one(&UPDATE, &values).await {
        Err(Failure::Conflict { .. }) => Ok(None),
        outcome => read(&outcome?).map(Some),
    }
}

/// Takes the next message index and position in one statement: commit order is index order. `dated` is
/// the message's own date, `now` when it came. The conversation must be locked.
pub async fn take_index(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    dated: Timestamp,
    now: Timestamp,
) -> Outcome<Conversation> {
    let (account, sid) = (conversation.account, conversation.sid.as_str());
    let values = [account.into(), sid.into(), dated.micros().into(), now.micros().into()];
    read(&tx.query_one(&TAKE_INDEX, &values).await?)
}

/// Takes the next position, for an edited message or (`removed` 1) a removed one.
pub async fn take_position(tx: &mut Tx<'_>, conversation: &Conversation, removed: i64) -> Outcome<Conversation> {
    let values = [conversation.account.into(), conversation.sid.as_str().into(), removed.into()];
    read(&tx.query_one(&TAKE_POSITION, &values).await?)
}

/// Marks a conversation as removed and empties it; its name is free at once.
pub async fn mark_removed(tx: &mut Tx<'_>, conversation: &Conversation, now: Timestamp) -> Outcome<Conversation> {
    let values = [conversation.account.into(), conversation.sid.as_str().into(), now.micros().into()];
    read(&tx.query_one(&MARK_REMOVED, &values).await?)
}

/// Notes that nothing of a removed conversation is left but its row.
pub async fn mark_purged(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<ConversationKind>) -> Outcome<()> {
    tx.execute(&MARK_PURGED, &[account.into(), sid.as_str().into()]).await?;
    Ok(())
}

/// Some of a service's conversations that are not removed: for the purge of the service.
pub async fn live_of_service(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    limit: i64,
) -> Outcome<Vec<Sid<ConversationKind>>> {
    let values = [account.into(), service.as_str().into(), limit.into()];
    let rows = tx.query(&LIVE_OF_SERVICE, &values).await?;
    rows.iter().map(|row| Columns::of("conversations", row).sid()).collect()
}

/// Some of a service's conversations that are removed and not purged: for the purge of the service.
pub async fn unpurged_of_service(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    limit: i64,
) -> Outcome<Vec<Sid<ConversationKind>>> {
    let values = [account.into(), service.as_str().into(), limit.into()];
    let rows = tx.query(&UNPURGED_OF_SERVICE, &values).await?;
    rows.iter().map(|row| Columns::of("conversations", row).sid()).collect()
}

/// Those of some conversations of an account that are neither closed nor removed.
pub async fn open_among(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    sids: &[Sid<ConversationKind>],
) -> Outcome<Vec<Sid<ConversationKind>>> {
    let sids: Vec<&str> = sids.iter().map(Sid::as_str).collect();
    let rows = tx.query(&OPEN_AMONG, &[account.into(), P::Texts(&sids)]).await?;
    rows.iter().map(|row| Columns::of("conversations", row).sid()).collect()
}

/// Where a conversation's two streams stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// Which.
    pub sid: Sid<ConversationKind>,
    /// Position of the stream `talk`.
    pub talk: i64,
    /// Position of the stream `roster`.
    pub roster: i64,
}

/// Where those of some conversations stand in which a user takes part: the others are left out, whether they
/// are there or not.
pub async fn positions(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    user: Sid<User>,
    sids: &[Sid<ConversationKind>],
) -> Outcome<Vec<Positions>> {
    let sids: Vec<&str> = sids.iter().map(Sid::as_str).collect();
    let values = [account.into(), service.as_str().into(), user.as_str().into(), P::Texts(&sids)];
    let read = |row: &Row| {
        let mut columns = Columns::of("conversations", row);
        Ok(Positions { sid: columns.sid()?, talk: columns.take()?, roster: columns.take()? })
    };
    tx.query(&POSITIONS, &values).await?.iter().map(read).collect()
}
