//! Short jobs whose cost two builds are compared by: `cargo xtask bench --vs REV` runs them against each in turns.
//!
//! Each job prints one line of JSON: its name, what one operation is, and the server's CPU time for one, in
//! microseconds.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tertulia_client::{Client, Conversation, NewConversation, Order, Sid, sid};
use tokio::task::JoinSet;

use super::machine::{Folder, Server, fine_cpu};
use super::memory::listen;
use super::storm::{come_back, visitors};
use super::{BODY, Outcome, SENDERS, all, connect, deliver};

/// Participants of the conversations that messages are sent into.
const FAN_OUTS: [usize; 3] = [2, 10, 100];
/// Connections that sign in and then listen.
const LISTENERS: usize = 500;
/// The shortest interval that the server takes: in it, every connection is pinged once.
const PING_SECONDS: u64 = 5;
/// How long a job takes when nothing else is asked for.
const SECONDS_DEFAULT: f64 = 2.0;

pub(crate) async fn jobs() -> Outcome<()> {
    let asked = std::env::var("TERTULIA_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: f64 = asked.unwrap_or(SECONDS_DEFAULT);
    messages(seconds).await?;
    listeners().await?;
    storm().await
}

fn tell(job: &str, operation: &str, spent: Duration, count: usize) {
    let micros = spent.as_secs_f64() * 1e6 / count.max(1) as f64;
    println!(r#"{{"job":"{job}","operation":"{operation}","micros":{micros:.3},"count":{count}}}"#);
}

async fn messages(seconds: f64) -> Outcome<()> {
    let folder = Folder::new()?;
    let server = Server::start(&folder.0, &[]).await?;
    for participants in FAN_OUTS {
        fan_out(&server, participants, seconds).await?;
    }
    let people = connect(&server, "reader", 0..SENDERS).await?;
    let (sid, open) = conversation(&people).await?;
    let open = deliver(&people, open, 0, 60).await?;
    pages(&server, open, seconds).await?;
    rest_creates(&server, sid, seconds).await
}

/// A conversation with these people in it, and open for each.
async fn conversation(people: &[Client]) -> Outcome<(Sid<sid::Conversation>, Vec<Conversation>)> {
    let first = &people[0];
    let sid = first.create_conversation(&NewConversation::named("bench")).await?;
    first.join(sid).await?;
    for other in &people[1..] {
        first.add(sid, other.identity()).await?;
    }
    let mut open = Vec::new();
    for client in people {
        open.push(client.conversation(sid).await?);
    }
    Ok((sid, open))
}

async fn fan_out(server: &Server, participants: usize, seconds: f64) -> Outcome<()> {
    let people = connect(server, &format!("p{participants}"), 0..participants).await?;
    let (_, mut open) = conversation(&people).await?;
    let warm_up = 60;
    let begun = Instant::now();
    open = deliver(&people, open, 0, warm_up).await?;
    let each = begun.elapsed().as_secs_f64() / warm_up as f64;
    let count = ((seconds / each) as i64).clamp(60, 20_000);
    let before = fine_cpu(server.pid())?;
    drop(deliver(&people, open, warm_up, count).await?);
    let spent = fine_cpu(server.pid())?.since(&before);
    tell(&format!("fan-out {participants}"), "delivery", spent, count as usize * participants);
    for client in people {
        client.close().await;
    }
    Ok(())
}

/// Pages of 50 messages, as a client of the SDK reads them.
async fn pages(server: &Server, open: Vec<Conversation>, seconds: f64) -> Outcome<()> {
    let (before, end) = (fine_cpu(server.pid())?, Instant::now() + Duration::from_secs_f64(seconds));
    let mut readers = JoinSet::new();
    for conversation in open {
        readers.spawn(async move {
            let mut count = 0;
            while Instant::now() < end {
                let page = conversation.page(None, Order::Descending).await?;
                assert_eq!(page.messages.len(), 50, "a page is full");
                count += 1;
            }
            Outcome::Ok(count)
        });
    }
    let count: usize = all(readers).await?.into_iter().sum();
    tell("page of 50", "page", fine_cpu(server.pid())?.since(&before), count);
    Ok(())
}

/// Messages created over REST, by an account's credentials, on connections that are kept.
async fn rest_creates(server: &Server, sid: Sid<sid::Conversation>, seconds: f64) -> Outcome<()> {
    let url = format!("http://{}/v1/Conversations/{sid}/Messages", server.address());
    let pair = format!("{}:{}", server.fact("TWILIO_ACCOUNT_SID"), server.fact("TWILIO_AUTH_TOKEN"));
    let credentials = format!("Basic {}", STANDARD.encode(pair));
    let (before, end) = (fine_cpu(server.pid())?, Instant::now() + Duration::from_secs_f64(seconds));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (url, credentials) = (url.clone(), credentials.clone());
        senders.spawn_blocking(move || {
            let agent = ureq::Agent::new_with_defaults();
            let mut count = 0;
            while Instant::now() < end {
                let request = agent.post(&url).header("authorization", &credentials);
                let mut answer = request.send_form([("Author", "bench"), ("Body", BODY)])?;
                answer.body_mut().read_to_vec()?;
                count += 1;
            }
            Outcome::Ok(count)
        });
    }
    let count: usize = all(senders).await?.into_iter().sum();
    tell("REST create", "message", fine_cpu(server.pid())?.since(&before), count);
    Ok(())
}

async fn listeners() -> Outcome<()> {
    let folder = Folder::new()?;
    let server = Server::start(&folder.0, &[("TERTULIA__REALTIME__PING_SECONDS", PING_SECONDS.to_string())]).await?;
    let first = listen(&server, 0..50).await?;
    let before = fine_cpu(server.pid())?;
    let rest = listen(&server, 50..50 + LISTENERS).await?;
    tell("sign-ins", "sign-in", fine_cpu(server.pid())?.since(&before), LISTENERS);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = fine_cpu(server.pid())?;
    tokio::time::sleep(Duration::from_secs(PING_SECONDS)).await;
    let count = first.len() + rest.len();
    tell("idle", "ping of a connection", fine_cpu(server.pid())?.since(&before), count);
    drop((first, rest));
    Ok(())
}

async fn storm() -> Outcome<()> {
    let folder = Folder::new()?;
    let known = visitors(&folder).await?;
    let server = Server::start(&folder.0, &[]).await?;
    let before = fine_cpu(server.pid())?;
    let live = come_back(&server, &known).await?;
    tell("storm", "reconnect", fine_cpu(server.pid())?.since(&before), live.len());
    Ok(())
}
