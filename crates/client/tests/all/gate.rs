//! A gate between clients and a server, which can cut, shut out, and turn away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::house::uri_at;

pub(crate) struct Gate {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
    cuts: watch::Sender<u64>,
    listening: JoinHandle<()>,
}

/// Lets everybody through.
const OPEN: u8 = 0;
/// Drops whoever comes.
const SHUT: u8 = 1;
/// Answers with 503.
const BUSY: u8 = 2;

impl Gate {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(AtomicU8::new(OPEN));
        let (cuts, heard) = watch::channel(0);
        let modes = Arc::clone(&mode);
        let listening = tokio::spawn(async move {
            while let Ok((inside, _)) = listener.accept().await {
                match modes.load(Ordering::SeqCst) {
                    OPEN => drop(tokio::spawn(pass(inside, server, heard.clone()))),
                    BUSY => drop(tokio::spawn(turn_away(inside))),
                    _ => {}
                }
            }
        });
        Self { address, mode, cuts, listening }
    }

    pub(crate) fn uri(&self) -> String {
        uri_at(self.address)
    }

    /// Cuts everybody off who is connected.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    pub(crate) fn shut(&self) {
        self.mode.store(SHUT, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn turn_away(&self) {
        self.mode.store(BUSY, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.mode.store(OPEN, Ordering::SeqCst);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass(mut outside: TcpStream, server: SocketAddr, mut cuts: watch::Receiver<u64>) {
    cuts.mark_unchanged();
    let Ok(mut inside) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut outside, &mut inside) => {}
        _ = cuts.changed() => {}
    }
}

async fn turn_away(mut outside: TcpStream) {
    let mut request = [0; 1024];
    // Whoever went away meanwhile hears nothing.
    let _ = outside.read(&mut request).await;
    let _ = outside.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
}
