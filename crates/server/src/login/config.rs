//! The section `[login]` of the configuration: sources of logins, and the policy.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Uri;
use ipnet::IpNet;
use serde::Deserialize;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account, Key};
use tertulia_token::LIFETIME_MAX;

use super::jwt::Algorithm;
use super::policy::{Example, NO_RULE, Policy, Rule};

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

/// One source of logins.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
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

/// A header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarded {
    /// `Cookie`.
    Cookie,
    /// `Authorization`.
    Authorization,
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
        self.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    /// Whether any page may, with credentials that it has to bring itself.
    pub fn allows_any_origin(&self) -> bool {
        self.allows_origin("*")
    }

    /// What is wrong with it, in one sentence that names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.account.is_empty() {
            Sid::<Account>::parse(&self.account).map_err(|cause| format!("login.account is {cause}"))?;
        }
        if !self.key.is_empty() {
            Sid::<Key>::parse(&self.key).map_err(|cause| format!("login.key is {cause}"))?;
        }
        for key in &self.spare_keys {
            Sid::<Key>::parse(key).map_err(|cause| format!("login.spare_keys: \"{key}\" is {cause}"))?;
        }
        if self.key.is_empty() && !self.spare_keys.is_empty() {
            return Err("login.spare_keys take the place of login.key, which is empty".to_owned());
        }
        if !(1..=LIFETIME_MAX).contains(&self.ttl_seconds_max) {
            return Err(format!("login.ttl_seconds_max is {}; it must be 1 to {LIFETIME_MAX}", self.ttl_seconds_max));
        }
        check_ttl("login.ttl_seconds", self.ttl_seconds)?;
        for origin in self.allowed_origins.iter().filter(|origin| *origin != "*") {
            let (scheme, host) = origin.split_once("://").unwrap_or_default();
            if scheme.is_empty() || host.is_empty() || host.contains('/') {
                return Err(format!(
                    "login.allowed_origins has \"{origin}\"; an origin is like https://app.example.com"
                ));
            }
        }
        let mut names = BTreeSet::new();
        for source in &self.sources {
            let name = source.name();
            if name.is_empty() || !names.insert(name) {
                return Err(format!("login.sources: \"{name}\" must be a name of its own, and not empty"));
            }
            if name.contains(':') {
                // Login sessions are named SOURCE:SID.
                return Err(format!("login.sources: \"{name}\" must have no colon in its name"));
            }
            source.check().map_err(|wrong| format!("login.sources, \"{name}\": {wrong}"))?;
        }
        self.check_rules(&names)
    }

    fn check_rules(&self, sources: &BTreeSet<&str>) -> Result<(), String> {
        let mut names = BTreeSet::from([NO_RULE]);
        for rule in &self.rules {
            let name = rule.name.as_str();
            if name.is_empty() || !names.insert(name) {
                return Err(format!("login.rules: \"{name}\" must be a name of its own, and not empty"));
            }
            if let Some(ttl) = rule.ttl_seconds {
                check_ttl(&format!("login.rules, \"{name}\": ttl_seconds"), ttl)?;
            }
            for source in rule.sources().filter(|source| !source.contains('*')) {
                if !sources.contains(source) {
                    return Err(format!("login.rules, \"{name}\": there is no source \"{source}\" in login.sources"));
                }
            }
        }
        Ok(())
    }
}

fn check_ttl(key: &str, ttl: i64) -> Result<(), String> {
    if (1..=LIFETIME_MAX).contains(&ttl) {
        return Ok(());
    }
    Err(format!("{key} is {ttl}; it must be 1 to {LIFETIME_MAX}, and several hours are best"))
}

impl SourceConfig {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Oidc(source) => {
                check_url("issuer", &source.issuer)?;
                if !source.jwks_url.is_empty() {
                    check_url("jwks_url", &source.jwks_url)?;
                }
                if source.audience.is_empty() || source.audience.iter().any(String::is_empty) {
                    return Err("audience must name whom its tokens are for, or anybody's tokens would do".to_owned());
                }
                if source.algorithms.is_empty() {
                    return Err("algorithms must have at least one".to_owned());
                }
                if source.leeway_seconds > 300 {
                    return Err("leeway_seconds must be at most 300".to_owned());
                }
                Ok(())
            }
            Self::App(source) => {
                check_url("url", &source.url)?;
                if source.forward.is_empty() {
                    return Err("forward must have cookie, authorization or both".to_owned());
                }
                if source.cache_seconds > 300 {
                    return Err("cache_seconds must be at most 300: so long a logout would not be noticed".to_owned());
                }
                Ok(())
            }
            Self::Proxy(source) => {
                let headers = source.facts.values().chain(source.lists.values()).chain(std::iter::once(&source.header));
                for header in headers {
                    if header.parse::<axum::http::HeaderName>().is_err() {
                        return Err(format!("\"{header}\" is not the name of a header"));
                    }
                }
                if source.addresses.is_empty() {
                    return Err("addresses must list the proxy's: anybody can send a header".to_owned());
                }
                Ok(())
            }
            Self::ApiToken(_) => Ok(()),
        }
    }
}

fn check_url(key: &str, text: &str) -> Result<(), String> {
    let wrong = || format!("{key} must be a URL such as https://app.example.com/me, and is \"{text}\"");
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let authority = url.authority().ok_or_else(wrong)?;
    let has_scheme = matches!(url.scheme_str(), Some("http" | "https"));
    if has_scheme && !authority.host().is_empty() && !authority.as_str().contains('@') { Ok(()) } else { Err(wrong()) }
}

impl Rule {
    /// Sources that its conditions name.
    fn sources(&self) -> impl Iterator<Item = &str> {
        self.when.get("source").into_iter().flat_map(super::policy::Wanted::texts)
    }
}
