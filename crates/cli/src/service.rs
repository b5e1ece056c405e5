//! `tertulia service`: chat services of a running server.

use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::running::{Whose, deleted, fields, service_sid, text};

/// Create, list, show and delete chat services.
#[derive(Args)]
pub(crate) struct Service {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a chat service with its four roles.
    ///
    /// Example: tertulia service create support
    Create(Create),
    /// List chat services.
    List(List),
    /// Show one chat service.
    Show(Show),
    /// Delete a chat service with everything in it. The account's default one stays.
    Delete(Show),
}

#[derive(Args)]
struct Create {
    /// Its name.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Show {
    /// The chat service's SID.
    #[arg(value_parser = service_sid)]
    sid: String,
    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(command: Service) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Create(create) => {
            let made = create.whose.find()?.0.call("POST", "/v1/Services", &[("FriendlyName", create.name)])?;
            create.whose.which.show(&made, || fields(&made));
        }
        Command::List(List { whose }) => {
            let (server, _) = whose.find()?;
            let services = server.list("/v1/Services", "services")?;
            let line = |service: &Value| {
                let (sid, created) = (text(service, "sid"), text(service, "date_created"));
                format!("{sid}  {created}  {}\n", text(service, "friendly_name"))
            };
            whose.which.show(&json!({"services": services}), || services.iter().map(line).collect());
        }
        Command::Show(show) => {
            let service = show.whose.find()?.0.call("GET", &format!("/v1/Services/{}", show.sid), &[])?;
            show.whose.which.show(&service, || fields(&service));
        }
        Command::Delete(delete) => {
            delete.whose.find()?.0.call("DELETE", &format!("/v1/Services/{}", delete.sid), &[])?;
            delete.whose.which.show(&deleted(&delete.sid), || format!("{} is deleted\n", delete.sid));
        }
    }
    Ok(ExitCode::SUCCESS)
}
