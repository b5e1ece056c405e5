//! A small blocking HTTP client that sends exactly what a test says: paths as they are, any header.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Somebody who asks, with or without credentials.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// What the server said.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// What was asked, for the message of a test that fails.
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The bytes of the body as text.
    pub(crate) text: String,
    /// The body, `null` without one.
    pub(crate) body: Value,
}

impl Actor {
    pub(crate) fn new(address: SocketAddr, credentials: Option<(&str, &str)>) -> Self {
        let actor = Self { address, headers: Vec::new() };
        credentials.map_or_else(|| actor.clone(), |(user, secret)| actor.with_credentials(user, secret))
    }

    pub(crate) fn with_credentials(&self, user: &str, secret: &str) -> Self {
        self.with("Authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))))
    }

    /// The same actor, who also sends this header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut actor = self.clone();
        actor.headers.push((name.to_owned(), value.to_owned()));
        actor
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"")
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, b"")
    }

    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send("POST", path, body.as_bytes())
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let asked = format!("{method} {path}");
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        head.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("the server reads");
        // A server that refuses early need not read it all.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{asked}: {error}"));
        Answer::read(asked, &bytes)
    }
}

impl Answer {
    fn read(asked: String, bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{asked}: no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<_> = lines.filter_map(pair).collect();
        assert!(!headers.iter().any(|(name, _)| name == "transfer-encoding"), "{asked}: the client reads no chunks");
        Self {
            status: status.unwrap_or_else(|| panic!("{asked}: no status: {head}")),
            headers,
            body: serde_json::from_str(body).unwrap_or(Value::Null),
            text: body.to_owned(),
            asked,
        }
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        self.body
    }

    /// A refusal with this status and code, and with exactly the four keys; gives its message.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, code: u64) -> String {
        let body = self.body.as_object().unwrap_or_else(|| panic!("{}: {} {}", self.asked, self.status, self.text));
        let keys: Vec<_> = body.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "more_info", "status"], "{}", self.asked);
        assert_eq!((self.status, &body["code"]), (status, &Value::from(code)), "{}: {}", self.asked, self.text);
        assert_eq!(body["status"], status, "{}", self.asked);
        assert_eq!(body["more_info"], format!("https://www.twilio.com/docs/errors/{code}"), "{}", self.asked);
        body["message"].as_str().expect("a text").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
