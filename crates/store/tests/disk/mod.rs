//! A disk in memory that can lose its power, run full, or fail to make writes durable.
//!
//! What was written and not yet synced may be lost at a power cut, any part of it, in any order,
//! sector by sector: that is what disks promise. `vfs.rs` lets SQLite use it.

mod locks;
mod vfs;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

pub(crate) use self::vfs::vfs_name;

use self::locks::{FileLocks, ShmLocks};

/// What one write reaches the platter in.
const SECTOR: usize = 512;

/// Every disk there is, by the folder whose files are on it.
static DISKS: Mutex<Option<HashMap<PathBuf, Arc<Disk>>>> = Mutex::new(None);

/// One disk.
#[derive(Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, File>,
    /// Writes and syncs so far.
    operations: u64,
    faults: Faults,
    /// The power is gone: nothing works any more.
    dead: bool,
}

#[derive(Clone, Copy, Default)]
struct Faults {
    power_ends_at: Option<u64>,
    sync_fails: bool,
    is_full: bool,
}

#[derive(Default)]
struct File {
    /// What reading gives.
    content: Vec<u8>,
    /// What is surely on the platter.
    durable: Vec<u8>,
    /// What came after, in order.
    unsynced: Vec<Change>,
    locks: FileLocks,
    shm: Vec<Box<[u8]>>,
    shm_locks: ShmLocks,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// Why the disk does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NoPower,
    Full,
    NotSynced,
}

impl Disk {
    /// An empty disk for the files of this folder.
    pub(crate) fn insert(folder: &Path) -> Arc<Self> {
        Self::insert_disk(folder, Self::default())
    }

    fn insert_disk(folder: &Path, disk: Self) -> Arc<Self> {
        let disk = Arc::new(disk);
        let mut disks = DISKS.lock().expect("the disks");
        disks.get_or_insert_default().insert(folder.to_owned(), Arc::clone(&disk));
        disk
    }

    fn of(file: &str) -> Option<Arc<Self>> {
        let folder = Path::new(file).parent()?;
        DISKS.lock().expect("the disks").as_ref()?.get(folder).cloned()
    }

    /// The power ends when this many more writes and syncs were done.
    pub(crate) fn cut_power_after(&self, operations: u64) {
        let mut state = self.lock();
        state.faults.power_ends_at = Some(state.operations + operations);
    }

    pub(crate) fn cut_power_now(&self) {
        self.lock().dead = true;
    }

    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.lock().faults.sync_fails = fail;
    }

    pub(crate) fn be_full(&self, full: bool) {
        self.lock().faults.is_full = full;
    }

    /// The disk as it is found after the power came back, for the files of another folder.
    pub(crate) fn after_power_cut(&self, folder: &Path, seed: u64) -> Arc<Self> {
        let mut chance = StdRng::seed_from_u64(seed);
        let state = self.lock();
        assert!(state.dead, "the power must be cut first");
        let mut found = State::default();
        let mut names: Vec<&String> = state.files.keys().collect();
        // In an order that the seed alone decides.
        names.sort();
        for name in names {
            let content = state.files[name].after_power_cut(&mut chance);
            let name = folder.join(Path::new(name).file_name().expect("a file has a name"));
            let file = File { durable: content.clone(), content, ..File::default() };
            found.files.insert(name.to_str().expect("a plain path").to_owned(), file);
        }
        Self::insert_disk(folder, Self { state: Mutex::new(found) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the disk's state")
    }
}

impl State {
    /// Counts a write or a sync, and says whether it may take place.
    fn operate(&mut self) -> Result<(), Fault> {
        self.operations += 1;
        if self.faults.power_ends_at.is_some_and(|end| self.operations > end) {
            self.dead = true;
        }
        self.check_power()
    }

    fn check_power(&self) -> Result<(), Fault> {
        if self.dead { Err(Fault::NoPower) } else { Ok(()) }
    }

    fn file(&mut self, name: &str) -> &mut File {
        self.files.get_mut(name).expect("an open file is there")
    }

    fn write(&mut self, name: &str, at: usize, bytes: &[u8]) -> Result<(), Fault> {
        self.operate()?;
        let full = self.faults.is_full;
        let file = self.file(name);
        if full && at + bytes.len() > file.content.len() {
            return Err(Fault::Full);
        }
        let change = Change::Write { at, bytes: bytes.to_owned() };
        change.apply(&mut file.content);
        file.unsynced.push(change);
        Ok(())
    }

    fn truncate(&mut self, name: &str, length: usize) -> Result<(), Fault> {
        self.operate()?;
        let file = self.file(name);
        let change = Change::Truncate(length);
        change.apply(&mut file.content);
        file.unsynced.push(change);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> Result<(), Fault> {
        self.operate()?;
        if self.faults.sync_fails {
            return Err(Fault::NotSynced);
        }
        let file = self.file(name);
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }
}

impl File {
    fn after_power_cut(&self, chance: &mut StdRng) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in &self.unsynced {
            // Lost, kept, or kept in part.
            match chance.random_range(0..3) {
                0 => {}
                1 => change.apply(&mut content),
                _ => change.apply_in_part(&mut content, chance),
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(content, *at, bytes),
            Self::Truncate(length) => content.resize(*length, 0),
        }
    }

    fn apply_in_part(&self, content: &mut Vec<u8>, chance: &mut StdRng) {
        let Self::Write { at, bytes } = self else {
            return self.apply(content);
        };
        for (n, sector) in bytes.chunks(SECTOR).enumerate() {
            if chance.random_bool(0.5) {
                put(content, at + n * SECTOR, sector);
            }
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}
