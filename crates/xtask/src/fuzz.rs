//! `cargo xtask fuzz`: cargo-fuzz where it and a nightly toolchain are, otherwise the same targets
//! under a seeded mutation loop on the toolchain at hand.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::sh::{self, Outcome};
use crate::workspace::{Workspace, cargo};

const SECONDS: u64 = 60;

pub(crate) fn exists(root: &Path) -> bool {
    root.join("fuzz/Cargo.toml").is_file()
}

pub(crate) fn fuzz(arguments: &[String]) -> Result<(), String> {
    let workspace = Workspace::read()?;
    let wish = Wish::read(arguments)?;
    if wish.list {
        return sh::run(&mut smoke_command(&workspace, &["--list".to_owned()]));
    }
    match wish.targets.as_slice() {
        [target] if !wish.smoke && wish.extra.is_empty() && guided() => {
            cargo_fuzz(&workspace.root, target, wish.seconds)
        }
        _ => mutate(&workspace, &wish),
    }
}

struct Wish {
    targets: Vec<String>,
    seconds: u64,
    list: bool,
    smoke: bool,
    /// For the mutation loop: `--seed N`, `--input FILE`.
    extra: Vec<String>,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Wish, String> {
        let mut wish = Wish { targets: Vec::new(), seconds: SECONDS, list: false, smoke: false, extra: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--list" => wish.list = true,
                "--smoke" => wish.smoke = true,
                "--seconds" => {
                    wish.seconds = value()?.parse().map_err(|_| "--seconds needs a number")?;
                }
                "--seed" | "--input" => wish.extra.extend([argument.clone(), value()?.clone()]),
                option if option.starts_with('-') => return Err(format!("unknown option {option}")),
                target => wish.targets.push(target.to_owned()),
            }
        }
        Ok(wish)
    }
}

/// Whether cargo-fuzz and a nightly toolchain are at hand.
fn guided() -> bool {
    let nightly = || {
        let list = sh::ask(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
        list.lines().any(|line| line.starts_with("nightly"))
    };
    sh::find(&["cargo-fuzz"]).is_some() && nightly()
}

/// Coverage-guided; the corpus grows in fuzz/corpus, beginning with our seeds.
fn cargo_fuzz(root: &Path, target: &str, seconds: u64) -> Result<(), String> {
    let corpus = root.join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let limit = format!("-max_total_time={seconds}");
    let mut command = Command::new("rustup");
    command.current_dir(root).args(["run", "nightly", "cargo", "fuzz", "run", target]);
    command.arg(corpus).arg(root.join("fuzz/seeds").join(target));
    sh::run(command.args(["--", &limit, "-timeout=10", "-rss_limit_mb=2048"]))
}

fn mutate(workspace: &Workspace, wish: &Wish) -> Result<(), String> {
    println!("The mutation loop; cargo-fuzz takes over for a single target where it and nightly are installed.");
    let seconds = ["--seconds".to_owned(), wish.seconds.to_string()];
    let arguments = [wish.targets.as_slice(), wish.extra.as_slice(), &seconds].concat();
    // Above the time of all targets; one that hangs ends the loop before.
    match smoke(workspace, &arguments, Duration::from_secs(60 + wish.seconds * 40))?.success {
        true => Ok(()),
        false => Err("fuzz: a target failed; its input is below fuzz/artifacts".into()),
    }
}

/// Runs targets (all, if none is named) in the mutation loop; the arguments are those of `fuzz/src/bin/smoke.rs`.
pub(crate) fn smoke(workspace: &Workspace, arguments: &[String], limit: Duration) -> Result<Outcome, String> {
    let build = ["build", "--no-default-features", "--bin", "smoke"];
    sh::run(fuzz_cargo(workspace).args(build))?;
    sh::watch(&mut smoke_command(workspace, arguments), false, limit)
}

fn smoke_command(workspace: &Workspace, arguments: &[String]) -> Command {
    let mut command = fuzz_cargo(workspace);
    command.args(["run", "--quiet", "--no-default-features", "--bin", "smoke", "--"]);
    command.args(arguments);
    command
}

/// Shares the workspace's target folder: the profile is the same, so nearly all is built already.
fn fuzz_cargo(workspace: &Workspace) -> Command {
    let mut command = cargo();
    command.current_dir(workspace.root.join("fuzz")).env("CARGO_TARGET_DIR", &workspace.target);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Wish, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Wish::read(&words)
    }

    #[test]
    fn wishes_are_read() {
        let wish = read(&["token", "--seconds", "7", "--seed", "3"]).unwrap();
        assert_eq!((wish.targets, wish.seconds), (vec!["token".to_owned()], 7));
        assert_eq!(wish.extra, ["--seed", "3"]);
        assert!(read(&["--seconds"]).is_err() && read(&["--sconds", "7"]).is_err());
    }
}
