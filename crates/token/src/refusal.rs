//! Why a token is refused: the code that goes on the wire, the step that found it, and what was
//! found where something else was expected.
//!
//! `found` and `expected` are for the operator: the server's log, the command line, the console.
//! They never contain a secret or a signature. What the client may see is the code and
//! [`Refusal::name`].

use std::borrow::Cow;
use std::fmt;

/// The codes this crate answers with; each has its meaning from Twilio's error dictionary.
pub mod code {
    /// Not an Access Token at all.
    pub const INVALID_TOKEN: u16 = 20101;
    /// `typ`, `alg`, `cty` or another member of the header is wrong.
    pub const INVALID_HEADER: u16 = 20102;
    /// The key or the account is unknown, not usable, or they do not belong together.
    pub const INVALID_ISSUER: u16 = 20103;
    /// Expired, or without a usable expiry.
    pub const EXPIRED: u16 = 20104;
    /// Not valid yet.
    pub const NOT_YET_VALID: u16 = 20105;
    /// The grants are missing, unreadable, or do not permit this.
    pub const INVALID_GRANTS: u16 = 20106;
    /// Signed with another secret, or altered.
    pub const INVALID_SIGNATURE: u16 = 20107;
    /// Valid for longer than is allowed.
    pub const LIFETIME_TOO_LONG: u16 = 20157;
    /// The identity is too long for chat.
    pub const IDENTITY_TOO_LONG: u16 = 51003;
}

/// The steps of verification, in the order in which they are taken. The first that fails decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The token is not longer than [`TOKEN_BYTES_MAX`](crate::TOKEN_BYTES_MAX).
    Size,
    /// Three parts of canonical base64url.
    Form,
    /// The header is a JSON object.
    Header,
    /// `typ`.
    Type,
    /// `alg`.
    Algorithm,
    /// `cty`, which tells an Access Token from every other JWT.
    ContentType,
    /// Nothing in the header changes how the token is to be read.
    Extensions,
    /// The payload is a JSON object.
    Payload,
    /// `iss` is an API Key SID.
    Issuer,
    /// `sub` is an Account SID.
    Subject,
    /// `twr` is absent or the region of this service.
    Region,
    /// The key exists, may sign, and belongs to the account, which is active.
    Key,
    /// The signature.
    Signature,
    /// `exp`.
    Expiry,
    /// `nbf`.
    NotBefore,
    /// `iat`.
    IssuedAt,
    /// From `iat` or now until `exp` it is not too long.
    Lifetime,
    /// `grants` is an object.
    Grants,
    /// `grants.identity` is there.
    Identity,
    /// The identity is one that chat allows.
    ChatIdentity,
    /// There is one chat grant.
    ChatGrant,
    /// Its `service_sid` is known and of this account.
    Service,
    /// Its `deployment_role_sid`, when there is one, is known.
    Role,
    /// Its `push_credential_sid`, when there is one, is known.
    PushCredential,
    /// Nobody has revoked the token. The service knows that, not this crate; see
    /// [`Given::revoked`](crate::Given::revoked).
    Revocation,
}

impl Check {
    /// Those that this crate makes, in order.
    pub const ALL: [Check; 24] = [
        Check::Size,
        Check::Form,
        Check::Header,
        Check::Type,
        Check::Algorithm,
        Check::ContentType,
        Check::Extensions,
        Check::Payload,
        Check::Issuer,
        Check::Subject,
        Check::Region,
        Check::Key,
        Check::Signature,
        Check::Expiry,
        Check::NotBefore,
        Check::IssuedAt,
        Check::Lifetime,
        Check::Grants,
        Check::Identity,
        Check::ChatIdentity,
        Check::ChatGrant,
        Check::Service,
        Check::Role,
        Check::PushCredential,
    ];

    /// A short name, for logs and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Check::Size => "size",
            Check::Form => "form",
            Check::Header => "header",
            Check::Type => "typ",
            Check::Algorithm => "alg",
            Check::ContentType => "cty",
            Check::Extensions => "extensions",
            Check::Payload => "payload",
            Check::Issuer => "iss",
            Check::Subject => "sub",
            Check::Region => "region",
            Check::Key => "key",
            Check::Signature => "signature",
            Check::Expiry => "exp",
            Check::NotBefore => "nbf",
            Check::IssuedAt => "iat",
            Check::Lifetime => "lifetime",
            Check::Grants => "grants",
            Check::Identity => "identity",
            Check::ChatIdentity => "chat_identity",
            Check::ChatGrant => "chat_grant",
            Check::Service => "service",
            Check::Role => "role",
            Check::PushCredential => "push_credential",
            Check::Revocation => "revocation",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A token was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What goes on the wire; see [`code`].
    pub code: u16,
    /// The first check that failed.
    pub check: Check,
    /// What was there. For the operator, not for the client.
    pub found: Cow<'static, str>,
    /// What should have been there. For the operator, not for the client.
    pub expected: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(
        code: u16,
        check: Check,
        found: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Refusal {
        Refusal { code, check, found: found.into(), expected: expected.into() }
    }

    /// What the code means, without a detail: this may be shown to the client.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.code {
            _ if self.check == Check::Revocation => "Access Token revoked",
            code::INVALID_TOKEN => "Invalid Access Token",
            code::INVALID_HEADER => "Invalid Access Token header",
            code::INVALID_ISSUER => "Invalid Access Token issuer or subject",
            code::EXPIRED => "Access Token expired or expiration time invalid",
            code::NOT_YET_VALID => "Access Token not yet valid",
            code::INVALID_GRANTS => "Invalid Access Token grants",
            code::INVALID_SIGNATURE => "Invalid Access Token signature",
            code::LIFETIME_TOO_LONG => "Access Token is valid for longer than is allowed",
            code::IDENTITY_TOO_LONG => "Identity too long",
            _ => "Access Token refused",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { code, check, found, expected } = self;
        let name = self.name();
        write!(f, "{code} {name} ({check}): found {found}; expected {expected}")
    }
}

impl std::error::Error for Refusal {}
