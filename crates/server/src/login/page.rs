//! What a browser tells of the page that asks, and what it may be told in return (CORS). No IO.

use axum::http::{HeaderMap, HeaderValue};

use super::LoginConfig;
use super::finding::shown;
use crate::platform::origin;

/// The page that asks, as far as its browser tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What a browser may be told to let in.
    pub allowed: Option<HeaderValue>,
    /// Whether cookies may come along.
    pub with_credentials: bool,
    /// Whether it is of another origin, and not listed.
    pub is_foreign: bool,
    /// Whether the bare token is wanted.
    pub wants_text: bool,
    /// What its browser says of where it is from: its origin, or only how near that is.
    whence: String,
}

impl Page {
    /// Of a request's headers; `own` is the origin at which the request came in.
    pub fn read(config: &LoginConfig, own: Option<&str>, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // No page can write this header. It is right where the origin seen here is not: behind a proxy that ends TLS.
        let site = text("sec-fetch-site");
        // An origin that cannot be read is one, and nobody's; so is what stands for any origin in an answer.
        let origin = headers.get("origin").map(|value| value.to_str().ok().filter(|origin| *origin != "*"));
        let (allowed, with_credentials, is_foreign) = match origin {
            Some(Some(origin))
                if own.is_some_and(|own| own == origin || origin::is_same(own, origin))
                    || site == Some("same-origin")
                    || config.allows_origin(origin) =>
            {
                (HeaderValue::from_str(origin).ok(), true, false)
            }
            Some(_) if config.allows_any_origin() => (Some(HeaderValue::from_static("*")), false, true),
            Some(_) => (None, false, true),
            // Browsers leave `Origin` out of some requests, but then say this. Apps that are no page say nothing.
            None => (None, false, matches!(site, Some("cross-site" | "same-site"))),
        };
        let wants_text = text("accept").is_some_and(|accept| accept.contains("text/plain") && !accept.contains("json"));
        let whence = match (origin, site) {
            (Some(origin), _) => shown(&origin.unwrap_or("(not a text)").into()),
            (None, site) => {
                format!("an origin that the browser does not name (Sec-Fetch-Site: {})", site.unwrap_or("none"))
            }
        };
        Self { allowed, with_credentials, is_foreign, wants_text, whence }
    }

    /// What to call it in a refusal.
    pub fn name(&self) -> String {
        self.whence.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Config;

    #[test]
    fn an_origin_that_is_none_is_foreign() {
        let config = Config::defaults().login;
        let mut headers = HeaderMap::new();
        assert!(!Page::read(&config, None, &headers).is_foreign);
        for origin in [&b"https://\xff"[..], b"*"] {
            headers.insert("origin", HeaderValue::from_bytes(origin).unwrap());
            headers.remove("sec-fetch-site");
            let page = Page::read(&config, Some("https://chat.example.com"), &headers);
            assert_eq!((page.is_foreign, page.with_credentials, page.allowed), (true, false, None));
            headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
            assert!(Page::read(&config, None, &headers).is_foreign);
        }
    }
}
