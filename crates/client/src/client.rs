//! A user's connection, and the calls that need no subscription.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tertulia_protocol::Sid;
use tertulia_protocol::client::{ErrorBody, ReceivedStatus, init, message, update};
use tertulia_protocol::realtime::{ClientDescription, TunnelledRequest, message_type};
use tertulia_protocol::sdk::BASE;
use tertulia_protocol::sid::Conversation as ConversationKind;
use tertulia_protocol::sync::ObjectType;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::connection::{self, COMMANDS_MAX, Command, Connection, FAREWELL_MAX};
use crate::conversation::Conversation;
use crate::error::{ConnectError, Error, Refusal};
use crate::shared::{Reply, Shared, packet_id};
use crate::subscription::Subscription;
use crate::token::TokenProvider;

/// How long a reply may take (the official SDK's time, too).
pub(crate) const REPLY_MAX: Duration = Duration::from_secs(30);

/// A connection of one user. Cheap to clone; the connection ends with the last clone, and with the
/// last [`Conversation`] and [`Subscription`] made from it.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) link: Arc<Link>,
    own: Arc<Own>,
}

/// What the server's configuration says about the user.
#[derive(Debug)]
struct Own {
    identity: String,
    /// Paths that requests go to.
    conversations: String,
    my_conversations: String,
    /// Names of the user's two maps.
    map: String,
    info: String,
}

/// One of the user's conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MyConversation {
    /// The conversation.
    pub sid: Sid<ConversationKind>,
    /// Its friendly name.
    pub friendly_name: Option<String>,
    /// Its unique name.
    pub unique_name: Option<String>,
    /// The user's read horizon.
    pub last_read_message_index: Option<i64>,
}

/// What a new conversation is made of; everything may be left out.
#[derive(Clone, Debug, Default)]
pub struct NewConversation {
    /// A name to show.
    pub friendly_name: Option<String>,
    /// A name to find it by; one conversation a name.
    pub unique_name: Option<String>,
    /// Attributes, as JSON text.
    pub attributes: Option<String>,
}

impl NewConversation {
    /// With a name to show.
    pub fn named(friendly_name: impl Into<String>) -> Self {
        Self { friendly_name: Some(friendly_name.into()), ..Self::default() }
    }
}

impl Client {
    /// Opens a connection and waits until the server has accepted the token. `uri` is what the official
    /// SDK takes as `Twilsock.uri`; the token is a text or a [`TokenProvider`].
    pub async fn connect(uri: &str, token: impl Into<TokenProvider>) -> Result<Self, ConnectError> {
        let provider = token.into();
        let token = provider.token().await.map_err(ConnectError::Token)?;
        let link = timeout(REPLY_MAX, Link::open(uri, provider, token)).await.map_err(|_| Error::TimedOut)??;
        let status = link.init().await?;
        if !status.is_success() {
            return Err(ConnectError::Refused(status.into()));
        }
        let own = Arc::new(Own::fetch(&link).await?);
        Ok(Self { link, own })
    }

    /// Who the token says that this is.
    pub fn identity(&self) -> &str {
        &self.own.identity
    }

    /// The conversations that the user has joined, all of them.
    pub async fn conversations(&self) -> Result<Vec<MyConversation>, Error> {
        let mut all = Vec::new();
        let mut path = self.own.my_conversations.clone();
        loop {
            let page = self.link.json("GET", &path, None).await?;
            for row in page["conversations"].as_array().into_iter().flatten() {
                all.push(my_conversation(row).ok_or_else(|| unintelligible("my conversations", "a row has no SID"))?);
            }
            match page["meta"]["next_token"].as_str() {
                Some(next) => path = format!("{}?PageToken={}", self.own.my_conversations, encoded(next)),
                None => return Ok(all),
            }
        }
    }

    /// Makes a conversation. Its creator is not in it before [`Client::join`].
    pub async fn create_conversation(&self, new: &NewConversation) -> Result<Sid<ConversationKind>, Error> {
        let mut body = serde_json::json!({"attributes": new.attributes.as_deref().unwrap_or("{}")});
        for (name, value) in [("friendly_name", &new.friendly_name), ("unique_name", &new.unique_name)] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        let created = self.link.json("POST", &self.own.conversations, Some(&body)).await?;
        let sid = created["sid"].as_str().and_then(|sid| sid.parse().ok());
        sid.ok_or_else(|| unintelligible("the creation of a conversation", "it has no SID"))
    }

    /// Joins a conversation.
    pub async fn join(&self, conversation: Sid<ConversationKind>) -> Result<(), Error> {
        self.add(conversation, &self.own.identity).await
    }

    /// Adds somebody to a conversation.
    pub async fn add(&self, conversation: Sid<ConversationKind>, identity: &str) -> Result<(), Error> {
        let path = format!("{}/Participants", self.path_of(conversation));
        let body = serde_json::json!({"identity": identity});
        self.link.call("POST", &path, Some(&body)).await.map(drop)
    }

    /// Opens a conversation and subscribes to its messages: what comes from now on is received.
    pub async fn conversation(&self, conversation: Sid<ConversationKind>) -> Result<Conversation, Error> {
        Conversation::open(self, conversation, None).await
    }

    /// Opens a conversation and receives everything after a position that [`Conversation::position`] gave,
    /// on this connection or an earlier one; 0 is the beginning.
    pub async fn conversation_after(
        &self,
        conversation: Sid<ConversationKind>,
        position: i64,
    ) -> Result<Conversation, Error> {
        Conversation::open(self, conversation, Some(position)).await
    }

    /// Sends a message into a conversation, open here or not, and waits until the server keeps it. Gives
    /// its index.
    pub async fn send(&self, conversation: Sid<ConversationKind>, body: &str) -> Result<i64, Error> {
        let path = format!("{}/Messages", self.path_of(conversation));
        let body = serde_json::json!({"body": body, "attributes": "{}"});
        let answer = self.link.json("POST", &path, Some(&body)).await?;
        answer["index"].as_i64().ok_or_else(|| unintelligible(&path, "it has no index"))
    }

    /// Subscribes to objects by their names, from where each stands now.
    pub async fn subscribe(&self, objects: &[(&str, ObjectType)]) -> Result<Subscription, Error> {
        Subscription::open(self, objects).await
    }

    /// Subscribes to what every client of the official SDK hears: the user's own list of conversations
    /// (place 0; a conversation's SID is the key) and the user's own facts (place 1).
    pub async fn subscribe_own(&self) -> Result<Subscription, Error> {
        self.subscribe(&[(&self.own.map, ObjectType::Map), (&self.own.info, ObjectType::Map)]).await
    }

    /// Makes any request of the protocol: its status, and its body or null. A refusal is no error here.
    /// The path may be one of the server's absolute links, and have a query.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), Error> {
        let (status, bytes) = self.link.exchange_http(method, path, body).await?;
        if bytes.is_empty() {
            return Ok((status, Value::Null));
        }
        serde_json::from_slice(&bytes).map(|value| (status, value)).map_err(|cause| unintelligible(path, cause))
    }

    /// Gives the server a new token for this connection. When it is refused, the connection ends.
    pub async fn update_token(&self, token: &str) -> Result<(), Error> {
        self.link.update(token).await
    }

    /// Says good-bye, and waits until the server has heard it, for three seconds at most.
    pub async fn close(self) {
        let (done, finished) = oneshot::channel();
        if self.link.commands.send(Command::Close(done)).await.is_ok() {
            // Over, or the task will see to it.
            let _ = timeout(FAREWELL_MAX, finished).await;
        }
    }

    fn path_of(&self, conversation: Sid<ConversationKind>) -> String {
        format!("{}/{conversation}", self.own.conversations)
    }
}

impl Own {
    async fn fetch(link: &Link) -> Result<Self, Error> {
        let configuration = link.json("GET", &format!("{BASE}/Configuration"), None).await?;
        let text = |pointer: &str| {
            let text = configuration.pointer(pointer).and_then(Value::as_str);
            text.ok_or_else(|| unintelligible("the configuration", format!("it has no {pointer}")))
        };
        Ok(Self {
            identity: text("/identity")?.to_owned(),
            conversations: path_in(text("/links/conversations")?).to_owned(),
            my_conversations: path_in(text("/links/my_conversations")?).to_owned(),
            map: text("/sync_objects/my_conversations")?.to_owned(),
            info: text("/sync_objects/my_user_info")?.to_owned(),
        })
    }
}

fn my_conversation(row: &Value) -> Option<MyConversation> {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    Some(MyConversation {
        sid: row["conversation_sid"].as_str()?.parse().ok()?,
        friendly_name: text("friendly_name"),
        unique_name: text("unique_name"),
        last_read_message_index: row["last_read_message_index"].as_i64(),
    })
}

/// A connection, as its callers hold it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    provider: TokenProvider,
    /// The token that the server has.
    token: Mutex<String>,
}

/// A token that lives shorter than the server's warning is renewed this often at most.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

impl Link {
    async fn open(uri: &str, provider: TokenProvider, token: String) -> Result<Arc<Self>, ConnectError> {
        let socket = connection::open(uri).await?;
        let shared = Arc::new(Shared::default());
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let link = Arc::new(Self { shared: Arc::clone(&shared), commands, provider, token: Mutex::new(token) });
        tokio::spawn(Connection::new(socket, shared, receiver, Arc::downgrade(&link)).run());
        Ok(link)
    }

    async fn init(&self) -> Result<ReceivedStatus, Error> {
        const WANTED: [&str; 4] = [message_type::SYNC, message_type::DOCUMENT, message_type::LIST, message_type::MAP];
        let client = ClientDescription { sdk: "Rust".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let token = self.current_token();
        self.exchange(|id| init(id, &token, None, &WANTED, &client)).await.map(|reply| reply.status)
    }

    /// The token in use is not sent again; neither does the official SDK.
    async fn update(&self, token: &str) -> Result<(), Error> {
        if self.current_token() == token {
            return Ok(());
        }
        let status = self.exchange(|id| update(id, token)).await?.status;
        if !status.is_success() {
            return Err(Refusal::from(status).into());
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token.to_owned();
        Ok(())
    }

    /// The server says that the token is about to expire. When no new one comes, the connection ends at
    /// its time, and everybody who waits hears that.
    pub(crate) async fn renew(&self) {
        sleep(RENEWAL_PAUSE).await;
        if let Ok(token) = self.provider.token().await {
            let _ = self.update(&token).await;
        }
    }

    fn current_token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a packet and waits for its reply.
    async fn exchange(&self, packet: impl FnOnce(&str) -> Vec<u8>) -> Result<Reply, Error> {
        let id = self.shared.next_id();
        let receiver = self.shared.expect(id)?;
        let _waiting = Waiting { shared: &self.shared, id };
        let packet = packet(&packet_id(id));
        let reply = async {
            let sent = self.commands.send(Command::Send(packet)).await;
            sent.map_err(|_| self.shared.ended())?;
            receiver.await.unwrap_or_else(|_| Err(self.shared.ended()))
        };
        Ok(timeout(REPLY_MAX, reply).await.map_err(|_| Error::TimedOut)??)
    }

    async fn exchange_http(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Bytes), Error> {
        let (path, query) = path_in(path).split_once('?').unwrap_or((path_in(path), ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let request = TunnelledRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            params: pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            content_type: "application/json".to_owned(),
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let reply = self.exchange(|id| message(id, &request)).await?;
        match reply.http_status {
            Some(status) => Ok((status, reply.body)),
            // The packet itself was refused.
            None => Err(Refusal::from(reply.status).into()),
        }
    }

    /// Makes a request that must succeed; the body of its answer.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Bytes, Error> {
        let (status, answer) = self.exchange_http(method, path, body).await?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let told: ErrorBody = serde_json::from_slice(&answer).unwrap_or_default();
        Err(Refusal { status, ..Refusal::from(told) }.into())
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let answer = self.call(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|cause| unintelligible(path, cause))
    }

    /// Sends a packet whose reply nobody waits for, if there is room for it now.
    pub(crate) fn send_unasked(&self, method: &str, path: &str, body: &Value) {
        let request = TunnelledRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            params: Vec::new(),
            content_type: "application/json".to_owned(),
            body: body.to_string().into_bytes(),
        };
        let packet = message(&packet_id(self.shared.next_id()), &request);
        // Without room the server goes on telling what nobody hears; only bytes are lost by that.
        let _ = self.commands.try_send(Command::Send(packet));
    }
}

/// Stops waiting for a reply when the caller stops.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.forget(self.id);
    }
}

pub(crate) fn unintelligible(request: &str, cause: impl ToString) -> Error {
    Error::Unintelligible { request: request.to_owned(), cause: cause.to_string() }
}

/// The path and query of an absolute link; a path is left as it is.
pub(crate) fn path_in(link: &str) -> &str {
    let Some((_, rest)) = link.split_once("://") else { return link };
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Percent-encodes what may stand in one segment of a path or in a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lose_their_host_and_paths_stay() {
        assert_eq!(path_in("http://127.0.0.1:1/v3/Maps/MP1?Include=items"), "/v3/Maps/MP1?Include=items");
        assert_eq!(path_in("https://chat.example.com"), "/");
        assert_eq!(path_in("/v3/Maps"), "/v3/Maps");
    }

    #[test]
    fn names_are_encoded_for_one_segment() {
        assert_eq!(encoded("a b/ñ@x.channels"), "a%20b%2F%C3%B1%40x.channels");
    }
}
