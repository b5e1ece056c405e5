//! The core in a small world of its own, played by chance: a server that keeps what happened, a network that
//! is slow and is cut, a reader who takes when it likes. The whole service is simulated elsewhere.

use super::*;
use crate::subscription::ChangeKind;

const SIDS: [&str; 3] = ["ES1", "ES2", "ES3"];

struct World {
    stage: Stage,
    chance: Waits,
    /// The last position of each object; every position up to it is a change.
    happened: [i64; 3],
    /// Of the current connection: what is on its way, and which objects it tells live.
    on_its_way: VecDeque<Vec<u8>>,
    is_open: bool,
    live: [bool; 3],
    queue: Arc<Queue>,
    taken: [Vec<i64>; 3],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut stage = Stage::with(Options::default());
        let queue = Queue::new(SIDS.len());
        let watch = |sid: &&str| Watch { sid: (*sid).to_owned(), kind: ObjectType::List, position: 0 };
        stage.core.subscribe(stage.now, 1, &queue, SIDS.iter().map(watch).collect());
        Self {
            stage,
            chance: Waits::new(Backoff::default(), seed),
            happened: [0; 3],
            on_its_way: VecDeque::new(),
            is_open: false,
            live: [false; 3],
            queue,
            taken: Default::default(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance.draw() % bound
    }

    /// Performs what the core wants; the server is quick, the network is not.
    fn perform(&mut self) {
        while let Some(effect) = self.stage.core.effect() {
            match effect {
                Effect::Token => self.stage.core.token(self.stage.now, Ok("one".to_owned())),
                Effect::Connect => match self.below(4) {
                    0 => self.stage.core.disconnected(self.stage.now, Disconnected::NotAWebsocket(503)),
                    _ => {
                        self.is_open = true;
                        self.stage.core.connected(self.stage.now);
                    }
                },
                Effect::Send(packet) if self.is_open => self.serve(&packet),
                Effect::Disconnect => self.forget_connection(),
                Effect::Ping => self.stage.core.heard(self.stage.now),
                _ => {}
            }
        }
    }

    fn forget_connection(&mut self) {
        self.is_open = false;
        self.on_its_way.clear();
        self.live = [false; 3];
    }

    fn serve(&mut self, packet: &[u8]) {
        let packet = Packet::parse(packet).unwrap();
        let header: Value = serde_json::from_slice(packet.header).unwrap();
        let id = header["id"].as_str().unwrap();
        match header["method"].as_str().unwrap() {
            "init" => self.on_its_way.push_back(init_reply(id, &"c".repeat(32), false, "ST1")),
            "message" => {
                let body: Value = serde_json::from_slice(packet.payload).unwrap();
                if self.below(10) == 0 {
                    return self.on_its_way.push_back(http_reply(id, 503, b"{}"));
                }
                let answers_first = self.below(2) == 0;
                if answers_first {
                    self.on_its_way.push_back(http_reply(id, 200, b"{}"));
                }
                let correlation = body["correlation_id"].as_u64().unwrap();
                for entry in body["requests"].as_array().unwrap() {
                    self.establish(correlation, entry);
                }
                if !answers_first {
                    self.on_its_way.push_back(http_reply(id, 200, b"{}"));
                }
            }
            _ => {}
        }
    }

    fn establish(&mut self, correlation: u64, entry: &Value) {
        let sid = entry["object_sid"].as_str().unwrap();
        let place = SIDS.iter().position(|known| *known == sid).unwrap();
        let (from, upto) = (entry["last_event_id"].as_i64().unwrap(), self.happened[place]);
        assert!(from <= upto, "it has heard of what never happened");
        let chance = self.below(12);
        if chance == 0 {
            return self.say(&failed(sid, correlation, 503));
        }
        let part = if chance < 4 { upto.min(from + 300) } else { upto };
        (from + 1..=part).for_each(|id| self.say(&added(sid, id, Some(correlation))));
        let mut answer = established(sid, correlation, part);
        if part < upto {
            answer["events"][0]["replay_status"] = "interrupted".into();
        } else {
            self.live[place] = true;
        }
        self.say(&answer);
    }

    fn say(&mut self, payload: &Value) {
        let kind = if payload["correlation_id"].is_null() { message_type::LIST } else { message_type::SYNC };
        self.on_its_way.push_back(notification("TM1", kind, payload.to_string().as_bytes()));
    }

    fn happen(&mut self) {
        let place = usize::try_from(self.below(3)).unwrap();
        for _ in 0..=self.below(120) {
            self.happened[place] += 1;
            if self.is_open && self.live[place] {
                self.say(&added(SIDS[place], self.happened[place], None));
            }
        }
    }

    fn arrive(&mut self) {
        for _ in 0..=self.below(400) {
            let Some(packet) = self.on_its_way.pop_front() else { break };
            self.stage.packet(&packet);
            self.perform();
        }
    }

    fn read(&mut self) {
        for _ in 0..=self.below(600) {
            match self.queue.take_now() {
                None => break,
                Some(Ok(Item::Change(change))) => {
                    assert_eq!(change.kind, ChangeKind::Added);
                    self.taken[change.place].push(change.id);
                }
                Some(Ok(Item::At(..))) => {}
                Some(Err(End::Full)) => {
                    self.queue.reopen();
                    self.stage.core.resume(self.stage.now, 1);
                }
                Some(Err(end)) => panic!("{end:?}"),
            }
        }
    }

    fn step(&mut self) {
        match self.below(16) {
            0 if self.is_open && self.stage.core.was_live => {
                self.forget_connection();
                self.stage.core.disconnected(self.stage.now, Disconnected::Broken("cut".to_owned()));
            }
            1 | 2 => {
                let time = Duration::from_millis(self.below(4000));
                self.stage.pass(time);
            }
            3..=6 => self.happen(),
            7..=11 => self.arrive(),
            _ => self.read(),
        }
        self.perform();
    }
}

#[test]
fn whatever_the_network_does_each_change_is_read_once_and_in_order() {
    for seed in 0..15 {
        let mut world = World::new(seed);
        while !world.stage.core.was_live {
            // A first connection that fails is the end; it begins anew.
            if world.stage.core.over().is_some() {
                world = World::new(world.chance.draw());
            }
            world.perform();
            world.arrive();
        }
        (0..200).for_each(|_| world.step());
        // Fair weather.
        let all: [Vec<i64>; 3] = world.happened.map(|upto| (1..=upto).collect());
        for _ in 0..2000 {
            if world.taken == all {
                break;
            }
            world.stage.pass(Duration::from_secs(1));
            world.perform();
            world.arrive();
            world.read();
            world.perform();
        }
        assert_eq!(world.taken, all, "seed {seed}");
    }
}
