//! What happens in a run: the application's commands, and when nodes die and the bus goes away.

use tertulia_store::News;

use crate::client::core::CoreClient;
use crate::client::{Alarm, Client, Sdk};
use crate::plant::Plant;
use crate::rows::Command;
use crate::world::{Event, Place, World};

/// Conversations that there are at most, deleted ones included.
const ROOMS_MAX: usize = 4;

impl World {
    /// Clients, first conversations, and what will go wrong.
    pub fn begin(&mut self) {
        for _ in 0..2 {
            let users = self.some_users();
            let now = self.at();
            self.rows.perform(&Command::Create(users), now);
        }
        let users: Vec<_> = self.rows.users.iter().map(|user| user.sid).collect();
        for place in 0..3 + self.chance.below(2) {
            let user = users[place % users.len()];
            let infos = if self.chance.happens(300) { vec![user, users[0]] } else { Vec::new() };
            let seed = self.chance.between(0, i64::MAX / 2).unsigned_abs();
            let client: Box<dyn Client> = match self.chance.happens(500) {
                true => Box::new(CoreClient::new(user, infos, seed, self.plant == Some(Plant::NoPositions))),
                false => Box::new(Sdk::new(user, infos, seed)),
            };
            self.clients.push((client, None));
            self.within(1_500_000, Event::Wake(place, Alarm::Start));
        }
        for node in 0..self.nodes.len() {
            if self.chance.happens(350) {
                let dies = self.chance.between(200_000, 3_000_000);
                self.later(dies, Event::Die(node));
                let rises = self.chance.between(10_000, 1_500_000);
                self.later(dies + rises, Event::Rise(node));
            }
            while self.weather.loss > 0 && self.chance.happens(700) {
                self.within(3_000_000, Event::Sweep(node));
            }
        }
        if self.chance.happens(300) {
            let down = self.chance.between(0, 3_000_000);
            self.later(down, Event::BusDown);
            let up = self.chance.between(10_000, 800_000);
            self.later(down + up, Event::BusUp);
        }
        self.within(500_000, Event::Act);
    }

    /// The application does one thing, through a node that is there.
    pub fn act(&mut self) {
        if self.acts == 0 {
            self.note(|_| "nothing goes wrong any more".to_owned());
            self.is_calm = true;
            return;
        }
        let node = self.chance.below(self.nodes.len());
        if self.nodes[node].is_alive && !self.is_committing {
            self.acts -= 1;
            let command = self.command();
            self.perform_at(node, command);
        }
        let pause = [1_000, 20_000, 300_000][self.chance.below(3)];
        self.within(pause, Event::Act);
    }

    fn perform_at(&mut self, node: Place, command: Command) {
        let life = self.nodes[node].life;
        let now = self.at();
        if self.plant == Some(Plant::NewsFirst) {
            // A planted fault: told before it is committed, which it may never be.
            let news = self.rows.clone().perform(&command, now);
            self.note(|_| format!("node {node}: tells of {command:?} before its commit"));
            self.publish(node, life, news);
            self.is_committing = true;
            return self.within(60_000, Event::Commit(node, life, command));
        }
        let news = self.rows.perform(&command, now);
        self.note(|_| format!("node {node}: commits {command:?}: {}", list(&news)));
        if !news.is_empty() {
            self.within(self.weather.publish_micros, Event::Publish(node, life, news));
        }
    }

    /// What was told of before is committed, if its node still lives.
    pub fn commit_late(&mut self, node: Place, life: u32, command: &Command) {
        self.is_committing = false;
        if self.nodes[node].is_alive && self.nodes[node].life == life {
            let now = self.at();
            let news = self.rows.perform(command, now);
            self.note(|_| format!("node {node}: commits {command:?}: {}", list(&news)));
        }
    }

    fn command(&mut self) -> Command {
        let room = self.chance.below(self.rooms());
        let user = self.chance.below(self.rows.users.len());
        match self.chance.below(100) {
            0..=2 if self.rooms() < ROOMS_MAX => Command::Create(self.some_users()),
            0..=34 => {
                let count = if self.chance.happens(150) { 2 + self.chance.below(6) } else { 1 };
                Command::Send(room, user, count)
            }
            35..=44 => Command::Edit(room, self.some_message(room)),
            45..=54 => Command::Remove(room, self.some_message(room)),
            55..=61 => Command::Rename(room),
            62..=67 => Command::Read(room, user, self.chance.between(0, 20)),
            68..=79 => Command::Add(room, self.some_users()),
            80..=91 => Command::TakeOut(room, self.some_users()),
            92 => Command::Delete(room),
            _ => Command::Describe(user, self.chance.happens(500)),
        }
    }

    fn rooms(&self) -> usize {
        self.rows.rooms.len()
    }

    fn some_message(&mut self, room: usize) -> usize {
        self.chance.below(self.rows.rooms.get(room).map_or(1, |room| room.messages.len()))
    }

    fn some_users(&mut self) -> Vec<usize> {
        let all = 0..self.rows.users.len();
        all.filter(|_| self.chance.happens(550)).collect()
    }
}

fn list(news: &[News]) -> String {
    let one = |news: &News| format!("{} {}-{}", crate::node::name(news.stream), news.after, news.upto);
    news.iter().map(one).collect::<Vec<_>>().join(", ")
}
