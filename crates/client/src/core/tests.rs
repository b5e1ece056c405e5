use serde_json::json;
use tertulia_protocol::client::ErrorBody;
use tertulia_protocol::packet::Packet;
use tertulia_protocol::realtime::{Status, close as close_packet, http_reply, init_reply, plain_reply};
use tertulia_protocol::realtime::{notification, token_about_to_expire, typing_notification};
use tertulia_protocol::sync::ObjectType;

use super::*;
use crate::typing::Typing;

mod objects;
mod world;

use objects::{added, established, failed};

/// A core with a server and a network that are played by hand.
struct Stage {
    core: Core,
    now: Duration,
}

/// A packet of the client's: its id, its method, its payload and its header.
struct Sent {
    id: String,
    method: String,
    payload: Value,
    header: Value,
}

impl Stage {
    fn new() -> Self {
        Self::with(Options { seed: None, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let mut core = Core::new(&options, 7);
        core.start(Duration::ZERO);
        Self { core, now: Duration::ZERO }
    }

    fn live() -> Self {
        let mut stage = Self::new();
        stage.come_in("one");
        stage
    }

    /// From the question for a token to the open door.
    fn come_in(&mut self, token: &str) {
        assert_eq!(self.effects(), [Effect::Token]);
        self.core.token(self.now, Ok(token.to_owned()));
        assert_eq!(self.effects(), [Effect::Connect]);
        self.enter(token);
    }

    fn enter(&mut self, token: &str) {
        self.core.connected(self.now);
        let init = self.sent();
        assert_eq!((&*init[0].method, init[0].header["token"].as_str()), ("init", Some(token)));
        self.packet(&init_reply(&init[0].id, &"c".repeat(32), false, "ST1"));
        assert_eq!(self.core.effect(), Some(Effect::State(ConnectionState::Connected)));
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.core.effect()).collect()
    }

    /// What was sent, and nothing else may have happened.
    fn sent(&mut self) -> Vec<Sent> {
        let read = |effect| {
            let Effect::Send(packet) = effect else { panic!("{effect:?}") };
            let packet = Packet::parse(&packet).unwrap();
            let header: Value = serde_json::from_slice(packet.header).unwrap();
            Sent {
                id: header["id"].as_str().unwrap().to_owned(),
                method: header["method"].as_str().unwrap().to_owned(),
                payload: serde_json::from_slice(packet.payload).unwrap_or_default(),
                header,
            }
        };
        self.effects().into_iter().map(read).collect()
    }

    fn packet(&mut self, packet: &[u8]) {
        self.core.packet(self.now, &Bytes::copy_from_slice(packet));
    }

    fn sync(&mut self, payload: &Value) {
        self.packet(&notification("TM1", message_type::SYNC, payload.to_string().as_bytes()));
        // The receipt.
        assert!(matches!(self.core.effect(), Some(Effect::Send(_))));
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.core.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.core.tick(self.now);
        }
        self.now = until;
    }

    /// The connection is cut; how long until the next attempt.
    fn cut(&mut self) -> (Vec<Effect>, Duration) {
        self.core.disconnected(self.now, Disconnected::Broken("cut".to_owned()));
        let mut effects = self.effects();
        let Some(Effect::State(ConnectionState::Reconnecting { wait, .. })) = effects.pop() else { panic!() };
        (effects, wait)
    }

    /// Cut, and in again.
    fn come_back(&mut self) {
        let (effects, wait) = self.cut();
        assert_eq!(effects, []);
        self.pass(wait);
        assert_eq!(self.effects(), [Effect::Connect]);
        self.enter("one");
    }

    fn watch(&mut self, subscription: u64, sids: &[&str]) -> Arc<Queue> {
        let queue = Queue::new(sids.len());
        let watch = |sid: &&str| Watch { sid: (*sid).to_owned(), kind: ObjectType::List, position: 0 };
        self.core.subscribe(self.now, subscription, &queue, sids.iter().map(watch).collect());
        queue
    }

    /// A subscription request: its packet id, correlation id, and what it wants from where.
    fn asked(&mut self) -> (String, u64, Vec<(String, i64)>) {
        let mut sent = self.sent();
        let Some(Sent { id, payload, .. }) = sent.pop().filter(|_| sent.is_empty()) else { panic!() };
        let wanted = payload["requests"].as_array().unwrap();
        let wanted = wanted.iter().map(|entry| {
            (entry["object_sid"].as_str().unwrap().to_owned(), entry["last_event_id"].as_i64().unwrap_or(-1))
        });
        (id, payload["correlation_id"].as_u64().unwrap(), wanted.collect())
    }

    fn call(&mut self, id: u64, is_repeatable: bool) {
        let request = TunnelledRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            params: Vec::new(),
            content_type: String::new(),
            body: Vec::new(),
        };
        let packet = message(&Call::packet_id(id), &request);
        self.core.call(self.now, Call { id, packet, is_repeatable });
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn calls_wait_for_a_connection_and_give_up() {
    let mut stage = Stage::new();
    stage.call(1, false);
    stage.call(2, false);
    stage.core.forget(2);
    assert_eq!(stage.effects(), [Effect::Token]);
    stage.core.token(stage.now, Ok("one".to_owned()));
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.enter("one");
    let sent = stage.sent();
    assert_eq!(sent.iter().map(|sent| &*sent.id).collect::<Vec<_>>(), ["TM1"]);
    stage.packet(&http_reply("TM1", 201, b"{}"));
    assert!(matches!(&stage.effects()[..], [Effect::Finish(1, Ok(Reply { http_status: Some(201), .. }))]));
    stage.packet(&http_reply("TM1", 201, b"{}"));
    assert_eq!(stage.effects(), []);
    stage.cut();
    stage.call(3, false);
    stage.pass(Duration::from_millis(1500));
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.pass(seconds(19));
    assert_eq!(stage.effects(), [Effect::Finish(3, Err(CallFailure::NotSent))]);
}

#[test]
fn a_call_at_a_cut_fails_unless_it_only_reads() {
    let mut stage = Stage::live();
    stage.call(1, false);
    stage.call(2, true);
    assert_eq!(stage.sent().len(), 2);
    let (effects, wait) = stage.cut();
    let broken = Disconnected::Broken("cut".to_owned());
    assert_eq!(effects, [Effect::Finish(1, Err(CallFailure::Cut(broken)))]);
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.enter("one");
    assert_eq!(stage.sent()[0].id, "TM2");
    for _ in 0..6 {
        stage.core.heard(stage.now);
        stage.pass(seconds(5));
    }
    assert_eq!(stage.effects(), [Effect::Finish(2, Err(CallFailure::TimedOut))]);
}

#[test]
fn waits_grow_until_a_connection_has_lived() {
    let mut stage = Stage::live();
    let mut wait = stage.cut().1;
    for _ in 0..10 {
        stage.pass(wait);
        assert_eq!(stage.effects(), [Effect::Connect]);
        let (effects, next) = stage.cut();
        assert_eq!(effects, []);
        assert!(next > wait || next > seconds(90), "{wait:?} {next:?}");
        wait = next;
    }
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.enter("one");
    for _ in 0..60 {
        stage.pass(seconds(5));
        stage.core.heard(stage.now);
    }
    assert!(stage.cut().1 < seconds(2));
}

#[test]
fn the_first_connection_says_what_is_wrong() {
    let over = |stage: &mut Stage, why: Disconnected| {
        assert_eq!(stage.effects().pop(), Some(Effect::State(ConnectionState::Ended(why.clone()))));
        assert_eq!((stage.core.over(), stage.core.due()), (Some(&why), None));
    };
    let mut stage = Stage::new();
    stage.core.token(stage.now, Err("closed".to_owned()));
    over(&mut stage, Disconnected::NoToken("closed".to_owned()));
    let mut stage = Stage::new();
    stage.core.token(stage.now, Ok("one".to_owned()));
    stage.core.disconnected(stage.now, Disconnected::NotAWebsocket(503));
    over(&mut stage, Disconnected::NotAWebsocket(503));
    for status in [401, 503] {
        let mut stage = Stage::new();
        stage.core.token(stage.now, Ok("one".to_owned()));
        stage.core.connected(stage.now);
        let refused = Status::refused(status, "no", Some(20107));
        stage.packet(&plain_reply("TC1", &refused));
        let refusal = Refusal { status, code: Some(20107), message: "no".to_owned() };
        over(&mut stage, Disconnected::Refused(refusal));
    }
}

#[test]
fn an_expired_token_is_replaced_at_once_and_the_same_one_again_is_the_end() {
    let expired = Status::refused(401, "expired", Some(20104));
    let mut stage = Stage::live();
    let wait = stage.cut().1;
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.core.connected(stage.now);
    let init = stage.sent();
    assert_eq!(init[0].header["continuation_token"], json!("c".repeat(32)));
    stage.packet(&plain_reply(&init[0].id, &expired));
    assert_eq!(stage.effects(), [Effect::Disconnect, Effect::Token]);
    // Where none is to be had, it is asked for again later.
    stage.core.token(stage.now, Err("busy".to_owned()));
    let Some(Effect::State(ConnectionState::Reconnecting { wait, .. })) = stage.core.effect() else { panic!() };
    stage.pass(wait);
    stage.come_in("two");
    let wait = stage.cut().1;
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.core.connected(stage.now);
    let id = stage.sent()[0].id.clone();
    stage.packet(&plain_reply(&id, &expired));
    assert_eq!(stage.effects(), [Effect::Disconnect, Effect::Token]);
    stage.core.token(stage.now, Ok("two".to_owned()));
    let ended = stage.effects().pop();
    assert!(matches!(ended, Some(Effect::State(ConnectionState::Ended(Disconnected::Refused(_))))), "{ended:?}");
}

#[test]
fn tokens_that_are_all_expired_are_not_asked_for_without_a_pause() {
    let mut stage = Stage::live();
    let wait = stage.cut().1;
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    for number in 0..3 {
        stage.core.connected(stage.now);
        let id = stage.sent()[0].id.clone();
        stage.packet(&plain_reply(&id, &Status::refused(401, "expired", Some(20104))));
        match &stage.effects()[..] {
            [Effect::Disconnect, Effect::Token] if number == 0 => {}
            [Effect::Disconnect, Effect::State(ConnectionState::Reconnecting { wait, .. })] if number > 0 => {
                stage.pass(*wait);
                assert_eq!(stage.effects(), [Effect::Token]);
            }
            other => panic!("{number} {other:?}"),
        }
        stage.core.token(stage.now, Ok(format!("another {number}")));
        assert_eq!(stage.effects(), [Effect::Connect]);
    }
}

#[test]
fn a_token_near_its_death_is_renewed_and_until_then_it_serves() {
    let mut stage = Stage::live();
    stage.packet(&token_about_to_expire("TM0"));
    assert_eq!(stage.sent().len(), 1);
    stage.pass(seconds(1));
    assert_eq!(stage.effects(), [Effect::Token]);
    stage.core.token(stage.now, Err("busy".to_owned()));
    stage.core.heard(stage.now);
    stage.pass(seconds(29));
    assert_eq!(stage.effects(), []);
    stage.core.heard(stage.now);
    stage.pass(seconds(1));
    assert_eq!(stage.effects(), [Effect::Token]);
    // Cut meanwhile: the old one is tried if there is no other.
    stage.core.token(stage.now, Err("busy".to_owned()));
    let wait = stage.cut().1;
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Token]);
    stage.core.token(stage.now, Err("busy".to_owned()));
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.enter("one");
    stage.pass(seconds(29));
    assert_eq!(stage.effects(), [Effect::Token]);
    stage.core.token(stage.now, Ok("two".to_owned()));
    let update = stage.sent();
    assert_eq!((&*update[0].method, &update[0].header["token"]), ("update", &json!("two")));
    stage.packet(&plain_reply(&update[0].id, &Status::ok()));
    let wait = stage.cut().1;
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.enter("two");
}

#[test]
fn a_refused_update_is_the_end_and_the_caller_hears_why() {
    let mut stage = Stage::live();
    stage.core.update_token(stage.now, 5, "somebody else's".to_owned());
    let update = stage.sent();
    stage.packet(&plain_reply(&update[0].id, &Status::refused(403, "no", Some(20106))));
    let effects = stage.effects();
    let [Effect::Finish(5, Ok(reply)), Effect::Disconnect, Effect::State(state)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(reply.status.error_code, Some(20106));
    assert!(matches!(state, ConnectionState::Ended(Disconnected::Refused(_))));
}

#[test]
fn silence_is_asked_about_and_then_it_is_a_cut() {
    let mut stage = Stage::live();
    stage.pass(seconds(59));
    assert_eq!(stage.effects(), []);
    stage.pass(seconds(1));
    assert_eq!(stage.effects(), [Effect::Ping]);
    stage.core.heard(stage.now);
    stage.pass(seconds(89));
    assert_eq!(stage.effects(), [Effect::Ping]);
    stage.pass(seconds(1));
    let effects = stage.effects();
    let [Effect::Disconnect, Effect::State(ConnectionState::Reconnecting { why, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(why, &Disconnected::Silent);
}

#[test]
fn a_farewell_of_the_servers_is_for_good_or_until_later() {
    for (status, ends) in [(308, false), (503, false), (410, false), (401, true), (406, true)] {
        let mut stage = Stage::live();
        stage.packet(&close_packet("TM7", &Status::refused(status, "bye", None)));
        let effects = stage.effects();
        assert!(matches!(&effects[..2], [Effect::Send(_), Effect::Disconnect]), "{status} {effects:?}");
        assert_eq!(stage.core.over().is_some(), ends, "{status} {effects:?}");
    }
}

#[test]
fn a_server_that_is_full_may_say_when_to_come_back() {
    let mut stage = Stage::live();
    let wait = stage.cut().1;
    stage.pass(wait);
    assert_eq!(stage.effects(), [Effect::Connect]);
    stage.core.connected(stage.now);
    let id = stage.sent()[0].id.clone();
    let body = br#"{"backoff_policy":{"reconnect_min_ms":50000}}"#;
    let header = json!({"method": "reply", "id": id, "status": {"code": 429}, "payload_size": body.len()});
    stage.packet(&tertulia_protocol::packet::encode(&header, body));
    let Some(Effect::State(ConnectionState::Reconnecting { wait, .. })) = stage.effects().pop() else { panic!() };
    assert!(wait >= seconds(50));
}

#[test]
fn everybody_who_waits_hears_of_the_end() {
    let mut stage = Stage::with(Options::once());
    stage.come_in("one");
    let queue = stage.watch(1, &["ES1"]);
    stage.call(1, true);
    stage.effects();
    stage.core.disconnected(stage.now, Disconnected::Silent);
    let effects = stage.effects();
    assert!(effects.contains(&Effect::Finish(1, Err(CallFailure::Over(Disconnected::Silent)))), "{effects:?}");
    assert_eq!(queue.take_now(), Some(Err(End::Disconnected(Disconnected::Silent))));
    stage.call(2, true);
    assert_eq!(stage.effects(), [Effect::Finish(2, Err(CallFailure::Over(Disconnected::Silent)))]);
    assert_eq!(stage.watch(2, &["ES1"]).take_now(), Some(Err(End::Disconnected(Disconnected::Silent))));
}

#[test]
fn what_is_no_packet_cuts_the_connection() {
    let mut stage = Stage::live();
    stage.packet(b"TWILSOCK?");
    let effects = stage.effects();
    let [Effect::Disconnect, Effect::State(ConnectionState::Reconnecting { why, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(matches!(why, Disconnected::Malformed(_)));
}

#[test]
fn typing_is_told_and_acknowledged() {
    let mut stage = Stage::live();
    let conversation = tertulia_protocol::Sid::from_number(7);
    stage.packet(&typing_notification("TM1", conversation.as_str(), "ben", 5));
    let lasts = seconds(5);
    assert_eq!(stage.effects()[1..], [Effect::Typing(Typing { conversation, identity: "ben".to_owned(), lasts })]);
}

#[test]
fn who_closes_says_good_bye() {
    let mut stage = Stage::live();
    stage.core.close();
    let effects = stage.effects();
    assert!(matches!(&effects[..2], [Effect::Send(_), Effect::Disconnect]), "{effects:?}");
    assert_eq!(stage.core.over(), Some(&Disconnected::Closed));
    stage.core.close();
    stage.core.disconnected(stage.now, Disconnected::Silent);
    assert_eq!(stage.effects(), []);
}
