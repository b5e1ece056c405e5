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
    /// Show or change settings that the Conversations API does not have.
    ///
    /// Example: tertulia service settings IS0123456789abcdef0123456789abcdef --open-conversations true
    Settings(Settings),
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

#[derive(Args)]
struct Settings {
    /// The chat service's SID.
    #[arg(value_parser = service_sid)]
    sid: String,
    /// Let users whose service role holds joinConversation look at conversations and join them without being added.
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    open_conversations: Option<bool>,
    #[command(flatten)]
    whose: Whose,
}

impl Settings {
    fn run(&self) -> anyhow::Result<()> {
        let (server, _) = self.whose.find()?;
        let path = format!("/tertulia/v1/Services/{}/Settings", self.sid);
        let settings = match self.open_conversations {
            None => server.call("GET", &path, &[])?,
            Some(open) => server.call("POST", &path, &[("OpenConversations", open.to_string())])?,
        };
        self.whose.which.show(&settings, || fields(&settings));
        Ok(())
    }
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
        Command::Settings(settings) => settings.run()?,
        Command::Delete(delete) => {
            delete.whose.find()?.0.call("DELETE", &format!("/v1/Services/{}", delete.sid), &[])?;
            delete.whose.which.show(&deleted(&delete.sid), || format!("{} is deleted\n", delete.sid));
        }
    }
    Ok(ExitCode::SUCCESS)
}
