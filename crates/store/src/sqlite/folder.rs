//! The data folder, and the lock that lets one process at a time use it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::failure::OpenError;

const DATABASE: &str = "tertulia.db";
const LOCK: &str = "tertulia.lock";
const TEMPORARY: &str = "tertulia-memory-";
/// A temporary folder that nobody holds is abandoned, unless it was made just now and is about to
/// be held.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// A folder that is ours until this value is dropped.
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
    /// The operating system lets the lock go when the process ends, however it ends.
    lock: File,
}

impl Folder {
    /// Takes the folder for this process, making it if it is not there.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        Self::lock(path, false)
    }

    /// A fresh folder that is removed when this value is dropped.
    pub(super) fn temporary() -> Result<Self, OpenError> {
        let chance = SysRng.try_next_u64().unwrap_or_default();
        let name = format!("{TEMPORARY}{}-{chance:016x}", std::process::id());
        remove_abandoned(&std::env::temp_dir());
        Self::lock(&std::env::temp_dir().join(name), true)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    fn lock(path: &Path, temporary: bool) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Folder { folder: path.to_owned(), source };
        make_private(path).map_err(unusable)?;
        let lock = path.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(lock);
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), temporary, lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Taken { folder: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!("a temporary folder is left behind: {error}");
        }
        // Said aloud: a process that is being started at this moment still shares the open file,
        // and closing ours would leave the lock to it for a while.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!("the data folder could not be let go: {error}");
        }
    }
}

/// Removes what killed processes left behind. It is a courtesy: what does not work is left alone.
fn remove_abandoned(within: &Path) {
    for folder in fs::read_dir(within).into_iter().flatten().flatten() {
        let ours = folder.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        if ours && is_abandoned(&folder.path().join(LOCK)).unwrap_or(false) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

fn is_abandoned(lock: &Path) -> io::Result<bool> {
    let lock = File::open(lock)?;
    let age = lock.metadata()?.modified()?.elapsed();
    Ok(age.is_ok_and(|age| age > ABANDONED_AFTER) && lock.try_lock().is_ok())
}

/// Makes the folder, for its owner alone; one that exists keeps its rights.
fn make_private(path: &Path) -> io::Result<()> {
    let mut making = fs::DirBuilder::new();
    making.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
    making.create(path)
}
