use std::cell::RefCell;
use std::rc::Rc;

use super::super::news::{news, rights, rights_changed, talk};
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
    fn hears_typing_of(&self, _: Sid<User>, conversation: Sid<Conversation>) -> bool {
        conversation == Sid::from_number(CONVERSATION)
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

/// What the store said of these.
fn read(ids: &[i64]) -> Replayed {
    let told = ids.iter().map(|id| told(*id)).collect();
    Replayed { upto: *ids.last().unwrap(), is_cut: false, told }
}

const WATCH: Watch = Watch::Part(Part::Messages);

fn watched(position: i64) -> (Hub<Box>, Box) {
    let mut hub = Hub::default();
    let mail = Box::default();
    hub.open(stream());
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &mail, position, 0), Attached::Live(None));
    hub.close(stream());
    (hub, mail)
}

#[test]
fn rights_have_no_positions_and_every_doubt_says_look_again() {
    let (mut hub, mail) = (Hub::default(), Box::default());
    let (stream, user) = (rights(Sid::from_number(3)), mine(Sid::from_number(4)));
    for (stream, watch) in [(stream, Watch::Rights), (user, Watch::Own)] {
        hub.open(stream);
        hub.attach(stream, AccountNumber(1), watch, &mail, 0, 0);
        hub.close(stream);
    }
    assert_eq!(hub.news(&rights_changed(stream, 0)), None);
    assert_eq!(hub.news(&rights_changed(stream, 0)), None, "it may well have changed twice");
    assert_eq!(hub.doubt(stream), None);
    assert_eq!(hub.begin_read(stream, true), None, "the sweep reads nothing, and whoever hangs on it looks");
    assert_eq!(*mail.0.borrow(), [Post::Rights, Post::Rights, Post::Rights, Post::Rights]);
    mail.0.borrow_mut().clear();
    // A user's own rights keep to the order of the user's list.
    assert_eq!(hub.news(&rights_changed(user, 0)), None);
    assert_eq!(hub.news(&rights_changed(user, 0)), None);
    assert_eq!(*mail.0.borrow(), [Post::Own { upto: 1, ended: None }, Post::Rights]);
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
    assert_eq!(hub.fill(stream(), read(&[3, 4])), None);
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
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &early, 4, 0), Attached::Live(None));
    assert_eq!(early.heard(), [5]);
    // A second snapshot is older than what the topic holds: the ring closes the gap.
    hub.news(&piece(6));
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &late, 5, 0), Attached::Live(None));
    assert_eq!(late.heard(), [6]);
    // And one that the ring does not reach back to must read again.
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &Box::default(), 1, 0), Attached::Behind);
    // A snapshot ahead of publication: what it has seen is skipped when it comes.
    let ahead = Box::default();
    assert_eq!(hub.attach(stream(), AccountNumber(1), WATCH, &ahead, 7, 0), Attached::Live(None));
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
    hub.attach(stream(), AccountNumber(1), WATCH, &ahead, 7, 0);
    assert_eq!(hub.news(&piece(9)), Some(Need::ReadSoon(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 5)));
    assert_eq!(hub.fill(stream(), read(&[6, 7, 8])), None);
    assert_eq!(ahead.heard(), [8, 9]);
    assert_eq!(early.heard(), [6, 7, 8, 9]);
    // The same from the ring.
    let late = Box::default();
    hub.attach(stream(), AccountNumber(1), WATCH, &late, 7, 0);
    assert_eq!(late.heard(), [8, 9]);
}

#[test]
fn what_is_dropped_while_the_store_is_read_is_read_again() {
    let (mut hub, mail) = watched(0);
    assert_eq!(hub.doubt(stream()), Some(Need::ReadNow(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 0)));
    assert_eq!(hub.doubt(stream()), None, "the running read is followed by another");
    assert_eq!(hub.fill(stream(), read(&[1])), Some(Need::ReadNow(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 1)));
    assert_eq!(hub.fill(stream(), read(&[2])), None);
    assert_eq!(mail.heard(), [1, 2]);
}

#[test]
fn typing_reaches_who_takes_part_and_wants_to_hear_it() {
    let mut hub = Hub::default();
    let (bob, stranger) = (Box::default(), Box::default());
    for (number, mail) in [(1, &bob), (2, &stranger)] {
        let own = super::super::news::mine(Sid::from_number(number));
        hub.open(own);
        hub.attach(own, AccountNumber(1), Watch::Own, mail, 0, 0);
    }
    let (users, typist) = ([Sid::from_number(1), Sid::from_number(3)], Sid::from_number(3));
    hub.typing(Sid::from_number(CONVERSATION + 1), &users, typist, &Bytes::from_static(b"elsewhere"));
    hub.typing(Sid::from_number(CONVERSATION), &users, typist, &Bytes::from_static(b"typing"));
    assert_eq!(*bob.0.borrow(), [Post::Typing(Bytes::from_static(b"typing"))]);
    assert_eq!(*stranger.0.borrow(), []);
}

#[test]
fn a_hole_that_comes_while_the_store_is_read_is_read_afterwards() {
    let (mut hub, mail) = watched(5);
    assert_eq!(hub.begin_read(stream(), true), Some((AccountNumber(1), 5)));
    // 6 is lost. The running read has looked already, and knows of neither.
    assert_eq!(hub.news(&piece(7)), Some(Need::ReadSoon(stream())));
    assert_eq!(hub.begin_read(stream(), false), None, "one read at a time");
    let nothing = Replayed { upto: 5, is_cut: false, told: Vec::new() };
    assert_eq!(hub.fill(stream(), nothing), Some(Need::ReadSoon(stream())));
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 5)));
    assert_eq!(hub.fill(stream(), read(&[6, 7])), None);
    assert_eq!((mail.heard(), hub.holes()), (vec![6, 7], 0));
}

#[test]
fn a_new_topic_is_read_later_only_where_interest_spreads() {
    assert_eq!(Hub::<Box>::default().open(stream()), None, "no read more for each topic of a reconnect");
    let mut hub = Hub::new(Interest::Spreads);
    assert_eq!(hub.open(stream()), Some(Need::ReadLater(stream())));
    assert_eq!(hub.open(stream()), None, "once a topic");
    // Its time comes before anybody is attached: whoever is first brings the position to read from.
    assert_eq!(hub.begin_read(stream(), true), None);
    let mail = Box::default();
    let attached = hub.attach(stream(), AccountNumber(1), WATCH, &mail, 3, 0);
    assert_eq!(attached, Attached::Live(Some(Need::ReadNow(stream()))));
}

#[test]
fn when_the_bus_was_away_every_topic_is_read() {
    let (mut hub, mail) = watched(0);
    assert_eq!(hub.doubt_all(), [Need::ReadNow(stream())]);
    assert_eq!(hub.begin_read(stream(), false), Some((AccountNumber(1), 0)));
    assert_eq!(hub.doubt_all(), [], "being read; what it misses is read afterwards");
    assert_eq!(hub.fill(stream(), read(&[1])), Some(Need::ReadNow(stream())));
    assert_eq!(hub.give_up(stream()), Some(Need::ReadLater(stream())), "a store that does not answer is asked again");
    assert_eq!(mail.heard(), [1]);
}

#[test]
fn an_older_removal_does_not_take_a_newer_watcher_away() {
    let (mut hub, mail) = watched(0);
    hub.attach(stream(), AccountNumber(1), WATCH, &mail, 0, 6);
    assert!(!hub.detach_older(stream(), WATCH, &mail, 5));
    assert!(hub.detach_older(stream(), WATCH, &mail, 7));
    assert_eq!(hub.counts(), (0, 0));
}
