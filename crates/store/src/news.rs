//! News: what a command announces, and who hears of it after the commit.
//!
//! The store carries news and understands none of it: a stream is a number, the events are bytes.
//! Nothing is ever published that was not committed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

/// What has one counter. Opaque to the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StreamId {
    /// Which kind of stream, in the words of whoever announces.
    pub kind: u8,
    /// Which one of its kind.
    pub key: u128,
}

/// A stream went from one position to another, and these events say how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// The stream that moved.
    pub stream: StreamId,
    /// The position before the command.
    pub after: i64,
    /// The position after the command, which may be more than one further.
    pub upto: i64,
    /// The events, encoded once.
    pub events: Bytes,
}

/// Where news go once they are committed.
pub trait Publish: Send + Sync + 'static {
    /// Takes the news of one commit, in the order they were announced.
    ///
    /// It is called before the callers are answered, on the thread that writes, so it **must not
    /// block**: hand over to a bounded queue, and when that is full drop the news and mark their
    /// streams as uncertain. On SQLite the calls come in commit order. On PostgreSQL two
    /// connections commit side by side, so calls may overlap and may come in another order than
    /// the commits: whoever listens compares `after` with what it holds.
    fn publish(&self, news: Vec<News>);
}

/// Hands the news over; a panic there must not take the writer along.
pub(crate) fn tell(publish: &dyn Publish, news: Vec<News>) {
    if news.is_empty() {
        return;
    }
    let told = catch_unwind(AssertUnwindSafe(|| publish.publish(news)));
    if told.is_err() {
        tracing::error!("whoever publishes the news panicked; the writes stand");
    }
}

/// Nobody listens: for tools and tests that only read and write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Publish for Silence {
    fn publish(&self, _news: Vec<News>) {}
}
