//! SQL of messages.

use tertulia_protocol::sid::{Conversation, Message as MessageKind};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::Message;
use crate::participants::queries::Direction;
use crate::platform::{AccountNumber, Columns, Outcome};

macro_rules! columns {
    () => {
        "account, conversation_sid, idx, sid, author, participant_sid, body, attributes, subject, created, updated, \
         updated_by, created_pos, changed_pos, removed"
    };
}

static INSERT: Sql = Sql::new(
    "INSERT INTO messages (account, conversation_sid, idx, sid, author, participant_sid, body, attributes, subject, \
     created, updated, created_pos, changed_pos) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
);
static BY_SID: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND sid = $3 AND removed IS NULL"
));
static UP: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx >= $3 AND removed IS NULL ORDER BY idx LIMIT $4"
));
static DOWN: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx <= $3 AND removed IS NULL ",
    "ORDER BY idx DESC LIMIT $4"
));
// Walks the primary key backwards until the first message that the reader already has.
static NEW: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx < $3 ORDER BY idx DESC LIMIT $4"
));
static CHANGED: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND changed_pos > $3 AND changed_pos > created_pos ",
    "AND created_pos <= $3 ORDER BY changed_pos"
));
static UPDATE: Sql = Sql::new(concat!(
    "UPDATE messages SET author = $4, body = $5, attributes = $6, subject = $7, created = $8, updated = $9, ",
    "updated_by = $10, changed_pos = $11, participant_sid = $12 WHERE account = $1 AND conversation_sid = $2 AND idx = $3 RETURNING ",
    columns!()
));
static REMOVE: Sql = Sql::new(
    "UPDATE messages SET removed = $4, author = '', body = NULL, attributes = '{}', subject = NULL, updated_by = NULL, \
     participant_sid = NULL, changed_pos = $5 WHERE account = $1 AND conversation_sid = $2 AND idx = $3",
);
static REMOVED_ABOVE: Sql = Sql::new(
    "SELECT COUNT(*) FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx > $3 AND removed IS NOT NULL",
);
static PURGE: Sql = Sql::new(
    "DELETE FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx IN \
     (SELECT idx FROM messages WHERE account = $1 AND conversation_sid = $2 ORDER BY idx LIMIT $3)",
);

fn read(row: &Row) -> Outcome<Message> {
    let mut columns = Columns::of("messages", row);
    Ok(Message {
        account: AccountNumber(columns.take()?),
        conversation: columns.sid()?,
        index: columns.take()?,
        sid: columns.sid()?,
        author: columns.take()?,
        participant: columns.opt_sid()?,
        body: columns.take()?,
        attributes: columns.take()?,
        subject: columns.take()?,
        created: columns.time()?,
        updated: columns.time()?,
        updated_by: columns.take()?,
        created_pos: columns.take()?,
        changed_pos: columns.take()?,
        removed: columns.opt_time()?,
    })
}

/// Inserts a message under the index that was taken for it.
pub async fn insert(tx: &mut Tx<'_>, new: &Message) -> Outcome<()> {
    let values = [
        new.account.into(),
        new.conversation.as_str().into(),
        new.index.into(),
        new.sid.as_str().into(),
        new.author.as_str().into(),
        new.participant.as_ref().map(Sid::as_str).into(),
        new.body.as_deref().into(),
        new.attributes.as_str().into(),
        new.subject.as_deref().into(),
        new.created.micros().into(),
        new.updated.micros().into(),
        new.created_pos.into(),
    ];
    tx.execute(&INSERT, &values).await?;
    Ok(())
}

/// The message of a conversation with this SID.
pub async fn find(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    sid: Sid<MessageKind>,
) -> Outcome<Option<Message>> {
    let values = [account.into(), conversation.as_str().into(), sid.as_str().into()];
    tx.query_opt(&BY_SID, &values).await?.as_ref().map(read).transpose()
}

/// Messages by index, from one on, which is included.
pub async fn from_index(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    from: Option<i64>,
    direction: Direction,
    limit: i64,
) -> Outcome<Vec<Message>> {
    let (sql, edge) = match direction {
        Direction::Up => (&UP, 0),
        Direction::Down => (&DOWN, i64::MAX),
    };
    let values = [account.into(), conversation.as_str().into(), from.unwrap_or(edge).into(), limit.into()];
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// Messages and tombstones that changed after a position of `talk`, in the order of their positions.
pub async fn changed(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    after: i64,
) -> Outcome<Vec<Message>> {
    const BATCH: i64 = 64;
    let mut found = Vec::new();
    let mut below = i64::MAX;
    loop {
        let values = [account.into(), conversation.as_str().into(), below.into(), BATCH.into()];
        let rows = tx.query(&NEW, &values).await?;
        let batch: Vec<Message> = rows.iter().map(read).collect::<Outcome<_>>()?;
        let full = batch.len() as i64 == BATCH;
        let before = found.len();
        let count = batch.len();
        found.extend(batch.into_iter().take_while(|message| message.created_pos > after));
        if !full || found.len() - before < count {
            break;
        }
        below = found.last().map_or(0, |message| message.index);
    }
    let values = [account.into(), conversation.as_str().into(), after.into()];
    for row in tx.query(&CHANGED, &values).await? {
        found.push(read(&row)?);
    }
    found.sort_unstable_by_key(|message| message.changed_pos);
    Ok(found)
}

/// Stores a message as it stands.
pub async fn update(tx: &mut Tx<'_>, message: &Message) -> Outcome<Message> {
    let values = [
        message.account.into(),
        message.conversation.as_str().into(),
        message.index.into(),
        message.author.as_str().into(),
        message.body.as_deref().into(),
        message.attributes.as_str().into(),
        message.subject.as_deref().into(),
        message.created.micros().into(),
        message.updated.micros().into(),
        message.updated_by.as_deref().into(),
        message.changed_pos.into(),
        message.participant.as_ref().map(Sid::as_str).into(),
    ];
    read(&tx.query_one(&UPDATE, &values).await?)
}

/// Empties a message's row into a tombstone at this position.
pub async fn remove(tx: &mut Tx<'_>, message: &Message, position: i64, now: Timestamp) -> Outcome<()> {
    let values = [
        message.account.into(),
        message.conversation.as_str().into(),
        message.index.into(),
        now.micros().into(),
        position.into(),
    ];
    tx.execute(&REMOVE, &values).await?;
    Ok(())
}

/// Removed messages above an index: the cost of an unread count, whatever the history's length.
pub async fn removed_above(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    index: i64,
) -> Outcome<i64> {
    let values = [account.into(), conversation.as_str().into(), index.into()];
    Ok(tx.query_one(&REMOVED_ABOVE, &values).await?.get(0)?)
}

/// Deletes up to `limit` messages of a conversation that is being purged; gives how many.
pub async fn purge(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    limit: i64,
) -> Outcome<u64> {
    Ok(tx.execute(&PURGE, &[account.into(), conversation.as_str().into(), limit.into()]).await?)
}
