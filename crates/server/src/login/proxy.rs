//! A trusted reverse proxy's word: it has asked who somebody is, and says so in a header.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::Login;
use super::config::ProxyConfig;
use super::finding::{Check, Finding};
use super::sources::{Asked, Found};

/// Who a request is, by the header of a listed proxy. From anybody else the header means nothing.
pub fn find(config: &ProxyConfig, asked: &Asked<'_>) -> Found {
    let header = config.header.as_str();
    let expected = || format!("one header {header} with the name of the person");
    let text = match one(asked.headers, header) {
        Ok(text) => text,
        Err(fault) => return Found::Refused(Finding::new(Check::Header, fault.text(header), expected())),
    };
    let Some(subject) = text else {
        return Found::Stranger(Finding::new(Check::Header, format!("no header {header}"), expected()));
    };
    if subject.is_empty() {
        return Found::Stranger(Finding::new(Check::Header, format!("an empty header {header}"), expected()));
    }
    let address = asked.peer.to_canonical();
    if !config.addresses.iter().any(|net| net.contains(&address)) {
        let listed: Vec<_> = config.addresses.iter().map(ToString::to_string).collect();
        tracing::warn!(target: "tokens", source = config.name, %address, "a header from an address that is not a listed proxy was not looked at");
        let hint = format!("the header {header} was not looked at");
        return Found::Stranger(Finding::new(Check::Address, address.to_string(), listed.join(", ")).hint(hint));
    }
    let mut facts = Map::new();
    for (name, header) in &config.facts {
        if let Ok(Some(text)) = one(asked.headers, header) {
            facts.insert(name.clone(), text.into());
        }
    }
    for (name, header) in &config.lists {
        if let Ok(Some(text)) = one(asked.headers, header) {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            facts.insert(name.clone(), parts.map(Value::from).collect());
        }
    }
    Found::Login(Login { source: config.name.clone(), subject: subject.to_owned(), facts: facts.into() })
}

/// Why a header has no one value.
enum HeaderFault {
    Repeated,
    NotUtf8,
}

impl HeaderFault {
    fn text(&self, header: &str) -> String {
        match self {
            Self::Repeated => format!("several headers {header}"),
            Self::NotUtf8 => format!("a header {header} that is not UTF-8"),
        }
    }
}

/// The one value of a header.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, HeaderFault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(HeaderFault::Repeated);
    }
    // Names beyond ASCII come as UTF-8. Only what HTTP calls a space is none of the name.
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| HeaderFault::NotUtf8)?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_name_keeps_the_spaces_that_http_knows_nothing_of() {
        let text = r#"{"name": "sso", "header": "x-user", "addresses": ["127.0.0.1"]}"#;
        let config: ProxyConfig = serde_json::from_str(text).unwrap();
        for (value, subject) in [(" ana\t", "ana"), ("ana\u{3000}", "ana\u{3000}"), ("\u{a0}ana", "\u{a0}ana")] {
            let mut headers = HeaderMap::new();
            headers.insert("x-user", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            let asked = Asked { headers: &headers, peer: [127, 0, 0, 1].into(), is_get: false };
            let Found::Login(login) = find(&config, &asked) else { panic!("{value:?} is nobody") };
            assert_eq!(login.subject, subject);
        }
    }
}
