//! The one binary: the service, and the tools around it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod account;
mod api_token;
mod audit;
mod chat;
mod clock;
mod dev;
mod env;
mod facts;
mod fault;
mod host;
mod import;
mod key;
mod logging;
mod policy;
mod revocation;
mod running;
mod secure;
mod seal_keys;
mod serve;
mod service;
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
    Dev(dev::Dev),
    Serve(serve::Serve),
    Env(env::Env),
    Token(token::Token),
    Policy(policy::Policy),
    ApiToken(api_token::ApiToken),
    Owner(api_token::Owner),
    Chat(Box<chat::Chat>),
    Account(account::Account),
    Key(key::Key),
    Service(service::Service),
    Import(import::Import),
    Seal(seal_keys::Seal),
    Clock(clock::Clock),
    Fault(fault::Fault),
    Revocation(revocation::Revocation),
    Audit(audit::Audit),
    /// Print the whole configuration with its defaults, ready to be saved and changed.
    Config,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dev(command) => dev::run(command),
        Command::Serve(command) => serve::run(command),
        Command::Account(command) => account::run(command),
        Command::Key(command) => key::run(command),
        Command::Service(command) => service::run(command),
        Command::Import(command) => import::run(&command),
        Command::Seal(command) => seal_keys::run(command),
        Command::Env(command) => env::run(&command),
        Command::Token(command) => token::run(command),
        Command::Policy(command) => policy::run(command),
        Command::ApiToken(command) => api_token::run(command),
        Command::Owner(command) => api_token::run_owner(command),
        Command::Chat(command) => chat::run(*command),
        Command::Clock(command) => clock::run(&command),
        Command::Fault(command) => fault::run(command),
        Command::Revocation(command) => revocation::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Config => {
            facts::print(tertulia_server::platform::config::DEFAULTS);
            Ok(ExitCode::SUCCESS)
        }
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
