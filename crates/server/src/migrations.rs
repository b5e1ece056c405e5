//! The migrations, built into the binary: the same numbers and names for both engines.

use tertulia_store::{Migration, Obstacle};

macro_rules! migration {
    ($number:literal, $file:literal, $name:literal) => {
        migration!($number, $file, $name, &[])
    };
    ($number:literal, $file:literal, $name:literal, $obstacles:expr) => {
        Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../../migrations/postgres/", $file)),
            obstacles: $obstacles,
        }
    };
}

/// Rows of a table that are the same in these columns, and `$what` they are. The rows that count are `$those`.
macro_rules! doubles {
    ($table:literal, $columns:literal, $those:literal, $what:literal) => {
        Obstacle {
            find: concat!(
                "SELECT MIN(sid) FROM ",
                $table,
                " WHERE ",
                $those,
                " GROUP BY ",
                $columns,
                " HAVING COUNT(*) > 1 LIMIT 1"
            ),
            problem: concat!(
                "is in the table ",
                $table,
                " with another row for the same ",
                $what,
                ". \
                 docs/storage.md (\"Rows that are there twice\") says how to look at them and which one to delete"
            ),
        }
    };
}

/// What the unique indexes of migration 8 refuse. Two servers that seeded one empty database left accounts like that.
const DOUBLES: &[Obstacle] = &[
    doubles!("accounts", "sid", "sid IS NOT NULL", "SID"),
    doubles!("keys", "sid", "sid IS NOT NULL", "SID"),
    doubles!("services", "sid", "sid IS NOT NULL", "SID"),
    doubles!("roles", "sid", "sid IS NOT NULL", "SID"),
    doubles!("messages", "account, conversation_sid, sid", "sid IS NOT NULL", "SID"),
    doubles!(
        "participants",
        "account, user_sid, conversation_sid",
        "removed IS NULL AND user_sid IS NOT NULL",
        "user and conversation"
    ),
    doubles!("participants", "account, conversation_sid, roster_changed_pos", "sid IS NOT NULL", "roster position"),
    doubles!("participants", "account, user_sid, mine_changed_pos", "user_sid IS NOT NULL", "position of the user"),
    doubles!("messages", "account, conversation_sid, changed_pos", "changed_pos > created_pos", "position"),
];

/// Every migration, in ascending order. One that has been released never changes.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_first.sql", "first"),
    migration!(2, "0002_timers.sql", "timers"),
    migration!(3, "0003_presences.sql", "presences"),
    migration!(4, "0004_keys.sql", "keys"),
    migration!(5, "0005_logins.sql", "logins"),
    migration!(6, "0006_revocations.sql", "revocations"),
    migration!(7, "0007_private.sql", "private"),
    migration!(8, "0008_unique.sql", "unique", DOUBLES),
    migration!(9, "0009_jobs.sql", "jobs"),
    migration!(10, "0010_known_tokens.sql", "known_tokens"),
];
