//! A user's connection, and the calls that need no subscription.

use std::sync::Arc;

use serde_json::Value;
use tertulia_protocol::Sid;
use tertulia_protocol::sdk::BASE;
use tertulia_protocol::sid::Conversation as ConversationKind;
use tertulia_protocol::sync::ObjectType;

use crate::conversation::Conversation;
use crate::error::{ConnectError, Error};
use crate::link::{Link, encoded, path_in, unintelligible};
use crate::options::Options;
use crate::state::{ConnectionState, ConnectionStates};
use crate::subscription::Subscription;
use crate::token::TokenProvider;

/// A connection of one user. Cheap to clone; the connection ends with the last clone, and with the
/// last [`Conversation`] and [`Subscription`] made from it.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) link: Arc<Link>,
    pub(crate) own: Arc<Own>,
}

/// What the server's configuration says about the user.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) identity: String,
    /// Paths that requests go to.
    pub(crate) conversations: String,
    pub(crate) my_conversations: String,
    pub(crate) typing: String,
    /// Names of the user's two maps.
    pub(crate) map: String,
    pub(crate) info: String,
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
    /// Connects and waits until the server has accepted the token. `uri` is what the official SDK takes as
    /// `Twilsock.uri`; the token is a text or a [`TokenProvider`]. Once it is in, the client comes back by
    /// itself after every cut.
    pub async fn connect(uri: &str, token: impl Into<TokenProvider>) -> Result<Self, ConnectError> {
        Self::connect_with(uri, token, Options::default()).await
    }

    /// As [`Client::connect`], with choices.
    pub async fn connect_with(
        uri: &str,
        token: impl Into<TokenProvider>,
        options: Options,
    ) -> Result<Self, ConnectError> {
        if uri.starts_with("wss:") || uri.starts_with("https:") {
            return Err(ConnectError::Tls(uri.to_owned()));
        }
        let link = Link::open(uri, token.into(), &options).await.map_err(|why| ConnectError::new(uri, why))?;
        let own = Arc::new(Own::fetch(&link).await?);
        Ok(Self { link, own })
    }

    /// The state of the connection now.
    pub fn connection_state(&self) -> ConnectionState {
        self.link.states.borrow().clone()
    }

    /// The states of the connection from now on.
    pub fn connection_states(&self) -> ConnectionStates {
        let mut states = self.link.states.clone();
        states.mark_unchanged();
        ConnectionStates(states)
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
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let (status, bytes) = self.link.exchange(method, path, "application/json", body).await?;
        if bytes.is_empty() {
            return Ok((status, Value::Null));
        }
        serde_json::from_slice(&bytes).map(|value| (status, value)).map_err(|cause| unintelligible(path, cause))
    }

    /// Gives the server a new token. When it is refused, the client is over. Where a [`TokenProvider`] gives
    /// fresh ones, this is not needed.
    pub async fn update_token(&self, token: &str) -> Result<(), Error> {
        self.link.update_token(token).await
    }

    /// Says good-bye, and waits until the server has heard it, for three seconds at most.
    pub async fn close(self) {
        self.link.close().await;
    }

    pub(crate) fn path_of(&self, conversation: Sid<ConversationKind>) -> String {
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
            typing: path_in(text("/links/typing")?).to_owned(),
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
