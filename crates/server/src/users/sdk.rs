//! Tunnelled routes of users (SDK facts §6).

use tertulia_protocol::sdk::{UserRequest, user_answer};

use super::commands::{FetchUser, Patch, UpdateUser};
use crate::platform::{Call, Outcome, Reply, Route};
use crate::routes;

/// The routes. A user is named by SID or identity.
pub const ROUTES: &[Route] = routes![
    Sdk Get "/Client/v2/Services/{ServiceSid}/Users/{User}" FetchClientUser => fetch;
    Sdk Post "/Client/v2/Services/{ServiceSid}/Users/{User}" UpdateClientUser => update;
];

async fn fetch(call: Call) -> Outcome<Reply> {
    let question = FetchUser { service: None, key: call.param("User").to_owned() };
    let user = call.ask(question).await?;
    let name = user.friendly_name.as_deref();
    Ok(Reply::ok(&user_answer(user.sid, &user.identity, name, &user.attributes)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let request: UserRequest = call.json()?;
    let patch = Patch { friendly_name: request.friendly_name, attributes: request.attributes, role: None };
    let change = UpdateUser { service: None, key: call.param("User").to_owned(), patch };
    let user = call.perform(change).await?;
    let name = user.friendly_name.as_deref();
    Ok(Reply::ok(&user_answer(user.sid, &user.identity, name, &user.attributes)))
}
