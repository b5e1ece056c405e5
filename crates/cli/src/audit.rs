//! `tertulia audit`: what happened to tokens, keys, accounts and roles of a running server.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::facts;
use crate::revocation::pages;
use crate::running::Which;

/// Look at what happened to tokens, keys, accounts and roles.
#[derive(Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List entries, the newest first.
    ///
    /// Example: tertulia audit list --event token.refused --identity alice
    List(List),
    /// Print every entry as a line of JSON, the newest first.
    Export(List),
    /// Say why a token was refused, and what to change, by the SID of its entry.
    Explain(Explain),
}

#[derive(Args)]
struct List {
    /// Only this event, such as token.minted, token.refused, revocation.created, key.deleted.
    #[arg(long)]
    event: Option<String>,
    /// Only this identity.
    #[arg(long)]
    identity: Option<String>,
    /// Only this key.
    #[arg(long, value_name = "SID")]
    key: Option<String>,
    /// Only from this moment on.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this moment.
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Explain {
    /// The SID of an entry token.refused (AU…).
    sid: String,
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(command: Audit) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::List(list) => {
            let entries = list.entries()?;
            list.which.show(&entries.clone().into(), || entries.iter().map(line).collect());
        }
        Command::Export(list) => {
            facts::print(&list.entries()?.iter().map(|entry| format!("{entry}\n")).collect::<String>());
        }
        Command::Explain(explain) => {
            let form = [("Refusal", explain.sid.clone())];
            let why = explain.which.find()?.dev("POST", "/Tokens/Explain", &form)?;
            explain.which.show(&why, || explained(&why));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl List {
    fn entries(&self) -> anyhow::Result<Vec<Value>> {
        let filters = [
            ("Event", &self.event),
            ("Identity", &self.identity),
            ("KeySid", &self.key),
            ("StartDate", &self.since),
            ("EndDate", &self.before),
        ];
        let mut path = "/Audit?PageSize=1000".to_owned();
        for (name, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        let server = self.which.find()?;
        if self.event.as_deref() == Some("") {
            bail!("--event needs a word, such as token.refused");
        }
        pages(&server, &path, "audit")
    }
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn line(entry: &Value) -> String {
    let mut line = String::new();
    for field in ["date_created", "sid", "event", "actor", "address", "identity", "key_sid", "jti", "target", "code"] {
        match &entry[field] {
            Value::Null => {}
            Value::String(text) => line.push_str(&format!("{text}  ")),
            other => line.push_str(&format!("{other}  ")),
        }
    }
    format!("{}\n", line.trim_end())
}

fn explained(why: &Value) -> String {
    let mut text = format!("{}\n", why["reason"].as_str().unwrap_or_default());
    for change in why["changes"].as_array().into_iter().flatten() {
        text.push_str(&format!("  - {}\n", change.as_str().unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_encoded_for_a_query() {
        assert_eq!(encoded("ana+1@x é"), "ana%2B1%40x%20%C3%A9");
    }

    #[test]
    fn an_entry_is_one_line_of_what_it_has() {
        let entry = serde_json::json!({"date_created": "d", "sid": "AU1", "event": "token.refused", "code": 20104});
        assert_eq!(line(&entry), "d  AU1  token.refused  20104\n");
    }
}
