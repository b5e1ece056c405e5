//! Where the keys that seal secrets come from, and `tertulia seal`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tertulia_server::platform::ids;
use tertulia_server::seal::{self, SealKey};

use crate::host::make_folder;
use crate::running::{Output, Running, Which, text};

/// The key file of a data folder.
pub(crate) const SEAL_FILE: &str = "seal.key";

/// Names another key file.
const FILE_VARIABLE: &str = "TERTULIA_SEAL_KEY_FILE";
/// Holds the keys themselves.
const KEY_VARIABLE: &str = "TERTULIA_SEAL_KEY";

/// Keys, and the file they came from.
pub(crate) struct Found {
    pub(crate) keys: Vec<SealKey>,
    pub(crate) file: Option<PathBuf>,
}

/// Finds the keys: in the file that is named, in the environment, or in the data folder.
pub(crate) fn find(data: &Path, named: Option<&Path>) -> anyhow::Result<Found> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let file = match (named, set(FILE_VARIABLE), set(KEY_VARIABLE)) {
        (Some(named), ..) => named.to_owned(),
        (None, Some(named), _) => PathBuf::from(named),
        (None, None, Some(keys)) => {
            let keys = keys.into_string().unwrap_or_default();
            return Ok(Found { keys: seal::parse_keys(&keys).context(KEY_VARIABLE)?, file: None });
        }
        (None, None, None) => data.join(SEAL_FILE),
    };
    if !file.exists() {
        bail!(
            "there is no seal key in {}: `tertulia seal init --data {}` makes one, {FILE_VARIABLE} names another file, \
             {KEY_VARIABLE} holds the key itself; secrets are never stored without one",
            file.display(),
            data.display()
        );
    }
    Ok(Found { keys: seal::read_key_file(&file)?, file: Some(file) })
}

/// Make and change the key that seals secrets in the database.
#[derive(Args)]
pub(crate) struct Seal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the first key. Keep a copy of it apart from the database's backups: without it, the secrets are lost.
    ///
    /// Example: tertulia seal init --data /var/lib/tertulia
    Init(Init),
    /// Put a new key in the place of the old one, while the server serves.
    ///
    /// The new key is written above the old one, the running server seals every secret anew, and then the old key is
    /// taken out of the file. If it breaks off, run it again. A server that has its keys from the environment seals
    /// everything anew with the first of them. Keep a copy of the new key, as of the first one.
    ///
    /// Example: tertulia seal rotate --data /var/lib/tertulia
    Rotate(Rotate),
}

#[derive(Args)]
struct Init {
    /// The data folder; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "tertulia-data")]
    data: PathBuf,
    /// Another place for the key, which `tertulia serve --seal-key-file` names, too.
    #[arg(long, value_name = "FILE")]
    seal_key_file: Option<PathBuf>,
    /// The form of the output.
    #[arg(short = 'o', long = "output", value_enum, default_value = "text")]
    output: Output,
}

#[derive(Args)]
struct Rotate {
    /// The key file. [default: the one that the server has its keys from]
    #[arg(long, value_name = "FILE")]
    seal_key_file: Option<PathBuf>,
    /// Leave the file as it stands: the server reads it again, and seals everything anew with the first key in it. For
    /// several nodes, which must all know a new key before one of them seals with it.
    #[arg(long, conflicts_with = "seal_key_file")]
    keep_file: bool,
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(command: Seal) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Init(init) => init.run()?,
        Command::Rotate(rotate) => rotate.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn fresh() -> SealKey {
    SealKey::new(ids::fresh_seed())
}

impl Init {
    fn run(self) -> anyhow::Result<()> {
        make_folder(&self.data)?;
        let file = self.seal_key_file.unwrap_or_else(|| self.data.join(SEAL_FILE));
        if file.exists() {
            bail!("{} is there already; `tertulia seal rotate` puts a new key in its place", file.display());
        }
        let key = fresh();
        seal::create_key_file(&file, &key)?;
        let (id, file) = (key.id().to_string(), file.display().to_string());
        self.output.show(&json!({"seal_key_id": id, "file": file}), || {
            format!("The key {id} is in {file}. Keep a copy of it apart from the database's backups.\n")
        });
        Ok(())
    }
}

impl Rotate {
    fn run(self) -> anyhow::Result<()> {
        let server = self.which.operator()?;
        if !server.is_operator() {
            bail!("only whoever runs the server changes the seal key: name its data folder, with --data");
        }
        // Nothing is written before it is clear that the server is there and lets us in.
        server.call("GET", "/tertulia/v1/Accounts?PageSize=1", &[])?;
        let known = self.which.seal_key_file()?;
        match self.seal_key_file.clone().or(known).filter(|_| !self.keep_file) {
            Some(file) => self.replace(&server, &file),
            None => {
                let answer = rotate(&server)?;
                self.which.show(&answer, || {
                    let (count, id) = (&answer["resealed_count"], text(&answer, "seal_key_id"));
                    format!("{count} secrets were sealed anew with the key {id}, the first that the server has\n")
                });
                Ok(())
            }
        }
    }

    /// Puts a new key in the place of those in the file.
    fn replace(&self, server: &Running, file: &Path) -> anyhow::Result<()> {
        let before = seal::read_key_file(file)?;
        let new = fresh();
        let both: Vec<SealKey> = std::iter::once(new.clone()).chain(before.iter().cloned()).collect();
        seal::replace_key_file(file, &both)?;
        let both_stay = || format!("{} holds the old key and the new one; run this again", file.display());
        let answer = rotate(server).with_context(both_stay)?;
        if answer["seal_key_id"] != new.id().to_string() {
            seal::replace_key_file(file, &before)?;
            bail!("the server does not have its keys from {}; nothing was changed", file.display());
        }
        seal::replace_key_file(file, std::slice::from_ref(&new))?;
        self.which.show(&answer, || {
            let count = &answer["resealed_count"];
            format!("{count} secrets were sealed anew; {} holds the key {} alone\n", file.display(), new.id())
        });
        Ok(())
    }
}

/// Has the server read its keys again and seal everything anew with the first; it answers when no change that
/// began with another key is under way any more.
fn rotate(server: &Running) -> anyhow::Result<Value> {
    server.call("POST", "/tertulia/v1/SealRotation", &[])
}
