//! What an app or a script needs to know of a running server, under the names people already use.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tertulia_server::Server;
use tertulia_server::dev::DevCredentials;

/// The facts; `run.json` in the data folder keeps them while the server runs.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// REST and pages.
    pub(crate) url: String,
    /// For the SDK's `Twilsock.uri` option.
    pub(crate) twilsock_uri: String,
    /// What this command line proves with that it belongs to whoever runs the server.
    pub(crate) operator: String,
    /// The file of the server's certificate, with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// The file with the keys that seal secrets, if the server has them from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seal_key_file: Option<PathBuf>,
    /// The credentials of dev mode.
    #[serde(flatten)]
    pub(crate) dev: Option<DevFacts>,
}

/// What dev mode shows to everybody.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DevFacts {
    /// The account.
    pub(crate) account_sid: String,
    /// Its auth token.
    pub(crate) auth_token: String,
    /// Its API key.
    pub(crate) api_key: String,
    /// The key's secret.
    pub(crate) api_secret: String,
    /// Its chat service.
    pub(crate) chat_service_sid: String,
    /// What `/token` asks for.
    pub(crate) dev_password: String,
}

impl DevFacts {
    /// From the variables that `tertulia env` prints, if those are there that a token is minted with.
    pub(crate) fn from_env() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self {
            account_sid: variable("TWILIO_ACCOUNT_SID")?,
            auth_token: variable("TWILIO_AUTH_TOKEN").unwrap_or_default(),
            api_key: variable("TWILIO_API_KEY")?,
            api_secret: variable("TWILIO_API_SECRET")?,
            chat_service_sid: variable("TWILIO_CHAT_SERVICE_SID")?,
            dev_password: variable("TERTULIA_DEV_PASSWORD").unwrap_or_default(),
        })
    }
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

impl Facts {
    /// Of a server that listens, for whoever is on this machine.
    pub(crate) fn of(server: &Server, operator: String, dev: Option<&DevCredentials>) -> Self {
        let address = reachable(server.address());
        let s = if server.is_secure() { "s" } else { "" };
        // Commands run in another folder than the server, perhaps.
        let whole = |file: &Path| std::path::absolute(file).ok();
        let app = server.app();
        Self {
            certificate: whole(Path::new(&app.config.tls.certificate)).filter(|_| server.is_secure()),
            seal_key_file: app.seal_file.as_deref().and_then(whole),
            url: format!("http{s}://{address}"),
            twilsock_uri: format!("ws{s}://{address}{}", tertulia_server::http::REALTIME_PATH),
            operator,
            dev: dev.map(|dev| DevFacts {
                account_sid: dev.account.to_string(),
                auth_token: dev.auth_token.clone(),
                api_key: dev.key.to_string(),
                api_secret: dev.secret.clone(),
                chat_service_sid: dev.service.to_string(),
                dev_password: dev.password.clone(),
            }),
        }
    }

    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = vec![("TERTULIA_URL", self.url.as_str()), ("TERTULIA_TWILSOCK_URI", &self.twilsock_uri)];
        if let Some(dev) = &self.dev {
            pairs.extend([
                ("TERTULIA_DEV_PASSWORD", dev.dev_password.as_str()),
                ("TWILIO_ACCOUNT_SID", &dev.account_sid),
                ("TWILIO_AUTH_TOKEN", &dev.auth_token),
                ("TWILIO_API_KEY", &dev.api_key),
                ("TWILIO_API_SECRET", &dev.api_secret),
                ("TWILIO_CHAT_SERVICE_SID", &dev.chat_service_sid),
            ]);
        }
        pairs
    }

    /// `NAME='value'` lines, for dotenv readers and for `source`.
    pub(crate) fn dotenv(&self) -> String {
        self.lines("")
    }

    /// `export NAME='value'` lines, for `eval`.
    pub(crate) fn shell(&self) -> String {
        self.lines("export ")
    }

    fn lines(&self, before: &str) -> String {
        lines(before, &self.pairs())
    }

    /// One JSON object with the same names.
    pub(crate) fn json(&self) -> String {
        let pairs = self.pairs().into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        format!("{:#}\n", serde_json::Value::Object(pairs.collect()))
    }

    /// Where a data folder keeps them.
    pub(crate) fn file(data: &Path) -> PathBuf {
        data.join("run.json")
    }

    /// Reads the facts of the server that runs on a data folder.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let file = Self::file(data);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => bail!(
                "no server runs on the data folder {}: --data names another one, `tertulia serve` or `tertulia dev` \
                 starts a server, and TERTULIA_URL with an account's credentials is for one elsewhere",
                std::path::absolute(data)?.display()
            ),
            Err(cause) => {
                return Err(cause).with_context(|| {
                    format!("{} cannot be read, which only the user can who runs the server", file.display())
                });
            }
        };
        serde_json::from_str(&text).with_context(|| format!("{} is damaged; restart the server", file.display()))
    }

    /// Keeps them in the data folder, for the owner's eyes only.
    pub(crate) fn keep(&self, data: &Path) -> anyhow::Result<()> {
        write_whole(&Self::file(data), &serde_json::to_string_pretty(self)?)
    }
}

/// `NAME='value'` lines, with something before each.
pub(crate) fn lines(before: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(String::new(), |mut lines, (name, value)| {
        let _ = writeln!(lines, "{before}{name}='{}'", value.replace('\'', "'\\''"));
        lines
    })
}

/// Writes a private file beside its place and renames it, so that nobody reads half of it.
pub(crate) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&beside)?.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Says something beside the result, which has stdout for itself.
pub(crate) fn remark(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints text for people and scripts, as it is. A reader that went away is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
