//! `tertulia dev`: a whole service in one command, for development and CI.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tertulia_server::dev::{DevCredentials, IDENTITIES};
use tertulia_server::platform::config::EngineName;
use tertulia_server::platform::{Clock, Config, Ids, ids};
use tertulia_server::{App, Options, Server, seal, store};

use crate::facts::{self, Facts, write_whole};
use crate::logging;

/// Run a service for development and CI, with an account, a key and two people ready.
///
/// Everything is kept in one folder. What an app needs is printed once; `tertulia env` prints it again.
///
/// Example: tertulia dev --ephemeral --port 0 --env-file .env.tertulia
#[derive(Args)]
pub(crate) struct Dev {
    /// The folder for the database; made if it is not there.
    #[arg(long, default_value = "tertulia-data", conflicts_with = "ephemeral")]
    data: PathBuf,
    /// Keep nothing: the data are gone when the server ends.
    #[arg(long)]
    ephemeral: bool,
    /// The port; 0 takes a free one. [default: 8765]
    #[arg(long)]
    port: Option<u16>,
    /// The address to listen on. Beyond loopback, the credentials are random ones. [default: 127.0.0.1]
    #[arg(long)]
    host: Option<IpAddr>,
    /// Write the addresses and credentials as NAME='value' lines, the moment the server is ready.
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
    /// Write every frame of every connection into this folder, as JSON lines.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// A configuration file with the keys that differ from the defaults (`tertulia config`).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(command: Dev) -> anyhow::Result<ExitCode> {
    let config = command.config()?;
    logging::begin(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(command.serve(config))?;
    Ok(ExitCode::SUCCESS)
}

impl Dev {
    fn config(&self) -> anyhow::Result<Config> {
        // What is not UTF-8 is not ours.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut config = Config::load_for_dev(self.config.as_deref(), variables)?;
        config.http.listen.set_port(self.port.unwrap_or(config.http.listen.port()));
        if let Some(host) = self.host {
            config.http.listen = SocketAddr::new(host, config.http.listen.port());
        }
        Ok(config)
    }

    async fn serve(self, config: Config) -> anyhow::Result<()> {
        // Asked for before anything is there to be ended, so that an early signal is not lost.
        let mut signals = Signals::new()?;
        let options = self.options(&config)?;
        let app = App::open(config, options).await?;
        let server = match Server::start(app.clone()).await {
            Ok(server) => server,
            Err(error) => {
                app.store.close().await;
                return Err(error.into());
            }
        };
        let announced = self.announce(&server);
        if announced.is_ok() {
            signals.next().await;
        }
        if !self.ephemeral {
            let _ = fs::remove_file(Facts::file(&self.data));
        }
        server.stop().await;
        announced
    }

    fn options(&self, config: &Config) -> anyhow::Result<Options> {
        let engine = match config.store.engine {
            EngineName::Postgres if self.ephemeral => anyhow::bail!(
                "--ephemeral keeps nothing, so the key that seals secrets in PostgreSQL would be lost; use --data"
            ),
            EngineName::Postgres => store::Engine::Postgres { url: config.store.url.clone() },
            EngineName::Sqlite if self.ephemeral => store::Engine::SqliteMemory,
            EngineName::Sqlite => store::Engine::Sqlite { folder: self.data.clone() },
        };
        if !self.ephemeral {
            fs::create_dir_all(&self.data)
                .with_context(|| format!("the data folder {} cannot be made", self.data.display()))?;
        }
        Ok(Options {
            engine,
            clock: Clock::system(),
            seal_keys: self.seal_keys()?,
            seal_file: None,
            operator: None,
            dev: Some(self.credentials(config.http.listen.ip())?),
            record: self.record.clone(),
        })
    }

    /// Dev mode makes its own key beside the data; it guards nothing that the start does not print.
    fn seal_keys(&self) -> anyhow::Result<Vec<seal::SealKey>> {
        let fresh = || seal::SealKey::new(ids::fresh_seed());
        if self.ephemeral {
            return Ok(vec![fresh()]);
        }
        let file = self.data.join("seal.key");
        if !file.exists() {
            seal::create_key_file(&file, &fresh())?;
        }
        Ok(seal::read_key_file(&file)?)
    }

    fn credentials(&self, host: IpAddr) -> anyhow::Result<DevCredentials> {
        if host.is_loopback() {
            return Ok(DevCredentials::fixed());
        }
        let random = || DevCredentials::random(Ids::from_seed(ids::fresh_seed()));
        if self.ephemeral { Ok(random()) } else { kept(&self.data.join("dev.json"), random) }
    }

    /// Says that the server is ready: to scripts first, then to people.
    fn announce(&self, server: &Server) -> anyhow::Result<()> {
        let app = server.app();
        let dev = app.dev.as_ref().context("dev mode has credentials")?;
        let facts = Facts::of(reachable(server.address()), server.is_secure(), dev);
        if !self.ephemeral {
            facts.keep(&self.data)?;
        }
        facts::print(&block(&facts, dev, app.clock.machine().seconds(), &self.kept_in())?);
        match &self.env_file {
            Some(path) => write_whole(path, &facts.dotenv()),
            None => Ok(()),
        }
    }

    fn kept_in(&self) -> String {
        if self.ephemeral {
            return "Nothing is kept (--ephemeral).".to_owned();
        }
        format!("Data are kept in {}", self.data.display())
    }
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

/// Random credentials stay the same over restarts of one data folder.
fn kept(file: &Path, random: impl Fn() -> DevCredentials) -> anyhow::Result<DevCredentials> {
    if let Ok(text) = fs::read_to_string(file) {
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let broken = || format!("{} is damaged; remove it to get new credentials", file.display());
        let text = |name: &str| {
            let text = value[name].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned).with_context(broken)
        };
        return Ok(DevCredentials {
            account: text("account")?.parse().with_context(broken)?,
            auth_token: text("auth_token")?,
            key: text("key")?.parse().with_context(broken)?,
            secret: text("secret")?,
            service: text("service")?.parse().with_context(broken)?,
            password: text("password")?,
            are_fixed: false,
        });
    }
    let made = random();
    let value = json!({
        "account": made.account.as_str(), "auth_token": made.auth_token, "key": made.key.as_str(),
        "secret": made.secret, "service": made.service.as_str(), "password": made.password,
    });
    write_whole(file, &value.to_string())?;
    Ok(made)
}

/// The one block that a person needs.
fn block(facts: &Facts, dev: &DevCredentials, now: i64, kept_in: &str) -> anyhow::Result<String> {
    let mut tokens = String::new();
    for identity in IDENTITIES {
        tokens.push_str(&format!("  {identity:<13} {}\n", dev.mint(identity, now)?));
    }
    let Facts { url, twilsock_uri, account_sid, auth_token, api_key, api_secret, chat_service_sid, dev_password } =
        facts;
    Ok(format!(
        "
  Tertulia is ready. {kept_in}

  REST          {url}
  Realtime      {twilsock_uri}
  Demo          {url}/demo
  Token URL     {url}/token?identity=alice&password={dev_password}

  Account SID   {account_sid}
  Auth token    {auth_token}
  API key SID   {api_key}
  API secret    {api_secret}
  Chat service  {chat_service_sid}

  Access Tokens for two people, valid for four hours:
{tokens}
  In your app, one option changes:
  new Client(token, {{ Twilsock: {{ uri: \"{twilsock_uri}\" }} }})

"
    ))
}

/// The signals that end a server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
