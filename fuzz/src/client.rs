//! The client's core under any server, any network and any caller.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tertulia_client::core::{Call, Core, Effect, End, Item, Queue, Watch};
use tertulia_client::{ChangeKind, Disconnected, ObjectType, Options};
use tertulia_protocol::client::message;
use tertulia_protocol::packet::Packet;
use tertulia_protocol::realtime::{ClientPacket, TunnelledRequest};

/// More is not played of one script.
const STEPS_MAX: usize = 64;
/// Objects that may be subscribed to.
const SIDS: [&str; 3] = ["ES1", "MP1", "ET1"];

/// A script, a step a line of `%%`: a packet as it is; a header (its line) and a payload, which get their
/// frame; or something that happens, `!cut`, `!pass 30`, `!token`, `!call`, `!subscribe 1`, ….
pub fn client(data: &[u8]) {
    let mut play = Play::new(data.first().copied().unwrap_or(0));
    for step in split(data).take(STEPS_MAX) {
        play.step(step);
        play.settle();
    }
    play.core.close();
    play.settle();
    assert!(play.waiting.is_empty(), "a call was never finished");
    assert!(play.core.over().is_some() && play.core.due().is_none(), "it is not over");
}

fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let end = data.windows(3).position(|three| three == b"%%\n");
        rest = end.map(|end| &data[end + 3..]);
        Some(&data[..end.unwrap_or(data.len())])
    })
}

struct Play {
    core: Core,
    now: Duration,
    is_open: bool,
    last_id: u64,
    waiting: HashSet<u64>,
    queues: Vec<(u64, Arc<Queue>, HashMap<usize, i64>)>,
    tokens: u64,
}

impl Play {
    fn new(seed: u8) -> Self {
        let mut core = Core::new(&Options::default(), seed.into());
        core.start(Duration::ZERO);
        let (waiting, queues) = (HashSet::new(), Vec::new());
        let mut play = Self { core, now: Duration::ZERO, is_open: false, last_id: 0, waiting, queues, tokens: 0 };
        play.settle();
        play
    }

    fn step(&mut self, step: &[u8]) {
        let now = self.now;
        let Some(order) = step.strip_prefix(b"!") else { return self.packet(step) };
        let order = String::from_utf8_lossy(order);
        let (word, number) = order.trim().split_once(' ').unwrap_or((order.trim(), "0"));
        let number: u64 = number.parse().unwrap_or(0);
        match word {
            "cut" => {
                self.is_open = false;
                self.core.disconnected(now, Disconnected::Broken("cut".to_owned()));
            }
            "connect" => {
                self.is_open = true;
                self.core.connected(now);
            }
            "pass" => self.pass(Duration::from_secs(number.min(600))),
            "token" => self.core.token(now, Ok(format!("token {number}"))),
            "no-token" => self.core.token(now, Err("none".to_owned())),
            "update" => {
                let id = self.next_id();
                self.core.update_token(now, id, format!("token {number}"));
            }
            "call" => self.call(number.is_multiple_of(2)),
            "forget" if self.waiting.remove(&number) => self.core.forget(number),
            "subscribe" => {
                let queue = Queue::new(SIDS.len());
                let watch = |sid: &&str| Watch { sid: (*sid).to_owned(), kind: ObjectType::List, position: 0 };
                self.last_id += 1;
                let objects = SIDS.iter().take(1 + number as usize % 3).map(watch).collect();
                self.core.subscribe(now, self.last_id, &queue, objects);
                self.queues.push((self.last_id, queue, HashMap::new()));
            }
            "unsubscribe" => {
                if let Some((id, _, _)) = self.queues.pop() {
                    self.core.unsubscribe(now, id);
                }
            }
            "ping" => self.core.heard(now),
            _ => {}
        }
    }

    fn packet(&mut self, step: &[u8]) {
        if !self.is_open {
            return;
        }
        let framed = match step.iter().position(|byte| *byte == b'\n') {
            Some(end) if step.starts_with(b"{") => {
                let (header, payload) = (&step[..end], &step[end + 1..]);
                let size = format!(",\"payload_size\":{}}}", payload.len());
                let header = [header.strip_suffix(b"}").unwrap_or(header), size.as_bytes()].concat();
                let first = format!("TWILSOCK V3.0 {}\r\n", header.len());
                [first.as_bytes(), &header, b"\r\n", payload].concat()
            }
            _ => step.to_vec(),
        };
        self.core.packet(self.now, &Bytes::from(framed));
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.waiting.insert(self.last_id);
        self.last_id
    }

    fn call(&mut self, is_repeatable: bool) {
        let id = self.next_id();
        let request = TunnelledRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            params: Vec::new(),
            content_type: String::new(),
            body: Vec::new(),
        };
        let packet = message(&Call::packet_id(id), &request);
        self.core.call(self.now, Call { id, packet, is_repeatable });
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..10_000 {
            let Some(due) = self.core.due().filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            self.core.tick(self.now);
            self.settle();
        }
        self.now = until;
        assert!(self.core.due().is_none_or(|due| due > until), "an alarm that does not stop");
    }

    /// Performs effects, and takes what came.
    fn settle(&mut self) {
        let was_over = self.core.over().is_some();
        for _ in 0..10_000 {
            let Some(effect) = self.core.effect() else { break };
            match effect {
                Effect::Send(packet) => {
                    assert!(Packet::parse(&packet).is_ok(), "what we write, we can read");
                    assert!(ClientPacket::parse(&packet).is_ok(), "the server understands what we write");
                }
                Effect::Finish(id, _) => {
                    assert!(self.waiting.remove(&id), "a call is finished once");
                }
                Effect::Connect if self.last_id.is_multiple_of(2) => {
                    self.is_open = true;
                    self.core.connected(self.now);
                }
                Effect::Disconnect => self.is_open = false,
                Effect::Token => {
                    self.tokens += 1;
                    self.core.token(self.now, Ok(format!("token {}", self.tokens / 3)));
                }
                Effect::Connect | Effect::Ping | Effect::Typing(_) | Effect::State(_) => {}
            }
        }
        assert_eq!(self.core.effect(), None, "effects do not stop");
        assert!(!was_over || self.core.over().is_some(), "what is over stays over");
        for (id, queue, positions) in &mut self.queues {
            while let Some(taken) = queue.take_now() {
                match taken {
                    Ok(Item::Change(change)) if change.kind == ChangeKind::Gone => {}
                    Ok(Item::Change(change)) => {
                        let before = positions.insert(change.place, change.id);
                        assert!(before.is_none_or(|before| before < change.id), "a change came twice or too late");
                    }
                    Ok(Item::At(place, position)) => {
                        let reached = positions.entry(place).or_insert(position);
                        assert!(*reached <= position, "a position went back");
                        *reached = position;
                    }
                    Err(End::Full) => {
                        queue.reopen();
                        self.core.resume(self.now, *id);
                    }
                    Err(_) => break,
                }
            }
        }
    }
}
