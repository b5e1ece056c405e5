//! The token of a connection: which one, whether it is near its death, and what follows from a refusal.
//!
//! The server says when a token is about to expire. Then a fresh one is asked for until it has come; what
//! the clock of this machine says plays no part.

use std::time::Duration;

use tertulia_protocol::client::{ReceivedStatus, update};

use super::calls::REPLY_MAX;
use super::{CallFailure, Core, Effect, Phase, Reply, own_id};
use crate::error::{Disconnected, Refusal};

/// A token that lives shorter than the server's warning is renewed this often at most.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait before asking again, when no fresh token came; the server warns three minutes ahead.
const RENEWAL_AGAIN: Duration = Duration::from_secs(30);
/// The documented code for a token that has expired.
const EXPIRED: u32 = 20104;

#[derive(Debug, Default)]
pub(super) struct Token {
    current: Option<String>,
    /// Since when another one is wanted, and when it is to be asked for.
    renewal: Option<Duration>,
    is_asked: bool,
    update: Option<Update>,
    /// The last refusal as expired, until a token is accepted.
    expired: Option<Refusal>,
}

/// A token on its way to the server.
#[derive(Debug)]
struct Update {
    id: u64,
    /// Who waits for the outcome.
    call: Option<u64>,
    token: String,
    due: Duration,
}

impl Token {
    pub(super) fn current(&self) -> &str {
        self.current.as_deref().unwrap_or_default()
    }

    fn is_current(&self, token: &str) -> bool {
        self.current.as_deref() == Some(token)
    }

    /// Whether there must be another one before the next connection.
    pub(super) fn is_needed(&self) -> bool {
        self.current.is_none() || self.renewal.is_some()
    }

    pub(super) fn is_update(&self, id: u64) -> bool {
        self.update.as_ref().is_some_and(|update| update.id == id)
    }

    /// Nobody waits for the outcome of an update any more; it goes on without.
    pub(super) fn forget(&mut self, call: u64) {
        if let Some(update) = self.update.as_mut().filter(|update| update.call == Some(call)) {
            update.call = None;
        }
    }

    pub(super) fn warned(&mut self, now: Duration) {
        self.renewal.get_or_insert(now + RENEWAL_PAUSE);
    }

    pub(super) fn accepted(&mut self) {
        self.expired = None;
    }

    fn take(&mut self, token: String) {
        self.current = Some(token);
        self.renewal = None;
    }
}

impl Core {
    /// What came of [`Effect::Token`]: a token, or why there is none.
    pub fn token(&mut self, now: Duration, outcome: Result<String, String>) {
        if !std::mem::take(&mut self.token.is_asked) {
            return;
        }
        match (&self.phase, outcome) {
            (Phase::WithoutToken, Ok(token)) => {
                // Where the same token comes again and again, it is the end.
                if let Some(refusal) = self.token.expired.clone()
                    && self.token.is_current(&token)
                {
                    return self.end(Disconnected::Refused(refusal));
                }
                self.token.take(token);
                self.attempt(now);
            }
            // What is near its death is still alive.
            (Phase::WithoutToken, Err(_)) if self.token.current.is_some() && self.token.expired.is_none() => {
                self.connect();
            }
            (Phase::WithoutToken, Err(cause)) => self.cut(now, Disconnected::NoToken(cause), Duration::ZERO),
            (Phase::Live { .. }, Ok(token)) if !self.token.is_current(&token) && self.token.update.is_none() => {
                self.send_update(now, None, token);
            }
            (Phase::Live { .. }, _) => {
                if let Some(at) = &mut self.token.renewal {
                    *at = now + RENEWAL_AGAIN;
                }
                self.tend_token(now);
            }
            (Phase::Waiting { .. } | Phase::Connecting, Ok(token)) if !self.token.is_current(&token) => {
                self.token.take(token);
            }
            _ => {}
        }
    }

    /// Gives the server a new token, for the whole client. The call ends when the server has it; without a
    /// connection at once, and the next connection begins with it.
    pub fn update_token(&mut self, now: Duration, call: u64, token: String) {
        let fine = || Ok(Reply { status: ReceivedStatus::default(), http_status: None, body: Default::default() });
        let outcome = match &self.phase {
            Phase::Over(why) => Err(CallFailure::Over(why.clone())),
            // The token in use is not sent again; neither does the official SDK.
            Phase::Live { .. } if self.token.is_current(&token) => fine(),
            Phase::Live { .. } => return self.send_update(now, Some(call), token),
            _ => {
                self.token.take(token);
                fine()
            }
        };
        self.effects.push_back(Effect::Finish(call, outcome));
        if matches!(self.phase, Phase::WithoutToken) {
            self.attempt(now);
        }
    }

    /// Asks for a fresh token when it is time to, and gives up an update that nobody answers.
    pub(super) fn tend_token(&mut self, now: Duration) {
        if let Some(update) = self.token.update.take_if(|update| update.due <= now) {
            self.finish(update.call, Err(CallFailure::TimedOut));
        }
        if !self.is_live() {
            return;
        }
        match self.token.renewal {
            Some(at) if at <= now && self.token.update.is_none() => self.ask_for_token(),
            // An update that is on its way says more, or gives up at its own time.
            Some(at) if at <= now => {}
            Some(at) => self.wake_by(at),
            None => {}
        }
        let due = self.token.update.as_ref().map(|update| update.due);
        due.into_iter().for_each(|due| self.wake_by(due));
    }

    pub(super) fn ask_for_token(&mut self) {
        if !std::mem::replace(&mut self.token.is_asked, true) {
            self.effects.push_back(Effect::Token);
        }
    }

    fn send_update(&mut self, now: Duration, call: Option<u64>, token: String) {
        let id = self.next_id();
        self.send(update(&own_id(id), &token));
        let due = now + REPLY_MAX;
        // Of two at a time the later one counts; whoever waits for the earlier hears nothing of it.
        if let Some(before) = self.token.update.replace(Update { id, call, token, due }) {
            self.finish(before.call, Err(CallFailure::TimedOut));
        }
        self.wake_by(due);
    }

    /// The server's answer to a new token. When it refuses, it ends the connection, and another with the
    /// same token would not begin.
    pub(super) fn updated(&mut self, now: Duration, status: ReceivedStatus) {
        let Some(update) = self.token.update.take() else { return };
        let is_fine = status.is_success();
        let refusal = Refusal::from(status.clone());
        self.finish(update.call, Ok(Reply { status, http_status: None, body: Default::default() }));
        if is_fine {
            self.token.take(update.token);
        } else if is_expired(&refusal) && self.reconnects {
            self.token.current = Some(update.token);
            self.effects.push_back(Effect::Disconnect);
            self.expired(now, refusal);
        } else if is_final(&refusal) {
            self.effects.push_back(Effect::Disconnect);
            self.end(Disconnected::Refused(refusal));
        }
    }

    pub(super) fn drop_update(&mut self, why: &Disconnected) {
        if let Some(update) = self.token.update.take() {
            self.finish(update.call, Err(CallFailure::Cut(why.clone())));
        }
    }

    /// The server refuses `init`.
    pub(super) fn refused_entry(&mut self, now: Duration, reply: Reply) {
        let at_least = wished_wait(&reply);
        let refusal = Refusal::from(reply.status);
        self.effects.push_back(Effect::Disconnect);
        if is_expired(&refusal) && self.reconnects {
            self.expired(now, refusal);
        } else if is_final(&refusal) {
            self.end(Disconnected::Refused(refusal));
        } else {
            self.cut(now, Disconnected::Refused(refusal), at_least);
        }
    }

    /// The server says good-bye in a packet: for good, for a fresh token, or until later.
    pub(super) fn goodbye(&mut self, now: Duration, refusal: Refusal) {
        self.effects.push_back(Effect::Disconnect);
        if (refusal.status == 410 || is_expired(&refusal)) && self.reconnects {
            self.expired(now, refusal);
        } else if is_final(&refusal) || matches!(refusal.status, 406 | 417) {
            self.end(Disconnected::Goodbye(refusal));
        } else {
            self.cut(now, Disconnected::Goodbye(refusal), Duration::ZERO);
        }
    }

    /// The token has expired: a fresh one is asked for, at once the first time.
    fn expired(&mut self, now: Duration, refusal: Refusal) {
        self.token.renewal = Some(now);
        let again = self.token.expired.replace(refusal.clone()).is_some();
        let why = Disconnected::Refused(refusal);
        if again {
            return self.cut(now, why, Duration::ZERO);
        }
        self.let_go(&why);
        self.attempt(now);
    }

    fn finish(&mut self, call: Option<u64>, outcome: Result<Reply, CallFailure>) {
        self.effects.extend(call.map(|call| Effect::Finish(call, outcome)));
    }
}

fn is_expired(refusal: &Refusal) -> bool {
    matches!(refusal.status, 401 | 403) && refusal.code == Some(EXPIRED)
}

fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.status, 401 | 403)
}

/// A server that is full may say when to come back.
fn wished_wait(reply: &Reply) -> Duration {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Duration::from_millis(body["backoff_policy"]["reconnect_min_ms"].as_u64().unwrap_or(0))
}
