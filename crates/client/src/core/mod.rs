//! The client without a socket: a state machine that inputs go into and effects come out of.
//!
//! It says who it is, sends calls and sorts their replies, subscribes, keeps the token fresh, notices
//! silence, and after a cut waits, connects again and goes on from the positions reached. It must never do
//! IO, read a clock, wait, or draw a number: whoever drives it performs its effects in order, and passes in
//! the time, as what has passed since a moment of the driver's choosing. So it runs the same below a tokio
//! task (`driver.rs`), in a simulation with the server's own session, and under fuzzing.
//!
//! ```
//! use std::time::Duration;
//! use tertulia_client::core::{Core, Effect};
//! use tertulia_client::Options;
//!
//! let mut core = Core::new(&Options::default(), 7);
//! let now = Duration::ZERO;
//! core.start(now);
//! assert_eq!(core.effect(), Some(Effect::Token));
//! core.token(now, Ok("<an Access Token>".to_owned()));
//! assert_eq!(core.effect(), Some(Effect::Connect));
//! core.connected(now);
//! assert!(matches!(core.effect(), Some(Effect::Send(_init))));
//! assert_eq!(core.effect(), None);
//! ```
//!
//! A driver's duties: after every input perform [`Core::effect`]s until there is none; call [`Core::tick`]
//! when [`Core::due`] has come; give a packet or an end of a websocket only while that websocket is the
//! latest and [`Effect::Disconnect`] has not ended it.

mod effect;
mod calls;
mod subscriptions;
mod queue;
mod token;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tertulia_protocol::client::{ServerPacket, acknowledgement, close, init, message};
use tertulia_protocol::realtime::{ClientDescription, TunnelledRequest, message_type};
use tertulia_protocol::sync::SUBSCRIPTION_BATCH_MAX;

pub use crate::backoff::Backoff;
pub use calls::{Call, CallFailure, REPLY_MAX, Reply, WAIT_MAX};
pub use effect::Effect;
pub use queue::{End, Item, Queue};
pub use subscriptions::Watch;

use crate::backoff::Waits;
use crate::error::{Disconnected, Refusal};
use crate::options::Options;
use crate::state::ConnectionState;
use crate::typing::read_typing;
use calls::{Calls, Finished};
use subscriptions::{PATH, Subscriptions, request};
use token::Token;

/// A server that was silent for two of these is asked for a sign of life, and after a third given up.
const SILENCE_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Phase {
    /// Not begun.
    Fresh,
    /// Between two attempts.
    Waiting { until: Duration },
    /// There must be a token first.
    WithoutToken,
    /// The driver opens a websocket.
    Connecting,
    /// The server looks at the token.
    Entering { id: u64, since: Duration },
    /// In.
    Live { since: Duration },
    /// Over, and why.
    Over(Disconnected),
}

/// One client.
#[derive(Debug)]
pub struct Core {
    phase: Phase,
    reconnects: bool,
    wants_typing: bool,
    /// Whether it was ever in: before that, whoever connects wants to hear what is wrong.
    was_live: bool,
    waits: Waits,
    token: Token,
    continuation: Option<String>,
    calls: Calls,
    subscriptions: Subscriptions,
    effects: VecDeque<Effect>,
    /// Not later than anything is due; what is due is found when it has come.
    alarm: Option<Duration>,
    last_heard: Duration,
    /// How many silences have passed since.
    silences: u8,
    last_id: u64,
}

impl Core {
    /// A client that has not begun. Chance, which spreads attempts to connect, comes from the seed.
    pub fn new(options: &Options, seed: u64) -> Self {
        Self {
            phase: Phase::Fresh,
            reconnects: options.reconnect.is_some(),
            wants_typing: options.typing,
            was_live: false,
            waits: Waits::new(options.reconnect.unwrap_or_default(), seed),
            token: Token::default(),
            continuation: None,
            calls: Calls::default(),
            subscriptions: Subscriptions::default(),
            effects: VecDeque::new(),
            alarm: None,
            last_heard: Duration::ZERO,
            silences: 0,
            last_id: 0,
        }
    }

    /// The next thing to do.
    pub fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Core::tick`] is to be called at the latest.
    pub fn due(&self) -> Option<Duration> {
        self.alarm
    }

    /// Why it is over, if it is.
    pub fn over(&self) -> Option<&Disconnected> {
        match &self.phase {
            Phase::Over(why) => Some(why),
            _ => None,
        }
    }

    /// Whether calls are sent at once.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Begins.
    pub fn start(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Fresh) {
            self.attempt(now);
        }
    }

    /// The websocket that was asked for is open.
    pub fn connected(&mut self, now: Duration) {
        const WANTED: [&str; 5] =
            [message_type::SYNC, message_type::DOCUMENT, message_type::LIST, message_type::MAP, message_type::TYPING];
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        let id = self.next_id();
        self.phase = Phase::Entering { id, since: now };
        self.last_heard = now;
        self.silences = 0;
        let wanted = if self.wants_typing { &WANTED[..] } else { &WANTED[..4] };
        let client = ClientDescription { sdk: "Rust".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let packet = init(&own_id(id), self.token.current(), self.continuation.as_deref(), wanted, &client);
        self.send(packet);
        self.wake_by(now + REPLY_MAX.min(SILENCE_EVERY));
    }

    /// There is no websocket (any more).
    pub fn disconnected(&mut self, now: Duration, why: Disconnected) {
        if matches!(self.phase, Phase::Connecting | Phase::Entering { .. } | Phase::Live { .. }) {
            self.cut(now, why, Duration::ZERO);
        }
    }

    /// A binary message came.
    pub fn packet(&mut self, now: Duration, bytes: &Bytes) {
        if !matches!(self.phase, Phase::Entering { .. } | Phase::Live { .. }) {
            return;
        }
        self.heard(now);
        if let Err(cause) = self.sort(now, bytes) {
            self.leave(now, Disconnected::Malformed(cause));
        }
    }

    /// The websocket shows signs of life that are no packet.
    pub fn heard(&mut self, now: Duration) {
        self.last_heard = now;
        self.silences = 0;
    }

    /// Makes a call. It is sent at once, or waits for a connection.
    pub fn call(&mut self, now: Duration, call: Call) {
        match &self.phase {
            Phase::Over(why) => {
                let failure = CallFailure::Over(why.clone());
                self.effects.push_back(Effect::Finish(call.id, Err(failure)));
            }
            Phase::Live { .. } => {
                let (packet, due) = self.calls.send(now, call);
                self.send(packet);
                self.wake_by(due);
            }
            _ => {
                let id = call.id;
                match self.calls.wait(now, call) {
                    Ok(due) => self.wake_by(due),
                    Err(failure) => self.effects.push_back(Effect::Finish(id, Err(failure))),
                }
            }
        }
    }

    /// Nobody waits for a call any more. If it was not sent, it will not be.
    pub fn forget(&mut self, id: u64) {
        self.calls.forget(id);
        self.token.forget(id);
    }

    /// Subscribes to objects, each in its place, under a number that no other subscription of this client
    /// has. What happens comes into the queue; so does what is wrong.
    pub fn subscribe(&mut self, now: Duration, subscription: u64, queue: &Arc<Queue>, objects: Vec<Watch>) {
        if let Phase::Over(why) = &self.phase {
            return queue.end(End::Disconnected(why.clone()));
        }
        self.subscriptions.watch(subscription, queue, objects);
        self.ask(now);
    }

    /// A queue that was full has been emptied and reopened: what was left out comes now.
    pub fn resume(&mut self, now: Duration, subscription: u64) {
        self.subscriptions.resume(subscription);
        self.ask(now);
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, now: Duration, subscription: u64) {
        self.subscriptions.unwatch(subscription);
        self.ask(now);
    }

    /// Says good-bye, and is over.
    pub fn close(&mut self) {
        let has_socket = matches!(self.phase, Phase::Entering { .. } | Phase::Live { .. });
        if has_socket {
            let id = self.next_id();
            self.send(close(&own_id(id)));
        }
        self.end(Disconnected::Closed);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        if self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        self.alarm = None;
        match self.phase {
            Phase::Waiting { until } if now >= until => self.attempt(now),
            Phase::Waiting { until } => self.wake_by(until),
            Phase::Entering { since, .. } if now >= since + REPLY_MAX => self.leave(now, Disconnected::Silent),
            Phase::Entering { since, .. } => self.wake_by(since + REPLY_MAX),
            Phase::Live { .. } => self.listen(now),
            Phase::Fresh | Phase::WithoutToken | Phase::Connecting | Phase::Over(_) => {}
        }
        let (failed, next) = self.calls.expire(now);
        self.fail(failed);
        next.into_iter().for_each(|next| self.wake_by(next));
        self.tend_token(now);
        self.subscriptions.expire(now);
        self.ask(now);
    }

    fn sort(&mut self, now: Duration, bytes: &Bytes) -> Result<(), String> {
        match ServerPacket::parse(bytes).map_err(|cause| cause.to_string())? {
            ServerPacket::Reply { id, status, http_status, continuation_token, payload } => {
                let reply = Reply { status, http_status, body: bytes.slice_ref(payload) };
                match Call::of(&id) {
                    Some(call) if self.calls.answered(call) => {
                        self.effects.push_back(Effect::Finish(call, Ok(reply)));
                    }
                    Some(_) => {}
                    None => self.own_reply(now, own_number(&id), reply, continuation_token),
                }
            }
            ServerPacket::Notification { id, message_type, payload } => {
                self.send(acknowledgement(&id));
                match &*message_type {
                    message_type::SYNC | message_type::DOCUMENT | message_type::LIST | message_type::MAP => {
                        let sorted = self.subscriptions.deliver(now, bytes, payload);
                        sorted.map_err(|cause| format!("a Sync notification: {cause}"))?;
                        self.ask(now);
                    }
                    message_type::TYPING => {
                        self.effects.extend(read_typing(payload).map(Effect::Typing));
                    }
                    _ => {}
                }
            }
            ServerPacket::TokenAboutToExpire { id } => {
                self.send(acknowledgement(&id));
                self.token.warned(now);
                self.tend_token(now);
            }
            ServerPacket::Close { id, status } => {
                self.send(acknowledgement(&id));
                self.goodbye(now, status.into());
            }
            ServerPacket::Other { id } => self.send(acknowledgement(&id)),
        }
        Ok(())
    }

    /// A reply to one of the core's own packets.
    fn own_reply(&mut self, now: Duration, id: Option<u64>, reply: Reply, continuation: Option<String>) {
        let Some(id) = id else { return };
        match self.phase {
            Phase::Entering { id: asked, .. } if asked == id => {
                if reply.status.is_success() {
                    self.continuation = continuation;
                    self.enter(now);
                } else {
                    self.refused_entry(now, reply);
                }
            }
            Phase::Live { .. } if self.token.is_update(id) => self.updated(now, reply.status),
            Phase::Live { .. } => {
                let code = reply.http_status.unwrap_or(reply.status.code);
                let outcome = if (200..300).contains(&code) { Ok(()) } else { Err(Refusal::of(code, &reply.body)) };
                self.subscriptions.replied(now, id, outcome);
                self.ask(now);
            }
            _ => {}
        }
    }

    fn enter(&mut self, now: Duration) {
        self.phase = Phase::Live { since: now };
        self.was_live = true;
        self.token.accepted();
        self.effects.push_back(Effect::State(ConnectionState::Connected));
        for (packet, due) in self.calls.send_waiting(now) {
            self.send(packet);
            self.wake_by(due);
        }
        self.wake_by(now + SILENCE_EVERY);
        self.tend_token(now);
        self.ask(now);
    }

    /// Asks for what is wanted, after saying what no longer is.
    fn ask(&mut self, now: Duration) {
        if !self.is_live() {
            return;
        }
        for batch in self.subscriptions.take_dropped().chunks(SUBSCRIPTION_BATCH_MAX) {
            let id = self.next_id();
            self.send_request(id, &request("cancel", id, batch));
        }
        if let Some(body) = self.subscriptions.next_request(now, self.last_id + 1) {
            let id = self.next_id();
            self.send_request(id, &body);
        }
        self.subscriptions.due(now).into_iter().for_each(|due| self.wake_by(due));
    }

    fn listen(&mut self, now: Duration) {
        let silent_since = self.last_heard + SILENCE_EVERY * u32::from(self.silences);
        if now >= silent_since + SILENCE_EVERY {
            self.silences += 1;
            match self.silences {
                1 => {}
                2 => self.effects.push_back(Effect::Ping),
                _ => return self.leave(now, Disconnected::Silent),
            }
        }
        self.wake_by(self.last_heard + SILENCE_EVERY * u32::from(self.silences + 1));
    }

    /// Begins an attempt to connect.
    fn attempt(&mut self, now: Duration) {
        if self.token.is_needed() {
            self.phase = Phase::WithoutToken;
            self.ask_for_token();
        } else {
            self.connect();
        }
        self.wake_by(now);
    }

    fn connect(&mut self) {
        self.phase = Phase::Connecting;
        self.effects.push_back(Effect::Connect);
    }

    /// Ends the websocket from this side.
    fn leave(&mut self, now: Duration, why: Disconnected) {
        self.effects.push_back(Effect::Disconnect);
        self.cut(now, why, Duration::ZERO);
    }

    /// There is no websocket now, and there will be another if that is any use.
    fn cut(&mut self, now: Duration, why: Disconnected, at_least: Duration) {
        if let Phase::Live { since } = self.phase {
            self.waits.lived(now.saturating_sub(since));
        }
        if !self.reconnects || !self.was_live {
            return self.end(why);
        }
        self.let_go(&why);
        let wait = self.waits.next(at_least);
        self.phase = Phase::Waiting { until: now + wait };
        self.effects.push_back(Effect::State(ConnectionState::Reconnecting { why, wait }));
        // The calls that wait now have their times, too.
        self.wake_by(now);
    }

    /// Whatever hung on the connection hangs on the next.
    fn let_go(&mut self, why: &Disconnected) {
        let failed = self.calls.cut(why);
        self.fail(failed);
        self.subscriptions.cut();
        self.drop_update(why);
    }

    /// It is over.
    fn end(&mut self, why: Disconnected) {
        if let Phase::Over(_) = self.phase {
            return;
        }
        let has_socket = matches!(self.phase, Phase::Connecting | Phase::Entering { .. } | Phase::Live { .. });
        if has_socket && self.effects.back() != Some(&Effect::Disconnect) {
            self.effects.push_back(Effect::Disconnect);
        }
        self.phase = Phase::Over(why.clone());
        let mut failed = self.calls.cut(&why);
        failed.extend(self.calls.over(&why));
        self.fail(failed);
        self.drop_update(&why);
        self.subscriptions.over(&why);
        self.alarm = None;
        self.effects.push_back(Effect::State(ConnectionState::Ended(why)));
    }

    fn fail(&mut self, failed: Finished) {
        self.effects.extend(failed.into_iter().map(|(id, failure)| Effect::Finish(id, Err(failure))));
    }

    fn send(&mut self, packet: Vec<u8>) {
        self.effects.push_back(Effect::Send(packet));
    }

    fn send_request(&mut self, id: u64, body: &Value) {
        let request = TunnelledRequest {
            method: "POST".to_owned(),
            path: PATH.to_owned(),
            params: Vec::new(),
            content_type: "application/json".to_owned(),
            body: body.to_string().into_bytes(),
        };
        self.send(message(&own_id(id), &request));
    }

    fn wake_by(&mut self, at: Duration) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// The packet ids of the core's own packets; those of calls begin with `TM`.
fn own_id(number: u64) -> String {
    format!("TC{number:x}")
}

fn own_number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("TC")?, 16).ok()
}

#[cfg(test)]
mod tests;
