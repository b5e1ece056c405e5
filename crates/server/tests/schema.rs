//! What the schema says is there once, on both engines (docs/decisions/0018-unique.md).

use std::collections::BTreeMap;
use std::sync::Arc;

use tertulia_server::migrations::MIGRATIONS;
use tertulia_server::platform::{Caller, Cx, Outcome, Question};
use tertulia_server::store::{Command, Engine, Failure, OpenError, Settings, Silence, Sql, Store, Tx};

use crate::support::{World, on_both_engines, play};

on_both_engines! {
    every_sid_is_there_once,
    every_other_key_is_there_once,
}

/// Tables and their columns, in the order of their names.
static COLUMNS: Sql = Sql::pair(
    "SELECT tables.name, columns.name FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns \
     WHERE tables.type = 'table' ORDER BY tables.name, columns.name",
    "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns \
     WHERE table_schema = 'public' ORDER BY table_name, column_name",
);

/// Tables, with the columns of their unique indexes, primary keys among them, in the order of the index. A number
/// says whether the index is for all rows.
static UNIQUE: Sql = Sql::pair(
    "SELECT tables.name, \
     (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(indexes.name) ORDER BY seqno)), \
     1 - indexes.partial \
     FROM sqlite_schema AS tables JOIN pragma_index_list(tables.name) AS indexes \
     WHERE tables.type = 'table' AND indexes.\"unique\" = 1 \
     UNION ALL SELECT tables.name, columns.name, 1 FROM sqlite_schema AS tables \
     JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND columns.pk = 1 \
     AND (SELECT COUNT(*) FROM pragma_table_info(tables.name) WHERE pk > 0) = 1",
    "SELECT CAST(tables.relname AS TEXT), (SELECT string_agg(CAST(columns.attname AS TEXT), ',' ORDER BY key.place) \
     FROM unnest(indexes.indkey) WITH ORDINALITY AS key(number, place) \
     JOIN pg_attribute AS columns ON columns.attrelid = tables.oid AND columns.attnum = key.number), \
     CASE WHEN indexes.indpred IS NULL THEN 1 ELSE 0 END \
     FROM pg_index AS indexes JOIN pg_class AS tables ON tables.oid = indexes.indrelid \
     JOIN pg_namespace AS spaces ON spaces.oid = tables.relnamespace \
     WHERE spaces.nspname = 'public' AND indexes.indisunique",
);

/// Keys that are not SIDs: table, columns, and whether all rows count or only those that have not been removed.
const KEYS: &[(&str, &str, Rows)] = &[
    ("installation", "one", Rows::All),
    ("schema_migration", "number", Rows::All),
    ("accounts", "account", Rows::All),
    ("accounts", "sid", Rows::All),
    ("keys", "sid", Rows::All),
    ("services", "sid", Rows::All),
    ("roles", "sid", Rows::All),
    ("users", "account,service_sid,identity", Rows::Some),
    ("conversations", "account,service_sid,unique_name", Rows::Some),
    ("rosters", "account,conversation_sid", Rows::All),
    ("participants", "account,conversation_sid,identity", Rows::Some),
    ("participants", "account,user_sid,conversation_sid", Rows::Some),
    ("participants", "account,conversation_sid,roster_changed_pos", Rows::All),
    ("participants", "account,user_sid,mine_changed_pos", Rows::All),
    ("messages", "account,conversation_sid,idx", Rows::All),
    ("messages", "account,conversation_sid,changed_pos", Rows::Some),
    ("leases", "node", Rows::All),
    ("presences", "account,user_sid,node", Rows::All),
    ("owners", "account,service_sid,identity", Rows::All),
    ("signers", "account", Rows::All),
    ("api_tokens", "account,id", Rows::All),
    ("key_evidence", "account,key_sid", Rows::All),
    ("jobs", "account,kind,job_key", Rows::All),
    ("known_tokens", "account,fingerprint", Rows::All),
];

/// For how many rows a unique index counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    All,
    Some,
}

/// What may stand before a SID in its index: a SID is looked for within these.
const SCOPES: [&str; 3] = ["sid", "account,sid", "account,conversation_sid,sid"];

struct Schema {
    columns: Vec<(String, String)>,
    unique: BTreeMap<String, Vec<(String, Rows)>>,
}

struct Look;

impl Question for Look {
    type Out = Schema;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Schema> {
        let mut schema = Schema { columns: Vec::new(), unique: BTreeMap::new() };
        for row in cx.tx.query(&COLUMNS, &[]).await? {
            schema.columns.push((row.get(0)?, row.get(1)?));
        }
        for row in cx.tx.query(&UNIQUE, &[]).await? {
            let of_all: i64 = row.get(2)?;
            let rows = if of_all == 1 { Rows::All } else { Rows::Some };
            schema.unique.entry(row.get(0)?).or_default().push((row.get(1)?, rows));
        }
        Ok(schema)
    }
}

fn schema(world: &World) -> Schema {
    world.play(async { world.app().db.ask(&Caller::nobody(), Look).await.expect("an answer") })
}

impl Schema {
    fn unique(&self, table: &str) -> &[(String, Rows)] {
        self.unique.get(table).map(Vec::as_slice).unwrap_or_default()
    }
}

fn every_sid_is_there_once(world: &World) {
    let schema = schema(world);
    let with_sid: Vec<_> =
        schema.columns.iter().filter(|(_, column)| column == "sid").map(|(table, _)| table).collect();
    assert!(with_sid.len() >= 10, "only {with_sid:?} have a SID; is the schema read as it should be?");
    for table in with_sid {
        let indexes = schema.unique(table);
        let leads = |scope: &str| indexes.contains(&(scope.to_owned(), Rows::All));
        assert!(SCOPES.into_iter().any(leads), "no unique index leads to a SID in {table}: {indexes:?}");
    }
}

/// Every table is in the list, so that a new one is thought about.
fn every_other_key_is_there_once(world: &World) {
    let schema = schema(world);
    for (table, columns, rows) in KEYS {
        let indexes = schema.unique(table);
        assert!(indexes.contains(&((*columns).to_owned(), *rows)), "{columns} of {table}: {indexes:?}");
    }
    for (table, _) in schema.columns.iter().filter(|(table, _)| !table.starts_with("sqlite_")) {
        let has_key = KEYS.iter().any(|(known, ..)| known == table);
        let has_sid = schema.columns.contains(&(table.clone(), "sid".to_owned()));
        assert!(has_key || has_sid, "{table} has no SID, so its key belongs in this list");
    }
}

/// Two rows that migration 8 cannot make unique: what the sentence says of them, what inserts them, and what deletes
/// one of them.
struct Double {
    says: &'static str,
    insert: Sql,
    delete: Sql,
}

macro_rules! double {
    ($table:literal, $says:literal, $columns:literal, $one:literal, $other:literal, delete $where:literal) => {
        Double {
            says: $says,
            insert: Sql::new(concat!("INSERT INTO ", $table, " (", $columns, ") VALUES (", $one, "), (", $other, ")")),
            delete: Sql::new(concat!("DELETE FROM ", $table, " WHERE ", $where)),
        }
    };
}

static DOUBLES: [Double; 8] = [
    double!(
        "services",
        "IS1 is in the table services with another row for the same SID",
        "account, sid, friendly_name, conversation_creator_role_sid, conversation_role_sid, service_role_sid, \
         reachability_enabled, created, updated",
        "1, 'IS1', '', '', '', '', 0, 0, 0",
        "2, 'IS1', '', '', '', '', 0, 0, 0",
        delete "account = 2"
    ),
    double!(
        "roles",
        "RL1 is in the table roles with another row for the same SID",
        "account, sid, service_sid, friendly_name, kind, permissions, created, updated",
        "1, 'RL1', 'IS1', '', '', '', 0, 0",
        "2, 'RL1', 'IS1', '', '', '', 0, 0",
        delete "account = 2"
    ),
    double!(
        "messages",
        "IM1 is in the table messages with another row for the same SID",
        "account, conversation_sid, idx, sid, author, attributes, created, updated, created_pos, changed_pos",
        "1, 'CH1', 0, 'IM1', '', '{}', 0, 0, 1, 1",
        "1, 'CH1', 1, 'IM1', '', '{}', 0, 0, 2, 2",
        delete "idx = 1"
    ),
    double!(
        "messages",
        "IM1 is in the table messages with another row for the same position",
        "account, conversation_sid, idx, sid, author, attributes, created, updated, created_pos, changed_pos",
        "1, 'CH1', 0, 'IM1', '', '{}', 0, 0, 1, 3",
        "1, 'CH1', 1, 'IM2', '', '{}', 0, 0, 2, 3",
        delete "idx = 1"
    ),
    double!(
        "participants",
        "MB1 is in the table participants with another row for the same user and conversation",
        "account, conversation_sid, sid, service_sid, identity, user_sid, attributes, notification_level, created, \
         updated, roster_created_pos, roster_changed_pos, mine_created_pos, mine_changed_pos",
        "1, 'CH1', 'MB1', 'IS1', 'a', 'US1', '{}', 'default', 0, 0, 1, 1, 1, 1",
        "1, 'CH1', 'MB2', 'IS1', 'b', 'US1', '{}', 'default', 0, 0, 2, 2, 2, 2",
        delete "sid = 'MB2'"
    ),
    double!(
        "participants",
        "MB1 is in the table participants with another row for the same roster position",
        "account, conversation_sid, sid, service_sid, identity, user_sid, attributes, notification_level, created, \
         updated, roster_created_pos, roster_changed_pos, mine_created_pos, mine_changed_pos",
        "1, 'CH1', 'MB1', 'IS1', 'a', 'US1', '{}', 'default', 0, 0, 1, 5, 1, 1",
        "1, 'CH1', 'MB2', 'IS1', 'b', 'US2', '{}', 'default', 0, 0, 2, 5, 2, 2",
        delete "sid = 'MB2'"
    ),
    double!(
        "participants",
        "MB1 is in the table participants with another row for the same position of the user",
        "account, conversation_sid, sid, service_sid, identity, user_sid, attributes, notification_level, created, \
         updated, roster_created_pos, roster_changed_pos, mine_created_pos, mine_changed_pos",
        "1, 'CH1', 'MB1', 'IS1', 'a', 'US1', '{}', 'default', 0, 0, 1, 1, 1, 7",
        "1, 'CH2', 'MB2', 'IS1', 'a', 'US1', '{}', 'default', 0, 0, 1, 1, 2, 7",
        delete "sid = 'MB2'"
    ),
    Double {
        says: "AC1 is in the table accounts with another row for the same SID",
        insert: Sql::pair(
            "INSERT INTO accounts (account, sid, friendly_name, status, auth_token, created, updated) \
             VALUES (1, 'AC1', '', 'active', x'00', 0, 0), (2, 'AC1', '', 'active', x'00', 0, 0)",
            "INSERT INTO accounts (account, sid, friendly_name, status, auth_token, created, updated) \
             VALUES (1, 'AC1', '', 'active', '\\x00', 0, 0), (2, 'AC1', '', 'active', '\\x00', 0, 0)",
        ),
        delete: Sql::new("DELETE FROM accounts WHERE account = 2"),
    },
];

struct Run(&'static Sql);

impl Command for Run {
    type Out = u64;
    type Refusal = Failure;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64, Failure> {
        tx.execute(self.0, &[]).await
    }
}

/// Opens a database up to the migration that makes things unique, or up to date.
async fn open(engine: &Engine, up_to_date: bool) -> Result<Store, OpenError> {
    let before = MIGRATIONS.iter().position(|migration| migration.name == "unique").expect("the migration");
    let migrations = if up_to_date { MIGRATIONS } else { &MIGRATIONS[..before] };
    Store::open(Settings::new(engine.clone(), migrations, Arc::new(Silence), 7)).await
}

async fn run(engine: &Engine, sql: &'static Sql) {
    let store = open(engine, false).await.expect("an older database");
    assert!(store.write(Run(sql)).await.expect("rows") > 0);
    store.close().await;
}

async fn doubles_are_named_in_one_sentence(double: &'static Double, engine: Engine) {
    run(&engine, &double.insert).await;
    let sentence = open(&engine, true).await.expect_err("it cannot be made unique").to_string();
    let begin = "migration 0008_unique.sql was not applied, and nothing was changed: ";
    assert!(sentence.starts_with(&format!("{begin}{}", double.says)), "{sentence}");
    assert!(sentence.contains("docs/storage.md") && !sentence.contains("constraint"), "{sentence}");
    run(&engine, &double.delete).await;
    open(&engine, true).await.expect("now it can").close().await;
}

#[test]
fn an_older_database_with_doubles_is_refused_in_one_sentence_on_sqlite() {
    for double in &DOUBLES {
        let folder = testkit::temp_dir();
        play(doubles_are_named_in_one_sentence(double, Engine::Sqlite { folder: folder.path().to_owned() }));
    }
}

#[test]
fn an_older_database_with_doubles_is_refused_in_one_sentence_on_postgres() {
    for double in &DOUBLES {
        let Some(url) = testkit::fresh_database("an_older_database_with_doubles") else { return };
        play(doubles_are_named_in_one_sentence(double, Engine::Postgres { url }));
    }
}
