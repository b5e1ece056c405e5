//! What dev mode finds in its folder, or puts there.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account as AccountKind, Key as KeyKind, Service as ServiceKind};
use tertulia_store::seal::{KeyRing, SealError, SealKey, Sealer};
use tertulia_token::{ChatGrant, Mint, MintError, Minted, Secret};

use super::TOKEN_TTL_SECONDS;
use crate::accounts::Account;
use crate::accounts::commands::{CreateAccount, Credentials};
use crate::keys::Kind;
use crate::keys::commands::CreateKey;
use crate::platform::ids::fresh_seed;
use crate::platform::sealed::TryKeys;
use crate::platform::{Caller, Change, Cx, Ids, Outcome, Question};
use crate::{App, OpenError, accounts, keys, sealing};

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
        Ok(self.sign(identity, now_seconds, &mut Ids::from_seed(fresh_seed()))?.token)
    }

    /// The same, with what is to be noted of it.
    pub fn sign(&self, identity: &str, now_seconds: i64, ids: &mut Ids) -> Result<Minted, MintError> {
        let secret = Secret::new(self.secret.clone());
        Mint::new(self.account.to_string(), self.key.to_string(), &secret)
            .identity(identity)
            .grant(ChatGrant::new(self.service.to_string()))
            .ttl(TOKEN_TTL_SECONDS)
            .sign(now_seconds, ids.chance())
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

/// Puts the account and its key into the store, unless they are there. On a database that several servers share it
/// also settles which key seals: it is the same for all of them, or each would find secrets that it cannot open.
pub async fn seed(app: &App, credentials: DevCredentials, seal_keys: Vec<SealKey>) -> Result<(), OpenError> {
    let seed = Seed { credentials, seal_keys, is_shared: app.db.store.is_shared() };
    let key = app.db.perform(&Caller::nobody(), seed).await??;
    app.sealer.take_up(&[key]);
    Ok(())
}

/// All of it in one transaction, which holds the installation: however many servers start at once, one seeds.
#[derive(Clone)]
struct Seed {
    credentials: DevCredentials,
    /// The server's own keys.
    seal_keys: Vec<SealKey>,
    is_shared: bool,
}

impl Change for Seed {
    /// The key that seals.
    type Out = Result<SealKey, SealError>;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        accounts::queries::lock_installation(cx.tx).await?;
        let agreed = if self.is_shared { sealing::dev_seal_key(cx).await? } else { None };
        let keys: Vec<SealKey> = agreed.iter().chain(&self.seal_keys).cloned().collect();
        let (first, ring) = (keys[0].clone(), Sealer::new(&keys).ring());
        // Before the key is stored: one that opens nothing here must not become everybody's.
        let tried = TryKeys { columns: &sealing::COLUMNS, ring: ring.clone() }.ask(cx).await?;
        if let Some(cause) = tried.closed {
            return Ok(Err(cause));
        }
        if self.is_shared && agreed.is_none() {
            accounts::queries::set_dev_seal_key(cx.tx, Some(first.expose())).await?;
        }
        let account = self.account(cx, &ring).await?;
        self.key(cx, &account, ring).await?;
        Ok(Ok(first))
    }
}

impl Seed {
    async fn account(&self, cx: &mut Cx<'_, '_>, ring: &KeyRing) -> Outcome<Account> {
        if let Some(account) = accounts::queries::find(cx.tx, self.credentials.account).await? {
            return Ok(account);
        }
        let create = CreateAccount {
            sid: Some(self.credentials.account),
            service: Some(self.credentials.service),
            parent: None,
            friendly_name: "Tertulia dev".to_owned(),
            auth_token: self.credentials.auth_token.clone(),
            ring: ring.clone(),
        };
        create.apply(cx).await
    }

    async fn key(&self, cx: &mut Cx<'_, '_>, account: &Account, ring: KeyRing) -> Outcome<()> {
        if keys::queries::find(cx.tx, account.number, self.credentials.key).await?.is_some() {
            return Ok(());
        }
        let create = CreateKey {
            sid: Some(self.credentials.key),
            secret: Some(self.credentials.secret.clone()),
            kind: Kind::Standard,
            friendly_name: "dev".to_owned(),
            policy: None,
            ring,
        };
        keys::commands::create(cx, account.number, &create).await?;
        Ok(())
    }
}
