//! A server with its own empty store, and people who come in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tertulia_client::{Client, Conversation, NewConversation, Sid, sid};
use tertulia_server::dev::{DevCredentials, TOKEN_TTL_SECONDS};
use tertulia_server::platform::{AccountNumber, Clock, Config, ids};
use tertulia_server::{App, Options, Server, seal, store};

pub(crate) struct House {
    server: Server,
    pub(crate) dev: DevCredentials,
}

impl House {
    pub(crate) async fn open() -> Self {
        let mut config = Config::defaults();
        config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let dev = DevCredentials::fixed();
        let options = Options {
            engine: store::Engine::SqliteMemory,
            clock: Clock::system(),
            seal_keys: vec![seal::SealKey::new(ids::fresh_seed())],
            seal_file: None,
            operator: None,
            dev: Some(dev.clone()),
            record: None,
        };
        let app = App::open(config, options).await.unwrap();
        let server = Server::start(Arc::clone(&app)).await.unwrap();
        Self { server, dev }
    }

    pub(crate) fn uri(&self) -> String {
        format!("ws://{}{}", self.server.address(), tertulia_server::http::REALTIME_PATH)
    }

    pub(crate) fn token(&self, identity: &str) -> String {
        self.dev.mint(identity, now()).unwrap()
    }

    /// Moves the time of the one account there is.
    pub(crate) fn pass(&self, seconds: i64) {
        self.server.app().clock.advance(AccountNumber(1), seconds * 1_000_000);
    }

    pub(crate) async fn enter(&self, identity: &str) -> Client {
        Client::connect(&self.uri(), self.token(identity)).await.unwrap()
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

    pub(crate) async fn close(self) {
        self.server.stop().await;
    }
}

/// A token that has this many seconds left of the hours it was minted for.
pub(crate) fn short_lived(dev: &DevCredentials, identity: &str, seconds: i64) -> String {
    dev.mint(identity, now() + seconds - TOKEN_TTL_SECONDS).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Waits for what must come soon.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes within twenty seconds")
}
