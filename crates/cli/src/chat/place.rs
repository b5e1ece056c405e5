//! Where the server is, and with which token to go there.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use tertulia_client::{ConnectError, TokenProvider};
use tertulia_token::{ChatGrant, Mint, Secret};

use crate::facts::Facts;
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
        let facts = match (&self.uri, Facts::from_env()) {
            (Some(_), Some(facts)) => facts,
            (Some(uri), None) => Facts::read(&self.data).with_context(|| {
                format!("to talk to {uri}, give a token with --token, or the key that mints one (`tertulia env`)")
            })?,
            (None, _) => Facts::read(&self.data)?,
        };
        let uri = self.uri.clone().unwrap_or_else(|| facts.twilsock_uri.clone());
        if let Some(token) = &self.token {
            return Ok(Server { uri, tokens: token.as_str().into() });
        }
        // Once here, so that what is wrong is said before anything is opened.
        mint(&facts, identity)?;
        let identity = identity.to_owned();
        let tokens = TokenProvider::new(move || {
            let token = mint(&facts, &identity).map_err(|cause| format!("{cause:#}"));
            async move { token }
        });
        Ok(Server { uri, tokens })
    }
}

fn mint(facts: &Facts, identity: &str) -> Result<String> {
    if identity.is_empty() {
        bail!("--as needs a name");
    }
    let secret = Secret::new(facts.api_secret.clone());
    let mint = Mint::new(&facts.account_sid, &facts.api_key, &secret)
        .identity(identity)
        .grant(ChatGrant::new(&facts.chat_service_sid));
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
