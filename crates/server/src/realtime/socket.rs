//! A websocket and its session: reads messages, performs effects, keeps the time.
//!
//! Requests of one connection are answered one after the other, so their order is the client's; events go
//! out meanwhile. One timer serves pings and the token's time. The socket must never decide anything: what
//! a packet means is the session's business, what a request means the noun's.

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt;
use tertulia_protocol::Timestamp;
use tertulia_protocol::realtime::TunnelledRequest;
use tokio::time::{Instant, sleep, sleep_until};

use super::establish::{leave, lose};
use super::hub::Post;
use super::mailbox::{Mailbox, Overflow};
use super::news::Part;
use super::presence::Counted;
use super::record::Direction;
use super::session::{CloseReason, Effect, Input, Session};
use super::subscribe::Subscriber;
use super::upgrade::{MESSAGE_BYTES_MAX, Seat, is_too_large};
use crate::App;
use crate::http::refuse;
use crate::platform::places::Place;
use crate::platform::{AccountNumber, Caller, Ids, Reply, Surface, ids};

/// Posts that are taken at once, so that a burst is written in one piece.
const POSTS_AT_ONCE: usize = 64;
/// How long a last packet may take on its way out.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

mod entry;
mod held;
mod pages;

use held::Held;

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

struct Answered {
    id: String,
    reply: Reply,
    cancelled: Vec<tertulia_protocol::sync::Object>,
}

pub(super) struct Connection {
    app: Arc<App>,
    number: u64,
    socket: WebSocket,
    address: IpAddr,
    /// When it was opened, by the machine's clock.
    since: Timestamp,
    origin: String,
    session: Session,
    mailbox: Option<Arc<Mailbox>>,
    counted: Option<Counted>,
    answering: Option<Answering>,
    /// A page that waits for receipts, and requests that wait for the page.
    held: Option<Box<Held<Answered>>>,
    behind: VecDeque<(String, TunnelledRequest)>,
    heard_at: Instant,
    last_sign_of_life: Instant,
    next_ping: Instant,
    /// Something was handed to the websocket and not flushed.
    is_dirty: bool,
    /// Its place among the connections of its account, once it is somebody's.
    account_place: Option<Place<AccountNumber>>,
    _seat: Seat,
}

/// What is waited for while a reader is slow.
#[derive(Clone, Copy)]
enum Writing {
    /// Room for another packet.
    Room,
    /// That everything has gone out.
    All,
}

/// What the connection woke up for.
enum Woken {
    Message(Option<Result<Message, axum::Error>>),
    Post(Result<Post, Overflow>),
    Answered(Answered),
    Time,
    ShutDown,
}

impl Connection {
    pub(super) fn new(app: Arc<App>, socket: WebSocket, address: IpAddr, origin: String, seat: Seat) -> Self {
        let continuation = Ids::from_seed(ids::fresh_seed()).hex(16);
        let since = app.db.clock.machine();
        let session = Session::new(since, app.installation.clone(), continuation);
        let number = app.next_connection();
        if let Some(recorder) = &app.recorder {
            recorder.note(app.db.clock.machine(), number, "open");
        }
        Self {
            app,
            number,
            socket,
            address,
            since,
            origin,
            session,
            mailbox: None,
            counted: None,
            answering: None,
            held: None,
            behind: VecDeque::new(),
            heard_at: now(),
            last_sign_of_life: now(),
            next_ping: now(),
            is_dirty: false,
            account_place: None,
            _seat: seat,
        }
        .with_next_ping()
    }

    fn with_next_ping(mut self) -> Self {
        self.next_ping = now() + self.ping_every();
        self
    }

    /// Boxed, because a future holds what it moves twice. This future is what every idle phone costs: what
    /// is seldom waited for is boxed where it is called.
    pub(super) async fn run(mut self: Box<Self>) {
        let mut draining = self.app.draining();
        let mut draining = pin!(async move { drop(draining.wait_for(|draining| *draining).await) });
        let mut timer = pin!(sleep_until(self.wake_at()));
        loop {
            // One timer, which is moved only when it would be late: too early, it finds nothing due.
            let wake_at = self.wake_at();
            if timer.is_elapsed() || wake_at < timer.deadline() {
                timer.as_mut().reset(wake_at);
            }
            let woken = tokio::select! {
                message = self.socket.recv(), if self.may_read() => Woken::Message(message),
                post = received(self.mailbox.as_deref()) => Woken::Post(post),
                answered = answered(&mut self.answering) => Woken::Answered(answered),
                () = &mut timer => Woken::Time,
                // What is being answered is answered first: it may be committed already.
                () = &mut draining, if self.answering.is_none() && self.held.is_none() => Woken::ShutDown,
            };
            if self.take(woken).await.is_err() || self.flush().await.is_err() {
                break;
            }
        }
        self.leave();
    }

    /// Takes in what happened. `Err` when the connection is over.
    async fn take(&mut self, woken: Woken) -> Result<(), ()> {
        let input = match woken {
            Woken::Message(None) => return Err(()),
            Woken::Message(Some(Err(cause))) => return Box::pin(self.broken(&cause)).await,
            Woken::Message(Some(Ok(message))) => {
                self.last_sign_of_life = now();
                match message {
                    Message::Binary(bytes) => {
                        self.record(Direction::In, &bytes);
                        return self.packet(bytes).await;
                    }
                    Message::Text(_) => Input::Text,
                    Message::Ping(_) | Message::Pong(_) => return Ok(()),
                    Message::Close(_) => return Err(()),
                }
            }
            Woken::Post(Ok(post)) => return self.posts(post).await,
            Woken::Post(Err(Overflow)) => {
                let effects = self.session.overflow();
                return self.perform(effects).await;
            }
            Woken::Answered(answered) => return self.reply(answered).await,
            Woken::Time => {
                self.ping().await?;
                self.release().await?;
                Input::Tick
            }
            Woken::ShutDown => Input::ShutDown,
        };
        self.input(input).await
    }

    /// Takes a post, and those that wait behind it.
    async fn posts(&mut self, first: Post) -> Result<(), ()> {
        self.input(Input::Post(first)).await?;
        self.take_in(POSTS_AT_ONCE - 1).await
    }

    /// Takes in the posts that wait, so many at most.
    async fn take_in(&mut self, most: usize) -> Result<(), ()> {
        for _ in 0..most {
            let Some(post) = self.mailbox.as_ref().and_then(|mailbox| mailbox.take_waiting()) else { break };
            self.input(Input::Post(post)).await?;
        }
        Ok(())
    }

    async fn input(&mut self, input: Input) -> Result<(), ()> {
        let now = self.now();
        let effects = self.session.input(now, input);
        self.perform(effects).await
    }

    /// Performs effects in their order; an admission's own effects come before what follows it.
    async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), ()> {
        for effect in effects {
            match effect {
                Effect::Send(packet) => self.send(packet).await?,
                Effect::Admit { id, token } => Box::pin(self.admit(id, token)).await?,
                Effect::Enter { wants_typing } => Box::pin(self.enter(wants_typing)).await?,
                Effect::Answer { id, request } if self.held.is_some() => self.behind.push_back((id, request)),
                Effect::Answer { id, request } => self.answering = self.answer(id, request),
                Effect::LookAgain => Box::pin(self.look_again()).await?,
                Effect::Detach(stream, part, upto) => {
                    if let Some(mailbox) = &self.mailbox {
                        lose(&mut self.app.hub(), mailbox, stream, part, upto);
                    }
                }
                Effect::Close(reason) => return Box::pin(self.close(reason)).await,
            }
        }
        Ok(())
    }

    /// Rights may have changed. What was posted before is taken in before: it may have begun what ends now.
    async fn look_again(&mut self) -> Result<(), ()> {
        while let Some(post) = self.mailbox.as_ref().and_then(|mailbox| mailbox.take_waiting()) {
            if post != Post::Rights {
                self.input(Input::Post(post)).await?;
            }
        }
        let Some(subscriber) = self.subscriber() else { return Ok(()) };
        match subscriber.look_again().await {
            Ok(None) => self.input(Input::UserGone).await,
            Ok(Some(lost)) => {
                for stream in lost {
                    self.input(Input::Cancelled(stream, Part::Document)).await?;
                }
                Ok(())
            }
            Err(error) => {
                // Better no connection than one that hears what it may not.
                refuse(&error, Surface::Sdk, "");
                Err(())
            }
        }
    }

    fn answer(&self, id: String, request: TunnelledRequest) -> Option<Answering> {
        let subscriber = self.subscriber()?;
        let origin = self.origin.clone();
        Some(Box::pin(async move {
            let Some(faults) = &subscriber.app.faults else {
                let (reply, cancelled) = subscriber.perform(&origin, request).await;
                return Answered { id, reply, cancelled };
            };
            let (method, path) = (request.method.clone(), request.path.clone());
            let mut cancelled = Vec::new();
            let perform = async {
                let (reply, objects) = subscriber.perform(&origin, request).await;
                cancelled = objects;
                reply
            };
            let reply = faults.around(&subscriber.caller, &method, &path, perform).await;
            Answered { id, reply, cancelled }
        }))
    }

    fn subscriber(&self) -> Option<Subscriber> {
        let caller: Caller = self.session.admission()?.caller.clone();
        Some(Subscriber { app: Arc::clone(&self.app), caller, mailbox: self.mailbox.clone()? })
    }

    /// Hands a packet to the websocket; [`Connection::flush`] sends it, and what else came meanwhile.
    async fn send(&mut self, packet: Bytes) -> Result<(), ()> {
        if self.is_cut() {
            return Err(());
        }
        self.record(Direction::Out, &packet);
        self.is_dirty = true;
        let room = poll_fn(|context| Poll::Ready(self.socket.poll_ready_unpin(context))).await;
        match room {
            Poll::Ready(ready) => ready.map_err(drop)?,
            Poll::Pending => Box::pin(self.patiently(Writing::Room)).await?,
        }
        self.socket.start_send_unpin(Message::Binary(packet)).map_err(drop)
    }

    /// Whether the developer wants the connection to break here.
    fn is_cut(&self) -> bool {
        let Some((faults, admission)) = self.app.faults.as_ref().zip(self.session.admission()) else { return false };
        faults.cuts(admission.caller.account, &admission.user.identity)
    }

    async fn flush(&mut self) -> Result<(), ()> {
        if !std::mem::take(&mut self.is_dirty) {
            return Ok(());
        }
        let flushed = poll_fn(|context| Poll::Ready(self.socket.poll_flush_unpin(context))).await;
        match flushed {
            Poll::Ready(flushed) => flushed.map_err(drop),
            Poll::Pending => Box::pin(self.patiently(Writing::All)).await,
        }
    }

    /// Waits for a reader that is slower than its mail. One that takes nothing for as long as a ping may be
    /// unanswered is gone, and one whose mailbox is given up meanwhile needs not be waited for.
    async fn patiently(&mut self, writing: Writing) -> Result<(), ()> {
        let silence_max = self.silence_max();
        let socket = &mut self.socket;
        let written = poll_fn(|context| match writing {
            Writing::Room => socket.poll_ready_unpin(context),
            Writing::All => socket.poll_flush_unpin(context),
        });
        let mailbox = self.mailbox.as_deref();
        let given_up = async {
            match mailbox {
                Some(mailbox) => mailbox.given_up().await,
                None => pending().await,
            }
        };
        tokio::select! {
            written = written => written.map_err(drop),
            Overflow = given_up => self.close(CloseReason::TooSlow).await,
            () = sleep(silence_max) => {
                tracing::debug!(connection = self.number, "a connection takes nothing any more");
                Err(())
            }
        }
    }

    async fn ping(&mut self) -> Result<(), ()> {
        if self.last_sign_of_life.elapsed() > self.silence_max() {
            return Err(());
        }
        if now() >= self.next_ping {
            self.next_ping = now() + self.ping_every();
            let ready = poll_fn(|context| Poll::Ready(self.socket.poll_ready_unpin(context))).await;
            // One that has no room for a ping is told by its silence.
            if let Poll::Ready(ready) = ready {
                ready.map_err(drop)?;
                self.socket.start_send_unpin(Message::Ping(Bytes::new())).map_err(drop)?;
                self.is_dirty = true;
            }
        }
        Ok(())
    }

    fn ping_every(&self) -> Duration {
        Duration::from_secs(self.app.config.realtime.ping_seconds.max(1).into())
    }

    fn silence_max(&self) -> Duration {
        self.ping_every() * 2 + Duration::from_secs(1)
    }

    fn wake_at(&self) -> Instant {
        let next = self.held.as_ref().map_or(self.next_ping, |held| held.until().min(self.next_ping));
        let Some(due) = self.session.due() else { return next };
        let wait = due.micros().saturating_sub(self.now().micros());
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
        (now() + wait).min(next)
    }

    /// The time of the connection's account; a token lives by it.
    fn now(&self) -> Timestamp {
        match self.session.admission() {
            Some(admission) => self.app.db.clock.now(admission.caller.account),
            None => self.app.db.clock.machine(),
        }
    }

    async fn broken(&mut self, cause: &axum::Error) -> Result<(), ()> {
        if is_too_large(cause) {
            let reason = format!("a message has at most {MESSAGE_BYTES_MAX} bytes");
            self.close_with(1009, reason).await;
        }
        Err(())
    }

    async fn close(&mut self, reason: CloseReason) -> Result<(), ()> {
        let Some((code, text)) = reason.farewell() else { return Err(()) };
        tracing::debug!(connection = self.number, ?reason, "closing a connection");
        self.close_with(code, text.to_owned()).await;
        Err(())
    }

    async fn close_with(&mut self, code: u16, reason: String) {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let farewell = async {
            if self.socket.send(frame).await.is_ok() {
                // Until the other side has closed, too: a socket dropped with unread bytes in it resets,
                // and the last packet would be lost with the connection.
                while let Some(Ok(message)) = self.socket.recv().await {
                    if matches!(message, Message::Close(_)) {
                        break;
                    }
                }
            }
        };
        // Whoever does not answer is left.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, farewell).await;
    }

    fn leave(&mut self) {
        if let Some(recorder) = &self.app.recorder {
            recorder.note(self.app.db.clock.machine(), self.number, "close");
        }
        // A subscription that is just being made ends with its answer.
        self.answering = None;
        self.held = None;
        self.counted = None;
        let Some(mailbox) = &self.mailbox else { return };
        leave(&mut self.app.hub(), mailbox);
    }

    fn record(&self, direction: Direction, bytes: &[u8]) {
        if let Some(recorder) = &self.app.recorder {
            let client = self.session.admission().map(|admission| admission.user.identity.as_str());
            recorder.frame(self.app.db.clock.machine(), self.number, client, direction, bytes);
        }
    }
}

async fn received(mailbox: Option<&Mailbox>) -> Result<Post, Overflow> {
    match mailbox {
        Some(mailbox) => mailbox.receive().await,
        None => pending().await,
    }
}

async fn answered(answering: &mut Option<Answering>) -> Answered {
    match answering {
        Some(future) => {
            let answered = future.await;
            *answering = None;
            answered
        }
        None => pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "a socket's silence is measured in real time, not in an account's")]
fn now() -> Instant {
    Instant::now()
}
