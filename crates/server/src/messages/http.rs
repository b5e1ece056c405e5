//! REST routes of messages.

use tertulia_protocol::rest::MessageBody;
use tertulia_protocol::{Code, Cursor};

use super::commands::{GetMessage, ListMessages, Place, RemoveMessage, SendMessage, UpdateMessage};
use super::{Message, Patch, Refusal};
use crate::participants::queries::Direction;
use crate::platform::{Call, Error, Form, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Service Post "/Conversations/{ConversationSid}/Messages" CreateConversationMessage => create;
    Service Get "/Conversations/{ConversationSid}/Messages" ListConversationMessage => list;
    Service Get "/Conversations/{ConversationSid}/Messages/{Sid}" FetchConversationMessage => fetch;
    Service Post "/Conversations/{ConversationSid}/Messages/{Sid}" UpdateConversationMessage => update;
    Service Delete "/Conversations/{ConversationSid}/Messages/{Sid}" DeleteConversationMessage => delete;
];

fn conversation(call: &Call) -> String {
    call.param("ConversationSid").to_owned()
}

fn place(call: &Call) -> Outcome<Place> {
    Ok(Place { service: call.service, conversation: conversation(call), sid: call.sid("Sid")? })
}

async fn create(call: Call) -> Outcome<Reply> {
    let patch = patch(&call.form)?;
    if call.form.text("MediaSid").is_some_and(|sid| !sid.is_empty()) {
        return Err(Refusal::MediaNotFound.into());
    }
    if patch.body.as_deref().is_none_or(str::is_empty) {
        return Err(Refusal::BodyMissing.into());
    }
    let change = SendMessage { service: call.service, conversation: conversation(&call), patch };
    let sent = call.perform(change).await?;
    Ok(Reply::created(&body(&call, &sent)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 100)?;
    let direction = match call.query.text("Order") {
        Some(order) if order.eq_ignore_ascii_case("desc") => Direction::Down,
        Some(order) if !order.eq_ignore_ascii_case("asc") => {
            return Err(Error::parameter("Order must be asc or desc"));
        }
        _ => Direction::Up,
    };
    let question =
        ListMessages { service: call.service, conversation: conversation(&call), direction, page: page.clone() };
    let (conversation, rows) = call.ask(question).await?;
    let page_of = page.cut(rows, |row| Cursor::new([row.index.to_string()]));
    let bodies = page_of.map(|row| body(&call, &row));
    let url = format!("{}/Conversations/{conversation}/Messages", call.base());
    Ok(page.reply(&bodies, &url, &call.query, "messages", &["Order"]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let found = call.ask(GetMessage { place: place(&call)? }).await?;
    Ok(Reply::ok(&body(&call, &found)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let change = UpdateMessage { place: place(&call)?, patch: patch(&call.form)? };
    let updated = call.perform(change).await?;
    Ok(Reply::ok(&body(&call, &updated)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.perform(RemoveMessage { place: place(&call)? }).await?;
    Ok(Reply::no_content())
}

fn patch(form: &Form) -> Outcome<Patch> {
    Ok(Patch {
        author: form.owned("Author"),
        body: form.owned("Body"),
        attributes: form.owned("Attributes"),
        subject: form.owned("Subject"),
        created: form.date("DateCreated", Code::DateCreatedInvalid)?,
        updated: form.date("DateUpdated", Code::DateUpdatedInvalid)?,
        media: Vec::new(),
    })
}

fn body(call: &Call, message: &Message) -> MessageBody {
    let url = format!("{}/Conversations/{}/Messages/{}", call.base(), message.conversation, message.sid);
    let link = |name: &'static str, path: &str| (name, format!("{url}/{path}"));
    MessageBody {
        sid: message.sid,
        account_sid: call.caller.account_sid,
        chat_service_sid: call.service,
        conversation_sid: message.conversation,
        index: message.index,
        author: message.author.clone(),
        body: message.body.clone(),
        media: None,
        attributes: message.attributes.clone(),
        participant_sid: message.participant,
        date_created: message.created.seconds_text(),
        date_updated: message.updated.seconds_text(),
        delivery: None,
        content_sid: None,
        links: [link("delivery_receipts", "Receipts"), link("channel_metadata", "ChannelMetadata")].into(),
        url,
    }
}
