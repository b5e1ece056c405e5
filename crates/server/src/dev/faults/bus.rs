//! A bus whose news can be delayed, dropped, doubled and reordered, and that can end the process.

use std::sync::{Arc, Mutex, PoisonError};

use tertulia_store::{News, Publish};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{Act, Faults};

/// The bus of dev mode: the real one, with the faults in front.
pub struct FaultyBus {
    bus: Arc<dyn Publish>,
    faults: Arc<Faults>,
    /// News that come behind the next ones.
    late: Arc<Mutex<Vec<News>>>,
    /// The store's writer has no runtime of its own.
    runtime: Handle,
}

impl FaultyBus {
    /// In front of a bus. Needs a runtime.
    pub fn new(bus: Arc<dyn Publish>, faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { bus, faults, late: Arc::default(), runtime: Handle::current() })
    }

    fn later(&self, time: std::time::Duration, news: News) {
        let bus = Arc::clone(&self.bus);
        self.runtime.spawn(async move {
            sleep(time).await;
            bus.publish(vec![news]);
        });
    }

    /// Keeps news until others have come by, or for a time.
    fn behind_others(&self, time: std::time::Duration, news: News) {
        take(&self.late).push(news);
        let (bus, late) = (Arc::clone(&self.bus), Arc::clone(&self.late));
        self.runtime.spawn(async move {
            sleep(time).await;
            let rest = std::mem::take(&mut *take(&late));
            if !rest.is_empty() {
                bus.publish(rest);
            }
        });
    }
}

fn take(late: &Mutex<Vec<News>>) -> std::sync::MutexGuard<'_, Vec<News>> {
    late.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Publish for FaultyBus {
    fn publish(&self, news: Vec<News>) {
        if news.iter().any(|news| self.faults.stops(news.stream)) {
            tracing::error!("ending between a commit and its publication: a fault that was asked for");
            std::process::abort();
        }
        let mut on_time = Vec::with_capacity(news.len());
        for piece in news {
            match self.faults.act(piece.stream) {
                None => on_time.push(piece),
                Some(Act::Drop) => {}
                Some(Act::Duplicate) => on_time.extend([piece.clone(), piece]),
                Some(Act::Delay(time)) => self.later(time, piece),
                Some(Act::Reorder(time)) => self.behind_others(time, piece),
            }
        }
        if !on_time.is_empty() {
            on_time.append(&mut take(&self.late));
            self.bus.publish(on_time);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tertulia_store::StreamId;
    use tokio::sync::watch;

    use super::super::{Fault, Kind};
    use super::*;
    use crate::platform::AccountNumber;

    struct Heard(watch::Sender<Vec<i64>>);

    impl Publish for Heard {
        fn publish(&self, news: Vec<News>) {
            self.0.send_modify(|heard| heard.extend(news.iter().map(|news| news.upto)));
        }
    }

    fn piece(upto: i64) -> News {
        News { stream: StreamId { kind: 1, key: 7 }, after: upto - 1, upto, events: Bytes::new() }
    }

    /// What is heard of three pieces of news, the first of which is acted upon.
    async fn heard(act: Act, count: usize) -> Vec<i64> {
        let (sender, mut receiver) = watch::channel(Vec::new());
        let faults = Arc::new(Faults::default());
        let bus = FaultyBus::new(Arc::new(Heard(sender)), Arc::clone(&faults));
        let kind = Kind::Event { act, stream: Some(1) };
        let fault = Fault { kind, account: AccountNumber(1), identity: None, times_left: Some(1), skip: 0, hits: 0 };
        faults.add(fault).unwrap();
        bus.publish(vec![piece(1)]);
        bus.publish(vec![piece(2), piece(3)]);
        receiver.wait_for(|heard| heard.len() == count).await.unwrap().clone()
    }

    #[tokio::test]
    async fn news_are_dropped_doubled_delayed_and_reordered() {
        let moment = Duration::from_millis(5);
        let long = Duration::from_secs(100);
        assert_eq!(heard(Act::Drop, 2).await, [2, 3]);
        assert_eq!(heard(Act::Duplicate, 4).await, [1, 1, 2, 3]);
        assert_eq!(heard(Act::Delay(moment), 3).await, [2, 3, 1]);
        assert_eq!(heard(Act::Reorder(long), 3).await, [2, 3, 1]);
    }

    #[tokio::test]
    async fn news_that_nothing_follows_are_not_kept_for_ever() {
        let (sender, mut receiver) = watch::channel(Vec::new());
        let bus = FaultyBus::new(Arc::new(Heard(sender)), Arc::default());
        bus.behind_others(Duration::from_millis(5), piece(1));
        receiver.wait_for(|heard| heard == &[1]).await.unwrap();
    }
}
