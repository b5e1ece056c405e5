//! `tertulia key rotate`, `evidence` and `delete`: changing a key with evidence that the old one is done with.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::facts::{self, write_whole};
use crate::running::{Running, Which};

/// Change API keys of a running server, with evidence of their use.
#[derive(Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create another key, wait until the old one is done with, and delete it.
    ///
    /// Let your backend mint with the new key as soon as it is shown. The old one is deleted when no token of it
    /// is known to live and as much time has passed as the longest token of your backend may live.
    ///
    /// Example: tertulia key rotate SK… --credentials-file new-key.env
    Rotate(Rotate),
    /// Show when a key was last used, and when it is safe to delete.
    Evidence(Evidence),
    /// Delete a key, with every token and connection of it.
    Delete(Delete),
}

#[derive(Args)]
struct Rotate {
    /// The key that is to go.
    sid: String,
    /// Write the new key and its secret into this file, for its owner alone, instead of showing them.
    #[arg(long, value_name = "PATH")]
    credentials_file: Option<PathBuf>,
    /// Seconds that the longest token of your backend lives.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    longest: u64,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    every: u64,
    /// Create the new key only; `tertulia key delete` retires the old one later.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Evidence {
    /// The key.
    sid: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Delete {
    /// The key.
    sid: String,
    /// Even if tokens of it live.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(command: Key) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Rotate(rotate) => rotate.run()?,
        Command::Evidence(evidence) => {
            let found = look(&evidence.which.find()?, &evidence.sid)?;
            evidence.which.show(&found, || text(&found));
        }
        Command::Delete(delete) => {
            let server = delete.which.find()?;
            let found = look(&server, &delete.sid)?;
            if is_alive(&found) && !delete.force {
                bail!(
                    "tokens of {} live; it is safe to delete at {}. --force ends them, and their connections, now",
                    delete.sid,
                    found["safe_to_delete_at"].as_str().unwrap_or_default()
                );
            }
            retire(&server, &delete.sid)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn look(server: &Running, sid: &str) -> anyhow::Result<Value> {
    server.dev("GET", &format!("/Keys/{sid}/Evidence"), &[])
}

/// Whether a token of the key is known to live.
fn is_alive(evidence: &Value) -> bool {
    evidence["has_live_tokens"] == true || evidence["connections"].as_u64().is_some_and(|count| count > 0)
}

fn keys(server: &Running) -> anyhow::Result<String> {
    let configuration = server.any("GET", "/v1/Configuration", &[])?;
    Ok(format!("/2010-04-01/Accounts/{}/Keys", configuration["account_sid"].as_str().unwrap_or_default()))
}

fn retire(server: &Running, sid: &str) -> anyhow::Result<()> {
    server.any("DELETE", &format!("{}/{sid}.json", keys(server)?), &[])?;
    facts::print(&format!("{sid} is deleted\n"));
    Ok(())
}

fn text(evidence: &Value) -> String {
    let moment = |field: &str| evidence[field].as_str().unwrap_or("never").to_owned();
    format!(
        "last minted here     {}\nlast token came in   {}\nlast called REST     {}\nconnections          {}\nlatest expiry        {}\nsafe to delete at    {}\n",
        moment("last_minted"),
        moment("last_used"),
        moment("last_called"),
        evidence["connections"],
        moment("latest_expiry"),
        moment("safe_to_delete_at"),
    )
}

impl Rotate {
    fn run(&self) -> anyhow::Result<()> {
        let server = self.which.find()?;
        // Before anything is made: a key that is not there is not rotated.
        look(&server, &self.sid)?;
        let name = format!("after {}", self.sid);
        let made = server.any("POST", &format!("{}.json", keys(&server)?), &[("FriendlyName", name)])?;
        let field = |name: &str| made[name].as_str().unwrap_or_default();
        let lines = format!("TWILIO_API_KEY='{}'\nTWILIO_API_SECRET='{}'\n", field("sid"), field("secret"));
        match &self.credentials_file {
            Some(file) => write_whole(file, &lines)?,
            None => facts::print(&lines),
        }
        if self.no_wait {
            facts::print(&format!(
                "{} is there; retire the old one with `tertulia key delete {}`\n",
                field("sid"),
                self.sid
            ));
            return Ok(());
        }
        facts::print(&format!("{} is there; let your backend mint with it now\n", field("sid")));
        #[expect(
            clippy::disallowed_methods,
            reason = "the backend's tokens live in real time, however long this waits"
        )]
        let switched = Instant::now();
        let mut said = String::new();
        loop {
            let found = look(&server, &self.sid)?;
            if !is_alive(&found) && switched.elapsed() >= Duration::from_secs(self.longest) {
                return retire(&server, &self.sid);
            }
            let line = format!(
                "{} is still needed: {} connections, safe to delete at {}\n",
                self.sid,
                found["connections"],
                found["safe_to_delete_at"].as_str().unwrap_or_default()
            );
            if is_alive(&found) && line != said {
                facts::print(&line);
                said = line;
            }
            sleep(Duration::from_secs(self.every.max(1)));
        }
    }
}
