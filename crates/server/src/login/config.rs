//! The section `[login]` of the configuration: sources of logins, and the policy.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::jwt::Algorithm;
use super::policy::{Example, Policy, Rule};
use crate::platform::origin;

/// Who comes in, and what they may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// The account whose users they become; empty: the first one.
    pub account: String,
    /// The API key that signs their tokens; empty: a key of the server's own.
    pub key: String,
    /// Keys that sign in the place of `key`, in this order, while it is suspended or gone.
    pub spare_keys: Vec<String>,
    /// Origins of pages that may ask for a token from another origin.
    pub allowed_origins: Vec<String>,
    /// Lifetime of tokens, seconds.
    pub ttl_seconds: i64,
    /// No token lives longer.
    pub ttl_seconds_max: i64,
    /// Requests of one address in a minute; 0: no bound.
    pub per_caller_per_minute: u32,
    /// Tokens for one identity in a minute; 0: no bound.
    pub per_identity_per_minute: u32,
    /// Who is asked, in this order.
    pub sources: Vec<SourceConfig>,
    /// The policy.
    pub rules: Vec<Rule>,
    /// What the policy should come to.
    pub examples: Vec<Example>,
}

/// One source of logins; `kind` says which.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// A JWT of an identity provider, as a bearer token.
    Oidc(OidcConfig),
    /// The app's own session: its cookie or header is shown to a URL of the app.
    App(AppConfig),
    /// A header that a reverse proxy sets.
    Proxy(ProxyConfig),
    /// API tokens, made by the command line.
    ApiToken(ApiTokenConfig),
}

impl SourceConfig {
    /// Its name, which owns the identities of its subjects.
    pub fn name(&self) -> &str {
        match self {
            Self::Oidc(source) => &source.name,
            Self::App(source) => &source.name,
            Self::Proxy(source) => &source.name,
            Self::ApiToken(source) => &source.name,
        }
    }

    /// Its kind, as the configuration writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Oidc(_) => "oidc",
            Self::App(_) => "app",
            Self::Proxy(_) => "proxy",
            Self::ApiToken(_) => "api-token",
        }
    }

    /// Whether `GET` is answered, too.
    pub fn allows_get(&self) -> bool {
        match self {
            Self::Oidc(source) => source.allow_get,
            Self::App(source) => source.allow_get,
            Self::Proxy(source) => source.allow_get,
            Self::ApiToken(source) => source.allow_get,
        }
    }
}

impl<'de> Deserialize<'de> for SourceConfig {
    /// Written by hand, so that what is wrong is said with the key that it is in.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let kind = table.remove("kind").ok_or_else(|| D::Error::missing_field("kind"))?;
        match kind.as_str() {
            Some("oidc") => keyed(table).map(Self::Oidc),
            Some("app") => keyed(table).map(Self::App),
            Some("proxy") => keyed(table).map(Self::Proxy),
            Some("api-token") => keyed(table).map(Self::ApiToken),
            _ => Err(D::Error::custom(format!("kind: {kind} is none of \"app\", \"proxy\", \"oidc\", \"api-token\""))),
        }
    }
}

fn keyed<T: DeserializeOwned, E: serde::de::Error>(table: toml::Table) -> Result<T, E> {
    let read = serde_path_to_error::deserialize(toml::Value::Table(table));
    read.map_err(|cause| {
        let (path, text) = (cause.path().to_string(), cause.inner().message());
        E::custom(if path == "." { text.to_owned() } else { format!("{path}: {text}") })
    })
}

/// An identity provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The source's name.
    pub name: String,
    /// `iss` of its tokens; discovery begins here.
    pub issuer: String,
    /// What `aud` must have one of.
    pub audience: Vec<String>,
    /// The same of its logout tokens, which are for the client that logged in; empty: as `audience`.
    #[serde(default)]
    pub logout_audience: Vec<String>,
    /// Algorithms that are taken.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Where the keys are; empty: as discovery says.
    #[serde(default)]
    pub jwks_url: String,
    /// The claim that names the person.
    #[serde(default = "sub")]
    pub subject: String,
    /// Seconds that keys are kept.
    #[serde(default = "an_hour")]
    pub cache_seconds: u32,
    /// Seconds that the clocks may differ.
    #[serde(default = "half_a_minute")]
    pub leeway_seconds: u32,
    /// How long the provider may take.
    #[serde(default = "timeout")]
    pub timeout_ms: u32,
    /// Whether `GET` is answered, too.
    #[serde(default)]
    pub allow_get: bool,
}

/// An app with sessions of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// The source's name.
    pub name: String,
    /// Answers 200 and JSON to a session, 401 to none.
    pub url: String,
    /// What of the request is shown to it.
    #[serde(default = "both")]
    pub forward: Vec<Forwarded>,
    /// Headers that it is always sent, `Host` and `X-Forwarded-Proto` among them.
    #[serde(default)]
    pub headers: FixedHeaders,
    /// The member of the answer that names the person.
    #[serde(default = "identity")]
    pub subject: String,
    /// How long it may take.
    #[serde(default = "timeout")]
    pub timeout_ms: u32,
    /// The largest answer.
    #[serde(default = "answer_bytes")]
    pub answer_bytes_max: usize,
    /// Seconds that an answer counts; 0: each request is asked about.
    #[serde(default = "some_seconds")]
    pub cache_seconds: u32,
    /// Whether `GET` is answered, too.
    #[serde(default)]
    pub allow_get: bool,
}

/// Headers with the values that the configuration gives them. A value may be a secret, so `Debug` shows none.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct FixedHeaders(HeaderMap);

impl FixedHeaders {
    /// All of them.
    pub fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for FixedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl TryFrom<BTreeMap<String, String>> for FixedHeaders {
    type Error = String;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, text) in texts {
            let key: HeaderName = name.parse().map_err(|_| format!("\"{name}\" is not the name of a header"))?;
            let value: HeaderValue =
                text.parse().map_err(|_| format!("the value of \"{name}\" is not one of a header"))?;
            if headers.insert(key, value).is_some() {
                return Err(format!("\"{name}\" stands there twice"));
            }
        }
        Ok(Self(headers))
    }
}

/// A header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarded {
    /// `Cookie`.
    Cookie,
    /// `Authorization`.
    Authorization,
}

impl Forwarded {
    /// Its name.
    pub fn header(self) -> HeaderName {
        match self {
            Self::Cookie => header::COOKIE,
            Self::Authorization => header::AUTHORIZATION,
        }
    }
}

/// A reverse proxy that has asked who it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// The source's name.
    pub name: String,
    /// The header that names the person.
    pub header: String,
    /// Addresses and networks of the proxy; nobody else is believed.
    #[serde(deserialize_with = "crate::http::peer::networks")]
    pub addresses: Vec<IpNet>,
    /// Facts, and the headers they are in.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// Facts that are lists, and the headers they are in, separated by commas.
    #[serde(default)]
    pub lists: BTreeMap<String, String>,
    /// Whether `GET` is answered, too.
    #[serde(default)]
    pub allow_get: bool,
}

/// API tokens, which are kept here as hashes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiTokenConfig {
    /// The source's name.
    pub name: String,
    /// Whether `GET` is answered, too.
    #[serde(default)]
    pub allow_get: bool,
}

fn algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256]
}

fn sub() -> String {
    "sub".to_owned()
}

fn identity() -> String {
    "identity".to_owned()
}

fn both() -> Vec<Forwarded> {
    vec![Forwarded::Cookie, Forwarded::Authorization]
}

const fn an_hour() -> u32 {
    3600
}

const fn half_a_minute() -> u32 {
    30
}

const fn timeout() -> u32 {
    3000
}

const fn answer_bytes() -> usize {
    64 * 1024
}

const fn some_seconds() -> u32 {
    5
}

impl LoginConfig {
    /// The rules, with what holds for all of them.
    pub fn policy(&self) -> Policy {
        Policy { rules: self.rules.clone(), ttl_seconds: self.ttl_seconds, ttl_seconds_max: self.ttl_seconds_max }
    }

    /// Whether a page from here may ask for a token.
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == origin || origin::is_same(allowed, origin))
    }

    /// Whether any page may, with credentials that it has to bring itself.
    pub fn allows_any_origin(&self) -> bool {
        self.allows_origin("*")
    }
}
