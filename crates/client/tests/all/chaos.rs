//! Random people on a random network: whoever folds the events has what the store has.

use std::collections::BTreeMap;

use tertulia_client::{Client, Conversation, Event, Message, Order, Sid, sid};

use crate::gate::Gate;
use crate::house::{House, soon};

/// xorshift64*: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }
}

/// What a reader knows: the messages by their indexes.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) messages: BTreeMap<i64, Message>,
    pub(crate) added: Vec<i64>,
}

impl View {
    fn take(&mut self, event: Event) {
        match event {
            Event::Added(message) => {
                self.added.push(message.index);
                self.messages.insert(message.index, message);
            }
            // It may have gone since, and been told so.
            Event::Updated(message) => drop(self.messages.insert(message.index, message)),
            Event::Removed(index) => drop(self.messages.remove(&index)),
            Event::Changed => {}
        }
    }

    /// Until the message with this index has come.
    pub(crate) async fn read_to(&mut self, talk: &mut Conversation, last: i64) {
        while self.added.last() != Some(&last) {
            let event = soon(talk.next_event()).await.unwrap();
            self.take(event);
        }
    }
}

/// All that the store has.
pub(crate) async fn kept(client: &Client, sid: Sid<sid::Conversation>) -> BTreeMap<i64, Message> {
    let (mut all, mut from) = (BTreeMap::new(), None);
    loop {
        let page = client.page(sid, from, Order::Ascending).await.unwrap();
        all.extend(page.messages.into_iter().map(|message| (message.index, message)));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

async fn play(seed: u64) {
    #[expect(clippy::print_stdout, reason = "a failure says which seed it was")]
    {
        println!("seed {seed}");
    }
    let mut chance = Chance(seed);
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    let sid = talk.sid();
    for other in ["ben", "cid"] {
        ana.add(sid, other).await.unwrap();
    }
    let (ben, cid) = (house.enter_through(&gate, "ben").await, house.enter_through(&gate, "cid").await);
    let mut readers = Vec::new();
    for client in [&ben, &cid] {
        readers.push((client.conversation_after(sid, 0).await.unwrap(), View::default()));
    }
    let mut own: Vec<Sid<sid::Message>> = Vec::new();
    for step in 0..120 {
        match chance.below(10) {
            0 => gate.cut(),
            // Whatever becomes of it at a cut.
            1 => drop(ben.send(sid, format!("ben {step}")).await),
            2 | 3 if !own.is_empty() => {
                let message = own[chance.below(own.len() as u64) as usize];
                ana.edit_message(sid, message, &format!("changed {step}")).await.unwrap();
            }
            4 if !own.is_empty() => {
                let message = own.swap_remove(chance.below(own.len() as u64) as usize);
                ana.remove_message(sid, message).await.unwrap();
            }
            5 => {
                // Somebody falls behind, and reads on.
                let (talk, view) = &mut readers[chance.below(2) as usize];
                if let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(1), talk.next_event()).await {
                    view.take(event.unwrap());
                }
            }
            _ => {
                let index = talk.send(format!("ana {step}")).await.unwrap();
                own.push(ana.page(sid, Some(index), Order::Ascending).await.unwrap().messages[0].sid);
            }
        }
    }
    let last = talk.send("last").await.unwrap();
    let kept = kept(&ana, sid).await;
    for (talk, view) in &mut readers {
        view.read_to(talk, last).await;
        let mut expected: Vec<i64> = (0..=last).collect();
        // What came and went while a reader was away was never told as having come.
        expected.retain(|index| kept.contains_key(index) || view.added.contains(index));
        assert_eq!(view.added, expected, "seed {seed}: each message once and in order");
        assert_eq!(view.messages, kept, "seed {seed}");
    }
    house.close().await;
}

#[tokio::test]
async fn whoever_folds_the_events_has_what_the_store_has() {
    for seed in 1..=6 {
        play(seed).await;
    }
}
