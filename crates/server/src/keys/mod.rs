//! API keys: they authenticate REST calls and sign Access Tokens.
//!
//! A key's secret is shown once, when it is created, and kept sealed, since it must be readable to check
//! a signature. Here are the kinds, what each may do, and [`may`], which is the one place that says which
//! credentials are let in at which route; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod events;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use tertulia_protocol::sid::Key as KeyKind;
use tertulia_protocol::{Code, Sid, Timestamp};
use tertulia_store::seal::Place;

use crate::platform::{AccountNumber, Error, Power, Source, Surface, Who};

/// Permissions of one policy at most.
pub const PERMISSIONS_MAX: usize = 100;
/// Bytes of one permission at most.
const PERMISSION_BYTES_MAX: usize = 255;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything that the auth token may.
    Main,
    /// Everything but accounts and keys.
    Standard,
    /// What its policy lists; it signs no tokens.
    Restricted,
}

impl Kind {
    /// The word in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Standard => "standard",
            Self::Restricted => "restricted",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Main, Self::Standard, Self::Restricted].into_iter().find(|kind| kind.word() == word)
    }

    /// What a key of this kind is good for, in the words of the lists.
    pub const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Main | Self::Standard => &["rest_api", "signing"],
            Self::Restricted => &["rest_api"],
        }
    }
}

/// What a Restricted key is allowed: permissions such as `/twilio/conversations/messages/read`, as they were
/// given. One that no route asks for is kept, and allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The permissions.
    pub allow: Arc<[String]>,
}

impl Policy {
    /// Reads `{"allow": ["/twilio/…"]}`.
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        let value: serde_json::Value = serde_json::from_str(json).map_err(|_| Refusal::PolicyInvalid)?;
        let object = value.as_object().filter(|object| object.len() == 1);
        let list = object.and_then(|object| object.get("allow")?.as_array()).ok_or(Refusal::PolicyInvalid)?;
        if list.len() > PERMISSIONS_MAX {
            return Err(Refusal::PolicyTooLong);
        }
        let permission = |value: &serde_json::Value| {
            let text = value.as_str().filter(|text| text.starts_with('/') && text.len() <= PERMISSION_BYTES_MAX);
            // PostgreSQL cannot store a NUL, and no permission has one.
            text.filter(|text| !text.contains('\0')).map(str::to_owned).ok_or(Refusal::PolicyInvalid)
        };
        Ok(Self { allow: list.iter().map(permission).collect::<Result<_, _>>()? })
    }

    /// As JSON, for the store and for answers.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({"allow": &*self.allow})
    }
}

/// A key, without its secret.
#[derive(Clone, Debug)]
pub struct Key {
    /// The owner.
    pub account: AccountNumber,
    /// The key.
    pub sid: Sid<KeyKind>,
    /// What it may do.
    pub kind: Kind,
    /// Its name.
    pub friendly_name: String,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What a Restricted key may do.
    pub policy: Option<Policy>,
}

impl Key {
    /// How far it reaches. A Restricted key without a policy reaches nothing.
    pub fn power(&self) -> Power {
        match self.kind {
            Kind::Main => Power::Everything,
            Kind::Standard => Power::Product,
            Kind::Restricted => {
                let allow = self.policy.as_ref().map(|policy| Arc::clone(&policy.allow));
                Power::Permissions(allow.unwrap_or_default())
            }
        }
    }
}

/// Whether credentials are let in at a route of a surface; `permission` is what the route asks of a Restricted
/// key ([`crate::platform::Route::permission`]). The one place for that; what a user may do in a chat service is
/// decided by roles instead.
pub fn may(who: &Who, surface: Surface, permission: Option<&str>) -> Result<(), Refusal> {
    match (who, surface) {
        (Who::User(_), Surface::Sdk) => Ok(()),
        (Who::User(_), _) | (_, Surface::Sdk) => Err(Refusal::NotAllowed),
        (Who::Operator, _) => Ok(()),
        // As if nothing were there: an account need not know that it has an operator.
        (Who::Account { .. }, Surface::Operator) => Err(Refusal::NotFound),
        (Who::Account { power: Power::Everything, .. }, _) => Ok(()),
        (Who::Account { power: Power::Product, .. }, Surface::V2010 | Surface::Manage | Surface::OwnManage) => {
            Err(Refusal::NotAllowed)
        }
        (Who::Account { power: Power::Product, .. }, Surface::V1 | Surface::Service | Surface::Own) => Ok(()),
        (Who::Account { power: Power::Permissions(allow), .. }, _) => match permission {
            Some(wanted) if allow.iter().any(|allowed| allowed == wanted) => Ok(()),
            Some(wanted) => Err(Refusal::NotPermitted(wanted.to_owned())),
            None => Err(Refusal::NotAllowed),
        },
    }
}

/// Whether a caller may bring a key of this kind into being. Main keys are the operator's to give.
pub fn may_create(who: &Who, source: Source, kind: Kind) -> Result<(), Refusal> {
    may_manage(who)?;
    match (who, source, kind) {
        (Who::Operator, ..) | (_, Source::System, _) | (.., Kind::Standard | Kind::Restricted) => Ok(()),
        (_, _, Kind::Main) => Err(Refusal::KindUnknown),
    }
}

/// Whether a caller may manage accounts, keys and auth tokens. Asked again in every transaction that does.
pub fn may_manage(who: &Who) -> Result<(), Refusal> {
    may(who, Surface::Manage, None)
}

/// Why a key signs no Access Token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotSign {
    /// The account has no such key.
    Gone,
    /// A revocation suspends it.
    Suspended,
    /// It is a Restricted key.
    Restricted,
    /// Its account is suspended or closed.
    AccountNotActive,
}

impl fmt::Display for CannotSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "does not exist in the account of logins",
            Self::Suspended => "is suspended",
            Self::Restricted => "is a Restricted key, which signs no Access Tokens",
            Self::AccountNotActive => "belongs to an account that is suspended or closed",
        })
    }
}

/// Where a key's secret is sealed for.
pub fn secret_place(sid: &Sid<KeyKind>) -> Place<'_> {
    Place { table: "keys", column: "secret", sid: sid.as_str() }
}

/// Why something about a key is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such key in this account.
    NotFound,
    /// The credentials may not manage keys.
    NotAllowed,
    /// The Restricted key's policy does not list this permission.
    NotPermitted(String),
    /// The account has as many keys as it may.
    TooMany,
    /// The name has more than 64 characters.
    NameTooLong,
    /// It would sign for the token endpoint, and its kind signs nothing.
    SignsNothing,
    /// Not a kind that can be asked for.
    KindUnknown,
    /// A Restricted key needs a policy.
    PolicyMissing,
    /// Only a Restricted key has a policy.
    PolicyUnwanted,
    /// The policy is something else than a list of permissions.
    PolicyInvalid,
    /// The policy lists too many permissions.
    PolicyTooLong,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::NotFound),
            Refusal::NotAllowed => Self::refused(
                Code::NotAuthenticated,
                "A Standard or Restricted API key cannot do this: accounts, keys, API tokens, owners of identities and the \
                 audit log take the auth token or a Main key",
            ),
            Refusal::NotPermitted(permission) => Self::refused(
                Code::NotAuthenticated,
                format!("The policy of this Restricted API key does not allow {permission}"),
            ),
            Refusal::TooMany => Self::refused(
                Code::Conflict,
                "The account has as many API keys as limits.keys_max allows; delete one that is not used",
            ),
            Refusal::NameTooLong => Self::parameter("FriendlyName of an API key has at most 64 characters"),
            Refusal::SignsNothing => Self::refused(
                Code::Conflict,
                "A Restricted API key signs no Access Tokens, and this one would sign for the token endpoint",
            ),
            Refusal::KindUnknown => Self::parameter("KeyType can be restricted; without it, the key is a Standard one"),
            Refusal::PolicyMissing => Self::parameter("A Restricted API key needs a Policy"),
            Refusal::PolicyUnwanted => Self::parameter("Only a Restricted API key has a Policy"),
            Refusal::PolicyInvalid => {
                Self::parameter(r#"Policy must look like {"allow": ["/twilio/conversations/messages/read"]}"#)
            }
            Refusal::PolicyTooLong => Self::parameter(format!("A Policy allows at most {PERMISSIONS_MAX} permissions")),
        }
    }
}
