//! Opening a websocket, encrypted where its address says so.
//!
//! It must never fall back to what is not encrypted.

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::options::Options;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Whom to believe at a `wss://` address.
#[derive(Clone)]
pub(crate) struct Trust {
    #[cfg(feature = "tls")]
    config: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Trust {
    #[cfg(feature = "tls")]
    pub(crate) fn of(options: &Options) -> Self {
        Self { config: options.tls.clone() }
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn of(_: &Options) -> Self {
        Self {}
    }

    /// Opens a websocket, with small packets sent at once.
    #[cfg(feature = "tls")]
    pub(crate) async fn connect(self, uri: String, config: WebSocketConfig) -> Result<Socket, Error> {
        use tokio_tungstenite::{Connector, connect_async_tls_with_config};
        let connector = self.config.filter(|_| uri.starts_with("wss:")).map(Connector::Rustls);
        let (socket, _) = connect_async_tls_with_config(uri, Some(config), true, connector).await?;
        Ok(socket)
    }

    /// Opens a websocket, with small packets sent at once.
    #[cfg(not(feature = "tls"))]
    pub(crate) async fn connect(self, uri: String, config: WebSocketConfig) -> Result<Socket, Error> {
        let (socket, _) = tokio_tungstenite::connect_async_with_config(uri, Some(config), true).await?;
        Ok(socket)
    }
}
