//! Every fault that the server provokes on itself, with readers and a writer of this client: afterwards they have what
//! the store has. (`stop` ends the process, so it is in the command line's tests: `tertulia chat` is this client.)

use tertulia_client::{Client, Conversation, Order, Sid, sid};

use crate::chaos::{View, kept};
use crate::house::{House, soon};

/// Sends until it is acknowledged: a refusal and a lost answer are the faults' doing.
async fn send(talk: &mut Conversation, text: &str) -> i64 {
    for _ in 0..50 {
        if let Ok(index) = soon(talk.send(text)).await {
            return index;
        }
    }
    panic!("{text} is not taken")
}

async fn at(client: &Client, talk: Sid<sid::Conversation>, index: i64) -> Sid<sid::Message> {
    client.page(talk, Some(index), Order::Ascending).await.unwrap().messages[0].sid
}

async fn play(fault: &str) {
    let house = House::open().await;
    let (ana, [mut talk]) = house.talk(["ana"]).await;
    let sid = talk.sid();
    ana.add(sid, "ben").await.unwrap();
    let ben = house.enter("ben").await;
    let (mut reader, mut view) = (ben.conversation_after(sid, 0).await.unwrap(), View::default());
    let (first, second) = (send(&mut talk, "first").await, send(&mut talk, "second").await);
    let (first, second) = (at(&ana, sid, first).await, at(&ana, sid, second).await);
    view.read_to(&mut reader, 1).await;
    for form in fault.split(' ') {
        house.fault(Some(&form.replace("CONVERSATION", sid.as_str()))).await;
    }
    for step in 0..8 {
        send(&mut talk, &format!("step {step}")).await;
        if step == 2 {
            // What a fault refuses is asked for once more.
            while ana.edit_message(sid, first, "changed").await.is_err() {}
        }
        if step == 4 {
            while ana.remove_message(sid, second).await.is_err() {}
        }
    }
    house.fault(None).await;
    let last = send(&mut talk, "last").await;
    soon(view.read_to(&mut reader, last)).await;
    let kept = kept(&ana, sid).await;
    let mut expected: Vec<i64> = (0..=last).collect();
    expected.retain(|index| kept.contains_key(index) || view.added.contains(index));
    assert_eq!(view.added, expected, "{fault}: each message once and in order");
    assert_eq!(view.messages, kept, "{fault}");
    house.close().await;
}

macro_rules! faults {
    ($($name:ident: $form:literal;)*) => {
        $(#[tokio::test] async fn $name() { play($form).await; })*
    };
}

faults! {
    every_connection_is_cut: "Kind=cut";
    a_connection_is_cut_after_some_packets: "Kind=cut&Identity=ben&AfterPackets=3&Times=2";
    coming_back_is_refused_at_first: "Kind=refuse-upgrade&Times=3 Kind=cut";
    news_come_late: "Kind=delay-event&Stream=talk&Milliseconds=200&Times=3";
    news_are_lost: "Kind=drop-event&Stream=talk&Times=3";
    all_news_are_lost: "Kind=drop-event&Times=0";
    news_come_twice: "Kind=duplicate-event&Stream=talk&Times=0";
    news_come_behind_the_next_ones: "Kind=reorder-event&Stream=talk&Milliseconds=200&Times=4";
    positions_are_skipped: "Kind=hole&ConversationSid=CONVERSATION&Stream=talk&Positions=3";
    requests_are_refused: "Kind=answer&Method=POST&Path=*/Messages&Times=3";
    answers_are_lost: "Kind=answer&Method=POST&Path=*/Messages&Times=2&When=after";
    replies_wait: "Kind=hold&Path=*/Messages&Milliseconds=100&Times=3";
}
