//! `tertulia revocation`: what ends tokens before their time.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::facts::remark;
use crate::running::{Running, Whose, deleted, text};
use crate::token::read_token;

const PATH: &str = "/tertulia/v1/Revocations";
/// What a script hears of a revocation that is stored and ended nothing that is known.
const ENDED_NOTHING: u8 = 3;

/// Revoke tokens of a running server, and end the connections that they opened.
#[derive(Args)]
pub(crate) struct Revocation {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Revoke one token, a login session, an identity, a chat service until a moment, or suspend a key.
    ///
    /// It says how many connections and known tokens it ended: connections of the server that answers, and tokens that
    /// the token endpoint minted. If there were none it ends with 3, for a misspelt name ends nobody; the revocation is
    /// stored all the same, and counts for tokens that your backend minted. With --key it ends with 0: the key is suspended.
    ///
    /// Examples:
    ///   tertulia revocation create --identity alice
    ///   tertulia revocation create --token-file stolen.token
    ///   tertulia revocation create --jti SK…-1700000000-0123456789abcdef
    ///   tertulia revocation create --service IS… --issued-before 2030-01-01T00:00:00Z
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// List revocations that are in force.
    List(List),
    /// Take a revocation back.
    Delete(Delete),
}

#[derive(Args)]
struct Create {
    /// One token, which this file has ("-": standard input). It ends that token and no other, whatever its jti is.
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// The tokens with this jti. If several people may have one, it asks first.
    #[arg(long)]
    jti: Option<String>,
    /// Do not ask whether a jti of several people is meant.
    #[arg(long, short = 'y')]
    yes: bool,
    /// All tokens of a login session.
    #[arg(long)]
    session: Option<String>,
    /// All tokens of an identity that were issued until now.
    #[arg(long)]
    identity: Option<String>,
    /// The chat service of the identity; or, with --issued-before, all tokens of it.
    #[arg(long, value_name = "SID")]
    service: Option<String>,
    /// Tokens that were issued until then instead of until now.
    #[arg(long, value_name = "TIME")]
    issued_before: Option<String>,
    /// Suspend this key: for tokens and for REST, until the revocation is deleted.
    #[arg(long, value_name = "SID")]
    key: Option<String>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
}

#[derive(Args)]
struct Delete {
    /// Its SID.
    sid: String,
    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(command: Revocation) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Create(create) => {
            let made = create.make(&create.whose.find()?.0)?;
            create.whose.which.show(&made, || line(&made) + &ended(&made));
            return Ok(create.outcome(&made));
        }
        Command::List(list) => {
            let entries = list.whose.find()?.0.list(&format!("{PATH}?PageSize=1000"), "revocations")?;
            list.whose.which.show(&json!({"revocations": entries}), || {
                let lines: String = entries.iter().map(line).collect();
                if lines.is_empty() { "nothing is revoked\n".to_owned() } else { lines }
            });
        }
        Command::Delete(delete) => {
            delete.whose.find()?.0.call("DELETE", &format!("{PATH}/{}", delete.sid), &[])?;
            delete.whose.which.show(&deleted(&delete.sid), || format!("{} is taken back\n", delete.sid));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Create {
    fn make(&self, server: &Running) -> anyhow::Result<Value> {
        let mut form = self.form()?;
        match server.call_or_ask(PATH, &form)? {
            Ok(made) => Ok(made),
            Err(question) if confirmed(&question)? => {
                form.push(("Shared", "true".to_owned()));
                server.call("POST", PATH, &form)
            }
            Err(_) => {
                bail!(
                    "nothing was revoked: --yes ends all of them, and --token-file PATH the token that is in the file"
                )
            }
        }
    }

    /// A key is there, or it could not be suspended; any other name may be misspelt.
    fn outcome(&self, made: &Value) -> ExitCode {
        if self.key.is_some() || count(made, "connections_ended") + count(made, "tokens_ended") > 0 {
            return ExitCode::SUCCESS;
        }
        remark(&format!(
            "nothing that is known has ended: no connection of this server, and no token that its token endpoint minted. If \
             the name is misspelt, `tertulia revocation delete {}` takes it back\n",
            text(made, "sid")
        ));
        ExitCode::from(ENDED_NOTHING)
    }

    fn form(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let token = self.token_file.as_deref().map(|file| read_token(Some(file))).transpose()?;
        let shared = self.yes.then(|| "true".to_owned());
        let given = [
            ("Token", &token),
            ("Shared", &shared),
            ("Jti", &self.jti),
            ("Session", &self.session),
            ("Identity", &self.identity),
            ("ServiceSid", &self.service),
            ("IssuedBefore", &self.issued_before),
            ("KeySid", &self.key),
        ];
        Ok(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect())
    }
}

/// Asks on the terminal, or whoever writes to standard input; silence is no.
fn confirmed(question: &str) -> anyhow::Result<bool> {
    remark(&format!("{question}.\nEnd all of them? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    remark(if answer.ends_with('\n') { "" } else { "\n" });
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn count(made: &Value, field: &str) -> u64 {
    made[field].as_u64().unwrap_or_default()
}

fn ended(made: &Value) -> String {
    let some = |field: &str, what: &str| match count(made, field) {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!(
        "ended {} of this server and {}\n",
        some("connections_ended", "connection"),
        some("tokens_ended", "known token")
    )
}

fn line(entry: &Value) -> String {
    let until = entry["date_expires"].as_str().map_or("until it is deleted".to_owned(), |at| format!("until {at}"));
    format!("{}  {:<9}{}  {until}\n", text(entry, "sid"), text(entry, "kind"), text(entry, "value"))
}
