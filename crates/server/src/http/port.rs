//! The listening port: connections that come in, each with a bound on how many and for how long.
//!
//! A connection that is no websocket must come to something: a request's head, its answer being read, or
//! the next request, each within `http.idle_seconds` or twice that. A websocket leaves this place with its upgrade
//! and keeps its own time (`realtime/socket.rs`).

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::peer::{Peer, is_trusted};
use super::tls::Tls;
use crate::App;

/// Header lines of a request; more are refused.
const HEADERS_MAX: usize = 100;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long the port rests when the machine has no more connections to give.
const REST: Duration = Duration::from_millis(100);
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Said to a connection too many, where it can be said without waiting.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Takes connections in until the server goes away, and waits for the last one.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, router: Router, tls: Option<Arc<Tls>>) {
    let mut draining = app.draining();
    let plain_max = app.config.http.plain_connections_max;
    let plain = Arc::new(Semaphore::new(plain_max));
    loop {
        let accepted = tokio::select! {
            _ = draining.wait_for(|draining| *draining) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::warn!(%cause, "a connection could not be taken in");
                sleep(REST).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&plain).try_acquire_owned() else {
            turn_away(stream, tls.is_some());
            continue;
        };
        let Some(peer) = enter(&app, address, tls.is_some()) else {
            turn_away(stream, tls.is_some());
            continue;
        };
        // Answers are small and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let (app, router, tls) = (Arc::clone(&app), router.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(&app, stream, router, peer).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                        connection(&app, stream, router, peer).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let all = u32::try_from(plain_max).unwrap_or(u32::MAX);
    // An error means that the semaphore is closed, which nobody does.
    drop(plain.acquire_many(all).await);
}

/// The address takes a place, unless it has too many. A proxy's connections are those of many.
fn enter(app: &App, address: SocketAddr, is_secure: bool) -> Option<Peer> {
    let address = address.ip().to_canonical();
    let place = match is_trusted(&app.config.http, address) {
        true => None,
        false => Some(app.take_place(address)?),
    };
    Some(Peer { address, is_secure, place })
}

fn turn_away(stream: TcpStream, is_secure: bool) {
    tracing::debug!("a connection too many");
    if !is_secure {
        // Best effort: nobody waits for it.
        let _ = stream.try_write(FULL);
    }
}

/// What a connection has come to, for whoever watches its time.
#[derive(Debug, Default)]
struct Progress {
    /// Requests whose heads have come.
    begun: AtomicU64,
    /// Requests that are answered.
    answered: AtomicU64,
}

impl Progress {
    fn look(&self) -> (u64, bool) {
        let answered = self.answered.load(Ordering::Acquire);
        let begun = self.begun.load(Ordering::Acquire);
        (begun, begun > answered)
    }
}

async fn connection<S>(app: &Arc<App>, stream: S, router: Router, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let progress = Arc::new(Progress::default());
    let seen = Arc::clone(&progress);
    let service = service_fn(move |mut request: Request<Incoming>| {
        seen.begun.fetch_add(1, Ordering::AcqRel);
        request.extensions_mut().insert(peer.clone());
        let (mut router, seen) = (router.clone(), Arc::clone(&seen));
        async move {
            let answer = router.call(request.map(Body::new)).await;
            seen.answered.fetch_add(1, Ordering::AcqRel);
            answer
        }
    });
    let serving = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let mut draining = app.draining();
    let idle = Duration::from_secs(app.config.http.idle_seconds.into());
    tokio::select! {
        // What goes wrong with one connection is its own business.
        _ = serving.as_mut() => return,
        () = stalled(&progress, idle) => return,
        _ = draining.wait_for(|draining| *draining) => {}
    }
    serving.as_mut().graceful_shutdown();
    // The server's own patience ends this if the other side does not.
    let _ = serving.await;
}

/// Ends when nothing has come of the connection for a whole turn, and nobody is at work for it.
fn stalled(progress: &Progress, turn: Duration) -> impl Future<Output = ()> + '_ {
    let mut before = progress.look();
    async move {
        loop {
            sleep(turn).await;
            let now = progress.look();
            if now == before && !now.1 {
                return;
            }
            before = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_stalled_when_nothing_comes_of_it_and_nobody_works_for_it() {
        let (progress, turn) = (Progress::default(), Duration::from_millis(1));
        progress.begun.store(1, Ordering::Release);
        let waiting = timeout(Duration::from_millis(30), stalled(&progress, turn)).await;
        assert!(waiting.is_err(), "a request that is being answered has its time");
        progress.answered.store(1, Ordering::Release);
        stalled(&progress, turn).await;
    }
}
