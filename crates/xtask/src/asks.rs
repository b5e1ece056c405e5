//! Where the service asks whether somebody may do a thing: every call of `roles::may`, and of what asks it.
//!
//! `tidy` holds that each call has its cases in the table of permissions; `mutate` leaves one out at a time.

use crate::tidy::{Config, Tree, is_test_file, tests_start};

/// Where they are.
pub(crate) const SOURCE: &str = "crates/server/src/";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Below [`SOURCE`].
    pub file: String,
    pub line: usize,
    /// The call on one line, without an `.await`.
    pub call: String,
    /// The bytes of the expression, with its `.await`.
    pub from: usize,
    pub until: usize,
}

/// All of them, by file and line. What is named `may…` counts, and what the list of `tidy.json` adds; not
/// what it says is about something else.
pub(crate) fn asks(tree: &Tree, config: &Config) -> Vec<Ask> {
    let (also, others) = (config.list("/asks/also"), config.entries("/asks/others"));
    let counts = |callee: &str| {
        let name = callee.rsplit([':', '.']).next().unwrap_or(callee);
        let is_other = others.iter().any(|(other, _)| *other == name || *other == callee);
        (name == "may" || name.starts_with("may_") || also.contains(&name)) && !is_other
    };
    let is_other = |path: &str| others.iter().any(|(other, _)| other.ends_with('/') && path.starts_with(other));
    let files = tree.below(SOURCE).filter(|(path, _)| path.ends_with(".rs") && !is_test_file(path) && !is_other(path));
    files.flat_map(|(path, text)| in_file(path, text, counts)).collect()
}

fn in_file(path: &str, text: &str, counts: impl Fn(&str) -> bool) -> Vec<Ask> {
    let file = path.strip_prefix(SOURCE).unwrap_or(path);
    let tests = tests_start(text);
    let mut found = Vec::new();
    for (open, _) in text.match_indices('(') {
        let line = text[..open].matches('\n').count() + 1;
        let begun = text[..open].rfind('\n').map_or(0, |at| at + 1);
        let is_comment = text[begun..open].trim_start().starts_with("//");
        let from = begin(text, open);
        let callee = &text[from..open];
        if is_comment || line >= tests || text[..from].ends_with("fn ") || !counts(callee) {
            continue;
        }
        let end = open + closing(&text[open..]);
        let call = text[from..end].split_whitespace().collect::<Vec<_>>().join(" ");
        let until = if text[end..].starts_with(".await") { end + ".await".len() } else { end };
        found.push(Ask { file: file.to_owned(), line, call, from, until });
    }
    found
}

/// Where the expression begins that is called here: its path, and what it is a method of.
fn begin(text: &str, open: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = open;
    while at > 0 {
        match bytes[at - 1] {
            b')' => at = opening(&text[..at]),
            b'_' | b':' | b'.' | b'?' => at -= 1,
            byte if byte.is_ascii_alphanumeric() => at -= 1,
            _ => break,
        }
    }
    at
}

/// The length of what begins with a parenthesis, until the one that closes it.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// Where the parenthesis was opened that closes this text.
fn opening(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const LISTS: &str = r#""asks": {"also": ["must_see"], "others": {"may_read": "a socket", "keys::may": "a key", "crates/server/src/keys/": "keys"}}"#;

    #[test]
    fn calls_are_found_whole_and_nothing_else_is() {
        let text = "use roles::may;\nfn may(a: B) {}\n// not may(here)\nfn f() {\n    room\n        .x();\n    \
                    if a && !room.may(cx, P::One(1))\n        .await.is_ok() { may_read(); keys::may(x)?; }\n    \
                    enter(cx, (1, 2)).await?.must_see(cx)\n}\n#[cfg(test)]\nmod tests {\n fn g() { may(1); } }\n";
        let config = Config::parse(&format!("{{{LISTS}}}")).unwrap();
        let files = [
            ("crates/server/src/a/b.rs", text),
            ("crates/x/src/c.rs", "may(1);"),
            ("crates/server/src/keys/mod.rs", "may(1);"),
        ];
        let found = asks(&Tree::of(&files), &config);
        let seen: Vec<_> = found.iter().map(|ask| (ask.file.as_str(), ask.line, ask.call.as_str())).collect();
        let whole = "enter(cx, (1, 2)).await?.must_see(cx)";
        assert_eq!(seen, [("a/b.rs", 7, "room.may(cx, P::One(1))"), ("a/b.rs", 9, whole)]);
        assert_eq!(&text[found[1].from..found[1].until], whole);
        let text = "fn f() { may_be(cx).await?; }";
        let found = asks(&Tree::of(&[("crates/server/src/a.rs", text)]), &config);
        assert_eq!(&text[found[0].from..found[0].until], "may_be(cx).await");
    }
}
