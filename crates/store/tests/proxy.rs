//! A proxy before PostgreSQL that can lose a connection right at a `COMMIT`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Where a `COMMIT` is when its connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lose {
    /// The server never hears of it, and sees the connection end.
    Before,
    /// It was handed on, and both ends of the connection are closed at once.
    OnTheWay,
    /// The server did it and answered, and the answer is lost.
    Answer,
    /// As `Answer`, but the connection stays until the test lets it go.
    AnswerLater,
    /// The server never hears of it and believes that the client is still there.
    Silence,
}

#[derive(Default)]
struct Orders {
    /// How many commits are still to be lost.
    losses: AtomicUsize,
    /// One was done, and its answer is held back.
    held_back: Notify,
    let_go: Notify,
}

/// A running proxy, which ends with the test's runtime.
pub(crate) struct Proxy {
    /// The address of the database through the proxy.
    pub(crate) url: String,
    orders: Arc<Orders>,
}

impl Proxy {
    /// A proxy before the database at `url` that loses commits once it is told to.
    pub(crate) async fn before(url: &str, lose: Lose) -> Self {
        let server = host_and_port(url);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("an address").to_string();
        let orders = Arc::new(Orders::default());
        let proxied = url.replace(&server, &own);
        let shared = Arc::clone(&orders);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, orders) = (server.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // A connection that ends is what this proxy is for.
                    let _ = serve(client, &server, lose, &orders).await;
                });
            }
        });
        Self { url: proxied, orders }
    }

    /// Loses the next commits.
    pub(crate) fn lose(&self, count: usize) {
        self.orders.losses.store(count, Ordering::SeqCst);
    }

    /// With `AnswerLater`: waits until a commit was done and its answer is held back.
    pub(crate) async fn wait_until_held_back(&self) {
        self.orders.held_back.notified().await;
    }

    /// With `AnswerLater`: ends that connection.
    pub(crate) fn let_go(&self) {
        self.orders.let_go.notify_one();
    }

    pub(crate) fn left_to_lose(&self) -> usize {
        self.orders.losses.load(Ordering::SeqCst)
    }
}

fn host_and_port(url: &str) -> String {
    let after_user = url.split_once('@').map_or(url, |(_, rest)| rest);
    after_user.split('/').next().expect("a host and a port").to_owned()
}

async fn serve(client: TcpStream, server: &str, lose: Lose, orders: &Orders) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let answers = Answers::default();
    let hand_back = hand_back(from_server, to_client, &answers);
    let hand_on = async {
        let commit = until_lost_commit(&mut from_client, &mut to_server, &orders.losses).await?;
        match lose {
            Lose::Before => {}
            Lose::OnTheWay => to_server.write_all(&commit).await?,
            Lose::Answer | Lose::AnswerLater => {
                answers.withheld.store(true, Ordering::SeqCst);
                to_server.write_all(&commit).await?;
                answers.came.notified().await;
                if lose == Lose::AnswerLater {
                    orders.held_back.notify_one();
                    orders.let_go.notified().await;
                }
            }
            Lose::Silence => std::future::pending().await,
        }
        Ok(())
    };
    // Whichever ends first ends the connection on both sides.
    tokio::select! {
        ended = hand_back => ended,
        ended = hand_on => ended,
    }
}

#[derive(Default)]
struct Answers {
    withheld: AtomicBool,
    came: Notify,
}

async fn hand_back(mut from_server: OwnedReadHalf, mut to_client: OwnedWriteHalf, answers: &Answers) -> io::Result<()> {
    let mut bytes = [0; 8192];
    loop {
        let count = from_server.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        if answers.withheld.load(Ordering::SeqCst) {
            answers.came.notify_one();
        } else {
            to_client.write_all(&bytes[..count]).await?;
        }
    }
}

/// Hands messages on until a `COMMIT` that is to be lost, and gives that one.
async fn until_lost_commit(
    from_client: &mut OwnedReadHalf,
    to_server: &mut OwnedWriteHalf,
    losses: &AtomicUsize,
) -> io::Result<Vec<u8>> {
    // The first message has no letter before its length.
    let first = message(from_client, 0).await?;
    to_server.write_all(&first).await?;
    loop {
        let next = message(from_client, 1).await?;
        let is_commit = next.starts_with(b"Q") && next.ends_with(b"COMMIT\0");
        let one_less = |left: usize| left.checked_sub(1);
        if is_commit && losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Ok(next);
        }
        to_server.write_all(&next).await?;
    }
}

/// One message of PostgreSQL's protocol: `letters` bytes, a length that counts itself, the rest.
async fn message(from: &mut OwnedReadHalf, letters: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; letters + 4];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes(message[letters..].try_into().expect("four bytes"));
    message.resize(letters + length as usize, 0);
    from.read_exact(&mut message[letters + 4..]).await?;
    Ok(message)
}
