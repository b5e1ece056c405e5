//! A process that is killed at any moment: what it acknowledged is there, once, and in order.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tertulia_store::{Engine, OpenError, Settings, Silence, Store};
use tokio::task::JoinSet;

use crate::support::{Append, MIGRATIONS, Messages, OpenRoom, seed};

const KILLS: usize = 60;
const WRITERS: i64 = 8;
/// Set for a process that is to be killed: its data folder.
const FOLDER: &str = "TERTULIA_TEST_CRASH_FOLDER";
/// And which one it is.
const LIFE: &str = "TERTULIA_TEST_CRASH_LIFE";

/// Not a test of its own: the body of the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let life = std::env::var(LIFE).expect("the parent says which life it is");
    let store = open(Path::new(&folder)).await.expect("the store opens");
    let _ = store.write(OpenRoom(1)).await;
    say("ready");
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, life) = (store.clone(), life.clone());
        writers.spawn(async move {
            for n in 0.. {
                let sid = format!("{life}-{writer}-{n}");
                let index = store.write(Append::new(1, sid.clone())).await.expect("a write");
                say(&format!("told {index} {sid}"));
            }
        });
    }
    writers.join_all().await;
}

/// One write for a whole line, so that no line is torn by the end.
fn say(line: &str) {
    let line = format!("\n{line}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
}

async fn open(folder: &Path) -> Result<Store, OpenError> {
    let engine = Engine::Sqlite { folder: folder.to_owned() };
    let mut settings = Settings::new(engine, &MIGRATIONS, Arc::new(Silence), 0);
    // Kills are to hit checkpoints, too.
    settings.checkpoint_pages = 16;
    Store::open(settings).await
}

struct Life {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Life {
    /// Starts this test binary again, as the process to be killed.
    fn begin(folder: &Path, life: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "crash::child", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, folder).env(LIFE, life.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("this binary starts again");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    fn wait_until_ready(&mut self) {
        let ready = self.lines.by_ref().map_while(Result::ok).any(|line| line == "ready");
        assert!(ready, "the process gets ready");
    }

    /// Kills it once it has acknowledged this many, and gives all that it acknowledged.
    fn kill_after(mut self, count: usize) -> Vec<(i64, String)> {
        let told = |line: String| {
            let (index, sid) = line.strip_prefix("told ")?.split_once(' ')?;
            Some((index.parse().ok()?, sid.to_owned()))
        };
        let mut told = self.lines.by_ref().map_while(Result::ok).filter_map(told);
        let mut acknowledged: Vec<_> = told.by_ref().take(count).collect();
        self.child.kill().expect("it can be killed");
        acknowledged.extend(told);
        self.child.wait().expect("it ends");
        acknowledged
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_acknowledged() {
    let mut chance = StdRng::seed_from_u64(seed("a_killed_process_loses_nothing_acknowledged"));
    let folder = testkit::temp_dir();
    let mut told = HashMap::new();
    for life in 0..KILLS {
        let mut running = Life::begin(folder.path(), life);
        // Some are killed while they open and recover.
        let early = chance.random_bool(0.1);
        if !early {
            running.wait_until_ready();
        }
        let count = if early { 0 } else { chance.random_range(0..200) };
        for (index, sid) in running.kill_after(count) {
            assert_eq!(told.insert(index, sid), None, "index {index} was given twice");
        }
    }
    let store = open(folder.path()).await.unwrap();
    let found = store.read(Messages { room: 1 }).await.unwrap();
    store.close().await;
    assert!(found.iter().map(|message| message.0).eq(0..found.len() as i64), "no index is missing");
    let mut sids: Vec<&String> = found.iter().map(|message| &message.1).collect();
    sids.sort();
    sids.dedup();
    assert_eq!(sids.len(), found.len(), "none is there twice");
    assert!(told.len() > KILLS * 20, "only {} were acknowledged", told.len());
    let found: HashMap<i64, String> = found.into_iter().collect();
    for (index, sid) in told {
        assert_eq!(found.get(&index), Some(&sid), "the acknowledged message {index}");
    }
}

#[tokio::test]
async fn another_process_keeps_us_out_until_it_ends() {
    let folder = testkit::temp_dir();
    let mut other = Life::begin(folder.path(), 0);
    other.wait_until_ready();
    let error = open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Taken { .. }), "{error}");
    other.kill_after(0);
    open(folder.path()).await.unwrap().close().await;
}
