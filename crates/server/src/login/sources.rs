//! The sources of logins, asked in their order who a request is.

use std::net::IpAddr;

use axum::http::HeaderMap;
use tertulia_protocol::Timestamp;

use super::app::AppSource;
use super::config::{ApiTokenConfig, LoginConfig, ProxyConfig, SourceConfig};
use super::finding::{Check, Finding, Said, Verdict};
use super::jwt::Logout;
use super::oidc::OidcSource;
use super::{Login, Policy, api_token, proxy};
use crate::App;
use crate::platform::rate::Rate;

/// What the sources look at of a request.
#[derive(Clone, Copy)]
pub struct Asked<'r> {
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// The other end of the connection, whatever a proxy says.
    pub peer: IpAddr,
    /// Whether it is a GET.
    pub is_get: bool,
}

/// What a source says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Somebody.
    Login(Login),
    /// Nobody whom this source knows; the next one may.
    Stranger(Finding),
    /// The credential is this source's, and no good.
    Refused(Finding),
    /// The source cannot say just now.
    Unavailable(Finding),
}

impl Found {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Login(_) => Verdict::Known,
            Self::Stranger(finding) => Verdict::PassedOn(finding.clone()),
            Self::Refused(finding) => Verdict::Refused(finding.clone()),
            Self::Unavailable(finding) => Verdict::Unavailable(finding.clone()),
        }
    }
}

/// Every source, the policy, and how often somebody may ask.
pub struct Sources {
    list: Vec<(SourceConfig, Source)>,
    /// What logins get.
    pub policy: Policy,
    /// Requests of an address.
    pub per_caller: Rate<String>,
    /// Tokens for an identity.
    pub per_identity: Rate<(String, String)>,
}

enum Source {
    Oidc(OidcSource),
    App(AppSource),
    Proxy(ProxyConfig),
    ApiToken(ApiTokenConfig),
}

impl Sources {
    /// Of the configuration. Dev mode has no bounds on how often somebody asks.
    pub fn new(config: &LoginConfig, is_dev: bool) -> Self {
        let source = |config: &SourceConfig| match config.clone() {
            SourceConfig::Oidc(config) => Source::Oidc(OidcSource::new(config)),
            SourceConfig::App(config) => Source::App(AppSource::new(config)),
            SourceConfig::Proxy(config) => Source::Proxy(config),
            SourceConfig::ApiToken(config) => Source::ApiToken(config),
        };
        let rate = |per_minute: u32| if is_dev { 0 } else { per_minute };
        Self {
            list: config.sources.iter().map(|config| (config.clone(), source(config))).collect(),
            policy: config.policy(),
            per_caller: Rate::per_minute(rate(config.per_caller_per_minute)),
            per_identity: Rate::per_minute(rate(config.per_identity_per_minute)),
        }
    }

    /// Whether there is none: then there is no token endpoint.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any source answers `GET`.
    pub fn allow_get(&self) -> bool {
        self.list.iter().any(|(config, _)| config.allows_get())
    }

    /// Headers that proxies set for whom they know.
    pub fn proxy_headers(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|(_, source)| match source {
            Source::Proxy(config) => Some(config.header.as_str()),
            _ => None,
        })
    }

    /// Names of the sources whose logins come by API tokens.
    pub fn api_token_sources(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|(_, source)| match source {
            Source::ApiToken(config) => Some(config.name.as_str()),
            _ => None,
        })
    }

    /// Whether any source is a provider, which can tell of logouts.
    pub fn has_provider(&self) -> bool {
        self.providers().next().is_some()
    }

    fn providers(&self) -> impl Iterator<Item = &OidcSource> {
        self.list.iter().filter_map(|(_, source)| match source {
            Source::Oidc(source) => Some(source),
            _ => None,
        })
    }

    /// What a logout token says, with the name of the source whose it is; or what stood against it.
    pub async fn logout(&self, token: &str, now: Timestamp) -> Result<(Logout, &str), Found> {
        let mut outcome =
            Err(Found::Stranger(Finding::new(Check::Issuer, "no provider", "a provider in login.sources")));
        for provider in self.providers() {
            outcome = provider.logout(token, now).await.map(|logout| (logout, provider.name()));
            if !matches!(outcome, Err(Found::Stranger(_))) {
                break;
            }
        }
        outcome
    }

    /// Remembers a logout that was carried out: its token does not count again.
    pub fn taken_logout(&self, source: &str, logout: &Logout, now: Timestamp) {
        let provider = self.providers().find(|provider| provider.name() == source);
        provider.into_iter().for_each(|provider| provider.taken_logout(logout, now));
    }

    /// Who a request is, as the first source says that does not pass it on; what each said is added to `said`.
    /// `None`: all of them passed it on.
    pub async fn find(&self, app: &App, asked: Asked<'_>, said: &mut Vec<Said>) -> Option<Found> {
        let now = app.db.clock.machine();
        for (config, source) in &self.list {
            let found = if asked.is_get && !config.allows_get() {
                let hint = "allow_get = true lets this source answer GET";
                Found::Stranger(Finding::new(Check::Method, "GET", "POST").hint(hint))
            } else {
                match source {
                    Source::Oidc(source) => source.find(&asked, now).await,
                    Source::App(source) => source.find(&asked, now).await,
                    Source::Proxy(config) => proxy::find(config, &asked),
                    Source::ApiToken(config) => api_token::find(config, app, &asked, now).await,
                }
            };
            said.push(Said { source: config.name().to_owned(), kind: config.kind(), verdict: found.verdict() });
            if !matches!(found, Found::Stranger(_)) {
                return Some(found);
            }
        }
        None
    }
}
