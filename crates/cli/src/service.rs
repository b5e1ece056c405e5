//! `tertulia service`: chat services of a running server.

use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::facts;
use crate::running::{Running, Which, account_sid, fields, service_sid, text};

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
    List(Whose),
    /// Show one chat service.
    Show(Show),
    /// Delete a chat service with everything in it. The account's default one stays.
    Delete(Show),
}

/// Which server, and which account there.
#[derive(Args)]
struct Whose {
    /// The account's SID, for whoever runs the server; not needed when there is only one.
    #[arg(long, value_name = "SID", value_parser = account_sid)]
    account: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl Whose {
    fn find(&self) -> anyhow::Result<Running> {
        let mut server = self.which.operator()?;
        server.choose_account(self.account.as_deref())?;
        Ok(server)
    }
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
            let made = create.whose.find()?.call("POST", "/v1/Services", &[("FriendlyName", create.name)])?;
            create.whose.which.show(&made, || fields(&made));
        }
        Command::List(whose) => {
            let services = whose.find()?.list("/v1/Services", "services")?;
            let line = |service: &Value| {
                let (sid, created) = (text(service, "sid"), text(service, "date_created"));
                format!("{sid}  {created}  {}\n", text(service, "friendly_name"))
            };
            whose.which.show(&json!({"services": services}), || services.iter().map(line).collect());
        }
        Command::Show(show) => {
            let service = show.whose.find()?.call("GET", &format!("/v1/Services/{}", show.sid), &[])?;
            show.whose.which.show(&service, || fields(&service));
        }
        Command::Delete(delete) => {
            delete.whose.find()?.call("DELETE", &format!("/v1/Services/{}", delete.sid), &[])?;
            facts::print(&format!("{} is deleted\n", delete.sid));
        }
    }
    Ok(ExitCode::SUCCESS)
}
