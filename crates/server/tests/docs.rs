//! What docs/ shows in tables is what the code does: they are written from it.

use std::fmt::Write as _;

use tertulia_server::platform::Surface;
use tertulia_server::router::mounted;

/// Holds what stands between two marks of a document against this text, or writes it there.
#[track_caller]
pub(crate) fn hold(document: &str, begin: &str, end: &str, wanted: &str) {
    let path = format!("{}/../../docs/{document}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let begin = text.find(begin).expect("the table has a begin");
    let begin = begin + text[begin..].find('\n').expect("a line") + 1;
    let end = text.find(end).expect("the table has an end");
    if std::env::var("UPDATE_DOCS").is_ok_and(|update| update == "1") {
        let updated = format!("{}{wanted}{}", &text[..begin], &text[end..]);
        std::fs::write(path, updated).expect("the document can be written");
        return;
    }
    let hint = "run: UPDATE_DOCS=1 cargo test -p tertulia-server --test all docs";
    assert_eq!(&text[begin..end], wanted, "docs/{document} shows another table; {hint}");
}

fn table() -> String {
    let mut table = String::from("| operation | method | path | a Restricted key needs |\n|---|---|---|---|\n");
    for mounted in mounted().filter(|mounted| mounted.route.surface != Surface::Sdk) {
        let (operation, method) = (mounted.operation(), mounted.route.method.name());
        let permission = match (mounted.route.permission(), mounted.route.surface) {
            (Some(permission), _) => format!("`{permission}`"),
            (None, Surface::Operator) => "(the operator's)".to_owned(),
            (None, _) => "(never)".to_owned(),
        };
        let _ = writeln!(table, "| `{operation}` | {method} | `{}` | {permission} |", mounted.pattern());
    }
    table
}

#[test]
fn the_table_of_routes_is_the_routers_own() {
    hold("api.md", "<!-- routes: begin;", "<!-- routes: end -->", &table());
}
