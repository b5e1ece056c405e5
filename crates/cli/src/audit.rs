//! `tertulia audit`: what happened to tokens, keys, accounts and roles of a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::facts;
use crate::running::{Whose, fields, text};
use crate::token::read_token;

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
    ///   tertulia audit explain --token-file token.txt
    ///   curl -s https://app.example/token | tertulia audit explain -
    #[command(verbatim_doc_comment)]
    Explain(Explain),
    /// Say what a token is worth now: whose it is, until when, and which connections it has opened.
    ///
    /// Example: tertulia audit introspect --token-file token.txt
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
    /// The SID of an entry token.refused (AU…); without it, or with -, a token from standard input.
    sid: Option<String>,
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Introspect {
    /// - for a token from standard input, which is also read without it.
    #[arg(value_name = "-")]
    dash: Option<String>,
    #[command(flatten)]
    token: TokenFile,
    #[command(flatten)]
    whose: Whose,
}

/// A token is a secret: no argument, which other programs of the machine can read.
#[derive(Args)]
struct TokenFile {
    /// The file with the token (- for standard input). [default: standard input]
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

impl TokenFile {
    fn read(&self) -> anyhow::Result<String> {
        read_token(self.token_file.as_deref())
    }
}

/// What stands in the place of a token is refused without repeating it, since it may be one: others would have seen it.
fn no_token(argument: Option<&str>, allowed: &str) -> anyhow::Result<()> {
    if argument.is_some_and(|argument| argument != "-") {
        bail!("{allowed}; a token comes from standard input (-) or from a file (--token-file)");
    }
    Ok(())
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
            no_token(introspect.dash.as_deref(), "introspect takes no argument but -")?;
            let form = [("Token", introspect.token.read()?)];
            let found = introspect.whose.find()?.0.call("POST", "/tertulia/v1/Tokens/Introspect", &form)?;
            introspect.whose.which.show(&found, || introspected(&found));
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
        let form = match self.sid.as_deref() {
            Some(sid) if sid.starts_with("AU") => ("Refusal", sid.to_owned()),
            sid => {
                no_token(sid, "explain takes the SID of an audit entry (AU…)")?;
                ("Token", self.token.read()?)
            }
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

/// The sentence first, then the rest.
fn introspected(found: &Value) -> String {
    let mut rest = found.clone();
    let summary = rest.as_object_mut().and_then(|rest| rest.remove("summary"));
    format!("{}\n{}", summary.as_ref().and_then(Value::as_str).unwrap_or_default(), fields(&rest))
}

/// Of a token there is a whole text; of a connection that was refused once, what was noted.
fn explained(why: &Value) -> String {
    if let Some(whole) = why["text"].as_str() {
        return format!("{}\n", whole.trim_end());
    }
    let mut lines = format!("{}\n", text(why, "reason"));
    if let Some(history) = why["history"].as_str() {
        lines.push_str(&format!("{history}\n"));
    }
    for change in why["changes"].as_array().into_iter().flatten() {
        lines.push_str(&format!("  - {}\n", change.as_str().unwrap_or_default()));
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
