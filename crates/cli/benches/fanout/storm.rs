//! Everybody comes back at once after a restart, and nothing has changed meanwhile.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::time::{Duration, Instant};

use testkit::Wire;
use tokio::task::JoinSet;

use super::machine::{Folder, Server, cpu};
use super::memory::{conversations, three_of};
use super::{Outcome, all};

const CLIENTS: usize = 500;
const USERS: usize = 20;
/// Each is three objects.
const CONVERSATIONS: usize = 10;
/// The rate of the second storm, in which the gate stands before it.
const UPGRADES_PER_SECOND: u32 = 200;

/// A connection with its positions: what a client has when it comes back.
pub(crate) struct Known {
    token: String,
    entries: Vec<String>,
}

pub(crate) async fn storm() -> Outcome<()> {
    let folder = Folder::new()?;
    let known = visitors(&folder).await?;
    println!("{CLIENTS} clients come back at once after SIGKILL, with {} subscriptions each", 3 * CONVERSATIONS);
    println!("{:>10}  {:>12}  {:>8}  {:>19}", "upgrades/s", "all live", "slowest", "server ms/reconnect");
    for rate in [0, UPGRADES_PER_SECOND] {
        let bound = (rate > 0).then(|| ("TERTULIA__HTTP__UPGRADES_PER_SECOND", rate.to_string()));
        let server = Server::start(&folder.0, bound.as_slice()).await?;
        let (before, begun) = (cpu(server.pid())?, Instant::now());
        let live = come_back(&server, &known).await?;
        let (whole, spent) = (begun.elapsed(), cpu(server.pid())? - before);
        let slowest = live.iter().map(|(_, waited)| *waited).max().unwrap_or_default();
        let rate = if rate == 0 { "no bound".to_owned() } else { rate.to_string() };
        println!(
            "{rate:>10}  {:>10.2} s  {:>6.2} s  {:>19.2}",
            whole.as_secs_f64(),
            slowest.as_secs_f64(),
            millis(spent) / CLIENTS as f64,
        );
    }
    println!();
    Ok(())
}

/// Users of a server on this folder that is killed afterwards, with the positions that they have reached.
pub(crate) async fn visitors(folder: &Folder) -> Outcome<Vec<Known>> {
    let server = Server::start(&folder.0, &[]).await?;
    let sids = conversations(&server, CONVERSATIONS, USERS).await?;
    let mut known = Vec::new();
    for user in 0..USERS {
        known.push(visit(&server, user, &sids).await?);
    }
    Ok(known)
}

/// All clients at once; gives each connection with the time until it was live.
pub(crate) async fn come_back(server: &Server, known: &[Known]) -> Outcome<Vec<(Wire, Duration)>> {
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        let Known { token, entries } = &known[number % USERS];
        let (address, token, entries) = (server.address().to_owned(), token.clone(), entries.clone());
        tasks.spawn(async move {
            let begun = Instant::now();
            let mut wire = Wire::enter(&address, None, &token).await?;
            wire.subscribe(&entries).await?;
            Ok((wire, begun.elapsed()))
        });
    }
    all(tasks).await
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A user's token, and the entries of a subscription from where everything stands.
async fn visit(server: &Server, user: usize, sids: &[String]) -> Outcome<Known> {
    let token = server.token(&format!("user-{user:04}"))?;
    let mut wire = Wire::enter(server.address(), None, &token).await?;
    let entries: Vec<String> = sids.iter().flat_map(|sid| three_of(sid, None)).collect();
    let mut positioned = Vec::with_capacity(entries.len());
    for answer in wire.subscribe(&entries).await? {
        let position = after(&answer, r#""last_event_id":"#)?;
        let object = after(&answer, r#""object_sid":""#)?;
        let entry = entries.iter().find(|entry| entry.contains(object)).ok_or("an answer to nothing")?;
        positioned.push(format!(r#"{},"last_event_id":{position}}}"#, entry.trim_end_matches('}')));
    }
    Ok(Known { token, entries: positioned })
}

/// The word that follows this mark.
fn after<'t>(text: &'t str, mark: &str) -> Outcome<&'t str> {
    let (_, rest) = text.split_once(mark).ok_or("an answer of another shape")?;
    Ok(rest.split(['"', ',', '}']).next().unwrap_or_default())
}
