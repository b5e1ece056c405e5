//! Chat services: the users, roles and conversations of one application.
//!
//! Nothing is shared between services. The short routes mean the account's default service. Here are a
//! service's facts and refusals; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;

use tertulia_protocol::sid::{Role, Service as ServiceKind};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::jobs;
use crate::platform::{AccountNumber, Error};

/// The durable job that purges a deleted chat service and all that it holds; its key is the SID.
pub const PURGE: jobs::Kind = jobs::Kind("purge_service");

/// A chat service.
#[derive(Clone, Debug)]
pub struct Service {
    /// The owner.
    pub account: AccountNumber,
    /// The chat service.
    pub sid: Sid<ServiceKind>,
    /// Its name.
    pub friendly_name: String,
    /// Role of who creates a conversation through the SDK, once joined.
    pub conversation_creator_role: Sid<Role>,
    /// Role of who is added to a conversation.
    pub conversation_role: Sid<Role>,
    /// Role of a new user.
    pub service_role: Sid<Role>,
    /// Whether the service says who is online.
    pub reachability_enabled: bool,
    /// Whether users with `joinConversation` may look at conversations and join them without being added.
    pub has_open_conversations: bool,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Why something about a chat service is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such service, or not the caller's.
    NotFound,
    /// The service that is to be the default is not one of the account's.
    NoSuchDefault,
    /// Created without a name.
    NameMissing,
    /// The name has more than 256 characters.
    NameTooLong,
    /// The short routes need a default service, and this is it.
    IsDefault,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::ServiceNotFound),
            Refusal::NoSuchDefault => {
                Self::refused(Code::ServiceNotFound, "DefaultChatServiceSid names no chat service of this account")
            }
            Refusal::NameMissing => Self::parameter("Missing required parameter FriendlyName in the post body"),
            Refusal::NameTooLong => {
                Self::refused(Code::FriendlyNameTooLong, "FriendlyName of a chat service has at most 256 characters")
            }
            Refusal::IsDefault => Self::refused(
                Code::Conflict,
                "This is the account's default chat service; make another the default first \
                 (DefaultChatServiceSid of /v1/Configuration)",
            ),
        }
    }
}
