//! Migrations: numbered texts, each applied once, in its own transaction, and never changed after.
//!
//! What was applied is noted in `schema_migration`, the only table the store has of its own. Here
//! is what both engines share: the plan. The engines apply it, each under its own lock.

use sha2::{Digest, Sha256};

use crate::failure::{Cause, OpenError};

/// One step of the schema, the same for both engines.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number; ascending, never reused.
    pub number: u32,
    /// Its name, `first` for the file `0001_first.sql`.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL.
    pub postgres: &'static str,
    /// What may be in its way in a database that is in use.
    pub obstacles: &'static [Obstacle],
}

/// Rows that a migration cannot be applied to. It is looked for after the migration has failed, so that
/// a database without such rows pays nothing for it.
#[derive(Clone, Copy, Debug)]
pub struct Obstacle {
    /// Finds one such row and gives its name as text. Both engines understand it.
    pub find: &'static str,
    /// What is wrong with that row and what to do about it; follows its name in the sentence for the operator.
    pub problem: &'static str,
}

/// The store's own bookkeeping.
pub(crate) const BOOKKEEPING: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    number BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// What a database says about a migration it has.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) number: i64,
    pub(crate) name: String,
    pub(crate) checksum: String,
}

/// A migration that is to be applied now.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) number: i64,
    pub(crate) name: &'static str,
    pub(crate) file: String,
    pub(crate) checksum: String,
    pub(crate) text: &'static str,
    pub(crate) obstacles: &'static [Obstacle],
}

impl Step {
    /// The sentence for the operator: the rows that were in its way, if some were found, else the database's words.
    pub(crate) fn failed(&self, source: Cause, found: Option<(String, &Obstacle)>) -> OpenError {
        let name = self.file.clone();
        match found {
            Some((row, obstacle)) => OpenError::Obstacle { name, row, problem: obstacle.problem },
            None => OpenError::Migration { name, source },
        }
    }
}

/// What is still to do, in order; an error if the database is not one we may touch.
pub(crate) fn plan(
    known: &[Migration],
    applied: &[Applied],
    text: fn(&Migration) -> &'static str,
) -> Result<Vec<Step>, OpenError> {
    check_list(known)?;
    for done in applied {
        check_applied(known, done, text)?;
    }
    let last = applied.iter().map(|done| done.number).max().unwrap_or(0);
    let missing = |m: &&Migration| !applied.iter().any(|a| a.number == i64::from(m.number));
    let steps: Vec<Step> = known.iter().filter(missing).map(|m| step(m, text)).collect();
    match steps.iter().find(|step| step.number < last) {
        Some(late) => Err(OpenError::List(format!("{} comes before migrations this database already has", late.file))),
        None => Ok(steps),
    }
}

fn check_list(known: &[Migration]) -> Result<(), OpenError> {
    let ascending = known.windows(2).all(|pair| pair[0].number < pair[1].number);
    let from_one = known.first().is_none_or(|first| first.number > 0);
    if ascending && from_one {
        return Ok(());
    }
    Err(OpenError::List("numbers must ascend from 1, each once".into()))
}

fn check_applied(known: &[Migration], done: &Applied, text: fn(&Migration) -> &'static str) -> Result<(), OpenError> {
    let file = file_name(done.number, &done.name);
    let Some(ours) = known.iter().find(|m| i64::from(m.number) == done.number) else {
        return Err(OpenError::Newer { name: file });
    };
    if ours.name != done.name || checksum(text(ours)) != done.checksum {
        return Err(OpenError::Changed { name: file });
    }
    Ok(())
}

fn step(migration: &Migration, text: fn(&Migration) -> &'static str) -> Step {
    let number = i64::from(migration.number);
    Step {
        number,
        name: migration.name,
        file: file_name(number, migration.name),
        checksum: checksum(text(migration)),
        text: text(migration),
        obstacles: migration.obstacles,
    }
}

fn file_name(number: i64, name: &str) -> String {
    format!("{number:04}_{name}.sql")
}

/// Line ends do not count: a checkout on Windows has other ones.
fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.replace("\r\n", "\n").as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration { number: 1, name: "first", sqlite: "one", postgres: "uno", obstacles: &[] };
    const THIRD: Migration = Migration { number: 3, name: "third", sqlite: "three", postgres: "tres", ..FIRST };

    fn sqlite(migration: &Migration) -> &'static str {
        migration.sqlite
    }

    fn done(migration: &Migration) -> Applied {
        Applied { number: migration.number.into(), name: migration.name.into(), checksum: checksum(migration.sqlite) }
    }

    #[test]
    fn what_is_missing_is_planned_in_order() {
        let steps = plan(&[FIRST, THIRD], &[], sqlite).unwrap();
        assert_eq!(steps[0].file, "0001_first.sql");
        assert_eq!(steps[1].file, "0003_third.sql");
        let steps = plan(&[FIRST, THIRD], &[done(&FIRST)], sqlite).unwrap();
        assert_eq!(steps.len(), 1);
        assert!(plan(&[FIRST], &[done(&FIRST)], sqlite).unwrap().is_empty());
    }

    #[test]
    fn a_newer_database_is_refused_by_name() {
        let error = plan(&[FIRST], &[done(&FIRST), done(&THIRD)], sqlite).unwrap_err();
        assert!(error.to_string().contains("0003_third.sql"), "{error}");
    }

    #[test]
    fn a_changed_migration_is_refused_by_name() {
        let changed = Migration { sqlite: "One", ..FIRST };
        let error = plan(&[changed], &[done(&FIRST)], sqlite).unwrap_err();
        assert!(error.to_string().contains("0001_first.sql"), "{error}");
    }

    #[test]
    fn a_migration_may_not_be_slipped_in_below() {
        let error = plan(&[FIRST, THIRD], &[done(&THIRD)], sqlite).unwrap_err();
        assert!(matches!(error, OpenError::List(_)), "{error}");
    }

    #[test]
    fn numbers_ascend_from_one() {
        assert!(plan(&[THIRD, FIRST], &[], sqlite).is_err());
        assert!(plan(&[FIRST, FIRST], &[], sqlite).is_err());
        let zero = Migration { number: 0, ..FIRST };
        assert!(plan(&[zero], &[], sqlite).is_err());
    }

    #[test]
    fn line_ends_do_not_count() {
        assert_eq!(checksum("a\r\nb"), checksum("a\nb"));
        assert_ne!(checksum("a\nb"), checksum("a b"));
    }
}
