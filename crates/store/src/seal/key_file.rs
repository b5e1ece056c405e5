//! The key file: one key per line in hexadecimal, the first one seals.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{SealKey, wipe};

/// Why the key file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("the key file {} cannot be used: {source}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// It does not hold keys.
    #[error("a seal key is 64 hexadecimal digits, one key per line; line {line} is something else")]
    NotAKey {
        /// The line, counted from 1.
        line: usize,
    },
    /// It holds no key at all.
    #[error("there is no seal key: give at least one line of 64 hexadecimal digits")]
    Empty,
}

/// The keys in a file. A file that others may read is used, with a warning: containers mount
/// secrets that way.
pub fn read_key_file(path: &Path) -> Result<Vec<SealKey>, KeyFileError> {
    let unusable = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut text = std::fs::read(path).map_err(unusable)?;
    warn_if_others_may_read(path);
    let keys = parse_keys(&String::from_utf8_lossy(&text));
    wipe(&mut text);
    keys
}

/// The keys in a text, one per line: the content of a file or of an environment variable. Empty
/// lines and lines beginning with `#` do not count.
pub fn parse_keys(text: &str) -> Result<Vec<SealKey>, KeyFileError> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parse = |(n, line)| parse_key(line).ok_or(KeyFileError::NotAKey { line: n + 1 });
    let keys = lines.map(parse).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(KeyFileError::Empty);
    }
    Ok(keys)
}

/// Makes the file, readable by its owner alone, and waits until it is on the disk: what is sealed
/// with a key that is lost is lost. A file that is there already is never overwritten.
pub fn create_key_file(path: &Path, key: &SealKey) -> Result<(), KeyFileError> {
    write_new(path, key).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

/// Replaces what the file holds by these keys: whoever reads it sees the old ones or the new ones, and what
/// is on the disk after a loss of power is one of them, too.
pub fn replace_key_file(path: &Path, keys: &[SealKey]) -> Result<(), KeyFileError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let replace = || {
        // What an earlier attempt left there.
        let _ = std::fs::remove_file(&beside);
        write(&beside, keys)?;
        std::fs::rename(&beside, path)?;
        sync_folder(path)
    };
    replace().map_err(|source| KeyFileError::Io { path: path.to_owned(), source })
}

fn write_new(path: &Path, key: &SealKey) -> io::Result<()> {
    write(path, std::slice::from_ref(key))?;
    sync_folder(path)
}

fn write(path: &Path, keys: &[SealKey]) -> io::Result<()> {
    let mut making = OpenOptions::new();
    making.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut making, 0o600);
    let mut file = making.open(path)?;
    for key in keys {
        writeln!(file, "{}", key.hex())?;
    }
    file.sync_all()
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn parse_key(line: &str) -> Option<SealKey> {
    if line.len() != 64 || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bits = [0; 32];
    for (n, byte) in bits.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&line[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(SealKey::new(bits))
}

#[cfg(unix)]
fn warn_if_others_may_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let open = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if open {
        tracing::warn!("the key file {} may be read by others; chmod 600 it", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_others_may_read(_path: &Path) {}
