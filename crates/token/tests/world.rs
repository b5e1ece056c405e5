//! The vectors, and the made-up world they are checked in.

use std::sync::LazyLock;

use serde_json::Value;
use tertulia_token::{AccountStatus, Directory, Key, KeyKind, KeyStatus, Rules, Secret};

pub(crate) static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("vectors/tokens.json")).expect("the vectors are JSON"));

pub(crate) const ACCOUNT: &str = "ACfa4efa4efa4efa4efa4efa4efa4e0001";
pub(crate) const KEY: &str = "SKfa4efa4efa4efa4efa4efa4efa4e0001";
pub(crate) const SERVICE: &str = "ISfa4efa4efa4efa4efa4efa4efa4e0001";
pub(crate) const ROLE: &str = "RLfa4efa4efa4efa4efa4efa4efa4e0001";
pub(crate) const SECRET: &str = "FAKE-vector-secret-not-real-0001";
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) fn cases() -> impl Iterator<Item = &'static Value> {
    VECTORS["cases"].as_array().expect("cases").iter()
}

pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

/// The token of a case, joined when it stands there in parts.
pub(crate) fn token(case: &Value) -> String {
    if let Some(token) = case["token"].as_str() {
        return token.to_owned();
    }
    let parts = case["token_parts"].as_array().expect("a token or its parts");
    let joined: String = parts
        .iter()
        .map(|part| match part["text"].as_str() {
            Some(text) => text.to_owned(),
            None => text(part, "repeat").repeat(part["count"].as_u64().expect("count") as usize),
        })
        .collect();
    assert_eq!(Some(joined.len() as u64), case["token_length"].as_u64());
    joined
}

pub(crate) fn rules(now: i64) -> Rules {
    Rules::at(now).leeway(0).grace(0)
}

/// Finds a key in the world of the vectors.
pub(crate) fn find_key(sid: &str) -> Option<Key> {
    let list = |name: &str| VECTORS["world"][name].as_array().expect("a list").iter();
    let key = list("keys").find(|key| text(key, "sid") == sid)?;
    let account = list("accounts").find(|account| account["sid"] == key["account_sid"])?;
    Some(Key {
        sid: sid.to_owned(),
        account_sid: text(key, "account_sid").to_owned(),
        secret: Secret::new(text(key, "secret")),
        kind: match text(key, "type") {
            "main" => KeyKind::Main,
            "restricted" => KeyKind::Restricted,
            _ => KeyKind::Standard,
        },
        status: match text(key, "status") {
            "active" => KeyStatus::Active,
            _ => KeyStatus::Deleted,
        },
        region: text(key, "region").to_owned(),
        account_status: match (account["test"] == true, text(account, "status")) {
            (true, _) => AccountStatus::Test,
            (false, "active") => AccountStatus::Active,
            _ => AccountStatus::Suspended,
        },
    })
}

/// What exists in the world of the vectors.
pub(crate) struct World;

impl World {
    fn has(list: &str, sid: &str, owner: &str, owner_sid: &str) -> bool {
        let list = VECTORS["world"][list].as_array().expect("a list");
        list.iter().any(|item| item["sid"] == sid && item[owner] == owner_sid)
    }
}

impl Directory for World {
    fn has_service(&self, account_sid: &str, service_sid: &str) -> bool {
        World::has("services", service_sid, "account_sid", account_sid)
    }

    fn has_role(&self, service_sid: &str, role_sid: &str) -> bool {
        World::has("roles", role_sid, "service_sid", service_sid)
    }

    fn has_push_credential(&self, account_sid: &str, credential_sid: &str) -> bool {
        World::has("push_credentials", credential_sid, "account_sid", account_sid)
    }
}
