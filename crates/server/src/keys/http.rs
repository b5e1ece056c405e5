//! REST routes of keys: the 2010 API has them under two names with the same behaviour.

use std::sync::Arc;

use tertulia_protocol::rest::KeyBody;

use super::commands::{CreateKey, DeleteKey, GetKey, ListKeys, RenameKey};
use super::{Key, Kind};
use crate::platform::page::created_key;
use crate::platform::{Call, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    V2010 Post "/Accounts/{AccountSid}/Keys.json" CreateNewKey => create;
    V2010 Get "/Accounts/{AccountSid}/Keys.json" ListKey => list_keys;
    V2010 Get "/Accounts/{AccountSid}/Keys/{Sid}.json" FetchKey => fetch;
    V2010 Post "/Accounts/{AccountSid}/Keys/{Sid}.json" UpdateKey => update;
    V2010 Delete "/Accounts/{AccountSid}/Keys/{Sid}.json" DeleteKey => delete;
    V2010 Post "/Accounts/{AccountSid}/SigningKeys.json" CreateNewSigningKey => create;
    V2010 Get "/Accounts/{AccountSid}/SigningKeys.json" ListSigningKey => list_signing_keys;
    V2010 Get "/Accounts/{AccountSid}/SigningKeys/{Sid}.json" FetchSigningKey => fetch;
    V2010 Post "/Accounts/{AccountSid}/SigningKeys/{Sid}.json" UpdateSigningKey => update;
    V2010 Delete "/Accounts/{AccountSid}/SigningKeys/{Sid}.json" DeleteSigningKey => delete;
];

async fn create(call: Call) -> Outcome<Reply> {
    let change = CreateKey {
        sid: None,
        secret: None,
        kind: Kind::Standard,
        friendly_name: call.form.owned("FriendlyName").unwrap_or_default(),
        sealer: Arc::clone(&call.app.sealer),
    };
    let (key, secret) = call.app.perform(&call.caller, change).await?;
    Ok(Reply::created(&body(&key, Some(secret))))
}

async fn list_keys(call: Call) -> Outcome<Reply> {
    list(call, "Keys", "keys").await
}

async fn list_signing_keys(call: Call) -> Outcome<Reply> {
    list(call, "SigningKeys", "signing_keys").await
}

async fn list(call: Call, path: &str, name: &'static str) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let rows = call.app.ask(&call.caller, ListKeys(page.clone())).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&row, None));
    let uri = format!("/2010-04-01/Accounts/{}/{path}.json", call.caller.account_sid);
    Ok(page.reply_2010(&bodies, &uri, &call.query, name))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let key = call.app.ask(&call.caller, GetKey(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&key, None)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let change = RenameKey { sid: call.sid("Sid")?, friendly_name: call.form.owned("FriendlyName") };
    let key = call.app.perform(&call.caller, change).await?;
    Ok(Reply::ok(&body(&key, None)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.app.perform(&call.caller, DeleteKey(call.sid("Sid")?)).await?;
    Ok(Reply::no_content())
}

fn body(key: &Key, secret: Option<String>) -> KeyBody {
    KeyBody {
        sid: key.sid,
        friendly_name: key.friendly_name.clone(),
        date_created: key.created.rfc2822_text(),
        date_updated: key.updated.rfc2822_text(),
        secret,
    }
}
