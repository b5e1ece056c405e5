//! Tunnelled routes of messages (SDK facts §5 and §8).

use tertulia_protocol::Code;
use tertulia_protocol::sdk::{BASE, MessageAnswer, MessageRequest};

use super::commands::{GetMessage, Place, RemoveMessage, SendMessage, UpdateMessage};
use super::{Message, Patch};
use crate::platform::{Call, Error, Outcome, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Sdk Post "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Messages" CreateClientMessage => create;
    Sdk Post "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Messages/{Message}" UpdateClientMessage => update;
    Sdk Delete "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Messages/{Message}" DeleteClientMessage => delete;
    Sdk Get "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Messages/{Message}/Receipts" ListClientReceipts => receipts;
    Sdk Get "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Messages/{Message}/ChannelMetadata" FetchMetadata => metadata;
];

fn place(call: &Call) -> Outcome<Place> {
    Ok(Place { service: None, conversation: call.param("Conversation").to_owned(), sid: call.sid("Message")? })
}

fn patch(request: MessageRequest) -> Patch {
    Patch { body: request.body, attributes: request.attributes, subject: request.subject, ..Patch::default() }
}

async fn create(call: Call) -> Outcome<Reply> {
    let mut request: MessageRequest = call.json()?;
    let media = std::mem::take(&mut request.media_sids);
    let conversation = call.param("Conversation").to_owned();
    let patch = Patch { media, ..patch(request) };
    let sent = call.perform(SendMessage { service: None, conversation, patch }).await?;
    Ok(Reply::created(&answer(&call, &sent)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let change = UpdateMessage { place: place(&call)?, patch: patch(call.json()?) };
    let updated = call.perform(change).await?;
    Ok(Reply::ok(&answer(&call, &updated)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    call.perform(RemoveMessage { place: place(&call)? }).await?;
    Ok(Reply::no_content())
}

/// Only participants of other messengers have receipts, and none are delivered to yet.
async fn receipts(call: Call) -> Outcome<Reply> {
    call.ask(GetMessage { place: place(&call)? }).await?;
    let meta = serde_json::json!({"previous_token": null, "next_token": null});
    Ok(Reply::ok(&serde_json::json!({"delivery_receipts": [], "meta": meta})))
}

/// "None" is a 404 with a code of its own; any other answer the SDK would ask for again.
async fn metadata(_: Call) -> Outcome<Reply> {
    let refusal = Error::plain(Code::MetadataNotFound);
    let code = Code::MetadataNotFound;
    Ok(Reply::new(code.status(), &refusal.body(code, "")))
}

fn answer(call: &Call, message: &Message) -> MessageAnswer {
    let service = call.caller.user().map(|user| user.service.to_string()).unwrap_or_default();
    let conversation = message.conversation;
    MessageAnswer {
        sid: message.sid,
        index: message.index,
        conversation_sid: conversation,
        author: message.author.clone(),
        body: message.body.clone(),
        attributes: message.attributes.clone(),
        date_created: message.created,
        date_updated: message.updated,
        url: format!("{}{BASE}/Services/{service}/Conversations/{conversation}/Messages/{}", call.origin, message.sid),
    }
}
