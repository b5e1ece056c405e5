//! SQL of durable jobs.

use tertulia_protocol::Timestamp;
use tertulia_store::{P, Row, Sql, Tx};

use super::{Backlog, Claim, Kind};
use crate::platform::{AccountNumber, Columns, Outcome};

// Two indexes: what waits by its due time, what runs by the end of its lease.
macro_rules! next {
    ($which:literal) => {
        concat!(
            "SELECT (SELECT MIN(due) FROM jobs WHERE leased_until IS NULL AND ",
            $which,
            "), (SELECT MIN(leased_until) FROM jobs WHERE leased_until IS NOT NULL AND ",
            $which,
            ")"
        )
    };
}
// The rows are chosen once and then updated: a subquery that the engine may run twice would lock others, too.
macro_rules! claim {
    ($whose:literal, $lock:literal) => {
        concat!(
            "WITH chosen AS MATERIALIZED (SELECT account, kind, job_key FROM jobs ",
            "WHERE due <= $1 AND (leased_until IS NULL OR leased_until <= $2) AND ",
            $whose,
            " ORDER BY due LIMIT $6 ",
            $lock,
            ") UPDATE jobs SET leased_until = $5, fence = fence + 1, attempts = attempts + 1 FROM chosen ",
            "WHERE jobs.account = chosen.account AND jobs.kind = chosen.kind AND jobs.job_key = chosen.job_key ",
            "RETURNING jobs.account, jobs.kind, jobs.job_key, due, attempts, fence, enqueued"
        )
    };
}
// The earlier of two due times counts, so that a job is never late; a job that comes too early looks and waits.
static ENQUEUE: Sql = Sql::pair(
    "INSERT INTO jobs (account, kind, job_key, due, attempts, fence, enqueued, leased_until) \
     VALUES ($1, $2, $3, $4, 0, 0, 1, NULL) ON CONFLICT (account, kind, job_key) DO UPDATE SET \
     due = MIN(due, excluded.due), enqueued = enqueued + 1",
    "INSERT INTO jobs (account, kind, job_key, due, attempts, fence, enqueued, leased_until) \
     VALUES ($1, $2, $3, $4, 0, 0, 1, NULL) ON CONFLICT (account, kind, job_key) DO UPDATE SET \
     due = LEAST(jobs.due, excluded.due), enqueued = jobs.enqueued + 1",
);
static ENSURE: Sql = Sql::new(
    "INSERT INTO jobs (account, kind, job_key, due, attempts, fence, enqueued, leased_until) \
     VALUES ($1, $2, '', $3, 0, 0, 1, NULL) ON CONFLICT DO NOTHING",
);
// On PostgreSQL several nodes claim side by side: each skips the rows that another is about to take.
static CLAIM: Sql = Sql::pair(
    claim!("kind IN (SELECT value FROM json_each($3)) AND account NOT IN (SELECT value FROM json_each($4))", ""),
    claim!("kind = ANY($3) AND account <> ALL($4)", "FOR UPDATE SKIP LOCKED"),
);
static CLAIM_OF: Sql = Sql::pair(
    claim!("kind IN (SELECT value FROM json_each($3)) AND account = $4", ""),
    claim!("kind = ANY($3) AND account = $4", "FOR UPDATE SKIP LOCKED"),
);
static HOLD: Sql = Sql::new(
    "UPDATE jobs SET leased_until = $5 WHERE account = $1 AND kind = $2 AND job_key = $3 AND fence = $4 RETURNING fence",
);
static FINISH: Sql =
    Sql::new("DELETE FROM jobs WHERE account = $1 AND kind = $2 AND job_key = $3 AND fence = $4 AND enqueued = $5");
static AGAIN: Sql = Sql::new(
    "UPDATE jobs SET due = $5, attempts = $6, leased_until = NULL \
     WHERE account = $1 AND kind = $2 AND job_key = $3 AND fence = $4",
);
static FORGET_LEASES: Sql = Sql::new("UPDATE jobs SET leased_until = NULL WHERE leased_until IS NOT NULL");
static NEXT: Sql = Sql::pair(
    next!("kind IN (SELECT value FROM json_each($1)) AND account NOT IN (SELECT value FROM json_each($2))"),
    next!("kind = ANY($1) AND account <> ALL($2)"),
);
static NEXT_OF: Sql = Sql::pair(
    next!("kind IN (SELECT value FROM json_each($1)) AND account = $2"),
    next!("kind = ANY($1) AND account = $2"),
);
static BACKLOG: Sql = Sql::new(
    "SELECT kind, COUNT(*), COUNT(CASE WHEN attempts > 0 AND leased_until IS NULL THEN 1 END), MIN(due) \
     FROM jobs GROUP BY kind ORDER BY kind",
);

fn read(row: &Row) -> Outcome<Claim> {
    let mut columns = Columns::of("jobs", row);
    Ok(Claim {
        account: AccountNumber(columns.take()?),
        kind: columns.take()?,
        key: columns.take()?,
        due: columns.time()?,
        attempts: columns.take()?,
        fence: columns.take()?,
        enqueued: columns.take()?,
    })
}

/// Adds a job, or brings the one that is there forward.
pub async fn enqueue(tx: &mut Tx<'_>, account: AccountNumber, kind: Kind, key: &str, due: Timestamp) -> Outcome<()> {
    tx.execute(&ENQUEUE, &[account.into(), kind.0.into(), key.into(), due.micros().into()]).await?;
    Ok(())
}

/// Adds a job of the whole installation that comes again and again, unless it is there.
pub async fn ensure(tx: &mut Tx<'_>, kind: Kind, due: Timestamp) -> Outcome<()> {
    tx.execute(&ENSURE, &[AccountNumber(0).into(), kind.0.into(), due.micros().into()]).await?;
    Ok(())
}

/// Which jobs to claim, and for how long.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Kinds that the node can run: a newer node may have enqueued others.
    pub kinds: Vec<&'static str>,
    /// The machine's time.
    pub machine: Timestamp,
    /// Until when the lease is to last, by the machine's clock.
    pub until: Timestamp,
    /// How many at most.
    pub limit: i64,
}

/// Claims jobs of one account that are due by `now`.
pub async fn claim_of(tx: &mut Tx<'_>, account: AccountNumber, now: Timestamp, wanted: &Wanted) -> Outcome<Vec<Claim>> {
    claim_where(tx, &CLAIM_OF, account.into(), now, wanted).await
}

/// Claims jobs that are due by the machine's time, of every account but those with a time of their own.
pub async fn claim(tx: &mut Tx<'_>, others: &[i64], wanted: &Wanted) -> Outcome<Vec<Claim>> {
    claim_where(tx, &CLAIM, P::Ints(others), wanted.machine, wanted).await
}

async fn claim_where(
    tx: &mut Tx<'_>,
    sql: &'static Sql,
    whose: P<'_>,
    now: Timestamp,
    wanted: &Wanted,
) -> Outcome<Vec<Claim>> {
    let (machine, until) = (wanted.machine.micros(), wanted.until.micros());
    let kinds = P::Texts(&wanted.kinds);
    let values = [now.micros().into(), machine.into(), kinds, whose, until.into(), wanted.limit.into()];
    tx.query(sql, &values).await?.iter().map(read).collect()
}

/// Locks a claimed job's row and makes its lease last until then; `false` if another claim came later.
pub async fn hold(tx: &mut Tx<'_>, claim: &Claim, until: Timestamp) -> Outcome<bool> {
    let [account, kind, key, fence] = named(claim);
    Ok(tx.query_opt(&HOLD, &[account, kind, key, fence, until.micros().into()]).await?.is_some())
}

/// Deletes a job, unless it was enqueued again since it was claimed; whether it did.
pub async fn finish(tx: &mut Tx<'_>, claim: &Claim) -> Outcome<bool> {
    let [account, kind, key, fence] = named(claim);
    Ok(tx.execute(&FINISH, &[account, kind, key, fence, claim.enqueued.into()]).await? == 1)
}

/// Gives a job back: it is due again at a moment of its account's clock.
pub async fn again(tx: &mut Tx<'_>, claim: &Claim, due: Timestamp, attempts: i64) -> Outcome<()> {
    let [account, kind, key, fence] = named(claim);
    tx.execute(&AGAIN, &[account, kind, key, fence, due.micros().into(), attempts.into()]).await?;
    Ok(())
}

fn named(claim: &Claim) -> [P<'_>; 4] {
    [claim.account.into(), claim.kind.as_str().into(), claim.key.as_str().into(), claim.fence.into()]
}

/// Ends every lease: for a node that is alone and has just started.
pub async fn forget_leases(tx: &mut Tx<'_>) -> Outcome<()> {
    tx.execute(&FORGET_LEASES, &[]).await?;
    Ok(())
}

/// When something can be claimed next: the first due time of what waits, by the account's clock, and the first end
/// of a lease, by the machine's.
pub type NextMoments = (Option<Timestamp>, Option<Timestamp>);

/// When something of any account but these can be claimed next.
pub async fn next(tx: &mut Tx<'_>, kinds: &[&str], others: &[i64]) -> Outcome<NextMoments> {
    next_where(tx, &NEXT, kinds, P::Ints(others)).await
}

/// When something of one account can be claimed next.
pub async fn next_of(tx: &mut Tx<'_>, kinds: &[&str], account: AccountNumber) -> Outcome<NextMoments> {
    next_where(tx, &NEXT_OF, kinds, account.into()).await
}

async fn next_where(tx: &mut Tx<'_>, sql: &'static Sql, kinds: &[&str], whose: P<'_>) -> Outcome<NextMoments> {
    let row = tx.query_one(sql, &[P::Texts(kinds), whose]).await?;
    let mut columns = Columns::of("jobs", &row);
    Ok((columns.opt_time()?, columns.opt_time()?))
}

/// How many jobs of each kind there are, and how old the oldest is.
pub async fn backlog(tx: &mut Tx<'_>) -> Outcome<Vec<Backlog>> {
    let rows = tx.query(&BACKLOG, &[]).await?;
    let read = |row| {
        let mut columns = Columns::of("jobs", row);
        let (kind, jobs, failing) = (columns.take()?, columns.take()?, columns.take()?);
        Ok(Backlog { kind, jobs, failing, oldest_due: columns.time()? })
    };
    rows.iter().map(read).collect()
}
