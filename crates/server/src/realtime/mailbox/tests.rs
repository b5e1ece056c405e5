//! Mailboxes alone and together: order, bounds, and who is given up.

use bytes::Bytes;

use super::*;
use crate::realtime::news::Part;

fn packet(text: &'static str) -> Post {
    Post::Packet { stream: STREAM, part: Part::Whole, packet: Bytes::from_static(text.as_bytes()) }
}

const STREAM: StreamId = StreamId { kind: 1, key: 1 };
const WIDE: Bounds = Bounds { packets_max: 1000, bytes_max: 1 << 20 };

#[tokio::test]
async fn what_is_posted_comes_in_order() {
    let mailbox = Mailbox::new(Sid::from_number(1), true, Bounds { packets_max: 2, bytes_max: 100 });
    mailbox.post(packet("a"));
    mailbox.post(Post::Own { upto: 7, ended: None });
    assert_eq!(mailbox.own_position(), 7);
    assert_eq!(mailbox.receive().await, Ok(packet("a")));
    assert_eq!(mailbox.receive().await, Ok(Post::Own { upto: 7, ended: None }));
}

#[tokio::test]
async fn typing_never_ends_a_slow_reader() {
    let mailbox = Mailbox::new(Sid::from_number(1), true, Bounds { packets_max: 40, bytes_max: 1000 });
    for _ in 0..1000 {
        mailbox.post(Post::Typing(Bytes::from_static(b"t")));
    }
    for _ in 0..TYPING_PACKETS_MAX {
        assert!(mailbox.receive().await.is_ok());
    }
}

#[test]
fn typing_is_heard_once_the_messages_are_subscribed_to() {
    let (bob, alice, conversation) = (Sid::from_number(1), Sid::from_number(2), Sid::from_number(7));
    let mailbox = Mailbox::new(bob, true, WIDE);
    assert!(!mailbox.hears_typing_of(alice, conversation));
    mailbox.attached(talk(conversation), Watch::Part(Part::Document));
    assert!(!mailbox.hears_typing_of(alice, conversation), "the messages are not live yet");
    mailbox.attached(talk(conversation), Watch::Part(Part::Messages));
    assert!(mailbox.hears_typing_of(alice, conversation));
    assert!(!mailbox.hears_typing_of(bob, conversation), "one's own typing");
    assert!(!mailbox.hears_typing_of(alice, Sid::from_number(8)));
}

#[tokio::test]
async fn a_full_mailbox_is_given_up_as_a_whole() {
    for bounds in [Bounds { packets_max: 1, bytes_max: 100 }, Bounds { packets_max: 9, bytes_max: 3 }] {
        let mailbox = Mailbox::new(Sid::from_number(1), true, bounds);
        mailbox.post(packet("aa"));
        mailbox.post(packet("bb"));
        assert_eq!(mailbox.receive().await, Err(Overflow));
    }
}

#[tokio::test]
async fn who_writes_hears_of_nothing_but_the_end() {
    let mailbox = Mailbox::new(Sid::from_number(1), true, Bounds { packets_max: 1, bytes_max: 100 });
    let mut ending = Box::pin(mailbox.given_up());
    assert!(poll_once(&mut ending).await.is_none());
    mailbox.post(packet("a"));
    assert!(poll_once(&mut ending).await.is_none());
    mailbox.post(packet("b"));
    assert_eq!(ending.await, Overflow);
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut future = std::pin::Pin::new(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_full_room_gives_the_fullest_up_and_nobody_else() {
    let room = Mailroom::new(10_000);
    let open = |number| room.open(Sid::from_number(number), true, WIDE);
    let (slow, middling, quick) = (open(1), open(2), open(3));
    let long = Bytes::from(vec![b'x'; 500]);
    let post = |mailbox: &Arc<Mailbox>| {
        mailbox.post(Post::Packet { stream: STREAM, part: Part::Whole, packet: long.clone() });
    };
    (0..4).for_each(|_| post(&middling));
    post(&quick);
    (0..20).for_each(|_| post(&slow));
    assert_eq!(slow.receive().await, Err(Overflow));
    assert!(middling.receive().await.is_ok() && quick.receive().await.is_ok());
    assert!(room.taken() <= 10_000 - 10_000 / 8);
    drop((slow, middling, quick));
    assert_eq!(room.taken(), 0, "whoever leaves takes nothing any more");
}

#[test]
fn an_answer_counts_in_the_room_and_not_in_the_mailbox() {
    let room = Mailroom::new(1 << 20);
    let mailbox = room.open(Sid::from_number(1), true, Bounds { packets_max: 1, bytes_max: 10 });
    for _ in 0..5 {
        mailbox.post(Post::Answer(Bytes::from(vec![0; 100])));
    }
    assert!(room.taken() >= 500);
    while mailbox.take_waiting().is_some() {}
    assert_eq!(room.taken(), 0);
}

#[test]
fn a_waiting_packet_costs_little_beside_its_bytes() {
    assert!(size_of::<Held>() <= 56, "{}", size_of::<Held>());
}
