//! Tables and their owners: SQL stands in `queries.rs`, and names only its own noun's tables.

use std::collections::BTreeMap;

use super::config::{Config, FILE};
use super::nouns::{SERVER, split};
use super::rust::Rust;
use super::tree::is_test_file;
use super::{Problem, Tree};

/// What stands before a table's name in the SQL that we write.
const BEFORE_TABLE: [&str; 6] = ["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "ONLY"];

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let tables = tables(tree);
    let owners: BTreeMap<&str, &str> =
        config.entries("/tables").into_iter().filter_map(|(table, owner)| Some((table, owner.as_str()?))).collect();
    let mut problems = without_owner(&tables, &owners);
    for (path, _) in tree.below(SERVER).filter(|(path, _)| !is_test_file(path)) {
        if let Some(rust) = tree.rust(path) {
            problems.extend(sql_elsewhere(config, path, rust));
            problems.extend(foreign_tables(config, &owners, path, rust));
        }
    }
    problems
}

/// Every table that a migration makes, with the place where it does.
fn tables(tree: &Tree) -> BTreeMap<String, (String, usize)> {
    let mut tables = BTreeMap::new();
    for (path, text) in tree.below("migrations/").filter(|(path, _)| path.ends_with(".sql")) {
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = words(line).collect();
            if let Some(name) = created(&words) {
                tables.entry(name.to_owned()).or_insert((path.to_owned(), index + 1));
            }
        }
    }
    tables
}

fn created<'w>(words: &[&'w str]) -> Option<&'w str> {
    let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    let is = |at: usize, word: &str| upper.get(at).is_some_and(|w| w == word);
    match (is(0, "CREATE") && is(1, "TABLE"), is(2, "IF")) {
        (true, true) => words.get(5).copied(),
        (true, false) => words.get(2).copied(),
        _ => None,
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn without_owner(tables: &BTreeMap<String, (String, usize)>, owners: &BTreeMap<&str, &str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (table, (path, line)) in tables {
        if !owners.contains_key(table.as_str()) {
            let what = format!("the table `{table}` has no owner");
            let fix = format!("name the noun that owns it under \"tables\" in {FILE}");
            problems.push(Problem::new(path, *line, what, fix));
        }
    }
    let gone = owners.keys().filter(|table| !tables.contains_key(**table));
    problems.extend(gone.map(|table| {
        let what = format!("the table `{table}` is listed, and no migration makes it");
        Problem::new(FILE, 0, what, "remove it from \"tables\"")
    }));
    problems
}

/// `Sql::` outside `queries.rs` makes SQL where nobody looks for it.
fn sql_elsewhere(config: &Config, path: &str, rust: &Rust) -> Vec<Problem> {
    let file = path.rsplit('/').next().unwrap_or(path);
    if file == "queries.rs" || config.excepts("/exceptions/tables", path, "Sql::") {
        return Vec::new();
    }
    let makes_sql = |line: &str| ["Sql::new(", "Sql::pair("].iter().any(|call| line.contains(call));
    rust.code()
        .filter(|(line, text)| !rust.is_test(*line) && makes_sql(text))
        .map(|(line, _)| {
            let fix = "move the text to the queries.rs of the noun that owns the table";
            Problem::new(path, line, "makes SQL outside a queries.rs", fix)
        })
        .collect()
}

/// Texts that name a table which belongs to another noun.
fn foreign_tables(config: &Config, owners: &BTreeMap<&str, &str>, path: &str, rust: &Rust) -> Vec<Problem> {
    let here = split(path).map_or("", |(folder, _)| folder);
    let mut problems = Vec::new();
    for (line, table) in named_tables(rust) {
        let Some(owner) = owners.get(table.as_str()).filter(|owner| **owner != here) else {
            continue;
        };
        if !config.excepts("/exceptions/tables", path, &table) {
            let what = format!("names the table `{table}`, which belongs to `{owner}`");
            let fix = format!(
                "call a query of {owner}/queries.rs; if one statement must do both, say so with a \
                 reason under \"exceptions\" in {FILE}"
            );
            problems.push(Problem::new(path, line, what, fix));
        }
    }
    problems
}

/// Words that follow FROM, JOIN, INTO, UPDATE or TABLE inside strings, also over a line's end.
fn named_tables(rust: &Rust) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for text in rust.texts.iter().filter(|text| !rust.is_test(text.line)) {
        let mut expected = false;
        for (line, word) in text.lines().flat_map(|(line, text)| words(text).map(move |word| (line, word))) {
            if expected {
                named.push((line, word.to_owned()));
            }
            expected = BEFORE_TABLE.contains(&word);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: (&str, &str) = (
        "migrations/sqlite/0001_first.sql",
        "CREATE TABLE message (\n  a BIGINT\n);\ncreate table if not exists conversation(x);",
    );
    const CONFIG: &str = r#"{
        "tables": {"message": "messages", "conversation": "conversations"},
        "exceptions": {"tables": [
            {"file": "crates/server/src/messages/queries.rs", "of": ["hot"], "reason": "r"},
            {"file": "crates/server/src/platform/", "of": ["Sql::"], "reason": "r"}]}}"#;

    fn problems(path: &str, text: &str) -> Vec<Problem> {
        let path = format!("{SERVER}{path}");
        check(&Tree::of(&[SCHEMA, (&path, text)]), &Config::parse(CONFIG).unwrap())
    }

    #[test]
    fn own_tables_in_queries_pass() {
        let text = "Sql::new(\"UPDATE message SET a = 1\");\nSql::new(\"SELECT 1\n FROM\n message\")";
        assert!(problems("messages/queries.rs", text).is_empty());
    }

    #[test]
    fn a_foreign_table_names_its_owner() {
        let found = problems("messages/queries.rs", "Sql::new(\"SELECT 1\n FROM conversation\")");
        assert_eq!((found.len(), found[0].line), (1, 2));
        assert!(found[0].what.contains("belongs to `conversations`"));
    }

    #[test]
    fn sql_stands_in_queries_or_where_it_is_excepted() {
        assert_eq!(problems("messages/commands.rs", "Sql::new(\"SELECT 1\")").len(), 1);
        assert!(problems("platform/jobs.rs", "Sql::new(\"SELECT 1\")").is_empty());
    }

    #[test]
    fn every_table_has_an_owner_and_every_owner_a_table() {
        let tree = Tree::of(&[SCHEMA]);
        let config = Config::parse(r#"{"tables": {"message": "messages", "old": "olds"}}"#).unwrap();
        let found = check(&tree, &config);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[1].file.as_str()), (4, FILE));
    }

    #[test]
    fn prose_that_updates_things_names_no_table() {
        assert!(problems("messages/http.rs", "// UPDATE conversation\nf(\"update it\")").is_empty());
    }
}
