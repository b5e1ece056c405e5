//! SQL of the audit log, and of what is known of keys.

use tertulia_protocol::sid::{Audit as AuditKind, Key};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{P, Row, Sql, Tx};

use super::{Draft, Entry, Event, Evidence, Facts, Filter};
use crate::platform::page::{Created, Span};
use crate::platform::{AccountNumber, Columns, Error, Outcome};

macro_rules! columns {
    () => {
        "sid, created, event, actor, source, rule, identity, service_sid, key_sid, jti, target, address, code, detail"
    };
}
macro_rules! filtered {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM audit WHERE account = $1 AND ($5 = '' OR event = $5) AND ($6 = '' OR identity = $6) ",
            "AND ($7 = '' OR key_sid = $7) AND created >= $8 AND created < $9 AND ",
            $rest
        )
    };
}

static INSERT: Sql = Sql::new(concat!(
    "INSERT INTO audit (account, ",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
));
static FIND: Sql = Sql::new(concat!("SELECT ", columns!(), " FROM audit WHERE account = $1 AND sid = $2"));
static LAST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM audit WHERE account = $1 AND event = $2 AND target = $3 ORDER BY created DESC, sid DESC LIMIT 1"
));
static LIST: Sql = Sql::new(filtered!("(created, sid) < ($2, $3) ORDER BY created DESC, sid DESC LIMIT $4"));
static LIST_BACK: Sql = Sql::new(filtered!("(created, sid) > ($2, $3) ORDER BY created, sid LIMIT $4"));
static ACCOUNTS: Sql = Sql::new("SELECT account, MIN(created) FROM audit GROUP BY account");
static PURGE: Sql = Sql::new(
    "DELETE FROM audit WHERE account = $1 AND sid IN \
     (SELECT sid FROM audit WHERE account = $1 AND created < $2 ORDER BY created LIMIT $3)",
);
static ADD_EVIDENCE: Sql = Sql::pair(
    "INSERT INTO key_evidence (account, key_sid, last_minted, last_used, last_called, latest_expiry) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, key_sid) DO UPDATE SET \
     last_minted = MAX(last_minted, excluded.last_minted), last_used = MAX(last_used, excluded.last_used), \
     last_called = MAX(last_called, excluded.last_called), latest_expiry = MAX(latest_expiry, excluded.latest_expiry)",
    "INSERT INTO key_evidence (account, key_sid, last_minted, last_used, last_called, latest_expiry) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, key_sid) DO UPDATE SET \
     last_minted = GREATEST(key_evidence.last_minted, excluded.last_minted), \
     last_used = GREATEST(key_evidence.last_used, excluded.last_used), \
     last_called = GREATEST(key_evidence.last_called, excluded.last_called), \
     latest_expiry = GREATEST(key_evidence.latest_expiry, excluded.latest_expiry)",
);
static EVIDENCE: Sql = Sql::new(
    "SELECT last_minted, last_used, last_called, latest_expiry FROM key_evidence WHERE account = $1 AND key_sid = $2",
);
static FORGET: Sql = Sql::new("DELETE FROM key_evidence WHERE account = $1 AND key_sid = $2");

fn read(row: &Row) -> Outcome<Entry> {
    let mut columns = Columns::of("audit", row);
    let (sid, created) = (columns.sid()?, columns.time()?);
    let (event, actor) = (columns.word("event", Event::parse)?, columns.take()?);
    let mut facts = Facts {
        source: columns.take()?,
        rule: columns.take()?,
        identity: columns.take()?,
        service: columns.opt_sid()?,
        key: columns.opt_sid()?,
        jti: columns.take()?,
        target: columns.take()?,
        ..Facts::default()
    };
    let address = columns.take()?;
    facts.code = columns.take::<Option<i64>>()?.and_then(|code| u32::try_from(code).ok());
    let detail: Option<String> = columns.take()?;
    let broken = |_| Error::Broken("the detail of an audit entry is no JSON".to_owned());
    facts.detail = detail.map(|text| serde_json::from_str(&text)).transpose().map_err(broken)?;
    Ok(Entry { sid, created, draft: Draft { event, actor, address, facts } })
}

/// Adds an entry.
pub async fn insert(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    sid: Sid<AuditKind>,
    draft: &Draft,
    now: Timestamp,
) -> Outcome<()> {
    let facts = &draft.facts;
    let values = [
        account.into(),
        sid.as_str().into(),
        now.micros().into(),
        draft.event.word().into(),
        draft.actor.as_str().into(),
        facts.source.as_deref().into(),
        facts.rule.as_deref().into(),
        facts.identity.as_deref().into(),
        facts.service.as_ref().map(Sid::as_str).into(),
        facts.key.as_ref().map(Sid::as_str).into(),
        facts.jti.as_deref().into(),
        facts.target.as_deref().into(),
        draft.address.as_deref().into(),
        facts.code.into(),
        facts.detail.as_ref().map(ToString::to_string).into(),
    ];
    tx.execute(&INSERT, &values).await?;
    Ok(())
}

/// An account's own entry.
pub async fn find(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<AuditKind>) -> Outcome<Option<Entry>> {
    tx.query_opt(&FIND, &[account.into(), sid.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The newest entry of an event about one thing. It reads the account's log until it finds one: not for requests
/// that strangers can make.
pub async fn last(tx: &mut Tx<'_>, account: AccountNumber, event: Event, target: &str) -> Outcome<Option<Entry>> {
    let values = [account.into(), event.word().into(), target.into()];
    tx.query_opt(&LAST, &values).await?.as_ref().map(read).transpose()
}

/// An account's entries, the newest first; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    filter: &Filter,
    span: Span<Created<'_>>,
) -> Outcome<Vec<Entry>> {
    let values: [P<'_>; 9] = [
        account.into(),
        span.key.0.into(),
        span.key.1.into(),
        span.limit.into(),
        filter.event.map_or("", Event::word).into(),
        filter.identity.as_deref().unwrap_or_default().into(),
        filter.key.as_ref().map_or("", Sid::as_str).into(),
        filter.since.map_or(i64::MIN, Timestamp::micros).into(),
        filter.before.map_or(i64::MAX, Timestamp::micros).into(),
    ];
    tx.query(if span.backwards { &LIST_BACK } else { &LIST }, &values).await?.iter().map(read).collect()
}

/// Accounts with entries, each with the oldest one's moment.
pub async fn accounts(tx: &mut Tx<'_>) -> Outcome<Vec<(AccountNumber, Timestamp)>> {
    let rows = tx.query(&ACCOUNTS, &[]).await?;
    rows.iter().map(|row| Ok((AccountNumber(row.get(0)?), Timestamp::from_micros(row.get(1)?)))).collect()
}

/// Removes an account's entries from before a moment; gives how many.
pub async fn purge(tx: &mut Tx<'_>, account: AccountNumber, before: Timestamp, limit: i64) -> Outcome<u64> {
    Ok(tx.execute(&PURGE, &[account.into(), before.micros().into(), limit.into()]).await?)
}

/// Adds to what is known of a key.
pub async fn add_evidence(tx: &mut Tx<'_>, account: AccountNumber, key: Sid<Key>, evidence: Evidence) -> Outcome<()> {
    let values = [
        account.into(),
        key.as_str().into(),
        evidence.last_minted.into(),
        evidence.last_used.into(),
        evidence.last_called.into(),
        evidence.latest_expiry.into(),
    ];
    tx.execute(&ADD_EVIDENCE, &values).await?;
    Ok(())
}

/// What is known of a key.
pub async fn evidence(tx: &mut Tx<'_>, account: AccountNumber, key: Sid<Key>) -> Outcome<Evidence> {
    let Some(row) = tx.query_opt(&EVIDENCE, &[account.into(), key.as_str().into()]).await? else {
        return Ok(Evidence::default());
    };
    let (last_minted, last_used) = (row.get(0)?, row.get(1)?);
    Ok(Evidence { last_minted, last_used, last_called: row.get(2)?, latest_expiry: row.get(3)? })
}

/// Forgets a key that is gone.
pub async fn forget(tx: &mut Tx<'_>, account: AccountNumber, key: Sid<Key>) -> Outcome<()> {
    tx.execute(&FORGET, &[account.into(), key.as_str().into()]).await?;
    Ok(())
}
