//! Someone who listens to the news and remembers them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tertulia_store::{News, Publish, StreamId};
use tokio::sync::Notify;

/// Every publication, in the order they came.
#[derive(Default)]
pub(crate) struct Heard {
    publications: Mutex<Vec<Vec<News>>>,
    told: Notify,
}

impl Publish for Heard {
    fn publish(&self, news: Vec<News>) {
        assert!(!news.is_empty(), "nothing is never told");
        self.lock().push(news);
        self.told.notify_waiters();
    }
}

impl Heard {
    /// The size of each publication.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.lock().iter().map(Vec::len).collect()
    }

    /// All news, in the order they came.
    pub(crate) fn news(&self) -> Vec<News> {
        self.lock().concat()
    }

    /// Waits until this many were heard.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<News> {
        loop {
            let told = self.told.notified();
            let news = self.news();
            if news.len() >= count {
                return news;
            }
            told.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<News>>> {
        self.publications.lock().expect("nobody panics while listening")
    }
}

/// The news of each stream make one chain from 0 to its end, whatever order they came in.
pub(crate) fn assert_whole(news: &[News]) -> HashMap<StreamId, i64> {
    let mut sorted = news.to_vec();
    sorted.sort_by_key(|news| news.after);
    let mut held = HashMap::new();
    for news in sorted {
        let held = held.entry(news.stream).or_insert(0);
        assert_eq!(news.after, *held, "the chain of {:?} is whole", news.stream);
        assert!(news.upto > news.after, "news move forward");
        *held = news.upto;
    }
    held
}
