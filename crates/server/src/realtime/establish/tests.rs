//! What is settled from a snapshot, and what is read again.

use serde_json::json;
use tertulia_protocol::Timestamp;
use tertulia_protocol::sync::{Event, ItemKey, ObjectChange, data};

use super::super::mailbox::Bounds;
use super::super::news::{news, rights, rights_changed};
use super::*;

const ACCOUNT: AccountNumber = AccountNumber(1);

fn user() -> Sid<User> {
    Sid::from_number(1)
}

fn conversation() -> Sid<Conversation> {
    Sid::from_number(2)
}

/// A hub with a connection whose own list stands at a position.
fn connected(own: i64) -> (MailboxHub, Arc<Mailbox>) {
    let mut hub = MailboxHub::default();
    let mailbox = Mailbox::new(user(), false, Bounds { packets_max: 100, bytes_max: 10_000 });
    hub.open(mine(user()));
    attach_own(&mut hub, ACCOUNT, user(), &mailbox, own);
    hub.close(mine(user()));
    (hub, mailbox)
}

fn request(objects: &[Object]) -> SubscriptionRequest {
    let entries: Vec<_> =
        objects.iter().map(|object| json!({"object_sid": object.sid(), "last_event_id": 0})).collect();
    serde_json::from_value(json!({"action": "establish", "correlation_id": 1, "requests": entries})).unwrap()
}

fn mine_event(id: i64, change: ObjectChange) -> Event {
    Event { object: Object::MyConversations(user()), id, at: Timestamp::from_seconds(0), change }
}

fn key() -> ItemKey {
    ItemKey::Key(conversation().to_string())
}

fn standing(object: Object, position: i64, missed: Vec<Event>) -> Result<Standing, Code> {
    Ok(Standing { object, position, right: Right::Own, missed, cut_at: None })
}

fn settle(establishing: &mut Establishing, hub: &mut MailboxHub, answers: Vec<Result<Standing, Code>>, own: i64) {
    assert!(establishing.ask().is_some());
    for answered in establishing.answered(answers, own) {
        let encoded = establishing.encode(answered);
        establishing.settle(hub, encoded);
    }
}

#[test]
fn a_refusal_from_before_the_user_came_back_is_read_again() {
    let (mut hub, mailbox) = connected(2);
    let object = Object::Document(conversation());
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[object]));
    // Read while the user was out; since then the user is told to be in.
    let back = mine_event(3, ObjectChange::Added(key(), data(&1)));
    hub.news(&news(mine(user()), 2, 3, &[back]));
    settle(&mut establishing, &mut hub, vec![Err(Code::DocumentNotFound)], 2);
    assert!(mailbox.take_waiting().is_some_and(|post| matches!(post, Post::Own { .. })));
    assert_eq!(mailbox.take_waiting(), None, "not refused");
    settle(&mut establishing, &mut hub, vec![standing(object, 0, Vec::new())], 3);
    assert!(matches!(mailbox.take_waiting(), Some(Post::Answer(_))));
    assert!(establishing.ask().is_none());
}

#[test]
fn a_replayed_removal_ends_what_was_live_before_its_news_come() {
    let (mut hub, mailbox) = connected(2);
    let talk = Object::Messages(conversation());
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[talk]));
    settle(&mut establishing, &mut hub, vec![standing(talk, 0, Vec::new())], 2);
    establishing.end(&mut hub);
    assert_eq!(hub.counts().0, 2);
    let own = Object::MyConversations(user());
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[own]));
    let removed = mine_event(3, ObjectChange::Removed(key()));
    settle(&mut establishing, &mut hub, vec![standing(own, 3, vec![removed])], 3);
    establishing.end(&mut hub);
    assert_eq!(hub.counts(), (2, 1), "the inner watcher and the client's own list are left");
}

#[test]
fn a_right_of_a_role_from_before_roles_changed_is_read_again() {
    let (mut hub, mailbox) = connected(2);
    let (object, stream) = (Object::Document(conversation()), rights(Sid::from_number(3)));
    let by_role =
        || standing(object, 0, Vec::new()).map(|standing| Standing { right: Right::Role(stream), ..standing });
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[object]));
    settle(&mut establishing, &mut hub, vec![by_role()], 2);
    assert_eq!(mailbox.take_waiting(), None, "what changed before the connection began to hear of it is not known");
    assert!(establishing.ask().is_some());
    hub.news(&rights_changed(stream, 0));
    let answered = establishing.answered(vec![by_role()], 2).remove(0);
    let encoded = establishing.encode(answered);
    establishing.settle(&mut hub, encoded);
    assert_eq!((mailbox.take_waiting(), mailbox.take_waiting()), (Some(Post::Rights), None), "they have just changed");
    assert!(mailbox.leaning().is_empty());
    settle(&mut establishing, &mut hub, vec![by_role()], 2);
    assert!(matches!(mailbox.take_waiting(), Some(Post::Answer(_))));
    assert_eq!(mailbox.leaning(), [(stream_of(object), part_of(object))]);
}

#[test]
fn nothing_goes_live_before_the_own_list_does() {
    let (mut hub, mailbox) = connected(2);
    let (talk, own) = (Object::Messages(conversation()), Object::MyConversations(user()));
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[talk, own]));
    // The list cannot go live from there, and nothing speaks against the part but that.
    settle(&mut establishing, &mut hub, vec![standing(own, 1, Vec::new()), standing(talk, 0, Vec::new())], 2);
    assert_eq!(mailbox.take_waiting(), None, "the part waits for the list");
    // Out and back, which the list's replay tells as a return only.
    let back = mine_event(4, ObjectChange::Added(key(), data(&1)));
    hub.news(&news(mine(user()), 2, 4, std::slice::from_ref(&back)));
    while mailbox.take_waiting().is_some() {}
    settle(&mut establishing, &mut hub, vec![standing(own, 4, vec![back]), standing(talk, 0, Vec::new())], 4);
    assert!(mailbox.is_attached(stream_of(own), Watch::Part(part_of(own))));
    assert!(mailbox.is_attached(stream_of(talk), Watch::Part(part_of(talk))));
    assert!(establishing.ask().is_none());
    establishing.end(&mut hub);
}

#[test]
fn while_the_own_list_is_still_to_be_asked_for_again_the_rest_is_interrupted() {
    let (mut hub, mailbox) = connected(2);
    let (talk, own) = (Object::Messages(conversation()), Object::MyConversations(user()));
    let told = |mailbox: &Arc<Mailbox>| match mailbox.take_waiting() {
        Some(Post::Answer(packet)) => String::from_utf8_lossy(&packet).into_owned(),
        other => panic!("{other:?}"),
    };
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[own]));
    for _ in 0..TRIES_MAX {
        // A position that the hub has not heard of.
        settle(&mut establishing, &mut hub, vec![standing(own, 1, Vec::new())], 2);
    }
    assert!(establishing.ask().is_none());
    assert!(told(&mailbox).contains("interrupted"));
    establishing.end(&mut hub);
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[talk]));
    assert!(establishing.ask().is_none(), "no read for what cannot go live");
    assert!(told(&mailbox).contains("interrupted"));
    establishing.end(&mut hub);
    // A client that does not ask for it again waits for a while, and not for ever.
    let mut waits = 1;
    loop {
        let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[talk]));
        let may_read = establishing.ask().is_some();
        establishing.end(&mut hub);
        if may_read {
            break;
        }
        assert!(told(&mailbox).contains("interrupted"));
        waits += 1;
    }
    assert_eq!(waits, 8);
    // Whoever no longer wants the list waits for nothing.
    mailbox.awaits_own(true);
    let mut unwanted = request(&[own]);
    unwanted.action = tertulia_protocol::sync::SubscriptionAction::Cancel;
    cancel(&mut hub, &mailbox, &unwanted);
    let (mut establishing, _) = Establishing::begin(&mut hub, ACCOUNT, &mailbox, request(&[talk]));
    assert!(establishing.ask().is_some());
    establishing.end(&mut hub);
}

#[test]
fn a_read_that_was_refused_while_the_user_came_back_is_out_of_date() {
    let (mut hub, mailbox) = connected(2);
    let before = mailbox.own_position();
    assert!(!is_refused_too_late(404, &mailbox, before));
    let back = mine_event(3, ObjectChange::Added(key(), data(&1)));
    hub.news(&news(mine(user()), 2, 3, &[back]));
    assert!(is_refused_too_late(404, &mailbox, before));
    assert!(!is_refused_too_late(200, &mailbox, before), "what was shown is told of further");
    assert!(!is_refused_too_late(404, &mailbox, mailbox.own_position()));
}
