//! Commands for the tests' small schema.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use tertulia_store::{Command, Failure, News, Row, Sql, StreamId, Tx};

/// Why a test's command is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The command said no by itself.
    No,
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Refused {
    /// The failure it must be.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::No => panic!("a failure was expected, not a refusal"),
        }
    }
}

pub(crate) type Does<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send + 'a>>;

/// A command that is one closure: `command(|tx| Box::pin(async move { … }))`.
pub(crate) struct Do<T, F> {
    run: F,
    gives: PhantomData<fn() -> T>,
}

pub(crate) fn command<T, F>(run: F) -> Do<T, F>
where
    F: for<'a, 't> Fn(&'a mut Tx<'t>) -> Does<'a, T> + Send + Sync + 'static,
{
    let gives = PhantomData;
    Do { run, gives }
}

impl<T, F> Command for Do<T, F>
where
    T: Send + 'static,
    F: for<'a, 't> Fn(&'a mut Tx<'t>) -> Does<'a, T> + Send + Sync + 'static,
{
    type Out = T;
    type Refusal = Refused;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<T, Refused> {
        (self.run)(tx).await
    }
}

static OPEN_ROOM: Sql = Sql::new("INSERT INTO room (id, last_index) VALUES ($1, -1)");
static NEXT_INDEX: Sql = Sql::new("UPDATE room SET last_index = last_index + 1 WHERE id = $1 RETURNING last_index");
static PUT_MESSAGE: Sql = Sql::new("INSERT INTO message (room, idx, sid, body) VALUES ($1, $2, $3, $4)");
static LIST: Sql = Sql::new("SELECT idx, sid FROM message WHERE room = $1 ORDER BY idx");

/// Opens an empty room.
pub(crate) struct OpenRoom(pub(crate) i64);

impl Command for OpenRoom {
    type Out = ();
    type Refusal = Refused;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), Refused> {
        tx.execute(&OPEN_ROOM, &[self.0.into()]).await?;
        Ok(())
    }
}

/// Appends a message and gives its index. The room is a stream: index `n` is told as `n → n + 1`.
#[derive(Clone)]
pub(crate) struct Append {
    pub(crate) room: i64,
    pub(crate) sid: String,
}

impl Append {
    pub(crate) fn new(room: i64, sid: impl Into<String>) -> Self {
        Self { room, sid: sid.into() }
    }
}

impl Command for Append {
    type Out = i64;
    type Refusal = Refused;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, Refused> {
        append(tx, self.room, &self.sid).await
    }
}

pub(crate) async fn append(tx: &mut Tx<'_>, room: i64, sid: &str) -> Result<i64, Refused> {
    let index: i64 = tx.query_one(&NEXT_INDEX, &[room.into()]).await?.get(0)?;
    let message = [room.into(), index.into(), sid.into(), "hello".into()];
    tx.execute(&PUT_MESSAGE, &message).await?;
    tx.announce(news(room, index));
    Ok(index)
}

fn news(room: i64, index: i64) -> News {
    News {
        stream: StreamId { kind: 1, key: u128::try_from(room).expect("rooms are positive") },
        after: index,
        upto: index + 1,
        events: Bytes::from_static(b"added"),
    }
}

/// Index and SID of every message of a room.
pub(crate) struct Messages {
    pub(crate) room: i64,
}

impl Command for Messages {
    type Out = Vec<(i64, String)>;
    type Refusal = Refused;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<(i64, String)>, Refused> {
        messages(tx, self.room).await
    }
}

pub(crate) async fn messages(tx: &mut Tx<'_>, room: i64) -> Result<Vec<(i64, String)>, Refused> {
    let rows = tx.query(&LIST, &[room.into()]).await?;
    let read = |row: &Row| Ok((row.get(0)?, row.get(1)?));
    rows.iter().map(read).collect()
}

/// A command that stands still in the middle of its transaction, holding the thread it runs on.
pub(crate) struct Gate {
    entered: Receiver<()>,
    open: Sender<()>,
}

impl Gate {
    /// The gate, and the command that stops there.
    pub(crate) fn new() -> (Self, impl Command<Out = (), Refusal = Refused>) {
        let (enter, entered) = channel();
        let (open, opened) = channel();
        let opened = Mutex::new(opened);
        let stop = command(move |_| {
            let _ = enter.send(());
            // An error means that the test has dropped the gate, which opens it, too.
            let _ = opened.lock().expect("one at a time").recv();
            Box::pin(async { Ok(()) })
        });
        (Self { entered, open }, stop)
    }

    /// Waits until the command stands at the gate.
    pub(crate) fn wait_until_entered(&self) {
        self.entered.recv().expect("the command comes to its gate");
    }

    pub(crate) fn open(self) {
        self.open.send(()).expect("the command waits at its gate");
    }
}
