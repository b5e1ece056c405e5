//! Every crate begins with its own documentation.

use super::{Config, Problem, Tree};

pub(crate) fn check(tree: &Tree, _: &Config) -> Vec<Problem> {
    let is_root = |path: &str| path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    tree.below("crates/")
        .filter(|(path, text)| is_root(path) && !begins_with_docs(text))
        .map(|(path, _)| {
            let fix = "begin with `//!`: what it is for, what it must never do, where to read next";
            Problem::new(path, 1, "the crate does not say what it is for", fix)
        })
        .collect()
}

fn begins_with_docs(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crate_root_without_docs_is_told() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "//! A.\n"),
            ("crates/b/src/main.rs", "fn main() {}\n"),
            ("crates/b/src/part.rs", "fn part() {}\n"),
        ]);
        let found = check(&tree, &Config::parse("{}").unwrap());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, "crates/b/src/main.rs");
    }
}
