//! File lengths: a limit for all, and a ratchet for those that were longer once.

use super::config::{Config, FILE};
use super::{Problem, Tree};

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let limit = config.number("/lengths/lines_max").unwrap_or(500);
    let ratchet = config.entries("/lengths/ratchet");
    let mut problems = Vec::new();
    for (path, text) in tree.with_extension(&["rs", "ts", "tsx", "mjs", "js", "py"]) {
        let lines = text.lines().count() as u64;
        let listed = ratchet.iter().find(|(file, _)| *file == path);
        match listed.and_then(|(_, allowed)| allowed.as_u64()) {
            None if lines > limit => problems.push(too_long(path, lines, limit)),
            Some(allowed) if lines > allowed => problems.push(grown(path, lines, allowed)),
            Some(allowed) if lines < allowed => problems.push(shrunk(path, lines, limit)),
            _ => {}
        }
    }
    let gone = ratchet.iter().filter(|(file, _)| tree.get(file).is_none());
    problems.extend(gone.map(|(file, _)| {
        let what = format!("the ratchet lists {file}, which is gone");
        Problem::new(FILE, 0, what, "remove the line")
    }));
    problems
}

fn too_long(path: &str, lines: u64, limit: u64) -> Problem {
    let fix = "split it where a second thing begins; a new file is never entered in the ratchet";
    Problem::new(path, 0, format!("{lines} lines; the limit is {limit}"), fix)
}

fn grown(path: &str, lines: u64, allowed: u64) -> Problem {
    let what = format!("{lines} lines; it had {allowed} and may only shrink");
    Problem::new(path, 0, what, "put what is new into a file of its own")
}

fn shrunk(path: &str, lines: u64, limit: u64) -> Problem {
    let fix = match lines <= limit {
        true => format!("thank you; remove its line from the ratchet in {FILE}"),
        false => format!("thank you; write {lines} into the ratchet in {FILE}"),
    };
    Problem::new(path, 0, format!("only {lines} lines now"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixes(lines: usize) -> Vec<String> {
        let config = r#"{"lengths": {"lines_max": 2, "ratchet": {"old.rs": 4}}}"#;
        let text = "x\n".repeat(lines);
        let tree = Tree::of(&[("old.rs", &text), ("new.rs", &text)]);
        let found = check(&tree, &Config::parse(config).unwrap());
        found.into_iter().map(|p| format!("{} {}", p.file, p.what)).collect()
    }

    #[test]
    fn the_limit_holds_for_new_files_and_the_ratchet_for_old_ones() {
        assert_eq!(fixes(4), ["new.rs 4 lines; the limit is 2"]);
        assert_eq!(fixes(5)[1], "old.rs 5 lines; it had 4 and may only shrink");
        assert_eq!(fixes(1), ["old.rs only 1 lines now"]);
    }

    #[test]
    fn a_listed_file_that_is_gone_is_told() {
        let config = Config::parse(r#"{"lengths": {"ratchet": {"gone.rs": 600}}}"#).unwrap();
        assert_eq!(check(&Tree::of(&[]), &config).len(), 1);
    }
}
