//! The task of a client: performs what the core wants, on a socket and a clock.
//!
//! Reading never waits for writing: receipts gather in the socket's buffer while packets come in, and go
//! out together. Two sides that each wait for the other to read would wait for ever. It must never decide
//! anything: what a packet, a cut or a silence means is the core's business.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::core::{Call, CallFailure, Core, Effect, Queue, REPLY_MAX, Reply, Watch};
use crate::error::Disconnected;
use crate::state::ConnectionState;
use crate::tls::{Socket, Trust};
use crate::token::TokenProvider;
use crate::typing::Typing;

/// Commands of callers that may wait for the task.
pub(crate) const COMMANDS_MAX: usize = 8;
/// Read buffer of a connection; the library's default is 128 KiB.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Receipts gather up to here before they are written.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// A server that takes nothing while this much waits for it is given up.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// A page of the longest messages is larger than any other packet.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a farewell may take (the official SDK's time, too).
pub(crate) const FAREWELL_MAX: Duration = Duration::from_secs(3);
/// Packets that are read in a row before callers have their turn.
const TURN_MAX: u32 = 32;

pub(crate) type Outcome = Result<Reply, CallFailure>;

/// Something that a caller wants, and waits for.
#[derive(Debug)]
pub(crate) enum Command {
    Call(Call, oneshot::Sender<Outcome>),
    UpdateToken(u64, String, oneshot::Sender<Outcome>),
    Subscribe(u64, Arc<Queue>, Vec<Watch>),
    /// Say good-bye, and say when it is done.
    Close(oneshot::Sender<()>),
}

/// Something that nobody waits for, and that must not be lost; there are no more of them than calls and
/// subscriptions.
#[derive(Debug)]
pub(crate) enum Note {
    Forget(u64),
    Unsubscribe(u64),
    Resume(u64),
}

/// The other ends of what callers hold.
pub(crate) struct Ends {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) notes: mpsc::UnboundedReceiver<Note>,
    pub(crate) states: watch::Sender<ConnectionState>,
    pub(crate) typing: broadcast::Sender<Typing>,
}

pub(crate) struct Driver {
    core: Core,
    uri: String,
    trust: Trust,
    provider: TokenProvider,
    ends: Ends,
    callers: HashMap<u64, oneshot::Sender<Outcome>>,
    socket: Option<Box<Socket>>,
    connecting: Option<BoxFuture<'static, Result<Box<Socket>, Disconnected>>>,
    asking: Option<BoxFuture<'static, Result<String, String>>>,
    /// The farewell of the last socket.
    leaving: Option<JoinHandle<()>>,
    closed: Option<oneshot::Sender<()>>,
    began: Instant,
    alarm: Pin<Box<Sleep>>,
    armed: Option<Duration>,
    is_unflushed: bool,
    turn: u32,
}

/// What the task woke up for.
enum Woken {
    Read(Option<Result<Message, tungstenite::Error>>),
    Broken(tungstenite::Error),
    Opened(Result<Box<Socket>, Disconnected>),
    Token(Result<String, String>),
    Command(Option<Command>),
    Note(Note),
    Time,
}

impl Driver {
    pub(crate) fn new(core: Core, uri: String, trust: Trust, provider: TokenProvider, ends: Ends) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the edge where the core's time begins")]
        let began = Instant::now();
        Self {
            core,
            uri,
            trust,
            provider,
            ends,
            callers: HashMap::new(),
            socket: None,
            connecting: None,
            asking: None,
            leaving: None,
            closed: None,
            began,
            alarm: Box::pin(sleep_until(began)),
            armed: None,
            is_unflushed: false,
            turn: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        self.core.start(self.now());
        self.perform();
        while self.core.over().is_none() {
            self.arm();
            let woken = poll_fn(|context| self.poll_woken(context)).await;
            self.take(woken);
            self.perform();
        }
        // Whoever came too late is told so, too.
        self.ends.commands.close();
        while let Ok(command) = self.ends.commands.try_recv() {
            self.obey(self.now(), command);
            self.perform();
        }
        if let Some(leaving) = self.leaving.take() {
            // It ends by itself.
            let _ = leaving.await;
        }
        // Whoever asked may have stopped waiting.
        let _ = self.closed.take().map(|closed| closed.send(()));
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Sets the alarm, if it must ring earlier; one that rings too early does no harm.
    fn arm(&mut self) {
        if let Some(due) = self.core.due()
            && self.armed.is_none_or(|armed| due < armed)
        {
            self.alarm.as_mut().reset(self.began + due);
            self.armed = Some(due);
        }
    }

    fn poll_woken(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        // First, so that whoever drops a subscription can make it anew.
        if let Poll::Ready(Some(note)) = self.ends.notes.poll_recv(context) {
            return Poll::Ready(Woken::Note(note));
        }
        let callers_first = self.turn >= TURN_MAX;
        if callers_first {
            self.turn = 0;
            if let Poll::Ready(woken) = self.poll_out(context) {
                return Poll::Ready(woken);
            }
        }
        if let Some(socket) = &mut self.socket
            && let Poll::Ready(read) = socket.poll_next_unpin(context)
        {
            self.turn += 1;
            return Poll::Ready(Woken::Read(read));
        }
        if !callers_first && let Poll::Ready(woken) = self.poll_out(context) {
            return Poll::Ready(woken);
        }
        if let Some(connecting) = &mut self.connecting
            && let Poll::Ready(opened) = connecting.poll_unpin(context)
        {
            self.connecting = None;
            return Poll::Ready(Woken::Opened(opened));
        }
        if let Some(asking) = &mut self.asking
            && let Poll::Ready(token) = asking.poll_unpin(context)
        {
            self.asking = None;
            return Poll::Ready(Woken::Token(token));
        }
        if self.armed.is_some() {
            return self.alarm.as_mut().poll(context).map(|()| Woken::Time);
        }
        Poll::Pending
    }

    /// Writes what waits; only when nothing does, callers may add to it.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        if let Some(socket) = &mut self.socket
            && self.is_unflushed
        {
            match socket.poll_flush_unpin(context) {
                Poll::Ready(Ok(())) => self.is_unflushed = false,
                Poll::Ready(Err(cause)) => return Poll::Ready(Woken::Broken(cause)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.ends.commands.poll_recv(context).map(Woken::Command)
    }

    fn take(&mut self, woken: Woken) {
        let now = self.now();
        match woken {
            Woken::Read(Some(Ok(message))) => self.read(now, message),
            Woken::Read(None) => self.lose(now, Disconnected::ByServer { code: 1006, reason: String::new() }),
            Woken::Read(Some(Err(cause))) | Woken::Broken(cause) => {
                self.lose(now, Disconnected::Broken(cause.to_string()));
            }
            Woken::Opened(Ok(socket)) => {
                self.socket = Some(socket);
                self.is_unflushed = false;
                self.core.connected(now);
            }
            Woken::Opened(Err(why)) => self.core.disconnected(now, why),
            Woken::Token(token) => self.core.token(now, token),
            Woken::Command(Some(command)) => self.obey(now, command),
            // Nobody holds the client any more.
            Woken::Command(None) => self.core.close(),
            Woken::Note(Note::Forget(id)) => {
                self.callers.remove(&id);
                self.core.forget(id);
            }
            Woken::Note(Note::Resume(subscription)) => self.core.resume(now, subscription),
            Woken::Note(Note::Unsubscribe(subscription)) => self.core.unsubscribe(now, subscription),
            Woken::Time => {
                self.armed = None;
                self.core.tick(now);
            }
        }
    }

    fn obey(&mut self, now: Duration, command: Command) {
        match command {
            Command::Call(call, caller) => {
                self.callers.insert(call.id, caller);
                self.core.call(now, call);
            }
            Command::UpdateToken(id, token, caller) => {
                self.callers.insert(id, caller);
                self.core.update_token(now, id, token);
            }
            Command::Subscribe(subscription, queue, objects) => {
                self.core.subscribe(now, subscription, &queue, objects);
            }
            Command::Close(closed) => {
                self.closed = Some(closed);
                self.core.close();
            }
        }
    }

    fn read(&mut self, now: Duration, message: Message) {
        match message {
            Message::Binary(bytes) => self.core.packet(now, &bytes),
            Message::Close(frame) => {
                let (code, reason) = match frame {
                    Some(frame) => (frame.code.into(), frame.reason.as_str().to_owned()),
                    None => (1005, String::new()),
                };
                self.core.disconnected(now, Disconnected::ByServer { code, reason });
                // Our half of the websocket's own close.
                self.leave();
            }
            // The library answers pings; text is ignored, as the official SDK does.
            _ => self.core.heard(now),
        }
    }

    /// The socket is of no use any more.
    fn lose(&mut self, now: Duration, why: Disconnected) {
        self.socket = None;
        self.core.disconnected(now, why);
    }

    fn leave(&mut self) {
        self.connecting = None;
        if let Some(socket) = self.socket.take() {
            self.leaving = Some(tokio::spawn(farewell(socket)));
        }
    }

    fn perform(&mut self) {
        while let Some(effect) = self.core.effect() {
            match effect {
                Effect::Token => {
                    let token = timeout(REPLY_MAX, self.provider.token());
                    let late = "none came within 30 seconds";
                    self.asking = Some(Box::pin(async move {
                        token.await.map_err(|_| late.to_owned())?.map_err(|cause| cause.to_string())
                    }));
                }
                Effect::Connect => self.connecting = Some(Box::pin(open(self.uri.clone(), self.trust.clone()))),
                Effect::Send(packet) => self.write(Message::Binary(packet.into())),
                Effect::Ping => self.write(Message::Ping(Bytes::new())),
                Effect::Disconnect => self.leave(),
                Effect::Finish(id, outcome) => {
                    if let Some(caller) = self.callers.remove(&id) {
                        // Whoever stopped waiting does not want it.
                        let _ = caller.send(outcome);
                    }
                }
                // Nobody may listen.
                Effect::Typing(typing) => drop(self.ends.typing.send(typing)),
                Effect::State(state) => drop(self.ends.states.send_replace(state)),
            }
        }
    }

    /// Puts a message into the socket's buffer; it goes out when nothing more is to be read.
    fn write(&mut self, message: Message) {
        let Some(socket) = &mut self.socket else { return };
        self.is_unflushed = true;
        if let Err(cause) = socket.start_send_unpin(message) {
            self.lose(self.now(), Disconnected::Broken(cause.to_string()));
        }
    }
}

/// Opens a websocket.
async fn open(uri: String, trust: Trust) -> Result<Box<Socket>, Disconnected> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match timeout(REPLY_MAX, trust.connect(uri, config)).await {
        Ok(Ok(socket)) => Ok(Box::new(socket)),
        Ok(Err(tungstenite::Error::Http(response))) => Err(Disconnected::NotAWebsocket(response.status().as_u16())),
        Ok(Err(cause)) => Err(Disconnected::Unreachable(cause.to_string())),
        Err(_) => Err(Disconnected::Unreachable("no answer within 30 seconds".to_owned())),
    }
}

/// What waits for the socket, then the websocket's own close, as far as the server listens. Until the
/// server has closed, too: a socket dropped with unread bytes in it resets, and what was sent last is lost.
async fn farewell(mut socket: Box<Socket>) {
    let all = async {
        if socket.as_mut().close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A server that does not close in time is left.
    let _ = timeout(FAREWELL_MAX, all).await;
}
