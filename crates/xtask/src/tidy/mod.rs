//! Tidy: what types and lints cannot hold, held by reading the text of the tree.
//!
//! Each rule is a function over a [`Tree`] and the lists of `tidy.json`. A rule never looks at
//! the disk itself, so that its tests run on small invented trees. A message speaks to the person
//! who has just broken the rule: where, what, why, and what to do.

mod asks;
mod binaries;
mod calls;
mod columns;
mod config;
mod direction;
mod documents;
mod floors;
mod lengths;
mod marks;
mod migrations;
mod nouns;
mod rust;
mod tables;
mod tree;
mod words;

use std::path::Path;

pub(crate) use calls::{Ask, SOURCE, asks};
pub(crate) use config::{Config, FILE as CONFIG};
pub(crate) use tree::{Tree, is_test_file};

/// One breach, told to whoever made it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub file: String,
    /// 0 when the whole file is meant.
    pub line: usize,
    pub what: String,
    pub fix: String,
}

impl Problem {
    fn new(file: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem { file: file.to_owned(), line, what: what.into(), fix: fix.into() }
    }
}

type Check = fn(&Tree, &Config) -> Vec<Problem>;

pub(crate) struct Rule {
    pub name: &'static str,
    pub why: &'static str,
    check: Check,
}

pub(crate) const RULES: [Rule; 13] = [
    Rule {
        name: "direction",
        why: "store, protocol and token know nothing of each other or of the service, so that \
              each can be read, fuzzed and published alone",
        check: direction::check,
    },
    Rule {
        name: "floors",
        why: "a newcomer sees from the list of modules what may use what, and a change stays below what is \
              built on it",
        check: floors::check,
    },
    Rule {
        name: "nouns",
        why: "a noun is a folder with the same few files everywhere, read in one order, so that \
              whoever knows one noun knows them all",
        check: nouns::check,
    },
    Rule {
        name: "tables",
        why: "a table has one owner, and only the owner's queries.rs names it: a change of schema \
              is then a change in one place",
        check: tables::check,
    },
    Rule {
        name: "words",
        why: "one word per thing, and GLOSSARY.md decides which; the wire's older words are \
              translated in crates/protocol",
        check: words::check,
    },
    Rule {
        name: "lengths",
        why: "a file that is read in one sitting gets read; the limit is a ratchet, longer files \
              may only shrink",
        check: lengths::check,
    },
    Rule {
        name: "marks",
        why: "the tree works on any machine and says what it does: no paths of one machine, no \
              registry addresses, no notes of unfinished work",
        check: marks::check,
    },
    Rule {
        name: "migrations",
        why: "both engines go through the same steps, told apart only inside the files",
        check: migrations::check,
    },
    Rule {
        name: "documents",
        why: "a crate begins by saying what it is for and what it must never do",
        check: documents::check,
    },
    Rule {
        name: "columns",
        why: "prose in lines of one screen's width can be read, compared and reviewed in any tool",
        check: columns::check,
    },
    Rule {
        name: "binaries",
        why: "linking is what a warm build waits for; one test binary per crate is one link",
        check: binaries::check,
    },
    Rule {
        name: "asks",
        why: "a check that no test would miss is one that somebody removes by mistake; the table of \
              permissions has a case for each",
        check: asks::check,
    },
    Rule {
        name: "exceptions",
        why: "an exception that cannot say why it is one will be copied by the next person",
        check: exceptions,
    },
];

/// Exceptions have a reason, and the file that they are for.
fn exceptions(tree: &Tree, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for exception in config.exceptions() {
        if config::field(exception, "reason").is_empty() {
            let what = format!("an exception without a reason: {exception}");
            problems.push(Problem::new(CONFIG, 0, what, "give it a \"reason\", or remove it"));
        }
        let file = config::field(exception, "file");
        if tree.below(file).next().is_none() {
            let what = format!("an exception for `{file}`, which is gone");
            problems.push(Problem::new(CONFIG, 0, what, "remove it"));
        }
    }
    problems
}

/// Runs every rule on the tree at `root` and tells what it found; gives rules kept and broken.
pub(crate) fn run(root: &Path) -> Result<(u64, u64), String> {
    let config = Config::parse(&config_text(root)?)?;
    let tree = Tree::read(root)?;
    let mut broken = 0;
    for rule in &RULES {
        let problems = (rule.check)(&tree, &config);
        broken += u64::from(!problems.is_empty());
        tell(rule, &problems);
    }
    let kept = RULES.len() as u64 - broken;
    println!("tidy: {kept} rules kept, {broken} broken");
    Ok((kept, broken))
}

/// What `--floors` prints, for all crates or those that are named.
pub(crate) fn floors(root: &Path, named: &[String]) -> Result<String, String> {
    let (tree, config) = (Tree::read(root)?, Config::parse(&config_text(root)?)?);
    match named {
        [word, krate] if word == "--exceptions" => floors::exceptions(&tree, &config, krate),
        _ => floors::summary(&tree, &config, named),
    }
}

pub(crate) fn config_text(root: &Path) -> Result<String, String> {
    std::fs::read_to_string(root.join(CONFIG)).map_err(|error| format!("reading {CONFIG}: {error}"))
}

fn tell(rule: &Rule, problems: &[Problem]) {
    for problem in problems {
        let line = match problem.line {
            0 => String::new(),
            line => format!(":{line}"),
        };
        println!("{}{line}: [{}] {}", problem.file, rule.name, problem.what);
        println!("    do:  {}", problem.fix);
    }
    if !problems.is_empty() {
        println!("    why: {}\n", rule.why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_has_a_reason_and_a_file() {
        let config = Config::parse(
            r#"{"exceptions": {"words": [
                {"file": "here.rs"}, {"file": "folder/", "reason": "r"}, {"file": "gone.rs", "reason": "r"}]}}"#,
        )
        .unwrap();
        let tree = Tree::of(&[("here.rs", ""), ("folder/a.rs", "")]);
        let found: Vec<String> = exceptions(&tree, &config).into_iter().map(|problem| problem.what).collect();
        assert!(found[0].contains("without a reason") && found[1].contains("gone.rs"));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn the_configuration_of_this_tree_can_be_read() {
        let config = Config::parse(include_str!("../../tidy.json")).unwrap();
        assert!(config.entries("/crates").len() > 5 && config.list("/nouns").len() > 5);
    }
}
