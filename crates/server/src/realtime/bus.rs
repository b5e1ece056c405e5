//! How news come from the store to the hub of this node.
//!
//! The store hands news over after each commit and must not wait, so the way is a bounded queue. When it
//! overflows, the news are dropped and their streams marked as uncertain: those read the store, the same
//! path as a lost message. Nothing else may be assumed of a bus than that it may lose, repeat and reorder.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tertulia_store::{News, Publish, StreamId};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::ends;
use super::hub::Need;
use super::news::kind;
use super::objects::ReplayStream;
use crate::App;
use crate::http::refuse;
use crate::platform::{Caller, Surface};

/// Batches of news (one a commit) that may wait for the hub.
pub const WAITING_MAX: usize = 4096;

/// The store's end.
pub struct LocalBus {
    queue: mpsc::Sender<Vec<News>>,
    uncertain: Arc<Mutex<HashSet<StreamId>>>,
}

/// The hub's end.
pub struct LocalFeed {
    queue: mpsc::Receiver<Vec<News>>,
    uncertain: Arc<Mutex<HashSet<StreamId>>>,
}

/// Both ends of the bus of a server that is alone.
pub fn local() -> (Arc<LocalBus>, LocalFeed) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let uncertain = Arc::new(Mutex::default());
    let bus = LocalBus { queue: sender, uncertain: Arc::clone(&uncertain) };
    (Arc::new(bus), LocalFeed { queue: receiver, uncertain })
}

impl Publish for LocalBus {
    fn publish(&self, news: Vec<News>) {
        if let Err(mpsc::error::TrySendError::Full(news)) = self.queue.try_send(news) {
            let mut uncertain = self.uncertain.lock().unwrap_or_else(PoisonError::into_inner);
            uncertain.extend(news.iter().map(|news| news.stream));
            drop(uncertain);
            // The feed may have emptied the queue meanwhile, and looked for doubts before this one. If the
            // queue is full again, it will look again.
            let _ = self.queue.try_send(Vec::new());
        }
    }
}

/// Feeds the hub until the store is closed.
pub async fn feed(app: Arc<App>, mut feed: LocalFeed) {
    while let Some(batch) = feed.queue.recv().await {
        for news in &batch {
            if news.stream.kind == kind::ENDED {
                ends::heard(&app, &news.events);
                continue;
            }
            let need = app.hub().news(news);
            follow(&app, need);
        }
        let uncertain = std::mem::take(&mut *feed.uncertain.lock().unwrap_or_else(PoisonError::into_inner));
        for stream in uncertain {
            if stream.kind == kind::ENDED {
                app.ends.look();
                continue;
            }
            let need = app.hub().doubt(stream);
            follow(&app, need);
        }
    }
}

/// Compares every watched stream with the store, slowly and beside everything else: what nobody told is
/// found in the end.
pub async fn sweep(app: Arc<App>) {
    // As often as `realtime.sweep_seconds` says.
    let every = Duration::from_secs(app.config.realtime.sweep_seconds.into());
    let mut turn = tokio::time::interval(every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draining = app.draining();
    loop {
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            _ = turn.tick() => {}
        }
        let streams = app.hub().streams();
        for stream in streams {
            read(&app, stream, true).await;
        }
    }
}

/// Does what the hub needs done, without making it wait.
pub fn follow(app: &Arc<App>, need: Option<Need>) {
    let Some(need) = need else { return };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        if !need.patience().is_zero() {
            tokio::time::sleep(need.patience()).await;
        }
        read(&app, need.stream(), need.in_any_case()).await;
    });
}

/// Reads what happened in a stream after what its topic holds.
async fn read(app: &Arc<App>, stream: StreamId, in_any_case: bool) {
    let begun = app.hub().begin_read(stream, in_any_case);
    let Some((account, after)) = begun else { return };
    let caller = Caller::system(account, Caller::nobody().account_sid);
    match app.db.ask(&caller, ReplayStream { stream, after }).await {
        Ok(replayed) => {
            let need = app.hub().fill(stream, replayed);
            follow(app, need);
        }
        Err(error) => {
            refuse(&error, Surface::Sdk, "");
            let need = app.hub().give_up(stream);
            follow(app, need);
        }
    }
}
