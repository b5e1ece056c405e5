//! Power cuts: what was acknowledged is on the disk, because a commit waits for it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tertulia_store::{Engine, Settings, Silence, Store, Synchronous};
use tokio::task::JoinSet;

use crate::disk::{Disk, vfs_name};
use crate::support::{Append, MIGRATIONS, Messages, OpenRoom, seed};

/// A schedule goes on beyond these until enough was acknowledged: on a busy machine the power ends most
/// rounds before they have said much.
const POWER_CUTS: u64 = 40;
const POWER_CUTS_MAX: u64 = 20 * POWER_CUTS;
/// So many messages, or a run in which nothing was lost shows nothing.
const ACKNOWLEDGED_MIN: usize = 500;
const WRITERS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_acknowledged() {
    let seed = seed("a_power_cut_loses_nothing_acknowledged");
    let lost = cut_power_again_and_again(Synchronous::Full, seed).await;
    assert_eq!(lost, Vec::<String>::new());
}

/// The same schedule without waiting for the disk must lose something: otherwise the test above
/// would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_waiting_for_the_disk_a_power_cut_does_lose() {
    let seed = seed("without_waiting_for_the_disk_a_power_cut_does_lose");
    let lost = cut_power_again_and_again(Synchronous::Off, seed).await;
    assert!(!lost.is_empty(), "acknowledged messages were expected to be lost");
}

/// What was acknowledged and is not there after some cut. The first loss ends the schedule.
async fn cut_power_again_and_again(synchronous: Synchronous, seed: u64) -> Vec<String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut told: Vec<(i64, String)> = Vec::new();
    let mut acknowledged = 0;
    let mut folder = testkit::temp_dir();
    let mut disk = Disk::insert(folder.path());
    set_up(folder.path()).await;
    for cut in 0..POWER_CUTS_MAX {
        if cut >= POWER_CUTS && acknowledged > ACKNOWLEDGED_MIN {
            return Vec::new();
        }
        disk.cut_power_after(chance.random_range(0..600));
        let appended = append_until_the_power_ends(folder.path(), synchronous, cut).await;
        acknowledged += appended.len();
        told.extend(appended);
        disk.cut_power_now();
        let next = testkit::temp_dir();
        disk = disk.after_power_cut(next.path(), chance.random());
        folder = next;
        let lost = missing(folder.path(), &mut told).await;
        if !lost.is_empty() {
            return lost;
        }
    }
    panic!("only {acknowledged} messages were acknowledged in {POWER_CUTS_MAX} power cuts");
}

async fn set_up(folder: &Path) {
    let store = open(folder, Synchronous::Full).await.expect("an empty disk opens");
    store.write(OpenRoom(1)).await.expect("a room opens");
    store.close().await;
}

async fn open(folder: &Path, synchronous: Synchronous) -> Result<Store, String> {
    let engine = Engine::Sqlite { folder: folder.to_owned() };
    let mut settings = Settings::new(engine, &MIGRATIONS, Arc::new(Silence), 0);
    settings.sqlite_knobs.vfs = Some(vfs_name());
    settings.sqlite_knobs.synchronous = synchronous;
    // Checkpoints are to be cut, too.
    settings.checkpoint_pages = 20;
    settings.on_fatal = Arc::new(|_| ());
    Store::open(settings).await.map_err(|error| error.to_string())
}

/// The messages that were acknowledged.
async fn append_until_the_power_ends(folder: &Path, synchronous: Synchronous, cut: u64) -> Vec<(i64, String)> {
    let Ok(store) = open(folder, synchronous).await else {
        return Vec::new();
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, told) = (store.clone(), Arc::clone(&told));
        writers.spawn(async move {
            for n in 0.. {
                let sid = format!("{cut}-{writer}-{n}");
                match store.write(Append::new(1, sid.clone())).await {
                    Ok(index) => told.lock().expect("told").push((index, sid)),
                    Err(_) => return,
                }
            }
        });
    }
    writers.join_all().await;
    store.close().await;
    std::mem::take(&mut *told.lock().expect("told"))
}

/// What is not there, or not where it was said to be. What is there and was never acknowledged is
/// fine, and counts as told from now on.
async fn missing(folder: &Path, told: &mut Vec<(i64, String)>) -> Vec<String> {
    let store = match open(folder, Synchronous::Full).await {
        Ok(store) => store,
        Err(error) => return vec![format!("the whole database: {error}")],
    };
    let found = store.read(Messages { room: 1 }).await;
    store.close().await;
    let found = match found {
        Ok(found) => found,
        Err(error) => return vec![format!("the messages: {error:?}")],
    };
    let indexes = found.iter().map(|(index, _)| *index);
    if !indexes.eq(0..found.len() as i64) {
        return vec!["an index".into()];
    }
    let missing = |(index, sid): &&(i64, String)| {
        usize::try_from(*index).ok().and_then(|at| found.get(at)).is_none_or(|found| found.1 != *sid)
    };
    let lost: Vec<String> = told.iter().filter(missing).map(|(_, sid)| sid.clone()).collect();
    *told = found;
    lost
}
