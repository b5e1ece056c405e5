//! What is performed when, and when an answer goes out.

use tertulia_protocol::Sid;

use super::held::PAUSE;
use super::*;

type Answer = &'static str;

fn list() -> Object {
    Object::Messages(Sid::from_number(1))
}

fn other() -> Object {
    Object::Messages(Sid::from_number(2))
}

const BOUNDS: RequestBounds = RequestBounds { waiting_bytes_max: 1 << 20, held_bytes_max: 1000 };
const READ: (&str, &str) = ("GET", "/v3/Lists/x/Items");
const WRITE: (&str, &str) = ("POST", "/Client/v2/Services/x/Conversations/x/Messages");
const SUBSCRIPTION: (&str, &str) = ("POST", "/v4/Subscriptions");

fn ms(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

fn request((method, path): (&str, &str), bytes: usize) -> TunnelledRequest {
    let (method, path, body) = (method.to_owned(), path.to_owned(), vec![b'x'; bytes]);
    TunnelledRequest { method, path, params: Vec::new(), content_type: String::new(), body }
}

/// These requests, named by their places.
fn asked(kinds: &[(&str, &str)]) -> Requests<Answer> {
    let mut requests = Requests::new(BOUNDS);
    for (place, kind) in kinds.iter().enumerate() {
        requests.ask(place.to_string(), request(*kind, 100)).unwrap();
    }
    requests
}

/// Performs a read whose answer is a page.
fn page(requests: &mut Requests<Answer>, name: Answer, object: Object, is_live: bool, now: Moment) -> Option<Answer> {
    requests.ask(name.to_owned(), request(READ, 0)).unwrap();
    requests.begin().unwrap();
    requests.answered(name, 10, Some(Shown { object, position: 7 }), |_| is_live, now)
}

fn order(requests: &mut Requests<Answer>) -> Vec<usize> {
    let mut order = Vec::new();
    while let Some((id, _)) = requests.begin() {
        assert_eq!(requests.begin(), None, "one is performed at a time");
        order.push(id.parse().unwrap());
        assert_eq!(requests.answered("done", 1, None, |_| false, ms(0)), Some("done"));
    }
    order
}

fn receipts(told: u64, heard: u64) -> Receipts {
    Receipts { told, heard }
}

#[test]
fn requests_are_performed_in_order_and_a_subscription_overtakes_reads_only() {
    assert_eq!(order(&mut asked(&[READ, WRITE, READ, WRITE, WRITE])), [0, 1, 2, 3, 4]);
    assert_eq!(order(&mut asked(&[READ, READ, SUBSCRIPTION, READ])), [2, 0, 1, 3]);
    assert_eq!(order(&mut asked(&[READ, WRITE, READ, SUBSCRIPTION])), [0, 1, 3, 2]);
    assert_eq!(order(&mut asked(&[READ, SUBSCRIPTION, SUBSCRIPTION])), [1, 2, 0]);
}

#[test]
fn a_page_is_held_until_its_events_are_posted_sent_and_received() {
    let mut requests = asked(&[]);
    assert_eq!(page(&mut requests, "page", list(), true, ms(0)), None);
    assert_eq!(requests.look(ms(0), |_| Some(6)), []);
    assert!(!requests.awaits_mailbox(), "its news are on their way");
    assert_eq!(requests.due(), Some(ms(1)));
    requests.look(ms(1), |_| Some(7));
    assert!(requests.awaits_mailbox());
    requests.sent(receipts(3, 1), ms(1));
    assert_eq!(requests.due(), Some(PATIENCE + ms(1)));
    requests.heard(receipts(3, 2), ms(4));
    assert_eq!(requests.due(), Some(PATIENCE + ms(1)), "not all of it");
    requests.heard(receipts(5, 3), ms(6));
    assert_eq!(requests.release(ms(6)), [""; 0], "the client's timers have their turn");
    requests.heard(receipts(5, 5), ms(9));
    assert_eq!(requests.due(), Some(ms(6) + PAUSE), "what came later is not waited for");
    assert_eq!(requests.release(ms(6) + PAUSE), ["page"]);
    assert!(requests.is_quiet());
}

#[test]
fn a_page_does_not_wait_when_the_client_has_everything() {
    let mut requests = asked(&[]);
    requests.heard(receipts(3, 3), ms(10));
    for (now, goes) in [(ms(10) + PAUSE, true), (ms(11), false)] {
        assert_eq!(page(&mut requests, "page", list(), true, now), None);
        requests.look(now, |_| Some(7));
        requests.sent(receipts(3, 3), now);
        assert_eq!(requests.release(now).len(), usize::from(goes));
    }
    let mut fresh = asked(&[]);
    page(&mut fresh, "page", list(), true, ms(0));
    fresh.look(ms(0), |_| Some(7));
    fresh.sent(receipts(0, 0), ms(0));
    assert_eq!(fresh.release(ms(0)), ["page"], "nothing was ever told");
}

#[test]
fn held_pages_wait_side_by_side_and_no_longer_than_the_patience() {
    let mut requests = asked(&[]);
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        let now = if place == 0 { ms(0) } else { ms(2) };
        assert_eq!(page(&mut requests, name, list(), true, now), None);
        requests.look(now, |_| Some(7));
        requests.sent(receipts(1, 0), now);
    }
    assert_eq!(requests.release(PATIENCE - ms(1)), [""; 0]);
    assert_eq!(requests.release(PATIENCE), ["a"]);
    assert_eq!(requests.release(PATIENCE + ms(2)), ["b", "c"]);
}

#[test]
fn other_requests_go_on_while_pages_are_held() {
    let mut requests = asked(&[]);
    assert_eq!(page(&mut requests, "page", list(), true, ms(0)), None);
    requests.ask("write".to_owned(), request(WRITE, 10)).unwrap();
    assert!(requests.begin().is_some());
    assert_eq!(requests.answered("written", 10, None, |_| true, ms(1)), Some("written"));
}

#[test]
fn news_that_do_not_come_are_taken_for_lost_after_31_ms() {
    let mut requests = asked(&[]);
    page(&mut requests, "page", list(), true, ms(0));
    page(&mut requests, "same", list(), true, ms(0));
    let (mut now, mut looks) = (ms(0), 0);
    while requests.look(now, |_| Some(0)).is_empty() {
        now = requests.due().unwrap();
        looks += 1;
    }
    assert_eq!((now, looks), (ms(31), 5));
    assert_eq!(requests.release(PATIENCE), ["page", "same"], "a page is not withheld for a store that does not answer");
}

#[test]
fn a_page_before_its_subscription_waits_for_it_and_then_for_its_events() {
    let mut requests = asked(&[]);
    assert_eq!(page(&mut requests, "page", list(), false, ms(0)), None);
    assert_eq!(requests.due(), Some(PATIENCE));
    requests.ask("sub".to_owned(), request(SUBSCRIPTION, 100)).unwrap();
    requests.begin().unwrap();
    assert_eq!(requests.answered("accepted", 1, None, |object| object == list(), ms(90)), Some("accepted"));
    requests.look(ms(90), |_| Some(7));
    assert!(requests.awaits_mailbox());
    requests.sent(receipts(2, 0), ms(91));
    assert_eq!(requests.release(PATIENCE), [""; 0], "the replay has only just gone out");
    requests.heard(receipts(2, 2), ms(101));
    assert_eq!(requests.release(ms(101) + PAUSE), ["page"]);
}

#[test]
fn a_client_that_subscribes_again_and_again_gets_its_page() {
    let mut requests = asked(&[]);
    page(&mut requests, "page", list(), false, ms(0));
    for now in [ms(60), ms(120), ms(180)] {
        requests.ask("sub".to_owned(), request(SUBSCRIPTION, 100)).unwrap();
        requests.begin().unwrap();
        requests.answered("accepted", 1, None, |_| true, now);
        assert_eq!(requests.release(now), [""; 0]);
        requests.look(now, |_| None);
    }
    assert_eq!(requests.release(PATIENCE * 2), ["page"]);
}

#[test]
fn who_reads_without_a_subscription_waits_once_for_each_list() {
    let mut requests = asked(&[]);
    assert_eq!(page(&mut requests, "first", list(), false, ms(0)), None);
    assert_eq!(requests.release(PATIENCE), ["first"]);
    assert_eq!(page(&mut requests, "second", list(), false, PATIENCE), Some("second"));
    assert_eq!(page(&mut requests, "other", other(), false, PATIENCE), None);
    let roster = Object::Roster(Sid::from_number(1));
    assert_eq!(page(&mut requests, "roster", roster, false, PATIENCE), Some("roster"), "only messages are held");
}

#[test]
fn a_page_of_a_list_that_was_just_opened_waits_only_for_what_came_since() {
    let mut requests = asked(&[]);
    requests.opened(Shown { object: list(), position: 7 });
    assert_eq!(page(&mut requests, "same", list(), false, ms(0)), Some("same"));
    requests.opened(Shown { object: list(), position: 6 });
    assert_eq!(page(&mut requests, "newer", list(), false, ms(0)), None);
}

#[test]
fn waiting_requests_are_bounded_in_bytes_and_one_may_always_wait() {
    let small = RequestBounds { waiting_bytes_max: 1000, held_bytes_max: 1000 };
    let mut requests: Requests<Answer> = Requests::new(small);
    assert_eq!(requests.ask("a".to_owned(), request(WRITE, 2000)), Ok(()));
    assert_eq!(requests.ask("b".to_owned(), request(WRITE, 1)), Err(TooMuch));
    let mut requests: Requests<Answer> = Requests::new(small);
    assert_eq!(requests.unread(600), Ok(()));
    requests.taken_in(600);
    assert_eq!(requests.unread(1000), Ok(()));
    assert_eq!(requests.unread(1), Err(TooMuch), "what is read ahead counts, too");
}

#[test]
fn the_default_bound_admits_500_ordinary_requests_with_ease() {
    let bounds = RequestBounds {
        waiting_bytes_max: crate::platform::Config::defaults().realtime.requests_bytes_max,
        held_bytes_max: 0,
    };
    let mut requests: Requests<Answer> = Requests::new(bounds);
    for number in 0..1000 {
        requests.ask(format!("TM{number:036}"), request(WRITE, 600)).unwrap();
    }
}

#[test]
fn no_page_is_read_while_too_many_bytes_are_held_but_all_else_goes_on() {
    let mut requests = asked(&[]);
    requests.ask("read".to_owned(), request(READ, 0)).unwrap();
    requests.begin().unwrap();
    let page = Some(Shown { object: list(), position: 1 });
    assert_eq!(requests.answered("page", BOUNDS.held_bytes_max, page, |_| true, ms(0)), None);
    for kind in [READ, SUBSCRIPTION, WRITE] {
        requests.ask(kind.0.to_owned(), request(kind, 0)).unwrap();
    }
    assert_eq!(requests.begin().unwrap().1.path, SUBSCRIPTION.1);
    requests.answered("accepted", 1, None, |_| true, ms(0));
    assert_eq!(requests.begin(), None, "the write is behind a read");
    assert_eq!(requests.release(PATIENCE), ["page"]);
    assert_eq!(requests.begin().unwrap().0, "GET");
}
