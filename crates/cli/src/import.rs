//! `tertulia import`: accounts, API keys, chat services and roles that keep their SIDs.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::running::Which;

/// Bring in accounts, API keys, chat services and roles under the SIDs and secrets that they have elsewhere.
///
/// Apps that know them, and tokens that are minted with them, go on as they are. What is there already stays as it
/// is; either everything comes in or nothing. docs/operations.md has the form of the file.
///
/// Example: tertulia import world.json
#[derive(Args)]
pub(crate) struct Import {
    /// The file, JSON; - for stdin. It holds secrets: keep it where only you can read it.
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(command: &Import) -> anyhow::Result<ExitCode> {
    let world = match command.file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()).context("stdin cannot be read")?,
        false => {
            fs::read_to_string(&command.file).with_context(|| format!("{} cannot be read", command.file.display()))?
        }
    };
    let made = command.which.operator()?.call("POST", "/tertulia/v1/Imports", &[("World", world)])?;
    command.which.show(&made, || {
        let counts = ["accounts", "keys", "services", "roles"].map(|name| format!("{} {name}", made[name]));
        format!("new: {}\n", counts.join(", "))
    });
    Ok(ExitCode::SUCCESS)
}
