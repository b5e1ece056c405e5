//! A service on its port, from the bind to the last connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::App;
use crate::http::tls::{self, Tls, TlsError};
use crate::http::{port, router};

/// How long connections may take to end, once the server goes away.
const DRAIN_PATIENCE: Duration = Duration::from_millis(1400);
/// How long the store may take after that.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// Connections that the kernel keeps until they are taken in.
const BACKLOG: u32 = 4096;

/// A service that listens.
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    serving: JoinHandle<()>,
    is_secure: bool,
}

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("port {port} of {ip} is in use; stop what listens there, or choose another port with --port (0 takes a free one)", port = .0.port(), ip = .0.ip())]
    PortInUse(SocketAddr),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system refuses for another reason.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The operating system's words.
        cause: std::io::Error,
    },
}

impl Server {
    /// Binds the port of the configuration and serves.
    pub async fn start(app: Arc<App>) -> Result<Self, StartError> {
        let address = app.config.http.listen;
        let tls = Tls::open(&app.config.tls)?;
        let is_secure = tls.is_some();
        let listener = listen(address, app.config.http.send_buffer_bytes).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AddrInUse => StartError::PortInUse(address),
            _ => StartError::Bind { address, cause },
        })?;
        let address = listener.local_addr().map_err(|cause| StartError::Bind { address, cause })?;
        let router = router(Arc::clone(&app));
        if let Some(tls) = &tls {
            tokio::spawn(tls::keep_fresh(Arc::clone(&app), Arc::clone(tls)));
        }
        let serving = tokio::spawn(port::serve(listener, Arc::clone(&app), router, tls));
        Ok(Self { app, address, serving, is_secure })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The service.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Goes away: closes connections plainly, waits for what is being answered, closes the store. Ends
    /// within two seconds, whatever the connections do; a store that is busy for longer is left, which
    /// loses nothing that was acknowledged.
    pub async fn stop(self) {
        self.app.drain();
        let mut serving = self.serving;
        let connections = async {
            let _ = (&mut serving).await;
            self.app.connections_ended().await;
        };
        let connections = async { tokio::join!(self.app.give_lease_back(), connections) };
        if timeout(DRAIN_PATIENCE, connections).await.is_err() {
            serving.abort();
        }
        let _ = timeout(CLOSE_PATIENCE, self.app.db.store.close()).await;
    }
}

/// Connections inherit the send buffer. Left to itself, the kernel takes megabytes for a reader that was
/// quick once and then stalls.
fn listen(address: SocketAddr, send_buffer_bytes: u32) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As every server does, so that a restart finds its port free.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    if send_buffer_bytes > 0 {
        socket.set_send_buffer_size(send_buffer_bytes)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
