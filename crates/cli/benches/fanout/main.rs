//! What a delivery and an idle connection cost the server.
//!
//! `cargo xtask bench fanout` starts the real binary as a child on a fresh folder and talks to it with
//! real websockets, so that CPU and memory are the server's own. Everybody subscribes to what a client of
//! the official SDK subscribes to for a message: the message list and the conversation's document. A
//! *delivery* is one message at one participant, the document's event beside it. Clients and server share
//! the machine, so rates say little; CPU per delivery and memory per connection are what to compare
//! (bench/BASELINE.md).
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod jobs;
mod machine;
mod memory;
mod storm;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tertulia_client::{Client, Conversation, NewConversation, Options, Order, Sid, sid};
use tokio::task::JoinSet;

use machine::{Folder, Server, cpu};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Fan-outs are measured in rounds of about so long; the cheapest counts, since a busy machine only adds.
const ROUNDS: usize = 3;
const ROUND_SECONDS: f64 = 2.5;
/// Who sends at the same time; each waits for the acknowledgement before the next message.
const SENDERS: usize = 4;
const BODY: &str = "A message of ordinary length, as people send them to each other all day long.";
const WHOLE_BENCH_MAX: Duration = Duration::from_secs(240);

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // What compares two builds reads lines of JSON and nothing else.
    if std::env::args().skip(1).any(|argument| argument == "jobs") {
        return runtime.block_on(async { tokio::time::timeout(WHOLE_BENCH_MAX, jobs::jobs()).await })?;
    }
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, shared by the server and its clients; a SQLite file, a commit before every answer\n");
    runtime.block_on(async { tokio::time::timeout(WHOLE_BENCH_MAX, bench()).await })?
}

/// All parts, or those that are named behind `--`.
async fn bench() -> Outcome<()> {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    if is_wanted("deliveries") {
        deliveries().await?;
    }
    if is_wanted("idle") {
        memory::idle().await?;
    }
    if is_wanted("subscriptions") {
        memory::subscriptions().await?;
    }
    if is_wanted("storm") {
        storm::storm().await?;
    }
    Ok(())
}

async fn deliveries() -> Outcome<()> {
    let folder = Folder::new()?;
    let server = Server::start(&folder.0, &[]).await?;
    let header =
        ["participants", "messages", "messages/s", "deliveries/s", "server µs/delivery", "clients µs/delivery"];
    println!("{}", header.join("  "));
    let mut sent = Vec::new();
    for participants in [10, 100] {
        sent.push(fan_out(&server, participants).await?);
    }
    drop(server);
    check_kept(&folder.0, &sent).await?;
    println!("after SIGKILL and a restart every acknowledged message is there\n");
    Ok(())
}

/// Messages into one conversation; gives it and how many were acknowledged.
async fn fan_out(server: &Server, participants: usize) -> Outcome<(Sid<sid::Conversation>, i64)> {
    let mut people = connect(server, &format!("p{participants}"), 0..participants).await?;
    people.sort_by(|a, b| a.identity().cmp(b.identity()));
    let first = &people[0];
    let sid = first.create_conversation(&NewConversation::named("bench")).await?;
    first.join(sid).await?;
    for other in &people[1..] {
        first.add(sid, other.identity()).await?;
    }
    let mut open = Vec::new();
    for client in &people {
        open.push(client.conversation(sid).await?);
    }
    let mut sent = 100;
    let begun = Instant::now();
    open = deliver(&people, open, 0, sent).await?;
    let each = begun.elapsed().as_secs_f64() / sent as f64;
    let count = ((ROUND_SECONDS / each) as i64).clamp(100, 20_000);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let before = (cpu(server.pid())?, cpu(std::process::id())?, Instant::now());
        open = deliver(&people, open, sent, count).await?;
        sent += count;
        let seconds = before.2.elapsed().as_secs_f64();
        rounds.push((cpu(server.pid())? - before.0, cpu(std::process::id())? - before.1, seconds));
    }
    let (server_cpu, own_cpu, seconds) = rounds.into_iter().min_by_key(|round| round.0).ok_or("no round")?;
    let deliveries = count as f64 * participants as f64;
    let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / deliveries;
    println!(
        "{participants:>12}  {count:>8}  {:>10.0}  {:>12.0}  {:>18.1}  {:>19.1}",
        count as f64 / seconds,
        deliveries / seconds,
        micros(server_cpu),
        micros(own_cpu),
    );
    for client in people {
        client.close().await;
    }
    Ok((sid, sent))
}

/// Sends `count` messages, and waits until everybody has received them all, in order.
async fn deliver(people: &[Client], open: Vec<Conversation>, from: i64, count: i64) -> Outcome<Vec<Conversation>> {
    let sid = open[0].sid();
    let mut readers = JoinSet::new();
    for mut conversation in open {
        readers.spawn(async move {
            for expected in from..from + count {
                let message = conversation.next_message().await?;
                assert_eq!(message.index, expected, "every message comes once and in order");
            }
            Outcome::Ok(conversation)
        });
    }
    let left = Arc::new(AtomicI64::new(count));
    let mut senders = JoinSet::new();
    for client in people.iter().take(SENDERS) {
        let (client, left) = (client.clone(), Arc::clone(&left));
        senders.spawn(async move {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                client.send(sid, BODY).await?;
            }
            Outcome::Ok(())
        });
    }
    all(senders).await?;
    all(readers).await
}

/// Nothing that was acknowledged may be missing after the process was killed.
async fn check_kept(folder: &Path, sent: &[(Sid<sid::Conversation>, i64)]) -> Outcome<()> {
    let server = Server::start(folder, &[]).await?;
    for ((sid, count), first) in sent.iter().zip(["p10-0000", "p100-0000"]) {
        let client = Client::connect(&server.uri, server.token(first)?).await?;
        let page = client.conversation(*sid).await?.page(None, Order::Descending).await?;
        assert_eq!(page.messages.first().map(|message| message.index + 1), Some(*count));
    }
    Ok(())
}

/// Connects so many people, some at a time.
async fn connect(server: &Server, prefix: &str, numbers: std::ops::Range<usize>) -> Outcome<Vec<Client>> {
    let mut clients = Vec::with_capacity(numbers.len());
    for some in numbers.collect::<Vec<_>>().chunks(64) {
        let mut tasks = JoinSet::new();
        for number in some {
            let (uri, token) = (server.uri.clone(), server.token(&format!("{prefix}-{number:04}"))?);
            tasks.spawn(async move { Ok(Client::connect_with(&uri, token, Options::once()).await?) });
        }
        clients.extend(all(tasks).await?);
    }
    Ok(clients)
}

async fn all<T: 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(outcome) = tasks.join_next().await {
        done.push(outcome??);
    }
    Ok(done)
}
