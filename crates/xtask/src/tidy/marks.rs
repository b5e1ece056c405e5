//! Marks of one machine, of one registry, of unfinished work.

use super::config::{Config, FILE, field, strings};
use super::tree::is_test_file;
use super::{Problem, Tree};

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let rules = config.objects("/marks");
    let mut problems = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| *path != FILE) {
        let rules = rules.iter().filter(|rule| applies(rule, path));
        for rule in rules.filter(|rule| strings(&rule["marks"]).iter().any(|mark| text.contains(mark))) {
            let lines = text.lines().enumerate();
            for (index, line) in lines.filter(|(index, _)| in_scope(tree, rule, path, index + 1)) {
                let mark = strings(&rule["marks"]).into_iter().find(|mark| bears(line, mark));
                if let Some(mark) = mark.filter(|m| !config.excepts("/exceptions/marks", path, m)) {
                    let what = format!("holds {}: `{mark}`", field(rule, "is"));
                    problems.push(Problem::new(path, index + 1, what, field(rule, "do")));
                }
            }
        }
    }
    problems
}

fn applies(rule: &serde_json::Value, path: &str) -> bool {
    let only = strings(&rule["only"]);
    only.is_empty() || only.iter().any(|end| path.ends_with(end))
}

/// Some marks are fine in tests (a folder for scratch), others nowhere.
fn in_scope(tree: &Tree, rule: &serde_json::Value, path: &str, line: usize) -> bool {
    let is_test = || is_test_file(path) || tree.rust(path).is_some_and(|rust| rust.is_test(line));
    rule["in_tests"].as_bool().unwrap_or(true) || !is_test()
}

/// Whether a line bears the mark, and not merely a longer word or path around it.
fn bears(line: &str, mark: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_.-)}~".contains(c));
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + mark.len()..].chars().next();
        let word_ends = mark.ends_with(char::is_alphanumeric);
        let goes_on = word_ends && after.is_some_and(char::is_alphanumeric);
        !letter(before) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "marks": [
            {"is": "a path", "marks": ["/tmp/"], "in_tests": false, "only": [".rs"], "do": "d"},
            {"is": "a note", "marks": ["TODO"], "do": "d"}],
        "exceptions": {"marks": [{"file": "a.md", "of": ["TODO"], "reason": "r"}]}}"#;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let found = check(&Tree::of(&[(path, text)]), &Config::parse(CONFIG).unwrap());
        found.into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn paths_of_a_machine_are_for_tests_only() {
        let text = "f(\"/tmp/x\");\n#[cfg(test)]\nmod tests {\n f(\"/tmp/x\") }";
        assert_eq!(lines("crates/a/src/lib.rs", text), [1]);
        assert!(lines("crates/a/tests/all.rs", text).is_empty());
        assert!(lines("docs/a.md", text).is_empty());
    }

    #[test]
    fn a_mark_inside_a_longer_word_is_none() {
        assert!(lines("a.rs", "METODO x/tmp/ {dir}/tmp/ TODOS").is_empty());
        assert_eq!(lines("a.rs", "// TODO: later"), [1]);
    }

    #[test]
    fn notes_are_found_in_tests_too_unless_excepted() {
        assert_eq!(lines("tests/a.rs", "TODO"), [1]);
        assert!(lines("a.md", "TODO").is_empty());
    }
}
