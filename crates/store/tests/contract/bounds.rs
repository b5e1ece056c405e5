//! Everything has a bound, and reaching it is said.

use std::time::Duration;

use tertulia_store::{Failure, Settings, Sql};
use tokio::task::JoinSet;

use crate::support::{Bench, Gate, OpenRoom, command};

fn narrow(settings: &mut Settings) {
    settings.writes_waiting_max = 3;
    settings.reads_waiting_max = 3;
    settings.read_threads = 1;
    settings.read_time_max = Duration::from_secs(60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_queue_says_busy_on_sqlite() {
    let bench = Bench::sqlite_with(narrow).await;
    a_full_queue_says_busy(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_queue_says_busy_on_postgres() {
    if let Some(bench) = Bench::postgres_with("a_full_queue_says_busy", narrow).await {
        a_full_queue_says_busy(&bench).await;
    }
}

async fn a_full_queue_says_busy(bench: &Bench) {
    let (gate, stop) = Gate::new();
    let mut callers = JoinSet::new();
    let store = bench.store.clone();
    callers.spawn(async move { store.write(stop).await });
    gate.wait_until_entered();
    // On SQLite the running one waits no more, on PostgreSQL it still counts.
    let mut busy = 0;
    for room in 1..=6 {
        let store = bench.store.clone();
        let mut asked = Box::pin(async move { store.write(OpenRoom(room)).await });
        match futures_util::poll!(&mut asked) {
            std::task::Poll::Ready(answer) => {
                let failure = answer.unwrap_err().failure();
                assert!(matches!(failure, Failure::Busy), "{failure}");
                assert!(failure.may_pass());
                busy += 1;
            }
            std::task::Poll::Pending => {
                callers.spawn(asked);
            }
        }
    }
    assert!((3..=4).contains(&busy), "{busy} were sent away");
    gate.open();
    for answer in callers.join_all().await {
        answer.unwrap();
    }
    bench.store.write(OpenRoom(9)).await.unwrap();
}

fn hasty(settings: &mut Settings) {
    settings.read_time_max = Duration::from_millis(500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_is_ended_on_sqlite() {
    let bench = Bench::sqlite_with(hasty).await;
    a_long_read_is_ended(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_is_ended_on_postgres() {
    if let Some(bench) = Bench::postgres_with("a_long_read_is_ended", hasty).await {
        a_long_read_is_ended(&bench).await;
    }
}

async fn a_long_read_is_ended(bench: &Bench) {
    static ENDLESS: Sql = Sql::new(
        "WITH RECURSIVE n(n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM n)
         SELECT CAST(count(*) AS BIGINT) FROM n",
    );
    static SHORT: Sql = Sql::new("SELECT CAST(1 AS BIGINT)");
    let ask = |sql| command(move |tx| Box::pin(async move { Ok(tx.query_one(sql, &[]).await?.get::<i64>(0)?) }));
    let failure = bench.store.read(ask(&ENDLESS)).await.unwrap_err().failure();
    assert!(matches!(failure, Failure::TimedOut { .. }), "{failure}");
    assert_eq!(bench.store.read(ask(&SHORT)).await.unwrap(), 1);
}
