//! Faults on purpose, to see that the checks find them.

/// A fault that is planted into the drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A subscription goes live without holding its snapshot against what the topic holds.
    NoComparison,
    /// A subscription goes live before its replay and `subscription_established` are sent.
    LiveFirst,
    /// News leave before their commit.
    NewsFirst,
    /// A core that comes back asks from where it stands, not from the position that it has reached.
    NoPositions,
}

impl Plant {
    /// Every plant.
    pub const ALL: [Self; 4] = [Self::NoComparison, Self::LiveFirst, Self::NewsFirst, Self::NoPositions];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoComparison => "no-comparison",
            Self::LiveFirst => "live-first",
            Self::NewsFirst => "news-first",
            Self::NoPositions => "no-positions",
        }
    }

    /// The plant with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plant| plant.name() == name)
    }
}
