//! Each crate links its integration tests into one binary.

use super::{Config, Problem, Tree};

pub(crate) fn check(tree: &Tree, _: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, manifest) in tree.below("crates/").filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let tests = path.replace("Cargo.toml", "tests/");
        let roots = tree.below(&tests).filter(|(file, _)| is_root(&file[tests.len()..])).count();
        let explicit = manifest.lines().any(|line| line.trim() == "autotests = false");
        let binaries = if explicit { manifest.matches("[[test]]").count() } else { roots };
        if binaries > 1 {
            let what = format!("links {binaries} test binaries");
            let fix = "make the files modules of tests/all.rs, set `autotests = false`, and name it in one [[test]]";
            problems.push(Problem::new(path, 0, what, fix));
        }
    }
    problems
}

/// What cargo makes a binary of by itself: `tests/a.rs` and `tests/a/main.rs`.
fn is_root(file: &str) -> bool {
    match file.split_once('/') {
        None => file.ends_with(".rs"),
        Some((_, rest)) => rest == "main.rs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(manifest: &str, tests: &[&str]) -> usize {
        let mut files = vec![("crates/a/Cargo.toml", manifest)];
        files.extend(tests.iter().map(|path| (*path, "")));
        check(&Tree::of(&files), &Config::parse("{}").unwrap()).len()
    }

    #[test]
    fn one_binary_passes_and_two_do_not() {
        let two = ["crates/a/tests/all.rs", "crates/a/tests/crash.rs"];
        assert_eq!(count("[package]", &two), 1);
        assert_eq!(count("[package]", &two[..1]), 0);
        assert_eq!(count("[package]", &["crates/a/tests/all.rs", "crates/a/tests/all/crash.rs"]), 0);
        let one = "[package]\nautotests = false\n[[test]]\nname = \"all\"";
        assert_eq!(count(one, &two), 0);
        assert_eq!(count(&format!("{one}\n[[test]]"), &two), 1);
    }
}
