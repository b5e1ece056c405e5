use std::cell::RefCell;
use std::rc::Rc;

use super::super::news::{news, talk};
use super::*;
use tertulia_protocol::Timestamp;
use tertulia_protocol::sync::{Event, ItemKey, Object, ObjectChange, data};

#[derive(Clone, Default)]
struct Box(Rc<RefCell<Vec<Post>>>);

impl Mail for Box {
    fn post(&self, post: Post) {
        self.0.borrow_mut().push(post);
    }
    fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
    fn hears_typing_of(&self, _: Sid<User>) -> bool {
        true
    }
    fn holder(&self) -> Option<Arc<Holder>> {
        None
    }
}

impl Box {
    /// The positions told so far.
    fn heard(&self) -> Vec<i64> {
        let posts = self.0.borrow();
        posts.iter().map(|post| if let Post::Packet { packet, .. } = post { position(packet) } else { -1 }).collect()
    }
}

fn position(packet: &Bytes) -> i64 {
    let packet = tertulia_protocol::packet::Packet::parse(packet).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(packet.payload).unwrap();
    payload["events"][0]["id"].as_i64().unwrap()
}

const CONVERSATION: u128 = 7;

fn stream() -> StreamId {
    talk(Sid::from_number(CONVERSATION))
}

fn event(id: i64) -> Event {
    let object = Object::Messages(Sid::from_number(CONVERSATION));
    Event { object, id, at: Timestamp::from_seconds(0), change: ObjectChange::Added(ItemKey::Index(id), data(&id)) }
}

fn piece(id: i64) -> News {
    news(stream(), id - 1, id, &[event(id)])
}

fn told(id: i64) -> Told {
    decode(&piece(id).events).unwrap().remove(0)
}

const WATCH: Watch = Watch::Part(Part::Messages);

fn watched(position: i64) -> (Hub<Box>, Box) {
    let mut hub = Hub::default();
    let mail = Box::default();
    hub.open(stream());
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &mail, position), Attached::Live(None));
    hub.close(stream());
    (hub, mail)
}

#[test]
fn news_in_order_are_delivered_and_repeated_news_are_not() {
    let (mut hub, mail) = watched(0);
    for id in [1, 2, 2, 1, 3] {
        assert_eq!(hub.news(&piece(id)), None);
    }
    assert_eq!(mail.heard(), [1, 2, 3]);
}

#[test]
fn a_hole_is_parked_and_closes_by_itself_or_from_the_store() {
    let (mut hub, mail) = watched(0);
    assert_eq!(hub.news(&piece(2)), Some(Need::ReadSoon(stream())));
    assert_eq!(hub.news(&piece(1)), None);
    assert_eq!(mail.heard(), [1, 2]);
    assert_eq!(hub.begin_read(stream(), false), None, "no hole, no read");

    assert_eq!(hub.news(&piece(5)), Some(Need::ReadSoon(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 2)));
    assert_eq!(hub.begin_read(stream(), false), None, "one read at a time");
    hub.news(&piece(3));
    assert_eq!(hub.fill(stream(), 4, vec![told(3), told(4)]), None);
    assert_eq!(mail.heard(), [1, 2, 3, 4, 5]);
}

#[test]
fn who_subscribes_meanwhile_misses_nothing_and_hears_nothing_twice() {
    let mut hub = Hub::default();
    let (early, late) = (Box::default(), Box::default());
    hub.open(stream());
    hub.news(&piece(4));
    hub.news(&piece(5));
    // The snapshot stood at 4: 4 is known, 5 was published before anybody was attached.
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &early, 4), Attached::Live(None));
    assert_eq!(early.heard(), [5]);
    // A second snapshot is older than what the topic holds: the ring closes the gap.
    hub.news(&piece(6));
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &late, 5), Attached::Live(None));
    assert_eq!(late.heard(), [6]);
    // And one that the ring does not reach back to must read again.
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &Box::default(), 1), Attached::Behind);
    // A snapshot ahead of publication: what it has seen is skipped when it comes.
    let ahead = Box::default();
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &ahead, 7), Attached::Live(None));
    hub.news(&piece(7));
    hub.news(&piece(8));
    assert_eq!(ahead.heard(), [8]);
    assert_eq!(early.heard(), [5, 6, 7, 8]);
}

#[test]
fn a_topic_without_watchers_is_forgotten() {
    let (mut hub, mail) = watched(0);
    assert_eq!(hub.counts(), (1, 1));
    hub.detach(stream(), WATCH, &mail);
    assert_eq!(hub.counts(), (0, 0));
    assert_eq!(hub.news(&piece(1)), None);
}

#[test]
fn foreign_bytes_on_the_bus_make_the_hub_read_the_store() {
    let (mut hub, _mail) = watched(0);
    let garbage = News { stream: stream(), after: 0, upto: 1, events: Bytes::from_static(b"?") };
    assert_eq!(hub.news(&garbage), Some(Need::ReadNow(stream())));
    assert_eq!(hub.begin_read(stream(), true), Some((AccountNumber(1), 0)));
}

#[test]
fn what_a_snapshot_held_is_not_told_again_by_a_merged_piece() {
    let (mut hub, early) = watched(5);
    // 6 and 7 are committed, their news are lost, and somebody subscribes from a snapshot that has them.
    let ahead = Box::default();
    hub.attach(stream(), AccountNumber(1), WATCH, &ahead, 7);
    assert_eq!(hub.news(&piece(9)), Some(Need::ReadSoon(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 5)));
    assert_eq!(hub.fill(stream(), 8, vec![told(6), told(7), told(8)]), None);
    assert_eq!(ahead.heard(), [8, 9]);
    assert_eq!(early.heard(), [6, 7, 8, 9]);
    // The same from the ring.
    let late = Box::default();
    hub.attach(stream(), AccountNumber(1), WATCH, &late, 7);
    assert_eq!(late.heard(), [8, 9]);
}

#[test]
fn what_is_dropped_while_the_store_is_read_is_read_again() {
    let (mut hub, mail) = watched(0);
    assert_eq!(hub.doubt(stream()), Some(Need::ReadNow(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 0)));
    assert_eq!(hub.doubt(stream()), None, "the running read is followed by another");
    assert_eq!(hub.fill(stream(), 1, vec![told(1)]), Some(Need::ReadNow(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 1)));
    assert_eq!(hub.fill(stream(), 2, vec![told(2)]), None);
    assert_eq!(mail.heard(), [1, 2]);
}

#[test]
fn typing_reaches_who_takes_part_whatever_they_have_subscribed_to() {
    let mut hub = Hub::default();
    let (bob, stranger) = (Box::default(), Box::default());
    for (number, mail) in [(1, &bob), (2, &stranger)] {
        let own = super::super::news::mine(Sid::from_number(number));
        hub.open(own);
        hub.attach(own, AccountNumber(1), Watch::Own, mail, 0);
    }
    hub.typing(&[Sid::from_number(1), Sid::from_number(3)], Sid::from_number(3), &Bytes::from_static(b"typing"));
    assert_eq!(*bob.0.borrow(), [Post::Typing(Bytes::from_static(b"typing"))]);
    assert_eq!(*stranger.0.borrow(), []);
}
