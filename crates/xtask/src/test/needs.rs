//! What parts need from the machine: found, or installed where we may, or told.
//!
//! We install only on Debian and its kin, as root, through apt-get, as containers and continuous
//! integration have it; `TERTULIA_NO_INSTALL=1` forbids even that.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sh;

/// The oldest Node that builds `web/`.
const NODE_MIN: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Node,
    Python,
    Chromium,
    Postgres,
    Nginx,
}

impl Tool {
    /// What must be there; the value is where it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self {
            Tool::Node => sh::find(&["npm"]).and(sh::find(&["node"])).filter(|node| is_recent(node)),
            Tool::Python => sh::find(&["python3"]).filter(|python| makes_environments(python)),
            Tool::Chromium => chromium(),
            Tool::Postgres => postgres(),
            Tool::Nginx => nginx(),
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Tool::Node => &["nodejs", "npm"],
            Tool::Python => &["python3", "python3-venv"],
            Tool::Chromium => &["chromium"],
            Tool::Postgres => &["postgresql"],
            Tool::Nginx => &["nginx"],
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Tool::Node => "install Node 20 or newer with npm (nodejs.org, or your package manager)",
            Tool::Python => "install Python 3 with its venv module",
            Tool::Chromium => "install Chromium or Chrome, or set CHROMIUM to the program",
            Tool::Postgres => {
                "install PostgreSQL 15 or newer (the server programs; no running server is needed), \
                 or set POSTGRES_BIN to the folder of `initdb`"
            }
            Tool::Nginx => "install nginx with its auth_request module, or set NGINX to the program (none need run)",
        }
    }
}

#[derive(Default)]
pub(crate) struct Installer {
    updated: Cell<bool>,
}

impl Installer {
    /// Finds the tool, installs it where that is allowed, or says what to install.
    pub(crate) fn provide(&self, tool: Tool) -> Result<PathBuf, String> {
        if let Some(place) = tool.find() {
            return Ok(place);
        }
        if may_install() {
            println!("{tool:?} is missing: installing {}", tool.packages().join(" "));
            if let Err(error) = self.install(tool) {
                println!("{error}");
            }
        }
        tool.find().ok_or_else(|| format!("{tool:?} is missing: {}", tool.advice()))
    }

    fn install(&self, tool: Tool) -> Result<(), String> {
        if !self.updated.replace(true) {
            sh::run(apt().arg("update"))?;
        }
        if tool == Tool::Postgres {
            self.keep_the_default_cluster_away()?;
        }
        let install = || sh::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(tool.packages()));
        if tool == Tool::Nginx { without_services(install) } else { install() }
    }

    /// Debian's package makes and starts a cluster of its own, which nobody here wants.
    fn keep_the_default_cluster_away(&self) -> Result<(), String> {
        let common = ["install", "--yes", "--no-install-recommends", "postgresql-common"];
        sh::run(apt().args(common))?;
        let folder = Path::new("/etc/postgresql-common/createcluster.d");
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join("no-cluster.conf"), "create_main_cluster = false\n"))
            .map_err(|error| format!("writing below {}: {error}", folder.display()))
    }
}

/// Debian starts a service as soon as it is installed, unless this program says that none may be. The tests start an
/// nginx of their own, and the machine's port 80 is none of their business.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs without any service being started.
fn without_services(install: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let policy = Path::new(SERVICE_POLICY);
    // Containers have one of their own, which says the same.
    if policy.exists() {
        return install();
    }
    let told = |error| format!("writing {SERVICE_POLICY}: {error}");
    std::fs::write(policy, "#!/bin/sh\nexit 101\n").map_err(told)?;
    let outcome = sh::run(Command::new("chmod").args(["755", SERVICE_POLICY])).and_then(|()| install());
    std::fs::remove_file(policy).map_err(told)?;
    outcome
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn may_install() -> bool {
    let forbidden = std::env::var_os("TERTULIA_NO_INSTALL").is_some();
    let root = || sh::ask(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    !forbidden && Path::new("/etc/debian_version").exists() && sh::find(&["apt-get"]).is_some() && root()
}

fn is_recent(node: &Path) -> bool {
    let version = sh::ask(Command::new(node).arg("--version")).unwrap_or_default();
    node_major(&version).is_some_and(|major| major >= NODE_MIN)
}

fn node_major(version: &str) -> Option<u64> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn makes_environments(python: &Path) -> bool {
    sh::ask(Command::new(python).args(["-c", "import venv, ensurepip"])).is_some()
}

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from).filter(|path| path.is_file());
    let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    named
        .or_else(|| sh::find(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]))
        .or_else(|| Some(mac).filter(|path| path.is_file()))
}

/// Debian keeps it off the PATH of people who are not root.
fn nginx() -> Option<PathBuf> {
    let named = std::env::var_os("NGINX").map(PathBuf::from).filter(|path| path.is_file());
    let usual = || Some(PathBuf::from("/usr/sbin/nginx")).filter(|path| path.is_file());
    named.or_else(|| sh::find(&["nginx"])).or_else(usual).filter(|nginx| has_auth_request(nginx))
}

fn has_auth_request(nginx: &Path) -> bool {
    let output = Command::new(nginx).arg("-V").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("http_auth_request_module"))
}

/// The folder of the server's programs, with those of the client beside them. Debian keeps it off
/// PATH, and what stands on PATH may be links into it.
fn postgres() -> Option<PathBuf> {
    let whole =
        |folder: &PathBuf| ["initdb", "postgres", "pg_isready", "createdb"].iter().all(|p| folder.join(p).is_file());
    let named = std::env::var_os("POSTGRES_BIN").map(PathBuf::from).filter(whole);
    let on_path = || {
        let initdb = sh::find(&["initdb"])?.canonicalize().ok()?;
        initdb.parent().map(Path::to_path_buf).filter(whole)
    };
    named.or_else(on_path).or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let folders = versions.map(|entry| entry.path().join("bin")).filter(whole);
        folders.max_by_key(|folder| version_of(folder))
    })
}

fn version_of(folder: &Path) -> u64 {
    let name = folder.parent().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(node_major("v20.20.2\n"), Some(20));
        assert_eq!(node_major("20"), None);
        assert!(version_of(Path::new("/usr/lib/postgresql/15/bin")) > version_of(Path::new("/x/9/bin")));
    }
}
