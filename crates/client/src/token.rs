//! Where Access Tokens come from.

use std::fmt;
use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

/// Why there is no token.
pub type TokenError = Box<dyn std::error::Error + Send + Sync>;

/// Gives a token when one is needed: at the start, when the server says that the current one is about to
/// expire, and when it has expired. A text is a token that stays the same. What fails is asked again later.
pub struct TokenProvider(Box<dyn Fn() -> BoxFuture<'static, Result<String, TokenError>> + Send + Sync>);

impl TokenProvider {
    /// From a function that fetches or mints a token.
    pub fn new<F, E>(provide: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<TokenError>,
    {
        Self(Box::new(move || provide().map(|token| token.map_err(Into::into)).boxed()))
    }

    pub(crate) fn token(&self) -> BoxFuture<'static, Result<String, TokenError>> {
        (self.0)()
    }
}

impl From<String> for TokenProvider {
    fn from(token: String) -> Self {
        Self(Box::new(move || ready(Ok(token.clone())).boxed()))
    }
}

impl From<&str> for TokenProvider {
    fn from(token: &str) -> Self {
        token.to_owned().into()
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider")
    }
}
