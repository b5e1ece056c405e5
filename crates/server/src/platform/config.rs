//! Configuration: `config.default.toml` is built in and is the defaults; a file, the environment and
//! flags override it; an unknown key is refused by name.

mod place;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use self::place::Places;
pub use self::place::Wrong;
use super::origin;
use crate::http::peer::check_networks;
use crate::login::LoginConfig;

/// The defaults, complete and commented.
pub const DEFAULTS: &str = include_str!("../../../../config.default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The listening port.
    pub http: Http,
    /// TLS on the listening port.
    pub tls: TlsConfig,
    /// Where data is kept.
    pub store: StoreConfig,
    /// How Access Tokens are checked.
    pub tokens: Tokens,
    /// Who comes in, and what they may do.
    pub login: LoginConfig,
    /// The audit log.
    pub audit: Audit,
    /// Websockets.
    pub realtime: Realtime,
    /// What is allowed at most.
    pub limits: Limits,
    /// Logging.
    pub log: Log,
    /// Where each key was set.
    #[serde(skip)]
    places: Places,
}

/// The listening port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// Origin of absolute URLs; empty: the request's own.
    pub public_url: String,
    /// Largest REST body, bytes.
    pub body_bytes_max: usize,
    /// Websockets at the same time.
    pub connections_max: usize,
    /// Connections that are no websocket, or not yet, at the same time.
    pub plain_connections_max: usize,
    /// Connections of one address at the same time; 0: no bound.
    pub connections_per_address_max: usize,
    /// REST requests of one address in a second, after a burst of twice as many; 0: no bound.
    pub requests_per_address_per_second: u32,
    /// Wrong credentials of one address in a minute; 0: no bound.
    pub failed_authentications_per_minute: u32,
    /// Bytes that the kernel takes for a connection that does not read; 0: as many as it likes.
    pub send_buffer_bytes: u32,
    /// Websockets that are let in a second, after a burst of as many; 0: no bound.
    pub upgrades_per_second: u32,
    /// Seconds that one waits to be let in.
    pub upgrade_wait_seconds: u32,
    /// Seconds in which something must come of a connection that is no websocket.
    pub idle_seconds: u32,
    /// Seconds that a body may take.
    pub body_seconds: u32,
    /// Proxies whose `X-Forwarded-…` headers are believed.
    #[serde(deserialize_with = "crate::http::peer::networks")]
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// TLS on the listening port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// File with the chain of certificates, PEM; empty: no TLS.
    pub certificate: String,
    /// File with the private key, PEM.
    pub key: String,
}

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// One file.
    Sqlite,
    /// A PostgreSQL database.
    Postgres,
}

/// Where data is kept. The address may hold a password, so `Debug` does not show it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Which engine.
    pub engine: EngineName,
    /// For PostgreSQL.
    pub url: String,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// How Access Tokens are checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// This deployment's region.
    pub region: String,
    /// Seconds for `nbf` and `iat`.
    pub leeway_seconds: i64,
    /// Seconds between `exp` and a token's death.
    pub grace_seconds: i64,
}

/// The audit log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days that an entry is kept.
    pub retention_days: i64,
}

/// Websockets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Realtime {
    /// Seconds between pings.
    pub ping_seconds: u32,
    /// Origins of pages that may connect; `*` is any.
    pub allowed_origins: Vec<String>,
    /// Seconds that typing lasts.
    pub typing_seconds: u32,
    /// Packets that wait for a slow reader.
    pub mailbox_packets_max: usize,
    /// Bytes that wait for a slow reader.
    pub mailbox_bytes_max: usize,
    /// Bytes that wait for all slow readers together.
    pub mailboxes_bytes_max: usize,
    /// Bytes of one connection's requests that wait to be answered.
    pub requests_bytes_max: usize,
    /// Seconds that a user may be away and still be shown as online.
    pub offline_after_seconds: i64,
    /// Seconds that a node may be silent before its users are taken for gone.
    pub lease_seconds: i64,
    /// Seconds between two comparisons of what is watched with the store.
    pub sweep_seconds: u32,
}

/// What is allowed at most.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Websockets of one account at the same time; 0: no bound.
    pub connections_per_account_max: usize,
    /// REST requests of one account in a second, after a burst; 0: no bound.
    pub requests_per_second: u32,
    /// REST requests of one account that may come at once.
    pub requests_burst: u32,
    /// Bytes in a message body.
    pub body_bytes_max: usize,
    /// Bytes of a conversation's attributes.
    pub conversation_attributes_bytes_max: usize,
    /// Bytes of other attributes.
    pub attributes_bytes_max: usize,
    /// Participants of one conversation.
    pub participants_max: i64,
    /// Of them, participants of other messengers.
    pub non_chat_participants_max: i64,
    /// Conversations of one user.
    pub conversations_per_user_max: i64,
    /// Subaccounts of one account that are not closed.
    pub subaccounts_max: i64,
    /// API keys of one account.
    pub keys_max: i64,
}

/// Logging.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least important level that is written.
    pub level: Level,
    /// For people or for machines.
    pub format: LogFormat,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A configuration that cannot be used; the text names the key and where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The prefix of environment variables that set a key: `TERTULIA__SECTION__KEY`.
const ENV_PREFIX: &str = "TERTULIA__";

/// What dev mode has in place of the defaults.
const FOR_DEV: &str =
    "[http]\nupgrades_per_second = 0\nrequests_per_address_per_second = 0\n[limits]\nrequests_per_second = 0";

impl Config {
    /// The defaults alone.
    pub fn defaults() -> Self {
        Self::load(None, std::iter::empty()).expect("a test holds that the defaults are valid")
    }

    /// Defaults, then what a file says; without IO, and without an environment.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::over("", Some(("the text".to_owned(), text)), std::iter::empty())
    }

    /// Defaults, then the file, then the environment.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::load_over("", file, environment)
    }

    /// The same for dev mode, where tests may come as fast as they like unless somebody says otherwise.
    pub fn load_for_dev(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_over(FOR_DEV, file, environment)
    }

    fn load_over(
        base: &str,
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Self::over(base, None, environment) };
        let place = format!("configuration file {}", path.display());
        let text =
            std::fs::read_to_string(path).map_err(|cause| ConfigError(format!("{place} cannot be read: {cause}")))?;
        Self::over(base, Some((place, &text)), environment)
    }

    fn over(
        base: &str,
        own: Option<(String, &str)>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let built_in =
            |text: &str| text.parse().map_err(|cause| ConfigError(format!("the built-in defaults: {cause}")));
        let mut table: Table = built_in(DEFAULTS)?;
        let mut places = Places::default();
        merge(&mut table, built_in(base)?, "").map_err(|key| unknown(&key, "the built-in defaults"))?;
        if let Some((place, text)) = own {
            let own: Table = text.parse().map_err(|cause: toml::de::Error| {
                let line = cause.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                ConfigError(format!("{place} is not valid TOML: line {line}: {}", one_line(&cause)))
            })?;
            places.file(&place, text);
            merge(&mut table, own, "").map_err(|key| unknown(&key, &places.of(&key)))?;
        }
        for (name, text) in environment.filter(|(name, _)| name.starts_with(ENV_PREFIX)) {
            let key = set(&mut table, &name, &text)?;
            places.variable(&key, &name);
        }
        let told = |wrong: Wrong| ConfigError(wrong.told(&places));
        let read = serde_path_to_error::deserialize(Value::Table(table.clone()));
        let mut config: Self = read.map_err(|cause: serde_path_to_error::Error<toml::de::Error>| {
            told(Wrong::read(&cause.path().to_string(), cause.inner().message(), &table))
        })?;
        config.check().map_err(told)?;
        config.places = places;
        Ok(config)
    }

    /// The sentence about something that showed to be wrong only when the store was asked.
    pub(crate) fn told(&self, wrong: &Wrong) -> ConfigError {
        ConfigError(wrong.told(&self.places))
    }

    /// The first thing that is wrong with it.
    fn check(&self) -> Result<(), Wrong> {
        let (http, realtime) = (&self.http, &self.realtime);
        let least = realtime.offline_after_seconds.max(3);
        for (key, value, min, max, why) in [
            ("tokens.leeway_seconds", self.tokens.leeway_seconds, 0, 300, ""),
            ("tokens.grace_seconds", self.tokens.grace_seconds, 0, 300, ""),
            ("audit.retention_days", self.audit.retention_days, 1, 36_500, ""),
            ("realtime.offline_after_seconds", realtime.offline_after_seconds, 0, 300, ""),
            (
                "realtime.lease_seconds",
                realtime.lease_seconds,
                least,
                600,
                ", and no less than realtime.offline_after_seconds",
            ),
            ("http.upgrades_per_second", http.upgrades_per_second.into(), 0, 1_000_000, ""),
            // The official SDK gives a connection up after some 30 seconds.
            ("http.upgrade_wait_seconds", http.upgrade_wait_seconds.into(), 0, 20, ""),
        ] {
            if !(min..=max).contains(&value) {
                return Err(Wrong::at(key, format!("is {value}; it must be between {min} and {max}{why}")));
            }
        }
        let counts = [
            ("http.body_bytes_max", self.http.body_bytes_max),
            ("http.connections_max", self.http.connections_max),
            ("http.plain_connections_max", self.http.plain_connections_max),
            ("http.idle_seconds", self.http.idle_seconds as usize),
            ("http.body_seconds", self.http.body_seconds as usize),
            ("realtime.mailbox_packets_max", self.realtime.mailbox_packets_max),
            ("realtime.mailbox_bytes_max", self.realtime.mailbox_bytes_max),
            ("realtime.mailboxes_bytes_max", self.realtime.mailboxes_bytes_max),
            ("realtime.requests_bytes_max", self.realtime.requests_bytes_max),
            ("realtime.sweep_seconds", self.realtime.sweep_seconds as usize),
        ];
        for (key, value) in counts {
            if !(1..=1 << 30).contains(&value) {
                return Err(Wrong::at(key, format!("is {value}; it must be at least 1, and no more than 2^30")));
            }
        }
        self.check_addresses()?;
        self.login.check()?;
        if self.store.engine == EngineName::Postgres && self.store.url.is_empty() {
            return Err(Wrong::at("store.url", "must name the database, as store.engine is \"postgres\""));
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), Wrong> {
        let url = &self.http.public_url;
        if !url.is_empty() {
            let wrong = |text| Wrong::at("http.public_url", text);
            origin::check_url(url, "https://chat.example.com").map_err(wrong)?;
            if url.contains(['?', '#']) {
                return Err(wrong(format!("is \"{url}\"; it must have no query and no fragment")));
            }
        }
        check_networks(&self.http.trusted_proxies).map_err(|text| Wrong::at("http.trusted_proxies", text))?;
        // Pages from files and some apps have the origin "null".
        let allowed = self.realtime.allowed_origins.iter().filter(|allowed| !matches!(allowed.as_str(), "*" | "null"));
        for allowed in allowed {
            origin::check(allowed).map_err(|text| Wrong::at("realtime.allowed_origins", text))?;
        }
        Ok(())
    }
}

fn one_line(cause: &toml::de::Error) -> String {
    let mut text = cause.message().to_owned();
    text.truncate(text.find('\n').unwrap_or(text.len()));
    text
}

fn unknown(key: &str, place: &str) -> ConfigError {
    ConfigError(format!("{place}: there is no key \"{key}\"; `tertulia config` prints all of them"))
}

/// Puts `own` over `base`; the error is the name of a key that `base` does not have.
fn merge(base: &mut Table, own: Table, above: &str) -> Result<(), String> {
    for (key, value) in own {
        let name = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match (base.get_mut(&key), value) {
            (None, _) => return Err(name),
            (Some(Value::Table(inner)), Value::Table(own)) => merge(inner, own, &name)?,
            (Some(place), value) => *place = value,
        }
    }
    Ok(())
}

/// Sets the key that an environment variable names, and gives the key; the text is read as the default's type.
fn set(table: &mut Table, name: &str, text: &str) -> Result<String, ConfigError> {
    let place = format!("environment variable {name}");
    let path = name[ENV_PREFIX.len()..].to_lowercase();
    let value = path
        .split_once("__")
        .and_then(|(section, key)| table.get_mut(section)?.as_table_mut()?.get_mut(key))
        .ok_or_else(|| unknown(&path.replace("__", "."), &place))?;
    *value = match value {
        Value::Integer(_) => {
            let wrong = |_| ConfigError(format!("{place}: \"{text}\" is not a number"));
            Value::Integer(text.parse().map_err(wrong)?)
        }
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    };
    Ok(path.replace("__", "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(own: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let mut table: Table = DEFAULTS.parse().unwrap();
        merge(&mut table, own.parse().unwrap(), "").map_err(|key| unknown(&key, "file").to_string())?;
        let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(None, pairs).map_err(|cause| cause.to_string())
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::defaults().limits.body_bytes_max, 32_768);
    }

    #[test]
    fn dev_mode_lets_everybody_in_at_once_unless_it_is_told_otherwise() {
        let rate = |environment: &[(&str, &str)]| {
            let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let config = Config::load_for_dev(None, pairs).unwrap();
            assert_eq!(config.http.requests_per_address_per_second, 0);
            (config.http.upgrades_per_second, config.limits.requests_per_second)
        };
        assert_eq!(rate(&[]), (0, 0));
        assert_eq!(rate(&[("TERTULIA__HTTP__UPGRADES_PER_SECOND", "7")]), (7, 0));
        assert_eq!(rate(&[("TERTULIA__LIMITS__REQUESTS_PER_SECOND", "7")]), (0, 7));
        assert_eq!(Config::defaults().http.upgrades_per_second, 500);
    }

    #[test]
    fn the_address_of_the_database_is_not_shown() {
        let url = ("TERTULIA__STORE__URL", "postgres://ana:a-password@db/chat");
        let shown = format!("{:?}", load("", &[url]).unwrap());
        assert!(shown.contains("StoreConfig") && !shown.contains("a-password"), "{shown}");
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        assert!(load("[http]\nlisten_on = 1", &[]).unwrap_err().contains("\"http.listen_on\""));
        assert!(load("", &[("TERTULIA__HTTP__PORT", "1")]).unwrap_err().contains("\"http.port\""));
    }

    #[test]
    fn the_environment_sets_a_value_of_the_right_type() {
        let config = load("", &[("TERTULIA__TOKENS__GRACE_SECONDS", "0"), ("TERTULIA_URL", "x")]).unwrap();
        assert_eq!(config.tokens.grace_seconds, 0);
        assert!(load("", &[("TERTULIA__TOKENS__GRACE_SECONDS", "soon")]).unwrap_err().contains("not a number"));
        assert!(load("", &[("TERTULIA__TOKENS__GRACE_SECONDS", "301")]).unwrap_err().contains("between 0 and 300"));
        let offline = ("TERTULIA__REALTIME__OFFLINE_AFTER_SECONDS", "40");
        assert!(load("", &[offline]).unwrap_err().contains("lease_seconds is 30; it must be between 40 and 600"));
        assert!(load("", &[offline, ("TERTULIA__REALTIME__LEASE_SECONDS", "40")]).is_ok());
    }
}
