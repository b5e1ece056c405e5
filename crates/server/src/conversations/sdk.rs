//! Tunnelled routes of conversations, and of the caller's own list of them (SDK facts §3–§4).

use std::sync::Arc;

use tertulia_protocol::Cursor;
use tertulia_protocol::sdk::{
    BASE, ConversationAnswer, ConversationLinks, ConversationRequest, MyConversationAnswer, MyConversationRequest,
    SyncObjects,
};

use super::commands::{CreateConversation, DeleteConversation, GetConversation, Seen, UpdateConversation, enter, see};
use super::queries::Lock;
use super::{Conversation, Patch};
use crate::App;
use crate::participants::commands::{UpdateOwn, with_conversations};
use crate::participants::queries::list_of_user;
use crate::participants::{self, NotificationLevel, Participant, Patch as OwnPatch};
use crate::platform::{Call, Cx, Error, Outcome, PageRequest, Question, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Sdk Post "/Client/v2/Services/{ServiceSid}/Conversations" CreateClientConversation => create;
    Sdk Get "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}" FetchClientConversation => fetch;
    Sdk Post "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}" UpdateClientConversation => update;
    Sdk Delete "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}" DeleteClientConversation => delete;
    Sdk Get "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/MessageRecipients" ListMessageRecipients => recipients;
    Sdk Get "/Client/v2/Services/{ServiceSid}/MyConversations" ListMyConversations => list_mine;
    Sdk Get "/Client/v2/Services/{ServiceSid}/MyConversations/{Conversation}" FetchMyConversation => fetch_mine;
    Sdk Post "/Client/v2/Services/{ServiceSid}/MyConversations/{Conversation}" UpdateMyConversation => update_mine;
];

fn key(call: &Call) -> String {
    call.param("Conversation").to_owned()
}

/// An empty name takes the name away.
fn named(given: Option<Option<String>>) -> Option<Option<String>> {
    given.map(|name| name.filter(|name| !name.is_empty()))
}

fn patch(call: &Call) -> Outcome<Patch> {
    let request: ConversationRequest = call.json()?;
    Ok(Patch {
        friendly_name: named(request.friendly_name),
        unique_name: named(request.unique_name),
        attributes: request.attributes,
        ..Patch::default()
    })
}

async fn create(call: Call) -> Outcome<Reply> {
    let created = call.perform(CreateConversation { service: None, patch: patch(&call)? }).await?;
    Ok(Reply::created(&answer(&call, &created, 0, None)))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let seen = call.ask(GetConversation { service: None, key: key(&call) }).await?;
    Ok(Reply::ok(&seen_answer(&call, &seen)))
}

/// The conversation that the caller has just changed: whoever may do that may see what came of it.
struct SeeChanged(String);

impl Question for SeeChanged {
    type Out = Seen;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Seen> {
        let room = enter(cx, None, &self.0, Lock::None).await?;
        see(cx, room).await
    }
}

async fn update(call: Call) -> Outcome<Reply> {
    let change = UpdateConversation { service: None, key: key(&call), patch: patch(&call)? };
    // The key may have been the unique name, which may be another one now.
    let updated = call.perform(change).await?;
    let seen = call.ask(SeeChanged(updated.sid.to_string())).await?;
    Ok(Reply::ok(&seen_answer(&call, &seen)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    let sid = call.perform(DeleteConversation { service: None, key: key(&call) }).await?;
    App::purge_conversation(Arc::clone(&call.app), call.caller.account, sid);
    Ok(Reply::no_content())
}

/// Proves that the caller takes part.
struct TakePart(String);

impl Question for TakePart {
    type Out = ();

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        enter(cx, None, &self.0, Lock::None).await?.must_take_part(cx)
    }
}

/// Only e-mail has recipients. Who they are is told to participants, like the roster.
async fn recipients(call: Call) -> Outcome<Reply> {
    call.ask(TakePart(key(&call))).await?;
    let meta = serde_json::json!({"previous_token": null, "next_token": null});
    Ok(Reply::ok(&serde_json::json!({"message_recipients": [], "meta": meta})))
}

fn seen_answer(call: &Call, seen: &Seen) -> ConversationAnswer {
    let room = &seen.room;
    answer(call, &room.conversation, seen.roster.participants_count, room.participant.as_ref())
}

fn status(participant: Option<&Participant>) -> &'static str {
    if participant.is_some() { "joined" } else { "notParticipating" }
}

fn answer(
    call: &Call,
    conversation: &Conversation,
    participants_count: i64,
    own: Option<&Participant>,
) -> ConversationAnswer {
    let url = format!("{}{BASE}/Services/{}/Conversations/{}", call.origin, conversation.service, conversation.sid);
    ConversationAnswer {
        sid: conversation.sid,
        account_sid: call.caller.account_sid,
        service_sid: conversation.service,
        friendly_name: conversation.friendly_name.clone(),
        unique_name: conversation.unique_name.clone(),
        attributes: conversation.attributes.clone(),
        created_by: conversation.created_by.clone(),
        date_created: conversation.created,
        date_updated: conversation.updated,
        state: conversation.state.word(),
        participants_count,
        messages_count: conversation.messages_count,
        status: status(own),
        links: ConversationLinks { participants: format!("{url}/Participants"), messages: format!("{url}/Messages") },
        url,
        sync_objects: SyncObjects::of(conversation.sid),
    }
}

struct ListMine(PageRequest);

impl Question for ListMine {
    /// Conversations that are being deleted are among them, so that a page can be cut.
    type Out = Vec<(Participant, Conversation)>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let service = crate::services::commands::resolve(cx, None).await?;
        let Some(user) = cx.caller.user().map(|user| user.sid) else { return Ok(Vec::new()) };
        let rows = list_of_user(cx.tx, service.account, user, self.0.text_span()?).await?;
        with_conversations(cx, rows).await
    }
}

async fn list_mine(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 100)?;
    let rows = call.ask(ListMine(page.clone())).await?;
    let page = page.cut(rows, |(own, _)| Cursor::new([own.conversation.to_string()]));
    let live = page.rows.iter().filter(|(_, conversation)| conversation.removed.is_none());
    let rows: Vec<_> = live.map(|(own, conversation)| my_answer(conversation, Some(own), None)).collect();
    let next_token = page.next.map(|next| next.token());
    Ok(Reply::ok(&serde_json::json!({
        "conversations": rows, "meta": {"previous_token": null, "next_token": next_token},
    })))
}

struct GetMine(String);

impl Question for GetMine {
    type Out = Seen;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Seen> {
        let room = enter(cx, None, &self.0, Lock::None).await?;
        room.must_see(cx).await?;
        see(cx, room).await
    }
}

async fn fetch_mine(call: Call) -> Outcome<Reply> {
    let seen = call.ask(GetMine(key(&call))).await?;
    Ok(Reply::ok(&my_answer(&seen.room.conversation, seen.room.participant.as_ref(), seen.unread)))
}

async fn update_mine(call: Call) -> Outcome<Reply> {
    let request: MyConversationRequest = call.json()?;
    let level = |word: String| {
        let level = NotificationLevel::parse(&word).ok_or(participants::Refusal::NotificationLevelInvalid);
        level.map_err(Error::from)
    };
    let patch = OwnPatch {
        last_read_index: request.last_read_message_index,
        notification_level: request.notification_level.map(level).transpose()?,
        ..OwnPatch::default()
    };
    let (room, unread) = call.perform(UpdateOwn { conversation: key(&call), patch }).await?;
    Ok(Reply::ok(&my_answer(&room.conversation, room.participant.as_ref(), unread)))
}

fn my_answer(conversation: &Conversation, own: Option<&Participant>, unread: Option<i64>) -> MyConversationAnswer {
    MyConversationAnswer {
        conversation_sid: conversation.sid,
        participant_sid: own.map(|own| own.sid),
        status: status(own),
        friendly_name: conversation.friendly_name.clone(),
        unique_name: conversation.unique_name.clone(),
        attributes: conversation.attributes.clone(),
        created_by: conversation.created_by.clone(),
        date_created: conversation.created,
        date_updated: conversation.updated,
        last_read_message_index: own.and_then(|own| own.last_read_index),
        unread_messages_count: unread,
        notification_level: own.map(|own| own.notification_level).unwrap_or_default().word().to_owned(),
        sync_objects: SyncObjects::of(conversation.sid),
    }
}
