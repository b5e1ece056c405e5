//! Every route of the SDK, asked for what is another account's, another chat service's or another user's own.
//! The answer is that to a thing that does not exist, byte for byte but for the name that was asked for. A
//! parameter that is missing here fails the test: say in `Things` what stands for it.

use bytes::Bytes;
use serde_json::json;
use tertulia_protocol::client::message;
use tertulia_protocol::realtime::TunnelledRequest;
use tertulia_protocol::sync::Object;
use tertulia_server::platform::{Method, Surface};
use tertulia_server::realtime::objects::Snapshot;
use tertulia_server::realtime::session::{Effect, Input, Session};
use tertulia_server::router::{Mounted, mounted};

use crate::support::{Actor, Answer, SdkUser, World, on_sqlite, sid};

on_sqlite! {
    nothing_foreign_is_told_from_what_does_not_exist,
    a_foreign_name_is_free_and_a_foreign_object_cannot_be_subscribed_to,
    what_is_another_users_own_is_told_from_nothing_neither,
    a_stranger_to_a_conversation_learns_nothing_of_what_is_in_it,
    no_route_of_the_sdk_is_open_before_init_or_over_http,
}

/// One of each thing, in one chat service; or names of things that are nowhere.
struct Things {
    service: String,
    conversation: String,
    name: String,
    participant: String,
    message: String,
    user: String,
    identity: String,
}

impl Things {
    /// Makes them; `suffix` keeps names apart.
    fn of(owner: &Actor, service: &str, suffix: &str) -> Self {
        let base = format!("/v1/Services/{service}");
        let (name, identity) = (format!("name{suffix}"), format!("user{suffix}"));
        let conversation = sid(&owner.post(&format!("{base}/Conversations"), &[("UniqueName", &name)]).is(201));
        let room = format!("{base}/Conversations/{conversation}");
        let participant = sid(&owner.post(&format!("{room}/Participants"), &[("Identity", &identity)]).is(201));
        let horizon = [("LastReadMessageIndex", "0")];
        let message = sid(&owner.post(&format!("{room}/Messages"), &[("Body", "x"), ("Author", &identity)]).is(201));
        owner.post(&format!("{base}/Users/{identity}/Conversations/{conversation}"), &horizon).is(200);
        let user = sid(&owner.get(&format!("{base}/Users/{identity}")).is(200));
        Self { service: service.to_owned(), conversation, name, participant, message, user, identity }
    }

    fn nowhere() -> Self {
        let sid = |prefix: &str| format!("{prefix}{}", "0123456789abcdef".repeat(2));
        Self {
            service: sid("IS"),
            conversation: sid("CH"),
            name: "name-nowhere".to_owned(),
            participant: sid("MB"),
            message: sid("IM"),
            user: sid("US"),
            identity: "user-nowhere".to_owned(),
        }
    }

    /// What may stand for a parameter, in the same order for all.
    fn values(&self, parameter: &str) -> Vec<String> {
        let objects = || {
            let conversation = self.conversation.parse().expect("a SID");
            let user = self.user.parse().expect("a SID");
            let objects = [
                Object::Document(conversation),
                Object::Messages(conversation),
                Object::Roster(conversation),
                Object::MyConversations(user),
                Object::UserInfo(user),
            ];
            objects.into_iter().flat_map(|object| [object.sid(), object.name()]).collect()
        };
        match parameter {
            "ServiceSid" => vec![self.service.clone()],
            "Conversation" => vec![self.conversation.clone(), self.name.clone()],
            "Participant" => vec![self.participant.clone(), self.identity.clone()],
            "Message" => vec![self.message.clone()],
            "User" => vec![self.user.clone(), self.identity.clone()],
            "Key" => objects(),
            // Registrations are taken and forgotten.
            "Sid" => Vec::new(),
            other => panic!("say in Things what stands for {{{other}}}"),
        }
    }
}

fn parameters(pattern: &'static str) -> impl Iterator<Item = &'static str> {
    pattern.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

fn sdk_routes() -> impl Iterator<Item = Mounted> {
    mounted().filter(|mounted| mounted.route.surface == Surface::Sdk)
}

/// Asks for a route with one's own things, but for one parameter.
fn ask(user: &SdkUser<'_>, mounted: &Mounted, own: &Things, parameter: &str, value: &str) -> Answer {
    let mut path = mounted.pattern().replace(&format!("{{{parameter}}}"), value);
    for other in parameters(mounted.route.path) {
        let own = own.values(other).into_iter().next().unwrap_or_default();
        path = path.replace(&format!("{{{other}}}"), &own);
    }
    let body =
        json!({"attributes": "1", "body": "x", "friendly_name": "x", "identity": "x", "last_read_message_index": 0});
    let body = (mounted.route.method == Method::Post).then_some(&body);
    user.ask(mounted.route.method.name(), &path, body)
}

/// The answer without the name that was asked for.
fn blurred(answer: &Answer, value: &str) -> (u16, String) {
    (answer.status, answer.text.replace(value, "{it}"))
}

fn another_account(world: &World) -> Things {
    let service = sid(&world.tenant.post("/v1/Services", &[("FriendlyName", "x")]).is(201));
    Things::of(&world.tenant, &service, "-of-another-account")
}

fn another_service(world: &World) -> Things {
    Things::of(&world.owner, &world.second_service(), "-of-another-service")
}

/// A user of the default service whom no role holds back, and one's own things.
fn mighty(world: &World) -> (SdkUser<'_>, Things) {
    let own = Things::of(&world.owner, &world.service, "-own");
    let user = world.user(&own.identity);
    world.give_role(&own.identity, 0);
    (user, own)
}

fn nothing_foreign_is_told_from_what_does_not_exist(world: &World) {
    let (user, own) = mighty(world);
    let (nowhere, foreign) = (Things::nowhere(), [another_account(world), another_service(world)]);
    let mut asked = 0;
    for mounted in sdk_routes() {
        for parameter in parameters(mounted.route.path) {
            for (at, nothing) in nowhere.values(parameter).iter().enumerate() {
                let wanted = ask(&user, &mounted, &own, parameter, nothing);
                assert!(matches!(wanted.status, 400..500), "{}: {} {}", wanted.asked, wanted.status, wanted.text);
                for things in &foreign {
                    let value = &things.values(parameter)[at];
                    let answer = ask(&user, &mounted, &own, parameter, value);
                    assert_eq!(blurred(&answer, value), blurred(&wanted, nothing), "{}", answer.asked);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 100, "{asked}");
    // And nothing of it was done.
    for (owner, things) in [(&world.tenant, &foreign[0]), (&world.owner, &foreign[1])] {
        let room = format!("/v1/Services/{}/Conversations/{}", things.service, things.conversation);
        assert_eq!(owner.get(&room).is(200)["friendly_name"], json!(null));
        assert_eq!(owner.get(&format!("{room}/Messages")).is(200)["messages"][0]["body"], "x");
        let participants = owner.get(&format!("{room}/Participants")).is(200)["participants"].clone();
        assert_eq!((participants.as_array().unwrap().len(), &participants[0]["attributes"]), (1, &json!("{}")));
    }
}

fn a_foreign_name_is_free_and_a_foreign_object_cannot_be_subscribed_to(world: &World) {
    let (user, _) = mighty(world);
    let nowhere = Things::nowhere();
    for things in [another_account(world), another_service(world)] {
        user.post("/Conversations", &json!({"unique_name": things.name})).is(201);
        let typing = |conversation: &str| {
            let body = json!(format!("&ChannelSid={conversation}&"));
            blurred(&user.post("/Typing", &body), conversation)
        };
        assert_eq!(typing(&things.conversation), typing(&nowhere.conversation));
        let entries = |things: &Things| {
            // Everything missed, from now on, and further than anything is.
            let positions = [Some(0), None, Some(i64::MAX)];
            let keys = things.values("Key").into_iter().map(|key| Object::parse(&key));
            let objects = keys.flat_map(|object| positions.map(|after| (object, after)));
            Snapshot { entries: objects.collect(), events_max: 20 }
        };
        let codes = |things: &Things| {
            let answers = world.play(world.app().db.ask(user.caller(), entries(things))).expect("an answer").0;
            answers.into_iter().map(|answer| answer.expect_err("a refusal")).collect::<Vec<_>>()
        };
        assert_eq!(codes(&things), codes(&nowhere));
    }
}

fn what_is_another_users_own_is_told_from_nothing_neither(world: &World) {
    let (user, own) = mighty(world);
    let other = Things::of(&world.owner, &world.service, "-of-another-user");
    let list = |things: &Things| Object::MyConversations(things.user.parse().expect("a SID"));
    let nowhere = Things::nowhere();
    for mounted in sdk_routes().filter(|mounted| mounted.route.path.contains("{Key}")) {
        for (value, nothing) in
            [(list(&other).sid(), list(&nowhere).sid()), (list(&other).name(), list(&nowhere).name())]
        {
            let answer = ask(&user, &mounted, &own, "Key", &value);
            let wanted = ask(&user, &mounted, &own, "Key", &nothing);
            assert_eq!(wanted.status, 404);
            assert_eq!(blurred(&answer, &value), blurred(&wanted, &nothing), "{}", answer.asked);
        }
    }
    // The other one has read the conversation, and is told so. Who only looks at it sees nothing of that.
    let seen = user.get(&format!("/MyConversations/{}", other.conversation)).is(200);
    assert_eq!(
        (&seen["last_read_message_index"], &seen["unread_messages_count"], &seen["status"]),
        (&json!(null), &json!(null), &json!("notParticipating"))
    );
    let mine = user.get("/MyConversations").is(200);
    let mine: Vec<_> = mine["conversations"].as_array().unwrap().iter().map(|row| &row["conversation_sid"]).collect();
    assert_eq!(mine, [&json!(own.conversation)]);
    // Nor can it be moved from here.
    user.post(&format!("/MyConversations/{}", other.conversation), &json!({"last_read_message_index": null}))
        .refuses(403, 50430);
    let horizon =
        world.owner.get(&format!("/v1/Users/{}/Conversations/{}", other.identity, other.conversation)).is(200);
    assert_eq!(horizon["last_read_message_index"], 0);
}

fn a_stranger_to_a_conversation_learns_nothing_of_what_is_in_it(world: &World) {
    let room = Things::of(&world.owner, &world.service, "-of-others");
    let stranger = world.user("stranger");
    let nowhere = Things::nowhere();
    for mounted in sdk_routes() {
        for parameter in parameters(mounted.route.path).filter(|name| matches!(*name, "Participant" | "Message")) {
            for (value, nothing) in room.values(parameter).iter().zip(nowhere.values(parameter)) {
                let answer = ask(&stranger, &mounted, &room, parameter, value);
                let wanted = ask(&stranger, &mounted, &room, parameter, &nothing);
                assert!(matches!(answer.status, 403 | 404), "{}: {}", answer.asked, answer.text);
                assert_eq!(blurred(&answer, value), blurred(&wanted, &nothing), "{}", answer.asked);
            }
        }
    }
}

/// A connection that has not said who it is, and HTTP, whoever asks.
fn no_route_of_the_sdk_is_open_before_init_or_over_http(world: &World) {
    let own = Things::of(&world.owner, &world.service, "-own");
    for mounted in sdk_routes() {
        let mut path = mounted.pattern();
        for parameter in parameters(mounted.route.path) {
            let value = own.values(parameter).into_iter().next().unwrap_or_default();
            path = path.replace(&format!("{{{parameter}}}"), &value);
        }
        let method = mounted.route.method.name();
        let request = TunnelledRequest {
            method: method.to_owned(),
            path: path.clone(),
            params: Vec::new(),
            content_type: "application/json".to_owned(),
            body: Vec::new(),
        };
        let now = world.app().db.clock.machine();
        let mut session = Session::new(now, "f".repeat(32), "c".repeat(32));
        let effects = session.input(now, Input::Packet(Bytes::from(message("TM1", &request))));
        let [Effect::Send(reply)] = effects.as_slice() else { panic!("{path}: {effects:?}") };
        let reply = String::from_utf8_lossy(reply);
        assert!(reply.contains("\"code\":400") && reply.contains("init"), "{path}: {reply}");
        for actor in [&world.stranger, &world.owner, &world.tenant] {
            let answer = actor.send(method, &path, b"");
            assert_eq!(answer.status, 404, "{path}: {}", answer.text);
            let beside = if path.starts_with("/v1/") { "/v1/nowhere" } else { "/nowhere" };
            let below = |path: &str| path.strip_prefix("/v1").unwrap_or(path).to_owned();
            let nowhere = actor.send(method, beside, b"");
            assert_eq!(blurred(&answer, &below(&path)), blurred(&nowhere, &below(beside)), "{path}");
        }
    }
}
