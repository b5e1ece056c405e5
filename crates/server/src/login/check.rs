//! What is wrong with the section `[login]`, without the store. No IO.

use std::collections::BTreeSet;

use axum::http::{HeaderName, header};
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account, Key, Service};
use tertulia_token::LIFETIME_MAX;

use super::config::{AppConfig, LoginConfig, OidcConfig, ProxyConfig, SourceConfig};
use super::policy::{NO_RULE, Rule};
use crate::http::peer::check_networks;
use crate::platform::config::Wrong;
use crate::platform::origin;

/// Headers that the connection to an app needs for itself.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
];

impl LoginConfig {
    /// The first thing that is wrong with it.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        if !self.account.is_empty() {
            Sid::<Account>::parse(&self.account).map_err(|cause| Wrong::at("login.account", format!("is {cause}")))?;
        }
        if !self.key.is_empty() {
            Sid::<Key>::parse(&self.key).map_err(|cause| Wrong::at("login.key", format!("is {cause}")))?;
        }
        for key in &self.spare_keys {
            let wrong = |cause| Wrong::at("login.spare_keys", format!("has \"{key}\", which is {cause}"));
            Sid::<Key>::parse(key).map_err(wrong)?;
        }
        if self.key.is_empty() && !self.spare_keys.is_empty() {
            return Err(Wrong::at("login.spare_keys", "take the place of login.key, which is empty".to_owned()));
        }
        if !(1..=LIFETIME_MAX).contains(&self.ttl_seconds_max) {
            let text = format!("is {}; it must be 1 to {LIFETIME_MAX}", self.ttl_seconds_max);
            return Err(Wrong::at("login.ttl_seconds_max", text));
        }
        check_ttl(self.ttl_seconds).map_err(|text| Wrong::at("login.ttl_seconds", text))?;
        for allowed in self.allowed_origins.iter().filter(|allowed| *allowed != "*") {
            origin::check(allowed).map_err(|text| Wrong::at("login.allowed_origins", text))?;
        }
        let names = self.check_sources()?;
        self.check_rules(&names)?;
        self.check_examples(&names)
    }

    fn check_sources(&self) -> Result<BTreeSet<&str>, Wrong> {
        let mut names = BTreeSet::new();
        for (place, source) in self.sources.iter().enumerate() {
            let (path, name) = (format!("login.sources[{place}]"), source.name());
            let at = |key: &str, text: String| Wrong::at(format!("{path}.{key}"), text).of("source", name);
            if name.is_empty() {
                return Err(at("name", "must not be empty".to_owned()));
            }
            if !names.insert(name) {
                return Err(at("name", format!("is \"{name}\", which another source is called already")));
            }
            if name.contains(':') {
                return Err(at(
                    "name",
                    format!("is \"{name}\"; it must have no colon, as login sessions are named SOURCE:SID"),
                ));
            }
            source.check().map_err(|(key, text)| at(key, text))?;
        }
        Ok(names)
    }

    fn check_rules(&self, sources: &BTreeSet<&str>) -> Result<(), Wrong> {
        let mut names = BTreeSet::from([NO_RULE]);
        for (place, rule) in self.rules.iter().enumerate() {
            let (path, name) = (format!("login.rules[{place}]"), rule.name.as_str());
            let at = |key: &str, text: String| Wrong::at(format!("{path}.{key}"), text).of("rule", name);
            if name.is_empty() {
                return Err(at("name", "must not be empty".to_owned()));
            }
            if !names.insert(name) {
                return Err(at("name", format!("is \"{name}\", which another rule is called already")));
            }
            if let Some(ttl) = rule.ttl_seconds {
                check_ttl(ttl).map_err(|text| at("ttl_seconds", text))?;
            }
            let unknown = rule.sources().find(|source| !source.contains('*') && !sources.contains(source));
            if let Some(source) = unknown {
                return Err(at("when", format!("names the source \"{source}\", which login.sources does not have")));
            }
            self.check_facts(rule).map_err(|(key, text)| at(key, text))?;
            check_grants(rule).map_err(|(key, text)| at(key, text))?;
        }
        Ok(())
    }

    /// Of proxies it is known which facts they bring; a rule that asks only them for another one is never of use.
    fn check_facts(&self, rule: &Rule) -> Result<(), (&'static str, String)> {
        let asked: Vec<_> = self.sources.iter().filter(|source| rule.can_be_about(source.name())).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let says = |source: &&SourceConfig, fact: &str| match source {
            SourceConfig::Proxy(proxy) => proxy.facts.contains_key(fact) || proxy.lists.contains_key(fact),
            _ => true,
        };
        let known = |fact: &str| matches!(fact, "source" | "subject") || asked.iter().any(|source| says(source, fact));
        let unknown = |fact: &str| {
            let names: Vec<_> = asked.iter().map(|source| format!("\"{}\"", source.name())).collect();
            format!(
                "asks for the fact \"{fact}\", which the proxy {} does not bring (its facts and lists)",
                names.join(", ")
            )
        };
        if let Some(fact) = rule.when.keys().find(|fact| !known(fact)) {
            return Err(("when", unknown(fact)));
        }
        for (key, template) in rule.templates() {
            if let Some(fact) = template.facts().find(|fact| !known(fact)) {
                return Err((key, unknown(fact)));
            }
        }
        Ok(())
    }

    fn check_examples(&self, sources: &BTreeSet<&str>) -> Result<(), Wrong> {
        let rules: BTreeSet<_> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
        for (place, example) in self.examples.iter().enumerate() {
            let at = |key: &str, text: String| Wrong::at(format!("login.examples[{place}].{key}"), text);
            let source = example.login.source.as_str();
            if !sources.contains(source) {
                return Err(at("login", format!("names the source \"{source}\", which login.sources does not have")));
            }
            if let Some(rule) = example.refused_by.as_deref().filter(|rule| *rule != NO_RULE && !rules.contains(rule)) {
                return Err(at("refused_by", format!("names the rule \"{rule}\", which login.rules does not have")));
            }
        }
        Ok(())
    }
}

fn check_ttl(ttl: i64) -> Result<(), String> {
    if (1..=LIFETIME_MAX).contains(&ttl) {
        return Ok(());
    }
    Err(format!("is {ttl}; it must be 1 to {LIFETIME_MAX}, and several hours are best"))
}

fn check_grants(rule: &Rule) -> Result<(), (&'static str, String)> {
    let grants = &rule.grants;
    let wanted = [
        ("push_credential", "CR", &grants.push_credential),
        ("sync_service", "IS", &grants.sync_service),
        ("voice_application", "AP", &grants.voice_application),
    ];
    for (key, prefix, sid) in wanted {
        if let Some(sid) = sid.as_ref().filter(|sid| !is_sid(prefix, sid)) {
            return Err(("grants", format!("has \"{sid}\" as {key}; it must be a SID, {prefix} and 32 hex digits")));
        }
    }
    match &rule.service {
        Some(service) if service.is_literal() && Sid::<Service>::parse(service.text()).is_err() => {
            Err(("service", format!("is \"{}\"; it must be the SID of a chat service (IS…)", service.text())))
        }
        _ => Ok(()),
    }
}

fn is_sid(prefix: &str, text: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A key, and what is wrong with it.
type Fault = (&'static str, String);

impl SourceConfig {
    fn check(&self) -> Result<(), Fault> {
        match self {
            Self::Oidc(source) => source.check(),
            Self::App(source) => source.check(),
            Self::Proxy(source) => source.check(),
            Self::ApiToken(_) => Ok(()),
        }
    }
}

impl OidcConfig {
    fn check(&self) -> Result<(), Fault> {
        origin::check_url(&self.issuer, "https://login.example.com").map_err(|text| ("issuer", text))?;
        if !self.jwks_url.is_empty() {
            let like = "https://login.example.com/keys";
            origin::check_url(&self.jwks_url, like).map_err(|text| ("jwks_url", text))?;
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            return Err(("audience", "must name whom its tokens are for, or anybody's tokens would do".to_owned()));
        }
        if self.algorithms.is_empty() {
            return Err(("algorithms", "must have at least one".to_owned()));
        }
        if self.leeway_seconds > 300 {
            return Err(("leeway_seconds", format!("is {}; it must be at most 300", self.leeway_seconds)));
        }
        Ok(())
    }
}

impl AppConfig {
    fn check(&self) -> Result<(), Fault> {
        origin::check_url(&self.url, "https://app.example.com/me").map_err(|text| ("url", text))?;
        if self.forward.is_empty() {
            return Err(("forward", "must have cookie, authorization or both".to_owned()));
        }
        if self.cache_seconds > 300 {
            let text =
                format!("is {}; it must be at most 300: so long a logout would not be noticed", self.cache_seconds);
            return Err(("cache_seconds", text));
        }
        self.check_headers().map_err(|text| ("headers", text))
    }

    fn check_headers(&self) -> Result<(), String> {
        let headers = self.headers.map();
        for forwarded in &self.forward {
            if headers.contains_key(forwarded.header()) {
                return Err(format!("has \"{}\", which forward takes from the caller", forwarded.header()));
            }
        }
        if let Some(name) = OF_THE_CONNECTION.iter().find(|name| headers.contains_key(*name)) {
            return Err(format!("has \"{name}\", which the connection sets for itself"));
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        match host {
            Some(host) if format!("http://{host}").parse::<origin::Origin>().is_err() || host.contains('/') => {
                Err(format!("has \"{host}\" as Host; it must be a host, and perhaps a port"))
            }
            _ => Ok(()),
        }
    }
}

impl ProxyConfig {
    fn check(&self) -> Result<(), Fault> {
        let wrong = |key, name: &str| Err((key, format!("has \"{name}\", which is not the name of a header")));
        let is_name = |name: &String| name.parse::<HeaderName>().is_ok();
        if !is_name(&self.header) {
            return wrong("header", &self.header);
        }
        for (key, headers) in [("facts", &self.facts), ("lists", &self.lists)] {
            if let Some(name) = headers.values().find(|name| !is_name(name)) {
                return wrong(key, name);
            }
        }
        if self.addresses.is_empty() {
            return Err(("addresses", "must list the proxy's: anybody can send a header".to_owned()));
        }
        check_networks(&self.addresses).map_err(|text| ("addresses", text))
    }
}

impl Rule {
    /// Sources that its conditions name.
    fn sources(&self) -> impl Iterator<Item = &str> {
        self.when.get("source").into_iter().flat_map(super::policy::Wanted::texts)
    }

    /// Whether its conditions leave room for logins of this source.
    pub(super) fn can_be_about(&self, source: &str) -> bool {
        let wanted = self.when.get("source");
        wanted.is_none_or(|wanted| wanted.holds(&source.into()))
    }
}
