//! What group commit gives: throughput and CPU per append, against one transaction per write.
//!
//! `cargo bench -p tertulia-store` runs everything in one go on this machine's disk and prints
//! ratios; only they can be compared between machines. `APPENDS` changes how many are made.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tertulia_store::{Command, Engine, Failure, Migration, Settings, Silence, Sql, Store, Tx};

const CALLERS: i64 = 64;

static MIGRATIONS: [Migration; 1] = [Migration {
    number: 1,
    name: "bench",
    sqlite: "CREATE TABLE room (id INTEGER PRIMARY KEY, last_index INTEGER NOT NULL) STRICT;
        CREATE TABLE message (room INTEGER NOT NULL, idx INTEGER NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (room, idx)) STRICT, WITHOUT ROWID;",
    postgres: "CREATE TABLE room (id BIGINT PRIMARY KEY, last_index BIGINT NOT NULL);
        CREATE TABLE message (room BIGINT NOT NULL, idx BIGINT NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (room, idx));",
    obstacles: &[],
}];

static OPEN_ROOM: Sql = Sql::new("INSERT INTO room (id, last_index) VALUES ($1, -1)");
static NEXT_INDEX: Sql = Sql::new("UPDATE room SET last_index = last_index + 1 WHERE id = $1 RETURNING last_index");
static PUT_MESSAGE: Sql = Sql::new("INSERT INTO message (room, idx, body) VALUES ($1, $2, $3)");
const BODY: &str = "A message of ordinary length, as people send them to each other all day long.";

struct OpenRoom(i64);

impl Command for OpenRoom {
    type Out = ();
    type Refusal = Failure;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        tx.execute(&OPEN_ROOM, &[self.0.into()]).await.map(drop)
    }
}

struct Append(i64);

impl Command for Append {
    type Out = i64;
    type Refusal = Failure;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, Failure> {
        let index: i64 = tx.query_one(&NEXT_INDEX, &[self.0.into()]).await?.get(0)?;
        tx.execute(&PUT_MESSAGE, &[self.0.into(), index.into(), BODY.into()]).await?;
        Ok(index)
    }
}

/// What one way of appending costs.
struct Cost {
    name: &'static str,
    per_second: f64,
    cpu_micros: f64,
}

fn main() {
    let appends = std::env::var("APPENDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut costs = Vec::new();
    costs.push(by_hand("rusqlite by hand, one transaction each", appends / 10, 1));
    costs.push(by_hand("rusqlite by hand, 64 in one transaction", appends, 64));
    runtime.block_on(async {
        costs.push(sqlite("store, one transaction each", appends / 10, 1).await);
        costs.push(sqlite("store, group commit", appends, 256).await);
    });
    print("SQLite, every commit waits for the disk", &costs);
    if let Some(url) = testkit::fresh_database("the bench on PostgreSQL") {
        let costs = runtime.block_on(async {
            let store = open(Engine::Postgres { url }, 256).await;
            let hot = appended("store, one hot room", &store, appends / 4, |_| 1).await;
            let spread = appended("store, a room per caller", &store, appends / 4, |caller| caller).await;
            [hot, spread]
        });
        print("PostgreSQL without fsync, a transaction each (CPU of this process only)", &costs);
    }
}

/// The least that can be done: prepared statements on one thread, nobody to answer.
fn by_hand(name: &'static str, appends: i64, in_one_transaction: i64) -> Cost {
    let folder = testkit::temp_dir();
    let db = rusqlite::Connection::open(folder.join("by-hand.db")).expect("a file");
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").expect("settings");
    db.execute_batch(MIGRATIONS[0].sqlite).expect("a schema");
    db.execute("INSERT INTO room VALUES (1, -1)", []).expect("a room");
    measure(name, appends, || {
        for _ in 0..appends / in_one_transaction {
            db.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
            for _ in 0..in_one_transaction {
                let next = "UPDATE room SET last_index = last_index + 1 WHERE id = ?1 RETURNING last_index";
                let mut next = db.prepare_cached(next).expect("a statement");
                let index: i64 = next.query_row([1], |row| row.get(0)).expect("an index");
                let put = "INSERT INTO message (room, idx, body) VALUES (?1, ?2, ?3)";
                let mut put = db.prepare_cached(put).expect("a statement");
                put.execute((1, index, BODY)).expect("a message");
            }
            db.execute_batch("COMMIT").expect("a commit");
        }
    })
}

async fn sqlite(name: &'static str, appends: i64, group_commands_max: usize) -> Cost {
    let folder = testkit::temp_dir();
    let engine = Engine::Sqlite { folder: folder.path().to_owned() };
    let store = open(engine, group_commands_max).await;
    let cost = appended(name, &store, appends, |_| 1).await;
    store.close().await;
    cost
}

async fn open(engine: Engine, group_commands_max: usize) -> Store {
    let mut settings = Settings::new(engine, &MIGRATIONS, Arc::new(Silence), 0);
    settings.group_commands_max = group_commands_max;
    let store = Store::open(settings).await.expect("the store opens");
    for room in 0..CALLERS {
        store.write(OpenRoom(room)).await.expect("a room opens");
    }
    store
}

/// All callers append at once, each waiting for its answer before it goes on.
async fn appended(name: &'static str, store: &Store, appends: i64, room: fn(i64) -> i64) -> Cost {
    let began = (Instant::now(), cpu());
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..appends / CALLERS {
                    store.write(Append(room(caller))).await.expect("an append");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
    cost(name, appends, began)
}

fn measure(name: &'static str, appends: i64, work: impl FnOnce()) -> Cost {
    let began = (Instant::now(), cpu());
    work();
    cost(name, appends, began)
}

fn cost(name: &'static str, appends: i64, began: (Instant, Duration)) -> Cost {
    let (since, cpu_before) = began;
    let appends = appends as f64;
    Cost {
        name,
        per_second: appends / since.elapsed().as_secs_f64(),
        cpu_micros: (cpu() - cpu_before).as_secs_f64() * 1e6 / appends,
    }
}

/// The CPU time of this process so far. Linux only; elsewhere it stays 0.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // User and system time, in hundredths of a second on every Linux there is.
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn print(title: &str, costs: &[Cost]) {
    println!("\n{title}");
    println!("{:44} {:>12} {:>8} {:>12} {:>8}", "", "appends/s", "ratio", "CPU µs each", "ratio");
    let first = &costs[0];
    for cost in costs {
        println!(
            "{:44} {:12.0} {:8.2} {:12.1} {:8.2}",
            cost.name,
            cost.per_second,
            cost.per_second / first.per_second,
            cost.cpu_micros,
            cost.cpu_micros / first.cpu_micros,
        );
    }
}
