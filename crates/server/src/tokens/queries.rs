//! SQL of whose an identity is, and of the key that signs for the token endpoint.

use tertulia_protocol::sid::{Key, Service};
use tertulia_protocol::{Sid, Timestamp};
use tertulia_store::{Failure, Row, Sql, Tx};

use super::Owner;
use crate::platform::page::Span;
use crate::platform::{AccountNumber, Columns, Outcome};

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
