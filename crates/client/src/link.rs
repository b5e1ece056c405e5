//! A client's task, as its callers hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::Value;
use tertulia_protocol::client::message;
use tertulia_protocol::realtime::TunnelledRequest;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::core::{Call, Core, Queue, Reply, Watch};
use crate::driver::{COMMANDS_MAX, Command, Driver, Ends, FAREWELL_MAX, Note, Outcome};
use crate::error::{Disconnected, Error, Refusal};
use crate::options::Options;
use crate::state::ConnectionState;
use crate::tls::Trust;
use crate::token::TokenProvider;
use crate::typing::Typing;

/// Who typed, for listeners that are slow; what is older is dropped.
const TYPING_MAX: usize = 16;

/// The task ends with the last of those who hold this.
#[derive(Debug)]
pub(crate) struct Link {
    commands: mpsc::Sender<Command>,
    notes: mpsc::UnboundedSender<Note>,
    pub(crate) states: watch::Receiver<ConnectionState>,
    typing: broadcast::WeakSender<Typing>,
    last_id: AtomicU64,
}

impl Link {
    /// Begins the task, and waits until it is in, or over.
    pub(crate) async fn open(uri: &str, provider: TokenProvider, options: &Options) -> Result<Arc<Self>, Disconnected> {
        let (commands, commands_end) = mpsc::channel(COMMANDS_MAX);
        let (notes, notes_end) = mpsc::unbounded_channel();
        let (states_end, mut states) = watch::channel(ConnectionState::Connecting);
        let (typing, _) = broadcast::channel(TYPING_MAX);
        let weak = typing.downgrade();
        let ends = Ends { commands: commands_end, notes: notes_end, states: states_end, typing };
        let core = Core::new(options, options.seed.unwrap_or_else(seed));
        tokio::spawn(Driver::new(core, uri.to_owned(), Trust::of(options), provider, ends).run());
        let link = Arc::new(Self { commands, notes, states: states.clone(), typing: weak, last_id: AtomicU64::new(0) });
        let settled = states.wait_for(|state| *state != ConnectionState::Connecting).await;
        match settled.map(|state| state.clone()) {
            Ok(ConnectionState::Ended(why)) => Err(why),
            Ok(_) => Ok(link),
            Err(_) => Err(Disconnected::Closed),
        }
    }

    /// Who types from now on; nobody, when the task has ended.
    pub(crate) fn typing(&self) -> broadcast::Receiver<Typing> {
        let nobody = || broadcast::channel(TYPING_MAX).1;
        self.typing.upgrade().map_or_else(nobody, |typing| typing.subscribe())
    }

    /// A number for a call or a subscription.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Why it is over; closed by this client, if nothing else is known.
    pub(crate) fn ended(&self) -> Disconnected {
        match &*self.states.borrow() {
            ConnectionState::Ended(why) => why.clone(),
            _ => Disconnected::Closed,
        }
    }

    pub(crate) async fn subscribe(&self, id: u64, queue: &Arc<Queue>, objects: Vec<Watch>) -> Result<(), Error> {
        self.command(Command::Subscribe(id, Arc::clone(queue), objects)).await
    }

    pub(crate) fn resume(&self, id: u64) {
        // Over, and the queue says so.
        let _ = self.notes.send(Note::Resume(id));
    }

    pub(crate) fn unsubscribe(&self, id: u64) {
        // Over, and everything has ended.
        let _ = self.notes.send(Note::Unsubscribe(id));
    }

    pub(crate) async fn update_token(&self, token: &str) -> Result<(), Error> {
        let (id, (sender, receiver)) = (self.next_id(), oneshot::channel());
        let reply = self.wait(id, Command::UpdateToken(id, token.to_owned(), sender), receiver).await?;
        // Without a connection there was nobody to ask, and no status.
        let is_fine = reply.status.code == 0 || reply.status.is_success();
        if is_fine { Ok(()) } else { Err(Refusal::from(reply.status).into()) }
    }

    pub(crate) async fn close(&self) {
        let (closed, finished) = oneshot::channel();
        if self.commands.send(Command::Close(closed)).await.is_ok() {
            // Over, or the task will see to it.
            let _ = timeout(FAREWELL_MAX * 2, finished).await;
        }
    }

    /// Makes a request of any outcome: its status and its body.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Bytes), Error> {
        let (path, query) = path_in(path).split_once('?').unwrap_or((path_in(path), ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let request = TunnelledRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            params: pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            content_type: content_type.to_owned(),
            body,
        };
        let id = self.next_id();
        let call = Call { id, packet: message(&Call::packet_id(id), &request), is_repeatable: method == "GET" };
        let (sender, receiver) = oneshot::channel();
        let reply = self.wait(id, Command::Call(call, sender), receiver).await?;
        match reply.http_status {
            Some(status) => Ok((status, reply.body)),
            // The packet itself was refused.
            None => Err(Refusal::from(reply.status).into()),
        }
    }

    /// Makes a request that must succeed; the body of its answer.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Bytes, Error> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        granted(self.exchange(method, path, "application/json", body).await?)
    }

    /// As [`Link::call`], with a form.
    pub(crate) async fn call_form(&self, path: &str, body: Vec<u8>) -> Result<Bytes, Error> {
        granted(self.exchange("POST", path, "application/x-www-form-urlencoded", body).await?)
    }

    /// As [`Link::call`], and the answer is read.
    pub(crate) async fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let answer = self.call(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|cause| unintelligible(path, cause))
    }

    async fn wait(&self, id: u64, command: Command, receiver: oneshot::Receiver<Outcome>) -> Result<Reply, Error> {
        let mut waiting = Waiting { link: self, id, is_over: false };
        self.command(command).await?;
        let outcome = receiver.await;
        waiting.is_over = true;
        outcome.map_err(|_| Error::Disconnected(self.ended()))?.map_err(Error::from)
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Disconnected(self.ended()))
    }
}

/// Stops waiting for a call when the caller stops.
struct Waiting<'a> {
    link: &'a Link,
    id: u64,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            // Over, and nothing waits.
            let _ = self.link.notes.send(Note::Forget(self.id));
        }
    }
}

fn granted((status, answer): (u16, Bytes)) -> Result<Bytes, Error> {
    if (200..300).contains(&status) { Ok(answer) } else { Err(Refusal::of(status, &answer).into()) }
}

/// A number that this machine has not drawn before, likely.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

pub(crate) fn unintelligible(request: &str, cause: impl ToString) -> Error {
    Error::Unintelligible { request: request.to_owned(), cause: cause.to_string() }
}

/// The path and query of an absolute link; a path is left as it is.
pub(crate) fn path_in(link: &str) -> &str {
    let Some((_, rest)) = link.split_once("://") else { return link };
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Percent-encodes what may stand in one segment of a path or in a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lose_their_host_and_paths_stay() {
        assert_eq!(path_in("http://127.0.0.1:1/v3/Maps/MP1?Include=items"), "/v3/Maps/MP1?Include=items");
        assert_eq!(path_in("https://chat.example.com"), "/");
        assert_eq!(path_in("/v3/Maps"), "/v3/Maps");
    }

    #[test]
    fn names_are_encoded_for_one_segment() {
        assert_eq!(encoded("a b/ñ@x.channels"), "a%20b%2F%C3%B1%40x.channels");
    }
}
