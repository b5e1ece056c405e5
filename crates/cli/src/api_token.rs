//! `tertulia api-token` and `tertulia owner`: what an operator does about logins on a running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::running::{Whose, deleted};

/// Make, list and delete API tokens, with which devices and scripts log in at the token endpoint.
#[derive(Args)]
pub(crate) struct ApiToken {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token. It is printed once and kept nowhere.
    ///
    /// Example: tertulia api-token create --subject sensor-7 --facts '{"model": "m1"}'
    Create {
        /// Who comes with it.
        #[arg(long)]
        subject: String,
        /// What the policy may know of it: a JSON object.
        #[arg(long, default_value = "{}")]
        facts: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
        /// When it ends, such as 2030-01-01T00:00:00Z. [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// List the tokens, without themselves.
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Delete a token: nobody logs in with it any more, and the Access Tokens that came by it end, with their
    /// connections.
    Delete {
        /// Its id, as the list shows it.
        id: String,
        #[command(flatten)]
        whose: Whose,
    },
}

/// See and release whose an identity is: the first login that comes to one owns it.
#[derive(Args)]
pub(crate) struct Owner {
    #[command(subcommand)]
    command: OwnerCommand,
}

#[derive(Subcommand)]
enum OwnerCommand {
    /// List the owners of a chat service's identities.
    List {
        /// The chat service. [default: the account's]
        #[arg(long, value_name = "SID")]
        service: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Release an identity: the next login that comes to it owns it.
    Release {
        /// The identity.
        identity: String,
        /// The chat service. [default: the account's]
        #[arg(long, value_name = "SID")]
        service: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
}

pub(crate) fn run(command: ApiToken) -> anyhow::Result<ExitCode> {
    match command.command {
        TokenCommand::Create { subject, facts, name, expires, whose } => {
            let mut form = vec![("Subject", subject), ("Facts", facts), ("FriendlyName", name)];
            form.extend(expires.map(|expires| ("DateExpires", expires)));
            let made = whose.find()?.0.call("POST", "/tertulia/v1/ApiTokens", &form)?;
            // The bare token on stdout, so that it can be piped to where it belongs.
            whose.which.show(&made, || format!("{}\n", made["token"].as_str().unwrap_or_default()));
        }
        TokenCommand::List { whose } => {
            let rows = all(&whose, "/tertulia/v1/ApiTokens?PageSize=1000", "api_tokens")?;
            whose.which.show(&rows, || {
                table(&rows, "no API tokens", &["id", "subject", "friendly_name", "date_created", "date_expires"])
            });
        }
        TokenCommand::Delete { id, whose } => {
            whose.find()?.0.call("DELETE", &format!("/tertulia/v1/ApiTokens/{}", in_path(&id)), &[])?;
            whose.which.show(&deleted(&id), || format!("{id} is deleted\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_owner(command: Owner) -> anyhow::Result<ExitCode> {
    match command.command {
        OwnerCommand::List { service, whose } => {
            let service = service.map(|sid| format!("&ServiceSid={}", in_path(&sid))).unwrap_or_default();
            let rows = all(&whose, &format!("/tertulia/v1/Owners?PageSize=1000{service}"), "owners")?;
            whose.which.show(&rows, || table(&rows, "no owners", &["identity", "source", "subject", "date_created"]));
        }
        OwnerCommand::Release { identity, service, whose } => {
            let service = service.map(|sid| format!("?ServiceSid={}", in_path(&sid))).unwrap_or_default();
            whose.find()?.0.call("DELETE", &format!("/tertulia/v1/Owners/{}{service}", in_path(&identity)), &[])?;
            whose.which.show(&json!({ "released": identity }), || format!("{identity} is released\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_path(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Every page of a list.
fn all(whose: &Whose, path: &str, key: &str) -> anyhow::Result<Value> {
    whose.find()?.0.list(path, key).map(Into::into)
}

fn table(rows: &Value, none: &str, columns: &[&str]) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let line =
        |row: &Value| columns.iter().map(|name| row[*name].as_str().unwrap_or("-")).collect::<Vec<_>>().join("  ");
    rows.iter().map(|row| line(row) + "\n").collect()
}
