//! Grants from the JSON of a token. What does not have the known shape is kept as it is.

use serde_json::{Map, Value as Json};

use super::{ChatGrant, Grant, SyncGrant, TaskRouterGrant, VideoGrant, VoiceGrant};

impl Grant {
    /// Reads the grant that stands at `name`.
    #[must_use]
    pub fn read(name: &str, value: Json) -> Grant {
        let known = value.as_object().and_then(|object| read(name, object));
        known.unwrap_or_else(|| Grant::Other { name: name.to_owned(), value })
    }
}

fn read(name: &str, object: &Map<String, Json>) -> Option<Grant> {
    Some(match name {
        "chat" | "ip_messaging" => Grant::Chat(ChatGrant {
            service_sid: text(object, "service_sid")?,
            endpoint_id: text(object, "endpoint_id")?,
            deployment_role_sid: text(object, "deployment_role_sid")?,
            push_credential_sid: text(object, "push_credential_sid")?,
        }),
        "data_sync" => Grant::Sync(SyncGrant {
            service_sid: text(object, "service_sid")?,
            endpoint_id: text(object, "endpoint_id")?,
        }),
        "video" => Grant::Video(VideoGrant { room: text(object, "room")? }),
        "voice" => Grant::Voice(voice(object)?),
        "task_router" => Grant::TaskRouter(TaskRouterGrant {
            workspace_sid: text(object, "workspace_sid")?,
            worker_sid: text(object, "worker_sid")?,
            role: text(object, "role")?,
        }),
        "player" => Grant::Playback(object.clone()),
        _ => return None,
    })
}

fn voice(object: &Map<String, Json>) -> Option<VoiceGrant> {
    let empty = Map::new();
    let outgoing = object.get("outgoing").and_then(Json::as_object).unwrap_or(&empty);
    let allow = object.get("incoming").and_then(|incoming| incoming.get("allow"));
    Some(VoiceGrant {
        incoming: allow == Some(&Json::Bool(true)),
        outgoing_application_sid: text(outgoing, "application_sid")?,
        outgoing_params: outgoing.get("params").and_then(Json::as_object).cloned(),
        push_credential_sid: text(object, "push_credential_sid")?,
        endpoint_id: text(object, "endpoint_id")?,
    })
}

/// A member that is a text or missing; `None` when it is something else.
fn text(object: &Map<String, Json>, name: &str) -> Option<Option<String>> {
    match object.get(name) {
        None | Some(Json::Null) => Some(None),
        Some(Json::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    }
}
