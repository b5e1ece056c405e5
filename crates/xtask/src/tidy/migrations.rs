//! The migrations of the two engines: same numbers, same names, no gap.

use super::{Config, Problem, Tree};

const ENGINES: [&str; 2] = ["migrations/sqlite/", "migrations/postgres/"];

pub(crate) fn check(tree: &Tree, _: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (engine, other) in [(ENGINES[0], ENGINES[1]), (ENGINES[1], ENGINES[0])] {
        for (path, _) in tree.below(engine) {
            let name = &path[engine.len()..];
            if tree.get(&format!("{other}{name}")).is_none() {
                let fix = format!("write {other}{name}, with the same outcome");
                problems.push(Problem::new(path, 0, "has no twin for the other engine", fix));
            }
        }
        problems.extend(numbers(tree, engine));
    }
    problems
}

/// `0001_name.sql`, `0002_…`: counted from one without a gap.
fn numbers(tree: &Tree, engine: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let migrations = tree.below(engine).filter(|(path, _)| path.ends_with(".sql"));
    for (count, (path, _)) in migrations.enumerate() {
        let number = format!("{:04}_", count + 1);
        if !path[engine.len()..].starts_with(&number) {
            let fix = format!("its name begins with {number}");
            problems.push(Problem::new(path, 0, "is out of the count", fix));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[&str]) -> Vec<String> {
        let files: Vec<(&str, &str)> = files.iter().map(|path| (*path, "")).collect();
        let found = check(&Tree::of(&files), &Config::parse("{}").unwrap());
        found.into_iter().map(|problem| problem.file).collect()
    }

    #[test]
    fn twins_pass() {
        let twins = ["migrations/sqlite/0001_first.sql", "migrations/postgres/0001_first.sql"];
        assert!(problems(&twins).is_empty());
    }

    #[test]
    fn a_missing_twin_and_a_gap_are_told() {
        assert_eq!(problems(&["migrations/sqlite/0001_first.sql"]).len(), 1);
        let gap = ["migrations/sqlite/0002_a.sql", "migrations/postgres/0002_a.sql"];
        assert_eq!(problems(&gap).len(), 2);
    }
}
