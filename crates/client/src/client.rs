//! A user's connection; what can be done with it is in the file of each noun.

use std::sync::Arc;

use serde_json::Value;
use tertulia_protocol::Sid;
use tertulia_protocol::sdk::BASE;
use tertulia_protocol::sid::Conversation as ConversationKind;

use crate::error::{ConnectError, Error};
use crate::link::{Link, path_in, unintelligible};
use crate::options::Options;
use crate::state::{ConnectionState, ConnectionStates};
use crate::token::TokenProvider;

/// A connection of one user. Cheap to clone; the connection ends with the last clone, and with the
/// last [`Conversation`](crate::Conversation) and [`Subscription`](crate::Subscription) made from it.
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
    pub(crate) users: String,
    pub(crate) typing: String,
    /// Names of the user's two maps.
    pub(crate) map: String,
    pub(crate) info: String,
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
        if cfg!(not(feature = "tls")) && uri.starts_with("wss:") {
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
            users: path_in(text("/links/users")?).to_owned(),
            typing: path_in(text("/links/typing")?).to_owned(),
            map: text("/sync_objects/my_conversations")?.to_owned(),
            info: text("/sync_objects/my_user_info")?.to_owned(),
        })
    }
}
