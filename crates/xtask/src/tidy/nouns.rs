//! The order inside a noun's folder below `crates/server/src/`.

use std::collections::BTreeSet;

use super::config::{Config, strings};
use super::rust::Rust;
use super::{Problem, Tree};

pub(crate) const SERVER: &str = "crates/server/src/";

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let nouns = config.list("/nouns");
    let mut problems = folders(tree, config, &nouns);
    for (path, _) in tree.below(SERVER) {
        let Some((noun, file)) = split(path).filter(|(noun, _)| nouns.contains(noun)) else {
            continue;
        };
        if !is_noun_file(config, file) {
            problems.push(stranger(config, path));
        }
        if let Some(rust) = tree.rust(path) {
            if file == "mod.rs" {
                problems.extend(module_order(config, path, rust));
            }
            problems.extend(forbidden(config, path, file, rust));
        }
        if tree.get(&format!("{SERVER}{noun}/mod.rs")).is_none() && file != "mod.rs" {
            let fix = "begin with mod.rs: what the noun is, its states, rules and refusals";
            problems.push(Problem::new(path, 0, format!("`{noun}` has no mod.rs"), fix));
        }
    }
    problems
}

/// `messages/http.rs` of the whole path, as noun and file.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(SERVER)?.split_once('/')
}

fn is_noun_file(config: &Config, file: &str) -> bool {
    config.list("/noun_files").contains(&file) || file.starts_with("tests/")
}

fn stranger(config: &Config, path: &str) -> Problem {
    let fix = format!(
        "put it into one of {}; or, if no noun owns it, beside the nouns",
        config.list("/noun_files").join(" ")
    );
    Problem::new(path, 0, "is none of the files of a noun", fix)
}

/// Every folder of the server is a noun or a known place, and a noun is never a lone file.
fn folders(tree: &Tree, config: &Config, nouns: &[&str]) -> Vec<Problem> {
    let places = config.list("/server_folders");
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, _) in tree.below(SERVER) {
        let rest = &path[SERVER.len()..];
        let (folder, is_file) = match rest.split_once('/') {
            Some((folder, _)) => (folder, false),
            None => (rest.trim_end_matches(".rs"), true),
        };
        if is_file && nouns.contains(&folder) {
            let what = format!("`{folder}` is a noun, and a noun is a folder");
            problems.push(Problem::new(path, 0, what, format!("make it {folder}/mod.rs")));
        }
        let known = nouns.contains(&folder) || places.contains(&folder);
        if !is_file && !known && seen.insert(folder) {
            let what = format!("the folder `{folder}` is neither a noun nor a known place");
            let fix = "list it in \"nouns\" or \"server_folders\" of crates/xtask/tidy.json";
            problems.push(Problem::new(path, 0, what, fix));
        }
    }
    problems
}

/// The modules of a noun are declared in reading order.
fn module_order(config: &Config, path: &str, rust: &Rust) -> Vec<Problem> {
    let files = config.list("/noun_files");
    let order: Vec<&str> = files.iter().map(|file| file.trim_end_matches(".rs")).collect();
    let mut last = 0;
    let mut problems = Vec::new();
    for (line, name) in declared_modules(rust) {
        match order.iter().position(|module| *module == name) {
            Some(place) if place < last => {
                let what = format!("`mod {name}` stands after `mod {}`", order[last]);
                let fix = format!("declare the modules in reading order: {}", order[1..].join(", "));
                problems.push(Problem::new(path, line, what, fix));
            }
            Some(place) => last = place,
            None => {
                let what = format!("`mod {name}` is none of a noun's modules");
                problems.push(Problem::new(path, line, what, "see the list of files above"));
            }
        }
    }
    problems
}

/// Those with a file of their own, tests aside.
fn declared_modules(rust: &Rust) -> Vec<(usize, String)> {
    let items = rust.syntax.iter().flat_map(|file| &file.items);
    items
        .filter_map(|item| match item {
            syn::Item::Mod(module) if module.content.is_none() => {
                Some((module.ident.span().start().line, module.ident.to_string()))
            }
            _ => None,
        })
        .collect()
}

/// Each file of a noun has things that it must never name, listed by file in tidy.json.
fn forbidden(config: &Config, path: &str, file: &str, rust: &Rust) -> Vec<Problem> {
    let forbidden = config.entries("/forbidden_in_noun");
    let Some((_, rule)) = forbidden.iter().find(|(name, _)| *name == file) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for (line, text) in rust.code().filter(|(line, _)| !rust.is_test(*line)) {
        for name in strings(&rule["names"]).into_iter().filter(|name| names(text, name)) {
            if !config.excepts("/exceptions/nouns", path, name) {
                let what = format!("{file} names `{name}`");
                problems.push(Problem::new(path, line, what, rule["do"].as_str().unwrap_or("")));
            }
        }
    }
    problems
}

/// Whether `code` holds `name` as a whole word, as far as its ends are letters.
pub(crate) fn names(code: &str, name: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let begins_earlier = letter(name.chars().next()) && letter(before);
        let goes_on = letter(name.chars().next_back()) && letter(after);
        !begins_earlier && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "nouns": ["messages"], "server_folders": ["platform"],
        "noun_files": ["mod.rs", "queries.rs", "commands.rs", "http.rs", "tests.rs"],
        "forbidden_in_noun": {
            "mod.rs": {"names": ["Sql::", ".await", "async fn", "tx"], "do": "move it"},
            "http.rs": {"names": ["Sql::"], "do": "move it"}}}"#;

    fn problems(files: &[(&str, &str)]) -> Vec<Problem> {
        let files: Vec<(String, &str)> = files.iter().map(|(path, text)| (format!("{SERVER}{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
        check(&Tree::of(&files), &Config::parse(CONFIG).unwrap())
    }

    #[test]
    fn a_noun_in_order_passes() {
        let module = "//! Messages. Sql::new( in a comment is fine.\npub(crate) mod queries;\n\
                      mod http;\n#[cfg(test)]\nmod tests;\nfn latex() { mpsc::tx_count() }";
        let found = problems(&[
            ("lib.rs", ""),
            ("platform/clock.rs", ""),
            ("messages/mod.rs", module),
            ("messages/queries.rs", "static A: Sql = Sql::new(\"\");"),
            ("messages/tests/paging.rs", ""),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn strange_files_folders_and_lone_nouns_are_told() {
        assert_eq!(problems(&[("messages/mod.rs", ""), ("messages/helpers.rs", "")]).len(), 1);
        assert_eq!(problems(&[("rooms/mod.rs", ""), ("rooms/http.rs", "")]).len(), 1);
        assert_eq!(problems(&[("messages.rs", "")]).len(), 1);
        assert_eq!(problems(&[("messages/http.rs", "")]).len(), 1);
    }

    #[test]
    fn modules_out_of_order_and_unknown_modules_are_told() {
        let found = problems(&[("messages/mod.rs", "mod http;\nmod queries;\nmod extra;")]);
        assert_eq!(found.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn rules_have_no_io_and_routes_no_sql() {
        let rules = "async fn f(tx: &mut Tx) {\n  q().await\n}\n#[cfg(test)]\nmod t {\n x.await }";
        let found = problems(&[("messages/mod.rs", rules)]);
        assert_eq!(found.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 1, 2]);
        let found = problems(&[("messages/mod.rs", ""), ("messages/http.rs", "Sql::new(\"\")")]);
        assert_eq!(found.len(), 1);
    }
}
