//! One word per thing, as GLOSSARY.md has it. The wire's older words (channel, member, consumption) stay in
//! `protocol`, and comments may explain them; identifiers and strings elsewhere may not use them.

use super::config::{Config, FILE, field, strings};
use super::rust::Rust;
use super::tree::is_test_file;
use super::{Problem, Tree};

const GLOSSARY: &str = "GLOSSARY.md";

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let avoided = avoided(tree);
    let allowed = config.list("/older_words/allowed");
    let places = config.list("/older_words/checked");
    let mut problems = without_words(&avoided, &places);
    for (path, _) in tree.iter().filter(|(path, _)| places.iter().any(|place| path.starts_with(place))) {
        let Some(rust) = tree.rust(path) else { continue };
        for (line, text) in spoken(path, rust) {
            let said = said(text, &allowed);
            for word in avoided.iter().filter(|word| word.is_said(&said)) {
                if !config.excepts("/exceptions/words", path, word.word) {
                    problems.push(problem(path, line, text, word));
                }
            }
        }
    }
    problems.extend(never(tree, config));
    problems
}

/// A glossary whose table has another shape would forbid nothing, and nobody would notice.
fn without_words(avoided: &[Avoided<'_>], places: &[&str]) -> Vec<Problem> {
    if places.is_empty() || !avoided.is_empty() {
        return Vec::new();
    }
    let fix = format!("put words that are refused in bold into its third column, or change what reads it ({FILE})");
    vec![Problem::new(GLOSSARY, 0, "refuses no word", fix)]
}

/// Identifiers and strings. Comments may explain the wire's words, and strings of a test may be the wire's own.
fn spoken<'r>(path: &str, rust: &'r Rust) -> impl Iterator<Item = (usize, &'r str)> {
    let is_test = is_test_file(path);
    let texts = rust.texts.iter().filter(move |text| !is_test && !rust.is_test(text.line));
    rust.code().chain(texts.flat_map(|text| text.lines()))
}

fn excepted(config: &Config, path: &str, rule: &serde_json::Value) -> bool {
    config.excepts("/exceptions/words", path, field(rule, "word"))
}

/// The words of a line, without the phrases that mean something else.
fn said(line: &str, allowed: &[&str]) -> Vec<String> {
    let mut text = line.to_owned();
    for phrase in allowed {
        text = text.replace(phrase, " ");
    }
    words(&text)
}

fn is(rule: &serde_json::Value, word: &str) -> bool {
    field(rule, "word") == word || strings(&rule["forms"]).contains(&word)
}

/// A word that the glossary refuses, and the one that it has instead.
struct Avoided<'t> {
    word: &'t str,
    say: &'t str,
}

impl Avoided<'_> {
    /// Whether its words follow one another here; the last may be a plural.
    fn is_said(&self, said: &[String]) -> bool {
        let wanted: Vec<&str> = self.word.split(' ').collect();
        said.windows(wanted.len()).any(|words| {
            let mut pairs = words.iter().zip(&wanted).rev();
            let last = pairs
                .next()
                .is_some_and(|(word, wanted)| word.strip_suffix('s').unwrap_or(word) == *wanted || word == wanted);
            last && pairs.all(|(word, wanted)| word == wanted)
        })
    }
}

/// The words in bold in the third column of the glossary's table.
fn avoided(tree: &Tree) -> Vec<Avoided<'_>> {
    let mut found = Vec::new();
    for line in tree.get(GLOSSARY).unwrap_or_default().lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", say, _, not, ..] = cells.as_slice() else { continue };
        let say = say.trim_matches('*');
        found.extend(not.split("**").skip(1).step_by(2).map(|word| Avoided { word, say }));
    }
    found
}

fn problem(path: &str, line: usize, text: &str, avoided: &Avoided<'_>) -> Problem {
    let what = format!("says `{}`: {}", avoided.word, text.trim());
    let fix = format!("say {}, as {GLOSSARY} does; shapes of the wire belong into crates/protocol", avoided.say);
    Problem::new(path, line, what, fix)
}

/// The words of an identifier: `ChannelSid`, `channel_sid` and `CHANNEL_SID` give channel and sid.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
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
        "older_words": {"checked": ["crates/server/"], "allowed": ["mpsc::channel"]},
        "never_words": [{"word": "whitelist", "say": "allow list"}],
        "exceptions": {"words": [{"file": "crates/server/src/old.rs", "reason": "r"}]}}"#;

    const TABLE: (&str, &str) = (
        "GLOSSARY.md",
        "| word | what it is | not |\n|---|---|---|\n| **conversation** | a place | **channel**, room, **talk shop** |\n\
         | **room** | a proof | |\n",
    );

    fn found(path: &str, text: &str) -> Vec<Problem> {
        check(&Tree::of(&[TABLE, (path, text)]), &Config::parse(CONFIG).unwrap())
    }

    fn problems(path: &str, text: &str) -> usize {
        found(path, text).len()
    }

    #[test]
    fn the_glossary_refuses_its_bold_words_and_names_its_own() {
        let path = "crates/server/src/lib.rs";
        let found = found(path, "struct TalkShops;\nlet room = talk;");
        assert_eq!((found.len(), found[0].line), (1, 1));
        assert!(
            found[0].what.contains("`talk shop`") && found[0].fix.contains("say conversation, as GLOSSARY.md does")
        );
        let plain = Tree::of(&[("GLOSSARY.md", "| **a** | b | c |")]);
        assert!(check(&plain, &Config::parse(CONFIG).unwrap())[0].what.contains("refuses no word"));
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
    fn identifiers_fall_into_words() {
        assert_eq!(words("ChannelSid"), ["channel", "sid"]);
        assert_eq!(words("last_consumed_index"), ["last", "consumed", "index"]);
        assert_eq!(words("MEMBER"), ["member"]);
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
