//! What a verifying service would know, from a JSON file: for trying things out, and for the
//! published test vectors, whose `world` has this shape.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use tertulia_token::{AccountStatus, Directory, Key, KeyKind, KeyStatus, Secret};

/// The file: either this object, or one that has it as its member `world`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    pub(super) region: Option<String>,
    #[serde(default)]
    accounts: Vec<Account>,
    #[serde(default)]
    keys: Vec<KeyEntry>,
    #[serde(default)]
    services: Vec<OfAccount>,
    #[serde(default)]
    roles: Vec<OfService>,
    #[serde(default)]
    push_credentials: Vec<OfAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    sid: String,
    status: Status,
    #[serde(default)]
    test: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    sid: String,
    account_sid: String,
    secret: String,
    #[serde(rename = "type", default)]
    kind: Kind,
    #[serde(default)]
    status: Status,
    region: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAccount {
    sid: String,
    account_sid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfService {
    sid: String,
    service_sid: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Active,
    Suspended,
    Closed,
    Deleted,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Main,
    #[default]
    Standard,
    Restricted,
}

impl World {
    pub(super) fn read(path: &Path) -> Result<World> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("the world could not be read from {shown}"))?;
        let what = || format!("{shown} is not a world of accounts, keys, services, roles and push_credentials");
        let mut whole: serde_json::Value = serde_json::from_str(&text).with_context(what)?;
        let world = match whole.get_mut("world") {
            Some(world) => world.take(),
            None => whole,
        };
        serde_json::from_value(world).with_context(what)
    }

    /// The key with this SID, with the state of its account. An account that is not listed counts
    /// as closed.
    pub(super) fn find_key(&self, sid: &str, home: &str) -> Option<Key> {
        let key = self.keys.iter().find(|key| key.sid == sid)?;
        let account = self.accounts.iter().find(|account| account.sid == key.account_sid);
        Some(Key {
            sid: key.sid.clone(),
            account_sid: key.account_sid.clone(),
            secret: Secret::new(&*key.secret),
            kind: match key.kind {
                Kind::Main => KeyKind::Main,
                Kind::Standard => KeyKind::Standard,
                Kind::Restricted => KeyKind::Restricted,
            },
            status: match key.status {
                Status::Active => KeyStatus::Active,
                Status::Suspended => KeyStatus::Suspended,
                Status::Closed | Status::Deleted => KeyStatus::Deleted,
            },
            region: key.region.clone().unwrap_or_else(|| home.to_owned()),
            account_status: match account {
                Some(account) if account.test => AccountStatus::Test,
                Some(Account { status: Status::Active, .. }) => AccountStatus::Active,
                Some(Account { status: Status::Suspended, .. }) => AccountStatus::Suspended,
                _ => AccountStatus::Closed,
            },
        })
    }
}

impl Directory for World {
    fn has_service(&self, account_sid: &str, service_sid: &str) -> bool {
        self.services.iter().any(|service| service.sid == service_sid && service.account_sid == account_sid)
    }

    fn has_role(&self, service_sid: &str, role_sid: &str) -> bool {
        self.roles.iter().any(|role| role.sid == role_sid && role.service_sid == service_sid)
    }

    fn has_push_credential(&self, account_sid: &str, credential_sid: &str) -> bool {
        self.push_credentials
            .iter()
            .any(|credential| credential.sid == credential_sid && credential.account_sid == account_sid)
    }
}
