//! The one binary: the service, and the tools around it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod token;

/// A self-hosted chat service for the Conversations SDKs, and its Access Tokens.
#[derive(Parser)]
#[command(name = "tertulia", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Token(token::Token),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Token(command) => token::run(command),
    };
    outcome.unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "the last words of a command line tool")]
        {
            eprintln!("error: {error:#}");
        }
        // As clap does for arguments it does not understand.
        ExitCode::from(2)
    })
}
