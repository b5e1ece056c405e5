//! A websocket and its session: reads messages, performs effects, keeps the time.
//!
//! Requests of one connection are answered one after the other, so their order is the client's; events go
//! out meanwhile. One timer serves pings and the token's time. The socket must never decide anything: what
//! a packet means is the session's business, what a request means the noun's.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::SinkExt;
use tertulia_protocol::Timestamp;
use tertulia_protocol::realtime::{TunnelledRequest, http_reply};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::ends::{self, Holder};
use super::hub::{Post, Watch};
use super::mailbox::{Bounds, Mailbox, Overflow};
use super::news::{part_of, stream_of};
use super::presence::Counted;
use super::record::Direction;
use super::session::{CloseReason, Effect, Input, Session};
use super::subscribe::Subscriber;
use super::tunnel;
use crate::App;
use crate::http::peer::{From, Peer, Place};
use crate::http::refuse;
use crate::platform::{Caller, Ids, Reply, Surface, ids};
use crate::presence::Visitor;

/// A larger message ends the connection with 1009 (docs/decisions/0005).
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Read buffer of a connection. The library's default is 128 KiB, for every idle phone.
const READ_BUFFER_BYTES: usize = 1024;
/// Bytes that are gathered before they are written without waiting for more.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Posts that are taken at once, so that a burst is written in one piece.
const POSTS_AT_ONCE: usize = 64;
/// How long a last packet may take on its way out.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Opens a websocket, unless the server is full or going away: then 503, which clients try again.
pub async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(status) = app.faults.as_ref().and_then(|faults| faults.refuses_upgrade()) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return (status, "a fault that was asked for\n").into_response();
    }
    let Some(permit) = app.enter_connection() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no more connections; try again\n").into_response();
    };
    if !may_come_from(&app, &headers) {
        let text = "this page may not connect: its origin is not in realtime.allowed_origins\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let from = From::read(&app.config.http, &peer, &headers);
    // Behind a proxy the address is known only now.
    let place = match peer.place {
        Some(place) => Some(place),
        None => app.take_place(from.address),
    };
    let Some(place) = place else {
        let text = "too many connections from this address; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let (address, origin) = (from.address, from.origin);
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| {
            Box::new(Connection::new(app, socket, address, origin, Seat { _permit: permit, _place: place })).run()
        })
}

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

struct Answered {
    id: String,
    reply: Reply,
    cancelled: Vec<tertulia_protocol::sync::Object>,
}

struct Connection {
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
    last_sign_of_life: Instant,
    next_ping: Instant,
    /// Something was handed to the websocket and not flushed.
    is_dirty: bool,
    _seat: Seat,
}

/// What a connection holds of the bounds while it lives.
struct Seat {
    _permit: OwnedSemaphorePermit,
    _place: Arc<Place>,
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
    fn new(app: Arc<App>, socket: WebSocket, address: IpAddr, origin: String, seat: Seat) -> Self {
        let continuation = Ids::from_seed(ids::fresh_seed()).hex(16);
        let since = app.clock.machine();
        let session = Session::new(since, app.installation.clone(), continuation);
        let number = app.next_connection();
        if let Some(recorder) = &app.recorder {
            recorder.note(app.clock.machine(), number, "open");
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
            last_sign_of_life: now(),
            next_ping: now(),
            is_dirty: false,
            _seat: seat,
        }
        .with_next_ping()
    }

    fn with_next_ping(mut self) -> Self {
        self.next_ping = now() + self.ping_every();
        self
    }

    /// Boxed, because a future holds what it moves twice, and this is what every idle phone costs.
    async fn run(mut self: Box<Self>) {
        let mut draining = self.app.draining();
        loop {
            let wake_at = self.wake_at();
            let woken = tokio::select! {
                message = self.socket.recv(), if self.answering.is_none() => Woken::Message(message),
                post = received(self.mailbox.as_deref()) => Woken::Post(post),
                answered = answered(&mut self.answering) => Woken::Answered(answered),
                () = sleep_until(wake_at) => Woken::Time,
                // What is being answered is answered first: it may be committed already.
                _ = draining.wait_for(|draining| *draining), if self.answering.is_none() => Woken::ShutDown,
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
            Woken::Message(Some(Err(cause))) => return self.broken(&cause).await,
            Woken::Message(Some(Ok(message))) => {
                self.last_sign_of_life = now();
                match message {
                    Message::Binary(bytes) => {
                        self.record(Direction::In, &bytes);
                        Input::Packet(bytes)
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
                Input::Tick
            }
            Woken::ShutDown => Input::ShutDown,
        };
        self.input(input).await
    }

    /// Takes a post, and those that wait behind it.
    async fn posts(&mut self, first: Post) -> Result<(), ()> {
        self.input(Input::Post(first)).await?;
        for _ in 1..POSTS_AT_ONCE {
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
                Effect::Admit { id, token } => {
                    let result = self.app.admit(&token).await.map(Box::new);
                    if let Err(refused) = &result {
                        ends::note_refused(&self.app, token, refused, self.address);
                    }
                    Box::pin(self.input(Input::Admitted { id, result })).await?;
                    Box::pin(self.hold()).await?;
                }
                Effect::Enter { wants_typing } => self.enter(wants_typing).await?,
                Effect::Answer { id, request } => self.answering = self.answer(id, request),
                Effect::Detach(stream, part) => {
                    if let Some(mailbox) = &self.mailbox {
                        self.app.hub().detach(stream, Watch::Part(part), mailbox);
                        mailbox.detached(stream, Watch::Part(part));
                    }
                }
                Effect::Close(reason) => return self.close(reason).await,
            }
        }
        Ok(())
    }

    fn answer(&self, id: String, request: TunnelledRequest) -> Option<Answering> {
        let subscriber = self.subscriber()?;
        let origin = self.origin.clone();
        Some(Box::pin(async move {
            let Some(faults) = &subscriber.app.faults else {
                let (reply, cancelled) = perform(&subscriber, &origin, request).await;
                return Answered { id, reply, cancelled };
            };
            let (method, path) = (request.method.clone(), request.path.clone());
            let mut cancelled = Vec::new();
            let perform = async {
                let (reply, objects) = perform(&subscriber, &origin, request).await;
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

    async fn reply(&mut self, answered: Answered) -> Result<(), ()> {
        for object in answered.cancelled {
            self.input(Input::Cancelled(stream_of(object), part_of(object))).await?;
        }
        let packet = http_reply(&answered.id, answered.reply.status, &answered.reply.body);
        self.send(packet.into()).await
    }

    /// The connection is somebody's now.
    async fn enter(&mut self, wants_typing: bool) -> Result<(), ()> {
        let Some(admission) = self.session.admission() else { return Err(()) };
        let realtime = &self.app.config.realtime;
        let bounds = Bounds { packets_max: realtime.mailbox_packets_max, bytes_max: realtime.mailbox_bytes_max };
        self.mailbox = Some(Mailbox::new(admission.user.sid, wants_typing, bounds));
        let Some(subscriber) = self.subscriber() else { return Err(()) };
        if let Err(error) = subscriber.watch_own().await {
            refuse(&error, Surface::Sdk, "");
            return Err(());
        }
        let (account, user) = (subscriber.caller.account, subscriber.caller.user());
        self.counted =
            user.map(|user| self.app.presence.enter(Visitor { account, user: user.sid, service: user.service }));
        Ok(())
    }

    /// Lets the hub know whose connection it is. A revocation may have come by since the token was looked at.
    async fn hold(&mut self) -> Result<(), ()> {
        let (Some(admission), Some(mailbox)) = (self.session.admission(), &self.mailbox) else { return Ok(()) };
        let bearer = Arc::clone(&admission.bearer);
        let holder = Holder { connection: self.number, address: self.address, since: self.since, bearer };
        if ends::hold(&self.app, mailbox, holder, admission.ended_count) {
            Box::pin(self.input(Input::Post(Post::Revoked))).await
        } else {
            Ok(())
        }
    }

    /// Hands a packet to the websocket; [`Connection::flush`] sends it, and what else came meanwhile.
    async fn send(&mut self, packet: Bytes) -> Result<(), ()> {
        if self.is_cut() {
            return Err(());
        }
        self.record(Direction::Out, &packet);
        self.is_dirty = true;
        // A reader that takes nothing for as long as a ping may be unanswered is gone.
        let fed = tokio::time::timeout(self.silence_max(), self.socket.feed(Message::Binary(packet))).await;
        fed.map_err(drop)?.map_err(drop)
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
        let flushed = tokio::time::timeout(self.silence_max(), SinkExt::flush(&mut self.socket)).await;
        flushed.map_err(drop)?.map_err(drop)
    }

    async fn ping(&mut self) -> Result<(), ()> {
        if self.last_sign_of_life.elapsed() > self.silence_max() {
            return Err(());
        }
        if now() >= self.next_ping {
            self.next_ping = now() + self.ping_every();
            let sent = tokio::time::timeout(CLOSE_PATIENCE, self.socket.send(Message::Ping(Bytes::new()))).await;
            sent.map_err(drop)?.map_err(drop)?;
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
        let Some(due) = self.session.due() else { return self.next_ping };
        let wait = due.micros().saturating_sub(self.now().micros());
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
        (now() + wait).min(self.next_ping)
    }

    /// The time of the connection's account; a token lives by it.
    fn now(&self) -> Timestamp {
        match self.session.admission() {
            Some(admission) => self.app.clock.now(admission.caller.account),
            None => self.app.clock.machine(),
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
        let (code, text) = match reason {
            CloseReason::Goodbye | CloseReason::Refused => (1000, ""),
            CloseReason::Expired => (1000, "the token has expired"),
            CloseReason::Revoked => (1000, "the token was revoked"),
            CloseReason::ShutDown => (1001, "the server is going away"),
            CloseReason::Malformed => (1002, "not a packet"),
            CloseReason::TooSlow => (1001, "too slow; come back to catch up"),
            CloseReason::Cut => return Err(()),
        };
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
            recorder.note(self.app.clock.machine(), self.number, "close");
        }
        // A subscription that is just being made ends with its answer.
        self.answering = None;
        self.counted = None;
        let Some(mailbox) = &self.mailbox else { return };
        let mut hub = self.app.hub();
        for (stream, watch) in mailbox.take_attached() {
            hub.detach(stream, watch, mailbox);
        }
    }

    fn record(&self, direction: Direction, bytes: &[u8]) {
        if let Some(recorder) = &self.app.recorder {
            let client = self.session.admission().map(|admission| admission.user.identity.as_str());
            recorder.frame(self.app.clock.machine(), self.number, client, direction, bytes);
        }
    }
}

/// Browsers say which page opens a websocket; a page that is not listed stays out. Apps say nothing, and a
/// token is asked for in any case.
fn may_come_from(app: &App, headers: &HeaderMap) -> bool {
    let allowed = &app.config.realtime.allowed_origins;
    match headers.get("origin") {
        None => true,
        Some(origin) => allowed.iter().any(|one| one == "*" || one.as_bytes().eq_ignore_ascii_case(origin.as_bytes())),
    }
}

/// The answer to a request, and what it cancelled.
async fn perform(
    subscriber: &Subscriber,
    origin: &str,
    request: TunnelledRequest,
) -> (Reply, Vec<tertulia_protocol::sync::Object>) {
    if request.path == "/v4/Subscriptions" && request.method == "POST" {
        let answer = subscriber.answer(&request.body).await;
        return answer.unwrap_or_else(|error| (refuse(&error, Surface::Sdk, &request.path), Vec::new()));
    }
    (tunnel::answer(&subscriber.app, &subscriber.caller, origin, request).await, Vec::new())
}

async fn received(mailbox: Option<&Mailbox>) -> Result<Post, Overflow> {
    match mailbox {
        Some(mailbox) => mailbox.receive().await,
        None => std::future::pending().await,
    }
}

async fn answered(answering: &mut Option<Answering>) -> Answered {
    match answering {
        Some(future) => {
            let answered = future.await;
            *answering = None;
            answered
        }
        None => std::future::pending().await,
    }
}

fn is_too_large(cause: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(cause);
    while let Some(error) = source {
        if error.to_string().contains("too long") || error.to_string().contains("Space limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}

#[expect(clippy::disallowed_methods, reason = "a socket's silence is measured in real time, not in an account's")]
fn now() -> Instant {
    Instant::now()
}
