//! What is printed: for people, or one JSON object a line.

use std::io::{Write, stderr, stdout};

use serde_json::{Value, json};
use tertulia_client::{ConnectionState, Facts, Message, Sid, sid::Conversation};

/// What came of a line of the input.
pub(super) enum Sent {
    /// The server keeps it.
    Kept {
        /// Its place in the conversation.
        index: i64,
    },
    /// It was a command, and this is the answer.
    Told(String),
    /// It went wrong.
    Failed {
        /// The line.
        line: String,
        /// What was wrong.
        why: String,
        /// Whether it may have been done all the same.
        is_outcome_unknown: bool,
    },
}

pub(super) struct Show {
    is_json: bool,
}

impl Show {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    pub(super) fn open(&self, identity: &str, conversation: Sid<Conversation>, facts: &Facts) {
        if self.is_json {
            let event = json!({"event": "open", "conversation": conversation, "identity": identity,
                "unique_name": facts.unique_name, "friendly_name": facts.friendly_name});
            return line(&event);
        }
        let name = facts.friendly_name.as_deref().or(facts.unique_name.as_deref()).unwrap_or("a conversation");
        remark(&format!("{identity} is in {} ({conversation}); /quit or Ctrl-D leaves", plain(name)));
    }

    pub(super) fn waiting(&self, text: &str) {
        if self.is_json {
            return line(&json!({"event": "waiting", "text": text}));
        }
        remark(&plain(text));
    }

    pub(super) fn message(&self, message: &Message) {
        if self.is_json {
            return line(&event("message", message));
        }
        say(&format!("[{}] {}: {}", message.index, plain(&message.author), body(message)));
    }

    pub(super) fn edited(&self, message: &Message) {
        if self.is_json {
            return line(&event("edited", message));
        }
        say(&format!("[{}] {} has changed it: {}", message.index, plain(&message.author), body(message)));
    }

    pub(super) fn removed(&self, index: i64) {
        if self.is_json {
            return line(&json!({"event": "removed", "index": index}));
        }
        say(&format!("[{index}] was removed"));
    }

    pub(super) fn changed(&self, facts: &Facts) {
        if self.is_json {
            let Facts { friendly_name, unique_name, attributes, .. } = facts;
            return line(&json!({"event": "changed", "friendly_name": friendly_name, "unique_name": unique_name,
                "attributes": attributes}));
        }
        remark(&format!(
            "the conversation is called {} now",
            plain(facts.friendly_name.as_deref().unwrap_or("nothing"))
        ));
    }

    pub(super) fn state(&self, state: &ConnectionState) {
        let (word, why) = match state {
            ConnectionState::Connecting => ("connecting", None),
            ConnectionState::Connected => ("connected", None),
            ConnectionState::Reconnecting { why, .. } => ("reconnecting", Some(why.to_string())),
            ConnectionState::Ended(why) => ("ended", Some(why.to_string())),
        };
        if self.is_json {
            return line(&json!({"event": "connection", "state": word, "why": why}));
        }
        match state {
            ConnectionState::Reconnecting { wait, .. } => {
                let why = why.unwrap_or_default();
                remark(&format!("connection lost ({}); trying again in {:.1} s", plain(&why), wait.as_secs_f64()));
            }
            ConnectionState::Connected => remark("connected again"),
            // Whoever ended it says why.
            ConnectionState::Connecting | ConnectionState::Ended(_) => {}
        }
    }

    pub(super) fn sent(&self, sent: &Sent) {
        match sent {
            Sent::Kept { index } if self.is_json => line(&json!({"event": "sent", "index": index})),
            // It is shown when it comes back.
            Sent::Kept { .. } => {}
            Sent::Told(text) if self.is_json => line(&json!({"event": "told", "text": text})),
            Sent::Told(text) => remark(&plain(text)),
            Sent::Failed { line: text, why, is_outcome_unknown } if self.is_json => {
                let unknown = is_outcome_unknown;
                line(&json!({"event": "failed", "line": text, "why": why, "outcome_unknown": unknown}));
            }
            Sent::Failed { line: text, why, .. } => remark(&format!("{}: {}", plain(text), plain(why))),
        }
    }
}

fn event(kind: &str, message: &Message) -> Value {
    let Message { index, sid, author, body, attributes, date_created, .. } = message;
    json!({"event": kind, "index": index, "sid": sid, "author": author, "body": body, "attributes": attributes,
        "date_created": date_created})
}

fn body(message: &Message) -> String {
    plain(message.body.as_deref().unwrap_or("(no text)")).replace('\n', "\n    ")
}

/// Others write what is shown here: nothing of it may move the cursor or change the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|one| if one.is_control() && one != '\n' { '\u{fffd}' } else { one }).collect()
}

fn line(event: &Value) {
    say(&event.to_string());
}

/// A reader that went away is no error.
fn say(text: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Remarks go to standard error, so that standard output has the messages and nothing else.
fn remark(text: &str) {
    let _ = writeln!(stderr(), "-- {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_play_with_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{7}\nc\u{9b}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\nc\u{fffd}");
    }
}
