//! `tertulia api-token` and `tertulia owner`: what an operator does about logins on a running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::running::Which;

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
        which: Which,
    },
    /// List the tokens, without themselves.
    List {
        #[command(flatten)]
        which: Which,
    },
    /// Delete a token: nobody logs in with it any more.
    Delete {
        /// Its id, as the list shows it.
        id: String,
        #[command(flatten)]
        which: Which,
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
        which: Which,
    },
    /// Release an identity: the next login that comes to it owns it.
    Release {
        /// The identity.
        identity: String,
        /// The chat service. [default: the account's]
        #[arg(long, value_name = "SID")]
        service: Option<String>,
        #[command(flatten)]
        which: Which,
    },
}

pub(crate) fn run(command: ApiToken) -> anyhow::Result<ExitCode> {
    match command.command {
        TokenCommand::Create { subject, facts, name, expires, which } => {
            let mut form = vec![("Subject", subject), ("Facts", facts), ("FriendlyName", name)];
            form.extend(expires.map(|expires| ("DateExpires", expires)));
            let made = which.find()?.own("POST", "/ApiTokens", &form)?;
            // The bare token on stdout, so that it can be piped to where it belongs.
            which.show(&made, || format!("{}\n", made["token"].as_str().unwrap_or_default()));
        }
        TokenCommand::List { which } => {
            let rows = all(&which, "/ApiTokens?PageSize=1000", "api_tokens")?;
            which.show(&rows, || {
                table(&rows, "no API tokens", &["id", "subject", "friendly_name", "date_created", "date_expires"])
            });
        }
        TokenCommand::Delete { id, which } => {
            which.find()?.own("DELETE", &format!("/ApiTokens/{}", in_path(&id)), &[])?;
            which.show(&Value::Null, || format!("{id} is deleted\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_owner(command: Owner) -> anyhow::Result<ExitCode> {
    match command.command {
        OwnerCommand::List { service, which } => {
            let service = service.map(|sid| format!("&ServiceSid={}", in_path(&sid))).unwrap_or_default();
            let rows = all(&which, &format!("/Owners?PageSize=1000{service}"), "owners")?;
            which.show(&rows, || table(&rows, "no owners", &["identity", "source", "subject", "date_created"]));
        }
        OwnerCommand::Release { identity, service, which } => {
            let service = service.map(|sid| format!("?ServiceSid={}", in_path(&sid))).unwrap_or_default();
            which.find()?.own("DELETE", &format!("/Owners/{}{service}", in_path(&identity)), &[])?;
            which.show(&Value::Null, || format!("{identity} is released\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_path(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Every page of a list.
fn all(which: &Which, path: &str, key: &str) -> anyhow::Result<Value> {
    let running = which.find()?;
    let mut rows = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = running.own("GET", &path, &[])?;
        rows.extend(page[key].as_array().cloned().unwrap_or_default());
        let url = page["meta"]["next_page_url"].as_str();
        next = url.and_then(|url| url.split_once("/tertulia/v1")).map(|(_, path)| path.to_owned());
    }
    Ok(rows.into())
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
