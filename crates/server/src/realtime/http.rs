//! Tunnelled routes that belong to no noun: configuration, Sync objects, typing, and what a client asks
//! for that this server has none of yet.

use bytes::Bytes;
use tertulia_protocol::realtime::{typing_conversation, typing_notification};
use tertulia_protocol::sdk::{self, Options};
use tertulia_protocol::sid::{Conversation as ConversationKind, User};
use tertulia_protocol::sync::{self, ObjectType};
use tertulia_protocol::{Code, Sid};

use super::items::{ItemsQuery, ListItems};
use super::objects::OpenObject;
use crate::conversations::commands::enter;
use crate::conversations::queries::Lock;
use crate::platform::{Call, Cx, Error, Ids, Outcome, Question, Reply, Route, ids};
use crate::services::{self, Service};
use crate::{conversations, participants, routes};

/// The routes.
pub const ROUTES: &[Route] = routes![
    Sdk Get "/Client/v2/Configuration" FetchClientConfiguration => configuration;
    Sdk Get "/Client/v2/ContentTemplates" ListContentTemplates => content_templates;
    Sdk Post "/Client/v2/Services/{ServiceSid}/Typing" CreateTyping => typing;
    Sdk Get "/v3/Documents/{Key}" OpenDocument => open_document;
    Sdk Get "/v3/Lists/{Key}" OpenList => open_list;
    Sdk Get "/v3/Maps/{Key}" OpenMap => open_map;
    Sdk Get "/v3/Lists/{Key}/Items" ListListItems => items;
    Sdk Get "/v3/Maps/{Key}/Items" ListMapItems => items;
    Sdk Post "/v1/registrations" CreateRegistration => register;
    Sdk Delete "/v1/registrations" DeleteRegistrations => unregister;
    Sdk Delete "/v1/registrations/{Sid}" DeleteRegistration => unregister;
];

struct OwnService;

impl Question for OwnService {
    type Out = Service;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Service> {
        services::commands::resolve(cx, None).await
    }
}

async fn configuration(call: Call) -> Outcome<Reply> {
    let service = call.ask(OwnService).await?;
    let Some(user) = call.caller.user() else { return Err(Error::not_found(Code::NotFound)) };
    let options = Options { reachability_enabled: service.reachability_enabled };
    let account = call.caller.account_sid;
    Ok(Reply::ok(&sdk::configuration(account, service.sid, user.sid, &user.identity, &call.origin, options)))
}

/// There are none, and `next_token` must say so: without it the SDK asks again for ever.
async fn content_templates(_: Call) -> Outcome<Reply> {
    Ok(Reply::ok(&serde_json::json!({"templates": [], "meta": {"previous_token": null, "next_token": null}})))
}

struct TypeIn(String);

impl Question for TypeIn {
    /// The conversation, and who takes part in it.
    type Out = (Sid<ConversationKind>, Vec<Sid<User>>);

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let room = enter(cx, None, &self.0, Lock::None).await?;
        room.must_take_part(cx)?;
        let (account, sid) = (room.conversation.account, room.conversation.sid);
        Ok((sid, participants::queries::users_of(cx.tx, account, sid).await?))
    }
}

/// Typing travels to the participants that are connected, and is stored nowhere.
async fn typing(call: Call) -> Outcome<Reply> {
    let named = typing_conversation(&call.body).ok_or(conversations::Refusal::NotFound)?;
    let (conversation, users) = call.ask(TypeIn(named.to_owned())).await?;
    let seconds = call.app.config.realtime.typing_seconds;
    if let Some(user) = call.caller.user() {
        let id = format!("TM{}", Ids::from_seed(ids::fresh_seed()).hex(16));
        let packet = Bytes::from(typing_notification(&id, conversation.as_str(), &user.identity, seconds));
        call.app.hub().typing(&users, user.sid, &packet);
    }
    Ok(Reply::ok(&serde_json::json!({"typing_timeout": seconds})))
}

async fn open_document(call: Call) -> Outcome<Reply> {
    open(call, ObjectType::Document).await
}

async fn open_list(call: Call) -> Outcome<Reply> {
    open(call, ObjectType::List).await
}

async fn open_map(call: Call) -> Outcome<Reply> {
    open(call, ObjectType::Map).await
}

async fn open(call: Call, wanted: ObjectType) -> Outcome<Reply> {
    let with_items = call.query.text("Include") == Some("items");
    let question = OpenObject { key: call.param("Key").to_owned(), wanted, with_items };
    let opened = call.ask(question).await?;
    let body = sync::Opened {
        object: opened.object,
        last_event_id: opened.position,
        data: opened.data,
        items: opened.items,
        origin: &call.origin,
        created: opened.created,
        updated: opened.updated,
    };
    Ok(Reply::ok(&body.to_value()))
}

async fn items(call: Call) -> Outcome<Reply> {
    let question = ListItems { key: call.param("Key").to_owned(), query: ItemsQuery::read(&call.query)? };
    let page = call.ask(question).await?;
    Ok(Reply::ok(&sync::items_page(&page.items, &page.ends)).showing(page.object, page.position))
}

/// There is no push yet. A refusal would be tried again for ever and the app's promise never settle, so
/// the registration is taken and nothing comes of it (SDK facts §10).
async fn register(_: Call) -> Outcome<Reply> {
    let id = Ids::from_seed(ids::fresh_seed()).hex(16);
    Ok(Reply::created(&serde_json::json!({"id": id})))
}

async fn unregister(_: Call) -> Outcome<Reply> {
    Ok(Reply::no_content())
}
