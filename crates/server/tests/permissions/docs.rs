//! docs/permissions.md shows the table to people.

use std::fmt::Write as _;

use super::table::{Case, Names, Rule, TABLE};
use crate::docs::hold;

fn listed(names: &Names) -> String {
    // Ten permissions let one look at the shared facts: the page names them once, above the table.
    let reaches_in = names.len() >= 10;
    let shown = names.iter().filter(|name| !reaches_in || *name == "joinConversation");
    let mut words: Vec<_> = shown.map(|name| format!("`{name}`")).collect();
    if reaches_in {
        words.push("any that reaches in".to_owned());
    }
    if words.is_empty() { "–".to_owned() } else { words.join(" or ") }
}

/// What it takes, by the service role and by the conversation role.
fn needed(case: &Case) -> [String; 2] {
    match &case.rule {
        Rule::Always => ["*always*".to_owned(), "*always*".to_owned()],
        Rule::Never => ["*never*".to_owned(), "*never*".to_owned()],
        Rule::Needs(groups) => {
            let side = |of: fn(&super::table::Group) -> &Names| {
                groups.iter().map(|group| listed(of(group))).collect::<Vec<_>>().join("; and ")
            };
            [side(|group| &group.service), side(|group| &group.conversation)]
        }
    }
}

fn refused(case: &Case) -> String {
    let (status, code) = case.refused;
    if status == 0 { String::new() } else { format!("{status} / {code}") }
}

fn who(case: &Case) -> String {
    if case.is_open { format!("{} (open)", case.standing) } else { case.standing.clone() }
}

fn table() -> String {
    let mut rows: Vec<(&str, Vec<String>, [String; 2], String)> = Vec::new();
    for case in &TABLE.cases {
        let (needed, refused) = (needed(case), refused(case));
        let same = rows.iter_mut().find(|row| row.0 == case.text && row.2 == needed && row.3 == refused);
        match same {
            Some(row) => row.1.push(who(case)),
            None => rows.push((&case.text, vec![who(case)], needed, refused)),
        }
    }
    let mut table = String::from(
        "| to do what | as | the service role holds | or the conversation role holds | else |\n|---|---|---|---|---|\n",
    );
    for (text, who, [service, conversation], refused) in rows {
        let _ = writeln!(table, "| {text} | {} | {service} | {conversation} | {refused} |", who.join(", "));
    }
    table
}

fn roles() -> String {
    let mut table = String::from("| role | type | permissions |\n|---|---|---|\n");
    for (name, kind, held) in &TABLE.roles {
        let held: Vec<_> = held.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(table, "| {name} | {kind} | {} |", held.join(", "));
    }
    table
}

#[test]
fn the_tables_of_permissions_are_those_that_the_tests_play() {
    hold("permissions.md", "<!-- roles: begin;", "<!-- roles: end -->", &roles());
    hold("permissions.md", "<!-- cases: begin;", "<!-- cases: end -->", &table());
}
