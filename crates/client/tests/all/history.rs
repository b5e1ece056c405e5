//! What was said before, and what a reader missed.

use tertulia_client::{Conversation, Order};

use crate::house::{House, soon};

async fn say(talk: &Conversation, count: i64) {
    for index in 0..count {
        talk.send(&index.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn pages_lead_through_the_history_both_ways() {
    let house = House::open().await;
    let (_ana, [talk]) = house.talk(["ana"]).await;
    say(&talk, 120).await;
    for order in [Order::Ascending, Order::Descending] {
        let (mut seen, mut from) = (Vec::new(), None);
        loop {
            let page = talk.page(from, order).await.unwrap();
            assert!(page.messages.len() <= 50);
            seen.extend(page.messages.iter().map(|message| message.index));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let mut expected: Vec<i64> = (0..120).collect();
        if order == Order::Descending {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
    let page = talk.page(Some(7), Order::Descending).await.unwrap();
    assert_eq!((page.messages.len(), page.messages[0].index, page.next), (8, 7, None));
    house.close().await;
}

#[tokio::test]
async fn what_was_missed_comes_before_what_happens() {
    let house = House::open().await;
    let (_ana, [ana, ben]) = house.talk(["ana", "ben"]).await;
    let (sid, position) = (ben.sid(), ben.position());
    drop(ben);
    say(&ana, 10).await;
    let back = house.enter("ben").await;
    let mut ben = back.conversation_after(sid, position).await.unwrap();
    say(&ana, 10).await;
    for expected in 0..20 {
        assert_eq!(soon(ben.next_message()).await.unwrap().index, expected);
    }
    house.close().await;
}

#[tokio::test]
async fn a_reader_that_falls_far_behind_misses_nothing() {
    let house = House::open().await;
    let (_ana, [ana, mut ben]) = house.talk(["ana", "ben"]).await;
    let count = 1500;
    say(&ana, count).await;
    for expected in 0..count {
        assert_eq!(soon(ben.next_message()).await.unwrap().index, expected);
    }
    assert_eq!(ana.send("last").await.unwrap(), count);
    assert_eq!(soon(ben.next_message()).await.unwrap().body.as_deref(), Some("last"));
    house.close().await;
}
