//! The pages of `web/`: built with npm into `web/dist`, which the binary embeds.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::sh::{self, Outcome};

/// What is neither source nor worth a look.
const NOT_SOURCE: [&str; 3] = ["node_modules", "dist", ".vite"];

pub(crate) fn exists(root: &Path) -> bool {
    root.join("web/package.json").is_file()
}

/// `cargo xtask web`, or with a script of package.json: `cargo xtask web dev`.
pub(crate) fn web(root: &Path, arguments: &[String]) -> Result<(), String> {
    if !exists(root) {
        return Err("there is no web/package.json".into());
    }
    if sh::find(&["npm"]).is_none() {
        return Err("the pages need Node 20 or newer with npm: install it from nodejs.org".into());
    }
    match arguments {
        [] => build(root),
        [script, rest @ ..] => {
            npm_install(&root.join("web"))?;
            sh::run(npm(root).args(["run", script, "--"]).args(rest))
        }
    }
}

pub(crate) fn build(root: &Path) -> Result<(), String> {
    npm_install(&root.join("web"))?;
    sh::run(npm(root).args(["run", "build"]))
}

/// `npm ci` where there is a lock file, unless what is installed is newer.
pub(crate) fn npm_install(folder: &Path) -> Result<(), String> {
    if !folder.join("package.json").is_file() {
        return Ok(());
    }
    let changed = |name: &str| {
        let meta = std::fs::metadata(folder.join(name)).and_then(|meta| meta.modified());
        meta.ok()
    };
    let installed = changed("node_modules/.package-lock.json");
    let asked = changed("package-lock.json").max(changed("package.json"));
    if installed.is_some() && installed >= asked {
        return Ok(());
    }
    let verb = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
    sh::twice(|| {
        let mut command = Command::new("npm");
        command.args([verb, "--no-audit", "--no-fund"]).current_dir(folder);
        command
    })
}

/// Builds unless what is built is newer than every source.
pub(crate) fn build_if_older(root: &Path) -> Result<(), String> {
    let web = root.join("web");
    if has_page(&web) && newest(&web.join("dist")) >= newest(&web) {
        println!("web/dist is newer than its sources");
        return Ok(());
    }
    build(root)
}

/// Runs the pages' own check and tests, as far as package.json has scripts for them.
pub(crate) fn test(root: &Path, limit: Duration) -> Result<Option<Outcome>, String> {
    let text = std::fs::read_to_string(root.join("web/package.json")).unwrap_or_default();
    let package: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("web/package.json: {error}"))?;
    let has = |script: &str| package["scripts"][script].is_string();
    if has("check") {
        sh::run(npm(root).args(["run", "check"]))?;
    }
    match has("test") {
        true => sh::watch(npm(root).arg("test"), true, limit).map(Some),
        false => Ok(None),
    }
}

fn has_page(web: &Path) -> bool {
    fn holds_page(folder: &Path) -> bool {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
            true => holds_page(&path),
            false => path.extension().is_some_and(|extension| extension == "html"),
        })
    }
    holds_page(&web.join("dist"))
}

fn npm(root: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root.join("web"));
    command
}

/// The latest change below a folder.
fn newest(folder: &Path) -> Option<SystemTime> {
    let mut latest = None;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(meta) = entry.metadata() else { continue };
        let changed = match meta.is_dir() {
            true if NOT_SOURCE.contains(&name.as_str()) => None,
            true => newest(&entry.path()),
            false => meta.modified().ok(),
        };
        latest = latest.max(changed);
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_does_not_count_as_a_source() {
        let root = std::env::temp_dir().join(format!("xtask-web-{}", std::process::id()));
        let write = |path: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        write("src/main.ts");
        let sources = newest(&root);
        write("dist/demo.html");
        assert_eq!(newest(&root), sources);
        assert!(newest(&root.join("dist")) >= sources && has_page(&root));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
