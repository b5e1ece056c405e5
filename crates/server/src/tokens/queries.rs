//! SQL of whose an identity is, of the key that signs for the token endpoint, and of the tokens that were minted.

use tertulia_protocol::sid::{Key, Revocation as RevocationKind, Service};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Failure, Row, Sql, Tx};

use super::{KnownToken, Owner};
use crate::platform::page::Span;
use crate::platform::{AccountNumber, Columns, Outcome};
use crate::revocations::{Named, Revocation};

macro_rules! columns {
    () => {
        "service_sid, identity, source, subject, created"
    };
}

static OWNER: Sql =
    Sql::new(concat!("SELECT ", columns!(), " FROM owners WHERE account = $1 AND service_sid = $2 AND identity = $3"));
static LIST: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM owners WHERE account = $1 AND service_sid = $2 AND identity > $3 ORDER BY identity LIMIT $4"
));
static LIST_BACK: Sql = Sql::new(concat!(
    "SELECT ",
    columns!(),
    " FROM owners WHERE account = $1 AND service_sid = $2 AND identity < $3 ORDER BY identity DESC LIMIT $4"
));
static OWNED: Sql =
    Sql::new(concat!("SELECT ", columns!(), " FROM owners WHERE account = $1 AND source = $2 AND subject = $3"));
static CLAIM: Sql = Sql::new(
    "INSERT INTO owners (account, service_sid, identity, source, subject, created) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
);
static RELEASE: Sql = Sql::new("DELETE FROM owners WHERE account = $1 AND service_sid = $2 AND identity = $3");
static PURGE: Sql = Sql::new(
    "DELETE FROM owners WHERE account = $1 AND service_sid = $2 AND identity IN \
     (SELECT identity FROM owners WHERE account = $1 AND service_sid = $2 LIMIT $3)",
);
static SIGNER: Sql = Sql::new("SELECT key_sid FROM signers WHERE account = $1");
static SET_SIGNER: Sql = Sql::new(
    "INSERT INTO signers (account, key_sid, created) VALUES ($1, $2, $3) \
     ON CONFLICT (account) DO UPDATE SET key_sid = excluded.key_sid, created = excluded.created",
);

static REMEMBER: Sql = Sql::new(
    "INSERT INTO known_tokens (account, fingerprint, jti, identity, service_sid, key_sid, session, issued, expires) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
);
// So many at most: a revocation of a whole chat service must not hold up everybody else's writes.
macro_rules! end {
    ($named:literal) => {
        Sql::new(concat!(
            "UPDATE known_tokens SET ended_by = $2 WHERE account = $1 AND ended_by IS NULL AND fingerprint IN ",
            "(SELECT fingerprint FROM known_tokens WHERE account = $1 AND ended_by IS NULL AND issued <= $3 ",
            "AND expires > $4 AND ($6 = '' OR service_sid = $6) AND ",
            $named,
            " = $5 LIMIT $7)"
        ))
    };
}
static END_ONE: Sql = end!("fingerprint");
static END_NAMED: Sql = end!("jti");
static END_SESSION: Sql = end!("session");
static END_IDENTITY: Sql = end!("identity");
static END_SERVICE: Sql = end!("service_sid");
static END_KEY: Sql = end!("key_sid");
static REVIVE: Sql = Sql::new("UPDATE known_tokens SET ended_by = NULL WHERE account = $1 AND ended_by = $2");
static HOLDERS: Sql = Sql::new(
    "SELECT DISTINCT service_sid, identity FROM known_tokens WHERE account = $1 AND jti = $2 AND expires > $3 LIMIT $4",
);
static ACCOUNTS_OF_KNOWN: Sql = Sql::new("SELECT account, MIN(expires) FROM known_tokens GROUP BY account");
static PURGE_KNOWN: Sql = Sql::new(
    "DELETE FROM known_tokens WHERE account = $1 AND fingerprint IN \
     (SELECT fingerprint FROM known_tokens WHERE account = $1 AND expires < $2 LIMIT $3)",
);

fn read(row: &Row) -> Outcome<Owner> {
    let mut columns = Columns::of("owners", row);
    Ok(Owner {
        service: columns.sid()?,
        identity: columns.take()?,
        source: columns.take()?,
        subject: columns.take()?,
        created: columns.time()?,
    })
}

/// Whose an identity is.
pub async fn owner(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    identity: &str,
) -> Outcome<Option<Owner>> {
    let values = [account.into(), service.as_str().into(), identity.into()];
    tx.query_opt(&OWNER, &values).await?.as_ref().map(read).transpose()
}

/// What a source's subject owns, in all chat services.
pub async fn owned(tx: &mut Tx<'_>, account: AccountNumber, source: &str, subject: &str) -> Outcome<Vec<Owner>> {
    tx.query(&OWNED, &[account.into(), source.into(), subject.into()]).await?.iter().map(read).collect()
}

/// Owners in the order of their identities; the span says which.
pub async fn list(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    service: Sid<Service>,
    span: Span<&str>,
) -> Outcome<Vec<Owner>> {
    let sql = if span.backwards { &LIST_BACK } else { &LIST };
    let values = [account.into(), service.as_str().into(), span.key.into(), span.limit.into()];
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// How often an identity may be claimed and released by others while somebody claims it.
const CLAIM_TRIES: usize = 5;

/// Makes somebody the owner of an identity, unless it has one; gives whoever owns it then.
pub async fn claim(tx: &mut Tx<'_>, account: AccountNumber, owner: &Owner) -> Outcome<Owner> {
    let values = [
        account.into(),
        owner.service.as_str().into(),
        owner.identity.as_str().into(),
        owner.source.as_str().into(),
        owner.subject.as_str().into(),
        owner.created.micros().into(),
    ];
    for _ in 0..CLAIM_TRIES {
        tx.execute(&CLAIM, &values).await?;
        // Another transaction may have been faster, and its owner may have been released since.
        if let Some(stored) = self::owner(tx, account, owner.service, &owner.identity).await? {
            return Ok(stored);
        }
    }
    Err(Failure::Busy.into())
}

/// Takes the owner of an identity away; whether there was one.
pub async fn release(tx: &mut Tx<'_>, account: AccountNumber, service: Sid<Service>, identity: &str) -> Outcome<bool> {
    Ok(tx.execute(&RELEASE, &[account.into(), service.as_str().into(), identity.into()]).await? > 0)
}

/// Removes up to `limit` owners of a chat service that is being purged; gives how many.
pub async fn purge(tx: &mut Tx<'_>, account: AccountNumber, service: Sid<Service>, limit: i64) -> Outcome<u64> {
    Ok(tx.execute(&PURGE, &[account.into(), service.as_str().into(), limit.into()]).await?)
}

/// The key that signs for the token endpoint.
pub async fn signer(tx: &mut Tx<'_>, account: AccountNumber) -> Outcome<Option<Sid<Key>>> {
    let Some(row) = tx.query_opt(&SIGNER, &[account.into()]).await? else { return Ok(None) };
    Ok(Some(Columns::of("signers", &row).sid()?))
}

/// Lets another key sign.
pub async fn set_signer(tx: &mut Tx<'_>, account: AccountNumber, key: Sid<Key>, now: Timestamp) -> Outcome<()> {
    tx.execute(&SET_SIGNER, &[account.into(), key.as_str().into(), now.micros().into()]).await?;
    Ok(())
}

/// Remembers a token that is about to be handed out.
pub async fn remember(tx: &mut Tx<'_>, account: AccountNumber, token: &KnownToken) -> Outcome<()> {
    let values = [
        account.into(),
        token.fingerprint.as_str().into(),
        token.jti.as_str().into(),
        token.identity.as_str().into(),
        token.service.as_str().into(),
        token.key.as_str().into(),
        token.session.as_deref().into(),
        token.issued.micros().into(),
        token.expires.micros().into(),
    ];
    tx.execute(&REMEMBER, &values).await?;
    Ok(())
}

/// Marks what a revocation ends of the tokens that are known and alive, so many at most; gives how many.
pub async fn end_known(tx: &mut Tx<'_>, entry: &Revocation, limit: i64) -> Outcome<u64> {
    let sql = match &entry.named {
        Named::Exact(_) => &END_ONE,
        Named::Token(_) => &END_NAMED,
        Named::Session(_) => &END_SESSION,
        Named::Identity(..) => &END_IDENTITY,
        Named::Service(_) => &END_SERVICE,
        Named::Key(_) => &END_KEY,
        // Its tokens come back with it, and what refuses them is the account's status.
        Named::Account => return Ok(0),
    };
    let values = [
        entry.account.into(),
        entry.sid.as_str().into(),
        entry.issued_before.micros().into(),
        entry.created.micros().into(),
        entry.named.value().into(),
        entry.named.service().into(),
        limit.into(),
    ];
    Ok(tx.execute(sql, &values).await?)
}

/// Takes the marks of a revocation back.
pub async fn revive_known(tx: &mut Tx<'_>, account: AccountNumber, sid: Sid<RevocationKind>) -> Outcome<()> {
    tx.execute(&REVIVE, &[account.into(), sid.as_str().into()]).await?;
    Ok(())
}

/// Whose the known tokens with a `jti` are, so many at most: chat service and identity.
pub async fn holders(
    tx: &mut Tx<'_>,
    account: AccountNumber,
    jti: &str,
    now: Timestamp,
    limit: i64,
) -> Outcome<Vec<(String, String)>> {
    let rows = tx.query(&HOLDERS, &[account.into(), jti.into(), now.micros().into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Accounts with known tokens, each with the first expiry.
pub async fn accounts_of_known(tx: &mut Tx<'_>) -> Outcome<Vec<(AccountNumber, Timestamp)>> {
    let rows = tx.query(&ACCOUNTS_OF_KNOWN, &[]).await?;
    rows.iter().map(|row| Ok((AccountNumber(row.get(0)?), Timestamp::from_micros(row.get(1)?)))).collect()
}

/// Forgets tokens of an account that are dead; gives how many.
pub async fn purge_known(tx: &mut Tx<'_>, account: AccountNumber, now: Timestamp, limit: i64) -> Outcome<u64> {
    Ok(tx.execute(&PURGE_KNOWN, &[account.into(), now.micros().into(), limit.into()]).await?)
}
