//! Where the server is, and with which token to go there.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use tertulia_client::{ConnectError, TokenProvider};
use tertulia_token::{ChatGrant, Mint, Secret};

use crate::facts::{DevFacts, Facts};
use crate::token::now;

#[derive(Args)]
#[command(next_help_heading = "Where")]
pub(super) struct Place {
    /// The data folder of the dev server
    #[arg(long, default_value = "tertulia-data")]
    data: PathBuf,
    /// The realtime address (ws://…), instead of the dev server's
    #[arg(long, value_name = "ADDRESS", env = "TERTULIA_TWILSOCK_URI")]
    uri: Option<String>,
    /// An Access Token, instead of one that is minted
    #[arg(long, value_name = "TOKEN", env = "TERTULIA_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// A server, and tokens for it.
pub(super) struct Server {
    pub(super) uri: String,
    pub(super) tokens: TokenProvider,
}

impl Place {
    /// From the arguments, then the environment (`tertulia env`), then the data folder.
    pub(super) fn find(&self, identity: &str) -> Result<Server> {
        if let (Some(uri), Some(token)) = (&self.uri, &self.token) {
            return Ok(Server { uri: uri.clone(), tokens: token.as_str().into() });
        }
        let (uri, key) = match (&self.uri, DevFacts::from_env()) {
            (Some(uri), Some(key)) => (uri.clone(), Some(key)),
            (Some(uri), None) => {
                let facts = Facts::read(&self.data).with_context(|| {
                    format!("to talk to {uri}, give a token with --token, or the key that mints one (`tertulia env`)")
                })?;
                (uri.clone(), facts.dev)
            }
            (None, _) => {
                let facts = Facts::read(&self.data)?;
                (facts.twilsock_uri, facts.dev)
            }
        };
        if let Some(token) = &self.token {
            return Ok(Server { uri, tokens: token.as_str().into() });
        }
        let Some(key) = key else {
            bail!(
                "the server at {uri} is not in dev mode: give a token with --token, or set TERTULIA_TWILSOCK_URI and the \
                 TWILIO_… variables of a key that mints one"
            )
        };
        // Once here, so that what is wrong is said before anything is opened.
        mint(&key, identity)?;
        let identity = identity.to_owned();
        let tokens = TokenProvider::new(move || {
            let token = mint(&key, &identity).map_err(|cause| format!("{cause:#}"));
            async move { token }
        });
        Ok(Server { uri, tokens })
    }
}

fn mint(key: &DevFacts, identity: &str) -> Result<String> {
    if identity.is_empty() {
        bail!("--as needs a name");
    }
    let secret = Secret::new(key.api_secret.clone());
    let mint = Mint::new(&key.account_sid, &key.api_key, &secret)
        .identity(identity)
        .grant(ChatGrant::new(&key.chat_service_sid));
    let minted = mint.sign(now(None)).with_context(|| format!("a token for {identity} cannot be minted"))?;
    Ok(minted.token)
}

/// What a person can do about it.
pub(super) fn explain(error: ConnectError) -> anyhow::Error {
    let hint = match &error {
        ConnectError::Unreachable { .. } => "is the server running? Start one with `tertulia dev`",
        ConnectError::NotAWebsocket { status: 404, .. } => "the path of the address is /v3/wsconnect",
        ConnectError::NotAWebsocket { status: 503, .. } => "the server is full, or going away; try again",
        ConnectError::Refused(_) => "`tertulia token explain TOKEN` says what is wrong with a token",
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}; {hint}")
}
