//! The file with the first account's credentials, and what a start that broke off leaves of it.
//!
//! It is written under a name with the account's SID before the account is created, and renamed when the account is
//! there. So it is safe to stop at any moment, and several servers may share a folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tertulia_server::App;
use tertulia_server::accounts::commands::FindAccount;

/// Where the credentials are until their account is there.
pub(super) fn pending(file: &Path, account: Option<impl std::fmt::Display>) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(account.map(|sid| format!(".{sid}")).unwrap_or_default());
    PathBuf::from(name)
}

/// Gives the file its name, now that its account is there.
pub(super) fn put_in_place(pending: &Path, file: &Path) -> anyhow::Result<()> {
    match fs::rename(pending, file) {
        // Another server in the same folder has found the account meanwhile, and did it.
        Err(cause) if cause.kind() == ErrorKind::NotFound && file.exists() => Ok(()),
        outcome => outcome.with_context(|| format!("{} cannot be renamed to {}", pending.display(), file.display())),
    }
}

/// Puts the credentials in place that a start has left behind which was killed just after it had created the account.
pub(super) async fn recover(app: &App, file: &Path) -> anyhow::Result<()> {
    for (pending, question) in left_behind(file) {
        match app.db.ask(&Caller::nobody(), question).await? {
            Some(_) => put_in_place(&pending, file)?,
            None => tracing::warn!(
                "{} is left of a start that broke off, and its account is not in this database",
                pending.display()
            ),
        }
    }
    Ok(())
}

/// The files that wait for their account, and the question whether it is there.
fn left_behind(file: &Path) -> Vec<(PathBuf, FindAccount)> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let question = |found: &str| Some(FindAccount(found.strip_prefix(name)?.strip_prefix('.')?.parse().ok()?));
    entries.filter_map(|entry| Some((entry.path(), question(entry.file_name().to_str()?)?))).collect()
}
