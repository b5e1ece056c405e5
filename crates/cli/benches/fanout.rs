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

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tertulia_client::{Client, Conversation, NewConversation, Options, Order, Sid, sid};
use tertulia_token::{ChatGrant, Mint, Secret};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Fan-outs are measured in rounds of about so long; the cheapest counts, since a busy machine only adds.
const ROUNDS: usize = 3;
const ROUND_SECONDS: f64 = 2.5;
/// Who sends at the same time; each waits for the acknowledgement before the next message.
const SENDERS: usize = 4;
const BODY: &str = "A message of ordinary length, as people send them to each other all day long.";
/// Connections that the memory of one is measured with, if the limit of open files allows.
const IDLE_CONNECTIONS: usize = 2000;
/// Idle connections that come before the measuring begins, so that first times are not counted.
const FIRST_CONNECTIONS: usize = 100;
/// How long the CPU of idle connections is measured: every one is pinged once in this time.
const IDLE_SECONDS: u64 = 5;
const WHOLE_BENCH_MAX: Duration = Duration::from_secs(120);

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, shared by the server and its clients; a SQLite file, a commit before every answer\n");
    runtime.block_on(async { tokio::time::timeout(WHOLE_BENCH_MAX, bench()).await })?
}

async fn bench() -> Outcome<()> {
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
    idle().await
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

/// Connections that only listen, as an open page does: to the user's own list and own facts.
async fn idle() -> Outcome<()> {
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
    println!(
        "{count:>11}  {:>10.0}  {:>14.1}  {:>5} ms",
        count as f64 / seconds,
        (after - before) as f64 / count as f64,
        spent.as_millis(),
    );
    drop((first, rest));
    Ok(())
}

async fn listen(server: &Server, numbers: std::ops::Range<usize>) -> Outcome<Vec<tertulia_client::Subscription>> {
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

/// The binary as a child; killed when dropped.
struct Server {
    child: Child,
    uri: String,
    facts: HashMap<String, String>,
}

impl Server {
    async fn start(data: &Path, settings: &[(&str, String)]) -> Outcome<Self> {
        let env_file = data.join("bench.env");
        let _ = fs::remove_file(&env_file);
        let child = Command::new(env!("CARGO_BIN_EXE_tertulia"))
            .args(["dev", "--port", "0", "--data"])
            .arg(data)
            .arg("--env-file")
            .arg(&env_file)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { child, uri: String::new(), facts: HashMap::new() };
        for _ in 0..1000 {
            if let Ok(text) = fs::read_to_string(&env_file) {
                let pairs = text.lines().filter_map(|line| line.split_once('='));
                let unquoted = |(name, value): (&str, &str)| (name.to_owned(), value.trim_matches('\'').to_owned());
                server.facts = pairs.map(unquoted).collect();
                server.uri = server.fact("TERTULIA_TWILSOCK_URI");
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the server was not ready within ten seconds".into())
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn fact(&self, name: &str) -> String {
        self.facts.get(name).cloned().unwrap_or_default()
    }

    fn token(&self, identity: &str) -> Outcome<String> {
        let secret = Secret::new(self.fact("TWILIO_API_SECRET"));
        let mint = Mint::new(self.fact("TWILIO_ACCOUNT_SID"), self.fact("TWILIO_API_KEY"), &secret)
            .identity(identity)
            .grant(ChatGrant::new(self.fact("TWILIO_CHAT_SERVICE_SID")));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(mint.sign(i64::try_from(now)?)?.token)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, at worst.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder beside the build, on a real disk; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Outcome<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fanout-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// User and system time of a process, to a hundredth of a second.
fn cpu(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let ticks = |place: usize| fields.split_whitespace().nth(place).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times in stat")?;
    Ok(Duration::from_millis((user + system) * 10))
}

fn resident_kib(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn open_files_max() -> Outcome<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).ok_or("no limit")?;
    let soft = line.split_whitespace().next().ok_or("no limit")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
