//! Participants: who is in a conversation.
//!
//! A chat participant has an identity and stands for a user; one of another messenger has a messaging
//! binding instead (decision 38). One row serves the roster, which everybody in the conversation sees,
//! and the user's own list. Here are its facts and refusals; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod sdk;
pub mod events;

use serde::{Deserialize, Serialize};
use tertulia_protocol::sid::{Conversation, Participant as ParticipantKind, Role, Service, User};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Error};

/// A participant.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The owner.
    pub account: AccountNumber,
    /// The conversation.
    pub conversation: Sid<Conversation>,
    /// The participant.
    pub sid: Sid<ParticipantKind>,
    /// The chat service.
    pub service: Sid<Service>,
    /// The app's own name for the user; `None` for another messenger's.
    pub identity: Option<String>,
    /// The user behind the identity.
    pub user: Option<Sid<User>>,
    /// How another messenger's participant is reached.
    pub binding: Option<Binding>,
    /// Role in the conversation.
    pub role: Option<Sid<Role>>,
    /// JSON text, byte for byte.
    pub attributes: String,
    /// Read horizon: index of the last message that was read.
    pub last_read_index: Option<i64>,
    /// When the horizon was set.
    pub last_read_at: Option<Timestamp>,
    /// Whether the user wants to be notified.
    pub notification_level: NotificationLevel,
    /// When the participant came.
    pub created: Timestamp,
    /// When the participant last changed.
    pub updated: Timestamp,
    /// Position in `roster` at which the participant came.
    pub roster_created_pos: i64,
    /// Position in `roster` of the last change.
    pub roster_changed_pos: i64,
    /// Position in the user's `mine` at which the conversation came.
    pub mine_created_pos: i64,
    /// Position in the user's `mine` of the last change.
    pub mine_changed_pos: i64,
    /// When the participant left or was removed; such a row is an emptied tombstone.
    pub removed: Option<Timestamp>,
}

/// Whether a user wants to be notified of a conversation's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotificationLevel {
    /// Yes.
    #[default]
    Default,
    /// No.
    Muted,
}

impl NotificationLevel {
    /// The word in the store and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Muted => "muted",
        }
    }

    /// The level with this word, in any letter case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Default, Self::Muted].into_iter().find(|level| level.word().eq_ignore_ascii_case(word))
    }
}

/// How a participant of another messenger is reached; stored as JSON with these names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `sms`, `whatsapp`, …; follows from the address.
    #[serde(rename = "type")]
    pub kind: String,
    /// The participant's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The address it talks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_address: Option<String>,
    /// The address others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_address: Option<String>,
}

impl Binding {
    /// The type that an address is of: by its prefix, `sms` for a bare number.
    pub fn kind_of(address: &str) -> &str {
        match address.split_once(':') {
            Some((kind @ ("whatsapp" | "messenger" | "rcs" | "apple" | "gbm"), _)) => kind,
            _ if address.contains('@') => "email",
            _ => "sms",
        }
    }
}

/// Why something about a participant is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such participant in this conversation.
    NotFound,
    /// The identity is in the conversation already.
    Exists,
    /// Neither an identity nor a binding.
    NobodyNamed,
    /// An identity together with a binding's address.
    IdentityWithAddress,
    /// The conversation has as many participants as it may have.
    TooMany,
    /// A binding without its address, or without its proxy address.
    AddressMissing,
    /// See [`Refusal::AddressMissing`].
    ProxyAddressMissing,
    /// Address and proxy address are the same.
    AddressesEqual,
    /// Address and proxy address belong to different messengers.
    BindingTypesDiffer,
    /// The pair of addresses is in use; applications parse the conversation out of the message.
    BindingTaken(Sid<Conversation>),
    /// Not a number.
    LastReadIndexInvalid,
    /// Neither `default` nor `muted`.
    NotificationLevelInvalid,
    /// Conversations asked for by identity and address at once.
    IdentityAndAddress,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound => return Self::not_found(Code::ParticipantNotFound),
            Refusal::NobodyNamed => {
                return Self::parameter("A participant needs an Identity or a MessagingBinding.Address");
            }
            Refusal::BindingTaken(other) => {
                let message =
                    format!("A binding for this participant and proxy address already exists in Conversation {other}");
                return Self::refused(Code::BindingTaken, message);
            }
            Refusal::TooMany => {
                let message = "The conversation has as many participants as limits.participants_max allows";
                return Self::refused(Code::TooManyParticipants, message);
            }
            Refusal::Exists => Code::ParticipantExists,
            Refusal::IdentityWithAddress => Code::IdentityNotAcceptable,
            Refusal::AddressMissing => Code::AddressMissing,
            Refusal::ProxyAddressMissing => Code::ProxyAddressMissing,
            Refusal::AddressesEqual => Code::AddressesEqual,
            Refusal::BindingTypesDiffer => Code::BindingTypesDiffer,
            Refusal::LastReadIndexInvalid => Code::LastReadIndexInvalid,
            Refusal::NotificationLevelInvalid => Code::NotificationLevelInvalid,
            Refusal::IdentityAndAddress => Code::IdentityAndAddress,
        };
        Self::plain(code)
    }
}
