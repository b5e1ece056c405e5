//! The session without a socket: what it sends, asks for and refuses in each state.

use std::sync::Arc;

use serde_json::{Value, json};
use tertulia_protocol::Sid;
use tertulia_protocol::packet::{Packet, encode};
use tertulia_protocol::sid::{Conversation, User};

use super::super::news::{roster, talk};
use super::*;
use crate::platform::{AccountNumber, Caller, Error, Source, UserRef, Who};
use crate::revocations::Bearer;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn session() -> Session {
    Session::new(at(0), "f".repeat(32), "c".repeat(32))
}

fn packet(mut header: Value, payload: &str) -> Input {
    header["payload_size"] = payload.len().into();
    Input::Packet(encode(&header, payload.as_bytes()).into())
}

fn init() -> Input {
    let registrations = json!([{"message_types": ["twilio.ipmsg.typing_indicator"]}]);
    packet(json!({"id": "TM1", "method": "init", "token": "a.b.c", "registrations": registrations}), "")
}

fn message(id: &str) -> Input {
    packet(json!({"id": id, "method": "message", "http_request": {"method": "GET", "path": "/x"}}), "")
}

fn admission(user: u128, expires: i64) -> Box<Admission> {
    let user = UserRef {
        service: Sid::from_number(1),
        sid: Sid::<User>::from_number(user),
        identity: "alice".to_owned(),
        role: None,
    };
    let user = Arc::new(user);
    let bearer = Bearer {
        account: AccountNumber(1),
        service: Sid::from_number(1),
        identity: "alice".into(),
        key: Sid::from_number(1),
        fingerprint: "0".into(),
        jti: None,
        session: None,
        issued: at(0),
        expires: at(expires),
    };
    Box::new(Admission {
        bearer: Arc::new(bearer),
        ended_count: 0,
        caller: Caller {
            account: AccountNumber(1),
            account_sid: Sid::from_number(1),
            source: Source::Sdk,
            who: Who::User(user.clone()),
            hooks: true,
            address: None,
        },
        user,
        expires: at(expires),
        dies: at(expires + 5),
    })
}

fn admitted(id: &str, user: u128, expires: i64) -> Input {
    Input::Admitted { id: id.to_owned(), result: Ok(admission(user, expires)) }
}

/// A session that is in, with a token that expires after 1,000 seconds.
fn live() -> Session {
    let mut session = session();
    session.input(at(0), init());
    session.input(at(0), admitted("TM1", 7, 1000));
    session
}

/// The header of the packet that an effect sends.
fn header(effect: &Effect) -> Value {
    let Effect::Send(packet) = effect else { panic!("{effect:?} sends nothing") };
    serde_json::from_slice(Packet::parse(packet).unwrap().header).unwrap()
}

#[test]
fn init_leads_to_the_verifier_and_then_in() {
    let mut session = session();
    let asked = session.input(at(0), init());
    assert_eq!(asked, [Effect::Admit { id: "TM1".to_owned(), token: "a.b.c".to_owned() }]);
    let effects = session.input(at(0), admitted("TM1", 7, 1000));
    assert_eq!(effects[0], Effect::Enter { wants_typing: true });
    let reply = header(&effects[1]);
    assert_eq!((&reply["id"], &reply["status"]["code"]), (&json!("TM1"), &json!(200)));
    assert_eq!(reply["continuation_token"], json!("c".repeat(32)));
    assert_eq!(session.admission().unwrap().user.identity, "alice");
}

#[test]
fn nothing_is_served_before_init_and_init_comes_once() {
    let mut fresh = session();
    let refused = fresh.input(at(0), message("TM2"));
    assert_eq!(header(&refused[0])["status"]["code"], 400);
    let mut live = live();
    assert_eq!(header(&live.input(at(0), init())[0])["status"]["code"], 400);
    assert!(matches!(&live.input(at(0), message("TM3"))[..], [Effect::Answer { id, .. }] if id == "TM3"));
}

#[test]
fn a_refused_token_is_answered_with_its_code_and_ends_the_connection() {
    let refusal = tertulia_token::parse("garbage").unwrap_err();
    let mut session = session();
    session.input(at(0), init());
    let refused = Input::Admitted { id: "TM1".to_owned(), result: Err(Refused::Token(refusal)) };
    let effects = session.input(at(0), refused);
    let status = header(&effects[0])["status"].clone();
    assert_eq!((&status["code"], &status["errorCode"]), (&json!(401), &json!(20101)));
    assert_eq!(effects[1], Effect::Close(CloseReason::Refused));
    assert_eq!(session.input(at(0), message("TM2")), []);
}

#[test]
fn a_failure_of_ours_lets_the_client_come_again() {
    let mut session = session();
    session.input(at(0), init());
    let failed = Err(Refused::Other(Error::Broken("the disk".to_owned())));
    let effects = session.input(at(0), Input::Admitted { id: "TM1".to_owned(), result: failed });
    let status = header(&effects[0])["status"].clone();
    assert_eq!(status["code"], 500);
    assert!(!status.to_string().contains("disk"), "the cause is for the log alone");
}

#[test]
fn the_client_is_warned_three_minutes_before_and_closed_at_death_not_at_expiry() {
    let mut session = live();
    assert_eq!(session.due(), Some(at(820)));
    assert_eq!(session.input(at(819), Input::Tick), []);
    let warned = session.input(at(820), Input::Tick);
    assert_eq!(header(&warned[0])["client_update_type"], "token_about_to_expire");
    assert_eq!(session.input(at(821), Input::Tick), [], "once is enough");
    assert_eq!(session.due(), Some(at(1005)));
    assert_eq!(session.input(at(1004), Input::Tick), [], "the grace holds");
    assert_eq!(session.input(at(1005), Input::Tick), [Effect::Close(CloseReason::Expired)]);
}

#[test]
fn an_update_brings_new_time_and_a_new_warning() {
    let mut session = live();
    session.input(at(820), Input::Tick);
    let asked = session.input(at(830), packet(json!({"id": "TM9", "method": "update", "token": "d.e.f"}), ""));
    assert_eq!(asked, [Effect::Admit { id: "TM9".to_owned(), token: "d.e.f".to_owned() }]);
    let effects = session.input(at(830), admitted("TM9", 7, 2000));
    assert_eq!(header(&effects[0])["status"]["code"], 200);
    assert_eq!(session.due(), Some(at(1820)));
}

#[test]
fn an_update_for_somebody_else_is_forbidden_and_ends_the_connection() {
    let mut session = live();
    session.input(at(1), packet(json!({"id": "TM9", "method": "update", "token": "d.e.f"}), ""));
    let effects = session.input(at(1), admitted("TM9", 8, 2000));
    let status = header(&effects[0])["status"].clone();
    assert_eq!((&status["code"], &status["errorCode"]), (&json!(403), &json!(20106)));
    assert_eq!(effects[1], Effect::Close(CloseReason::Refused));
}

#[test]
fn changed_rights_are_looked_at_and_a_deleted_user_is_let_go() {
    let mut session = live();
    assert_eq!(session.input(at(1), Input::Post(Post::Rights)), [Effect::LookAgain]);
    session.input(at(1), packet(json!({"id": "TM9", "method": "update", "token": "d.e.f"}), ""));
    let mut next = admission(7, 2000);
    next.user = Arc::new(UserRef { role: Some(Sid::from_number(9)), ..(*next.user).clone() });
    let effects = session.input(at(1), Input::Admitted { id: "TM9".to_owned(), result: Ok(next) });
    assert_eq!(effects[0], Effect::LookAgain, "before the client hears that the new role counts");
    assert_eq!(session.input(at(1), Input::UserGone), [Effect::Close(CloseReason::UserGone)]);
}

#[test]
fn events_go_out_from_subscribed_to_the_loss_of_the_right() {
    let conversation = Sid::<Conversation>::from_number(5);
    let (stream, part) = (talk(conversation), Part::Messages);
    let event = || Input::Post(Post::Packet { stream, part, packet: Bytes::from_static(b"event") });
    let mut session = live();
    assert_eq!(session.input(at(1), event()), [], "not subscribed yet");
    session.input(at(1), Input::Post(Post::Subscribed { stream, part, own: 2 }));
    session.input(at(1), Input::Post(Post::Subscribed { stream: roster(conversation), part: Part::Whole, own: 2 }));
    assert_eq!(session.input(at(1), event()), [Effect::Send(Bytes::from_static(b"event"))]);
    let late = session.input(at(1), Input::Post(Post::Own { upto: 2, ended: Some(conversation) }));
    assert_eq!(late, [], "left before, and back since: the right is younger than that removal");
    let lost = session.input(at(1), Input::Post(Post::Own { upto: 3, ended: Some(conversation) }));
    assert_eq!(lost, [Effect::Detach(stream, part, 3), Effect::Detach(roster(conversation), Part::Whole, 3)]);
    assert_eq!(session.input(at(1), event()), [], "what was on its way is held back");
}

#[test]
fn what_is_no_packet_is_told_why_and_closed() {
    for input in [Input::Packet(Bytes::from_static(b"hello")), Input::Text] {
        let mut session = live();
        let effects = session.input(at(1), input);
        let close = header(&effects[0]);
        assert_eq!((&close["method"], &close["status"]["code"]), (&json!("close"), &json!(406)));
        assert_eq!(effects[1], Effect::Close(CloseReason::Malformed));
    }
}

#[test]
fn somebody_who_never_says_who_is_let_go() {
    let mut session = session();
    assert_eq!(session.input(at(19), Input::Tick), []);
    assert_eq!(session.input(at(20), Input::Tick), [Effect::Close(CloseReason::Goodbye)]);
}

#[test]
fn after_its_close_a_connection_does_nothing_more() {
    let mut session = live();
    assert_eq!(session.overflow(), [Effect::Close(CloseReason::TooSlow)]);
    for input in [Input::ShutDown, Input::Text, Input::Tick, message("TM5"), Input::Post(Post::Answer(Bytes::new()))] {
        assert_eq!(session.input(at(5000), input), []);
    }
    assert_eq!(session.overflow(), []);
}
