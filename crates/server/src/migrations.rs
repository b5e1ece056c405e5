//! The migrations, built into the binary: the same numbers and names for both engines.

use tertulia_store::Migration;

macro_rules! migration {
    ($number:literal, $file:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../../migrations/postgres/", $file)),
        }
    };
}

/// Every migration, in ascending order. One that has been released never changes.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_first.sql", "first"),
    migration!(2, "0002_timers.sql", "timers"),
    migration!(3, "0003_presences.sql", "presences"),
    migration!(4, "0004_keys.sql", "keys"),
    migration!(5, "0005_logins.sql", "logins"),
    migration!(6, "0006_revocations.sql", "revocations"),
    migration!(10, "0010_known_tokens.sql", "known_tokens"),
];
