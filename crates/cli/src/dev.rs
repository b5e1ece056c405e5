//! `tertulia dev`: a whole service in one command, for development and CI.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tertulia_server::dev::{DevCredentials, IDENTITIES};
use tertulia_server::platform::config::EngineName;
use tertulia_server::platform::{Clock, Config, Ids, ids};
use tertulia_server::{Options, Server, seal, store};

use crate::facts::{self, DevFacts, Facts, write_whole};
use crate::host::{self, Listen, fresh_operator};
use crate::logging;
use crate::seal_keys::SEAL_FILE;

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
    #[command(flatten)]
    listen: Listen,
    /// Write the addresses and credentials as NAME='value' lines, the moment the server is ready.
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
    /// Write every frame of every connection into this folder, as JSON lines.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

pub(crate) fn run(command: Dev) -> anyhow::Result<ExitCode> {
    let config = command.listen.config_for_dev()?;
    logging::begin(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(command.serve(config))?;
    Ok(ExitCode::SUCCESS)
}

impl Dev {
    async fn serve(self, config: Config) -> anyhow::Result<()> {
        let operator = fresh_operator();
        let options = self.options(&config, &operator)?;
        let data = (!self.ephemeral).then_some(self.data.as_path());
        host::serve(config, options, data, async |server| self.announce(server, operator)).await
    }

    fn options(&self, config: &Config, operator: &str) -> anyhow::Result<Options> {
        let engine = match config.store.engine {
            EngineName::Postgres if self.ephemeral => anyhow::bail!(
                "--ephemeral keeps nothing, so the key that seals secrets in PostgreSQL would be lost; use --data"
            ),
            EngineName::Sqlite if self.ephemeral => store::Engine::SqliteMemory,
            EngineName::Postgres | EngineName::Sqlite => host::engine(config, &self.data),
        };
        if !self.ephemeral {
            host::make_folder(&self.data)?;
        }
        Ok(Options {
            engine,
            clock: Clock::system(),
            seal_keys: self.seal_keys()?,
            seal_file: (!self.ephemeral).then(|| self.data.join(SEAL_FILE)),
            operator: Some(seal::Secret::new(operator)),
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
        let file = self.data.join(SEAL_FILE);
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
    fn announce(&self, server: &Server, operator: String) -> anyhow::Result<()> {
        let app = server.app();
        let dev = app.dev.as_ref().context("dev mode has credentials")?;
        let facts = Facts::of(server, operator, Some(dev));
        if !self.ephemeral {
            facts.keep(&self.data)?;
        }
        facts::print(&block(&facts, dev, app.db.clock.machine().seconds(), &self.kept_in())?);
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
    let Facts { url, twilsock_uri, dev: Some(shown), .. } = facts else { anyhow::bail!("dev mode has credentials") };
    let DevFacts { account_sid, auth_token, api_key, api_secret, chat_service_sid, dev_password } = shown;
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
