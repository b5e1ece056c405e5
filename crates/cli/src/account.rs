//! `tertulia account`: the accounts of a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::running::{Running, Which, account_sid, deleted, fields, text};

/// Create, list, show, change and close accounts.
///
/// By the data folder this is whoever runs the server, who has all accounts; by TERTULIA_URL and an account's
/// credentials, the account with its subaccounts.
#[derive(Args)]
pub(crate) struct Account {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create an account, and show its auth token this once.
    ///
    /// Whoever runs the server creates accounts of their own, an account's credentials create subaccounts.
    ///
    /// Example: tertulia account create shop --credentials-file shop.env
    Create(Create),
    /// List accounts.
    List(List),
    /// Show one account.
    Show(Show),
    /// Rename, suspend or reopen an account. For good, it is closed by `tertulia account delete`.
    ///
    /// Example: tertulia account update AC… --status suspended
    Update(Update),
    /// Close an account for good: its credentials and tokens are worth nothing from now on. Its data stay, its
    /// API tokens go.
    Delete(Delete),
    /// Change the auth token without a gap: make a secondary one, use it everywhere, promote it.
    ///
    /// Example: tertulia account auth-token secondary && tertulia account auth-token promote
    AuthToken(AuthToken),
}

#[derive(Args)]
struct Create {
    /// Its name.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Write the credentials into this file, for its owner alone, instead of showing them.
    #[arg(long, value_name = "PATH")]
    credentials_file: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Show {
    /// The account's SID.
    #[arg(value_parser = account_sid)]
    sid: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Update {
    /// The account's SID.
    #[arg(value_parser = account_sid)]
    sid: String,
    /// Its new name.
    #[arg(long)]
    name: Option<String>,
    /// Whether it may be used; subaccounts follow.
    #[arg(long)]
    status: Option<Status>,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Status {
    Active,
    Suspended,
}

#[derive(Args)]
struct Delete {
    /// The account's SID.
    #[arg(value_parser = account_sid)]
    sid: String,
    /// Yes: closed is final.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct AuthToken {
    /// What to do.
    action: Action,
    /// The account's SID; not needed when there is only one.
    #[arg(long, value_name = "SID", value_parser = account_sid)]
    account: Option<String>,
    /// Write the token into this file, for its owner alone, instead of showing it.
    #[arg(long, value_name = "PATH")]
    credentials_file: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    /// Make a secondary auth token, which works beside the primary one.
    Secondary,
    /// Make the secondary one the only one.
    Promote,
    /// Take the secondary one away.
    Remove,
}

pub(crate) fn run(command: Account) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Create(create) => create.run()?,
        Command::List(list) => list.run()?,
        Command::Show(show) => {
            let server = show.which.operator()?;
            let mut account = server.call("GET", &path(&server, &show.sid), &[])?;
            // An account sees its own token; a screen need not.
            account.as_object_mut().and_then(|account| account.remove("auth_token"));
            show.which.show(&account, || fields(&account));
        }
        Command::Update(update) => update.run()?,
        Command::Delete(delete) => delete.run()?,
        Command::AuthToken(token) => token.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn path(server: &Running, sid: &str) -> String {
    if server.is_operator() {
        format!("/tertulia/v1/Accounts/{sid}")
    } else {
        format!("/2010-04-01/Accounts/{sid}.json")
    }
}

fn collection(server: &Running) -> &'static str {
    if server.is_operator() { "/tertulia/v1/Accounts" } else { "/2010-04-01/Accounts.json" }
}

impl Create {
    fn run(self) -> anyhow::Result<()> {
        let server = self.which.operator()?;
        let made = server.call("POST", collection(&server), &[("FriendlyName", self.name)])?;
        let pairs = [("TWILIO_ACCOUNT_SID", text(&made, "sid")), ("TWILIO_AUTH_TOKEN", text(&made, "auth_token"))];
        let service = text(&made, "default_chat_service_sid");
        let service = Some(("TWILIO_CHAT_SERVICE_SID", service)).filter(|(_, sid)| !sid.is_empty());
        let pairs: Vec<_> = pairs.into_iter().chain(service).collect();
        self.which.hand_over(&made, &pairs, self.credentials_file.as_deref())
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let server = self.which.operator()?;
        let mut accounts = server.list(collection(&server), "accounts")?;
        for account in accounts.iter_mut().filter_map(Value::as_object_mut) {
            account.remove("auth_token");
        }
        let line = |account: &Value| {
            let (sid, status, name) = (text(account, "sid"), text(account, "status"), text(account, "friendly_name"));
            let under = text(account, "owner_account_sid");
            let under = if under == sid { String::new() } else { format!("  (of {under})") };
            format!("{sid}  {status:<9}  {name}{under}\n")
        };
        self.which.show(&json!({"accounts": accounts}), || accounts.iter().map(line).collect());
        Ok(())
    }
}

impl Update {
    fn run(self) -> anyhow::Result<()> {
        let status = self.status.map(|status| match status {
            Status::Active => "active".to_owned(),
            Status::Suspended => "suspended".to_owned(),
        });
        let name = self.name.map(|name| ("FriendlyName", name));
        let form: Vec<_> = name.into_iter().chain(status.map(|status| ("Status", status))).collect();
        if form.is_empty() {
            bail!("give --name, --status or both");
        }
        let server = self.which.operator()?;
        let mut account = server.call("POST", &path(&server, &self.sid), &form)?;
        account.as_object_mut().and_then(|account| account.remove("auth_token"));
        self.which.show(&account, || fields(&account));
        Ok(())
    }
}

impl Delete {
    fn run(self) -> anyhow::Result<()> {
        if !self.yes {
            bail!(
                "closing an account is final; say --yes, or suspend it (`tertulia account update --status suspended`)"
            );
        }
        let server = self.which.operator()?;
        let mut account = server.call("POST", &path(&server, &self.sid), &[("Status", "closed".to_owned())])?;
        account.as_object_mut().and_then(|account| account.remove("auth_token"));
        self.which.show(&account, || format!("{} is closed\n", self.sid));
        Ok(())
    }
}

impl AuthToken {
    fn run(self) -> anyhow::Result<()> {
        let mut server = self.which.operator()?;
        let account = server.choose_account(self.account.as_deref())?;
        let (method, path, field) = match self.action {
            Action::Secondary => ("POST", "Secondary", "secondary_auth_token"),
            Action::Promote => ("POST", "Promote", "auth_token"),
            Action::Remove => ("DELETE", "Secondary", ""),
        };
        let answer = server.call(method, &format!("/v1/AuthTokens/{path}"), &[])?;
        if answer.is_null() {
            self.which.show(&deleted("secondary_auth_token"), || "the secondary auth token is gone\n".to_owned());
            return Ok(());
        }
        let pairs = [("TWILIO_ACCOUNT_SID", account.as_str()), ("TWILIO_AUTH_TOKEN", text(&answer, field))];
        self.which.hand_over(&answer, &pairs, self.credentials_file.as_deref())
    }
}
