//! Users: the people of one chat service, known by the app's own name for them, the identity.
//!
//! A user appears on its own when a token with a new identity connects, or when an unknown identity is
//! added to a conversation. Here are a user's facts and refusals; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod sdk;
pub mod events;

use tertulia_protocol::sid::{Role, Service, User as UserKind};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Error};

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// The owner.
    pub account: AccountNumber,
    /// The user.
    pub sid: Sid<UserKind>,
    /// The chat service.
    pub service: Sid<Service>,
    /// The app's own name for the user; case-sensitive.
    pub identity: String,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// JSON text, byte for byte.
    pub attributes: String,
    /// Role in the service.
    pub role: Sid<Role>,
    /// Whether somebody with this identity is connected; `None` when never seen.
    pub online: Option<bool>,
    /// When the user was created.
    pub created: Timestamp,
    /// When the user last changed.
    pub updated: Timestamp,
    /// Position of the stream `mine`.
    pub mine_position: i64,
    /// Conversations the user is in.
    pub conversations_count: i64,
    /// Position of the stream `info`.
    pub info_position: i64,
    /// Position of the last change of the friendly name.
    pub friendly_name_pos: i64,
    /// Position of the last change of the attributes.
    pub attributes_pos: i64,
    /// Position of the last change of `online`.
    pub online_pos: i64,
}

/// Why something about a user is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such user in this service.
    NotFound,
    /// The identity is taken.
    Exists,
    /// The user is in as many conversations as a user may be.
    TooManyConversations,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::Exists => Self::refused(Code::UserExists, "User already exists"),
            Refusal::TooManyConversations => Self::refused(
                Code::TooManyConversations,
                "The user is in as many conversations as limits.conversations_per_user_max allows",
            ),
        }
    }
}
