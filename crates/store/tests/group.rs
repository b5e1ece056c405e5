//! The group commit of SQLite: what one member does, and what that means for the others.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tertulia_store::{Command, Failure, News, Publish, Sql};

use crate::disk::{Disk, vfs_name};
use crate::support::{Append, Bench, Gate, OpenRoom, Refused, append, assert_whole, command};

type Member<T> = BoxFuture<'static, Result<T, Refused>>;

/// Asks for all of these while the writer stands still, so that it finds them all waiting.
async fn in_one_group<T: Send + 'static>(
    bench: &Bench,
    ask: impl FnOnce(&Bench) -> Vec<Member<T>>,
) -> Vec<Result<T, Refused>> {
    let (gate, stop) = Gate::new();
    let store = bench.store.clone();
    let stopped = tokio::spawn(async move { store.write(stop).await });
    gate.wait_until_entered();
    let mut members = ask(bench);
    for member in &mut members {
        assert!(futures_util::poll!(member).is_pending());
    }
    assert_eq!(bench.store.writes_waiting(), members.len());
    gate.open();
    stopped.await.unwrap().unwrap();
    futures_util::future::join_all(members).await
}

fn write<C: Command<Refusal = Refused>>(bench: &Bench, command: C) -> Member<C::Out> {
    let store = bench.store.clone();
    Box::pin(async move { store.write(command).await })
}

fn refuses() -> impl Command<Out = i64, Refusal = Refused> {
    command(|tx| {
        Box::pin(async move {
            append(tx, 1, "refused").await?;
            Err(Refused::No)
        })
    })
}

fn panics() -> impl Command<Out = i64, Refusal = Refused> {
    command(|tx| {
        Box::pin(async move {
            append(tx, 1, "panicked").await?;
            panic!("on purpose")
        })
    })
}

/// It awaits something that is not its transaction.
fn strays() -> impl Command<Out = i64, Refusal = Refused> {
    command(|tx| {
        Box::pin(async move {
            let index = append(tx, 1, "strayed").await?;
            tokio::task::yield_now().await;
            Ok(index)
        })
    })
}

static FILL: Sql = Sql::new("INSERT INTO thing (id, bits) VALUES (1, $1)");

/// It writes more than fits, and tells the truth about it or does not.
fn fills_the_disk(truthful: bool) -> impl Command<Out = i64, Refusal = Refused> {
    command(move |tx| {
        Box::pin(async move {
            let filled = tx.execute(&FILL, &[vec![1; 4 << 20].into()]).await;
            if truthful { filled.map(|_| -1).map_err(Refused::from) } else { Ok(-1) }
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_members_end_is_not_the_others() {
    let bench = Bench::sqlite().await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    let answers = in_one_group(&bench, |bench| {
        vec![
            write(bench, Append::new(1, "a")),
            write(bench, refuses()),
            write(bench, Append::new(1, "b")),
            write(bench, panics()),
            write(bench, Append::new(1, "c")),
            write(bench, strays()),
            write(bench, Append::new(1, "d")),
        ]
    })
    .await;
    assert_eq!(indexes(&answers), [Some(0), None, Some(1), None, Some(2), None, Some(3)]);
    assert!(matches!(answers[1], Err(Refused::No)));
    for bug in [&answers[3], &answers[5]] {
        assert!(matches!(bug, Err(Refused::Failed(Failure::Bug(_)))), "{bug:?}");
    }
    let sids: Vec<String> = bench.messages(1).await.into_iter().map(|m| m.1).collect();
    assert_eq!(sids, ["a", "b", "c", "d"]);
    assert_eq!(bench.heard.sizes(), [4], "one commit, one publication, and nothing undone in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_its_group_and_nobody_else() {
    let bench = Bench::sqlite_with(|settings| settings.sqlite_knobs.pages_max = Some(64)).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    for truthful in [true, false] {
        let name = |n| format!("{truthful}-{n}");
        let before = bench.heard.sizes().len();
        let answers = in_one_group(&bench, |bench| {
            vec![
                write(bench, Append::new(1, name(1))),
                write(bench, fills_the_disk(truthful)),
                write(bench, Append::new(1, name(2))),
                write(bench, refuses()),
                write(bench, Append::new(1, name(3))),
            ]
        })
        .await;
        let first = if truthful { 0 } else { 3 };
        let kept = [Some(first), None, Some(first + 1), None, Some(first + 2)];
        assert_eq!(indexes(&answers), kept, "in the order they were asked for");
        assert!(matches!(answers[3], Err(Refused::No)), "{answers:?}");
        match &answers[1] {
            Err(Refused::Failed(Failure::Storage { .. })) if truthful => {}
            Err(Refused::Failed(Failure::Bug(_))) if !truthful => {}
            other => panic!("a full disk must not be acknowledged: {other:?}"),
        }
        assert_eq!(bench.heard.sizes()[before..], [1, 1, 1], "each alone, and told once");
    }
    assert_eq!(bench.messages(1).await.len(), 6);
    assert_whole(&bench.heard.news());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_has_a_bound() {
    let bench = Bench::sqlite_with(|settings| settings.group_commands_max = 2).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    let answers =
        in_one_group(&bench, |bench| (0..5).map(|n| write(bench, Append::new(1, n.to_string()))).collect()).await;
    assert_eq!(indexes(&answers), [Some(0), Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(bench.heard.sizes(), [2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_callers_are_gone_is_written_and_told() {
    let bench = Bench::sqlite().await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    let (gate, stop) = Gate::new();
    let store = bench.store.clone();
    let stopped = tokio::spawn(async move { store.write(stop).await });
    gate.wait_until_entered();
    for n in 0..3 {
        let mut asked = write(&bench, Append::new(1, n.to_string()));
        assert!(matches!(futures_util::poll!(&mut asked), Poll::Pending));
    }
    gate.open();
    stopped.await.unwrap().unwrap();
    assert_eq!(bench.heard.wait_for(3).await.len(), 3);
    assert_eq!(bench.messages(1).await.len(), 3);
}

/// Looks into the file, through a connection of its own, at the moment it hears something.
struct Suspicious {
    file: std::path::PathBuf,
    missed: Mutex<Vec<News>>,
    looked: Mutex<usize>,
}

impl Publish for Suspicious {
    fn publish(&self, news: Vec<News>) {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let file = Connection::open_with_flags(&self.file, flags).unwrap();
        let asked = "SELECT count(*) FROM message WHERE room = ?1 AND idx = ?2";
        for news in news {
            let key = (i64::try_from(news.stream.key).unwrap(), news.after);
            let found: i64 = file.query_row(asked, key, |row| row.get(0)).unwrap();
            *self.looked.lock().unwrap() += 1;
            if found != 1 {
                self.missed.lock().unwrap().push(news);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_told_is_there_already() {
    let folder = testkit::temp_dir();
    let suspicious =
        Arc::new(Suspicious { file: folder.join("tertulia.db"), missed: Mutex::default(), looked: Mutex::default() });
    let publish = Arc::clone(&suspicious);
    let bench = Bench::sqlite_in(folder, |settings| settings.publish = publish).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    let writes = (0..100).map(|n| write(&bench, Append::new(1, n.to_string())));
    for answer in futures_util::future::join_all(writes).await {
        answer.unwrap();
    }
    assert_eq!(*suspicious.looked.lock().unwrap(), 100);
    assert!(suspicious.missed.lock().unwrap().is_empty());
}

struct Clumsy;

impl Publish for Clumsy {
    fn publish(&self, _news: Vec<News>) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_listener_that_panics_costs_no_write() {
    let bench = Bench::sqlite_with(|settings| settings.publish = Arc::new(Clumsy)).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    for index in 0..3 {
        assert_eq!(bench.store.write(Append::new(1, index.to_string())).await.unwrap(), index);
    }
}

/// A disk of our own, and what the store said before it gave up.
struct Fragile {
    bench: Bench,
    disk: Arc<Disk>,
    last_words: Arc<Mutex<Vec<String>>>,
}

impl Fragile {
    async fn open() -> Self {
        let folder = testkit::temp_dir();
        let disk = Disk::insert(folder.path());
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&last_words);
        let bench = Bench::sqlite_in(folder, |settings| {
            settings.sqlite_knobs.vfs = Some(vfs_name());
            settings.on_fatal = Arc::new(move |why| said.lock().unwrap().push(why.to_owned()));
        })
        .await;
        bench.store.write(OpenRoom(1)).await.unwrap();
        bench.store.write(Append::new(1, "before")).await.unwrap();
        Self { bench, disk, last_words }
    }

    async fn append_three(&self, prefix: &str) -> Vec<Result<i64, Refused>> {
        in_one_group(&self.bench, |bench| {
            (0..3).map(|n| write(bench, Append::new(1, format!("{prefix}-{n}")))).collect()
        })
        .await
    }
}

/// Nobody can say what a failed fsync left behind, so nothing may be acknowledged after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_an_unknown_outcome_ends_everything() {
    let fragile = Fragile::open().await;
    fragile.disk.fail_syncs(true);
    for answer in fragile.append_three("lost").await {
        let failure = answer.unwrap_err().failure();
        assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    }
    fragile.disk.fail_syncs(false);
    let late = fragile.bench.store.write(Append::new(1, "late")).await;
    assert!(matches!(late, Err(Refused::Failed(Failure::Closed))), "{late:?}");
    assert_eq!(fragile.last_words.lock().unwrap().len(), 1);
    assert_eq!(fragile.bench.heard.news().len(), 1, "nothing unknown is told");
    fragile.bench.store.close().await;
}

/// Running out of room while committing leaves nothing behind, so it is an ordinary failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_at_the_commit_is_survived() {
    let fragile = Fragile::open().await;
    fragile.disk.be_full(true);
    for answer in fragile.append_three("full").await {
        let failure = answer.unwrap_err().failure();
        assert!(matches!(failure, Failure::Storage { .. }), "{failure}");
    }
    assert_eq!(fragile.bench.messages(1).await.len(), 1, "reading goes on");
    fragile.disk.be_full(false);
    assert_eq!(indexes(&fragile.append_three("room").await), [Some(1), Some(2), Some(3)]);
    assert!(fragile.last_words.lock().unwrap().is_empty());
    assert_whole(&fragile.bench.heard.news());
    fragile.bench.store.close().await;
}

/// Under a steady load, with readers in between, the log is restarted again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_does_not_grow_without_end() {
    let bench = Bench::sqlite_with(|settings| settings.checkpoint_pages = 8).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = bench.store.clone();
        writers.spawn(async move {
            for n in 0..150 {
                store.write(Append::new(1, format!("{writer}-{n}"))).await.unwrap();
                store.read(crate::support::Messages { room: 1 }).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let log = bench.folder.as_ref().unwrap().join("tertulia.db-wal");
    let length = std::fs::metadata(log).unwrap().len();
    let pages = length / 4096;
    assert!(pages < 4 * 16 * 8, "the log has {pages} pages");
}

fn indexes(answers: &[Result<i64, Refused>]) -> Vec<Option<i64>> {
    answers.iter().map(|answer| answer.as_ref().ok().copied()).collect()
}
