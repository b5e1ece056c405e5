//! A server with its own empty store, and people who come in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tertulia_client::{Backoff, Client, Conversation, NewConversation, Sid, sid};
use tertulia_server::dev::{DevCredentials, TOKEN_TTL_SECONDS};
use tertulia_server::platform::{AccountNumber, Clock, Config};
use tertulia_server::{App, Options, Server, seal, store};
use testkit::{TempDir, temp_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gate::Gate;

pub(crate) struct House {
    server: Option<Server>,
    config: Config,
    folder: Option<TempDir>,
    pub(crate) dev: DevCredentials,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(None).await
    }

    /// A house that speaks TLS, with this certificate.
    pub(crate) async fn with_tls(folder: TempDir, certificate: &str, key: &str) -> Self {
        let mut config = Config::defaults();
        config.tls.certificate = certificate.to_owned();
        config.tls.key = key.to_owned();
        Self::of(config, Some(folder)).await
    }

    /// A house whose server can stop and start again.
    pub(crate) async fn lasting() -> Self {
        Self::with(Some(temp_dir())).await
    }

    async fn with(folder: Option<TempDir>) -> Self {
        Self::of(Config::defaults(), folder).await
    }

    async fn of(mut config: Config, folder: Option<TempDir>) -> Self {
        config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut house = Self { server: None, config, folder, dev: DevCredentials::fixed() };
        house.start().await;
        house
    }

    /// The server comes back, on the port that it had.
    pub(crate) async fn start(&mut self) {
        let engine = match &self.folder {
            Some(folder) => store::Engine::Sqlite { folder: folder.path().to_path_buf() },
            None => store::Engine::SqliteMemory,
        };
        let options = Options {
            engine,
            clock: Clock::system(),
            seal_keys: vec![seal::SealKey::new([7; 32])],
            seal_file: None,
            operator: None,
            dev: Some(self.dev.clone()),
            record: None,
        };
        let app = App::open(self.config.clone(), options).await.unwrap();
        let server = Server::start(Arc::clone(&app)).await.unwrap();
        self.config.http.listen = server.address();
        self.server = Some(server);
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.config.http.listen
    }

    pub(crate) fn uri(&self) -> String {
        uri_at(self.address())
    }

    pub(crate) fn token(&self, identity: &str) -> String {
        self.dev.mint(identity, now()).unwrap()
    }

    /// Moves the time of the one account there is.
    pub(crate) fn pass(&self, seconds: i64) {
        self.server.as_ref().unwrap().app().db.clock.advance(AccountNumber(1), seconds * 1_000_000);
    }

    pub(crate) async fn enter(&self, identity: &str) -> Client {
        Client::connect_with(&self.uri(), self.token(identity), soon_back()).await.unwrap()
    }

    /// Somebody who comes in through a gate.
    pub(crate) async fn enter_through(&self, gate: &Gate, identity: &str) -> Client {
        Client::connect_with(&gate.uri(), self.token(identity), soon_back()).await.unwrap()
    }

    /// A conversation that these people have joined and opened, with the connection of the first.
    pub(crate) async fn talk<const N: usize>(&self, people: [&str; N]) -> (Client, [Conversation; N]) {
        let mut clients = Vec::new();
        for identity in people {
            clients.push(self.enter(identity).await);
        }
        let first = clients[0].clone();
        let sid = first.create_conversation(&NewConversation::named("Friday")).await.unwrap();
        first.join(sid).await.unwrap();
        let mut open = Vec::new();
        for client in &clients {
            if client.identity() != first.identity() {
                first.add(sid, client.identity()).await.unwrap();
            }
            open.push(client.conversation(sid).await.unwrap());
        }
        (first, open.try_into().unwrap())
    }

    pub(crate) fn path_of(&self, conversation: Sid<sid::Conversation>) -> String {
        format!("/Client/v2/Services/{}/Conversations/{conversation}", self.dev.service)
    }

    /// Asks the server for a fault of docs/dev-mode.md, or takes all away when there is no form.
    pub(crate) async fn fault(&self, form: Option<&str>) {
        let credentials = STANDARD.encode(format!("{}:{}", self.dev.account, self.dev.auth_token));
        let (method, body) = form.map_or(("DELETE", ""), |form| ("POST", form));
        let request = format!(
            "{method} /tertulia/v1/Faults HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.address(),
            body.len()
        );
        let mut socket = TcpStream::connect(self.address()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{form:?}: {answer}");
    }

    pub(crate) async fn close(mut self) {
        self.stop().await;
    }
}

/// A token that has this many seconds left of the hours it was minted for.
pub(crate) fn short_lived(dev: &DevCredentials, identity: &str, seconds: i64) -> String {
    dev.mint(identity, now() + seconds - TOKEN_TTL_SECONDS).unwrap()
}

pub(crate) fn uri_at(address: SocketAddr) -> String {
    format!("ws://{address}{}", tertulia_server::http::REALTIME_PATH)
}

/// Tests come back sooner than people.
pub(crate) fn soon_back() -> tertulia_client::Options {
    let backoff = Backoff { min: Duration::from_millis(5), max: Duration::from_millis(50), jitter_percent: 20 };
    tertulia_client::Options { reconnect: Some(backoff), seed: Some(7), ..tertulia_client::Options::default() }
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Waits for what must come soon.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes within twenty seconds")
}
