//! `tertulia key`: API keys of a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::running::{Running, Whose, fields, key_sid, text};

mod rotate;

/// Create, list, show, change, rotate and delete API keys.
#[derive(Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a key, and show its secret this once.
    ///
    /// Example: tertulia key create reader --kind restricted --allow /twilio/conversations/messages/list
    Create(Create),
    /// List keys, and which of them are suspended.
    List(List),
    /// Show one key.
    Show(Show),
    /// Rename a key, or give a Restricted one another policy.
    ///
    /// Example: tertulia key update SK… --allow /twilio/conversations/messages/list
    Update(Update),
    Rotate(rotate::Rotate),
    Evidence(rotate::Evidence),
    Delete(rotate::Delete),
}

#[derive(Args)]
struct Create {
    /// Its name.
    #[arg(default_value = "")]
    name: String,
    /// What it may do. Main keys are given by whoever runs the server.
    #[arg(long, value_enum, default_value = "standard")]
    kind: Kind,
    /// A permission of a Restricted key (docs/api.md has them); may be given many times.
    #[arg(long, value_name = "PERMISSION")]
    allow: Vec<String>,
    /// Write the key and its secret into this file, for its owner alone, instead of showing them.
    #[arg(long, value_name = "PATH")]
    credentials_file: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Everything.
    Main,
    /// Everything but accounts and keys.
    Standard,
    /// What --allow says; it signs no tokens.
    Restricted,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Show {
    /// The key's SID.
    #[arg(value_parser = key_sid)]
    sid: String,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Update {
    /// The key's SID.
    #[arg(value_parser = key_sid)]
    sid: String,
    /// Its new name.
    #[arg(long)]
    name: Option<String>,
    /// A permission of a Restricted key; together they take the place of the old ones.
    #[arg(long, value_name = "PERMISSION")]
    allow: Vec<String>,
    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(command: Key) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Create(create) => create.run()?,
        Command::List(list) => list.run()?,
        Command::Show(show) => {
            let (server, _) = show.whose.find()?;
            let mut key = server.call("GET", &format!("/v1/Keys/{}", show.sid), &[])?;
            say_suspended(&server, [&mut key])?;
            show.whose.which.show(&key, || fields(&key));
        }
        Command::Update(update) => update.run()?,
        Command::Rotate(rotate) => rotate::rotate(&rotate)?,
        Command::Evidence(evidence) => rotate::evidence(&evidence)?,
        Command::Delete(delete) => rotate::delete(&delete)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds to keys which revocation suspends them: what the original answers about keys has no place for it.
fn say_suspended<'k>(server: &Running, keys: impl IntoIterator<Item = &'k mut Value>) -> anyhow::Result<()> {
    let entries = server.list("/tertulia/v1/Revocations?Kind=key&PageSize=1000", "revocations")?;
    for key in keys {
        let entry = entries.iter().find(|entry| entry["value"] == key["sid"]);
        key["suspended_by"] = entry.map_or(Value::Null, |entry| entry["sid"].clone());
    }
    Ok(())
}

fn check(allow: &[String]) -> anyhow::Result<()> {
    match allow.iter().find(|permission| !permission.starts_with('/')) {
        Some(wrong) => bail!(
            "{wrong} is no permission: they look like /twilio/conversations/messages/list, and docs/api.md has them all"
        ),
        None => Ok(()),
    }
}

fn policy(allow: &[String]) -> (&'static str, String) {
    ("Policy", json!({"allow": allow}).to_string())
}

impl Create {
    fn run(self) -> anyhow::Result<()> {
        if (self.kind == Kind::Restricted) == self.allow.is_empty() {
            bail!(
                "--kind restricted and --allow belong together, such as \
                 --kind restricted --allow /twilio/conversations/messages/list"
            );
        }
        check(&self.allow)?;
        let (server, account) = self.whose.find()?;
        let mut form = vec![("AccountSid", account.clone()), ("FriendlyName", self.name)];
        match self.kind {
            Kind::Main => form.push(("KeyType", "main".to_owned())),
            Kind::Standard => {}
            Kind::Restricted => form.extend([("KeyType", "restricted".to_owned()), policy(&self.allow)]),
        }
        let made = server.call("POST", "/v1/Keys", &form)?;
        let pairs = [
            ("TWILIO_ACCOUNT_SID", account.as_str()),
            ("TWILIO_API_KEY", text(&made, "sid")),
            ("TWILIO_API_SECRET", text(&made, "secret")),
        ];
        self.whose.which.hand_over(&made, &pairs, self.credentials_file.as_deref())
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let (server, account) = self.whose.find()?;
        let mut keys = server.list(&format!("/v1/Keys?AccountSid={account}"), "keys")?;
        say_suspended(&server, &mut keys)?;
        let line = |key: &Value| {
            let signs = key["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "signing"));
            let kind = if signs { "" } else { "  (Restricted)" };
            let suspended = if key["suspended_by"].is_null() { "" } else { "  (suspended)" };
            let (sid, created, name) = (text(key, "sid"), text(key, "date_created"), text(key, "friendly_name"));
            format!("{sid}  {created}  {name}{kind}{suspended}\n")
        };
        self.whose.which.show(&json!({"keys": keys}), || keys.iter().map(line).collect());
        Ok(())
    }
}

impl Update {
    fn run(self) -> anyhow::Result<()> {
        let mut form: Vec<_> = self.name.map(|name| ("FriendlyName", name)).into_iter().collect();
        if !self.allow.is_empty() {
            form.push(policy(&self.allow));
        }
        if form.is_empty() {
            bail!("give --name, --allow or both");
        }
        check(&self.allow)?;
        let (server, _) = self.whose.find()?;
        let key = server.call("POST", &format!("/v1/Keys/{}", self.sid), &form)?;
        self.whose.which.show(&key, || fields(&key));
        Ok(())
    }
}
