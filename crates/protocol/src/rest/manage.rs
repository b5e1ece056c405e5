//! Bodies of accounts, auth tokens and keys (REST facts §6, §7). They hold secrets, so they have no `Debug`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::KeyBody;
use crate::sid::{Account, Sid};

/// An account of the 2010 API.
#[derive(Clone, Serialize)]
pub struct AccountBody {
    /// The account.
    pub sid: Sid<Account>,
    /// Its parent; the account itself, when it is nobody's.
    pub owner_account_sid: Sid<Account>,
    /// Its name.
    pub friendly_name: String,
    /// The primary auth token itself.
    pub auth_token: String,
    /// `active`, `suspended` or `closed`.
    pub status: &'static str,
    /// Always `Full`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// RFC 2822.
    pub date_created: String,
    /// RFC 2822.
    pub date_updated: String,
    /// Path of the account itself.
    pub uri: String,
    /// Name to path, of what is served below the account.
    pub subresource_uris: BTreeMap<&'static str, String>,
}

/// An API key in the newer form.
#[derive(Clone, Serialize)]
pub struct ManagedKeyBody {
    /// What the 2010 API says too.
    #[serde(flatten)]
    pub key: KeyBody,
    /// `{"allow": […]}` of a Restricted key, else `null`.
    pub policy: Option<Value>,
}

/// A row of the list of API keys in the newer form.
#[derive(Clone, Serialize)]
pub struct KeyRow {
    /// What the 2010 API says too.
    #[serde(flatten)]
    pub key: KeyBody,
    /// What the key is good for: `rest_api`, `signing`.
    pub flags: &'static [&'static str],
}

/// The auth token after its promotion.
#[derive(Clone, Serialize)]
pub struct PromotedTokenBody {
    /// The account.
    pub account_sid: Sid<Account>,
    /// What is the primary auth token now.
    pub auth_token: String,
    /// When the account was created.
    pub date_created: String,
    /// When the token was promoted.
    pub date_updated: String,
    /// This route.
    pub url: String,
}

/// A new secondary auth token.
#[derive(Clone, Serialize)]
pub struct SecondaryTokenBody {
    /// The account.
    pub account_sid: Sid<Account>,
    /// What works beside the primary auth token now.
    pub secondary_auth_token: String,
    /// When it was created.
    pub date_created: String,
    /// When it was created.
    pub date_updated: String,
    /// This route.
    pub url: String,
}
