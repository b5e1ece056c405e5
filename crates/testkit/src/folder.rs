//! A fresh folder for one test.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static MADE: AtomicU64 = AtomicU64::new(0);

/// A folder that is removed, with all it holds, when this value is dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test that fails must fail with its own message, not with this one.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A fresh, empty folder.
///
/// # Panics
/// When the machine's temporary folder cannot be written: no test can go on then.
#[must_use]
pub fn temp_dir() -> TempDir {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    // A process number comes again; chance makes the name fresh.
    let chance = RandomState::new().hash_one(number);
    let name = format!("tertulia-test-{}-{chance:x}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("the temporary folder can be written");
    TempDir(path)
}
