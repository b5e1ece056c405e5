//! A bare connection of the realtime protocol, which does nothing by itself: for tests of slow and silent
//! readers, and for benches with thousands of them.

use std::io;

use tokio::net::{TcpSocket, TcpStream};

/// A websocket that reads when it is asked to and at no other time.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Read, and not taken yet.
    buffer: Vec<u8>,
    packets: u32,
    farewell: Option<(u16, String)>,
}

const HEAD: &str = "GET /v3/wsconnect HTTP/1.1\r\nhost: wire\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Wire {
    /// Opens a websocket; `receive_buffer` bounds what the kernel takes for a reader that does not read.
    /// The error of a refusal is the status line.
    pub async fn open(address: &str, receive_buffer: Option<u32>) -> io::Result<Self> {
        Self::open_with(address, receive_buffer, "").await
    }

    /// The same with more header lines, each with its end.
    pub async fn open_with(address: &str, receive_buffer: Option<u32>, headers: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let address = address.parse().map_err(io::Error::other)?;
        let stream = socket.connect(address).await?;
        let mut wire = Self { stream, buffer: Vec::new(), packets: 0, farewell: None };
        wire.write(format!("{HEAD}{headers}\r\n").as_bytes()).await?;
        let end = loop {
            if let Some(at) = wire.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            wire.read().await?;
        };
        let answer: Vec<u8> = wire.buffer.drain(..end).collect();
        if !answer.starts_with(b"HTTP/1.1 101") {
            let text = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
            return Err(io::Error::other(text));
        }
        Ok(wire)
    }

    /// Opens one, says who it is, and waits for the server's word.
    pub async fn enter(address: &str, receive_buffer: Option<u32>, token: &str) -> io::Result<Self> {
        let mut wire = Self::open(address, receive_buffer).await?;
        wire.init(token).await.map(|()| wire)
    }

    /// Says who it is, and waits for the server's word; the error of a refusal is that word.
    pub async fn init(&mut self, token: &str) -> io::Result<()> {
        let registrations = r#"[{"product":"ip_messaging","type":"ers","message_types":["twilio.sync.event"]}]"#;
        self.send(&format!(r#""method":"init","token":"{token}","registrations":{registrations}"#), "").await?;
        let reply = self.receive().await?;
        match reply {
            Some(reply) if contains(&reply, br#""code":200"#) => Ok(()),
            reply => Err(io::Error::other(String::from_utf8_lossy(&reply.unwrap_or_default()).into_owned())),
        }
    }

    /// Sends a packet: its header's members but for the id and the payload's size.
    pub async fn send(&mut self, members: &str, payload: &str) -> io::Result<()> {
        self.packets += 1;
        let header = format!(r#"{{"id":"TM{}",{members},"payload_size":{}}}"#, self.packets, payload.len());
        let packet = format!("TWILSOCK V3.0 {}\r\n{header}\r\n{payload}", header.len());
        self.frame(2, packet.as_bytes()).await
    }

    /// Gives the receipt for a packet of the server's.
    pub async fn acknowledge(&mut self, id: &str) -> io::Result<()> {
        let header = format!(r#"{{"id":"{id}","method":"reply","status":{{"code":200}},"payload_size":0}}"#);
        self.frame(2, format!("TWILSOCK V3.0 {}\r\n{header}\r\n", header.len()).as_bytes()).await
    }

    /// Sends a request that is tunnelled through the websocket.
    pub async fn request(&mut self, method: &str, path: &str, body: &str) -> io::Result<()> {
        let request = format!(r#"{{"host":"wire","method":"{method}","path":"{path}"}}"#);
        self.send(&format!(r#""method":"message","http_request":{request}"#), body).await
    }

    /// Subscribes to objects, each given as an entry of the request, and waits until all are established.
    /// Gives the answers.
    pub async fn subscribe(&mut self, entries: &[String]) -> io::Result<Vec<String>> {
        let requests = entries.join(",");
        let body = format!(r#"{{"action":"establish","correlation_id":1,"requests":[{requests}]}}"#);
        self.request("POST", "/v4/Subscriptions", &body).await?;
        let mut answers = Vec::with_capacity(entries.len());
        while answers.len() < entries.len() {
            let packet = self.receive().await?.ok_or_else(|| io::Error::other("closed"))?;
            if contains(&packet, b"subscription_established") {
                answers.push(String::from_utf8_lossy(&packet).into_owned());
            } else if contains(&packet, b"subscription_failed") {
                return Err(io::Error::other(String::from_utf8_lossy(&packet).into_owned()));
            }
        }
        Ok(answers)
    }

    /// The code and the reason with which the server closed the websocket, once it has.
    pub fn farewell(&self) -> Option<(u16, &str)> {
        self.farewell.as_ref().map(|(code, reason)| (*code, reason.as_str()))
    }

    /// The next packet; none when the server closes. Pings are answered.
    pub async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            while let Some((kind, payload)) = self.take_frame() {
                match kind {
                    2 => return Ok(Some(payload)),
                    8 => {
                        self.farewell = farewell(&payload);
                        return Ok(None);
                    }
                    9 => self.frame(10, &payload).await?,
                    _ => {}
                }
            }
            match self.read().await {
                Ok(()) => {}
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(cause) => return Err(cause),
            }
        }
    }

    /// A whole frame of the server's, which are not masked.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (length, head) = match *self.buffer.get(1)? {
            126 => (usize::from(u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?)), 4),
            127 => (usize::try_from(u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?)).ok()?, 10),
            short => (usize::from(short), 2),
        };
        let kind = self.buffer[0] & 15;
        let payload = self.buffer.get(head..head + length)?.to_vec();
        self.buffer.drain(..head + length);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        Some((kind, payload))
    }

    /// A frame as a client sends it; the mask of zeros changes nothing.
    async fn frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | kind];
        match u16::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.write(&frame).await
    }

    /// Sends these bytes as they are.
    pub async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                    return Ok(());
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                Err(cause) => return Err(cause),
            }
        }
    }
}

fn farewell(payload: &[u8]) -> Option<(u16, String)> {
    let (code, reason) = payload.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}
