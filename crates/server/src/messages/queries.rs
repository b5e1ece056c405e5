//! SQL of messages.

use tertulia_protocol::sid::{Conversation, Message as MessageKind};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Row, Sql, Tx};

use super::Message;
use crate::platform::page::Direction;
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
static FROM: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx >= $3 AND idx < $4 AND removed IS NULL ORDER BY idx LIMIT $5"
));
// Removed messages keep their row, so every index below the last has one.
static CREATED_POS: Sql =
    Sql::new("SELECT created_pos FROM messages WHERE account = $1 AND conversation_sid = $2 AND idx = $3");
static CHANGED: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE account = $1 AND conversation_sid = $2 AND changed_pos > $3 AND changed_pos > created_pos ",
    "AND (created_pos <= $3 OR removed IS NOT NULL) ORDER BY changed_pos LIMIT $4"
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

/// What changed in a list of messages.
#[derive(Debug)]
pub struct Changed {
    /// Messages and tombstones.
    pub messages: Vec<Message>,
    /// When more changed than was asked for: everything up to this position is there.
    pub cut_at: Option<i64>,
}

/// Messages and tombstones that changed after a position of `talk`: about `limit` new ones and as many
/// changed ones, the earliest first.
///
/// What came and went meanwhile counts among the changed ones. Among the new ones it could fill a whole replay of which
/// nothing is told before the cut: the reader would ask again from where it stood, for ever.
pub async fn changed(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    after: i64,
    limit: usize,
) -> Outcome<Changed> {
    let values = [account.into(), conversation.as_str().into(), after.into(), (limit as i64 + 1).into()];
    let mut older: Vec<Message> = tx.query(&CHANGED, &values).await?.iter().map(read).collect::<Outcome<_>>()?;
    let older_cut = (older.len() > limit).then(|| {
        older.truncate(limit);
        older.last().map_or(after, |message| message.changed_pos)
    });
    let (mut messages, new_cut) = new_after(tx, account, conversation, after, older_cut, limit).await?;
    let cut_at = match (new_cut, older_cut) {
        (Some(new), Some(older)) => Some(new.min(older)),
        (new, older) => new.or(older),
    };
    let upto = cut_at.unwrap_or(i64::MAX);
    messages.retain(|message| message.created_pos <= upto);
    messages.extend(older.into_iter().filter(|message| message.changed_pos <= upto));
    Ok(Changed { messages, cut_at })
}

/// The messages that came after a position and are still there, and where they were cut; when there are many, none that came
/// after `upto`.
async fn new_after(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    after: i64,
    upto: Option<i64>,
    limit: usize,
) -> Outcome<(Vec<Message>, Option<i64>)> {
    let values = [account.into(), conversation.as_str().into(), i64::MAX.into(), (limit as i64 + 1).into()];
    let rows = tx.query(&NEW, &values).await?;
    let newest: Vec<Message> = rows.iter().map(read).collect::<Outcome<_>>()?;
    let mut found: Vec<Message> = newest.into_iter().take_while(|message| message.created_pos > after).collect();
    if found.len() <= limit {
        found.retain(|message| message.removed.is_none());
        return Ok((found, None));
    }
    // Far behind: the first new one is found by halving, since indexes and positions grow together.
    let below = found.last().map_or(0, |message| message.index);
    let first = first_after(tx, account, conversation, after, below).await?;
    // What came later than the last change that is told is not looked at, however much of it is gone: or each part of a
    // replay would walk over all of it.
    let end = match (upto, found.first()) {
        (Some(upto), Some(newest)) if newest.created_pos > upto => {
            first_after(tx, account, conversation, upto, newest.index).await?
        }
        _ => i64::MAX,
    };
    let values = [account.into(), conversation.as_str().into(), first.into(), end.into(), (limit as i64 + 1).into()];
    let mut earliest: Vec<Message> = tx.query(&FROM, &values).await?.iter().map(read).collect::<Outcome<_>>()?;
    let is_cut = earliest.len() > limit;
    earliest.truncate(limit);
    let cut_at = earliest.last().filter(|_| is_cut).map(|message| message.created_pos);
    Ok((earliest, cut_at))
}

/// The lowest index whose message came after a position; `known` is one that did.
async fn first_after(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    conversation: Sid<Conversation>,
    after: i64,
    known: i64,
) -> Outcome<i64> {
    let (mut low, mut high) = (0, known);
    while low < high {
        let middle = low + (high - low) / 2;
        let values = [account.into(), conversation.as_str().into(), middle.into()];
        let position: i64 = tx.query_one(&CREATED_POS, &values).await?.get(0)?;
        if position > after {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
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
