//! An API token as a bearer token: made by the command line, kept as a hash.

use serde_json::{Map, Value};
use tertulia_protocol::Timestamp;

use super::Login;
use super::config::ApiTokenConfig;
use super::finding::{Check, Finding};
use super::oidc::{bearer, kind_of};
use super::sources::{Asked, Found};
use crate::App;
use crate::api_tokens::commands::FindApiToken;
use crate::api_tokens::{ApiToken, PREFIX, id_of};
use crate::http::chain;
use crate::platform::{Caller, Outcome};

/// Who a request is, by the API token that it brings.
pub(super) async fn find(config: &ApiTokenConfig, app: &App, asked: &Asked<'_>, now: Timestamp) -> Found {
    let token = match bearer(asked.headers) {
        Ok(token) => token,
        Err(finding) => return Found::Stranger(finding),
    };
    let Some(id) = id_of(token) else {
        let is_broken = token.starts_with(PREFIX);
        let found = if is_broken { "an API token that is cut or changed" } else { kind_of(token) };
        return Found::Stranger(Finding::new(Check::TokenKind, found, "an API token (tt_…)"));
    };
    let stored = match stored(app, id).await {
        Ok(stored) => stored,
        Err(error) => return Found::Unavailable(Finding::new(Check::Store, chain(&error), "an answer")),
    };
    let stored = match stored {
        Some(stored) if stored.is(token, now) => stored,
        stored => return Found::Refused(unusable(id, stored.as_ref(), now)),
    };
    match serde_json::from_str::<Map<String, Value>>(&stored.facts) {
        Ok(mut facts) => {
            // The token is the login session: whoever deletes it ends what came by it.
            facts.insert("sid".to_owned(), stored.id.into());
            Found::Login(Login { source: config.name.clone(), subject: stored.subject, facts: facts.into() })
        }
        Err(cause) => Found::Unavailable(Finding::new(Check::Facts, cause.to_string(), "a JSON object")),
    }
}

/// Why an API token does not come in. Its id is no secret.
fn unusable(id: &str, stored: Option<&ApiToken>, now: Timestamp) -> Finding {
    let found = match stored.map(|stored| stored.expires) {
        None => format!("the id {id}, which no API token of the account has: it was deleted, or is another account's"),
        Some(Some(expires)) if expires <= now => {
            format!("the id {id}, whose token ended at {}", expires.seconds_text())
        }
        Some(_) => format!("the id {id} with another secret"),
    };
    Finding::new(Check::ApiToken, found, "an API token that lives")
}

async fn stored(app: &App, id: &str) -> Outcome<Option<ApiToken>> {
    let account = app.login_account().await?;
    app.db.ask(&Caller::system(account.number, account.sid), FindApiToken(id.to_owned())).await
}
