//! `tertulia fault`: what a dev server is to do wrong.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::running::{Which, deleted};

/// Ask a dev server to do something wrong, and see what your app makes of it.
///
/// Nothing that is committed is ever lost by a fault: a network, a bus or a dying process can do the same.
#[derive(Args)]
pub(crate) struct Fault {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask for a fault.
    ///
    /// Kinds:
    ///   refuse-upgrade   new connections are answered with --status (503)
    ///   cut              connections are dropped without a word: at once, or after --after-packets
    ///   delay-event      an event comes after --milliseconds (1000)
    ///   drop-event       an event is lost on its way; the next one uncovers it
    ///   duplicate-event  an event comes twice
    ///   reorder-event    an event comes behind the next one
    ///   hole             a conversation skips --positions; happens at once, with --conversation
    ///   answer           a request is answered with --status (503) and --code instead
    ///   hold             replies wait for --milliseconds, or until the fault is deleted
    ///   stop             the process ends between a commit and its publication
    ///
    /// Examples:
    ///   tertulia fault add cut --identity alice
    ///   tertulia fault add answer --method POST --path '*/Messages' --status 429 --code 20429 --times 3
    #[command(verbatim_doc_comment)]
    Add(Box<Add>),
    /// Show the faults and how often each has struck.
    List(List),
    /// Delete one fault, or all.
    Delete(Delete),
}

#[derive(Args)]
struct Add {
    /// What goes wrong; see above.
    kind: String,
    /// Whose connection or request (cut, answer, hold); anybody's without it.
    #[arg(long)]
    identity: Option<String>,
    /// How often; 0: until it is deleted. [default: 1]
    #[arg(long)]
    times: Option<u32>,
    /// So many occasions pass first.
    #[arg(long)]
    skip: Option<u32>,
    /// The stream of an event: talk (messages and facts of a conversation), roster, mine, info.
    #[arg(long)]
    stream: Option<String>,
    /// How long.
    #[arg(long, value_name = "MS")]
    milliseconds: Option<u32>,
    /// The HTTP status.
    #[arg(long)]
    status: Option<u16>,
    /// The code in the body.
    #[arg(long)]
    code: Option<u32>,
    /// The method of requests.
    #[arg(long)]
    method: Option<String>,
    /// The path of requests, of SDKs and of REST; * stands for any text.
    #[arg(long)]
    path: Option<String>,
    /// before: the request is not performed; after: it is, and its answer is lost. [default: before]
    #[arg(long)]
    when: Option<String>,
    /// Packets to the client before a cut.
    #[arg(long, value_name = "N")]
    after_packets: Option<u32>,
    /// The conversation of a hole.
    #[arg(long, value_name = "SID")]
    conversation: Option<String>,
    /// The size of a hole. [default: 1]
    #[arg(long, value_name = "N")]
    positions: Option<u32>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Delete {
    /// Its number.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<u64>,
    /// All of them.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(command: Fault) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Add(add) => {
            let answer = add.which.find()?.dev("POST", "/Faults", &add.form())?;
            // A hole is there at once, and nothing is left to be listed.
            match answer.is_null() {
                true => add.which.show(&json!({ "done": add.kind }), || "done\n".to_owned()),
                false => add.which.show(&answer, || line(&answer)),
            }
        }
        Command::List(list) => {
            let answer = list.which.find()?.dev("GET", "/Faults", &[])?;
            list.which.show(&answer, || {
                let faults: String = answer["faults"].as_array().into_iter().flatten().map(line).collect();
                if faults.is_empty() { "there are no faults\n".to_owned() } else { faults }
            });
        }
        Command::Delete(delete) => {
            let path = delete.id.map_or("/Faults".to_owned(), |id| format!("/Faults/{id}"));
            delete.which.find()?.dev("DELETE", &path, &[])?;
            let what = delete.id.map_or("all".to_owned(), |id| id.to_string());
            // Scripts for people have never heard anything here.
            delete.which.show(&deleted(&what), String::new);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Add {
    fn form(&self) -> Vec<(&'static str, String)> {
        fn given<T: ToString>(name: &'static str, value: &Option<T>) -> Option<(&'static str, String)> {
            value.as_ref().map(|value| (name, value.to_string()))
        }
        let rest = [
            given("Identity", &self.identity),
            given("Times", &self.times),
            given("Skip", &self.skip),
            given("Stream", &self.stream),
            given("Milliseconds", &self.milliseconds),
            given("Status", &self.status),
            given("Code", &self.code),
            given("Method", &self.method),
            given("Path", &self.path),
            given("When", &self.when),
            given("AfterPackets", &self.after_packets),
            given("ConversationSid", &self.conversation),
            given("Positions", &self.positions),
        ];
        std::iter::once(("Kind", self.kind.clone())).chain(rest.into_iter().flatten()).collect()
    }
}

fn line(fault: &Value) -> String {
    let left = match fault["times_left"].as_u64() {
        Some(0) => "over".to_owned(),
        Some(times) => format!("{times} more"),
        None => "until it is deleted".to_owned(),
    };
    let (id, kind) = (fault["id"].as_u64().unwrap_or_default(), fault["kind"].as_str().unwrap_or_default());
    let whose = fault["identity"].as_str().map(|identity| format!(", {identity}'s")).unwrap_or_default();
    format!("{id:>3}  {kind:<15}  struck {}, {left}{whose}\n", fault["hits"])
}
