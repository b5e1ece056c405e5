//! Migrations on PostgreSQL, one node at a time.

use super::pool::Pool;
use super::session::{Session, cause};
use crate::failure::{Cause, OpenError};
use crate::migrate::{Applied, BOOKKEEPING, Obstacle, Step, plan};
use crate::settings::Settings;

/// The number of the lock that nodes take one after the other. Any number does that nobody else
/// takes in this database.
const LOCK: i64 = 0x7465_7274_756c_6961;

pub(super) async fn bring_up_to_date(pool: &Pool, settings: &Settings) -> Result<(), OpenError> {
    let session = pool.get().await;
    let session = session.map_err(|(failure, _)| OpenError::database("connecting", failure))?;
    // The lock and the long statement time end with the session, which is never given back.
    let applied = lock_and_look(&session).await;
    let applied = applied.map_err(|source| OpenError::database("reading which migrations it has", source))?;
    for step in plan(settings.migrations, &applied, |migration| migration.postgres)? {
        if let Err(source) = apply(&session, &step, settings.now_micros).await {
            return Err(step.failed(source, obstacle(&session, &step).await));
        }
        tracing::info!("applied migration {}", step.file);
    }
    Ok(())
}

async fn lock_and_look(session: &Session) -> Result<Vec<Applied>, Cause> {
    let free = session.control(&format!("SELECT pg_try_advisory_lock({LOCK})")).await;
    if free.map_err(|error| cause(&error))?.as_deref() == Some("f") {
        tracing::info!("another server brings the database up to date; waiting for it");
        let wait = format!("SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})");
        session.control(&wait).await.map_err(|error| cause(&error))?;
    }
    let begin = format!("SET statement_timeout = 0; {BOOKKEEPING}");
    session.control(&begin).await.map_err(|error| cause(&error))?;
    let look = "SELECT number, name, checksum FROM schema_migration";
    let rows = session.client().query(look, &[]).await;
    let rows = rows.map_err(|error| cause(&error))?;
    let applied = rows
        .iter()
        .map(|row| Ok(Applied { number: row.try_get(0)?, name: row.try_get(1)?, checksum: row.try_get(2)? }));
    applied.collect::<Result<_, tokio_postgres::Error>>().map_err(|error| cause(&error))
}

/// The first row that was in a migration's way. What cannot be asked explains nothing.
async fn obstacle<'s>(session: &Session, step: &'s Step) -> Option<(String, &'s Obstacle)> {
    session.control("ROLLBACK").await.ok()?;
    for obstacle in step.obstacles {
        if let Ok(Some(row)) = session.control(obstacle.find).await {
            return Some((row, obstacle));
        }
    }
    None
}

async fn apply(session: &Session, step: &Step, now_micros: i64) -> Result<(), Cause> {
    let run = async || {
        session.control("BEGIN").await?;
        session.control(step.text).await?;
        let note = "INSERT INTO schema_migration (number, name, checksum, applied_at)
                    VALUES ($1, $2, $3, $4)";
        let client = session.client();
        client.execute(note, &[&step.number, &step.name, &step.checksum, &now_micros]).await?;
        session.control("COMMIT").await
    };
    run().await.map(drop).map_err(|error| cause(&error))
}
