//! docs/api.md says what the code does: the table of routes is the router's own.

use std::fmt::Write as _;

use tertulia_server::platform::Surface;
use tertulia_server::router::mounted;

const BEGIN: &str = "<!-- routes: begin;";
const END: &str = "<!-- routes: end -->";

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
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md");
    let text = std::fs::read_to_string(path).expect("docs/api.md is there");
    let begin = text.find(BEGIN).expect("the table has a begin");
    let begin = begin + text[begin..].find('\n').expect("a line") + 1;
    let end = text.find(END).expect("the table has an end");
    if std::env::var("UPDATE_DOCS").is_ok_and(|update| update == "1") {
        let updated = format!("{}{}{}", &text[..begin], table(), &text[end..]);
        std::fs::write(path, updated).expect("docs/api.md can be written");
        return;
    }
    let hint = "run: UPDATE_DOCS=1 cargo test -p tertulia-server --test all docs";
    assert_eq!(&text[begin..end], table(), "docs/api.md shows other routes than the router has; {hint}");
}
