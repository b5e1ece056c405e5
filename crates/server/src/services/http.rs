//! REST routes of chat services, of their configuration, and of the account's configuration, which says
//! which of them is the default.

use std::sync::Arc;

use tertulia_protocol::Code;
use tertulia_protocol::rest::{ConfigurationBody, Links, ServiceBody, ServiceConfigurationBody};

use super::Service;
use super::commands::{ConfigureService, CreateService, DeleteService, FetchService, ListServices};
use crate::App;
use crate::accounts::Account;
use crate::accounts::commands::{Configure, GetOwn};
use crate::platform::page::created_key;
use crate::platform::{Call, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    V1 Post "/Services" CreateService => create;
    V1 Get "/Services" ListService => list;
    V1 Get "/Services/{Sid}" FetchService => fetch;
    V1 Delete "/Services/{Sid}" DeleteService => delete;
    V1 Get "/Services/{Sid}/Configuration" FetchServiceConfiguration => fetch_configuration;
    V1 Post "/Services/{Sid}/Configuration" UpdateServiceConfiguration => update_configuration;
    V1 Get "/Configuration" FetchConfiguration => fetch_account;
    V1 Post "/Configuration" UpdateConfiguration => update_account;
];

async fn create(call: Call) -> Outcome<Reply> {
    let friendly_name = call.form.required("FriendlyName")?.to_owned();
    let created = call.perform(CreateService { friendly_name }).await?;
    Ok(Reply::created(&body(&call, &created)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 100)?;
    let rows = call.ask(ListServices(page.clone())).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, &row));
    Ok(page.reply(&bodies, &format!("{}/Services", call.base()), &call.query, "services", &[]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let found = call.ask(FetchService(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&call, &found)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    let sid = call.sid("Sid")?;
    call.perform(DeleteService(sid)).await?;
    App::purge_service(Arc::clone(&call.app), call.caller.account, sid);
    Ok(Reply::no_content())
}

fn body(call: &Call, service: &Service) -> ServiceBody {
    let url = format!("{}/Services/{}", call.base(), service.sid);
    let links: Links = [
        ("conversations", "Conversations"),
        ("users", "Users"),
        ("roles", "Roles"),
        ("bindings", "Bindings"),
        ("configuration", "Configuration"),
        ("participant_conversations", "ParticipantConversations"),
        ("conversation_with_participants", "ConversationWithParticipants"),
    ]
    .into_iter()
    .map(|(name, path)| (name, format!("{url}/{path}")))
    .collect();
    ServiceBody {
        account_sid: call.caller.account_sid,
        sid: service.sid,
        friendly_name: service.friendly_name.clone(),
        date_created: service.created.seconds_text(),
        date_updated: service.updated.seconds_text(),
        url,
        links,
    }
}

async fn fetch_configuration(call: Call) -> Outcome<Reply> {
    let found = call.ask(FetchService(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&configuration(&call, &found)))
}

async fn update_configuration(call: Call) -> Outcome<Reply> {
    let form = &call.form;
    let change = ConfigureService {
        sid: call.sid("Sid")?,
        conversation_creator_role: form.sid("DefaultConversationCreatorRoleSid", Code::ConversationRoleNotFound)?,
        conversation_role: form.sid("DefaultConversationRoleSid", Code::ConversationRoleNotFound)?,
        service_role: form.sid("DefaultChatServiceRoleSid", Code::ServiceRoleNotFound)?,
        reachability_enabled: form.flag("ReachabilityEnabled")?,
    };
    let updated = call.perform(change).await?;
    if updated.reachability_enabled {
        call.app.presence.reconsider();
    }
    Ok(Reply::ok(&configuration(&call, &updated)))
}

fn configuration(call: &Call, service: &Service) -> ServiceConfigurationBody {
    let url = format!("{}/Services/{}/Configuration", call.base(), service.sid);
    let link = |name, path| (name, format!("{url}/{path}"));
    ServiceConfigurationBody {
        chat_service_sid: service.sid,
        default_conversation_creator_role_sid: service.conversation_creator_role,
        default_conversation_role_sid: service.conversation_role,
        default_chat_service_role_sid: service.service_role,
        reachability_enabled: service.reachability_enabled,
        links: [link("notifications", "Notifications"), link("webhooks", "Webhooks")].into(),
        url,
    }
}

async fn fetch_account(call: Call) -> Outcome<Reply> {
    let account = call.ask(GetOwn).await?;
    Ok(Reply::ok(&account_configuration(&call, account)))
}

async fn update_account(call: Call) -> Outcome<Reply> {
    let form = &call.form;
    let change = Configure {
        default_service: form.sid("DefaultChatServiceSid", Code::ParameterInvalid)?,
        default_messaging_service: form.sid("DefaultMessagingServiceSid", Code::MessagingServiceInvalid)?,
        default_inactive_timer: form.timer("DefaultInactiveTimer"),
        default_closed_timer: form.timer("DefaultClosedTimer"),
    };
    let account = call.perform(change).await?;
    Ok(Reply::ok(&account_configuration(&call, account)))
}

fn account_configuration(call: &Call, account: Account) -> ConfigurationBody {
    let url = format!("{}/Configuration", call.base());
    let service = account.default_service.map(|sid| format!("{}/Services/{sid}/Configuration", call.base()));
    let links = service.map(|service| ("service", service)).into_iter();
    ConfigurationBody {
        account_sid: account.sid,
        default_chat_service_sid: account.default_service,
        default_messaging_service_sid: account.default_messaging_service,
        default_inactive_timer: account.default_inactive_timer,
        default_closed_timer: account.default_closed_timer,
        links: links.chain([("webhooks", format!("{url}/Webhooks"))]).collect(),
        url,
    }
}
