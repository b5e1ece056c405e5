//! `--record DIR`: every frame of every connection as JSON lines, for people who debug the wire.
//!
//! One file a server's run, one object a frame: `t` (milliseconds since the first), `conn`, `client` (the
//! identity, once known), `dir` (`open`, `c2s`, `s2c`, `close`), parsed `header` and `payload`. Tokens are
//! shortened; bodies are not, so a recording is as private as the chat itself.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tertulia_protocol::Timestamp;
use tertulia_protocol::packet::Packet;

/// Which way a frame went.
#[derive(Clone, Copy, Debug)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// Writes frames into a file.
pub struct Recorder {
    began: Timestamp,
    file: Mutex<BufWriter<File>>,
}

impl Recorder {
    /// Begins a file in `folder`, which is made when it is not there.
    pub fn begin(folder: &Path, now: Timestamp) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let name = format!("frames-{}.jsonl", now.micros() / 1000);
        let file = File::create(folder.join(name))?;
        Ok(Self { began: now, file: Mutex::new(BufWriter::new(file)) })
    }

    /// Notes a connection's beginning or end.
    pub fn note(&self, now: Timestamp, connection: u64, what: &str) {
        self.write(now, json!({"conn": connection, "dir": what}));
    }

    /// Notes a frame.
    pub fn frame(&self, now: Timestamp, connection: u64, client: Option<&str>, direction: Direction, bytes: &[u8]) {
        let dir = match direction {
            Direction::In => "c2s",
            Direction::Out => "s2c",
        };
        let mut line = json!({"conn": connection, "dir": dir, "binary": true});
        match Packet::parse(bytes) {
            Ok(packet) => {
                line["header"] = shortened(read(packet.header));
                if !packet.payload.is_empty() {
                    line["payload"] = shortened(read(packet.payload));
                }
            }
            Err(malformed) => line["malformed"] = malformed.to_string().into(),
        }
        if let Some(client) = client {
            line["client"] = client.into();
        }
        self.write(now, line);
    }

    fn write(&self, now: Timestamp, mut line: Value) {
        line["t"] = ((now.micros() - self.began.micros()) / 1000).into();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A recording is an aid: a full disk must not end the chat.
        let written = writeln!(file, "{line}").and_then(|()| file.flush());
        if let Err(cause) = written {
            tracing::warn!(%cause, "a frame could not be recorded");
        }
    }
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// Cuts tokens and secrets: enough to tell two apart, nothing to use.
fn shortened(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let cut = |(name, value): (String, Value)| {
                let value = match (name.as_str(), value) {
                    ("token" | "secret" | "registration_id", Value::String(text)) => short(&text).into(),
                    (_, value) => shortened(value),
                };
                (name, value)
            };
            Value::Object(fields.into_iter().map(cut).collect())
        }
        Value::Array(values) => values.into_iter().map(shortened).collect(),
        other => other,
    }
}

fn short(text: &str) -> String {
    let head: String = text.chars().take(12).collect();
    format!("{head}…({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cut_wherever_they_stand() {
        let cut = shortened(json!({"a": [{"token": "eyJhbGciOiJIUzI1NiJ9.x.y"}], "body": "hello"}));
        assert_eq!(cut, json!({"a": [{"token": "eyJhbGciOiJI…(24 characters)"}], "body": "hello"}));
    }
}
