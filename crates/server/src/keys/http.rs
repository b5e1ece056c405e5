//! REST routes of keys: the 2010 API has them under two names with the same behaviour, and the newer form
//! knows Restricted keys too.

use serde::Serialize;
use tertulia_protocol::rest::{KeyBody, KeyRow, ManagedKeyBody};
use tertulia_protocol::sid::Key as KeyKind;
use tertulia_protocol::{Code, Sid};

use super::commands::{CreateKey, DeleteKey, GetKey, ListKeys, SucceedKey, UpdateKey};
use super::{Key, Kind, Policy, Refusal};
use crate::platform::page::created_key;
use crate::platform::{Call, Caller, Form, Outcome, PageRequest, Reply, Route, Who};
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
    Manage Post "/Keys" CreateNewKey => create_managed;
    Manage Get "/Keys" ListGetKeys => list_managed;
    Manage Get "/Keys/{Sid}" FetchKey => fetch_managed;
    Manage Post "/Keys/{Sid}" UpdateKey => update_managed;
    Manage Delete "/Keys/{Sid}" DeleteKey => delete;
    Own Post "/Keys/{Sid}/Successor" CreateSuccessorKey => succeed;
];

async fn create(call: Call) -> Outcome<Reply> {
    let (key, secret) = call.perform(new_key(&call, Kind::Standard, None)).await?;
    Ok(Reply::created(&body(&key, Some(secret))))
}

async fn create_managed(call: Call) -> Outcome<Reply> {
    let caller = named_account(&call, &call.form).await?;
    let kind = match call.form.text("KeyType").filter(|kind| !kind.is_empty()) {
        None => Kind::Standard,
        Some(kind) if kind.eq_ignore_ascii_case("restricted") => Kind::Restricted,
        // Not in the documentation, where Main keys are made in the console: here that is the operator.
        Some(kind) if kind.eq_ignore_ascii_case("main") && matches!(caller.who, Who::Operator) => Kind::Main,
        Some(_) => return Err(Refusal::KindUnknown.into()),
    };
    let change = new_key(&call, kind, policy(&call.form)?);
    let (key, secret) = call.app.db.perform(&caller, change).await?;
    Ok(Reply::created(&managed_body(&key, Some(secret))))
}

#[derive(Serialize)]
struct SuccessorBody {
    #[serde(flatten)]
    key: ManagedKeyBody,
    /// The key whose place it takes.
    replaces: Sid<KeyKind>,
    /// Whether the token endpoint signs with it from now on, in place of the old one.
    signs_for_token_endpoint: bool,
    /// Whether the configuration of this node names the old one (`login.key`): then that signs until it is changed.
    replaced_is_login_key: bool,
}

/// An operation of Tertulia's own: what it does in one step takes several elsewhere.
async fn succeed(call: Call) -> Outcome<Reply> {
    let sid = call.sid("Sid")?;
    let login_key = call.app.login_key();
    let made = call.perform(SucceedKey { sid, login_key, ring: call.app.sealer.ring() }).await?;
    Ok(Reply::created(&SuccessorBody {
        key: managed_body(&made.key, Some(made.secret)),
        replaces: sid,
        signs_for_token_endpoint: made.is_signer,
        replaced_is_login_key: login_key == Some(sid),
    }))
}

fn new_key(call: &Call, kind: Kind, policy: Option<Policy>) -> CreateKey {
    CreateKey {
        sid: None,
        secret: None,
        kind,
        friendly_name: call.form.owned("FriendlyName").unwrap_or_default(),
        policy,
        ring: call.app.sealer.ring(),
    }
}

fn policy(form: &Form) -> Outcome<Option<Policy>> {
    let text = form.text("Policy").filter(|text| !text.is_empty());
    Ok(text.map(Policy::parse).transpose()?)
}

/// The newer form names the account beside the path.
async fn named_account(call: &Call, form: &Form) -> Outcome<Caller> {
    form.required("AccountSid")?;
    let sid = form.sid("AccountSid", Code::ParameterInvalid)?;
    call.app.standing_in(&call.caller, sid).await
}

async fn list_keys(call: Call) -> Outcome<Reply> {
    list(call, "Keys", "keys").await
}

async fn list_signing_keys(call: Call) -> Outcome<Reply> {
    list(call, "SigningKeys", "signing_keys").await
}

async fn list(call: Call, path: &str, name: &'static str) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 1000)?;
    let rows = call.ask(ListKeys(page.clone())).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&row, None));
    let uri = format!("/2010-04-01/Accounts/{}/{path}.json", call.caller.account_sid);
    Ok(page.reply_2010(&bodies, &uri, &call.query, name, &[]))
}

async fn list_managed(call: Call) -> Outcome<Reply> {
    let caller = named_account(&call, &call.query).await?;
    let page = PageRequest::read(&call.query, 1000)?;
    let rows = call.app.db.ask(&caller, ListKeys(page.clone())).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| KeyRow { key: body(&row, None), flags: row.kind.flags() });
    Ok(page.reply(&bodies, &format!("{}/v1/Keys", call.origin), &call.query, "keys", &["AccountSid"]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let key = call.ask(GetKey(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&key, None)))
}

async fn fetch_managed(call: Call) -> Outcome<Reply> {
    let key = call.ask(GetKey(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&managed_body(&key, None)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let change = UpdateKey { sid: call.sid("Sid")?, friendly_name: call.form.owned("FriendlyName"), policy: None };
    let key = call.perform(change).await?;
    Ok(Reply::ok(&body(&key, None)))
}

async fn update_managed(call: Call) -> Outcome<Reply> {
    let (sid, policy) = (call.sid("Sid")?, policy(&call.form)?);
    let change = UpdateKey { sid, friendly_name: call.form.owned("FriendlyName"), policy };
    let key = call.perform(change).await?;
    Ok(Reply::ok(&managed_body(&key, None)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.perform(DeleteKey(call.sid("Sid")?)).await?;
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

fn managed_body(key: &Key, secret: Option<String>) -> ManagedKeyBody {
    ManagedKeyBody { key: body(key, secret), policy: key.policy.as_ref().map(Policy::json) }
}
