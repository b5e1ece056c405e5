use tertulia_protocol::Sid;
use tertulia_protocol::sync::Object;

use super::*;
use crate::subscription::{Change, ChangeKind};

pub(super) fn added(sid: &str, id: i64, correlation: Option<u64>) -> Value {
    let mut payload = json!({"event_type": "list_item_added",
        "events": [{"id": id, "list_sid": sid, "item_index": id, "item_data": {"n": id}}]});
    if let Some(correlation) = correlation {
        payload["correlation_id"] = correlation.into();
    }
    payload
}

pub(super) fn established(sid: &str, correlation: u64, position: i64) -> Value {
    json!({"event_type": "subscription_established", "correlation_id": correlation,
        "events": [{"object_sid": sid, "replay_status": "completed", "last_event_id": position}]})
}

pub(super) fn failed(sid: &str, correlation: u64, status: u16) -> Value {
    json!({"event_type": "subscription_failed", "correlation_id": correlation,
        "events": [{"object_sid": sid, "error": {"status": status, "code": 1, "message": "no"}}]})
}

fn ids(queue: &Queue) -> Vec<i64> {
    let items = std::iter::from_fn(|| queue.take_now().and_then(Result::ok));
    let changes = items.filter_map(|item| match item {
        Item::Change(change) => Some(change.id),
        Item::At(..) => None,
    });
    changes.collect()
}

#[test]
fn a_change_comes_once_and_in_order_over_a_cut() {
    let mut stage = Stage::live();
    let queue = stage.watch(1, &["ES1"]);
    let (_, first, wanted) = stage.asked();
    assert_eq!(wanted, [("ES1".to_owned(), 0)]);
    stage.sync(&added("ES1", 9, None));
    stage.sync(&added("ES1", 1, Some(first)));
    stage.sync(&established("ES1", first, 2));
    stage.sync(&added("ES1", 3, None));
    stage.come_back();
    let (_, second, wanted) = stage.asked();
    assert_eq!(wanted, [("ES1".to_owned(), 3)]);
    stage.sync(&added("ES1", 4, None));
    stage.sync(&added("ES1", 5, Some(first)));
    stage.sync(&added("ES1", 3, Some(second)));
    stage.sync(&added("ES1", 4, Some(second)));
    stage.sync(&established("ES1", first, 9));
    stage.sync(&established("ES1", second, 4));
    stage.sync(&added("ES1", 4, None));
    stage.sync(&added("ES1", 5, None));
    assert_eq!(ids(&queue), [1, 3, 4, 5]);
}

#[test]
fn a_part_of_a_replay_is_followed_by_the_next() {
    let mut stage = Stage::live();
    let queue = stage.watch(1, &["ES1"]);
    let (id, correlation, _) = stage.asked();
    stage.sync(&added("ES1", 5, Some(correlation)));
    stage.packet(&http_reply(&id, 200, b"{}"));
    assert_eq!(stage.effects(), []);
    let mut part = established("ES1", correlation, 7);
    part["events"][0]["replay_status"] = "interrupted".into();
    stage.sync(&part);
    let (_, _, wanted) = stage.asked();
    assert_eq!((wanted, ids(&queue)), (vec![("ES1".to_owned(), 7)], vec![5]));
}

const OWN: &str = "MC00000000000000000000000000000001";

#[test]
fn the_own_list_is_asked_for_before_anything_else() {
    let mut stage = Stage::new();
    let others: Vec<String> = (0..150).map(|number| format!("ES{number}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let _others = stage.watch(1, &others);
    let _own = stage.watch(2, &[OWN]);
    stage.come_in("one");
    let (_, _, wanted) = stage.asked();
    assert_eq!((wanted.len(), wanted[0].0.as_str()), (100, OWN));
}

#[test]
fn an_own_list_that_is_no_longer_wanted_is_cancelled_though_it_never_was_live() {
    let mut stage = Stage::live();
    let _own = stage.watch(1, &[OWN]);
    let (id, correlation, _) = stage.asked();
    stage.packet(&http_reply(&id, 503, b"{}"));
    let mut part = established(OWN, correlation, 0);
    part["events"][0]["replay_status"] = "interrupted".into();
    stage.sync(&part);
    assert_eq!(stage.effects(), [], "it is asked for again after a pause");
    // The server would let nothing else go live for its sake.
    stage.core.unsubscribe(stage.now, 1);
    let cancelled = stage.sent();
    assert_eq!(cancelled[0].payload["action"], "cancel");
    assert_eq!(cancelled[0].payload["requests"][0]["object_sid"], OWN);
}

#[test]
fn what_a_full_queue_leaves_out_comes_once_it_is_empty() {
    let mut stage = Stage::live();
    let queue = stage.watch(1, &["ES1", "ES2"]);
    let (id, correlation, _) = stage.asked();
    stage.packet(&http_reply(&id, 200, b"{}"));
    stage.sync(&established("ES1", correlation, 0));
    stage.sync(&established("ES2", correlation, 0));
    let mut heard = Vec::new();
    for id in 1..3000 {
        stage.sync(&added("ES1", id, None));
    }
    heard.extend(ids(&queue));
    assert_eq!(queue.take_now(), Some(Err(End::Full)));
    let last = *heard.last().unwrap();
    assert!(last < 2999, "it has a bound");
    // Even after a cut, nothing gets in before its owner says so.
    stage.come_back();
    assert_eq!(stage.effects(), []);
    queue.reopen();
    stage.core.resume(stage.now, 1);
    let (_, _, wanted) = stage.asked();
    assert_eq!(wanted, [("ES1".to_owned(), last), ("ES2".to_owned(), 0)]);
}

#[test]
fn more_objects_than_a_queue_has_room_for_get_ahead_at_each_return() {
    let mut stage = Stage::live();
    let sids = ["ES1", "ES2", "ES3"];
    let queue = Queue::bounded(sids.len(), 1);
    let watch = |sid: &&str| Watch { sid: (*sid).to_owned(), kind: ObjectType::List, position: 0 };
    stage.core.subscribe(stage.now, 1, &queue, sids.iter().map(watch).collect());
    let mut heard = Vec::new();
    for _ in sids {
        // All is answered before the reader takes anything.
        let (id, correlation, _) = stage.asked();
        sids.iter().for_each(|sid| stage.sync(&established(sid, correlation, 7)));
        stage.packet(&http_reply(&id, 200, b"{}"));
        heard.extend(std::iter::from_fn(|| queue.take_now().and_then(Result::ok)));
        queue.reopen();
        stage.core.resume(stage.now, 1);
    }
    assert_eq!(heard, [Item::At(0, 7), Item::At(1, 7), Item::At(2, 7)]);
    assert_eq!(stage.effects(), []);
}

#[test]
fn the_server_is_asked_in_batches_one_after_the_other() {
    let mut stage = Stage::live();
    let names: Vec<String> = (0..250).map(|number| format!("ES{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let queue = stage.watch(1, &names);
    let mut told = 0;
    for expected in [100, 100, 50] {
        let (id, correlation, wanted) = stage.asked();
        assert_eq!(wanted.len(), expected);
        stage.packet(&http_reply(&id, 200, b"{}"));
        for (sid, _) in &wanted {
            assert_eq!(stage.effects(), []);
            stage.sync(&established(sid, correlation, 1));
        }
        told += expected;
    }
    assert_eq!((told, stage.effects()), (250, Vec::new()));
    assert_eq!(std::iter::from_fn(|| queue.take_now()).count(), 250);
}

#[test]
fn a_refused_object_ends_its_queue_and_one_that_may_pass_is_asked_for_again() {
    let mut stage = Stage::live();
    let (gone, later) = (stage.watch(1, &["ES1"]), stage.watch(2, &["ES2"]));
    let (id, first, _) = stage.asked();
    stage.packet(&http_reply(&id, 200, b"{}"));
    stage.sync(&failed("ES1", first, 404));
    let refusal = Refusal::from(ErrorBody { status: 404, code: 1, message: "no".to_owned() });
    assert_eq!(gone.take_now(), Some(Err(End::Refused(refusal))));
    let (id, second, wanted) = stage.asked();
    assert_eq!(wanted, [("ES2".to_owned(), 0)]);
    stage.packet(&http_reply(&id, 200, b"{}"));
    stage.sync(&failed("ES2", second, 503));
    assert_eq!(stage.effects(), []);
    stage.pass(seconds(1));
    let (id, _, wanted) = stage.asked();
    assert_eq!((wanted.len(), later.take_now()), (1, None));
    // So is a whole request.
    stage.packet(&http_reply(&id, 503, b"{}"));
    assert_eq!(stage.effects(), []);
    stage.pass(seconds(1));
    let (id, _, _) = stage.asked();
    stage.packet(&http_reply(&id, 400, b"{}"));
    assert!(matches!(later.take_now(), Some(Err(End::Refused(Refusal { status: 400, .. })))));
}

#[test]
fn an_answer_that_never_comes_is_asked_for_again() {
    let mut stage = Stage::live();
    stage.watch(1, &["ES1"]);
    let (_, first, _) = stage.asked();
    for _ in 0..3 {
        // Signs of life, so that it is not the silence of the whole.
        stage.pass(seconds(9));
        stage.core.heard(stage.now);
    }
    assert_eq!(stage.effects(), []);
    stage.pass(seconds(4));
    let (_, second, wanted) = stage.asked();
    assert_eq!((second != first, wanted.len()), (true, 1));
}

#[test]
fn an_object_has_one_subscription_at_a_time() {
    let mut stage = Stage::live();
    stage.watch(1, &["ES1"]);
    let (_, _, _) = stage.asked();
    let taken = Some(Err(End::Taken("ES1".to_owned())));
    assert_eq!(stage.watch(2, &["ES2", "ES1"]).take_now(), taken);
    assert_eq!(stage.watch(3, &["ES1", "ES1"]).take_now(), taken);
    stage.core.unsubscribe(stage.now, 2);
    stage.core.unsubscribe(stage.now, 1);
    let cancel = stage.sent();
    assert_eq!((cancel.len(), &cancel[0].payload["action"]), (1, &json!("cancel")));
}

#[test]
fn a_dropped_subscription_does_not_hold_up_the_next() {
    let mut stage = Stage::live();
    stage.watch(1, &["ES1"]);
    let (id, _, _) = stage.asked();
    stage.core.unsubscribe(stage.now, 1);
    stage.watch(2, &["ES1"]);
    stage.packet(&http_reply(&id, 200, b"{}"));
    let sent = stage.sent();
    let actions: Vec<_> = sent.iter().map(|sent| sent.payload["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["cancel", "establish"]);
}

#[test]
fn an_object_that_is_gone_is_free_for_another_and_stays_the_others() {
    let mut stage = Stage::live();
    let first = stage.watch(1, &["ES1", "ES2"]);
    let (id, correlation, _) = stage.asked();
    stage.packet(&http_reply(&id, 200, b"{}"));
    stage.sync(&established("ES2", correlation, 0));
    stage.sync(&json!({"event_type": "list_removed", "events": [{"list_sid": "ES1"}]}));
    let gone = std::iter::from_fn(|| first.take_now()).last();
    assert!(matches!(gone, Some(Ok(Item::Change(Change { kind: ChangeKind::Gone, place: 0, .. })))), "{gone:?}");
    let second = stage.watch(2, &["ES1"]);
    let (id, correlation, _) = stage.asked();
    stage.packet(&http_reply(&id, 200, b"{}"));
    stage.sync(&established("ES1", correlation, 0));
    stage.core.unsubscribe(stage.now, 1);
    assert_eq!(stage.sent().len(), 1);
    stage.sync(&added("ES1", 1, None));
    assert_eq!(ids(&second), [1]);
}

#[test]
fn who_is_back_in_a_conversation_is_told_of_it_again_whatever_was_open_of_it() {
    let mut stage = Stage::live();
    let (user, conversation) = (Sid::from_number(1), Sid::from_number(2));
    let (own, list) = (Object::MyConversations(user).sid(), Object::Messages(conversation).sid());
    stage.watch(1, &[&own, &list, "ES3"]);
    let (id, correlation, _) = stage.asked();
    stage.packet(&http_reply(&id, 200, b"{}"));
    [&*own, &*list, "ES3"].iter().for_each(|sid| stage.sync(&established(sid, correlation, 4)));
    let entered = |id: i64, kind: &str| {
        json!({"event_type": kind,
            "events": [{"id": id, "map_sid": own, "item_key": conversation.to_string(), "item_data": {}}]})
    };
    stage.sync(&entered(5, "map_item_updated"));
    assert_eq!(stage.effects(), []);
    stage.sync(&entered(6, "map_item_added"));
    let (id, correlation, wanted) = stage.asked();
    assert_eq!(wanted, [(list.clone(), 4)]);
    stage.packet(&http_reply(&id, 200, b"{}"));
    stage.sync(&established(&list, correlation, 4));
    stage.sync(&entered(6, "map_item_added"));
    assert_eq!(stage.effects(), []);
}
