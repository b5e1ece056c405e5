//! Which crate of the workspace may depend on which.

use super::config::{Config, strings};
use super::{Problem, Tree};

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let ours = config.entries("/crates");
    let names: Vec<&str> = ours.iter().map(|(name, _)| *name).collect();
    let mut problems = Vec::new();
    for (path, text) in tree.below("crates/").filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let Some(name) = package_name(text) else { continue };
        let Some((_, rule)) = ours.iter().find(|(crate_name, _)| *crate_name == name) else {
            let what = format!("the crate `{name}` has no place in the order of crates");
            let fix = "add it to \"crates\" in crates/xtask/tidy.json with what it may use";
            problems.push(Problem::new(path, 0, what, fix));
            continue;
        };
        for dependency in dependencies(text).into_iter().filter(|d| names.contains(&d.name)) {
            let allowed = match dependency.dev {
                true => [strings(&rule["may"]), strings(&rule["dev"])].concat(),
                false => strings(&rule["may"]),
            };
            if !allowed.contains(&dependency.name) {
                problems.push(against(path, name, &dependency, &allowed));
            }
        }
    }
    problems
}

fn against(path: &str, name: &str, dependency: &Dependency<'_>, allowed: &[&str]) -> Problem {
    let what = format!("`{name}` depends on `{}`", dependency.name);
    let fix = match allowed {
        [] => format!("remove it: `{name}` uses none of our crates; pass in what it needs"),
        _ => format!("remove it; `{name}` may use {}", allowed.join(", ")),
    };
    Problem::new(path, dependency.line, what, fix)
}

#[derive(Debug, PartialEq, Eq)]
struct Dependency<'t> {
    name: &'t str,
    dev: bool,
    line: usize,
}

fn package_name(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| key(line) == Some("name"))?;
    line.split('"').nth(1)
}

fn key(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    Some(key.split('.').next().unwrap_or(key).trim_matches('"'))
}

/// Reads the sections of a manifest by line; our manifests need no more of TOML than that.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.trim_end_matches(']');
            if let Some((table, name)) = section.rsplit_once("dependencies.") {
                found.push(Dependency { name, dev: table.ends_with("dev-"), line: index + 1 });
            }
        } else if section.ends_with("dependencies") && !line.starts_with('#') {
            let dev = section.ends_with("dev-dependencies");
            found.extend(key(line).map(|name| Dependency { name, dev, line: index + 1 }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"crates": {
        "store": {"may": []}, "client": {"may": []},
        "server": {"may": ["store"], "dev": ["client"]}}}"#;

    fn problems(manifest: &str) -> Vec<Problem> {
        let tree = Tree::of(&[("crates/x/Cargo.toml", manifest)]);
        check(&tree, &Config::parse(CONFIG).unwrap())
    }

    #[test]
    fn the_allowed_direction_passes() {
        let manifest = "[package]\nname = \"server\"\n[dependencies]\nstore.workspace = true\n\
                        serde = \"1\"\n[dev-dependencies]\nclient = { path = \"../client\" }\n";
        assert!(problems(manifest).is_empty());
    }

    #[test]
    fn a_dependency_against_the_direction_names_its_line() {
        let found = problems("[package]\nname = \"store\"\n[dependencies]\nserver.workspace = true");
        assert_eq!((found.len(), found[0].line), (1, 4));
        assert!(found[0].fix.contains("none of our crates"));
    }

    #[test]
    fn a_dev_dependency_is_not_a_dependency() {
        let found = problems("[package]\nname = \"server\"\n[dependencies.client]\npath = \"c\"");
        assert_eq!(found.len(), 1);
        let found = problems("[package]\nname = \"server\"\n[dev-dependencies.client]\npath = \"c\"");
        assert!(found.is_empty());
    }

    #[test]
    fn an_unknown_crate_must_find_its_place() {
        assert_eq!(problems("[package]\nname = \"new\"").len(), 1);
    }

    #[test]
    fn target_sections_count_too() {
        let manifest = "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"";
        let expected = Dependency { name: "libc", dev: false, line: 2 };
        assert_eq!(dependencies(manifest), [expected]);
    }
}
