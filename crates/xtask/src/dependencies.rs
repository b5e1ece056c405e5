//! Bans, licences, sources and duplicates, read from `cargo metadata`: CI needs no tool that is not built here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::tidy::{Config, config_text};
use crate::workspace::Workspace;

/// How metadata names crates.io, also where a mirror stands for it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check() -> Result<(), String> {
    let workspace = Workspace::read_whole()?;
    let config = Config::parse(&config_text(&workspace.root)?)?;
    let used = Workspace::used_packages()?;
    let mut packages = packages(&workspace.metadata);
    packages.retain(|package| package.own || used.contains(&format!("{} v{}", package.name, package.version)));
    let mut faults = banned(&packages, &config);
    faults.extend(licences(&packages, &config));
    faults.extend(sources(&packages));
    faults.extend(duplicates(&packages, &config));
    println!("dependencies: {} packages read", packages.len());
    for fault in &faults {
        println!("Cargo.lock: [dependencies] {fault}");
    }
    match faults.len() {
        0 => Ok(()),
        count => Err(format!("{count} faults")),
    }
}

struct Package<'m> {
    name: &'m str,
    version: &'m str,
    licence: Option<&'m str>,
    /// Where it comes from; nothing for a member of the workspace.
    source: Option<&'m str>,
    /// Ours: a member of the workspace.
    own: bool,
    /// What its manifest asks for, in any section.
    asks: Vec<&'m str>,
}

fn packages(metadata: &Value) -> Vec<Package<'_>> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter_map(|package| {
            let asks = package["dependencies"].as_array().into_iter().flatten();
            Some(Package {
                name: package["name"].as_str()?,
                version: package["version"].as_str()?,
                licence: package["license"].as_str(),
                source: package["source"].as_str(),
                own: package["source"].is_null(),
                asks: asks.filter_map(|dependency| dependency["name"].as_str()).collect(),
            })
        })
        .collect()
}

fn banned(packages: &[Package<'_>], config: &Config) -> Vec<String> {
    let why = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut faults = Vec::new();
    for (name, reason) in config.entries("/dependencies/banned") {
        if packages.iter().any(|package| package.name == name) {
            let users = users(packages, name).join(", ");
            faults.push(format!("`{name}` is banned ({}); asked for by {users}", why(reason)));
        }
    }
    for (name, reason) in config.entries("/dependencies/banned_direct") {
        for package in packages.iter().filter(|p| p.own && p.asks.contains(&name)) {
            let (user, why) = (package.name, why(reason));
            faults.push(format!("`{user}` asks for `{name}`, which is banned there ({why})"));
        }
    }
    faults
}

fn users<'m>(packages: &[Package<'m>], name: &str) -> Vec<&'m str> {
    let users = packages.iter().filter(|package| package.asks.contains(&name));
    users.map(|package| package.name).collect()
}

fn licences(packages: &[Package<'_>], config: &Config) -> Vec<String> {
    let allowed = config.list("/dependencies/licences");
    let mut faults = Vec::new();
    for package in packages {
        let (name, version) = (package.name, package.version);
        match package.licence {
            None => faults.push(format!("`{name} {version}` names no licence")),
            Some(licence) if !permits(licence, &allowed) => faults.push(format!(
                "`{name} {version}` is under {licence}, which is not on the list of permissive \
                 licences in {}",
                crate::tidy::CONFIG
            )),
            Some(_) => {}
        }
    }
    faults
}

/// Packages come from crates.io, where a version never changes: from no other registry and from no repository.
fn sources(packages: &[Package<'_>]) -> Vec<String> {
    let strangers = packages.iter().filter_map(|package| {
        let source = package.source.filter(|source| *source != CRATES_IO)?;
        let (name, version) = (package.name, package.version);
        Some(format!("`{name} {version}` comes from {source}; take a version that is on crates.io"))
    });
    strangers.collect()
}

/// Whether one way through an SPDX expression stays within the allowed licences.
fn permits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&tokens, &mut at, allowed) && at == tokens.len()
}

fn any_of(tokens: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut permitted = all_of(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        permitted |= all_of(tokens, at, allowed);
    }
    permitted
}

fn all_of(tokens: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut permitted = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        permitted &= one(tokens, at, allowed);
    }
    permitted
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(token) = tokens.get(*at) else { return false };
    *at += 1;
    if *token == "(" {
        let permitted = any_of(tokens, at, allowed);
        *at += 1;
        return permitted;
    }
    let mut licence = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&licence.as_str())
}

/// Two incompatible versions of one package cost build time; the known ones are a ratchet.
fn duplicates(packages: &[Package<'_>], config: &Config) -> Vec<String> {
    let mut lines: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        lines.entry(package.name).or_default().insert(release_line(package.version));
    }
    lines.retain(|_, versions| versions.len() > 1);
    let known: BTreeMap<&str, &Value> = config.entries("/dependencies/duplicates").into_iter().collect();
    let mut faults = Vec::new();
    for (name, versions) in &lines {
        let versions = versions.iter().cloned().collect::<Vec<_>>().join(" and ");
        match known.get(name) {
            Some(reason) => println!("known duplicate: {name} {versions}: {}", reason.as_str().unwrap_or_default()),
            None => faults.push(format!(
                "`{name}` is here twice, {versions}; take a version that its other users take \
                 (cargo tree --duplicates), or add it with the reason to \"duplicates\" in {} when they cannot",
                crate::tidy::CONFIG
            )),
        }
    }
    let gone = known.keys().filter(|name| !lines.contains_key(**name));
    faults.extend(gone.map(|name| format!("`{name}` is no duplicate any more: remove it from the list")));
    faults
}

/// Versions that cargo would unify: `1`, `0.4`, `0.0.3`.
fn release_line(version: &str) -> String {
    let mut parts = version.split('.');
    let mut line = Vec::new();
    for part in parts.by_ref().take(3) {
        line.push(part);
        if part != "0" {
            break;
        }
    }
    line.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_understood() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
        let permits = |expression| permits(expression, &allowed);
        assert!(permits("MIT") && permits("MIT OR GPL-3.0") && permits("GPL-3.0/MIT"));
        assert!(permits("(MIT OR GPL-3.0) AND Apache-2.0"));
        assert!(permits("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(!permits("GPL-3.0") && !permits("MIT AND GPL-3.0") && !permits(""));
        assert!(!permits("Apache-2.0 WITH Other-exception"));
    }

    #[test]
    fn versions_fall_into_release_lines() {
        let lines = ["1.2.3", "0.4.1", "0.0.3"].map(release_line);
        assert_eq!(lines, ["1", "0.4", "0.0.3"]);
    }

    fn metadata() -> Value {
        serde_json::json!({"packages": [
            {"name": "ours", "version": "0.1.0", "license": "MIT", "source": null,
             "dependencies": [{"name": "chrono"}, {"name": "ring"}]},
            {"name": "ring", "version": "0.17.0", "license": "ISC", "source": CRATES_IO, "dependencies": []},
            {"name": "ring", "version": "0.18.0", "license": null, "source": "git+https://example.org/ring", "dependencies": []},
        ]})
    }

    #[test]
    fn faults_name_who_asked() {
        let config = r#"{"dependencies": {"banned": {"ring": "no"},
            "banned_direct": {"chrono": "jiff"}, "licences": ["MIT"], "duplicates": {"gone": "why"}}}"#;
        let (metadata, config) = (metadata(), Config::parse(config).unwrap());
        let packages = packages(&metadata);
        assert_eq!(
            banned(&packages, &config),
            ["`ring` is banned (no); asked for by ours", "`ours` asks for `chrono`, which is banned there (jiff)"]
        );
        assert_eq!(licences(&packages, &config).len(), 2);
        assert!(sources(&packages)[0].starts_with("`ring 0.18.0` comes from git+"));
        assert_eq!(sources(&packages).len(), 1);
        let duplicates = duplicates(&packages, &config);
        assert!(duplicates[0].starts_with("`ring` is here twice, 0.17 and 0.18"));
        assert!(duplicates[1].starts_with("`gone` is no duplicate"));
    }
}
