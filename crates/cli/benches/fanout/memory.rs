//! What connections, subscriptions and topics take of the server's memory, beside their bounds.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::ops::Range;
use std::time::{Duration, Instant};

use tertulia_client::{Client, NewConversation};
use testkit::Wire;
use tokio::task::JoinSet;

use super::machine::{Folder, Server, cpu, open_files_max, resident_kib};
use super::{Outcome, all, connect};

/// Connections that the memory of one is measured with, if the limit of open files allows.
const IDLE_CONNECTIONS: usize = 2000;
/// Idle connections that come before the measuring begins, so that first times are not counted.
const FIRST_CONNECTIONS: usize = 100;
/// How long the CPU of idle connections is measured: every one is pinged once in this time.
const IDLE_SECONDS: u64 = 5;
/// What an idle connection may cost.
const CONNECTION_KIB_MAX: f64 = 11.0;
/// What a watcher on one object may cost; topics are counted apart.
const SUBSCRIPTION_BYTES_MAX: f64 = 128.0;

/// Conversations that everybody has open; each is three objects.
const OPEN_CONVERSATIONS: usize = 100;
/// Connections that have them open, and those that come first so that the topics are there.
const OPENERS: usize = 200;
const FIRST_OPENERS: usize = 20;
/// Conversations of one connection alone; each is two topics, with one watcher.
const LONELY_CONVERSATIONS: usize = 3000;
/// Entries of a subscription request.
const BATCH: usize = 30;
const USERS: usize = 4;

/// Connections that only listen, as an open page does: to the user's own list and own facts.
pub(crate) async fn idle() -> Outcome<()> {
    let folder = Folder::new()?;
    let server = Server::start(&folder.0, &[("TERTULIA__REALTIME__PING_SECONDS", IDLE_SECONDS.to_string())]).await?;
    let count = IDLE_CONNECTIONS.min(open_files_max()?.saturating_sub(FIRST_CONNECTIONS + 100));
    let first = listen(&server, 0..FIRST_CONNECTIONS).await?;
    let before = resident_kib(server.pid())?;
    let begun = Instant::now();
    let rest = listen(&server, FIRST_CONNECTIONS..FIRST_CONNECTIONS + count).await?;
    let seconds = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = resident_kib(server.pid())?;
    let cpu_before = cpu(server.pid())?;
    tokio::time::sleep(Duration::from_secs(IDLE_SECONDS)).await;
    let spent = cpu(server.pid())? - cpu_before;
    println!("idle connections, each subscribed to the user's own two maps");
    println!("connections  connects/s  KiB/connection  server CPU over {IDLE_SECONDS} s, one ping each");
    let each = (after - before) as f64 / count as f64;
    println!("{count:>11}  {:>10.0}  {each:>14.1}  {:>5} ms", count as f64 / seconds, spent.as_millis());
    println!("the bound is {CONNECTION_KIB_MAX} KiB: {}\n", verdict(each, CONNECTION_KIB_MAX));
    drop((first, rest));
    Ok(())
}

fn verdict(measured: f64, max: f64) -> &'static str {
    if measured <= max { "kept" } else { "EXCEEDED" }
}

pub(crate) async fn listen(server: &Server, numbers: Range<usize>) -> Outcome<Vec<tertulia_client::Subscription>> {
    let mut subscriptions = Vec::new();
    for clients in connect(server, "idle", numbers).await?.chunks(64) {
        let mut tasks = JoinSet::new();
        for client in clients {
            let client = client.clone();
            tasks.spawn(async move { Ok(client.subscribe_own().await?) });
        }
        subscriptions.extend(all(tasks).await?);
    }
    Ok(subscriptions)
}

/// Connections with many objects each: the same ones, then objects that nobody else watches.
pub(crate) async fn subscriptions() -> Outcome<()> {
    let folder = Folder::new()?;
    let most = (OPEN_CONVERSATIONS + LONELY_CONVERSATIONS).to_string();
    let settings = [
        ("TERTULIA__LIMITS__CONVERSATIONS_PER_USER_MAX", most),
        // Bare connections answer no ping while others have their turn.
        ("TERTULIA__REALTIME__PING_SECONDS", "300".to_owned()),
    ];
    let server = Server::start(&folder.0, &settings).await?;
    let shared = conversations(&server, OPEN_CONVERSATIONS, USERS).await?;
    let entries: Vec<String> = shared.iter().flat_map(|sid| three_of(sid, None)).collect();
    let mut first = enter(&server, FIRST_OPENERS).await?;
    subscribe(&mut first, &entries).await?;
    let mut openers = enter(&server, OPENERS).await?;
    let before = settled(&server).await?;
    subscribe(&mut openers, &entries).await?;
    let after = settled(&server).await?;
    let count = OPENERS * entries.len();
    let each = after.saturating_sub(before) as f64 * 1024.0 / count as f64;
    println!("{OPENERS} connections subscribe to the same {} objects each", entries.len());
    println!(
        "{each:.0} bytes a subscription; the bound is {SUBSCRIPTION_BYTES_MAX}: {}",
        verdict(each, SUBSCRIPTION_BYTES_MAX)
    );

    let lonely = conversations(&server, LONELY_CONVERSATIONS, 1).await?;
    let entries: Vec<String> = lonely.iter().flat_map(|sid| three_of(sid, None).into_iter().skip(1)).collect();
    let (unmeasured, measured) = entries.split_at(entries.len() / 3 * 2);
    // The database's own memory fills up with the first of them.
    let mut reader = enter(&server, 1).await?;
    subscribe(&mut reader, unmeasured).await?;
    let before = settled(&server).await?;
    subscribe(&mut reader, measured).await?;
    let after = settled(&server).await?;
    let each = after.saturating_sub(before) as f64 * 1024.0 / measured.len() as f64;
    println!("{each:.0} bytes a topic with one watcher, over {} topics\n", measured.len());
    drop((first, openers, reader));
    Ok(())
}

/// What the server takes once it has nothing left to do.
async fn settled(server: &Server) -> Outcome<u64> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    resident_kib(server.pid())
}

/// The entries of a subscription to a conversation: messages, document, roster.
pub(crate) fn three_of(sid: &str, position: Option<i64>) -> [String; 3] {
    let after = position.map(|position| format!(r#","last_event_id":{position}"#)).unwrap_or_default();
    [("ES", "list"), ("ET", "document"), ("MP", "map")]
        .map(|(prefix, kind)| format!(r#"{{"object_sid":"{prefix}{}","object_type":"{kind}"{after}}}"#, &sid[2..]))
}

/// So many conversations in which the first users are.
pub(crate) async fn conversations(server: &Server, count: usize, users: usize) -> Outcome<Vec<String>> {
    let people = connect(server, "user", 0..users).await?;
    let mut sids = Vec::with_capacity(count);
    for some in (0..count).collect::<Vec<_>>().chunks(32) {
        let mut tasks = JoinSet::new();
        for _ in some {
            let people: Vec<Client> = people.clone();
            tasks.spawn(async move {
                let sid = people[0].create_conversation(&NewConversation::named("bench")).await?;
                people[0].join(sid).await?;
                for other in &people[1..] {
                    people[0].add(sid, other.identity()).await?;
                }
                Ok(sid.to_string())
            });
        }
        sids.extend(all(tasks).await?);
    }
    Ok(sids)
}

/// Bare connections of these users, so many in all.
async fn enter(server: &Server, count: usize) -> Outcome<Vec<Wire>> {
    let mut wires = Vec::with_capacity(count);
    for number in 0..count {
        let token = server.token(&format!("user-{:04}", if count == 1 { 0 } else { number % USERS }))?;
        wires.push(Wire::enter(server.address(), None, &token).await?);
    }
    Ok(wires)
}

async fn subscribe(wires: &mut [Wire], entries: &[String]) -> Outcome<()> {
    for wire in wires {
        for some in entries.chunks(BATCH) {
            wire.subscribe(some).await?;
        }
    }
    Ok(())
}
