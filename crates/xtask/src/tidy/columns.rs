//! Markdown that can be read in any editor: lines of a bounded length, tables and code aside.

use super::config::{Config, FILE};
use super::{Problem, Tree};

const LIST: &str = "/markdown/not_yet";

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let Some(max) = config.number("/markdown/columns_max") else { return Vec::new() };
    let not_yet = config.list(LIST);
    let mut problems = Vec::new();
    for (path, text) in tree.with_extension(&["md"]) {
        let long = long_lines(text, max as usize);
        match (not_yet.contains(&path), long.is_empty()) {
            (true, true) => {
                let what = format!("{path} has no long line any more");
                problems.push(Problem::new(FILE, 0, what, "thank you; remove it from \"not_yet\" of \"markdown\""));
            }
            (false, false) => problems.extend(long.into_iter().map(|(line, columns)| {
                let what = format!("{columns} columns; the limit is {max}");
                Problem::new(path, line, what, "wrap the paragraph; tables and code blocks may be wider")
            })),
            _ => {}
        }
    }
    let gone = not_yet.iter().filter(|path| tree.get(path).is_none());
    problems.extend(
        gone.map(|path| Problem::new(FILE, 0, format!("\"not_yet\" lists {path}, which is gone"), "remove it")),
    );
    problems
}

/// Lines of prose over the limit, with their columns. A single word, such as an address, cannot be wrapped.
fn long_lines(text: &str, max: usize) -> Vec<(usize, usize)> {
    let mut in_code = false;
    let mut long = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        in_code ^= trimmed.starts_with("```");
        let columns = line.chars().count();
        let is_exempt = in_code || trimmed.starts_with('|') || line.starts_with("    ") || !trimmed.contains(' ');
        if columns > max && !is_exempt {
            long.push((index + 1, columns));
        }
    }
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, usize)> {
        let config = r#"{"markdown": {"columns_max": 10, "not_yet": ["old.md"]}}"#;
        let problems = check(&Tree::of(&[("old.md", text), ("new.md", text)]), &Config::parse(config).unwrap());
        problems.into_iter().map(|problem| (problem.file, problem.line)).collect()
    }

    #[test]
    fn long_prose_is_refused_and_tables_and_code_are_not() {
        let text = "# A title\n\nword word word\n| a table | is wide |\n```\ncode that is wide\n```\n    more code\n\
                    https://example.org/long\nöööö ööööö";
        assert_eq!(found(text), [("new.md".to_owned(), 3)]);
    }

    #[test]
    fn a_file_on_the_list_leaves_it_when_it_is_wrapped() {
        assert_eq!(found("short"), [(FILE.to_owned(), 0)]);
    }
}
