//! `tertulia chat`: a conversation in a terminal, for people and for scripts.
//!
//! It is a client like any other: it may do what its user may. Lines are sent one after the other, so that
//! they stand in the conversation in their order; what was cut off on its way is not sent again, because it
//! may be there.

use std::io::{BufRead, stdin};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tertulia_client::{
    Backoff, Client, Conversation, Error, Event, MyEvent, NewConversation, Options, Order, Sid,
    sid::Conversation as Kind,
};
use tokio::sync::mpsc;

mod place;
mod show;

use place::Place;
use show::{Sent, Show};

/// Talk in a conversation from the terminal
///
/// Creates the conversation if it does not exist, shows what was said and what comes, and sends each line of
/// standard input as a message; the end of the input ends it. When the connection is lost it comes back by
/// itself, and what was missed is shown.
///
/// Conversations are private. If this user is not a participant yet, it waits until one adds it, with
/// `/add NAME` or with `--invite NAME`.
///
/// Without more, it talks to the dev server that runs on ./tertulia-data, with a token that it mints as
/// `tertulia token mint` does. With `--token-file` it needs the address only.
#[derive(Args)]
#[command(after_help = "Examples:
  tertulia chat --invite bob                as alice, in a conversation named `lobby`, with bob
  tertulia chat --as bob lobby              in another terminal
  tertulia chat --as bob lobby --send 'Hi'  send one message and leave
  tertulia chat lobby --listen -o json      one JSON object a line, until it is interrupted

Commands: /add NAME adds somebody, /who says who is here, /quit leaves; //text sends /text")]
pub(crate) struct Chat {
    /// The conversation: its SID (CH…) or its unique name
    #[arg(default_value = "lobby", value_name = "CONVERSATION")]
    conversation: String,
    /// Who to be
    #[arg(long = "as", value_name = "NAME", default_value = "alice", conflicts_with_all = ["token", "token_file"])]
    identity: String,
    /// Add this user to the conversation; may be repeated
    #[arg(long, value_name = "NAME")]
    invite: Vec<String>,
    /// Send this message and leave
    #[arg(long, value_name = "TEXT", conflicts_with = "listen")]
    send: Option<String>,
    /// Only show what comes: standard input is left alone
    #[arg(long)]
    listen: bool,
    /// How many of the messages before are shown, 50 at most
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=50))]
    history: u8,
    /// How to print what happens
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Json,
}

/// A person waits less patiently than a server farm is spared.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(500), max: Duration::from_secs(10), jitter_percent: 20 };
/// Lines that may wait to be sent.
const LINES_MAX: usize = 16;
/// The documented code for a unique name that another conversation has.
const NAME_TAKEN: u32 = 50353;
/// The documented code for somebody who is not a participant.
const NOT_A_PARTICIPANT: u32 = 50430;
/// The documented code for somebody who is a participant already.
const ALREADY_IN: u32 = 50433;

pub(crate) fn run(command: Chat) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command.talk())?;
    Ok(ExitCode::SUCCESS)
}

impl Chat {
    async fn talk(self) -> Result<()> {
        let show = Show::new(self.output == Output::Json);
        let server = self.place.find(&self.identity)?;
        let tls = server.trust.as_ref().map(|trust| Ok::<_, anyhow::Error>(Arc::new(trust.config()?))).transpose()?;
        let options = Options { reconnect: Some(BACKOFF), tls, ..Options::default() };
        let connected = Client::connect_with(&server.uri, server.tokens, options).await;
        let client = connected.map_err(|cause| place::explain(cause, server.trust.as_ref()))?;
        let sid = match enter(&client, &self.conversation).await? {
            Some(sid) => sid,
            None if self.send.is_some() => bail!("{}", self.not_in(&client)),
            None => self.wait_to_be_added(&client, &show).await?,
        };
        self.add_invited(&client, sid).await?;
        let outcome = match &self.send {
            Some(text) => match client.send(sid, text).await {
                Ok(index) => {
                    show.sent(&Sent::Kept { index });
                    Ok(())
                }
                Err(error) => Err(unsent(&error)),
            },
            None => self.stay(&client, sid, &show).await,
        };
        client.close().await;
        outcome
    }

    fn not_in(&self, client: &Client) -> String {
        let (name, key) = (client.identity(), &self.conversation);
        format!("{name} is not in the conversation {key}; a participant can add {name} with /add {name}")
    }

    /// Waits until a participant adds this user to the conversation.
    async fn wait_to_be_added(&self, client: &Client, show: &Show) -> Result<Sid<Kind>> {
        let mut own = client.events().await?;
        show.waiting(&format!("{}; waiting (Ctrl-C ends it)", self.not_in(client)));
        loop {
            // Asked after the subscription stands, so that nothing is missed in between.
            if let Some(sid) = enter(client, &self.conversation).await? {
                return Ok(sid);
            }
            tokio::select! {
                event = own.next() => { event?; }
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.context("signals cannot be heard")?;
                    bail!("nobody has added {} yet", client.identity());
                }
            }
        }
    }

    async fn add_invited(&self, client: &Client, sid: Sid<Kind>) -> Result<()> {
        for name in &self.invite {
            match client.add(sid, name).await {
                Err(error) if error.code() == Some(ALREADY_IN) => {}
                added => added.with_context(|| format!("{} cannot add {name}", client.identity()))?,
            }
        }
        Ok(())
    }

    /// Shows and sends until the end of the input.
    async fn stay(&self, client: &Client, sid: Sid<Kind>, show: &Show) -> Result<()> {
        let mut own = client.events().await?;
        let mut conversation = client.conversation(sid).await?;
        let mut states = client.connection_states();
        show.open(client.identity(), sid, conversation.facts());
        let mut shown = self.show_history(&conversation, show).await?;
        let (sender, mut results) = mpsc::channel(LINES_MAX);
        let mut is_reading = !self.listen;
        if is_reading {
            let (client, lines) = (client.clone(), read_lines());
            tokio::spawn(async move { send_lines(&client, sid, lines, &sender).await });
        }
        let mut sent_last = -1;
        // At the end of the input, what was sent is still to come back.
        while is_reading || self.listen || shown < sent_last {
            tokio::select! {
                event = conversation.next_event() => match event? {
                    // The history has it.
                    Event::Added(message) if message.index <= shown => {}
                    Event::Added(message) => {
                        shown = message.index;
                        show.message(&message);
                    }
                    Event::Updated(message) => show.edited(&message),
                    Event::Removed(index) => show.removed(index),
                    Event::Changed => show.changed(conversation.facts()),
                },
                event = own.next() => if event? == MyEvent::Removed(sid) {
                    bail!("{} is in this conversation no more: it is gone, or somebody has removed you", client.identity());
                },
                Some(state) = states.next() => show.state(&state),
                sent = results.recv(), if is_reading => match sent {
                    Some(sent) => {
                        if let Sent::Kept { index } = &sent {
                            sent_last = *index;
                        }
                        show.sent(&sent);
                    }
                    None => is_reading = false,
                },
                interrupted = tokio::signal::ctrl_c() => return interrupted.context("signals cannot be heard"),
            }
        }
        Ok(())
    }

    /// What was said before; gives the index of the last message.
    async fn show_history(&self, conversation: &Conversation, show: &Show) -> Result<i64> {
        let page = conversation.page(None, Order::Descending).await?;
        for message in page.messages.iter().take(self.history.into()).rev() {
            show.message(message);
        }
        Ok(page.messages.first().map_or(-1, |last| last.index))
    }
}

/// The lines of standard input, read by a thread: nothing else can wait for them.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Sends lines one after the other, and obeys those that are commands.
async fn send_lines(client: &Client, sid: Sid<Kind>, mut lines: mpsc::Receiver<String>, results: &mpsc::Sender<Sent>) {
    while let Some(line) = lines.recv().await {
        let line = line.trim_end_matches('\r');
        let result = match line.split_once(' ').unwrap_or((line, "")) {
            ("", "") => continue,
            ("/quit", _) => return,
            ("/who", _) => who(client, sid).await,
            ("/add", name) if !name.trim().is_empty() => {
                let added = client.add(sid, name.trim()).await;
                added.map(|()| Sent::Told(format!("{} is in", name.trim())))
            }
            (word, _) if word.starts_with('/') && !word.starts_with("//") => {
                let help = "commands are /add NAME, /who and /quit; to send a line that begins with /, double it";
                Ok(Sent::Told(format!("{word} is no command: {help}")))
            }
            _ => {
                let text = if line.starts_with("//") { &line[1..] } else { line };
                client.send(sid, text).await.map(|index| Sent::Kept { index })
            }
        };
        let result = result.unwrap_or_else(|error| Sent::Failed {
            line: line.to_owned(),
            why: error.to_string(),
            is_outcome_unknown: error.is_outcome_unknown(),
        });
        if results.send(result).await.is_err() {
            return;
        }
    }
}

async fn who(client: &Client, sid: Sid<Kind>) -> Result<Sent, Error> {
    let roster = client.roster(sid).await?;
    let mut names: Vec<&str> = roster.participants().filter_map(|one| one.identity.as_deref()).collect();
    names.sort_unstable();
    Ok(Sent::Told(format!("here: {}", names.join(", "))))
}

/// Finds the conversation, or makes it, and joins it; `None` if the user is not in it.
async fn enter(client: &Client, key: &str) -> Result<Option<Sid<Kind>>> {
    // What does not parse as a SID is a unique name; a name that could be a SID is taken for one.
    let is_sid = key.parse::<Sid<Kind>>().is_ok();
    let found = match client.find_conversation(key).await {
        Ok(found) if found.is_joined => return Ok(Some(found.sid)),
        Ok(found) => found.sid,
        Err(error) if error.code() == Some(NOT_A_PARTICIPANT) => return Ok(None),
        Err(error) if error.is_not_found() && is_sid => {
            bail!("there is no conversation {key}; give its unique name, or leave it out to talk in `lobby`")
        }
        Err(error) if error.is_not_found() => match make(client, key).await? {
            Some(made) => made,
            None => return Ok(None),
        },
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot look at {key}", client.identity()));
        }
    };
    match client.join(found).await {
        Err(error) if error.code() == Some(NOT_A_PARTICIPANT) => Ok(None),
        joined => {
            joined.with_context(|| format!("{} cannot join {key}", client.identity()))?;
            Ok(Some(found))
        }
    }
}

/// Creates the conversation; `None` if another user was faster.
async fn make(client: &Client, name: &str) -> Result<Option<Sid<Kind>>> {
    let new = NewConversation { unique_name: Some(name.to_owned()), ..NewConversation::named(name) };
    match client.create_conversation(&new).await {
        Err(error) if error.code() == Some(NAME_TAKEN) => Ok(None),
        made => made.map(Some).with_context(|| format!("{} cannot create the conversation {name}", client.identity())),
    }
}

fn unsent(error: &Error) -> anyhow::Error {
    match error.is_outcome_unknown() {
        true => anyhow::anyhow!("it is not known whether the message was sent: {error}"),
        false => anyhow::anyhow!("the message was not sent: {error}"),
    }
}
