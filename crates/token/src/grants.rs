//! The grants: what a token allows, product by product, and how each is written and read.

use serde_json::{Map, Value as Json};

use crate::error::MintError;
use crate::json::push_text;
use crate::sid;

mod read;

/// Use of a chat service: today's Conversations and the older Programmable Chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatGrant {
    /// The chat service, `IS…`. Without it the grant is useless.
    pub service_sid: Option<String>,
    /// Not needed any more.
    pub endpoint_id: Option<String>,
    /// The role of this connection, `RL…`.
    pub deployment_role_sid: Option<String>,
    /// The push credential, `CR…`.
    pub push_credential_sid: Option<String>,
}

impl ChatGrant {
    /// A grant for one chat service; set the other fields when you need them.
    pub fn new(service_sid: impl Into<String>) -> ChatGrant {
        ChatGrant { service_sid: Some(service_sid.into()), ..ChatGrant::default() }
    }

    /// The same grant with a role for this connection.
    #[must_use]
    pub fn deployment_role(self, role_sid: impl Into<String>) -> ChatGrant {
        ChatGrant { deployment_role_sid: Some(role_sid.into()), ..self }
    }

    /// The same grant with a push credential.
    #[must_use]
    pub fn push_credential(self, credential_sid: impl Into<String>) -> ChatGrant {
        ChatGrant { push_credential_sid: Some(credential_sid.into()), ..self }
    }
}

/// Use of a Sync service. Conversations clients do not need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncGrant {
    /// The Sync service, `IS…`, or `default`.
    pub service_sid: Option<String>,
    /// Not needed any more.
    pub endpoint_id: Option<String>,
}

/// Use of video rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VideoGrant {
    /// One room, by SID or name; without it, every room.
    pub room: Option<String>,
}

/// Use of voice calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VoiceGrant {
    /// Whether calls may come in. Written only when true.
    pub incoming: bool,
    /// The application that handles outgoing calls, `AP…`.
    pub outgoing_application_sid: Option<String>,
    /// What that application is told. Needs an application.
    pub outgoing_params: Option<Map<String, Json>>,
    /// The push credential, `CR…`.
    pub push_credential_sid: Option<String>,
    /// Not needed any more.
    pub endpoint_id: Option<String>,
}

/// Use of a TaskRouter workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskRouterGrant {
    /// The workspace, `WS…`.
    pub workspace_sid: Option<String>,
    /// The worker, `WK…`.
    pub worker_sid: Option<String>,
    /// What the user is there, for example `worker`.
    pub role: Option<String>,
}

/// One grant of a token.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Grant {
    /// `chat`, and `ip_messaging` when read.
    Chat(ChatGrant),
    /// `data_sync`.
    Sync(SyncGrant),
    /// `video`.
    Video(VideoGrant),
    /// `voice`.
    Voice(VoiceGrant),
    /// `task_router`.
    TaskRouter(TaskRouterGrant),
    /// `player`: the object that the live API returned, unchanged.
    Playback(Map<String, Json>),
    /// Any other product, or one whose grant is not of the shape known here.
    Other {
        /// The key in `grants`.
        name: String,
        /// The grant as it is.
        value: Json,
    },
}

macro_rules! from_grants {
    ($($grant:ident => $variant:ident),*) => {$(
        impl From<$grant> for Grant {
            fn from(grant: $grant) -> Grant {
                Grant::$variant(grant)
            }
        }
    )*};
}

from_grants!(
    ChatGrant => Chat, SyncGrant => Sync, VideoGrant => Video, VoiceGrant => Voice,
    TaskRouterGrant => TaskRouter
);

impl Grant {
    /// The key in `grants`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Grant::Chat(_) => "chat",
            Grant::Sync(_) => "data_sync",
            Grant::Video(_) => "video",
            Grant::Voice(_) => "voice",
            Grant::TaskRouter(_) => "task_router",
            Grant::Playback(_) => "player",
            Grant::Other { name, .. } => name,
        }
    }

    /// Appends the grant as JSON, members without a value left out.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Grant::Chat(grant) => grant.write(out),
            Grant::Sync(grant) => grant.write(out),
            Grant::Video(grant) => {
                let mut object = Object::open(out);
                object.text("room", grant.room.as_deref());
                object.close();
            }
            Grant::Voice(grant) => grant.write(out),
            Grant::TaskRouter(grant) => grant.write(out),
            Grant::Playback(object) => write_map(out, object),
            Grant::Other { value, .. } => out.push_str(&value.to_string()),
        }
    }

    /// Refuses what would make the grant useless, and brings SIDs into lower case.
    pub(crate) fn check(&mut self) -> Result<(), MintError> {
        match self {
            Grant::Chat(grant) => grant.check(),
            Grant::Sync(grant) => grant.check(),
            Grant::Voice(grant) => grant.check(),
            Grant::TaskRouter(grant) => {
                check_sid("workspace_sid of the TaskRouter grant", "WS", &mut grant.workspace_sid)?;
                check_sid("worker_sid of the TaskRouter grant", "WK", &mut grant.worker_sid)
            }
            Grant::Other { name, .. } if name == "identity" || name == "ip_messaging" => {
                Err(MintError::GrantName(name.clone()))
            }
            Grant::Video(_) | Grant::Playback(_) | Grant::Other { .. } => Ok(()),
        }
    }
}

impl ChatGrant {
    fn write(&self, out: &mut String) {
        let mut object = Object::open(out);
        object.text("service_sid", self.service_sid.as_deref());
        object.text("endpoint_id", self.endpoint_id.as_deref());
        object.text("deployment_role_sid", self.deployment_role_sid.as_deref());
        object.text("push_credential_sid", self.push_credential_sid.as_deref());
        object.close();
    }

    fn check(&mut self) -> Result<(), MintError> {
        match self.service_sid.as_deref() {
            None | Some("") => return Err(MintError::ChatWithoutService),
            Some(service) if sid::is_sid(service, "MG") => {
                return Err(MintError::ChatWithMessagingService);
            }
            Some(_) => {}
        }
        check_sid("service_sid of the chat grant", "IS", &mut self.service_sid)?;
        check_sid("deployment_role_sid of the chat grant", "RL", &mut self.deployment_role_sid)?;
        check_sid("push_credential_sid of the chat grant", "CR", &mut self.push_credential_sid)
    }
}

impl SyncGrant {
    fn write(&self, out: &mut String) {
        let mut object = Object::open(out);
        object.text("service_sid", self.service_sid.as_deref());
        object.text("endpoint_id", self.endpoint_id.as_deref());
        object.close();
    }

    fn check(&mut self) -> Result<(), MintError> {
        if self.service_sid.as_deref() == Some("default") {
            return Ok(());
        }
        check_sid("service_sid of the Sync grant", "IS", &mut self.service_sid)
    }
}

impl VoiceGrant {
    fn write(&self, out: &mut String) {
        let mut object = Object::open(out);
        if self.incoming {
            object.name("incoming").push_str(r#"{"allow":true}"#);
        }
        if let Some(application) = &self.outgoing_application_sid {
            let mut outgoing = Object::open(object.name("outgoing"));
            outgoing.text("application_sid", Some(application));
            if let Some(params) = &self.outgoing_params {
                write_map(outgoing.name("params"), params);
            }
            outgoing.close();
        }
        object.text("push_credential_sid", self.push_credential_sid.as_deref());
        object.text("endpoint_id", self.endpoint_id.as_deref());
        object.close();
    }

    fn check(&mut self) -> Result<(), MintError> {
        if self.outgoing_params.is_some() && self.outgoing_application_sid.is_none() {
            return Err(MintError::VoiceParamsWithoutApplication);
        }
        let application = &mut self.outgoing_application_sid;
        check_sid("outgoing application_sid of the voice grant", "AP", application)?;
        check_sid("push_credential_sid of the voice grant", "CR", &mut self.push_credential_sid)
    }
}

impl TaskRouterGrant {
    fn write(&self, out: &mut String) {
        let mut object = Object::open(out);
        object.text("workspace_sid", self.workspace_sid.as_deref());
        object.text("worker_sid", self.worker_sid.as_deref());
        object.text("role", self.role.as_deref());
        object.close();
    }
}

fn write_map(out: &mut String, map: &Map<String, Json>) {
    let mut object = Object::open(out);
    for (name, value) in map {
        object.name(name).push_str(&value.to_string());
    }
    object.close();
}

/// A SID that may be missing, but must be right when it is there.
fn check_sid(field: &'static str, prefix: &'static str, found: &mut Option<String>) -> Result<(), MintError> {
    let Some(text) = found else {
        return Ok(());
    };
    if !sid::is_exact(text, prefix) {
        *found = Some(sid::lower(text, prefix).ok_or_else(|| MintError::sid(field, prefix, text))?);
    }
    Ok(())
}

/// Writes a JSON object member by member.
pub(crate) struct Object<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn open(out: &'o mut String) -> Object<'o> {
        out.push('{');
        Object { out, first: true }
    }

    /// Begins a member; the caller appends its value.
    pub(crate) fn name(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        push_text(self.out, name);
        self.out.push(':');
        self.out
    }

    /// A text member, left out when there is none.
    pub(crate) fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            push_text(self.name(name), value);
        }
    }

    pub(crate) fn close(self) {
        self.out.push('}');
    }
}
