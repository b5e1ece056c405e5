//! Tunnelled routes of participants (SDK facts §5).

use tertulia_protocol::sdk::{BASE, ParticipantAnswer, ParticipantRequest};

use super::commands::{AddParticipant, RemoveParticipant, UpdateParticipant};
use super::{Binding, NewParticipant, Participant, Patch};
use crate::platform::{Call, Outcome, Reply, Route};
use crate::routes;

/// The routes. A participant is named by SID or identity.
pub const ROUTES: &[Route] = routes![
    Sdk Post "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Participants" CreateClientParticipant => create;
    Sdk Post "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Participants/{Participant}" UpdateClientParticipant => update;
    Sdk Delete "/Client/v2/Services/{ServiceSid}/Conversations/{Conversation}/Participants/{Participant}" DeleteClientParticipant => delete;
];

async fn create(call: Call) -> Outcome<Reply> {
    let request: ParticipantRequest = call.json()?;
    let new = NewParticipant {
        identity: request.identity,
        binding: request
            .messaging_binding
            .and_then(|binding| Binding::given(binding.address, binding.proxy_address, None)),
        attributes: request.attributes,
        ..NewParticipant::default()
    };
    let change = AddParticipant { service: None, conversation: call.param("Conversation").to_owned(), new };
    let added = call.perform(change).await?;
    Ok(Reply::created(&answer(&call, &added)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let request: ParticipantRequest = call.json()?;
    let change = UpdateParticipant {
        service: None,
        conversation: call.param("Conversation").to_owned(),
        key: call.param("Participant").to_owned(),
        patch: Patch { attributes: request.attributes, ..Patch::default() },
    };
    let updated = call.perform(change).await?;
    Ok(Reply::ok(&answer(&call, &updated)))
}

async fn delete(call: Call) -> Outcome<Reply> {
    let change = RemoveParticipant {
        service: None,
        conversation: call.param("Conversation").to_owned(),
        key: call.param("Participant").to_owned(),
    };
    call.perform(change).await?;
    Ok(Reply::no_content())
}

fn answer(call: &Call, participant: &Participant) -> ParticipantAnswer {
    let base = format!("{}{BASE}/Services/{}", call.origin, participant.service);
    let conversation = format!("{base}/Conversations/{}", participant.conversation);
    ParticipantAnswer {
        sid: participant.sid,
        account_sid: call.caller.account_sid,
        chat_service_sid: participant.service,
        conversation_sid: participant.conversation,
        identity: participant.identity.clone(),
        attributes: participant.attributes.clone(),
        role_sid: participant.role,
        messaging_binding: participant.binding.as_ref().map(|binding| serde_json::json!(binding)),
        date_created: participant.created,
        date_updated: participant.updated,
        url: format!("{conversation}/Participants/{}", participant.sid),
        links: serde_json::json!({"conversation": conversation}),
    }
}
