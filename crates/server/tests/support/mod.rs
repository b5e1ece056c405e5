//! The world that a test plays in: a service of its own on a free port, and the cast.
//!
//! The clock stands still until a test moves it. The world runs on SQLite; the named core of the tests
//! runs on PostgreSQL too ([`on_both_engines`]), on a database of its own.

mod client;
mod fields;
mod inside;
mod sdk;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use tertulia_client::Client;
use tertulia_protocol::sid::Role;
use tertulia_protocol::{Sid, Timestamp};
use tertulia_server::accounts::commands::{CreateAccount, FindAccount};
use tertulia_server::dev::DevCredentials;
use tertulia_server::http::OPERATOR;
use tertulia_server::jobs::commands::ListBacklog;
use tertulia_server::platform::ids::fresh_seed;
use tertulia_server::platform::{AccountNumber, Caller, Clock, Config, Ids};
use tertulia_server::seal::{self, SealKey};
use tertulia_server::services::commands::DeleteService;
use tertulia_server::store::Engine;
use tertulia_server::{App, Options, Server};
use tertulia_token::{ChatGrant, Mint, Secret};
use tokio::runtime::Runtime;

pub(crate) use client::{Actor, Answer};
pub(crate) use fields::assert_fields;
pub(crate) use inside::State;
pub(crate) use sdk::SdkUser;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Runs each test on SQLite.
macro_rules! on_sqlite {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            use $crate::support::World;
            $(#[test] fn $test() { super::$test(&World::sqlite()); })*
        }
    };
}

/// Runs each test on both engines: the named core.
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod on_both {
            use $crate::support::World;
            mod sqlite {
                use super::*;
                $(#[test] fn $test() { super::super::$test(&World::sqlite()); })*
            }
            mod postgres {
                use super::*;
                $(#[test] fn $test() {
                    if let Some(world) = World::postgres(stringify!($test)) { super::super::$test(&world); }
                })*
            }
        }
    };
}
pub(crate) use {on_both_engines, on_sqlite};

/// When every world begins; the fraction must never be seen in an answer of the REST API.
pub(crate) const BEGIN: &str = "2026-01-02T03:04:05Z";

const OPERATOR_SECRET: &str = "a-secret-of-whoever-runs-the-server";

/// A service, and who plays with it.
pub(crate) struct World {
    server: Option<Server>,
    clock: Clock,
    dev: DevCredentials,
    /// The account's own credentials.
    pub(crate) owner: Actor,
    /// A Standard API key of the account.
    pub(crate) key: Actor,
    /// Another account.
    pub(crate) tenant: Actor,
    /// Whoever runs the server.
    pub(crate) operator: Actor,
    /// Nobody in particular.
    pub(crate) stranger: Actor,
    /// The owner's account SID.
    pub(crate) account: String,
    /// The owner's default chat service.
    pub(crate) service: String,
    /// Scheme and host.
    pub(crate) origin: String,
}

impl World {
    pub(crate) fn sqlite() -> Self {
        Self::sqlite_with(|_| {})
    }

    /// With another configuration than the default one.
    pub(crate) fn sqlite_with(set: impl FnOnce(&mut Config)) -> Self {
        Self::on(Engine::SqliteMemory, set)
    }

    /// `None` when this machine has no PostgreSQL.
    pub(crate) fn postgres(test: &str) -> Option<Self> {
        Self::postgres_with(test, |_| {})
    }

    /// As above, with another configuration than the default one.
    pub(crate) fn postgres_with(test: &str, set: impl FnOnce(&mut Config)) -> Option<Self> {
        Some(Self::on(Engine::Postgres { url: testkit::fresh_database(test)? }, set))
    }

    /// Two nodes on one PostgreSQL database, each with a clock of its own; `None` when there is none.
    pub(crate) fn two_nodes(test: &str) -> Option<[Self; 2]> {
        Self::two_nodes_with(test, || |_| {})
    }

    /// As above, with another configuration than the default one.
    pub(crate) fn two_nodes_with<F: FnOnce(&mut Config)>(test: &str, set: impl Fn() -> F) -> Option<[Self; 2]> {
        let url = testkit::fresh_database(test)?;
        Some([(); 2].map(|()| Self::on(Engine::Postgres { url: url.clone() }, set())))
    }

    /// On a database that outlives the world.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::in_folder_with(folder, |_| {})
    }

    /// The same, with another configuration than the default one.
    pub(crate) fn in_folder_with(folder: &Path, set: impl FnOnce(&mut Config)) -> Self {
        Self::on(Engine::Sqlite { folder: folder.to_owned() }, set)
    }

    fn on(engine: Engine, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::defaults();
        config.http.listen.set_port(0);
        config.limits.requests_per_second = 0;
        set(&mut config);
        RUNTIME.block_on(Self::open(engine, config, true))
    }

    /// Without dev mode: the owner does not exist, the other account does.
    pub(crate) fn without_dev_mode(set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::defaults();
        config.http.listen.set_port(0);
        set(&mut config);
        RUNTIME.block_on(Self::open(Engine::SqliteMemory, config, false))
    }

    async fn open(engine: Engine, config: Config, is_dev: bool) -> Self {
        let begin = Timestamp::parse(BEGIN).expect("a date").plus_micros(678_901);
        let clock = Clock::frozen(begin);
        let dev = DevCredentials::fixed();
        let options = Options {
            engine,
            clock: clock.clone(),
            seal_keys: vec![SealKey::new([7; 32])],
            seal_file: None,
            operator: Some(seal::Secret::new(OPERATOR_SECRET)),
            dev: is_dev.then(|| dev.clone()),
            record: None,
        };
        let app = App::open(config, options).await.expect("the service opens");
        let tenant_token = "0123456789abcdef0123456789abcdef";
        let tenant = CreateAccount {
            sid: Some(Sid::from_number(0x7e4a47)),
            service: None,
            parent: None,
            friendly_name: "Tenant".to_owned(),
            auth_token: tenant_token.to_owned(),
            ring: app.sealer.ring(),
        };
        // A second node on the same database finds it there.
        let known = app.db.ask(&Caller::nobody(), FindAccount(Sid::from_number(0x7e4a47))).await.expect("an answer");
        let tenant = match known {
            Some(tenant) => tenant,
            None => app.db.perform(&Caller::nobody(), tenant).await.expect("a second account"),
        };
        let server = Server::start(app).await.expect("a free port");
        let address = server.address();
        let account = dev.account.to_string();
        Self {
            owner: Actor::new(address, Some((&account, &dev.auth_token))),
            key: Actor::new(address, Some((dev.key.as_str(), &dev.secret))),
            tenant: Actor::new(address, Some((tenant.sid.as_str(), tenant_token))),
            operator: Actor::new(address, Some((OPERATOR, OPERATOR_SECRET))),
            stranger: Actor::new(address, None),
            account,
            service: dev.service.to_string(),
            origin: format!("http://{address}"),
            clock,
            dev,
            server: Some(server),
        }
    }

    /// The service itself, for what cannot be seen from outside.
    pub(crate) fn app(&self) -> &Arc<App> {
        self.server.as_ref().expect("a running server").app()
    }

    /// An Access Token for an identity, as young as the world.
    pub(crate) fn token(&self, identity: &str) -> String {
        self.dev.mint(identity, self.clock.machine().seconds()).expect("a token")
    }

    /// The key that signs [`World::token`], and its secret.
    pub(crate) fn dev_key(&self) -> (String, String) {
        (self.dev.key.to_string(), self.dev.secret.clone())
    }

    /// The time in whole seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.clock.machine().seconds()
    }

    /// The same, with a `deployment_role_sid`, if there is one, and unlike every other token of that identity.
    pub(crate) fn token_with_role(&self, identity: &str, role: Option<Sid<Role>>) -> String {
        let grant = ChatGrant::new(self.service.clone());
        self.mint(identity, role.iter().fold(grant, |grant, role| grant.deployment_role(role.to_string())))
    }

    /// An Access Token for another chat service of the account.
    pub(crate) fn token_in(&self, service: &str, identity: &str) -> String {
        self.mint(identity, ChatGrant::new(service))
    }

    fn mint(&self, identity: &str, grant: ChatGrant) -> String {
        let secret = Secret::new(self.dev.secret.clone());
        let mint = Mint::new(self.account.clone(), self.dev.key.to_string(), &secret).identity(identity).grant(grant);
        let minted = mint.ttl(4 * 3600).sign(self.clock.machine().seconds(), Ids::from_seed(fresh_seed()).chance());
        minted.expect("a token").token
    }

    /// Where clients connect.
    pub(crate) fn uri(&self) -> String {
        format!("{}{}", self.origin.replace("http", "ws"), tertulia_server::http::REALTIME_PATH)
    }

    /// A connected client that does not come back by itself: what ends a connection is to be seen.
    pub(crate) async fn client(&self, identity: &str) -> Client {
        let options = tertulia_client::Options::once();
        Client::connect_with(&self.uri(), self.token(identity), options).await.expect("the door is open")
    }

    /// Plays an asynchronous story.
    pub(crate) fn play<T>(&self, story: impl Future<Output = T>) -> T {
        RUNTIME.block_on(story)
    }

    /// The server goes away, as it does on a signal.
    pub(crate) async fn stop(&mut self) {
        self.server.take().expect("a running server").stop().await;
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.machine().plus_micros(seconds * 1_000_000));
    }

    /// Somebody with other credentials of this server.
    pub(crate) fn with_credentials(&self, user: &str, secret: &str) -> Actor {
        self.stranger.with_credentials(user, secret)
    }

    /// A conversation of the default service.
    pub(crate) fn conversation(&self, form: &[(&str, &str)]) -> Value {
        self.owner.post("/v1/Conversations", form).is(201)
    }

    /// A second chat service.
    pub(crate) fn second_service(&self) -> String {
        sid(&self.owner.post("/v1/Services", &[("FriendlyName", "second")]).is(201))
    }

    /// Deletes a chat service without purging it, as a server does that is killed at the worst moment.
    pub(crate) fn mark_service_deleted(&self, service: &str) {
        let app = Arc::clone(self.server.as_ref().expect("a running server").app());
        let account = Sid::parse(&self.account).expect("a SID");
        let caller = Caller::system(AccountNumber(1), account);
        let delete = DeleteService(Sid::parse(service).expect("a SID"));
        RUNTIME.block_on(app.db.perform(&caller, delete)).expect("the service is deleted");
    }

    /// Waits until nothing of what was deleted is left to be purged.
    pub(crate) fn eventually_purged(&self) {
        let app = Arc::clone(self.app());
        RUNTIME.block_on(async {
            for _ in 0..500 {
                let backlog = app.db.ask(&Caller::nobody(), ListBacklog).await.expect("an answer");
                if !backlog.iter().any(|jobs| jobs.kind.starts_with("purge_")) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            panic!("something deleted was not purged within five seconds");
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            RUNTIME.block_on(server.stop());
        }
    }
}

/// Plays an asynchronous story without a world of its own.
pub(crate) fn play<T>(story: impl Future<Output = T>) -> T {
    RUNTIME.block_on(story)
}

/// The SID of a body.
pub(crate) fn sid(body: &Value) -> String {
    body["sid"].as_str().expect("a body with a sid").to_owned()
}

/// The path of an absolute URL of this server.
pub(crate) fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").expect("an absolute URL") + 3;
    &url[after_scheme + url[after_scheme..].find('/').expect("a path")..]
}
