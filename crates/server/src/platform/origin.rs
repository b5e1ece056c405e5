//! Origins of web pages: scheme, host and port. No IO.

use std::str::FromStr;

use axum::http::Uri;

/// Scheme, host and port, as browsers compare them: in lower case, and with the port that the scheme has by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl FromStr for Origin {
    type Err = ();

    /// Reads the origin of an absolute URL. `null`, which browsers send for pages without an origin, is none.
    fn from_str(text: &str) -> Result<Self, ()> {
        let url: Uri = text.parse().map_err(drop)?;
        let scheme = url.scheme_str().ok_or(())?.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => 0,
        };
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(())?;
        let host = authority.host().to_ascii_lowercase();
        let has_port = authority.as_str().len() > host.len();
        let port = if has_port { authority.port_u16().ok_or(())? } else { usual };
        if host.is_empty() { Err(()) } else { Ok(Self { scheme, host, port }) }
    }
}

/// Whether two texts are one origin.
pub fn is_same(one: &str, other: &str) -> bool {
    match (one.parse::<Origin>(), other.parse::<Origin>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// What is wrong with an absolute `http` or `https` URL, as it goes on after the key's name.
pub fn check_url(text: &str, like: &str) -> Result<(), String> {
    let wrong = || format!("is \"{text}\"; it must be an absolute URL such as {like}");
    let origin: Origin = text.parse().map_err(|()| wrong())?;
    if matches!(origin.scheme.as_str(), "http" | "https") { Ok(()) } else { Err(wrong()) }
}

/// What is wrong with an origin, as it goes on after the key's name. Of an app a scheme of its own is allowed.
pub fn check(text: &str) -> Result<(), String> {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    let is_bare = rest.is_some_and(|rest| !rest.contains(['/', '?', '#']));
    if is_bare && text.parse::<Origin>().is_ok() {
        return Ok(());
    }
    Err(format!("has \"{text}\"; an origin is a scheme and a host, such as https://app.example.com, without a path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_do() {
        for (one, other, same) in [
            ("https://a.example", "https://A.example:443", true),
            ("http://a.example:80", "http://a.example", true),
            ("https://a.example/chat", "https://a.example", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://b.example", false),
            ("null", "null", false),
            ("*", "*", false),
            ("https://ana@a.example", "https://a.example", false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_absolute_url_is_told() {
        for good in ["https://a.example", "http://127.0.0.1:1/", "https://[::1]:8/chat"] {
            assert_eq!(check_url(good, "x"), Ok(()));
        }
        for wrong in [
            "a.example",
            "//a.example",
            "/chat",
            "https://",
            "https:///x",
            "ftp://a.example",
            "https://a@b",
            "https://:1",
            "https://a:99999",
            "a b",
        ] {
            assert!(check_url(wrong, "x").unwrap_err().contains(wrong), "{wrong}");
        }
        for wrong in ["https://a.example/", "a.example", "https://a.example/x", "null", "https://a?b"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(check("capacitor://localhost"), Ok(()));
    }
}
