//! A node: its hub, and what the bus and the store do to it. What the server's own bus does with a hub's
//! needs, done here in simulated time.

use std::collections::HashMap;
use std::sync::Arc;

use tertulia_server::realtime::hub::{Hub, Interest, Need};
use tertulia_server::realtime::mailbox::Mailbox;
use tertulia_server::realtime::news::Replayed;
use tertulia_store::{News, StreamId};

use crate::world::{Event, Place, World};

/// One node of the cluster.
#[derive(Debug)]
pub struct Node {
    /// Its hub.
    pub hub: Hub<Arc<Mailbox>>,
    /// Whether it runs.
    pub is_alive: bool,
    /// How often it was started: what was meant for an earlier life goes nowhere.
    pub life: u32,
    /// Since when the others know that somebody here watches a stream.
    interest: HashMap<StreamId, i64>,
}

impl Node {
    /// A node that has just started.
    pub fn new(interest: Interest) -> Self {
        Self { hub: Hub::new(interest), is_alive: true, life: 0, interest: HashMap::new() }
    }
}

/// The longest time until the others know of an interest; the hub's patience is a second.
const INTEREST_MICROS: i64 = 900_000;
/// The longest time until a death is noticed.
const LEASE_MICROS: i64 = 600_000;

impl World {
    fn lives(&self, node: Place, life: u32) -> bool {
        self.nodes[node].is_alive && self.nodes[node].life == life
    }

    /// Does what a hub needs done, once its patience is over.
    pub fn follow(&mut self, node: Place, need: Option<Need>) {
        let Some(need) = need else { return };
        if let Need::ReadLater(stream) = need {
            // The topic is new: from some moment on the others know.
            let known = self.now + self.chance.between(0, INTEREST_MICROS);
            self.nodes[node].interest.insert(stream, known);
        }
        let patience = i64::try_from(need.patience().as_micros()).unwrap_or(i64::MAX);
        self.later(patience, Event::Read(node, self.nodes[node].life, need));
    }

    /// News leave the node that committed them: to its own hub, and to the bus.
    pub fn publish(&mut self, node: Place, life: u32, all: Vec<News>) {
        if !self.lives(node, life) {
            self.note(|_| format!("node {node}: dead, and {} pieces of news with it", all.len()));
            return;
        }
        for news in all {
            let (stream, after, upto) = (news.stream, news.after, news.upto);
            self.note(|_| format!("node {node}: publishes {} {after}-{upto}", name(stream)));
            if !self.is_calm && self.chance.happens(self.weather.overflow) {
                let need = self.nodes[node].hub.doubt(stream);
                self.follow(node, need);
            } else {
                self.arrive(node, life, &news);
            }
            self.send_over(1 - node, &news);
        }
    }

    /// The bus takes news to another node, or does not.
    fn send_over(&mut self, node: Place, news: &News) {
        let other = &self.nodes[node];
        let life = other.life;
        let is_known = match self.weather.interest {
            Interest::AtOnce => true,
            Interest::Spreads => other.interest.get(&news.stream).is_some_and(|known| *known <= self.now),
        };
        if !self.has_bus || !is_known || (!self.is_calm && self.chance.happens(self.weather.loss)) {
            self.note(|_| format!("the bus loses {} {}", name(news.stream), news.upto));
            return;
        }
        self.within(self.weather.bus_micros, Event::Arrive(node, life, news.clone()));
        if self.chance.happens(self.weather.repeats) {
            self.within(self.weather.bus_micros * 2, Event::Arrive(node, life, news.clone()));
        }
    }

    /// News reach a node's hub.
    pub fn arrive(&mut self, node: Place, life: u32, news: &News) {
        if !self.lives(node, life) {
            return;
        }
        let need = self.nodes[node].hub.news(news);
        self.note(|_| format!("node {node}: hears {} {}-{}{}", name(news.stream), news.after, news.upto, told(need)));
        self.follow(node, need);
    }

    /// Reads a stream after what its topic holds: now, though the answer comes later.
    pub fn read(&mut self, node: Place, life: u32, stream: StreamId, in_any_case: bool) {
        if !self.lives(node, life) {
            return;
        }
        let Some((_, after)) = self.nodes[node].hub.begin_read(stream, in_any_case) else { return };
        let fails = !self.is_calm && self.chance.happens(30);
        let replayed = (!fails).then(|| self.rows.replayed(stream, after));
        let upto = replayed.as_ref().map(|replayed| replayed.upto);
        self.note(|_| format!("node {node}: reads {} after {after}: {upto:?}", name(stream)));
        self.within(self.weather.read_micros, Event::ReadDone(node, life, stream, replayed));
    }

    /// What the store said reaches the hub.
    pub fn read_done(&mut self, node: Place, life: u32, stream: StreamId, replayed: Option<Replayed>) {
        if !self.lives(node, life) {
            return;
        }
        let hub = &mut self.nodes[node].hub;
        let need = match replayed {
            Some(replayed) => hub.fill(stream, replayed),
            None => hub.give_up(stream),
        };
        self.note(|_| format!("node {node}: has read {}{}", name(stream), told(need)));
        self.follow(node, need);
    }

    /// Compares every watched stream with the store.
    pub fn sweep(&mut self, node: Place) {
        if self.nodes[node].is_alive {
            self.note(|_| format!("node {node}: sweeps"));
            let mut streams = self.nodes[node].hub.streams();
            streams.sort();
            for stream in streams {
                self.read(node, self.nodes[node].life, stream, true);
            }
        }
    }

    /// News may have been lost, and the node knows it.
    pub fn doubt_all(&mut self, node: Place) {
        if !self.nodes[node].is_alive {
            return;
        }
        self.note(|_| format!("node {node}: doubts everything"));
        let mut needs = self.nodes[node].hub.doubt_all();
        needs.sort_by_key(|need| need.stream());
        needs.into_iter().for_each(|need| self.follow(node, Some(need)));
    }

    /// The bus is back: what was published meanwhile is lost, and everybody knows.
    pub fn bus_up(&mut self) {
        self.has_bus = true;
        (0..self.nodes.len()).for_each(|node| self.within(5_000, Event::Lapse(node)));
    }

    /// A node dies: connections break, and news that were to leave stay.
    pub fn die(&mut self, node: Place) {
        self.note(|_| format!("node {node}: dies"));
        self.nodes[node].is_alive = false;
        let here = self.connections.iter().enumerate().filter(|(_, one)| one.node == node && one.is_open);
        let broken: Vec<Place> = here.map(|(place, _)| place).collect();
        broken.into_iter().for_each(|connection| self.end(connection));
        self.within(LEASE_MICROS, Event::Lapse(1 - node));
    }

    /// A node starts anew.
    pub fn rise(&mut self, node: Place) {
        self.note(|_| format!("node {node}: rises"));
        let life = self.nodes[node].life + 1;
        self.nodes[node] = Node { life, ..Node::new(self.weather.interest) };
    }
}

fn told(need: Option<Need>) -> String {
    match need {
        None => String::new(),
        Some(Need::ReadSoon(_)) => ", will read soon".to_owned(),
        Some(Need::ReadNow(_)) => ", will read now".to_owned(),
        Some(Need::ReadLater(_)) => ", will read later".to_owned(),
    }
}

/// A stream, for people.
pub fn name(stream: StreamId) -> String {
    let kind = ["?", "talk", "roster", "mine", "info"][usize::from(stream.kind.min(4))];
    format!("{kind} {:x}", stream.key)
}
