//! `tertulia revocation`: what ends tokens before their time.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::running::{Whose, deleted, text};

const PATH: &str = "/tertulia/v1/Revocations";

/// Revoke tokens of a running server, and end the connections that they opened.
#[derive(Args)]
pub(crate) struct Revocation {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Revoke one token, a login session, an identity, a chat service until a moment, or suspend a key.
    ///
    /// Examples:
    ///   tertulia revocation create --identity alice
    ///   tertulia revocation create --jti SK…-1700000000-0123456789abcdef
    ///   tertulia revocation create --service IS… --issued-before 2030-01-01T00:00:00Z
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// List revocations that are in force.
    List(List),
    /// Take a revocation back.
    Delete(Delete),
}

#[derive(Args)]
struct Create {
    /// One token, by its jti.
    #[arg(long)]
    jti: Option<String>,
    /// All tokens of a login session.
    #[arg(long)]
    session: Option<String>,
    /// All tokens of an identity that were issued until now.
    #[arg(long)]
    identity: Option<String>,
    /// The chat service of the identity; or, with --issued-before, all tokens of it.
    #[arg(long, value_name = "SID")]
    service: Option<String>,
    /// Tokens that were issued until then instead of until now.
    #[arg(long, value_name = "TIME")]
    issued_before: Option<String>,
    /// Suspend this key: for tokens and for REST, until the revocation is deleted.
    #[arg(long, value_name = "SID")]
    key: Option<String>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Delete {
    /// Its SID.
    sid: String,
    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(command: Revocation) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Create(create) => {
            let made = create.whose.find()?.0.call("POST", PATH, &create.form())?;
            create.whose.which.show(&made, || line(&made));
        }
        Command::List(list) => {
            let entries = list.whose.find()?.0.list(&format!("{PATH}?PageSize=1000"), "revocations")?;
            list.whose.which.show(&json!({"revocations": entries}), || {
                let lines: String = entries.iter().map(line).collect();
                if lines.is_empty() { "nothing is revoked\n".to_owned() } else { lines }
            });
        }
        Command::Delete(delete) => {
            delete.whose.find()?.0.call("DELETE", &format!("{PATH}/{}", delete.sid), &[])?;
            delete.whose.which.show(&deleted(&delete.sid), || format!("{} is taken back\n", delete.sid));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Create {
    fn form(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("Jti", &self.jti),
            ("Session", &self.session),
            ("Identity", &self.identity),
            ("ServiceSid", &self.service),
            ("IssuedBefore", &self.issued_before),
            ("KeySid", &self.key),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

fn line(entry: &Value) -> String {
    let until = entry["date_expires"].as_str().map_or("until it is deleted".to_owned(), |at| format!("until {at}"));
    format!("{}  {:<9}{}  {until}\n", text(entry, "sid"), text(entry, "kind"), text(entry, "value"))
}
