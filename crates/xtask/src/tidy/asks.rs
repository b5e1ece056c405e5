//! Every place that asks whether a user may do a thing has cases in the table that the tests play.
//!
//! The list says of each call which operations show it. It is kept by hand, beside the table: a new call is
//! found here at once, and whether its cases would notice its absence is found by `cargo xtask mutate`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::calls::{Ask, SOURCE, asks};
use super::config::{Config, field, strings};
use super::{Problem, Tree};

pub(crate) const LIST: &str = "crates/server/tests/data/asked.json";
const TABLE: &str = "crates/server/tests/data/permissions.json";
const TESTS: &str = "crates/server/tests/";

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let read = |file| tree.get(file).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let found = asks(tree, config);
    let (Some(list), Some(table)) = (read(LIST), read(TABLE)) else {
        let what = "cannot be read, and there are calls that it must name";
        let problem = Problem::new(LIST, 0, what, "write it; crates/xtask/src/tidy/asks.rs says what for");
        return if found.is_empty() { Vec::new() } else { vec![problem] };
    };
    // What no route asks has a test of its own.
    let tests: String = tree.below(TESTS).map(|(_, text)| text).collect();
    let cases: Vec<_> = table["cases"].as_array().into_iter().flatten().collect();
    let mut listed: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for entry in list["asked"].as_array().into_iter().flatten() {
        listed.entry((field(entry, "file"), field(entry, "call"))).or_default().push(entry);
    }
    let mut problems = Vec::new();
    for ask in &found {
        // The same call twice has two entries, in the order of the lines.
        let entries = listed.get_mut(&(ask.file.as_str(), ask.call.as_str()));
        match entries.filter(|entries| !entries.is_empty()).map(|entries| entries.remove(0)) {
            Some(entry) if has_test(&tests, field(entry, "test")) => {}
            Some(entry) => problems.extend(uncovered(ask, entry, &cases)),
            None => {
                let what = format!("`{}` is in no list, so perhaps nothing is played that it decides", ask.call);
                let fix = format!("add cases to {TABLE}, name their operations in {LIST}, then `cargo xtask mutate`");
                problems.push(Problem::new(&format!("{SOURCE}{}", ask.file), ask.line, what, fix));
            }
        }
    }
    for ((file, call), _) in listed.iter().filter(|(_, left)| !left.is_empty()) {
        problems.push(Problem::new(LIST, 0, format!("{file} calls `{call}` no more"), "remove the entry"));
    }
    problems
}

fn has_test(tests: &str, name: &str) -> bool {
    !name.is_empty() && tests.contains(&format!("fn {name}("))
}

/// What the named operations have no case for.
fn uncovered(ask: &Ask, entry: &Value, cases: &[&Value]) -> Vec<Problem> {
    let operations = strings(&entry["operations"]);
    let problem = |what: String| Problem::new(LIST, 0, format!("{}: `{}` {what}", ask.file, ask.call), "add the case");
    if operations.is_empty() {
        return vec![problem("names no operation, and no test that there is".to_owned())];
    }
    let of = |operation: &str| -> Vec<&Value> {
        cases.iter().copied().filter(|case| field(case, "operation") == operation).collect()
    };
    let mut problems = Vec::new();
    for operation in &operations {
        // One that refuses and nothing else would be refused by a second call just as well.
        if !of(operation).iter().any(|case| case["refused"].is_array()) {
            problems.push(problem(format!("is for {operation}, which is never refused in {TABLE}")));
        }
    }
    for permission in permissions(&ask.call) {
        let is_needed = |case: &Value| {
            let mut groups = case["all"].as_array().into_iter().flatten().chain(std::iter::once(case));
            groups.any(|group| {
                [&group["service"], &group["conversation"]].iter().any(|names| strings(names).contains(&&*permission))
            })
        };
        if !operations.iter().flat_map(|operation| of(operation)).any(is_needed) {
            problems.push(problem(format!("asks for {permission}, which decides no case of {operations:?}")));
        }
    }
    problems
}

/// The permissions that a call names, as roles call them.
fn permissions(call: &str) -> Vec<String> {
    let names = call.split("Permission::").skip(1);
    let word = |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let lower = |word: String| word[..1].to_lowercase() + &word[1..];
    names.map(word).filter(|word| !word.is_empty()).map(lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::calls::tests::LISTS;

    const TEST: &str = "crates/server/tests/permissions/mod.rs";

    fn found(code: &str, list: &str) -> Vec<String> {
        let table = r#"{"cases": [
            {"operation": "Drop", "service": ["drop"], "refused": [403, 1]},
            {"operation": "Look", "always": true}]}"#;
        let list = format!(r#"{{"asked": [{list}]}}"#);
        let tree =
            Tree::of(&[("crates/server/src/a.rs", code), (LIST, &list), (TABLE, table), (TEST, "fn it_holds() {}")]);
        let problems = check(&tree, &Config::parse(&format!("{{{LISTS}}}")).unwrap());
        problems.into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn a_call_is_listed_with_operations_that_it_decides() {
        let code = "fn f() { room.may(cx, Permission::Drop).await?; }";
        let entry = |operations| {
            format!(r#"{{"file": "a.rs", "call": "room.may(cx, Permission::Drop)", "operations": [{operations}]}}"#)
        };
        assert!(found(code, &entry(r#""Drop""#)).is_empty());
        assert!(found(code, "")[0].contains("is in no list"));
        assert!(found(code, &entry(""))[0].contains("names no operation"));
        assert!(found(code, &entry(r#""Look""#))[0].contains("never refused"));
        assert!(found("", &entry(r#""Drop""#))[0].contains("no more"));
        let by_test = |test| entry("").replace("[]", &format!(r#"[], "test": "{test}""#));
        assert!(found(code, &by_test("it_holds")).is_empty());
        assert!(found(code, &by_test("it_is_gone"))[0].contains("names no operation"));
        let twice = code.replace("{ ", "{ room.may(cx, Permission::Drop).await?; ");
        assert_eq!(found(&twice, &entry(r#""Drop""#)).len(), 1);
        let other = code.replace("Drop)", "Keep)");
        let entry = entry(r#""Drop""#).replace("Drop)", "Keep)");
        assert!(found(&other, &entry)[0].contains("asks for keep"));
    }
}
