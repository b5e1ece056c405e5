//! One word per thing. The wire's older words (channel, member, consumption) stay in `protocol`,
//! and comments may explain them; identifiers and texts elsewhere may not use them.

use super::config::{Config, field, strings};
use super::source::{Kind, Piece, pieces, tests_start, words};
use super::tree::is_test_file;
use super::{Problem, Tree};

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let older = config.objects("/older_words/words");
    let allowed = config.list("/older_words/allowed");
    let places = config.list("/older_words/checked");
    let mut problems = Vec::new();
    for (path, text) in tree.with_extension(&["rs"]) {
        if !places.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        let tests = if is_test_file(path) { 0 } else { tests_start(text) };
        for piece in pieces(text).iter().filter(|piece| speaks(piece, tests)) {
            let said = said(piece, &allowed);
            let found = older.iter().filter(|rule| said.iter().any(|word| is(rule, word)));
            for rule in found.filter(|rule| !excepted(config, path, rule)) {
                problems.push(problem(path, piece, rule));
            }
        }
    }
    problems.extend(never(tree, config));
    problems
}

/// Comments may explain the wire's words, and texts of a test may be the wire's own.
fn speaks(piece: &Piece, tests: usize) -> bool {
    match piece.kind {
        Kind::Code => true,
        Kind::Text => piece.line < tests,
        Kind::Comment => false,
    }
}

fn excepted(config: &Config, path: &str, rule: &serde_json::Value) -> bool {
    config.excepts("/exceptions/words", path, field(rule, "word"))
}

/// The words of a piece, without the phrases that mean something else.
fn said(piece: &Piece, allowed: &[&str]) -> Vec<String> {
    let mut text = piece.text.clone();
    for phrase in allowed {
        text = text.replace(phrase, " ");
    }
    words(&text)
}

fn is(rule: &serde_json::Value, word: &str) -> bool {
    field(rule, "word") == word || strings(&rule["forms"]).contains(&word)
}

fn problem(path: &str, piece: &Piece, rule: &serde_json::Value) -> Problem {
    let what = format!("says `{}`: {}", field(rule, "word"), piece.text.trim());
    let fix = format!("say {}; shapes of the wire belong into crates/protocol", field(rule, "say"));
    Problem::new(path, piece.line, what, fix)
}

/// Words that nobody uses anywhere, in any text of ours.
fn never(tree: &Tree, config: &Config) -> Vec<Problem> {
    let rules = config.objects("/never_words");
    let mut problems = Vec::new();
    for (path, text) in tree.with_extension(&["rs", "md", "ts", "tsx", "mjs", "sql", "html"]) {
        for (index, line) in text.lines().enumerate() {
            let said = words(line);
            for rule in rules.iter().filter(|rule| said.iter().any(|word| is(rule, word))) {
                if !excepted(config, path, rule) {
                    let what = format!("says `{}`", field(rule, "word"));
                    let fix = format!("say {}", field(rule, "say"));
                    problems.push(Problem::new(path, index + 1, what, fix));
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "older_words": {
            "checked": ["crates/server/"],
            "allowed": ["mpsc::channel"],
            "words": [{"word": "channel", "forms": ["channels"], "say": "conversation"}]},
        "never_words": [{"word": "whitelist", "say": "allow list"}],
        "exceptions": {"words": [{"file": "crates/server/src/old.rs", "reason": "r"}]}}"#;

    fn problems(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)]), &Config::parse(CONFIG).unwrap()).len()
    }

    #[test]
    fn identifiers_and_texts_are_read_and_comments_are_not() {
        let path = "crates/server/src/lib.rs";
        assert_eq!(problems(path, "struct ChannelSid;\nlet channels = 1;\nf(\"channel_sid\");"), 3);
        assert_eq!(problems(path, "// the wire says channel\nlet (a, b) = mpsc::channel(4);"), 0);
    }

    #[test]
    fn texts_of_tests_may_be_the_wire_s_own() {
        let path = "crates/server/src/realtime/tests.rs";
        assert_eq!(problems(path, "f(\"channel_sid\"); let channel = 1;"), 1);
    }

    #[test]
    fn protocol_and_exceptions_may() {
        assert_eq!(problems("crates/protocol/src/lib.rs", "struct ChannelSid;"), 0);
        assert_eq!(problems("crates/server/src/old.rs", "struct ChannelSid;"), 0);
    }

    #[test]
    fn some_words_are_said_nowhere() {
        assert_eq!(problems("docs/a.md", "A whitelist."), 1);
    }
}
