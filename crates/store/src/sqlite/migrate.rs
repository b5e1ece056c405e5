//! Migrations on SQLite. The lock on the folder keeps a second process away.

use rusqlite::{Connection, params};

use super::connection::Lite;
use crate::failure::{Cause, OpenError};
use crate::migrate::{Applied, BOOKKEEPING, Obstacle, Step, plan};
use crate::settings::Settings;

pub(super) fn bring_up_to_date(lite: &mut Lite, settings: &Settings) -> Result<(), OpenError> {
    let applied = applied(&lite.db).map_err(|error| OpenError::database("reading which migrations it has", error))?;
    let steps = plan(settings.migrations, &applied, |migration| migration.sqlite)?;
    for step in steps {
        apply(&mut lite.db, &step, settings.now_micros)
            .map_err(|source| step.failed(source, obstacle(&lite.db, &step)))?;
        tracing::info!("applied migration {}", step.file);
    }
    Ok(())
}

fn applied(db: &Connection) -> rusqlite::Result<Vec<Applied>> {
    // STRICT like every other table; it knows INTEGER, which is as wide, and no BIGINT.
    let bookkeeping = BOOKKEEPING.replace("BIGINT", "INTEGER");
    db.execute_batch(&format!("{bookkeeping} STRICT"))?;
    let mut statement = db.prepare("SELECT number, name, checksum FROM schema_migration")?;
    let rows =
        statement.query_map([], |row| Ok(Applied { number: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? }))?;
    rows.collect()
}

/// The first row that was in a migration's way. What cannot be asked explains nothing.
fn obstacle<'s>(db: &Connection, step: &'s Step) -> Option<(String, &'s Obstacle)> {
    step.obstacles.iter().find_map(|obstacle| {
        let row = db.query_row(obstacle.find, [], |row| row.get(0)).ok()?;
        Some((row, obstacle))
    })
}

fn apply(db: &mut Connection, step: &Step, now_micros: i64) -> Result<(), Cause> {
    // Tables are rebuilt by copying, which foreign keys would forbid half way; they are checked as
    // a whole before the commit.
    db.pragma_update(None, "foreign_keys", false)?;
    let done = apply_unchecked(db, step, now_micros);
    db.pragma_update(None, "foreign_keys", true)?;
    done
}

fn apply_unchecked(db: &mut Connection, step: &Step, now_micros: i64) -> Result<(), Cause> {
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.execute_batch(step.text)?;
    tx.execute(
        "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
        params![step.number, step.name, step.checksum, now_micros],
    )?;
    if tx.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err("it leaves rows that refer to nothing".into());
    }
    tx.commit()?;
    Ok(())
}
