//! SQL of participants and of the roster's counter.

use tertulia_protocol::sid::{Conversation, Participant as ParticipantKind, Role, Service, User};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::{Binding, Departure, NotificationLevel, Participant, Roster};
use crate::platform::page::{Created, Direction, Span};
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, conversation_sid, sid, service_sid, identity, user_sid, binding, role_sid, attributes, last_read_index, \
         last_read_at, notification_level, created, updated, roster_created_pos, roster_changed_pos, mine_created_pos, \
         mine_changed_pos, removed"
    };
}

macro_rules! select {
    ($($condition:literal),+ $(,)?) => {
        concat!("SELECT ", columns!(), " FROM participants WHERE account = $1 AND ", $($condition),+)
    };
}

macro_rules! by_sid {
    () => {
        select!("conversation_sid = $2 AND sid = $3 AND removed IS NULL")
    };
}

static BY_SID: Sql = Sql::new(by_sid!());
// SQLite has one writer, so a transaction that writes holds everything already.
static BY_SID_LOCKED: Sql = Sql::pair(by_sid!(), concat!(by_sid!(), " FOR UPDATE"));
static BY_IDENTITY: Sql = Sql::new(select!("conversation_sid = $2 AND identity = $3 AND removed IS NULL"));
static BY_USER: Sql = Sql::new(select!("user_sid = $2 AND conversation_sid = $3 AND removed IS NULL"));
static LAST_TOMBSTONE: Sql = Sql::new(
    "SELECT removed, has_left FROM participants WHERE account = $1 AND conversation_sid = $2 AND user_sid = $3 \
     AND removed IS NOT NULL ORDER BY mine_changed_pos DESC LIMIT 1",
);
static LIST: Sql = Sql::new(select!(
    "conversation_sid = $2 AND removed IS NULL AND (created, sid) > ($3, $4) ",
    "ORDER BY created, sid LIMIT $5"
));
static LIST_BACK: Sql = Sql::new(select!(
    "conversation_sid = $2 AND removed IS NULL AND (created, sid) < ($3, $4) ",
    "ORDER BY created DESC, sid DESC LIMIT $5"
));
static BY_KEY_UP: Sql =
    Sql::new(select!("conversation_sid = $2 AND removed IS NULL AND sid >= $3 ORDER BY sid LIMIT $4"));
static BY_KEY_DOWN: Sql =
    Sql::new(select!("conversation_sid = $2 AND removed IS NULL AND sid <= $3 ", "ORDER BY sid DESC LIMIT $4"));
static MINE_UP: Sql = Sql::new(select!(
    "user_sid = $2 AND removed IS NULL AND conversation_sid >= $3 ",
    "ORDER BY conversation_sid LIMIT $4"
));
static MINE_DOWN: Sql = Sql::new(select!(
    "user_sid = $2 AND removed IS NULL AND conversation_sid <= $3 ",
    "ORDER BY conversation_sid DESC LIMIT $4"
));
static ROSTER_CHANGED: Sql =
    Sql::new(select!("conversation_sid = $2 AND roster_changed_pos > $3 ORDER BY roster_changed_pos"));
static MINE_CHANGED: Sql = Sql::new(select!("user_sid = $2 AND mine_changed_pos > $3 ORDER BY mine_changed_pos"));
static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO participants (account, conversation_sid, sid, service_sid, identity, user_sid, binding, role_sid, ",
    "attributes, last_read_index, last_read_at, notification_level, created, updated, roster_created_pos, ",
    "roster_changed_pos, mine_created_pos, mine_changed_pos, address, proxy_address) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, $16, $17, $18) ",
    "ON CONFLICT DO NOTHING RETURNING ",
    columns!()
));
static UPDATE: Sql = Sql::new(concat!(
    "UPDATE participants SET role_sid = $4, attributes = $5, last_read_index = $6, last_read_at = $7, ",
    "notification_level = $8, updated = $9, roster_changed_pos = $10, mine_changed_pos = $11, created = $12, ",
    "binding = $13, proxy_address = $14 ",
    "WHERE account = $1 AND conversation_sid = $2 AND sid = $3 AND removed IS NULL RETURNING ",
    columns!()
));
static REMOVE: Sql = Sql::new(
    "UPDATE participants SET removed = $4, identity = NULL, binding = NULL, address = NULL, proxy_address = NULL, \
     role_sid = NULL, attributes = '{}', last_read_index = NULL, last_read_at = NULL, roster_changed_pos = $5, mine_changed_pos = $6, \
     has_left = $7 WHERE account = $1 AND conversation_sid = $2 AND sid = $3 AND removed IS NULL",
);
static USERS: Sql = Sql::new(
    "SELECT user_sid FROM participants WHERE account = $1 AND conversation_sid = $2 AND removed IS NULL \
     AND user_sid IS NOT NULL",
);
static OPEN_ROSTER: Sql =
    Sql::new("INSERT INTO rosters (account, conversation_sid, position, participants_count) VALUES ($1, $2, 0, 0)");
static BUMP_ROSTER: Sql = Sql::new(
    "UPDATE rosters SET position = position + 1, participants_count = participants_count + $3 \
     WHERE account = $1 AND conversation_sid = $2 RETURNING position, participants_count",
);
static ROSTER: Sql =
    Sql::new("SELECT position, participants_count FROM rosters WHERE account = $1 AND conversation_sid = $2");
static WITH_PAIR: Sql = Sql::new(
    "SELECT DISTINCT conversation_sid FROM participants WHERE account = $1 AND address = $2 AND proxy_address = $3 \
     AND removed IS NULL AND conversation_sid > $4 ORDER BY conversation_sid LIMIT $5",
);
static CONVERSATIONS_OF: Sql = Sql::new(
    "SELECT conversation_sid FROM participants WHERE account = $1 AND user_sid = $2 AND removed IS NULL \
     AND conversation_sid > $3 ORDER BY conversation_sid LIMIT $4",
);
static COUNT_NON_CHAT: Sql = Sql::new(
    "SELECT COUNT(*) FROM participants WHERE account = $1 AND conversation_sid = $2 AND identity IS NULL \
     AND removed IS NULL",
);
static LIST_OF_ADDRESS: Sql = Sql::new(select!(
    "address = $2 AND service_sid = $3 AND removed IS NULL ",
    "AND (conversation_sid, sid) > ($4, $5) ORDER BY conversation_sid, sid LIMIT $6"
));
static LIST_OF_ADDRESS_BACK: Sql = Sql::new(select!(
    "address = $2 AND service_sid = $3 AND removed IS NULL ",
    "AND (conversation_sid, sid) < ($4, $5) ORDER BY conversation_sid DESC, sid DESC LIMIT $6"
));
static BY_ADDRESS: Sql =
    Sql::new(select!("address = $2 AND conversation_sid = $3 AND removed IS NULL ", "ORDER BY sid LIMIT 1"));
static ROLES_BESIDE: Sql = Sql::new(
    "SELECT DISTINCT own.role_sid FROM participants AS own JOIN participants AS other \
     ON other.account = own.account AND other.conversation_sid = own.conversation_sid \
     WHERE own.account = $1 AND own.user_sid = $2 AND other.user_sid = $3 \
     AND own.removed IS NULL AND other.removed IS NULL AND own.role_sid IS NOT NULL",
);
static HOLDS_ROLE: Sql = Sql::new(
    "SELECT COUNT(*) FROM (SELECT 1 FROM participants WHERE account = $1 AND service_sid = $2 AND role_sid = $3 \
     AND removed IS NULL LIMIT 1) AS found",
);
static PURGE: Sql = Sql::new(
    "DELETE FROM participants WHERE account = $1 AND (conversation_sid, sid) IN \
     (SELECT conversation_sid, sid FROM participants WHERE account = $1 AND service_sid = $2 LIMIT $3)",
);
static PURGE_ROSTER: Sql = Sql::new("DELETE FROM rosters WHERE account = $1 AND conversation_sid = $2");

fn read(row: &Row) -> Outcome<Participant> {
    let mut columns = Columns::of("participants", row);
    Ok(Participant {
        account: AccountNumber(columns.take()?),
        conversation: columns.sid()?,
        sid: columns.sid()?,
        service: columns.sid()?,
        identity: columns.take()?,
        user: columns.opt_sid()?,
        binding: binding(&mut columns)?,
        role: columns.opt_sid()?,
        attributes: columns.take()?,
        last_read_index: columns.take()?,
        last_read_at: columns.opt_time()?,
        notification_level: columns.word("notification_level", NotificationLevel::parse)?,
        created: columns.time()?,
        updated: columns.time()?,
        roster_created_pos: columns.take()?,
        roster_changed_pos: columns.take()?,
        mine_created_pos: columns.take()?,
        mine_changed_pos: columns.take()?,
        removed: columns.opt_time()?,
    })
}

fn binding(columns: &mut Columns<'_>) -> Outcome<Option<Binding>> {
    let text: Option<String> = columns.take()?;
    let read = |text: String| {
        serde_json::from_str(&text)
            .map_err(|_| tertulia_store::Failure::corrupt("participants", "binding", text).into())
    };
    text.map(read).transpose()
}

fn stored(binding: Option<&Binding>) -> Option<String> {
    binding.map(|binding| serde_json::to_string(binding).expect("a binding has string keys"))
}

/// The participant of a conversation with this SID.
pub async fn find(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    sid: Sid<ParticipantKind>,
) -> Outcome<Option<Participant>> {
    let values = [account.into(), conversation.as_str().into(), sid.as_str().into()];
    tx.query_opt(&BY_SID, &values).await?.as_ref().map(read).transpose()
}

/// A participant as it stands now, locked against other writers until the commit.
pub async fn lock(tx: &mut Tx<'_>, participant: &Participant) -> Outcome<Option<Participant>> {
    let (conversation, sid) = (participant.conversation.as_str(), participant.sid.as_str());
    let values = [participant.account.into(), conversation.into(), sid.into()];
    tx.query_opt(&BY_SID_LOCKED, &values).await?.as_ref().map(read).transpose()
}

/// The participant of a conversation with this identity.
pub async fn find_by_identity(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    identity: &str,
) -> Outcome<Option<Participant>> {
    let values = [account.into(), conversation.as_str().into(), identity.into()];
    tx.query_opt(&BY_IDENTITY, &values).await?.as_ref().map(read).transpose()
}

/// The participant that a user is in a conversation.
pub async fn find_by_user(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    user: Sid<User>,
    conversation: Sid<Conversation>,
) -> Outcome<Option<Participant>> {
    let values = [account.into(), user.as_str().into(), conversation.as_str().into()];
    tx.query_opt(&BY_USER, &values).await?.as_ref().map(read).transpose()
}

/// A user's last departure from a conversation: its tombstone knows.
pub async fn departure(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    user: Sid<User>,
) -> Outcome<Option<Departure>> {
    let values = [account.into(), conversation.as_str().into(), user.as_str().into()];
    let Some(row) = tx.query_opt(&LAST_TOMBSTONE, &values).await? else { return Ok(None) };
    let mut columns = Columns::of("participants", &row);
    Ok(Some(Departure { at: columns.time()?, has_left: columns.take()? }))
}

/// A conversation's participants in the order they came; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    span: Span<Created<'_>>,
) -> Outcome<Vec<Participant>> {
    let values =
        [account.into(), conversation.as_str().into(), span.key.0.into(), span.key.1.into(), span.limit.into()];
    tx.query(if span.backwards { &LIST_BACK } else { &LIST }, &values).await?.iter().map(read).collect()
}

/// A conversation's participants by SID, from one on, which is included.
pub async fn by_sid(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    from: Option<&str>,
    direction: Direction,
    limit: i64,
) -> Outcome<Vec<Participant>> {
    let (sql, edge) = match direction {
        Direction::Up => (&BY_KEY_UP, ""),
        Direction::Down => (&BY_KEY_DOWN, "~"),
    };
    let values = [account.into(), conversation.as_str().into(), from.unwrap_or(edge).into(), limit.into()];
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// A user's participants by conversation SID, from one on, which is included.
pub async fn of_user(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    user: Sid<User>,
    from: Option<&str>,
    direction: Direction,
    limit: i64,
) -> Outcome<Vec<Participant>> {
    let (sql, edge) = match direction {
        Direction::Up => (&MINE_UP, ""),
        Direction::Down => (&MINE_DOWN, "~"),
    };
    let values = [account.into(), user.as_str().into(), from.unwrap_or(edge).into(), limit.into()];
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// A user's participants in the order of the conversations' SIDs; the span says which.
pub async fn list_of_user(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    user: Sid<User>,
    span: Span<&str>,
) -> Outcome<Vec<Participant>> {
    let direction = if span.backwards { Direction::Down } else { Direction::Up };
    // The one that a page lies beside is read once more, and left out.
    let mut rows = of_user(tx, account, user, Some(span.key), direction, span.limit + 1).await?;
    rows.retain(|row| row.conversation.as_str() != span.key);
    rows.truncate(usize::try_from(span.limit).unwrap_or(usize::MAX));
    Ok(rows)
}

/// A conversation's participants and tombstones that changed after a position of `roster`, in order.
pub async fn roster_changed(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    after: i64,
) -> Outcome<Vec<Participant>> {
    let values = [account.into(), conversation.as_str().into(), after.into()];
    tx.query(&ROSTER_CHANGED, &values).await?.iter().map(read).collect()
}

/// A user's participants and tombstones that changed after a position of `mine`, in order.
pub async fn mine_changed(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    user: Sid<User>,
    after: i64,
) -> Outcome<Vec<Participant>> {
    tx.query(&MINE_CHANGED, &[account.into(), user.as_str().into(), after.into()]).await?.iter().map(read).collect()
}

/// The users who take part in a conversation; a conversation's participants are bounded, so they are.
pub async fn users_of(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
) -> Outcome<Vec<Sid<User>>> {
    let rows = tx.query(&USERS, &[account.into(), conversation.as_str().into()]).await?;
    rows.iter().map(|row| Columns::of("participants", row).sid()).collect()
}

/// Inserts a participant, unless the identity is there already: then `None`.
pub async fn insert(tx: &mut Tx<'_>, new: &Participant) -> Outcome<Option<Participant>> {
    let values = [
        new.account.into(),
        new.conversation.as_str().into(),
        new.sid.as_str().into(),
        new.service.as_str().into(),
        new.identity.as_deref().into(),
        new.user.as_ref().map(Sid::as_str).into(),
        stored(new.binding.as_ref()).into(),
        new.role.as_ref().map(Sid::as_str).into(),
        new.attributes.as_str().into(),
        new.last_read_index.into(),
        new.last_read_at.map(Timestamp::micros).into(),
        new.notification_level.word().into(),
        new.created.micros().into(),
        new.updated.micros().into(),
        new.roster_created_pos.into(),
        new.mine_created_pos.into(),
        new.binding.as_ref().and_then(|binding| binding.address.as_deref()).into(),
        new.binding.as_ref().and_then(|binding| binding.proxy_address.as_deref()).into(),
    ];
    tx.query_opt(&INSERT, &values).await?.as_ref().map(read).transpose()
}

/// Stores a participant as it stands.
pub async fn update(tx: &mut Tx<'_>, participant: &Participant) -> Outcome<Option<Participant>> {
    let values = [
        participant.account.into(),
        participant.conversation.as_str().into(),
        participant.sid.as_str().into(),
        participant.role.as_ref().map(Sid::as_str).into(),
        participant.attributes.as_str().into(),
        participant.last_read_index.into(),
        participant.last_read_at.map(Timestamp::micros).into(),
        participant.notification_level.word().into(),
        participant.updated.micros().into(),
        participant.roster_changed_pos.into(),
        participant.mine_changed_pos.into(),
        participant.created.micros().into(),
        stored(participant.binding.as_ref()).into(),
        participant.binding.as_ref().and_then(|binding| binding.proxy_address.as_deref()).into(),
    ];
    tx.query_opt(&UPDATE, &values).await?.as_ref().map(read).transpose()
}

/// Empties a participant's row into a tombstone at these positions; `false` when it is one already.
pub async fn remove(
    tx: &mut Tx<'_>,
    participant: &Participant,
    roster_pos: i64,
    mine_pos: i64,
    has_left: bool,
    now: Timestamp,
) -> Outcome<bool> {
    let values = [
        participant.account.into(),
        participant.conversation.as_str().into(),
        participant.sid.as_str().into(),
        now.micros().into(),
        roster_pos.into(),
        mine_pos.into(),
        has_left.into(),
    ];
    Ok(tx.execute(&REMOVE, &values).await? > 0)
}

/// Makes the roster of a new conversation.
pub async fn open_roster(tx: &mut Tx<'_>, account: AccountNumber, conversation: Sid<Conversation>) -> Outcome<()> {
    tx.execute(&OPEN_ROSTER, &[account.into(), conversation.as_str().into()]).await?;
    Ok(())
}

/// Takes the next position of a roster and counts `joined` (1, 0 or -1) participants.
pub async fn bump_roster(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    joined: i64,
) -> Outcome<Roster> {
    let row = tx.query_opt(&BUMP_ROSTER, &[account.into(), conversation.as_str().into(), joined.into()]).await?;
    let row = row.ok_or(super::Refusal::NotFound)?;
    Ok(Roster { position: row.get(0)?, participants_count: row.get(1)? })
}

/// A roster as it stands; an empty one where the conversation is gone.
pub async fn roster(tx: &mut Tx<'_>, account: AccountNumber, conversation: Sid<Conversation>) -> Outcome<Roster> {
    match tx.query_opt(&ROSTER, &[account.into(), conversation.as_str().into()]).await? {
        Some(row) => Ok(Roster { position: row.get(0)?, participants_count: row.get(1)? }),
        None => Ok(Roster { position: 0, participants_count: 0 }),
    }
}

/// Conversations in which a pair of addresses takes part, closed and deleted ones too, after one.
pub async fn with_pair(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    binding: &Binding,
    after: &str,
    limit: i64,
) -> Outcome<Vec<Sid<Conversation>>> {
    let (address, proxy) = (binding.address.as_deref(), binding.proxy_address.as_deref());
    let rows =
        tx.query(&WITH_PAIR, &[account.into(), address.into(), proxy.into(), after.into(), limit.into()]).await?;
    rows.iter().map(|row| Columns::of("participants", row).sid()).collect()
}

/// SIDs of the conversations that a user is in, closed and deleted ones too, after one.
pub async fn conversations_of(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    user: Sid<User>,
    after: &str,
    limit: i64,
) -> Outcome<Vec<Sid<Conversation>>> {
    let rows = tx.query(&CONVERSATIONS_OF, &[account.into(), user.as_str().into(), after.into(), limit.into()]).await?;
    rows.iter().map(|row| Columns::of("participants", row).sid()).collect()
}

/// How many participants of other messengers a conversation has.
pub async fn count_non_chat(tx: &mut Tx<'_>, account: AccountNumber, conversation: Sid<Conversation>) -> Outcome<i64> {
    Ok(tx.query_one(&COUNT_NON_CHAT, &[account.into(), conversation.as_str().into()]).await?.get(0)?)
}

/// Participants of a service that are reached at this address, in the order of `(conversation, sid)`; the
/// span says which.
pub async fn list_of_address(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    address: &str,
    span: Span<(&str, &str)>,
) -> Outcome<Vec<Participant>> {
    let (service, (conversation, sid)) = (service.as_str(), span.key);
    let values = [account.into(), address.into(), service.into(), conversation.into(), sid.into(), span.limit.into()];
    let sql = if span.backwards { &LIST_OF_ADDRESS_BACK } else { &LIST_OF_ADDRESS };
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// The participant of a conversation that is reached at this address.
pub async fn find_by_address(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    address: &str,
) -> Outcome<Option<Participant>> {
    let values = [account.into(), address.into(), conversation.as_str().into()];
    tx.query_opt(&BY_ADDRESS, &values).await?.as_ref().map(read).transpose()
}

/// The roles that a user has in conversations in which another one is too; with itself, in all of them.
pub async fn roles_beside(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    user: Sid<User>,
    other: Sid<User>,
) -> Outcome<Vec<Sid<Role>>> {
    let rows = tx.query(&ROLES_BESIDE, &[account.into(), user.as_str().into(), other.as_str().into()]).await?;
    rows.iter().map(|row| Columns::of("participants", row).sid()).collect()
}

/// Whether some participant of the service holds the role.
pub async fn any_holds_role(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    role: Sid<Role>,
) -> Outcome<bool> {
    let values = [account.into(), service.as_str().into(), role.as_str().into()];
    Ok(tx.query_one(&HOLDS_ROLE, &values).await?.get(0)?)
}

/// Deletes up to `limit` rows of a service that is being purged, tombstones included; gives how many.
pub async fn purge(tx: &mut Tx<'_>, account: AccountNumber, service: Sid<Service>, limit: i64) -> Outcome<u64> {
    Ok(tx.execute(&PURGE, &[account.into(), service.as_str().into(), limit.into()]).await?)
}

/// Deletes the counter of a conversation that is gone.
pub async fn purge_roster(tx: &mut Tx<'_>, account: AccountNumber, conversation: Sid<Conversation>) -> Outcome<()> {
    tx.execute(&PURGE_ROSTER, &[account.into(), conversation.as_str().into()]).await?;
    Ok(())
}
