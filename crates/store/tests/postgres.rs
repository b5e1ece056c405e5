//! What can happen between us and PostgreSQL: lost commits, lost connections, others in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tertulia_store::{Command, Engine, Failure, Sql, Store, Tx};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::proxy::{Lose, Proxy};
use crate::support::{Append, Bench, Heard, OpenRoom, Refused, append, assert_whole, command};

/// A bench whose store speaks through a proxy.
async fn behind_a_proxy(test: &str, lose: Lose, patience: Duration) -> Option<(Bench, Proxy)> {
    let url = testkit::fresh_database(test)?;
    // The server shall not help by ending what stands still.
    let url = format!("{url}?options=-c%20idle_in_transaction_session_timeout%3D0");
    let proxy = Proxy::before(&url, lose).await;
    let engine = Engine::Postgres { url: proxy.url.clone() };
    let bench = Bench::open(engine, None, |settings| settings.write_patience = patience).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    Some((bench, proxy))
}

/// Loses a commit now and then; every message is there once, told once, and acknowledged.
async fn lost_commits_are_found_out(test: &str, lose: Lose) {
    let Some((bench, proxy)) = behind_a_proxy(test, lose, Duration::from_secs(20)).await else {
        return;
    };
    for n in 0..12 {
        proxy.lose(n % 3);
        let index = bench.store.write(Append::new(1, n.to_string())).await.unwrap();
        assert_eq!(index, n as i64);
        let expected_left = if lose == Lose::Before { 0 } else { (n % 3).saturating_sub(1) };
        assert!(proxy.left_to_lose() <= expected_left, "the proxy lost what it was told to");
    }
    let sids: Vec<String> = bench.messages(1).await.into_iter().map(|m| m.1).collect();
    assert_eq!(sids, (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(bench.heard.news().len(), 12, "each was told once");
    assert_whole(&bench.heard.news());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_lost_before_the_server_runs_again() {
    lost_commits_are_found_out("a_commit_lost_before_the_server_runs_again", Lose::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_lost_on_the_way_happens_once() {
    lost_commits_are_found_out("a_commit_lost_on_the_way_happens_once", Lose::OnTheWay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_happens_once() {
    lost_commits_are_found_out("a_commit_whose_answer_is_lost_happens_once", Lose::Answer).await;
}

/// The server never notices that the connection is gone: its session is ended, so that the
/// transaction is decided, and the caller hears that nothing was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_vanishes_is_answered_in_bounded_time() {
    let test = "a_commit_that_vanishes_is_answered_in_bounded_time";
    let patience = Duration::from_millis(1500);
    let Some((bench, proxy)) = behind_a_proxy(test, Lose::Silence, patience).await else {
        return;
    };
    proxy.lose(1);
    let failure = bench.store.write(Append::new(1, "vanished")).await.unwrap_err().failure();
    assert!(matches!(failure, Failure::Storage { .. }), "{failure}");
    assert_eq!(bench.store.write(Append::new(1, "next")).await.unwrap(), 0);
    assert_eq!(bench.messages(1).await, [(0, "next".into())]);
}

/// A server that crashed may have given the transaction's number to another one, so that it says
/// "committed" of whichever: then nothing is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_of_the_server_nothing_is_guessed() {
    static CRASH: Sql = Sql::new(
        "DO $$ BEGIN
            EXECUTE format('COPY (SELECT 1) TO PROGRAM ''kill -9 %s''', pg_backend_pid());
        END $$",
    );
    let test = "after_a_crash_of_the_server_nothing_is_guessed";
    let Some(server) = testkit::or_skip(test, testkit::Server::start()) else {
        return;
    };
    let url = testkit::database(server.url());
    let proxy = Proxy::before(&url, Lose::AnswerLater).await;
    let open = |url: &str| Bench::open(Engine::Postgres { url: url.to_owned() }, None, |_| ());
    let (bench, direct) = (open(&proxy.url).await, open(&url).await);
    bench.store.write(OpenRoom(1)).await.unwrap();
    proxy.lose(1);
    let store = bench.store.clone();
    let write = tokio::spawn(async move { store.write(Append::new(1, "perhaps")).await });
    proxy.wait_until_held_back().await;
    let crash = Hindered { sql: &CRASH, times: 1, runs: Arc::default() };
    // It is run again once the server is back, and so shows that it is.
    assert_eq!(direct.store.write(crash).await.unwrap(), 1);
    proxy.let_go();
    let failure = write.await.unwrap().unwrap_err().failure();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert_eq!(bench.messages(1).await.len(), 2);
    assert_eq!(bench.heard.news().len(), 0, "what is not sure is not told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_lose_many_commits() {
    let test = "many_writers_lose_many_commits";
    let patience = Duration::from_secs(20);
    let Some((bench, proxy)) = behind_a_proxy(test, Lose::OnTheWay, patience).await else {
        return;
    };
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = bench.store.clone();
        writers.spawn(async move {
            for n in 0..10 {
                store.write(Append::new(1, format!("{writer}-{n}"))).await.unwrap();
            }
        });
    }
    while !writers.is_empty() {
        proxy.lose(1);
        let news = bench.heard.news().len();
        tokio::select! {
            joined = writers.join_next() => joined.unwrap().unwrap(),
            _ = bench.heard.wait_for(news + 5) => {}
        }
    }
    assert!(bench.messages(1).await.iter().map(|m| m.0).eq(0..80));
    assert_eq!(bench.heard.news().len(), 80);
    assert_whole(&bench.heard.news());
}

/// Fails in its own way the first times it runs, and appends afterwards.
struct Hindered {
    sql: &'static Sql,
    times: usize,
    runs: Arc<AtomicUsize>,
}

impl Command for Hindered {
    type Out = i64;
    type Refusal = Refused;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, Refused> {
        let index = append(tx, 1, "hindered").await?;
        if self.runs.fetch_add(1, Ordering::SeqCst) < self.times {
            tx.query(self.sql, &[]).await?;
        }
        Ok(index)
    }
}

async fn is_run_again_after(test: &str, sql: &'static Sql) {
    let Some(bench) = Bench::postgres(test).await else {
        return;
    };
    bench.store.write(OpenRoom(1)).await.unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let hindered = Hindered { sql, times: 3, runs: Arc::clone(&runs) };
    assert_eq!(bench.store.write(hindered).await.unwrap(), 0);
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    assert_eq!(bench.messages(1).await.len(), 1);
    assert_eq!(bench.heard.news().len(), 1);
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    static CUT: Sql = Sql::new("SELECT pg_terminate_backend(pg_backend_pid())");
    is_run_again_after("a_lost_connection_is_replaced", &CUT).await;
}

#[tokio::test]
async fn a_serialization_failure_is_tried_again() {
    static FAIL: Sql = Sql::new("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$");
    is_run_again_after("a_serialization_failure_is_tried_again", &FAIL).await;
}

/// Locks two rooms, one after the other.
struct LockBoth {
    rooms: [i64; 2],
    met: Arc<Barrier>,
    runs: AtomicUsize,
}

impl Command for LockBoth {
    type Out = ();
    type Refusal = Refused;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), Refused> {
        append(tx, self.rooms[0], &format!("{:?}-0", self.rooms)).await?;
        // On PostgreSQL awaiting something else is possible, and wrong everywhere but here.
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.met.wait().await;
        }
        append(tx, self.rooms[1], &format!("{:?}-1", self.rooms)).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again() {
    let Some(mut url) = testkit::fresh_database("a_deadlock_is_tried_again") else {
        return;
    };
    url.push_str("?options=-c%20deadlock_timeout%3D10ms");
    let bench = Bench::open(Engine::Postgres { url }, None, |_| ()).await;
    bench.store.write(OpenRoom(1)).await.unwrap();
    bench.store.write(OpenRoom(2)).await.unwrap();
    let met = Arc::new(Barrier::new(2));
    let both = |rooms| LockBoth { rooms, met: Arc::clone(&met), runs: AtomicUsize::new(0) };
    let (one, other) = tokio::join!(bench.store.write(both([1, 2])), bench.store.write(both([2, 1])));
    one.unwrap();
    other.unwrap();
    for room in [1, 2] {
        assert!(bench.messages(room).await.iter().map(|m| m.0).eq(0..2));
    }
    assert_whole(&bench.heard.news());
}

/// Two nodes on one database, both writing the same hot room.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_count_one_room_together() {
    let Some(bench) = Bench::postgres("two_nodes_count_one_room_together").await else {
        return;
    };
    let other_heard = Arc::new(Heard::default());
    let mut settings = bench.settings.clone();
    settings.publish = Arc::clone(&other_heard) as _;
    let other = Store::open(settings).await.unwrap();
    bench.store.write(OpenRoom(1)).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..32 {
        let store = if writer % 2 == 0 { bench.store.clone() } else { other.clone() };
        writers.spawn(async move {
            for n in 0..8 {
                store.write(Append::new(1, format!("{writer}-{n}"))).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    assert!(bench.messages(1).await.iter().map(|m| m.0).eq(0..256));
    let told = [bench.heard.news(), other_heard.news()].concat();
    assert_eq!(assert_whole(&told).into_values().collect::<Vec<_>>(), [256]);
    other.close().await;
}

/// A panic must not lend the next one a connection with a transaction open on it.
#[tokio::test]
async fn a_panic_leaves_no_transaction_open() {
    static OPEN: Sql = Sql::new(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    );
    let one = |settings: &mut tertulia_store::Settings| settings.write_connections = 1;
    let Some(bench) = Bench::postgres_with("a_panic_leaves_no_transaction_open", one).await else {
        return;
    };
    bench.store.write(OpenRoom(1)).await.unwrap();
    let panics = command::<(), _>(|tx| {
        Box::pin(async move {
            append(tx, 1, "undone").await?;
            panic!("on purpose")
        })
    });
    bench.store.write(panics).await.unwrap_err();
    assert_eq!(bench.store.write(Append::new(1, "kept")).await.unwrap(), 0);
    let open = command(|tx| Box::pin(async move { Ok(tx.query_one(&OPEN, &[]).await?.get::<i64>(0)?) }));
    assert_eq!(bench.store.read(open).await.unwrap(), 0);
}
