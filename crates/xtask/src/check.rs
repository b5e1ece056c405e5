//! `cargo xtask check`: all that can be said about the tree without running it.

use std::time::Instant;

use crate::dependencies;
use crate::sh;
use crate::tidy;
use crate::workspace::{Workspace, cargo};

/// Runs every step, or those that are named; also after one has failed, so that one run tells all.
pub(crate) fn check(wanted: &[String]) -> Result<(), String> {
    let workspace = Workspace::read()?;
    let steps: [(&str, Step); 4] = [
        ("formatting", formatting),
        ("tidy", tidy_tree),
        ("dependencies", |_| dependencies::check()),
        ("clippy", clippy),
    ];
    if let Some(unknown) = wanted.iter().find(|name| steps.iter().all(|(step, _)| step != name)) {
        return Err(format!("there is no step `{unknown}`; there are {}", steps.map(|(name, _)| name).join(", ")));
    }
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|step| step == name);
    let mut failed = Vec::new();
    for (name, step) in steps.into_iter().filter(|(name, _)| chosen(name)) {
        println!("\n== {name}");
        let start = Instant::now();
        if let Err(error) = step(&workspace) {
            println!("{name}: {error}");
            failed.push(name);
        }
        println!("   {}", sh::seconds(start.elapsed()));
    }
    if failed.is_empty() {
        println!("\ncheck: all is well");
        return Ok(());
    }
    Err(format!("check: {} failed", failed.join(", ")))
}

type Step = fn(&Workspace) -> Result<(), String>;

fn formatting(workspace: &Workspace) -> Result<(), String> {
    let advice = |error| format!("{error}\n    do:  cargo fmt --all");
    sh::run(cargo().args(["fmt", "--all", "--check", "--", "-l"])).map_err(advice)?;
    let fuzz = workspace.root.join("fuzz/Cargo.toml");
    if !fuzz.is_file() {
        return Ok(());
    }
    sh::run(cargo().args(["fmt", "--check", "--manifest-path"]).arg(fuzz).args(["--", "-l"]))
        .map_err(|error| format!("{error}\n    do:  cargo fmt --manifest-path fuzz/Cargo.toml"))
}

fn clippy(_: &Workspace) -> Result<(), String> {
    let flags = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    sh::run(cargo().args(flags))
}

fn tidy_tree(workspace: &Workspace) -> Result<(), String> {
    match tidy::run(&workspace.root)? {
        (_, 0) => Ok(()),
        (_, broken) => Err(format!("{broken} rules broken")),
    }
}
