//! `tertulia env`: what `tertulia dev` printed, for scripts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::facts::{self, Facts};

/// Print the addresses and credentials of the running dev server.
///
/// Example: eval "$(tertulia env)"
#[derive(Args)]
pub(crate) struct Env {
    /// The data folder of the server.
    #[arg(long, value_name = "DIR", default_value = "tertulia-data")]
    data: PathBuf,
    /// The form.
    #[arg(short = 'o', long = "output", value_enum, default_value = "shell")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// `export NAME='value'`, for eval.
    Shell,
    /// `NAME='value'`.
    Dotenv,
    /// One object.
    Json,
}

pub(crate) fn run(command: &Env) -> anyhow::Result<ExitCode> {
    let facts = Facts::read(&command.data)?;
    facts::print(&match command.output {
        Output::Shell => facts.shell(),
        Output::Dotenv => facts.dotenv(),
        Output::Json => facts.json(),
    });
    Ok(ExitCode::SUCCESS)
}
