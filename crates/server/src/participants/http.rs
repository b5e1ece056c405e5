//! REST routes of participants.

use tertulia_protocol::rest::{Links, ParticipantBody, ParticipantConversationBody};
use tertulia_protocol::{Code, Cursor};

use super::commands::{
    AddParticipant, GetParticipant, ListConversationsOf, ListParticipants, RemoveParticipant, UpdateParticipant, Who,
};
use super::{Binding, NewParticipant, Participant, Patch, Refusal};
use crate::conversations::Conversation;
use crate::conversations::http::timers;
use crate::platform::page::created_key;
use crate::platform::{Call, Error, Form, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Service Post "/Conversations/{ConversationSid}/Participants" CreateConversationParticipant => create;
    Service Get "/Conversations/{ConversationSid}/Participants" ListConversationParticipant => list;
    Service Get "/Conversations/{ConversationSid}/Participants/{Sid}" FetchConversationParticipant => fetch;
    Service Post "/Conversations/{ConversationSid}/Participants/{Sid}" UpdateConversationParticipant => update;
    Service Delete "/Conversations/{ConversationSid}/Participants/{Sid}" DeleteConversationParticipant => delete;
    Service Get "/ParticipantConversations" ListParticipantConversation => list_conversations;
];

fn conversation(call: &Call) -> String {
    call.param("ConversationSid").to_owned()
}

fn key(call: &Call) -> String {
    call.param("Sid").to_owned()
}

async fn create(call: Call) -> Outcome<Reply> {
    let new = new_participant(&call.form)?;
    let change = AddParticipant { service: call.service, conversation: conversation(&call), new };
    let added = call.perform(change).await?;
    Ok(Reply::created(&body(&call, &added)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 100)?;
    let question = ListParticipants { service: call.service, conversation: conversation(&call), page: page.clone() };
    let (conversation, rows) = call.ask(question).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, &row));
    let url = format!("{}/Conversations/{conversation}/Participants", call.base());
    Ok(page.reply(&bodies, &url, &call.query, "participants", &[]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let question = GetParticipant { service: call.service, conversation: conversation(&call), key: key(&call) };
    let found = call.ask(question).await?;
    Ok(Reply::ok(&body(&call, &found)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let patch = patch(&call.form)?;
    let change = UpdateParticipant { service: call.service, conversation: conversation(&call), key: key(&call), patch };
    let updated = call.perform(change).await?;
    Ok(Reply::ok(&body(&call, &updated)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    let change = RemoveParticipant { service: call.service, conversation: conversation(&call), key: key(&call) };
    call.perform(change).await?;
    Ok(Reply::no_content())
}

fn new_participant(form: &Form) -> Outcome<NewParticipant> {
    Ok(NewParticipant {
        identity: form.owned("Identity").filter(|identity| !identity.is_empty()),
        binding: Binding::given(
            form.owned("MessagingBinding.Address"),
            form.owned("MessagingBinding.ProxyAddress"),
            form.owned("MessagingBinding.ProjectedAddress"),
        ),
        attributes: form.owned("Attributes"),
        role: form.sid("RoleSid", Code::ConversationRoleNotFound)?,
        created: form.date("DateCreated", Code::DateCreatedInvalid)?,
        updated: form.date("DateUpdated", Code::DateUpdatedInvalid)?,
    })
}

fn patch(form: &Form) -> Outcome<Patch> {
    Ok(Patch {
        attributes: form.owned("Attributes"),
        role: form.sid("RoleSid", Code::ConversationRoleNotFound)?,
        last_read_index: form.text("LastReadMessageIndex").map(last_read_index).transpose()?,
        last_read_at: form.date("LastReadTimestamp", Code::LastReadTimeInvalid)?,
        notification_level: None,
        created: form.date("DateCreated", Code::DateCreatedInvalid)?,
        updated: form.date("DateUpdated", Code::DateUpdatedInvalid)?,
    })
}

/// A number; nothing and `null` clear the horizon.
pub fn last_read_index(text: &str) -> Outcome<Option<i64>> {
    match text {
        "" | "null" => Ok(None),
        _ => Ok(Some(text.parse().map_err(|_| Refusal::LastReadIndexInvalid)?)),
    }
}

fn body(call: &Call, participant: &Participant) -> ParticipantBody {
    let base = call.base();
    ParticipantBody {
        sid: participant.sid,
        account_sid: call.caller.account_sid,
        chat_service_sid: call.service_form(participant.service),
        conversation_sid: participant.conversation,
        identity: participant.identity.clone(),
        attributes: participant.attributes.clone(),
        messaging_binding: participant.binding.as_ref().map(|binding| serde_json::json!(binding)),
        role_sid: participant.role,
        last_read_message_index: participant.last_read_index,
        last_read_timestamp: participant.last_read_at.map(|at| at.seconds_text()),
        date_created: participant.created.seconds_text(),
        date_updated: participant.updated.seconds_text(),
        url: format!("{base}/Conversations/{}/Participants/{}", participant.conversation, participant.sid),
    }
}

async fn list_conversations(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 50)?;
    let who = match (call.query.owned("Identity"), call.query.owned("Address")) {
        (Some(_), Some(_)) => return Err(Refusal::IdentityAndAddress.into()),
        (Some(identity), None) => Who::Identity(identity),
        (None, Some(address)) => Who::Address(address),
        (None, None) => return Err(Error::parameter("Missing required parameter Identity or Address")),
    };
    let question = ListConversationsOf { service: call.service, who, page: page.clone() };
    let rows = call.ask(question).await?;
    let mut page_of = page.cut(rows, |(row, _)| Cursor::new([row.conversation.to_string(), row.sid.to_string()]));
    page_of.rows.retain(|(_, conversation)| conversation.removed.is_none());
    let bodies = page_of.map(|(row, conversation)| conversation_body(&call, row, conversation));
    let url = format!("{}/ParticipantConversations", call.base());
    Ok(page.reply(&bodies, &url, &call.query, "conversations", &["Identity", "Address"]))
}

fn conversation_body(call: &Call, participant: Participant, conversation: Conversation) -> ParticipantConversationBody {
    ParticipantConversationBody {
        account_sid: call.caller.account_sid,
        chat_service_sid: conversation.service,
        participant_sid: participant.sid,
        participant_user_sid: participant.user,
        participant_messaging_binding: participant.binding.as_ref().map(whole_binding),
        conversation_sid: conversation.sid,
        conversation_state: conversation.state.word(),
        conversation_timers: timers(&conversation),
        conversation_date_created: conversation.created.seconds_text(),
        conversation_date_updated: conversation.updated.seconds_text(),
        links: links(call, &participant),
        participant_identity: participant.identity,
        conversation_unique_name: conversation.unique_name,
        conversation_friendly_name: conversation.friendly_name,
        conversation_attributes: conversation.attributes,
        conversation_created_by: conversation.created_by,
    }
}

/// Only here a binding has all six keys.
fn whole_binding(binding: &Binding) -> serde_json::Value {
    serde_json::json!({
        "type": binding.kind, "address": binding.address, "proxy_address": binding.proxy_address,
        "projected_address": binding.projected_address, "name": null, "level": null,
    })
}

/// Where a participant and its conversation are, in the form of the route that was asked.
pub fn links(call: &Call, participant: &Participant) -> Links {
    let conversation = format!("{}/Conversations/{}", call.base(), participant.conversation);
    [("participant", format!("{conversation}/Participants/{}", participant.sid)), ("conversation", conversation)].into()
}
