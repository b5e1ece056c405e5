//! REST routes of conversations.

use std::sync::Arc;

use tertulia_protocol::rest::{ConversationBody, Links, Timers};
use tertulia_protocol::{Code, Timestamp};

use super::commands::{CreateConversation, DeleteConversation, GetConversation, ListConversations, UpdateConversation};
use super::queries::Filter;
use super::{Conversation, Email, Patch, Refusal, State};
use crate::App;
use crate::platform::page::created_key;
use crate::platform::{Call, Error, Form, Outcome, PageRequest, Reply, Route, text};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Service Post "/Conversations" CreateConversation => create;
    Service Get "/Conversations" ListConversation => list;
    Service Get "/Conversations/{Sid}" FetchConversation => fetch;
    Service Post "/Conversations/{Sid}" UpdateConversation => update;
    Service Delete "/Conversations/{Sid}" DeleteConversation => delete;
];

async fn create(call: Call) -> Outcome<Reply> {
    let change = CreateConversation { service: call.service, patch: patch(&call.form)? };
    let created = call.perform(change).await?;
    Ok(Reply::created(&body(&call, &created)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 100)?;
    let question = ListConversations { service: call.service, filter: filter(&call.query)?, page: page.clone() };
    let rows = call.ask(question).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    let bodies = page_of.map(|row| body(&call, &row));
    let url = format!("{}/Conversations", call.base());
    Ok(page.reply(&bodies, &url, &call.query, "conversations", &["StartDate", "EndDate", "State"]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let question = GetConversation { service: call.service, key: call.param("Sid").to_owned() };
    let seen = call.ask(question).await?;
    Ok(Reply::ok(&body(&call, &seen.room.conversation)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let key = call.param("Sid").to_owned();
    let change = UpdateConversation { service: call.service, key, patch: patch(&call.form)? };
    let updated = call.perform(change).await?;
    Ok(Reply::ok(&body(&call, &updated)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    let change = DeleteConversation { service: call.service, key: call.param("Sid").to_owned() };
    let sid = call.perform(change).await?;
    App::purge_conversation(Arc::clone(&call.app), call.caller.account, sid);
    Ok(Reply::no_content())
}

fn patch(form: &Form) -> Outcome<Patch> {
    Ok(Patch {
        friendly_name: form.clearable("FriendlyName"),
        unique_name: form.clearable("UniqueName"),
        attributes: form.owned("Attributes"),
        messaging_service: form.sid("MessagingServiceSid", Code::MessagingServiceInvalid)?,
        state: form.text("State").map(state).transpose()?,
        inactive_timer: form.timer("Timers.Inactive"),
        closed_timer: form.timer("Timers.Closed"),
        email: Email { address: form.clearable("Bindings.Email.Address"), name: form.clearable("Bindings.Email.Name") },
        created: form.date("DateCreated", Code::DateCreatedInvalid)?,
        updated: form.date("DateUpdated", Code::DateUpdatedInvalid)?,
    })
}

fn state(text: &str) -> Outcome<State> {
    if text.is_empty() {
        return Err(Refusal::StateEmpty.into());
    }
    Ok(State::parse(text).ok_or(Refusal::StateInvalid)?)
}

fn filter(query: &Form) -> Outcome<Filter> {
    let from = query.text("StartDate").map(|text| bound("StartDate", text, false)).transpose()?;
    let to = query.text("EndDate").map(|text| bound("EndDate", text, true)).transpose()?;
    let between = match (from, to) {
        (None, None) => None,
        (Some(from), Some(to)) if to < from => return Err(Refusal::EndBeforeStart.into()),
        (from, to) => {
            Some((from.unwrap_or(Timestamp::from_micros(i64::MIN)), to.unwrap_or(Timestamp::from_micros(i64::MAX))))
        }
    };
    Ok(Filter { state: query.text("State").map(state).transpose()?, between })
}

/// A bound is a moment or a day; an end day counts as a whole, and so does an end second, for nothing
/// shorter is ever shown.
fn bound(name: &str, text: &str, is_end: bool) -> Outcome<Timestamp> {
    let second = if is_end { "T23:59:59Z" } else { "T00:00:00Z" };
    let moment = text::date(text).or_else(|| text::date(&format!("{text}{second}")));
    let moment =
        moment.ok_or_else(|| Error::parameter(format!("{name} must be an ISO 8601 date such as 2015-12-16")))?;
    let is_whole = moment.micros() % 1_000_000 == 0;
    Ok(if is_end && is_whole { moment.plus_micros(999_999) } else { moment })
}

/// When the timers of a conversation run out, for those that run.
pub fn timers(conversation: &Conversation) -> Timers {
    conversation.timer_dates().into_iter().filter_map(|(name, date)| Some((name, date?.seconds_text()))).collect()
}

/// A conversation's body, with URLs in the form of the route that was asked.
pub fn body(call: &Call, conversation: &Conversation) -> ConversationBody {
    let url = format!("{}/Conversations/{}", call.base(), conversation.sid);
    let links: Links =
        [("participants", "Participants"), ("messages", "Messages"), ("webhooks", "Webhooks"), ("export", "Export")]
            .into_iter()
            .map(|(name, path)| (name, format!("{url}/{path}")))
            .collect();
    let bindings = conversation.bindings.as_deref().and_then(|text| serde_json::from_str(text).ok());
    ConversationBody {
        sid: conversation.sid,
        account_sid: call.caller.account_sid,
        chat_service_sid: conversation.service,
        messaging_service_sid: conversation.messaging_service,
        friendly_name: conversation.friendly_name.clone(),
        unique_name: conversation.unique_name.clone(),
        attributes: conversation.attributes.clone(),
        state: conversation.state.word(),
        date_created: conversation.created.seconds_text(),
        date_updated: conversation.updated.seconds_text(),
        timers: timers(conversation),
        bindings: bindings.unwrap_or_else(|| serde_json::json!({})),
        url,
        links,
    }
}
