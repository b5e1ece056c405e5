//! The locks SQLite takes on a file and on its shared memory, between connections of one process.

/// SQLite's levels of a lock on the database file.
const SHARED: i32 = 1;
const RESERVED: i32 = 2;
const PENDING: i32 = 3;
const EXCLUSIVE: i32 = 4;

/// Who holds which level; a connection that is not in the list holds none.
#[derive(Default)]
pub(super) struct FileLocks {
    held: Vec<(u64, i32)>,
}

impl FileLocks {
    /// Raises a connection's level, if the others let it.
    pub(super) fn raise(&mut self, who: u64, wanted: i32) -> bool {
        let others = |level| self.others(who).any(|held| held >= level);
        let may = match wanted {
            SHARED => !others(PENDING),
            RESERVED => !others(RESERVED),
            _ => self.others(who).next().is_none(),
        };
        let level = match may {
            true => wanted,
            // Whoever waits to be alone lets nobody new in.
            false if wanted == EXCLUSIVE && !others(RESERVED) => PENDING,
            false => return false,
        };
        self.set(who, level);
        may
    }

    pub(super) fn set(&mut self, who: u64, level: i32) {
        self.held.retain(|(holder, _)| *holder != who);
        if level > 0 {
            self.held.push((who, level));
        }
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.held.iter().any(|(_, level)| *level >= RESERVED)
    }

    fn others(&self, who: u64) -> impl Iterator<Item = i32> {
        self.held.iter().filter(move |(holder, _)| *holder != who).map(|(_, level)| *level)
    }
}

/// The eight locks on the shared memory: which of them each connection holds.
#[derive(Default)]
pub(super) struct ShmLocks {
    held: Vec<ShmLock>,
}

struct ShmLock {
    who: u64,
    slot: i32,
    exclusive: bool,
}

impl ShmLocks {
    /// Takes all the slots, or none.
    pub(super) fn take(&mut self, who: u64, slots: std::ops::Range<i32>, exclusive: bool) -> bool {
        let in_the_way =
            |held: &ShmLock| held.who != who && slots.contains(&held.slot) && (exclusive || held.exclusive);
        if self.held.iter().any(in_the_way) {
            return false;
        }
        self.release(who, slots.clone());
        self.held.extend(slots.map(|slot| ShmLock { who, slot, exclusive }));
        true
    }

    pub(super) fn release(&mut self, who: u64, slots: std::ops::Range<i32>) {
        self.held.retain(|held| held.who != who || !slots.contains(&held.slot));
    }
}
