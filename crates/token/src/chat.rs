//! What a verified token may do at the chat service.
//!
//! Two steps, because what a service knows often sits in a database: [`ChatClaim::read`] says what
//! the token wants, [`ChatClaim::check`] compares it with what exists. This module looks nothing
//! up itself.

use crate::claims::AccessToken;
use crate::identity::{self, IdentityFault};
use crate::json::{Kind, Value};
use crate::parse::kind_name;
use crate::refusal::{Check, Refusal, code};
use crate::sid;

/// What exists. For answers that had to be fetched first, [`Known`] is a ready-made one.
pub trait Directory {
    /// Whether this account has this chat service, and it can be used.
    fn has_service(&self, account_sid: &str, service_sid: &str) -> bool;
    /// Whether this chat service has this role.
    fn has_role(&self, service_sid: &str, role_sid: &str) -> bool;
    /// Whether this account has this push credential.
    fn has_push_credential(&self, account_sid: &str, credential_sid: &str) -> bool;
}

/// Answers about the one claim they were looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The service exists, belongs to the account and can be used.
    pub service: bool,
    /// The role exists in that service. Not asked when the claim names none.
    pub role: bool,
    /// The push credential exists in that account. Not asked when the claim names none.
    pub push_credential: bool,
}

impl Directory for Known {
    fn has_service(&self, _: &str, _: &str) -> bool {
        self.service
    }

    fn has_role(&self, _: &str, _: &str) -> bool {
        self.role
    }

    fn has_push_credential(&self, _: &str, _: &str) -> bool {
        self.push_credential
    }
}

/// What a token wants of the chat service. Nothing in it was compared with what exists.
#[derive(Debug, Clone)]
pub struct ChatClaim {
    access: ChatAccess,
    // Kept until it is their turn: what is wrong with the service is said first.
    role: Result<Option<String>, Refusal>,
    push_credential: Result<Option<String>, Refusal>,
}

/// Leave to use one chat service as one user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatAccess {
    /// Who.
    pub identity: String,
    /// The account of token and service.
    pub account_sid: String,
    /// The key that signed the token.
    pub key_sid: String,
    /// Where.
    pub service_sid: String,
    /// The service role of this connection, when the token names one. The user's own is unchanged.
    pub deployment_role_sid: Option<String>,
    /// The push credential, when the token names one.
    pub push_credential_sid: Option<String>,
    /// The endpoint, when the token names one.
    pub endpoint_id: Option<String>,
    /// `exp` of the token.
    pub expires_at: i64,
}

/// Checks a verified token for chat in one step, for callers who can answer at once.
pub fn chat(token: &AccessToken, directory: &(impl Directory + ?Sized)) -> Result<ChatAccess, Refusal> {
    ChatClaim::read(token)?.check(directory)
}

impl ChatClaim {
    /// Reads what the token wants.
    pub fn read(token: &AccessToken) -> Result<ChatClaim, Refusal> {
        check_chat_identity(token.identity())?;
        // `verify` has seen that there are grants; without them there is no chat grant either.
        let grant = match token.grants_value() {
            Some(grants) => check_chat_grant(grants)?,
            None => return Err(no_grant("nothing")),
        };
        let endpoint = grant.get("endpoint_id").and_then(Value::text);
        Ok(ChatClaim {
            access: ChatAccess {
                identity: token.identity().to_owned(),
                account_sid: token.account_sid().to_owned(),
                key_sid: token.key_sid().to_owned(),
                service_sid: check_service(grant)?,
                deployment_role_sid: None,
                push_credential_sid: None,
                endpoint_id: endpoint.map(|endpoint| endpoint.into_owned()),
                expires_at: token.expires_at(),
            },
            role: check_optional(grant, Check::Role),
            push_credential: check_optional(grant, Check::PushCredential),
        })
    }

    /// The account that must have the service.
    #[must_use]
    pub fn account_sid(&self) -> &str {
        &self.access.account_sid
    }

    /// The service to look up.
    #[must_use]
    pub fn service_sid(&self) -> &str {
        &self.access.service_sid
    }

    /// The role to look up, if any.
    #[must_use]
    pub fn deployment_role_sid(&self) -> Option<&str> {
        self.role.as_ref().ok()?.as_deref()
    }

    /// The push credential to look up, if any.
    #[must_use]
    pub fn push_credential_sid(&self) -> Option<&str> {
        self.push_credential.as_ref().ok()?.as_deref()
    }

    /// Compares the claim with what exists.
    pub fn check(self, directory: &(impl Directory + ?Sized)) -> Result<ChatAccess, Refusal> {
        let mut access = self.access;
        check_service_known(&access.account_sid, &access.service_sid, directory)?;
        access.deployment_role_sid = self.role?;
        if let Some(role) = &access.deployment_role_sid {
            check_role_known(&access.service_sid, role, directory)?;
        }
        access.push_credential_sid = self.push_credential?;
        if let Some(credential) = &access.push_credential_sid {
            check_credential_known(&access.account_sid, credential, directory)?;
        }
        Ok(access)
    }
}

pub(crate) fn check_chat_identity(identity: &str) -> Result<(), Refusal> {
    identity::check(identity).map_err(|fault| {
        let code = match fault {
            IdentityFault::TooLong(_) => code::IDENTITY_TOO_LONG,
            _ => code::INVALID_GRANTS,
        };
        let expected = "an identity that chat users may have";
        Refusal::new(code, Check::ChatIdentity, fault.to_string(), expected)
    })
}

/// `ip_messaging` is the old name of the same grant, so both together are two grants of one
/// product, and nobody could say which counts.
pub(crate) fn check_chat_grant(grants: Value<'_>) -> Result<Value<'_>, Refusal> {
    let found = match (grants.get("chat"), grants.get("ip_messaging")) {
        (Some(grant), None) | (None, Some(grant)) => grant,
        (None, None) => return Err(no_grant("neither")),
        (Some(_), Some(_)) => return Err(no_grant("both")),
    };
    match found.kind() {
        Kind::Object => Ok(found),
        other => Err(no_grant(other.name())),
    }
}

fn no_grant(found: &'static str) -> Refusal {
    Refusal::new(
        code::INVALID_GRANTS,
        Check::ChatGrant,
        found,
        "an object at grants.chat (or ip_messaging, its old name), not both",
    )
}

pub(crate) fn check_service(grant: Value<'_>) -> Result<String, Refusal> {
    let claim = grant.get("service_sid");
    let text = claim.and_then(Value::text);
    if let Some(service) = text.as_deref().and_then(|text| sid::lower(text, "IS")) {
        return Ok(service);
    }
    let found = match text.as_deref() {
        Some(text) => sid::describe(text),
        None => kind_name(claim).to_owned(),
    };
    let expected = "service_sid, the SID of a chat service (IS…)";
    Err(Refusal::new(code::INVALID_GRANTS, Check::Service, found, expected))
}

pub(crate) fn check_optional(grant: Value<'_>, check: Check) -> Result<Option<String>, Refusal> {
    let (name, prefix, expected) = match check {
        Check::Role => ("deployment_role_sid", "RL", "deployment_role_sid absent, or the SID of a role (RL…)"),
        _ => ("push_credential_sid", "CR", "push_credential_sid absent, or the SID of a push credential (CR…)"),
    };
    let Some(claim) = grant.get(name).filter(|claim| claim.kind() != Kind::Null) else {
        return Ok(None);
    };
    let text = claim.text();
    if let Some(sid) = text.as_deref().and_then(|text| sid::lower(text, prefix)) {
        return Ok(Some(sid));
    }
    let found = match text.as_deref() {
        Some(text) => sid::describe(text),
        None => claim.kind().name().to_owned(),
    };
    Err(Refusal::new(code::INVALID_GRANTS, check, found, expected))
}

pub(crate) fn check_service_known(
    account_sid: &str,
    service_sid: &str,
    directory: &(impl Directory + ?Sized),
) -> Result<(), Refusal> {
    known(directory.has_service(account_sid, service_sid), || {
        let found = format!("no service {service_sid} in {account_sid}");
        (Check::Service, found, "a chat service of the account in sub")
    })
}

pub(crate) fn check_role_known(
    service_sid: &str,
    role_sid: &str,
    directory: &(impl Directory + ?Sized),
) -> Result<(), Refusal> {
    known(directory.has_role(service_sid, role_sid), || {
        let found = format!("no role {role_sid} in {service_sid}");
        (Check::Role, found, "a role of the chat service in the grant")
    })
}

pub(crate) fn check_credential_known(
    account_sid: &str,
    credential_sid: &str,
    directory: &(impl Directory + ?Sized),
) -> Result<(), Refusal> {
    known(directory.has_push_credential(account_sid, credential_sid), || {
        let found = format!("no push credential {credential_sid} in {account_sid}");
        (Check::PushCredential, found, "a push credential of the account in sub")
    })
}

fn known(known: bool, otherwise: impl FnOnce() -> (Check, String, &'static str)) -> Result<(), Refusal> {
    if known {
        return Ok(());
    }
    let (check, found, expected) = otherwise();
    Err(Refusal::new(code::INVALID_GRANTS, check, found, expected))
}
