//! The files that the rules look at: text below the root that is ours, with `/` in every path.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::rust::Rust;

/// Folders that hold what tools made or installed.
const FOREIGN: [&str; 11] = [
    ".git",
    "target",
    "node_modules",
    ".venv",
    "__pycache__",
    "dist",
    "corpus",
    "artifacts",
    "tertulia-data",
    ".pytest_cache",
    "screenshots",
];

const TEXT: [&str; 22] = [
    "rs", "toml", "md", "json", "sql", "ts", "tsx", "js", "mjs", "cjs", "py", "css", "html", "sh", "yml", "yaml",
    "txt", "lock", "conf", "npmrc", "svg", "jsonl",
];

/// Data, not prose or code, past this size.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, File>,
}

struct File {
    text: String,
    /// Read when a rule first asks for it, and once for all of them.
    rust: OnceCell<Rust>,
}

impl From<String> for File {
    fn from(text: String) -> File {
        File { text, rust: OnceCell::new() }
    }
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let mut tree = Tree::default();
        tree.add_folder(root, "")?;
        Ok(tree)
    }

    /// A tree that exists only in a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), File::from((*text).to_owned()));
        Tree { files: files.iter().map(own).collect() }
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), String> {
        let failed = |error| format!("reading {}: {error}", folder.display());
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && !FOREIGN.contains(&name.as_str()) {
                self.add_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() && is_text(&name) && small(&entry) {
                // A file that vanished meanwhile, or is not UTF-8, is nobody's source.
                if let Ok(text) = std::fs::read_to_string(entry.path()) {
                    self.files.insert(path, text.into());
                }
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|file| file.text.as_str())
    }

    /// A file that is Rust, by its name.
    pub(crate) fn rust(&self, path: &str) -> Option<&Rust> {
        let file = self.files.get(path).filter(|_| extension(path) == "rs")?;
        Some(file.rust.get_or_init(|| Rust::read(&file.text)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file.text.as_str()))
    }

    /// Files below `folder` (with its slash), in order.
    pub(crate) fn below<'t>(&'t self, folder: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.iter().filter(move |(path, _)| path.starts_with(folder))
    }

    pub(crate) fn with_extension<'t>(&'t self, extensions: &'t [&str]) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.iter().filter(|(path, _)| extensions.contains(&extension(path)))
    }
}

fn is_text(name: &str) -> bool {
    TEXT.contains(&extension(name)) || name == "run" || name == ".npmrc" || name == "Dockerfile"
}

fn small(entry: &std::fs::DirEntry) -> bool {
    entry.metadata().is_ok_and(|meta| meta.len() <= BYTES_MAX)
}

pub(crate) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether the whole file is test code or measures something.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "testkit" | "seeds"))
        || path.ends_with("/tests.rs")
        || path.ends_with("_test.mjs")
        || path.ends_with(".test.mjs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_recognised() {
        assert!(is_test_file("crates/server/src/messages/tests.rs"));
        assert!(is_test_file("tests/sdk/one.mjs"));
        assert!(!is_test_file("crates/server/src/messages/mod.rs"));
    }

    #[test]
    fn extensions_come_from_the_name_alone() {
        assert_eq!(extension("a.b/run"), "");
        assert_eq!(extension("a/b.rs"), "rs");
    }
}
