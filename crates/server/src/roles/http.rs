//! REST routes of roles.

use tertulia_protocol::rest::RoleBody;

use super::commands::{CreateRole, DeleteRole, FetchRole, ListRoles, Named, UpdateRole};
use super::{Permissions, Refusal, Role, Scope};
use crate::platform::page::created_key;
use crate::platform::{Call, Error, Form, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Service Post "/Roles" CreateRole => create;
    Service Get "/Roles" ListRole => list;
    Service Get "/Roles/{Sid}" FetchRole => fetch;
    Service Post "/Roles/{Sid}" UpdateRole => update;
    Service Delete "/Roles/{Sid}" DeleteRole => delete;
];

fn named(call: &Call) -> Outcome<Named> {
    Ok(Named { service: call.service, sid: call.sid("Sid")? })
}

/// The names of the permissions; a role must be given at least one.
fn permissions(form: &Form) -> Outcome<Vec<String>> {
    let names: Vec<String> = form.all("Permission").into_iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Error::parameter("Missing required parameter Permission in the post body"));
    }
    Ok(names)
}

async fn create(call: Call) -> Outcome<Reply> {
    let friendly_name = call.form.required("FriendlyName")?.to_owned();
    let scope = Scope::parse(call.form.required("Type")?).ok_or(Refusal::TypeInvalid)?;
    let permissions = Permissions::named(&permissions(&call.form)?, scope)?;
    let change = CreateRole { service: call.service, friendly_name, scope, permissions };
    let created = call.perform(change).await?;
    Ok(Reply::created(&body(&call, &created)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 50)?;
    let question = ListRoles { service: call.service, page: page.clone() };
    let rows = call.ask(question).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, &row));
    Ok(page.reply(&bodies, &format!("{}/Roles", call.base()), &call.query, "roles", &[]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let found = call.ask(FetchRole(named(&call)?)).await?;
    Ok(Reply::ok(&body(&call, &found)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let change = UpdateRole { named: named(&call)?, permissions: permissions(&call.form)? };
    let updated = call.perform(change).await?;
    Ok(Reply::ok(&body(&call, &updated)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.perform(DeleteRole(named(&call)?)).await?;
    Ok(Reply::no_content())
}

fn body(call: &Call, role: &Role) -> RoleBody {
    RoleBody {
        sid: role.sid,
        account_sid: call.caller.account_sid,
        chat_service_sid: role.service,
        friendly_name: role.friendly_name.clone(),
        kind: role.scope.word(),
        permissions: role.permissions.words().into_iter().map(str::to_owned).collect(),
        date_created: role.created.seconds_text(),
        date_updated: role.updated.seconds_text(),
        url: format!("{}/Roles/{}", call.base(), role.sid),
    }
}
