//! `tertulia audit`: what happened to tokens, keys, accounts and roles of a running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::facts;
use crate::running::{Whose, fields, text};

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
    /// Say why a connection was refused, by the SID of its entry token.refused; or what a token is worth now, check
    /// by check, with all that the account has.
    ///
    /// Examples:
    ///   tertulia audit explain AU…
    ///   echo "$TOKEN" | tertulia audit explain
    #[command(verbatim_doc_comment)]
    Explain(Explain),
    /// Say what a token is worth now: whose it is, until when, and which connections it has opened.
    Introspect(Introspect),
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
    whose: Whose,
}

#[derive(Args)]
struct Explain {
    /// The SID of an entry token.refused (AU…); without it, the token.
    sid: Option<String>,
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Introspect {
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    whose: Whose,
}

/// A token is a secret: no argument, which other programs of the machine can read.
#[derive(Args)]
struct TokenFile {
    /// The file with the token. [default: standard input]
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

impl TokenFile {
    fn read(&self) -> anyhow::Result<String> {
        read_token(self.token_file.as_deref())
    }
}

/// Reads a token from a file, or from standard input where there is none, or where it is `-`.
pub(crate) fn read_token(file: Option<&Path>) -> anyhow::Result<String> {
    let text = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
        None => std::io::read_to_string(std::io::stdin()).context("standard input cannot be read")?,
    };
    Ok(text.trim().to_owned())
}

pub(crate) fn run(command: Audit) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::List(list) => {
            let entries = list.entries()?;
            list.whose.which.show(&json!({"audit": entries}), || entries.iter().map(line).collect());
        }
        Command::Export(list) => {
            facts::print(&list.entries()?.iter().map(|entry| format!("{entry}\n")).collect::<String>());
        }
        Command::Explain(explain) => explain.run()?,
        Command::Introspect(introspect) => {
            let form = [("Token", introspect.token.read()?)];
            let found = introspect.whose.find()?.0.call("POST", "/tertulia/v1/Tokens/Introspect", &form)?;
            introspect.whose.which.show(&found, || fields(&found));
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
        let mut path = "/tertulia/v1/Audit?PageSize=1000".to_owned();
        for (name, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        if self.event.as_deref() == Some("") {
            bail!("--event needs a word, such as token.refused");
        }
        self.whose.find()?.0.list(&path, "audit")
    }
}

impl Explain {
    fn run(&self) -> anyhow::Result<()> {
        let form = match &self.sid {
            Some(sid) => ("Refusal", sid.clone()),
            None => ("Token", self.token.read()?),
        };
        let why = self.whose.find()?.0.call("POST", "/tertulia/v1/Tokens/Explain", &[form])?;
        self.whose.which.show(&why, || explained(&why));
        Ok(())
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
    // Of a token there is a whole text; of a connection that was refused once, what was noted.
    let mut lines = match why["text"].as_str() {
        Some(whole) => format!("{}\n", whole.trim_end()),
        None => format!("{}\n", text(why, "reason")),
    };
    for change in why["changes"].as_array().into_iter().flatten().filter(|_| why["text"].is_null()) {
        lines.push_str(&format!("  - {}\n", change.as_str().unwrap_or_default()));
    }
    if let Some(reason) = why["revoked"]["reason"].as_str() {
        lines.push_str(&format!("{reason}\n"));
    }
    lines
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
