//! Roles: named sets of permissions, and the one place that says what a user may do.
//!
//! A role is of service or of conversation scope. [`may`] decides for REST and SDK alike; callers with
//! the account's credentials are not bound by roles. Nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod events;

use serde::Deserialize;
use tertulia_protocol::sid::{Role as RoleKind, Service};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Error};

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $service:literal, $conversation:literal;)*) => {
        /// Something a role may allow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }
        impl Permission {
            /// Every permission there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The word in the store and on the wire.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
            /// Whether roles of this scope may hold it.
            pub const fn fits(self, scope: Scope) -> bool {
                match (self, scope) {
                    $((Self::$name, Scope::Service) => $service, (Self::$name, Scope::Conversation) => $conversation,)*
                }
            }
        }
    };
}

// The columns say whether service roles and conversation roles may hold the permission (REST facts §20).
permissions! {
    /// Add chat participants.
    AddParticipant = "addParticipant", true, true;
    /// Add participants of other messengers.
    AddNonChatParticipant = "addNonChatParticipant", true, true;
    /// Create conversations.
    CreateConversation = "createConversation", true, false;
    /// Remove anybody's messages.
    DeleteAnyMessage = "deleteAnyMessage", true, true;
    /// Remove one's own messages.
    DeleteOwnMessage = "deleteOwnMessage", false, true;
    /// Delete the conversation.
    DeleteConversation = "deleteConversation", true, true;
    /// Change anybody's message bodies.
    EditAnyMessage = "editAnyMessage", true, true;
    /// Change anybody's message attributes.
    EditAnyMessageAttributes = "editAnyMessageAttributes", true, true;
    /// Change anybody's participant attributes.
    EditAnyParticipantAttributes = "editAnyParticipantAttributes", true, true;
    /// Change anybody's name and attributes.
    EditAnyUserInfo = "editAnyUserInfo", true, true;
    /// Change the conversation's attributes.
    EditConversationAttributes = "editConversationAttributes", true, true;
    /// Change the conversation's names.
    EditConversationName = "editConversationName", true, true;
    /// Mute and unmute.
    EditNotificationLevel = "editNotificationLevel", false, true;
    /// Change one's own message bodies.
    EditOwnMessage = "editOwnMessage", true, true;
    /// Change one's own message attributes.
    EditOwnMessageAttributes = "editOwnMessageAttributes", true, true;
    /// Change one's own participant attributes.
    EditOwnParticipantAttributes = "editOwnParticipantAttributes", true, true;
    /// Change one's own name and attributes.
    EditOwnUserInfo = "editOwnUserInfo", true, true;
    /// Join a conversation without being added; only where the chat service has open conversations.
    JoinConversation = "joinConversation", true, false;
    /// Leave a conversation.
    LeaveConversation = "leaveConversation", false, true;
    /// Remove other participants.
    RemoveParticipant = "removeParticipant", true, true;
    /// Send messages with files.
    SendMediaMessage = "sendMediaMessage", false, true;
    /// Send messages.
    SendMessage = "sendMessage", false, true;
}

/// Where a role counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// In the whole chat service.
    Service,
    /// In one conversation.
    Conversation,
}

impl Scope {
    /// The word in the store and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Conversation => "conversation",
        }
    }

    /// The scope with this word, in any letter case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Service, Self::Conversation].into_iter().find(|scope| scope.word().eq_ignore_ascii_case(word))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u32);

impl Permissions {
    /// The set of these.
    pub fn of(permissions: &[Permission]) -> Self {
        permissions.iter().fold(Self::default(), |set, permission| set.with(*permission))
    }

    /// This set and one more.
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission as u32)
    }

    /// What is in this set or in the other.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets have a permission in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is in the set.
    pub const fn allow(self, permission: Permission) -> bool {
        self.0 & 1 << permission as u32 != 0
    }

    /// The set as space-separated words, as the store keeps it.
    pub fn words(self) -> Vec<&'static str> {
        Permission::ALL
            .iter()
            .filter(|permission| self.allow(**permission))
            .map(|permission| permission.word())
            .collect()
    }

    /// Reads space-separated words; `None` when one is unknown.
    pub fn parse(words: &str) -> Option<Self> {
        words.split_whitespace().try_fold(Self::default(), |set, word| {
            let permission = Permission::ALL.iter().find(|permission| permission.word() == word)?;
            Some(set.with(*permission))
        })
    }

    /// The set of the permissions that a role of this scope is to have, named in any letter case.
    pub fn named(names: &[String], scope: Scope) -> Result<Self, Refusal> {
        names.iter().try_fold(Self::default(), |set, name| {
            let known = |permission: &&Permission| permission.word().eq_ignore_ascii_case(name);
            let permission = Permission::ALL.iter().find(known).filter(|permission| permission.fits(scope));
            permission.map(|permission| set.with(*permission)).ok_or_else(|| Refusal::PermissionUnknown(name.clone()))
        })
    }
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// The owner.
    pub account: AccountNumber,
    /// The role.
    pub sid: Sid<RoleKind>,
    /// Its chat service.
    pub service: Sid<Service>,
    /// Its name.
    pub friendly_name: String,
    /// Where it counts.
    pub scope: Scope,
    /// What it allows.
    pub permissions: Permissions,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// What a caller is, in one conversation or in the service as a whole.
#[derive(Clone, Copy, Debug)]
pub enum Standing {
    /// The account's own credentials, or the server itself.
    Unbound,
    /// A user, by the service role and, as a participant, by the conversation role.
    Bound {
        /// What the service role allows.
        service: Permissions,
        /// What the conversation role allows; `None` for who is no participant.
        conversation: Option<Permissions>,
    },
}

/// The one place for rules: whether somebody of this standing may do that.
pub fn may(standing: Standing, permission: Permission) -> Result<(), Refusal> {
    let Standing::Bound { service, conversation } = standing else { return Ok(()) };
    let in_service = permission.fits(Scope::Service) && service.allow(permission);
    let in_conversation = permission.fits(Scope::Conversation) && conversation.unwrap_or_default().allow(permission);
    match (in_service || in_conversation, conversation) {
        (true, _) => Ok(()),
        (false, None) if permission.fits(Scope::Conversation) => Err(Refusal::NotAParticipant),
        (false, _) => Err(Refusal::NotAllowed(permission)),
    }
}

/// Names, scopes and contents of the roles that every chat service is born with (REST facts §20).
pub fn defaults() -> [(&'static str, Scope, Permissions); 4] {
    use Permission as P;
    let service_admin: Vec<P> = P::ALL.iter().copied().filter(|permission| permission.fits(Scope::Service)).collect();
    let service_user = [P::CreateConversation, P::JoinConversation, P::EditOwnUserInfo];
    let conversation_admin = [
        P::DeleteConversation,
        P::RemoveParticipant,
        P::EditConversationName,
        P::EditConversationAttributes,
        P::AddParticipant,
        P::SendMessage,
        P::SendMediaMessage,
        P::LeaveConversation,
        P::EditAnyMessage,
        P::EditAnyMessageAttributes,
        P::EditAnyParticipantAttributes,
        P::DeleteAnyMessage,
        P::EditNotificationLevel,
    ];
    let conversation_user = [
        P::SendMessage,
        P::SendMediaMessage,
        P::LeaveConversation,
        P::EditOwnMessage,
        P::EditOwnMessageAttributes,
        P::DeleteOwnMessage,
        P::EditNotificationLevel,
        P::EditOwnParticipantAttributes,
    ];
    [
        ("service admin", Scope::Service, Permissions::of(&service_admin)),
        ("service user", Scope::Service, Permissions::of(&service_user)),
        (DEFAULT_CREATOR, Scope::Conversation, Permissions::of(&conversation_admin)),
        (DEFAULT_PARTICIPANT, Scope::Conversation, Permissions::of(&conversation_user)),
    ]
}

// The contract's own, older names of two of the default roles.
const DEFAULT_CREATOR: &str = "channel admin";
const DEFAULT_PARTICIPANT: &str = "channel user";

/// Why something about a role, or under a role, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such role in this service.
    NotFound,
    /// The role named for a user or as a service default is not a service role of this service.
    NoServiceRole,
    /// The role named for a participant or as a default is not a conversation role of this service.
    NoConversationRole,
    /// Not a permission, or not one for this scope.
    PermissionUnknown(String),
    /// Neither `service` nor `conversation`.
    TypeInvalid,
    /// The name is missing or has more than 64 characters.
    NameInvalid,
    /// A default of its service, or held by a user or participant.
    InUse,
    /// The user's roles do not allow it.
    NotAllowed(Permission),
    /// The user is no participant of the conversation.
    NotAParticipant,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::NoServiceRole => {
                Self::refused(Code::ServiceRoleNotFound, "The role is not a role of type service in this chat service")
            }
            Refusal::NoConversationRole => Self::refused(
                Code::ConversationRoleNotFound,
                "The role is not a role of type conversation in this chat service",
            ),
            Refusal::PermissionUnknown(word) => Self::refused(
                Code::PermissionUnknown,
                format!("\"{word}\" is not a permission that a role of this type can hold"),
            ),
            Refusal::TypeInvalid => Self::refused(Code::RoleTypeInvalid, "Type must be conversation or service"),
            Refusal::NameInvalid => Self::parameter("FriendlyName of a role has 1 to 64 characters"),
            Refusal::InUse => Self::refused(
                Code::Conflict,
                "The role is a default of its chat service, or somebody holds it; give them another role first",
            ),
            Refusal::NotAllowed(permission) => Self::refused(
                Code::UserUnauthorized,
                format!("The user's roles do not hold the permission {}", permission.word()),
            ),
            Refusal::NotAParticipant => Self::refused(
                Code::NotAParticipant,
                "The user is not a participant of the conversation; a participant or the backend can add one",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(service: &[Permission], conversation: Option<&[Permission]>) -> Standing {
        Standing::Bound { service: Permissions::of(service), conversation: conversation.map(Permissions::of) }
    }

    #[test]
    fn either_scope_may_allow_and_the_wrong_scope_counts_for_nothing() {
        use Permission::{AddParticipant, SendMessage};
        assert_eq!(may(Standing::Unbound, SendMessage), Ok(()));
        assert_eq!(may(bound(&[AddParticipant], None), AddParticipant), Ok(()));
        assert_eq!(may(bound(&[SendMessage], Some(&[])), SendMessage), Err(Refusal::NotAllowed(SendMessage)));
        assert_eq!(may(bound(&[SendMessage], None), SendMessage), Err(Refusal::NotAParticipant));
        assert_eq!(may(bound(&[], Some(&[SendMessage])), SendMessage), Ok(()));
    }

    #[test]
    fn default_roles_hold_only_what_fits_their_scope() {
        for (name, scope, permissions) in defaults() {
            for permission in Permission::ALL.iter().filter(|permission| permissions.allow(**permission)) {
                assert!(permission.fits(scope), "{name} holds {}", permission.word());
            }
            assert_eq!(Permissions::parse(&permissions.words().join(" ")), Some(permissions));
        }
    }
}
