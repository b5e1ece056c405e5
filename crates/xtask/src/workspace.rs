//! What `cargo metadata` says about the workspace.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

pub(crate) struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
    pub metadata: Value,
}

impl Workspace {
    /// Reads our own crates only, which needs neither network nor time.
    pub(crate) fn read() -> Result<Workspace, String> {
        Workspace::from(&["--no-deps"])
    }

    /// Reads every dependency too.
    pub(crate) fn read_whole() -> Result<Workspace, String> {
        Workspace::from(&[])
    }

    fn from(arguments: &[&str]) -> Result<Workspace, String> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1"]).args(arguments);
        let output = command.output().map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cargo metadata failed: {told}"));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("what cargo metadata says: {error}"))?;
        let path = |name: &str| PathBuf::from(metadata[name].as_str().unwrap_or_default());
        Ok(Workspace { root: path("workspace_root"), target: path("target_directory"), metadata })
    }

    /// Every package that is built for some target, as `name vVersion`. Cargo.lock, and so the metadata, holds
    /// more: what a dependency would take with a feature that nobody asks for.
    pub(crate) fn used_packages() -> Result<BTreeSet<String>, String> {
        let mut command = cargo();
        command.args(["tree", "--workspace", "--target", "all", "--edges", "normal,build,dev"]);
        command.args(["--prefix", "none", "--format", "{p}"]);
        let output = command.output().map_err(|error| format!("cargo tree: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Ok(text.lines().map(words).collect())
    }

    /// The `tertulia` of the dev profile.
    pub(crate) fn binary(&self) -> PathBuf {
        let name = format!("tertulia{}", std::env::consts::EXE_SUFFIX);
        self.target.join("debug").join(name)
    }

    /// Targets of a kind (`bench`, `bin`) as (package, target).
    pub(crate) fn targets(&self, kind: &str) -> Vec<(&str, &str)> {
        let packages = self.metadata["packages"].as_array().into_iter().flatten();
        let mut found = Vec::new();
        for package in packages {
            let targets = package["targets"].as_array().into_iter().flatten();
            for target in targets.filter(|target| target["kind"][0] == kind) {
                if let (Some(package), Some(target)) = (package["name"].as_str(), target["name"].as_str()) {
                    found.push((package, target));
                }
            }
        }
        found
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if crate::sh::on_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}
