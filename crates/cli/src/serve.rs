//! `tertulia serve`: the service, for production. Nothing here has a default that everybody knows.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tertulia_server::accounts::commands::{CreateAccount, CreateFirst, IsEmpty};
use tertulia_server::keys::Kind;
use tertulia_server::keys::commands::CreateKey;
use tertulia_server::platform::{Clock, Config, Ids, ids};
use tertulia_server::{App, Options, Server, seal};

use crate::facts::{self, Facts, write_whole};
use crate::host::{self, Listen, fresh_operator};
use crate::{logging, seal_keys};

/// Run the service.
///
/// It needs a key that seals secrets (`tertulia seal init`). The first start creates one account with an API key, and
/// hands the credentials over once: on the terminal, or in a file that only its owner can read.
///
/// Example: tertulia seal init && tertulia serve
#[derive(Args)]
pub(crate) struct Serve {
    /// The folder for the database and the key; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "tertulia-data")]
    data: PathBuf,
    #[command(flatten)]
    listen: Listen,
    /// The file with the seal key. [default: TERTULIA_SEAL_KEY_FILE, else TERTULIA_SEAL_KEY itself, else seal.key in
    /// the data folder]
    #[arg(long, value_name = "FILE")]
    seal_key_file: Option<PathBuf>,
    /// Where the first start writes the first account's credentials, instead of showing them. [default: without a
    /// terminal, first-account.env in the data folder]
    #[arg(long, value_name = "PATH")]
    credentials_file: Option<PathBuf>,
}

pub(crate) fn run(command: Serve) -> anyhow::Result<ExitCode> {
    let config = command.listen.config()?;
    logging::begin(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(command.serve(config))?;
    Ok(ExitCode::SUCCESS)
}

impl Serve {
    async fn serve(self, config: Config) -> anyhow::Result<()> {
        let found = seal_keys::find(&self.data, self.seal_key_file.as_deref())?;
        host::make_folder(&self.data)?;
        let operator = fresh_operator();
        let options = Options {
            engine: host::engine(&config, &self.data),
            clock: Clock::system(),
            seal_keys: found.keys,
            seal_file: found.file,
            operator: Some(seal::Secret::new(operator.as_str())),
            dev: None,
            record: None,
        };
        host::serve(config, options, Some(&self.data), async |server| self.announce(server, operator).await).await
    }

    async fn announce(&self, server: &Server, operator: String) -> anyhow::Result<()> {
        let facts = Facts::of(server, operator, None);
        self.first_account(server.app()).await?;
        facts.keep(&self.data)?;
        facts::print(&format!("Tertulia serves at {}. Data are kept in {}\n", facts.url, self.data.display()));
        Ok(())
    }

    /// Creates the first account, unless there is one. The credentials are on the disk before the account is, so
    /// that a crash in between loses nothing.
    async fn first_account(&self, app: &Arc<App>) -> anyhow::Result<()> {
        if !app.db.ask(&Caller::nobody(), IsEmpty).await? {
            return Ok(());
        }
        let mut ids = Ids::from_seed(ids::fresh_seed());
        let (account, key, service, token, secret) = (ids.sid(), ids.sid(), ids.sid(), ids.hex(16), ids.secret());
        let first = CreateFirst {
            account: CreateAccount {
                sid: Some(account),
                service: Some(service),
                parent: None,
                friendly_name: "First account".to_owned(),
                auth_token: token.clone(),
                ring: app.sealer.ring(),
            },
            key: CreateKey {
                sid: Some(key),
                secret: Some(secret.clone()),
                kind: Kind::Standard,
                friendly_name: "First key".to_owned(),
                policy: None,
                ring: app.sealer.ring(),
            },
        };
        let pairs = [
            ("TWILIO_ACCOUNT_SID", account.as_str()),
            ("TWILIO_AUTH_TOKEN", &token),
            ("TWILIO_API_KEY", key.as_str()),
            ("TWILIO_API_SECRET", &secret),
            ("TWILIO_CHAT_SERVICE_SID", service.as_str()),
        ];
        let credentials = facts::lines("", &pairs);
        let file = self.credentials_file.clone().unwrap_or_else(|| self.data.join("first-account.env"));
        write_whole(&file, &credentials)?;
        if app.db.perform(&Caller::nobody(), first).await?.is_none() {
            // Another node was quicker.
            let _ = fs::remove_file(&file);
            return Ok(());
        }
        self.hand_over(&file, &credentials);
        Ok(())
    }

    fn hand_over(&self, file: &Path, credentials: &str) {
        if self.credentials_file.is_none() && std::io::stdout().is_terminal() {
            facts::print(&format!("The first account. Its secrets are shown this once:\n\n{credentials}\n"));
            let _ = fs::remove_file(file);
            return;
        }
        let file = file.display();
        facts::print(&format!(
            "The first account's credentials are in {file}; move them to where your secrets are, and delete the file.\n"
        ));
    }
}
