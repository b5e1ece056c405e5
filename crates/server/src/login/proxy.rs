//! A trusted reverse proxy's word: it has asked who somebody is, and says so in a header.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::Login;
use super::config::ProxyConfig;
use super::sources::{Asked, Found};

/// Who a request is, by the header of a listed proxy. From anybody else the header means nothing.
pub fn find(config: &ProxyConfig, asked: &Asked<'_>) -> Found {
    let Ok(text) = one(asked.headers, &config.header) else {
        return Found::Refused("the header that names the person is there more than once, or is no text".to_owned());
    };
    let Some(subject) = text.filter(|text| !text.is_empty()) else { return Found::Stranger };
    let address = asked.peer.to_canonical();
    if !config.addresses.iter().any(|net| net.contains(&address)) {
        tracing::warn!(target: "tokens", source = config.name, %address, "a header from nobody's proxy was not looked at");
        return Found::Stranger;
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

/// The one value of a header.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(());
    }
    // Names beyond ASCII come as UTF-8. Only what HTTP calls a space is none of the name.
    std::str::from_utf8(value.as_bytes()).map(|text| Some(text.trim_matches([' ', '\t']))).map_err(drop)
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
