//! What the hub needs done, and how soon.

use std::time::Duration;

use tertulia_store::StreamId;

/// How long a hole may close by itself: commits of two connections may be published in either order.
const HOLE_PATIENCE: Duration = Duration::from_millis(20);
/// How long other nodes may take to learn that somebody here watches a stream, and until a store that did
/// not answer is asked again.
const LONG_PATIENCE: Duration = Duration::from_secs(1);

/// How soon news of a stream come once somebody watches it: what the bus of this node is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    /// From the moment the topic is made: everything is published in this process.
    #[default]
    AtOnce,
    /// Other nodes learn of it with a delay, and what they publish meanwhile does not come: a new topic
    /// is compared with the store once more a little later.
    Spreads,
}

/// What the hub needs done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Read what happened in the stream, soon: what is missing may be on its way.
    ReadSoon(StreamId),
    /// The same, at once.
    ReadNow(StreamId),
    /// Read it in any case, a while later: the topic is new and interest in it spreads, or the store did not
    /// answer.
    ReadLater(StreamId),
}

impl Need {
    /// Of which stream.
    pub const fn stream(self) -> StreamId {
        match self {
            Self::ReadSoon(stream) | Self::ReadNow(stream) | Self::ReadLater(stream) => stream,
        }
    }

    /// How long to wait first.
    pub const fn patience(self) -> Duration {
        match self {
            Self::ReadSoon(_) => HOLE_PATIENCE,
            Self::ReadNow(_) => Duration::ZERO,
            Self::ReadLater(_) => LONG_PATIENCE,
        }
    }

    /// Whether the store is read even if the topic seems whole by then.
    pub const fn in_any_case(self) -> bool {
        matches!(self, Self::ReadLater(_))
    }
}
