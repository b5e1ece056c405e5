//! One node's view of who is there, step by step.

use std::collections::HashSet;

use tertulia_protocol::{Sid, Timestamp};

use super::{Here, Visitor};
use crate::platform::AccountNumber;

const ACCOUNT: AccountNumber = AccountNumber(1);
const AWAY: i64 = 10_000_000;

fn visitor(number: u128) -> Visitor {
    Visitor { account: ACCOUNT, user: Sid::from_number(number), service: Sid::from_number(7) }
}

fn at(seconds: i64) -> impl Fn(AccountNumber) -> Timestamp {
    move |_| Timestamp::from_seconds(seconds)
}

fn noted(here: &mut Here) -> Vec<Visitor> {
    let visitors = here.take_arriving(100);
    here.noted(&visitors, at(0));
    here.settled(&visitors);
    visitors
}

#[test]
fn only_the_first_and_the_last_connection_are_work() {
    let mut here = Here::default();
    assert!(here.enter(visitor(1)));
    assert!(!here.enter(visitor(1)));
    assert_eq!(noted(&mut here), [visitor(1)]);
    assert!(!here.enter(visitor(1)));
    assert!(!here.leave(visitor(1).user, at(5)));
    assert!(!here.leave(visitor(1).user, at(5)));
    assert!(here.leave(visitor(1).user, at(5)));
    assert_eq!(here.due(AWAY, 9, at(14)), (vec![], Some(1_000_000)));
    assert_eq!(here.due(AWAY, 9, at(15)), (vec![visitor(1)], None));
    here.gone(&[visitor(1)]);
    assert_eq!((here.count(), here.due(AWAY, 9, at(99))), (0, (vec![], None)));
}

#[test]
fn who_comes_back_in_time_never_left() {
    let mut here = Here::default();
    here.enter(visitor(1));
    noted(&mut here);
    here.leave(visitor(1).user, at(5));
    assert!(!here.enter(visitor(1)), "there is nothing to note");
    assert_eq!(here.due(AWAY, 9, at(99)), (vec![], None));
    // The next absence counts from its own beginning.
    here.leave(visitor(1).user, at(20));
    assert_eq!(here.due(AWAY, 9, at(29)), (vec![], Some(1_000_000)));
}

#[test]
fn who_goes_before_being_noted_leaves_nothing_behind() {
    let mut here = Here::default();
    here.enter(visitor(1));
    assert!(!here.leave(visitor(1).user, at(0)));
    assert_eq!((here.count(), here.take_arriving(9)), (0, vec![]));
}

#[test]
fn who_goes_while_being_noted_is_away_from_then_on() {
    let mut here = Here::default();
    here.enter(visitor(1));
    let visitors = here.take_arriving(9);
    here.leave(visitor(1).user, at(3));
    here.noted(&visitors, at(4));
    here.settled(&visitors);
    assert_eq!(here.due(AWAY, 9, at(12)).0, []);
    assert_eq!(here.due(AWAY, 9, at(13)).0, [visitor(1)]);
}

#[test]
fn who_goes_while_nobody_is_noted_is_forgotten() {
    let mut here = Here::default();
    here.enter(visitor(1));
    let visitors = here.take_arriving(9);
    here.leave(visitor(1).user, at(3));
    here.settled(&visitors);
    assert_eq!((here.count(), here.due(AWAY, 9, at(99))), (0, (vec![], None)));
}

#[test]
fn who_comes_back_while_being_taken_back_is_noted_again() {
    let mut here = Here::default();
    here.enter(visitor(1));
    noted(&mut here);
    here.leave(visitor(1).user, at(0));
    let (gone, _) = here.due(AWAY, 9, at(10));
    here.enter(visitor(1));
    here.gone(&gone);
    assert_eq!(here.take_arriving(9), [visitor(1)]);
}

#[test]
fn what_fails_is_tried_again_later_and_a_clock_set_back_does_not_keep_anybody() {
    let mut here = Here::default();
    here.enter(visitor(1));
    noted(&mut here);
    here.leave(visitor(1).user, at(1_000_000));
    assert_eq!(here.due(AWAY, 9, at(0)), (vec![], Some(AWAY)));
    let (gone, _) = here.due(AWAY, 9, at(10));
    here.postpone(&gone, at(10));
    assert_eq!(here.due(AWAY, 9, at(19)).0, []);
    assert_eq!(here.due(AWAY, 9, at(20)).0, gone);
}

#[test]
fn batches_are_bounded_and_in_order() {
    let mut here = Here::default();
    for number in (1..=5).rev() {
        here.enter(visitor(number));
    }
    let mut all = Vec::new();
    for _ in 0..3 {
        let some = here.take_arriving(2);
        assert!(some.len() <= 2 && some.is_sorted());
        here.noted(&some, at(0));
        here.settled(&some);
        all.extend(some);
    }
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 5);
    for number in 1..=5 {
        here.leave(visitor(number).user, at(0));
    }
    let (some, wait) = here.due(AWAY, 2, at(10));
    assert_eq!((some.len(), some.is_sorted(), wait), (2, true, Some(0)));
}

#[test]
fn a_service_that_begins_to_say_so_has_everybody_come() {
    let mut here = Here::default();
    here.enter(visitor(1));
    here.enter(Visitor { service: Sid::from_number(8), ..visitor(2) });
    assert_eq!(here.take_arriving(9).len(), 2);
    // Neither was noted: no service said who is online.
    assert_eq!(here.unnoted_services().len(), 2);
    here.arrive_in(&HashSet::from([(ACCOUNT, visitor(1).service)]));
    assert_eq!(noted(&mut here), [visitor(1)]);
    assert_eq!(here.unnoted_services(), [(ACCOUNT, Sid::from_number(8))]);
}

#[test]
fn a_lost_lease_has_everybody_come_again() {
    let mut here = Here::default();
    for number in 1..=3 {
        here.enter(visitor(number));
    }
    noted(&mut here);
    here.leave(visitor(3).user, at(0));
    assert!(here.is_anybody_noted());
    here.lost();
    assert!(!here.is_anybody_noted());
    assert_eq!(here.due(AWAY, 9, at(99)), (vec![], None), "the old lease takes the third one along");
    assert_eq!(noted(&mut here), [visitor(1), visitor(2)]);
}
