//! REST routes of API tokens; the command line uses them.

use serde::Serialize;
use serde_json::value::RawValue;
use tertulia_protocol::Code;

use super::ApiToken;
use super::commands::{CreateApiToken, DeleteApiToken, ListApiTokens};
use crate::platform::page::created_key;
use crate::platform::{Call, Error, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Own Post "/ApiTokens" CreateApiToken => create;
    Own Get "/ApiTokens" ListApiToken => list;
    Own Delete "/ApiTokens/{ApiTokenId}" DeleteApiToken => delete;
];

#[derive(Serialize)]
struct Body {
    id: String,
    subject: String,
    facts: Box<RawValue>,
    friendly_name: String,
    date_created: String,
    date_expires: Option<String>,
    url: String,
    /// In the answer to its creation only, never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

async fn create(call: Call) -> Outcome<Reply> {
    let change = CreateApiToken {
        subject: call.form.required("Subject")?.to_owned(),
        facts: call.form.owned("Facts").filter(|facts| !facts.is_empty()).unwrap_or_else(|| "{}".to_owned()),
        friendly_name: call.form.owned("FriendlyName").unwrap_or_default(),
        expires: call.form.date("DateExpires", Code::ParameterInvalid)?,
    };
    let (row, token) = call.perform(change).await?;
    Ok(Reply::created(&body(&call, row, Some(token))?))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let rows = call.ask(ListApiTokens(page.clone())).await?;
    let cut = page.cut(rows, |row| created_key(row.created, &row.id));
    let mut broken = None;
    let bodies = cut.map(|row| body(&call, row, None).map_err(|error| broken = Some(error)).ok());
    if let Some(error) = broken {
        return Err(error);
    }
    let url = format!("{}/tertulia/v1/ApiTokens", call.origin);
    Ok(page.reply(&bodies, &url, &call.query, "api_tokens", &[]))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.perform(DeleteApiToken(call.param("ApiTokenId").to_owned())).await?;
    Ok(Reply::no_content())
}

fn body(call: &Call, row: ApiToken, token: Option<String>) -> Outcome<Body> {
    let facts =
        RawValue::from_string(row.facts).map_err(|cause| Error::Broken(format!("facts of an API token: {cause}")))?;
    Ok(Body {
        url: format!("{}/tertulia/v1/ApiTokens/{}", call.origin, row.id),
        id: row.id,
        subject: row.subject,
        facts,
        friendly_name: row.friendly_name,
        date_created: row.created.seconds_text(),
        date_expires: row.expires.map(|expires| expires.seconds_text()),
        token,
    })
}
