//! Where the server is, and with which token to go there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use tertulia_client::{ConnectError, TokenProvider};
use tertulia_token::{ChatGrant, Mint, Secret};

use crate::facts::{DevFacts, Facts};
use crate::secure::Trust;
use crate::token::{chance, now};

#[derive(Args)]
#[command(next_help_heading = "Where")]
pub(super) struct Place {
    /// The data folder of the dev server
    #[arg(long, default_value = "tertulia-data")]
    data: PathBuf,
    /// The realtime address (ws://… or wss://…), instead of the dev server's
    #[arg(long, value_name = "ADDRESS", env = "TERTULIA_TWILSOCK_URI")]
    uri: Option<String>,
    /// An Access Token, instead of one that is minted; - reads it from the first line of standard input. Others who
    /// use this machine can see arguments: better use -, --token-file or the environment
    #[arg(long, value_name = "TOKEN", env = "TERTULIA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with the Access Token (- for the first line of standard input); it counts before --token
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// A PEM file with the authorities that vouch for a server at a wss:// address. [default: those of the operating
    /// system]
    #[arg(long, value_name = "FILE", env = "TERTULIA_CA_FILE", hide_env = true)]
    ca: Option<PathBuf>,
}

/// A server, and tokens for it.
pub(super) struct Server {
    pub(super) uri: String,
    pub(super) tokens: TokenProvider,
    /// With TLS: whose certificate is believed.
    pub(super) trust: Option<Trust>,
}

impl Place {
    /// From the arguments, then the environment (`tertulia env`), then the data folder.
    pub(super) fn find(&self, identity: &str) -> Result<Server> {
        let (uri, key, certificate) = self.server()?;
        let trust = match certificate {
            _ if !uri.starts_with("wss:") => None,
            Some(file) => Some(Trust::Exactly(file)),
            None => Some(Trust::authorities(self.ca.as_deref())?),
        };
        if let Some(token) = self.read_token()? {
            return Ok(Server { uri, tokens: token.as_str().into(), trust });
        }
        let Some(key) = key else {
            bail!(
                "the server at {uri} is not in dev mode: give a token with --token-file, or set TERTULIA_TWILSOCK_URI and the \
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
        Ok(Server { uri, tokens, trust })
    }

    fn has_token(&self) -> bool {
        self.token.is_some() || self.token_file.is_some()
    }

    /// The token that was given. Of standard input only the first line: the others are messages.
    fn read_token(&self) -> Result<Option<String>> {
        let is_dash = |path: &Path| path.as_os_str() == "-";
        match (self.token_file.as_deref(), self.token.as_deref()) {
            (Some(path), _) if !is_dash(path) => crate::token::read_token(Some(path)).map(Some),
            (Some(_), _) | (None, Some("-")) => first_line().map(Some),
            (None, token) => Ok(token.map(str::to_owned)),
        }
    }

    /// The address, a key that mints tokens for it, and the certificate of a server on this machine.
    fn server(&self) -> Result<(String, Option<DevFacts>, Option<PathBuf>)> {
        let Some(uri) = &self.uri else {
            let facts = Facts::read(&self.data)?;
            return Ok((facts.twilsock_uri, facts.dev, facts.certificate));
        };
        if self.has_token() {
            return Ok((uri.clone(), None, None));
        }
        if let Some(key) = DevFacts::from_env() {
            return Ok((uri.clone(), Some(key), None));
        }
        let facts = Facts::read(&self.data).with_context(|| {
            format!("to talk to {uri}, give a token with --token-file, or the key that mints one (`tertulia env`)")
        })?;
        Ok((uri.clone(), facts.dev, None))
    }
}

fn first_line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("the token could not be read from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn mint(key: &DevFacts, identity: &str) -> Result<String> {
    if identity.is_empty() {
        bail!("--as needs a name");
    }
    let secret = Secret::new(key.api_secret.clone());
    let mint = Mint::new(&key.account_sid, &key.api_key, &secret)
        .identity(identity)
        .grant(ChatGrant::new(&key.chat_service_sid));
    let minted = mint.sign(now(None), chance()).with_context(|| format!("a token for {identity} cannot be minted"))?;
    Ok(minted.token)
}

/// What a person can do about it.
pub(super) fn explain(error: ConnectError, trust: Option<&Trust>) -> anyhow::Error {
    let hint = match &error {
        ConnectError::Unreachable { cause, .. } if cause.contains("certificate") => {
            return anyhow::anyhow!("{error}; {}", trust.map(Trust::advice).unwrap_or_default());
        }
        ConnectError::Unreachable { .. } => "is the server running? Start one with `tertulia dev`",
        ConnectError::NotAWebsocket { status: 404, .. } => "the path of the address is /v3/wsconnect",
        ConnectError::NotAWebsocket { status: 503, .. } => "the server is full, or going away; try again",
        ConnectError::Refused(_) => "`tertulia token explain` says what is wrong with a token that you paste into it",
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}; {hint}")
}
