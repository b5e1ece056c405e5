//! What `tertulia dev` and `tertulia serve` both do: read the configuration, open the service, serve until a
//! signal comes, leave `run.json` beside the data meanwhile.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tertulia_server::platform::config::EngineName;
use tertulia_server::platform::{Config, Ids, ids};
use tertulia_server::{App, Options, Server, store};

use crate::facts::Facts;

/// Where a server listens, and what else it is told.
#[derive(Args)]
pub(crate) struct Listen {
    /// The port; 0 takes a free one. [default: 8765]
    #[arg(long)]
    port: Option<u16>,
    /// The address to listen on. Beyond loopback, the credentials of dev mode are random ones. [default: 127.0.0.1]
    #[arg(long)]
    host: Option<IpAddr>,
    /// A configuration file with the keys that differ from the defaults (`tertulia config`).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Listen {
    /// Defaults, file, environment, flags.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        Ok(self.over(Config::load(self.config.as_deref(), variables())?))
    }

    /// The same for dev mode, whose defaults differ in places.
    pub(crate) fn config_for_dev(&self) -> anyhow::Result<Config> {
        Ok(self.over(Config::load_for_dev(self.config.as_deref(), variables())?))
    }

    fn over(&self, mut config: Config) -> Config {
        config.http.listen.set_port(self.port.unwrap_or(config.http.listen.port()));
        if let Some(host) = self.host {
            config.http.listen = SocketAddr::new(host, config.http.listen.port());
        }
        config
    }
}

/// The environment; what is not UTF-8 is not ours.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The engine of the configuration, on a data folder.
pub(crate) fn engine(config: &Config, data: &Path) -> store::Engine {
    match config.store.engine {
        EngineName::Postgres => store::Engine::Postgres { url: config.store.url.clone() },
        EngineName::Sqlite => store::Engine::Sqlite { folder: data.to_owned() },
    }
}

/// Makes the data folder, for its owner alone, unless it is there.
pub(crate) fn make_folder(data: &Path) -> anyhow::Result<()> {
    let mut making = fs::DirBuilder::new();
    making.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
    making.create(data).with_context(|| format!("the data folder {} cannot be made", data.display()))
}

/// A credential for the command line, new at every start.
pub(crate) fn fresh_operator() -> String {
    Ids::from_seed(ids::fresh_seed()).secret()
}

/// Opens a service and serves until a signal comes; `announce` says that it is ready, and may refuse to go on.
/// `run.json` is taken away from the data folder at the end.
pub(crate) async fn serve(
    config: Config,
    options: Options,
    data: Option<&Path>,
    announce: impl AsyncFnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Asked for before anything is there to be ended, so that an early signal is not lost.
    let mut signals = Signals::new()?;
    let app = App::open(config, options).await?;
    let server = match Server::start(app.clone()).await {
        Ok(server) => server,
        Err(error) => {
            app.store.close().await;
            return Err(error.into());
        }
    };
    let announced = announce(&server).await;
    if announced.is_ok() {
        signals.next().await;
    }
    if let Some(data) = data {
        let _ = fs::remove_file(Facts::file(data));
    }
    server.stop().await;
    announced
}

/// The signals that end a server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
