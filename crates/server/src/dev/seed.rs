//! What dev mode finds in its folder, or puts there.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account as AccountKind, Key as KeyKind, Service as ServiceKind};
use tertulia_token::{ChatGrant, Mint, MintError, Minted, Secret};

use super::TOKEN_TTL_SECONDS;
use crate::App;
use crate::accounts::commands::{CreateAccount, Credentials, FindAccount};
use crate::keys::Kind;
use crate::keys::commands::CreateKey;
use crate::platform::{Caller, Ids, Outcome};

/// The credentials of dev mode. They are shown, on purpose: never use them for anything else.
#[derive(Clone)]
pub struct DevCredentials {
    /// The account.
    pub account: Sid<AccountKind>,
    /// Its auth token.
    pub auth_token: String,
    /// Its API key.
    pub key: Sid<KeyKind>,
    /// The key's secret.
    pub secret: String,
    /// Its default chat service.
    pub service: Sid<ServiceKind>,
    /// What `/token` asks for.
    pub password: String,
    /// Whether they are the fixed ones, which the demo page may know.
    pub are_fixed: bool,
}

/// The number behind every fixed SID.
const FIXED: u128 = 0xde0;

impl DevCredentials {
    /// The fixed ones, for loopback: documented in the README.
    pub fn fixed() -> Self {
        let number = FIXED;
        Self {
            account: Sid::from_number(number),
            auth_token: "de000000000000000000000000000de0".to_owned(),
            key: Sid::from_number(number),
            secret: "tertulia-dev-secret-not-a-secret".to_owned(),
            service: Sid::from_number(number),
            password: "tertulia".to_owned(),
            are_fixed: true,
        }
    }

    /// Random ones, for a server that others can reach.
    pub fn random(mut ids: Ids) -> Self {
        Self {
            account: ids.sid(),
            auth_token: ids.hex(16),
            key: ids.sid(),
            secret: ids.secret(),
            service: ids.sid(),
            password: ids.secret().chars().take(12).collect(),
            are_fixed: false,
        }
    }

    /// An Access Token for an identity.
    pub fn mint(&self, identity: &str, now_seconds: i64) -> Result<String, MintError> {
        Ok(self.sign(identity, now_seconds)?.token)
    }

    /// The same, with what is to be noted of it.
    pub fn sign(&self, identity: &str, now_seconds: i64) -> Result<Minted, MintError> {
        let secret = Secret::new(self.secret.clone());
        Mint::new(self.account.to_string(), self.key.to_string(), &secret)
            .identity(identity)
            .grant(ChatGrant::new(self.service.to_string()))
            .ttl(TOKEN_TTL_SECONDS)
            .sign(now_seconds)
    }
}

/// Whether these name the fixed account or key, whose secrets everybody can read in the README. A folder
/// that was once served on loopback holds them; beyond loopback they must not work.
pub fn are_fixed(credentials: &Credentials) -> bool {
    match credentials {
        Credentials::Account(sid) => sid.number() == FIXED,
        Credentials::Key(sid) => sid.number() == FIXED,
    }
}

/// Puts the account and its key into the store, unless they are there.
pub async fn seed(app: &App, credentials: &DevCredentials) -> Outcome<()> {
    let nobody = Caller::nobody();
    let account = match app.db.ask(&nobody, FindAccount(credentials.account)).await? {
        Some(account) => account,
        None => {
            let create = CreateAccount {
                sid: Some(credentials.account),
                service: Some(credentials.service),
                parent: None,
                friendly_name: "Tertulia dev".to_owned(),
                auth_token: credentials.auth_token.clone(),
                ring: app.sealer.ring(),
            };
            app.db.perform(&nobody, create).await?
        }
    };
    let caller = Caller::system(account.number, account.sid);
    let known = app.db.ask(&caller, crate::keys::commands::GetKey(credentials.key)).await;
    if known.is_err() {
        let create = CreateKey {
            sid: Some(credentials.key),
            secret: Some(credentials.secret.clone()),
            kind: Kind::Standard,
            friendly_name: "dev".to_owned(),
            policy: None,
            ring: app.sealer.ring(),
        };
        app.db.perform(&caller, create).await?;
    }
    Ok(())
}
