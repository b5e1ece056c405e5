//! One connection's side of the protocol, as a state machine without a socket: inputs in, effects out.
//!
//! It reads packets, decides what may happen in which state, and keeps the token's time. It must never
//! do IO, read a clock or wait: the driver ([`super::socket`]) performs its effects one after the other
//! and gives the time with every input. So it can be tested, fuzzed and simulated as it is.
//!
//! A refusal of `init` ends the connection; a request is never refused for the packet around it. Expiry is
//! a plain close, after which the client's next `init` is told 20104.

use bytes::Bytes;
use tertulia_protocol::realtime::{
    ClientPacket, Status, TunnelledRequest, close, init_reply, later_reply, plain_reply, token_about_to_expire,
};
use tertulia_protocol::{Code, Timestamp};
use tertulia_store::StreamId;

use super::attachments::Rights;
use super::hub::Post;
use super::news::{Part, shared_in};
use super::requests::Receipts;
use crate::http::chain;
use crate::tokens::{Admission, Refused};

/// Something that happened to a connection.
#[derive(Debug)]
pub enum Input {
    /// A binary message.
    Packet(Bytes),
    /// A text message, which the protocol does not have.
    Text,
    /// What came of [`Effect::Admit`].
    Admitted {
        /// The packet's id.
        id: String,
        /// Who, or why not.
        result: Result<Box<Admission>, Refused>,
    },
    /// This object is no longer subscribed to.
    Cancelled(StreamId, Part),
    /// The user was deleted.
    UserGone,
    /// The server shuts down.
    ShutDown,
    /// Something came into the mailbox.
    Post(Post),
    /// Nothing but time passed.
    Tick,
}

/// Something for the driver to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Send a packet.
    Send(Bytes),
    /// Find out whose token this is.
    Admit {
        /// The packet's id.
        id: String,
        /// The token.
        token: String,
    },
    /// The connection is in: give it a mailbox.
    Enter {
        /// Whether it wants to hear of typing.
        wants_typing: bool,
    },
    /// Answer a tunnelled request.
    Answer {
        /// The packet's id.
        id: String,
        /// The request.
        request: TunnelledRequest,
    },
    /// Look again at what is read by the right of a role, and whether the user is still there.
    LookAgain,
    /// Stop watching an object, unless it was subscribed to by a right that was found at this position of
    /// the user's own list or later.
    Detach(StreamId, Part, i64),
    /// Close the websocket, after what was sent before.
    Close(CloseReason),
}

/// Why a connection is closed; a log line and the websocket's close code come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said good-bye.
    Goodbye,
    /// `init` or `update` was refused.
    Refused,
    /// The token is dead.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The user was deleted; who comes back with a good token comes as another one.
    UserGone,
    /// The server shuts down.
    ShutDown,
    /// Bytes that are no packet.
    Malformed,
    /// The mailbox overflowed.
    TooSlow,
    /// More requests wait for an answer than the bound allows.
    TooMuch,
    /// A fault was asked for: the socket is dropped without a close frame.
    Cut,
}

impl CloseReason {
    /// The websocket's close code and text; `None`: not a word.
    pub const fn farewell(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Goodbye | Self::Refused => (1000, ""),
            Self::Expired => (1000, "the token has expired"),
            Self::Revoked => (1000, "the token was revoked"),
            Self::UserGone => (1000, "the user was deleted"),
            Self::ShutDown => (1001, "the server is going away"),
            Self::Malformed => (1002, "not a packet"),
            Self::TooSlow => (1001, "too slow; come back to catch up"),
            Self::TooMuch => (1008, "too many requests wait for an answer"),
            Self::Cut => return None,
        })
    }
}

/// How long before `exp` the client is warned.
const WARNING_MICROS: i64 = 180 * 1_000_000;
/// How long a connection may take to say who it is.
const INIT_MICROS: i64 = 20 * 1_000_000;

#[derive(Debug)]
enum State {
    /// Nobody yet; the driver closes it when no `init` comes in time.
    Fresh { since: Timestamp },
    /// The first token is being looked at.
    Admitting { continuation: Option<String>, wants_typing: bool },
    /// Somebody.
    Live { admission: Box<Admission>, warned: bool },
    /// Over.
    Ended,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    /// With each object the position of the user's own list at which the right to read it was found.
    subscribed: Rights,
    /// Packets that the client gives receipts for, and receipts that came.
    told: u64,
    heard: u64,
    installation: String,
    /// A seed for ids, drawn by the driver.
    continuation: String,
}

impl Session {
    /// A connection that has just been opened. `installation` is what clients' caches are bound to,
    /// `continuation` the token by which this session will be known again.
    pub fn new(now: Timestamp, installation: String, continuation: String) -> Self {
        let state = State::Fresh { since: now };
        Self { state, subscribed: Rights::default(), told: 0, heard: 0, installation, continuation }
    }

    /// Who it is, once it is in.
    pub fn admission(&self) -> Option<&Admission> {
        match &self.state {
            State::Live { admission, .. } => Some(admission),
            _ => None,
        }
    }

    /// How many packets were sent that want a receipt, and how many receipts have come.
    pub fn receipts(&self) -> Receipts {
        Receipts { told: self.told, heard: self.heard }
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn due(&self) -> Option<Timestamp> {
        match &self.state {
            State::Fresh { since } => Some(since.plus_micros(INIT_MICROS)),
            State::Live { admission, warned: false } => Some(warning(admission).min(admission.dies)),
            State::Live { admission, warned: true } => Some(admission.dies),
            State::Admitting { .. } | State::Ended => None,
        }
    }

    /// Takes an input in. The effects are to be performed in order; after a [`Effect::Close`] there are none.
    pub fn input(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        if let State::Ended = self.state {
            return Vec::new();
        }
        let mut effects = match input {
            Input::Packet(bytes) => self.packet(&bytes),
            Input::Text => self.malformed("packets are binary messages, not text"),
            Input::Admitted { id, result } => self.admitted(&id, result),
            Input::Cancelled(stream, part) => {
                self.subscribed.remove(&(stream, part));
                Vec::new()
            }
            Input::UserGone => self.end(CloseReason::UserGone),
            Input::ShutDown => self.end(CloseReason::ShutDown),
            Input::Post(post) => self.post(post),
            Input::Tick => Vec::new(),
        };
        effects.extend(self.time(now));
        effects
    }

    /// The connection cannot keep up.
    pub fn overflow(&mut self) -> Vec<Effect> {
        if let State::Ended = self.state {
            return Vec::new();
        }
        self.end(CloseReason::TooSlow)
    }

    fn packet(&mut self, bytes: &[u8]) -> Vec<Effect> {
        let packet = match ClientPacket::parse(bytes) {
            Ok(packet) => packet,
            Err(malformed) => return self.malformed(&malformed.to_string()),
        };
        match (packet, &self.state) {
            (_, State::Ended) | (ClientPacket::Silent, _) => Vec::new(),
            (ClientPacket::Receipt, _) => {
                self.heard += 1;
                Vec::new()
            }
            (ClientPacket::Close, _) => self.end(CloseReason::Goodbye),
            (ClientPacket::Init { id, token, continuation_token, message_types, .. }, State::Fresh { .. }) => {
                let wants_typing =
                    message_types.iter().any(|kind| kind == tertulia_protocol::realtime::message_type::TYPING);
                self.state = State::Admitting { continuation: continuation_token, wants_typing };
                vec![Effect::Admit { id, token }]
            }
            (ClientPacket::Update { id, token }, State::Live { .. }) => vec![Effect::Admit { id, token }],
            (ClientPacket::Message { id, request }, State::Live { .. }) => vec![Effect::Answer { id, request }],
            (ClientPacket::Acknowledged { id }, State::Live { .. }) => vec![send(plain_reply(&id, &Status::ok()))],
            (ClientPacket::Init { id, .. }, _) => refuse_packet(&id, "this connection has sent its init already"),
            (ClientPacket::Refused { id, reason }, _) => refuse_packet(&id, reason),
            (
                ClientPacket::Update { id, .. } | ClientPacket::Message { id, .. } | ClientPacket::Acknowledged { id },
                State::Fresh { .. } | State::Admitting { .. },
            ) => refuse_packet(&id, "the first packet of a connection is its init"),
        }
    }

    /// Without an id there is nothing to answer to, so the packet's sender is told in a `close`.
    fn malformed(&mut self, what: &str) -> Vec<Effect> {
        let status = Status::refused(406, what, None);
        let mut effects = vec![send(close("TM0", &status))];
        effects.extend(self.end(CloseReason::Malformed));
        effects
    }

    fn admitted(&mut self, id: &str, result: Result<Box<Admission>, Refused>) -> Vec<Effect> {
        let admission = match result {
            Ok(admission) => admission,
            Err(refused) => return self.refuse(id, &refused),
        };
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Admitting { continuation, wants_typing } => {
                let storage = format!("ST{}{}", self.installation, admission.user.sid.hex());
                let known = continuation.filter(|token| is_ours(token));
                let reply = init_reply(id, known.as_ref().unwrap_or(&self.continuation), known.is_some(), &storage);
                self.state = State::Live { admission, warned: false };
                vec![Effect::Enter { wants_typing }, send(reply)]
            }
            State::Live { admission: current, .. } => self.update(id, &current, admission),
            State::Fresh { .. } | State::Ended => Vec::new(),
        }
    }

    /// A new token for the same user of the same service; its role counts at once.
    fn update(&mut self, id: &str, current: &Admission, next: Box<Admission>) -> Vec<Effect> {
        let same = current.user.sid == next.user.sid && current.caller.account == next.caller.account;
        if !same {
            let text = "the new token is for another identity, account or chat service";
            let status = Status::refused(403, text, Some(Code::TokenGrants.number()));
            tracing::info!(target: "token", code = Code::TokenGrants.number(), reason = text, "an update was refused");
            let mut effects = vec![send(plain_reply(id, &status))];
            effects.extend(self.end(CloseReason::Refused));
            return effects;
        }
        let is_other_role = current.user.role != next.user.role;
        self.state = State::Live { admission: next, warned: false };
        let mut effects = vec![send(plain_reply(id, &Status::ok()))];
        if is_other_role {
            // Before the answer: what the former role opened is not told after it.
            effects.insert(0, Effect::LookAgain);
        }
        effects
    }

    /// The client hears the documented code and its name; the log has the exact reason.
    fn refuse(&mut self, id: &str, refused: &Refused) -> Vec<Effect> {
        let wait = if let Refused::Other(error) = refused { error.retry_after() } else { None };
        let status = match refused {
            // The client comes again by itself, after the wait.
            Refused::Other(error) if wait.is_some() => {
                tracing::info!(target: "token", reason = %error, "a connection is to come again later");
                Status::refused(
                    error.code().status(),
                    error.body(error.code(), "").message,
                    Some(error.code().number()),
                )
            }
            Refused::Token(refusal) => {
                tracing::info!(target: "token", code = refusal.code, reason = %refusal, "a token was refused");
                Status::refused(401, refusal.name(), Some(refusal.code.into()))
            }
            Refused::Revoked(entry) => {
                let code = entry.named.code();
                tracing::info!(target: "token", code = code.number(), reason = %entry.reason(), "a token was refused");
                Status::refused(401, code.title(), Some(code.number()))
            }
            Refused::Other(error) if error.code().status() < 500 => {
                tracing::info!(target: "token", code = error.code().number(), reason = %error, "a token was refused");
                Status::refused(401, error.to_string(), Some(error.code().number()))
            }
            Refused::Other(error) => {
                tracing::error!(cause = %chain(error), "a token could not be checked");
                // Not the client's fault: it may come again.
                Status::refused(error.code().status(), error.code().title(), Some(error.code().number()))
            }
        };
        let reply = wait.map_or_else(|| plain_reply(id, &status), |seconds| later_reply(id, &status, seconds * 1000));
        let mut effects = vec![send(reply)];
        effects.extend(self.end(CloseReason::Refused));
        effects
    }

    fn post(&mut self, post: Post) -> Vec<Effect> {
        match post {
            Post::Packet { stream, part, packet } if self.subscribed.contains(&(stream, part)) => self.tell(packet),
            // What is due is looked after behind every input.
            Post::Packet { .. } | Post::Own { ended: None, .. } | Post::Tick => Vec::new(),
            Post::Rights => vec![Effect::LookAgain],
            Post::Cut => self.end(CloseReason::Cut),
            Post::Revoked => self.end(CloseReason::Revoked),
            Post::Typing(packet) | Post::Answer(packet) => self.tell(packet),
            Post::Own { upto, ended: Some(conversation) } => {
                // A removal that comes late says nothing of a right that was found after it.
                let held = shared_in(conversation).into_iter().filter(|object| match self.subscribed.get(object) {
                    Some(own) if own < upto => self.subscribed.remove(object).is_some(),
                    _ => false,
                });
                held.map(|(stream, part)| Effect::Detach(stream, part, upto)).collect()
            }
            Post::Subscribed { stream, part, own } => {
                self.subscribed.insert((stream, part), own);
                Vec::new()
            }
        }
    }

    fn tell(&mut self, packet: Bytes) -> Vec<Effect> {
        self.told += 1;
        vec![Effect::Send(packet)]
    }

    fn time(&mut self, now: Timestamp) -> Vec<Effect> {
        match &mut self.state {
            State::Fresh { since } if now >= since.plus_micros(INIT_MICROS) => self.end(CloseReason::Goodbye),
            State::Live { admission, .. } if now >= admission.dies => self.end(CloseReason::Expired),
            State::Live { admission, warned } if !*warned && now >= warning(admission) => {
                *warned = true;
                self.tell(token_about_to_expire("TM0").into())
            }
            _ => Vec::new(),
        }
    }

    fn end(&mut self, reason: CloseReason) -> Vec<Effect> {
        self.state = State::Ended;
        vec![Effect::Close(reason)]
    }
}

/// Continuation tokens are 32 hex digits. Nothing hangs on them: what a client missed comes from the store.
fn is_ours(token: &str) -> bool {
    token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn warning(admission: &Admission) -> Timestamp {
    admission.expires.plus_micros(-WARNING_MICROS)
}

fn send(packet: Vec<u8>) -> Effect {
    Effect::Send(packet.into())
}

fn refuse_packet(id: &str, reason: &str) -> Vec<Effect> {
    vec![send(plain_reply(id, &Status::refused(400, reason, None)))]
}

#[cfg(test)]
mod tests;
