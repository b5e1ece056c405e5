//! SQLite: one thread that writes, a few that read, one that checkpoints.
//!
//! Nothing here runs on the async runtime but the waiting for answers. Read next: `writer.rs`.

mod checkpoint;
mod connection;
mod folder;
mod migrate;
mod queue;
mod reader;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Mutex;

pub(crate) use self::connection::Lite;

use self::checkpoint::{Checkpointer, Nudge};
use self::folder::Folder;
use self::queue::Queue;
use self::reader::{Reader, Reading};
use self::writer::{Writer, Writing};
use crate::deadline::Deadline;
use crate::failure::OpenError;
use crate::settings::{Engine, Settings};
use crate::task::{Answer, gone, job};
use crate::tx::Command;

/// An open SQLite database.
pub(crate) struct Sqlite {
    writes: Arc<Queue<Writing>>,
    reads: Arc<Queue<Reading>>,
    nudge: Arc<Nudge>,
    read_time_max: Duration,
    /// The writer ends the other threads, and is the last to let the file go.
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Sqlite {
    pub(crate) async fn open(settings: Settings) -> Result<Self, OpenError> {
        let opening = tokio::task::spawn_blocking(move || Self::open_now(&settings));
        match opening.await {
            Ok(opened) => opened,
            Err(error) => Err(OpenError::database("starting", error)),
        }
    }

    fn open_now(settings: &Settings) -> Result<Self, OpenError> {
        let folder = match &settings.engine {
            Engine::Sqlite { folder } => Folder::take(folder)?,
            _ => Folder::temporary()?,
        };
        let file = folder.file();
        let mut lite = connection::open_writing(&file, settings)?;
        migrate::bring_up_to_date(&mut lite, settings)?;

        let sqlite = Self {
            writes: Arc::new(Queue::new(settings.writes_waiting_max)),
            reads: Arc::new(Queue::new(settings.reads_waiting_max)),
            nudge: Arc::default(),
            read_time_max: settings.read_time_max,
            writer: Mutex::default(),
        };
        let mut others = Vec::new();
        for _ in 0..settings.read_threads.max(1) {
            let lite = connection::open_reading(&file, settings)?;
            let reader = Reader::new(lite, Arc::clone(&sqlite.reads))?;
            others.push(start("store-read", move || reader.run())?);
        }
        let lite_for_checkpoints = connection::open_writing(&file, settings)?;
        let checkpointer = Checkpointer::new(lite_for_checkpoints, settings, &sqlite.nudge);
        others.push(start("store-checkpoint", move || checkpointer.run())?);
        let writer = Writer::new(lite, settings, &sqlite.writes, &sqlite.nudge)?;
        let (reads, nudge) = (Arc::clone(&sqlite.reads), Arc::clone(&sqlite.nudge));
        let writing = start("store-write", move || {
            writer.run(|| end(&reads, &nudge, others));
            drop(folder);
        });
        *sqlite.writer.blocking_lock() = Some(writing?);
        Ok(sqlite)
    }

    pub(crate) async fn write<C: Command>(&self, command: C) -> Answer<C> {
        let (job, answer) = job(command);
        self.writes.push(job)?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) async fn read<Q: Command>(&self, question: Q) -> Answer<Q> {
        let (job, answer) = job(question);
        let deadline = Deadline::after(self.read_time_max);
        self.reads.push(Reading { job, deadline })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) async fn close(&self) {
        let mut writer = self.writer.lock().await;
        self.take_nothing_new();
        if let Some(thread) = writer.take() {
            // It fails only when the runtime itself is being torn down.
            let _ = tokio::task::spawn_blocking(|| join(thread)).await;
        }
    }

    pub(crate) fn writes_waiting(&self) -> usize {
        self.writes.len()
    }

    fn take_nothing_new(&self) {
        self.reads.close();
        self.writes.close();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Nobody waits for the threads here; the writer drains its queue and lets the file go.
        self.take_nothing_new();
        self.nudge.close();
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|error| OpenError::database("starting a thread", error))
}

/// Ends the threads other than the writer. The writer's connection must be the last to close: it
/// alone can copy the log into the file and remove it.
fn end(reads: &Queue<Reading>, nudge: &Nudge, threads: Vec<JoinHandle<()>>) {
    reads.close();
    nudge.close();
    threads.into_iter().for_each(join);
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}
