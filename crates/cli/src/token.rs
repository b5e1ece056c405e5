//! `tertulia token`: mint, inspect, verify and explain Access Tokens without any server.
//!
//! Nothing here opens a connection. Secrets come from the environment or from a file, never from
//! an argument, where every other process of the machine could read them; and they are never
//! printed.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use tertulia_server::platform::{Ids, ids};
use tertulia_token::Secret;

mod check;
mod explain;
mod inspect;
mod mint;
mod world;

/// Mint, inspect, verify and explain Access Tokens, offline
///
/// Exit status: 0 done, 1 the token is refused, 2 the command could not be carried out.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Token {
    /// How to print the result
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text, display_order = 900)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Subcommand)]
enum Command {
    Mint(Box<mint::Mint>),
    Inspect(inspect::Inspect),
    Verify(check::Verify),
    Explain(explain::Explain),
}

pub(crate) fn run(token: Token) -> Result<ExitCode> {
    match token.command {
        Command::Mint(command) => mint::run(*command, token.output),
        Command::Inspect(command) => inspect::run(command, token.output),
        Command::Verify(command) => check::run(command, token.output),
        Command::Explain(command) => explain::run(command, token.output),
    }
}

/// Where the API Key Secret comes from: a file, or TWILIO_API_SECRET.
#[derive(Args)]
struct SecretArgs {
    /// File with the API Key Secret (- for standard input); without it, TWILIO_API_SECRET
    ///
    /// A line end after the secret is not part of it.
    #[arg(long, value_name = "PATH")]
    secret_file: Option<PathBuf>,
}

const SECRET_VARIABLE: &str = "TWILIO_API_SECRET";

impl SecretArgs {
    /// The secret, if one was given.
    fn find(&self) -> Result<Option<Secret>> {
        if let Some(path) = &self.secret_file {
            let text = if path.as_os_str() == "-" {
                read_stdin().context("the secret could not be read from standard input")?
            } else {
                std::fs::read_to_string(path)
                    .with_context(|| format!("the secret could not be read from {}", path.display()))?
            };
            let secret = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(Some(Secret::new(secret.strip_suffix('\r').unwrap_or(secret))));
        }
        match std::env::var(SECRET_VARIABLE) {
            Ok(secret) => Ok(Some(Secret::new(secret))),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{SECRET_VARIABLE} is not valid UTF-8"),
        }
    }

    /// The secret, or what to do about it.
    fn get(&self) -> Result<Secret> {
        let hint = "no API Key Secret: set TWILIO_API_SECRET, or name a file with --secret-file \
                    (- for standard input); it is never taken as an argument, where other \
                    processes could see it";
        self.find()?.context(hint)
    }

    fn reads_stdin(&self) -> bool {
        self.secret_file.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// The token to look at: standard input, a file, or an argument.
#[derive(Args)]
struct TokenArg {
    /// The token; without it, or with -, standard input. Others who use this machine can see arguments: better
    /// pipe the token in, or use --token-file
    #[arg(value_name = "TOKEN", allow_hyphen_values = true, conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token (- for standard input)
    ///
    /// A line end after the token is not part of it.
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

impl TokenArg {
    /// The text as it was given; without the line end that a file or a pipe adds.
    fn read(&self) -> Result<String> {
        match &self.token {
            Some(token) if token != "-" => Ok(token.clone()),
            _ => read_token(self.token_file.as_deref()),
        }
    }

    fn reads_stdin(&self) -> bool {
        let is_file = self.token_file.as_ref().is_some_and(|path| path.as_os_str() != "-");
        !is_file && self.token.as_deref().is_none_or(|token| token == "-")
    }
}

/// A token from a file, or from standard input: without a path, and for `-`.
pub(crate) fn read_token(path: Option<&Path>) -> Result<String> {
    let text = match path.filter(|path| path.as_os_str() != "-") {
        Some(path) => File::open(path)
            .and_then(read_bounded)
            .with_context(|| format!("the token could not be read from {}", path.display()))?,
        None => {
            if io::stdin().is_terminal() {
                remark("paste the token, then end the input with Ctrl-D on a line of its own");
            }
            read_stdin().context("the token could not be read from standard input")?
        }
    };
    Ok(without_line_end(&text).to_owned())
}

/// Nothing that is read here is longer; what is, is not what was meant.
const INPUT_BYTES_MAX: u64 = 1 << 20;

fn read_stdin() -> io::Result<String> {
    read_bounded(io::stdin())
}

fn read_bounded(input: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(INPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A pipe adds a line end to what is echoed into it; that is not the sender's mistake.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// The time, Unix seconds: given, or the machine's.
pub(crate) fn now(given: Option<i64>) -> i64 {
    given.unwrap_or_else(|| {
        #[expect(clippy::disallowed_methods, reason = "the edge where the machine's clock is asked")]
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX))
    })
}

/// What makes the name of a token unique.
pub(crate) fn chance() -> [u8; 8] {
    Ids::from_seed(ids::fresh_seed()).chance()
}

fn print(text: impl std::fmt::Display) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("the result could not be printed")
}

fn print_json(value: &Value) -> Result<()> {
    print(serde_json::to_string_pretty(value)?)
}

/// Remarks go to standard error, so that standard output has the result and nothing else.
fn remark(text: impl std::fmt::Display) {
    // Who closed standard error does not want remarks.
    let _ = writeln!(io::stderr(), "{text}");
}
