//! PostgreSQL: two pools of connections, and a task and a transaction for every write.
//!
//! Read next: `write.rs` for retries, `outcome.rs` for lost commits.

mod migrate;
mod outcome;
mod parameter;
mod pool;
mod read;
mod session;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use self::session::Session;

use self::pool::Pool;
use crate::failure::{Failure, OpenError};
use crate::news::Publish;
use crate::settings::{Engine, Settings};
use crate::task::{Answer, gone, panicked};
use crate::tx::Command;

/// An open PostgreSQL database.
pub(crate) struct Postgres {
    inner: Arc<Inner>,
}

/// What the tasks share.
struct Inner {
    writing: Pool,
    reading: Pool,
    /// A permit for each write that waits or runs, and likewise for reads.
    writes: Gate,
    reads: Gate,
    publish: Arc<dyn Publish>,
    write_patience: Duration,
    read_time_max: Duration,
}

impl Postgres {
    pub(crate) async fn open(settings: Settings) -> Result<Self, OpenError> {
        let Engine::Postgres { url } = &settings.engine else {
            return Err(OpenError::database("choosing the engine", "it is not PostgreSQL"));
        };
        let count = &settings.statements;
        let writing = Pool::new(url, settings.write_connections, settings.write_patience, count)?;
        let reading = Pool::new(url, settings.read_connections, settings.read_time_max, count)?;
        migrate::bring_up_to_date(&writing, &settings).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                writing,
                reading,
                writes: Gate::new(settings.writes_waiting_max),
                reads: Gate::new(settings.reads_waiting_max),
                publish: settings.publish,
                write_patience: settings.write_patience,
                read_time_max: settings.read_time_max,
            }),
        })
    }

    pub(crate) async fn write<C: Command>(&self, command: C) -> Answer<C> {
        let permit = self.inner.writes.enter()?;
        let inner = Arc::clone(&self.inner);
        // A task of its own: a caller that goes away must not cut a write between its commit and
        // its publication.
        answer::<C>(tokio::spawn(async move {
            let answer = inner.run_write(&command).await;
            drop(permit);
            answer
        }))
        .await
    }

    pub(crate) async fn read<Q: Command>(&self, question: Q) -> Answer<Q> {
        let permit = self.inner.reads.enter()?;
        let inner = Arc::clone(&self.inner);
        // Likewise: a caller that goes away must not cost a connection.
        answer::<Q>(tokio::spawn(async move {
            let answer = inner.run_read(&question).await;
            drop(permit);
            answer
        }))
        .await
    }

    pub(crate) async fn close(&self) {
        self.inner.reads.close().await;
        self.inner.writes.close().await;
        self.inner.reading.close();
        self.inner.writing.close();
    }

    pub(crate) fn writes_waiting(&self) -> usize {
        self.inner.writes.inside()
    }
}

async fn answer<C: Command>(task: tokio::task::JoinHandle<Answer<C>>) -> Answer<C> {
    match task.await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => Err(panicked(error.into_panic().as_ref()).into()),
        Err(_) => Err(gone()),
    }
}

/// Lets a bounded number in, and can be closed behind the last.
struct Gate {
    permits: Arc<Semaphore>,
    most: u32,
    closing: AtomicBool,
}

impl Gate {
    fn new(most: usize) -> Self {
        let most = u32::try_from(most.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { permits: Arc::new(Semaphore::new(most as usize)), most, closing: AtomicBool::new(false) }
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(Failure::Closed);
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| match self.closing.load(Ordering::Relaxed) {
            true => Failure::Closed,
            false => Failure::Busy,
        })
    }

    /// Lets nobody in any more, and waits until the last has left.
    async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        // An error means that it was closed before: then all have left.
        let _ = self.permits.acquire_many(self.most).await;
        self.permits.close();
    }

    fn inside(&self) -> usize {
        self.most as usize - self.permits.available_permits()
    }
}
