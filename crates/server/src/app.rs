//! The running service: what every request and every connection shares.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use tertulia_store::seal::{KeyId, SealError, SealKey, Sealer, Secret};
use tertulia_store::{Engine, Publish, Settings, Store};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::accounts::commands::Install;
use crate::audit::{self, Uses};
use crate::dev::DevCredentials;
use crate::dev::faults::{Faults, FaultyBus};
use crate::http::peer::bundled;
use crate::http::throttle::Throttle;
use crate::login::Sources;
use crate::migrations::MIGRATIONS;
use crate::platform::places::{Place, Places};
use crate::platform::{AccountNumber, Caller, Clock, Config, Db, Error, Outcome};
use crate::realtime::ends::{self, Ends};
use crate::realtime::gate::Gate;
use crate::realtime::hub::{Hub, Post, Whose};
use crate::realtime::mailbox::{Mailbox, Mailroom};
use crate::realtime::presence::{self, Presence};
use crate::realtime::record::Recorder;
use crate::realtime::{SharedHub, bus};
use crate::workflows;

/// When a client that found its account full comes back, at the earliest.
const CONNECTION_RETRY_SECONDS: i64 = 5;

/// The running service.
pub struct App {
    /// The store, the clock and the limits.
    pub db: Db,
    /// Every setting.
    pub config: Config,
    /// Seals and opens secret columns.
    pub sealer: Sealer,
    /// The file that the keys that seal were read from, to be read again when they change.
    pub seal_file: Option<PathBuf>,
    /// What whoever runs the server proves that with.
    pub operator: Option<Secret>,
    /// What clients' caches are bound to.
    pub installation: String,
    /// The credentials of dev mode, in dev mode.
    pub dev: Option<DevCredentials>,
    /// What the developer wants to go wrong, in dev mode.
    pub faults: Option<Arc<Faults>>,
    /// Writes frames down, when asked to.
    pub recorder: Option<Recorder>,
    /// Who comes in by a login that exists already.
    pub login: Sources,
    /// Who is connected to this node.
    pub presence: Arc<Presence>,
    /// Notified when a durable job was enqueued.
    pub jobs: Arc<Notify>,
    /// What keys were used for since it was last written down.
    pub uses: Uses,
    /// Refusals that are to be noted.
    pub refused: mpsc::Sender<audit::Refused>,
    /// Which revocations were acted upon.
    pub ends: Ends,
    /// When websockets are let in.
    pub gate: Gate,
    /// What waits for slow readers.
    pub mailroom: Arc<Mailroom>,
    hub: SharedHub,
    /// How often REST is called, and how often with wrong credentials.
    pub throttle: Throttle,
    places: Arc<Places<IpAddr>>,
    account_places: Arc<Places<AccountNumber>>,
    connections: Arc<Semaphore>,
    connection_numbers: AtomicU64,
    draining: watch::Sender<bool>,
    /// Why this server cannot go on, once that is so.
    given_up: watch::Sender<Option<String>>,
}

/// How to open a service, beside its configuration.
pub struct Options {
    /// The database.
    pub engine: Engine,
    /// The clock.
    pub clock: Clock,
    /// Keys that seal secret columns; the first one seals.
    pub seal_keys: Vec<SealKey>,
    /// The file they were read from.
    pub seal_file: Option<PathBuf>,
    /// The credential of whoever runs the server; without it, operators are let in nowhere.
    pub operator: Option<Secret>,
    /// The credentials of dev mode, in dev mode.
    pub dev: Option<DevCredentials>,
    /// Where frames are written down.
    pub record: Option<PathBuf>,
}

/// Why a service cannot be opened; each is one clear sentence.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] tertulia_store::OpenError),
    /// The keys do not open what is stored.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key that would seal was left in the database by dev mode.
    #[error(
        "the seal key {0} stands in the database itself, where dev mode has left it, so it protects nothing; put a new \
         key above it, start again, and run `tertulia seal rotate`"
    )]
    DevSealKey(KeyId),
    /// The configuration names what is not there.
    #[error(transparent)]
    Config(#[from] crate::platform::config::ConfigError),
    /// The recording cannot be begun.
    #[error("frames cannot be recorded in {folder}: {cause}")]
    Record {
        /// The folder.
        folder: String,
        /// The operating system's words.
        cause: std::io::Error,
    },
    /// The first changes failed.
    #[error("the data cannot be used: {0}")]
    Data(#[from] crate::platform::Error),
}

impl App {
    /// Opens the store, brings it up to date, and starts what runs beside requests.
    pub async fn open(config: Config, options: Options) -> Result<Arc<Self>, OpenError> {
        let now = options.clock.machine();
        let recorder = match options.record {
            None => None,
            Some(folder) => {
                let begun = Recorder::begin(&folder, now);
                let wrap = |cause| OpenError::Record { folder: folder.display().to_string(), cause };
                Some(begun.map_err(wrap)?)
            }
        };
        let (bus, feed) = bus::local();
        let (refused, to_note) = mpsc::channel(audit::commands::WAITING_MAX);
        let faults = options.dev.as_ref().map(|_| Arc::new(Faults::default()));
        let bus: Arc<dyn Publish> = match &faults {
            Some(faults) => FaultyBus::new(bus, Arc::clone(faults)),
            None => bus,
        };
        let is_dev = options.dev.is_some();
        let store = Store::open(Settings::new(options.engine, MIGRATIONS, bus, now.micros())).await?;
        let mut app = Self {
            db: Db { store, clock: options.clock.clone(), limits: Arc::new(config.limits.clone()) },
            presence: Presence::new(options.clock.clone()),
            jobs: Arc::default(),
            uses: Uses::default(),
            refused,
            ends: Ends::default(),
            login: Sources::new(&config.login, is_dev),
            sealer: Sealer::new(&options.seal_keys),
            seal_file: options.seal_file,
            operator: options.operator,
            installation: String::new(),
            dev: options.dev,
            faults,
            recorder,
            gate: Gate::of(&config.http),
            mailroom: Mailroom::new(config.realtime.mailboxes_bytes_max),
            hub: SharedHub::default(),
            throttle: Throttle::new(&config, is_dev),
            places: Arc::default(),
            account_places: Arc::default(),
            connections: Arc::new(Semaphore::new(config.http.connections_max)),
            connection_numbers: AtomicU64::new(0),
            draining: watch::Sender::new(false),
            given_up: watch::Sender::new(None),
            config,
        };
        if let Err(cause) = app.begin(options.seal_keys).await {
            app.db.store.close().await;
            return Err(cause);
        }
        if let Err(cause) = app.check_login().await {
            app.db.store.close().await;
            return Err(cause);
        }
        let app = Arc::new(app);
        tokio::spawn(bus::feed(Arc::clone(&app), feed));
        tokio::spawn(bus::sweep(Arc::clone(&app)));
        tokio::spawn(Self::tick(Arc::clone(&app)));
        tokio::spawn(workflows::runner(&app).run(app.draining()));
        tokio::spawn(presence::run(Arc::clone(&app)));
        tokio::spawn(ends::run(Arc::clone(&app)));
        tokio::spawn(audit::commands::run(Arc::clone(&app), to_note));
        tokio::spawn(Self::watch_seals(Arc::clone(&app)));
        Ok(app)
    }

    /// What must be in the database before anything else is asked of it.
    async fn begin(&mut self, seal_keys: Vec<SealKey>) -> Result<(), OpenError> {
        self.installation = self.db.perform(&Caller::nobody(), Install).await?;
        match self.dev.clone() {
            Some(dev) => crate::dev::seed(self, dev, seal_keys).await,
            None => {
                self.check_seal_keys().await?;
                self.refuse_dev_seal_key().await
            }
        }
    }

    /// Ends this server from within: it says why, is not ready any more, and whoever runs it ends the process.
    pub fn give_up(&self, why: String) {
        tracing::error!("this server cannot go on: {why}");
        self.given_up.send_replace(Some(why));
    }

    /// Whether this server cannot go on.
    pub fn has_given_up(&self) -> bool {
        self.given_up.borrow().is_some()
    }

    /// Waits until this server cannot go on; gives why.
    pub async fn until_given_up(&self) -> String {
        let mut given_up = self.given_up.subscribe();
        // The sender lives as long as this.
        given_up.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// The hub, for a few lines without an await.
    pub fn hub(&self) -> MutexGuard<'_, Hub<Arc<Mailbox>>> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection, unless the server is full or going away.
    pub fn enter_connection(&self) -> Option<OwnedSemaphorePermit> {
        if self.is_draining() {
            return None;
        }
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// A place for one more connection of an address, unless it has too many. In dev mode there is no bound:
    /// everybody is this machine.
    pub fn take_place(&self, address: IpAddr) -> Option<Arc<Place<IpAddr>>> {
        let max = if self.dev.is_some() { 0 } else { self.config.http.connections_per_address_max };
        self.places.take(bundled(address), max).map(Arc::new)
    }

    /// A place for one more websocket of an account, unless it has too many.
    pub fn take_account_place(&self, account: AccountNumber) -> Outcome<Place<AccountNumber>> {
        let max = self.db.limits.connections_per_account_max;
        let full = || {
            let text = format!("The account has {max} connections (limits.connections_per_account_max)");
            Error::busy(text, CONNECTION_RETRY_SECONDS)
        };
        self.account_places.take(account, max).ok_or_else(full)
    }

    /// Waits until the last connection has let go.
    pub async fn connections_ended(&self) {
        let all = u32::try_from(self.config.http.connections_max).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed, which nobody does.
        drop(self.connections.acquire_many(all).await);
    }

    /// A number for a connection, for logs and recordings.
    pub fn next_connection(&self) -> u64 {
        self.connection_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Becomes true when the server begins to go away.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Whether the server is going away.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Begins to go away: connections are closed, new ones refused.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Wakes every connection when the clock was moved; by itself it comes to what is due.
    async fn tick(app: Arc<Self>) {
        let mut changes = app.db.clock.changes();
        let mut draining = app.draining();
        loop {
            tokio::select! {
                _ = draining.wait_for(|draining| *draining) => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            app.hub().post(Whose::Everybody, &Post::Tick);
        }
    }
}
