//! What a client that was away is told of messages.

use tertulia_protocol::sync::{ItemKey, ObjectChange};
use tertulia_protocol::{Sid, Timestamp};

use super::Message;
use super::events::replay;
use crate::platform::AccountNumber;

fn message(index: i64, created_pos: i64, changed_pos: i64) -> Message {
    Message {
        account: AccountNumber(1),
        conversation: Sid::from_number(1),
        index,
        sid: Sid::from_number(2),
        author: "alice".to_owned(),
        participant: None,
        body: Some("text".to_owned()),
        attributes: "{}".to_owned(),
        subject: None,
        created: Timestamp::from_seconds(0),
        updated: Timestamp::from_seconds(1),
        updated_by: None,
        created_pos,
        changed_pos,
        removed: None,
    }
}

/// The events as a letter for the change, the message's index and the position.
fn told(messages: &[Message], position: i64, cut_at: Option<i64>) -> Vec<(char, i64, i64)> {
    let letter = |change: &ObjectChange| match change {
        ObjectChange::Added(ItemKey::Index(index), _) => ('a', *index),
        ObjectChange::Updated(ItemKey::Index(index), _) => ('u', *index),
        ObjectChange::Removed(ItemKey::Index(index)) => ('r', *index),
        other => panic!("{other:?}"),
    };
    let events = replay(messages, position, cut_at);
    events.iter().map(|event| (letter(&event.change), event.id)).map(|((l, index), id)| (l, index, id)).collect()
}

#[test]
fn an_edit_is_told_beside_the_message_so_that_who_has_a_page_does_not_miss_it() {
    // Edited at 9, long after the next message came at 6.
    let messages = [message(0, 5, 9), message(1, 6, 6)];
    assert_eq!(told(&messages, 3, None), [('a', 0, 5), ('a', 1, 6), ('u', 0, 9)]);
    assert_eq!(told(&messages[..1], 5, None), [('u', 0, 9)]);
}

#[test]
fn a_cut_replay_leaves_the_rest_to_the_next() {
    let mut removed = message(2, 7, 10);
    removed.removed = Some(Timestamp::from_seconds(2));
    let messages = [message(0, 5, 9), message(1, 6, 6), removed];
    assert_eq!(told(&messages, 3, Some(7)), [('a', 0, 5), ('a', 1, 6)]);
    let [first, _, removed] = messages;
    assert_eq!(told(&[first, removed], 7, None), [('u', 0, 9), ('r', 2, 10)]);
}
