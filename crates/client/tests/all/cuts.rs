//! Cuts, restarts, dead tokens: nothing lost, nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tertulia_client::{
    ChangeKind, Client, ConnectionState, Conversation, Disconnected, Error, Event, MyEvent, NewConversation,
    ObjectType, TokenProvider,
};

use crate::gate::Gate;
use crate::house::{House, now, short_lived, soon, soon_back};

async fn hear(talk: &mut Conversation, indexes: std::ops::Range<i64>) {
    for expected in indexes {
        assert_eq!(soon(talk.next_message()).await.unwrap().index, expected);
    }
}

/// Waits until the client is connected, or not.
async fn until(client: &Client, is_connected: bool) {
    let mut states = client.connection_states();
    soon(async {
        while (states.current() == ConnectionState::Connected) != is_connected {
            states.next().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_hears_everything_once_over_many_cuts() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    ana.add(talk.sid(), "ben").await.unwrap();
    let ben = house.enter_through(&gate, "ben").await;
    let mut heard = ben.conversation(talk.sid()).await.unwrap();
    for index in 0..200 {
        talk.send(index.to_string()).await.unwrap();
        if index % 20 == 0 {
            gate.cut();
        }
        if index % 7 == 0 {
            hear(&mut heard, index..index + 1).await;
        } else if index % 7 == 6 {
            hear(&mut heard, index - 5..index + 1).await;
        }
    }
    hear(&mut heard, 197..200).await;
    house.close().await;
}

#[tokio::test]
async fn what_is_acknowledged_over_cuts_is_there_once() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, [mut talk]) = house.talk(["ana"]).await;
    ana.add(talk.sid(), "ben").await.unwrap();
    let ben = house.enter_through(&gate, "ben").await;
    let (sid, mut acknowledged, mut unknown) = (talk.sid(), BTreeMap::new(), 0);
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..300 {
        let ben = ben.clone();
        waiting.spawn(async move { (number, ben.send(sid, number.to_string()).await) });
        if number % 30 == 29 {
            gate.cut();
        }
        tokio::task::yield_now().await;
        if number % 10 == 9 {
            while let Some(sent) = waiting.join_next().await {
                match sent.unwrap() {
                    (number, Ok(index)) => drop(acknowledged.insert(index, number.to_string())),
                    (_, Err(error)) => {
                        assert!(error.is_outcome_unknown(), "{error}");
                        unknown += 1;
                    }
                }
            }
        }
    }
    assert_eq!(acknowledged.len() + unknown, 300);
    let last = ana.send(sid, "last").await.unwrap();
    let mut bodies = Vec::new();
    for expected in 0..last {
        let message = soon(talk.next_message()).await.unwrap();
        assert_eq!(message.index, expected);
        let body = message.body.unwrap();
        assert!(acknowledged.remove(&expected).is_none_or(|sent| sent == body));
        bodies.push(body);
    }
    assert_eq!(acknowledged, BTreeMap::new());
    bodies.sort();
    bodies.dedup();
    assert_eq!(i64::try_from(bodies.len()).unwrap(), last, "nothing is there twice");
    house.close().await;
}

#[tokio::test]
async fn a_server_that_stops_and_starts_is_a_cut_like_any_other() {
    let mut house = House::lasting().await;
    let (ana, [talk, mut heard]) = house.talk(["ana", "ben"]).await;
    for round in 0..3 {
        talk.send("before").await.unwrap();
        house.stop().await;
        let sid = talk.sid();
        // It waits for the server.
        let waiting = {
            let ana = ana.clone();
            tokio::spawn(async move { ana.send(sid, "meanwhile").await })
        };
        tokio::task::yield_now().await;
        house.start().await;
        let sent = soon(waiting).await.unwrap();
        assert_eq!(sent.unwrap(), round * 3 + 1);
        talk.send("after").await.unwrap();
        hear(&mut heard, round * 3..round * 3 + 3).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_server_that_is_full_is_asked_again() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let ana = house.enter_through(&gate, "ana").await;
    let mut states = ana.connection_states();
    gate.turn_away();
    soon(async {
        loop {
            if let Some(ConnectionState::Reconnecting { why: Disconnected::NotAWebsocket(503), .. }) =
                states.next().await
            {
                break;
            }
        }
    })
    .await;
    gate.open();
    assert_eq!(soon(ana.conversations()).await.unwrap(), []);
    assert_eq!(ana.connection_state(), ConnectionState::Connected);
    house.close().await;
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_a_provider_may_fail_for_a_while() {
    let house = House::open().await;
    let (asked, passed) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let provider = {
        let (asked, passed, dev) = (Arc::clone(&asked), Arc::clone(&passed), house.dev.clone());
        TokenProvider::new(move || {
            let count = asked.fetch_add(1, Ordering::SeqCst);
            let token = dev.mint("ben", now() + passed.load(Ordering::SeqCst)).unwrap();
            async move { if (1..4).contains(&count) { Err("the token service is closed") } else { Ok(token) } }
        })
    };
    let (ana, [talk]) = house.talk(["ana"]).await;
    let sid = talk.sid();
    ana.add(sid, "ben").await.unwrap();
    let ben = Client::connect_with(&house.uri(), provider, soon_back()).await.unwrap();
    let mut heard = ben.conversation(sid).await.unwrap();
    talk.send("before").await.unwrap();
    hear(&mut heard, 0..1).await;
    // Beyond the four hours of both, and the grace. Ana's is a text, which stays dead.
    passed.store(5 * 3600, Ordering::SeqCst);
    house.pass(5 * 3600);
    let ended = soon(async {
        loop {
            if let Err(error) = talk.send("too late").await
                && !error.is_outcome_unknown()
            {
                break error;
            }
        }
    })
    .await;
    let Error::Disconnected(Disconnected::Refused(refusal)) = ended else { panic!("{ended}") };
    assert_eq!(refusal.code, Some(20104));
    // The next packet makes the server look at the time; what only reads is repeated.
    soon(ben.conversations()).await.unwrap();
    assert_eq!(soon(ben.send(sid, "after")).await.unwrap(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    hear(&mut heard, 1..2).await;
    house.close().await;
}

#[tokio::test]
async fn a_slow_reader_misses_nothing_over_a_cut() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    ana.add(talk.sid(), "ben").await.unwrap();
    let ben = house.enter_through(&gate, "ben").await;
    let mut heard = ben.conversation(talk.sid()).await.unwrap();
    // More than may wait, so the queue is full by the middle.
    let body = "x".repeat(30_000);
    for index in 0..90 {
        talk.send(&body).await.unwrap();
        if index == 60 {
            gate.cut();
        }
    }
    until(&ben, true).await;
    hear(&mut heard, 0..45).await;
    gate.cut();
    hear(&mut heard, 45..90).await;
    talk.send("last").await.unwrap();
    hear(&mut heard, 90..91).await;
    house.close().await;
}

#[tokio::test]
async fn more_objects_than_one_request_holds_go_on_after_a_cut() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, ben) = (house.enter("ana").await, house.enter_through(&gate, "ben").await);
    let mut sids = Vec::new();
    for number in 0..120 {
        let sid = ana.create_conversation(&NewConversation::named(number.to_string())).await.unwrap();
        ana.join(sid).await.unwrap();
        ana.add(sid, "ben").await.unwrap();
        sids.push(sid);
    }
    let names: Vec<String> = sids.iter().map(|sid| format!("{sid}.messages")).collect();
    let objects: Vec<_> = names.iter().map(|name| (name.as_str(), ObjectType::List)).collect();
    let mut all = ben.subscribe(&objects[..110]).await.unwrap();
    let mut rest = ben.subscribe(&objects[110..]).await.unwrap();
    gate.shut();
    for sid in &sids {
        ana.send(*sid, "missed").await.unwrap();
    }
    gate.open();
    let mut heard = [0; 110];
    for _ in 0..110 {
        let change = soon(all.next()).await.unwrap();
        assert_eq!(change.kind, ChangeKind::Added);
        heard[change.place] += 1;
    }
    assert_eq!(heard, [1; 110]);
    for _ in 0..10 {
        soon(rest.next()).await.unwrap();
    }
    ana.send(sids[3], "live").await.unwrap();
    assert_eq!(soon(all.next()).await.unwrap().place, 3);
    house.close().await;
}

#[tokio::test]
async fn who_is_removed_and_added_again_while_away_goes_on() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    let sid = talk.sid();
    ana.add(sid, "ben").await.unwrap();
    let ben = house.enter_through(&gate, "ben").await;
    let (mut heard, mut own) = (ben.conversation(sid).await.unwrap(), ben.events().await.unwrap());
    talk.send("one").await.unwrap();
    hear(&mut heard, 0..1).await;
    gate.shut();
    until(&ben, false).await;
    ana.remove(sid, "ben").await.unwrap();
    talk.send("two").await.unwrap();
    ana.add(sid, "ben").await.unwrap();
    talk.send("three").await.unwrap();
    gate.open();
    hear(&mut heard, 1..3).await;
    let event = soon(own.next()).await.unwrap();
    assert!(matches!(event, MyEvent::Added(added) if added == sid), "{event:?}");
    house.close().await;
}

#[tokio::test]
async fn who_is_removed_while_away_is_told() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    let sid = talk.sid();
    ana.add(sid, "ben").await.unwrap();
    let ben = house.enter_through(&gate, "ben").await;
    let (mut heard, mut own) = (ben.conversation(sid).await.unwrap(), ben.events().await.unwrap());
    gate.shut();
    until(&ben, false).await;
    ana.remove(sid, "ben").await.unwrap();
    gate.open();
    assert_eq!(soon(own.next()).await.unwrap(), MyEvent::Removed(sid));
    let gone = soon(heard.next_event()).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    // What was subscribed to beside it goes on.
    ana.add(sid, "ben").await.unwrap();
    assert_eq!(soon(own.next()).await.unwrap(), MyEvent::Added(sid));
    let mut heard = ben.conversation_after(sid, heard.position()).await.unwrap();
    talk.send("again").await.unwrap();
    assert!(matches!(soon(heard.next_event()).await.unwrap(), Event::Added(_)));
    house.close().await;
}

#[tokio::test]
async fn who_closes_while_away_is_gone_at_once() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let ana = house.enter_through(&gate, "ana").await;
    let mut own = ana.subscribe_own().await.unwrap();
    gate.shut();
    until(&ana, false).await;
    let waiting = {
        let ana = ana.clone();
        tokio::spawn(async move { ana.conversations().await })
    };
    tokio::task::yield_now().await;
    soon(ana.clone().close()).await;
    assert!(matches!(soon(waiting).await.unwrap(), Err(Error::Disconnected(Disconnected::Closed))));
    assert!(matches!(soon(own.next()).await, Err(Error::Disconnected(Disconnected::Closed))));
    assert_eq!(ana.connection_state(), ConnectionState::Ended(Disconnected::Closed));
    house.close().await;
}

#[tokio::test]
async fn a_token_near_its_death_is_not_used_for_the_next_connection() {
    let house = House::open().await;
    let gate = Gate::before(house.address()).await;
    let asked = Arc::new(AtomicI64::new(0));
    let provider = {
        let (asked, dev) = (Arc::clone(&asked), house.dev.clone());
        TokenProvider::new(move || {
            let count = asked.fetch_add(1, Ordering::SeqCst);
            let token = short_lived(&dev, "ana", if count == 0 { 100 } else { 3000 });
            async move { Ok::<_, std::convert::Infallible>(token) }
        })
    };
    let ana = Client::connect_with(&gate.uri(), provider, soon_back()).await.unwrap();
    ana.conversations().await.unwrap();
    gate.shut();
    until(&ana, false).await;
    gate.open();
    assert_eq!(soon(ana.conversations()).await.unwrap(), []);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    house.close().await;
}
