//! What the schema says is there once, on both engines (docs/decisions/0018-unique.md).

use std::collections::BTreeMap;

use tertulia_server::platform::{Cx, Outcome, Question};
use tertulia_server::store::Sql;

use crate::support::{World, on_both_engines};

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
    world.play(async { world.app().ask(&world.app().nobody(), Look).await.expect("an answer") })
}

impl Schema {
    fn unique(&self, table: &str) -> &[(String, Rows)] {
        self.unique.get(table).map(Vec::as_slice).unwrap_or_default()
    }
}

fn every_sid_is_there_once(world: &World) {
    let schema = schema(world);
    let with_sid: Vec<_> = schema.columns.iter().filter(|(_, column)| column == "sid").map(|(table, _)| table).collect();
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
