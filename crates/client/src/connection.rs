//! The task of a connection: reads packets and sorts them, writes what callers send, keeps watch.
//!
//! Reading never waits for writing: receipts gather in the socket's buffer while packets come in, and go
//! out together. Two sides that each wait for the other to read would wait for ever.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tertulia_protocol::client::{ServerPacket, acknowledgement, close};
use tertulia_protocol::realtime::message_type;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::client::Link;
use crate::error::{ConnectError, Disconnected};
use crate::shared::{Reply, Shared, packet_id};

/// Packets of callers that may wait for the task.
pub(crate) const COMMANDS_MAX: usize = 8;
/// Read buffer of a connection; the library's default is 128 KiB.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Receipts gather up to here before they are written.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// A server that takes nothing while this much waits for it is given up.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// A page of the longest messages is larger than any other packet.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A server that was silent for two of these is asked for a sign of life, and after a third given up.
const SILENCE_EVERY: Duration = Duration::from_secs(30);
/// How long a farewell may take (the official SDK's time, too).
pub(crate) const FAREWELL_MAX: Duration = Duration::from_secs(3);
/// Packets that are read in a row before callers have their turn.
const TURN_MAX: u32 = 32;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Something for the task to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send a packet.
    Send(Vec<u8>),
    /// Say good-bye, and say when it is done.
    Close(oneshot::Sender<()>),
}

/// Opens a websocket.
pub(crate) async fn open(uri: &str) -> Result<Socket, ConnectError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match connect_async_with_config(uri, Some(config), true).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => {
            Err(ConnectError::NotAWebsocket { uri: uri.to_owned(), status: response.status().as_u16() })
        }
        Err(cause) => Err(ConnectError::Unreachable { uri: uri.to_owned(), cause: cause.to_string() }),
    }
}

pub(crate) struct Connection {
    socket: Socket,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    /// For renewing the token; the task itself keeps no client alive.
    link: Weak<Link>,
    silence: Pin<Box<Sleep>>,
    /// How often `silence` has ended since something was heard.
    silences: u8,
    is_unflushed: bool,
    turn: u32,
}

/// What the task woke up for.
enum Woken {
    Read(Option<Result<Message, tungstenite::Error>>),
    Broken(tungstenite::Error),
    Command(Option<Command>),
    Silence,
}

impl Connection {
    pub(crate) fn new(
        socket: Socket,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        link: Weak<Link>,
    ) -> Self {
        let silence = Box::pin(sleep(SILENCE_EVERY));
        Self { socket, shared, commands, link, silence, silences: 0, is_unflushed: false, turn: 0 }
    }

    pub(crate) async fn run(mut self) {
        let why = loop {
            let woken = poll_fn(|context| self.poll_woken(context)).await;
            match self.take(woken).await {
                Ok(()) => {}
                Err(why) => break why,
            }
        };
        self.shared.end(&why);
        // The last receipt and the websocket's own close, if the server still takes them.
        let _ = tokio::time::timeout(FAREWELL_MAX, self.socket.close(None)).await;
    }

    fn poll_woken(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        let callers_first = self.turn >= TURN_MAX;
        if callers_first {
            self.turn = 0;
            if let Poll::Ready(woken) = self.poll_out(context) {
                return Poll::Ready(woken);
            }
        }
        if let Poll::Ready(read) = self.socket.poll_next_unpin(context) {
            self.turn += 1;
            return Poll::Ready(Woken::Read(read));
        }
        if !callers_first && let Poll::Ready(woken) = self.poll_out(context) {
            return Poll::Ready(woken);
        }
        self.silence.as_mut().poll(context).map(|()| Woken::Silence)
    }

    /// Writes what waits; only when nothing does, callers may add to it.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        if self.is_unflushed {
            match self.socket.poll_flush_unpin(context) {
                Poll::Ready(Ok(())) => self.is_unflushed = false,
                Poll::Ready(Err(cause)) => return Poll::Ready(Woken::Broken(cause)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.commands.poll_recv(context).map(Woken::Command)
    }

    /// Takes in what happened. `Err` when the connection is over.
    async fn take(&mut self, woken: Woken) -> Result<(), Disconnected> {
        match woken {
            Woken::Read(Some(Ok(message))) => self.read(message),
            Woken::Read(None) => Err(Disconnected::ByServer { code: 1006, reason: String::new() }),
            Woken::Read(Some(Err(cause))) | Woken::Broken(cause) => Err(Disconnected::Broken(cause.to_string())),
            Woken::Command(Some(Command::Send(packet))) => self.send(packet),
            Woken::Command(Some(Command::Close(done))) => {
                self.farewell().await;
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
                Err(Disconnected::Closed)
            }
            Woken::Command(None) => {
                self.farewell().await;
                Err(Disconnected::Closed)
            }
            Woken::Silence => self.listen(),
        }
    }

    fn read(&mut self, message: Message) -> Result<(), Disconnected> {
        self.silences = 0;
        match message {
            Message::Binary(bytes) => self.packet(&bytes),
            Message::Close(frame) => Err(match frame {
                Some(frame) => {
                    Disconnected::ByServer { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
                }
                None => Disconnected::ByServer { code: 1005, reason: String::new() },
            }),
            // The library answers pings; text is ignored, as the official SDK does.
            _ => Ok(()),
        }
    }

    fn packet(&mut self, bytes: &Bytes) -> Result<(), Disconnected> {
        let malformed = |cause: String| Disconnected::Malformed(cause);
        match ServerPacket::parse(bytes).map_err(|cause| malformed(cause.to_string()))? {
            ServerPacket::Reply { id, status, http_status, payload } => {
                self.shared.answer(&id, Reply { status, http_status, body: bytes.slice_ref(payload) });
                Ok(())
            }
            ServerPacket::Notification { id, message_type, payload } => {
                self.send(acknowledgement(&id))?;
                if is_sync(&message_type) {
                    self.shared.deliver(bytes, payload).map_err(|cause| malformed(cause.to_string()))?;
                }
                Ok(())
            }
            ServerPacket::TokenAboutToExpire { id } => {
                self.send(acknowledgement(&id))?;
                if let Some(link) = self.link.upgrade() {
                    tokio::spawn(async move { link.renew().await });
                }
                Ok(())
            }
            ServerPacket::Close { id, status } => {
                self.send(acknowledgement(&id))?;
                Err(Disconnected::Goodbye(status.into()))
            }
            ServerPacket::Other { id } => self.send(acknowledgement(&id)),
        }
    }

    /// Puts a packet into the socket's buffer; it goes out when nothing more is to be read.
    fn send(&mut self, packet: Vec<u8>) -> Result<(), Disconnected> {
        self.write(Message::Binary(packet.into()))
    }

    fn write(&mut self, message: Message) -> Result<(), Disconnected> {
        self.is_unflushed = true;
        self.socket.start_send_unpin(message).map_err(|cause| Disconnected::Broken(cause.to_string()))
    }

    fn listen(&mut self) -> Result<(), Disconnected> {
        self.silence = Box::pin(sleep(SILENCE_EVERY));
        self.silences += 1;
        match self.silences {
            1 => Ok(()),
            2 => self.write(Message::Ping(Bytes::new())),
            _ => Err(Disconnected::Silent),
        }
    }

    /// The packet that says good-bye, then the websocket's own close, as far as the server listens.
    async fn farewell(&mut self) {
        let goodbye = close(&packet_id(self.shared.next_id()));
        let all = async {
            if self.socket.send(Message::Binary(goodbye.into())).await.is_ok() {
                while let Some(Ok(message)) = self.socket.next().await {
                    if matches!(message, Message::Close(_)) {
                        break;
                    }
                }
            }
        };
        // A server that does not close in time is left.
        let _ = tokio::time::timeout(FAREWELL_MAX, all).await;
    }
}

fn is_sync(kind: &str) -> bool {
    matches!(kind, message_type::SYNC | message_type::DOCUMENT | message_type::LIST | message_type::MAP)
}
