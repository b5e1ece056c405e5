//! Where a case is played: a user with a connection of its own, and conversations that are made anew
//! whenever a request has changed one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tertulia_client::Client;
use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Conversation, Role, Service, User};
use tertulia_protocol::sync::Object;
use tertulia_server::conversations::commands::{CreateConversation, DeleteConversation};
use tertulia_server::conversations::{self};
use tertulia_server::messages::{self, commands::SendMessage};
use tertulia_server::participants::commands::{AddParticipant, RemoveParticipant, UpdateParticipant};
use tertulia_server::participants::{self, NewParticipant};
use tertulia_server::platform::caller::{Caller, Source, UserRef, Who};
use tertulia_server::platform::{Change, Outcome};
use tertulia_server::realtime::news::stream_of;
use tertulia_server::roles::commands::CreateRole;
use tertulia_server::roles::{Permissions, Scope};
use tertulia_server::users::commands::{self as users, CreateUser, UpdateUser};

use super::table::{Case, Held, Names, TABLE};
use crate::support::{State, World};

/// The service that all cases are played in, and its roles by what they hold.
pub(crate) struct House<'w> {
    pub(crate) world: &'w World,
    system: Caller,
    service: Sid<Service>,
    roles: Mutex<BTreeMap<(bool, Names), Sid<Role>>>,
}

impl<'w> House<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let service = world.service.parse().expect("a SID");
        Self { world, system: world.system(), service, roles: Mutex::default() }
    }

    async fn perform<C: Change>(&self, change: C) -> C::Out {
        self.outcome(&self.system, change).await.expect("a change")
    }

    async fn outcome<C: Change>(&self, caller: &Caller, change: C) -> Outcome<C::Out> {
        self.world.app().db.perform(caller, change).await
    }

    /// A role that holds exactly this.
    async fn role(&self, scope: Scope, names: &Names) -> Sid<Role> {
        let key = (scope == Scope::Service, names.clone());
        let known = self.roles.lock().unwrap().get(&key).copied();
        if let Some(role) = known {
            return role;
        }
        let permissions = Permissions::named(&names.iter().cloned().collect::<Vec<_>>(), scope).expect("permissions");
        let change = CreateRole { service: Some(self.service), friendly_name: "x".to_owned(), scope, permissions };
        let role = self.perform(change).await.sid;
        self.roles.lock().unwrap().insert(key, role);
        role
    }

    async fn user(&self, identity: &str) -> Sid<User> {
        let change =
            CreateUser { service: Some(self.service), identity: identity.to_owned(), patch: users::Patch::default() };
        self.perform(change).await.sid
    }
}

/// How the user comes by the service role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// It is the user's own.
    User,
    /// The token names it, and the user's own is another.
    Token,
}

/// One case on stage.
pub(crate) struct Stage<'w> {
    house: &'w House<'w>,
    pub(crate) case: &'w Case,
    client: Client,
    /// Identities, and the users behind them.
    me: (String, Sid<User>),
    other: (String, Sid<User>),
    stranger: (String, Sid<User>),
    number: usize,
    room: Option<Room>,
    /// Counts rooms and requests, for names that nothing else has.
    count: usize,
    is_by_token: bool,
}

struct Room {
    sid: Sid<Conversation>,
    name: String,
    participant: String,
    own_message: String,
    others_message: String,
}

impl<'w> Stage<'w> {
    pub(crate) async fn new(house: &'w House<'w>, case: &'w Case, number: usize) -> Self {
        let [me, other, stranger] = ["me", "other", "stranger"].map(|name| format!("{name}-{number}"));
        let sids = (house.user(&me).await, house.user(&other).await, house.user(&stranger).await);
        let client = house.world.client(&me).await;
        let (me, other, stranger) = ((me, sids.0), (other, sids.1), (stranger, sids.2));
        Self { house, case, client, me, other, stranger, number, room: None, count: 0, is_by_token: false }
    }

    /// The user as a caller whom the roles let do everything.
    async fn mighty(&self) -> Caller {
        let role = self.house.role(Scope::Service, &TABLE.of_scope("service")).await;
        let user =
            UserRef { service: self.house.service, sid: self.me.1, identity: self.me.0.clone(), role: Some(role) };
        Caller { source: Source::Sdk, who: Who::User(Arc::new(user)), hooks: true, ..self.house.system.clone() }
    }

    async fn make_room(&mut self) {
        let house = self.house;
        let service = Some(house.service);
        self.count += 1;
        let name = format!("room-{}-{}", self.number, self.count);
        let patch = conversations::Patch { unique_name: Some(Some(name.clone())), ..conversations::Patch::default() };
        let create = CreateConversation { service, patch };
        let standing = self.case.standing.as_str();
        let is_creator = matches!(standing, "creator" | "left");
        let creator = if is_creator { self.mighty().await } else { house.system.clone() };
        let sid = house.outcome(&creator, create).await.expect("a conversation").sid;
        let conversation = sid.to_string();
        let add = |identity: &str| {
            let new = NewParticipant { identity: Some(identity.to_owned()), ..NewParticipant::default() };
            AddParticipant { service, conversation: conversation.clone(), new }
        };
        house.perform(add(&self.other.0)).await;
        let mut participant = String::new();
        if matches!(standing, "participant" | "left") {
            participant = house.outcome(&creator, add(&self.me.0)).await.expect("a participant").sid.to_string();
        }
        let send = |author: &str| {
            let patch = messages::Patch {
                author: Some(author.to_owned()),
                body: Some("x".to_owned()),
                ..messages::Patch::default()
            };
            SendMessage { service, conversation: conversation.clone(), patch }
        };
        let own_message = house.perform(send(&self.me.0)).await.sid.to_string();
        let others_message = house.perform(send(&self.other.0)).await.sid.to_string();
        if standing == "left" {
            let key = self.me.0.clone();
            house.perform(RemoveParticipant { service, conversation, key }).await;
        }
        self.room = Some(Room { sid, name, participant, own_message, others_message });
    }

    /// Gives the user these roles.
    async fn cast(&mut self, held: &Held, by: By) {
        let house = self.house;
        let role = house.role(Scope::Service, &held.service).await;
        let own = match by {
            By::User => role,
            By::Token => {
                // As different as can be: what the user's own role allows must not count.
                let all = TABLE.of_scope("service");
                let rest: Names = all.difference(&held.service).cloned().collect();
                house.role(Scope::Service, if rest.is_empty() { &all } else { &rest }).await
            }
        };
        let patch = users::Patch { role: Some(own), ..users::Patch::default() };
        house.perform(UpdateUser { service: Some(house.service), key: self.me.0.clone(), patch }).await;
        if by == By::Token || self.is_by_token {
            let role = (by == By::Token).then_some(role);
            let token = house.world.token_with_role(&self.me.0, role);
            self.client.update_token(&token).await.expect("the token is good");
            self.is_by_token = by == By::Token;
        }
        if let (true, Some(room)) = (self.case.takes_part(), &self.room) {
            let role = house.role(Scope::Conversation, &held.conversation).await;
            let patch = participants::Patch { role: Some(role), ..participants::Patch::default() };
            let (conversation, key) = (room.sid.to_string(), self.me.0.clone());
            house.perform(UpdateParticipant { service: Some(house.service), conversation, key, patch }).await;
        }
    }

    fn filled(&self, text: &str) -> String {
        let room = self.room.as_ref().expect("a room");
        let object = |object: Object| object.sid();
        let fresh = format!("{}-{}", self.number, self.count);
        let digits = format!("{}", 100_000 + self.number * 1000 + self.count);
        let base = format!("/Client/v2/Services/{}", self.house.service);
        let words = [
            ("{base}", base),
            ("{conversation}", room.sid.to_string()),
            ("{name}", room.name.clone()),
            ("{self}", self.me.0.clone()),
            ("{self_sid}", room.participant.clone()),
            ("{other}", self.other.0.clone()),
            ("{stranger}", self.stranger.0.clone()),
            ("{own_message}", room.own_message.clone()),
            ("{others_message}", room.others_message.clone()),
            ("{document}", object(Object::Document(room.sid))),
            ("{messages}", object(Object::Messages(room.sid))),
            ("{roster}", object(Object::Roster(room.sid))),
            ("{own_list}", object(Object::MyConversations(self.me.1))),
            ("{others_list}", object(Object::MyConversations(self.other.1))),
            ("{strangers_info}", object(Object::UserInfo(self.stranger.1))),
            ("{fresh}", fresh),
            ("{number}", digits),
        ];
        words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }

    /// The path as it is asked for, filled with what a stage has.
    pub(crate) fn path(&self) -> String {
        self.filled(&self.case.path)
    }

    /// Plays the case once, and says what was wrong.
    pub(crate) async fn play(&mut self, held: &Held, by: By) -> Result<(), String> {
        if self.room.is_none() {
            self.make_room().await;
        }
        self.cast(held, by).await;
        let before = self.state().await;
        let (status, code) = self.ask().await;
        let is_done = self.case.is_done(held);
        let is_right = match (is_done, self.case.allowed) {
            (true, None) => (200..300).contains(&status),
            (true, Some(allowed)) => (status, code) == allowed,
            // A subscription is refused in a notification; that it is not there was looked at.
            (false, _) if self.case.method == "SUBSCRIBE" => status == 404,
            (false, _) => (status, code) == self.case.refused,
        };
        let case = self.case;
        let what = || format!("{} {}: {}, by {by:?}, holding {held:?}", case.operation, case.standing, case.text);
        if !is_right {
            // Something may have been done that leaves no stage for what follows.
            self.strike().await;
            let wanted = if is_done { "to be done".to_owned() } else { format!("{:?}", case.refused) };
            return Err(format!("{}: wanted {wanted}, got {status} {code}", what()));
        }
        let has_changed = self.state().await != before;
        if has_changed && !(200..300).contains(&status) {
            return Err(format!("{}: it was refused and done all the same", what()));
        }
        if is_done && case.method != "GET" && case.path.contains("{conversation}") {
            self.strike().await;
        }
        Ok(())
    }

    async fn ask(&mut self) -> (u16, u64) {
        self.count += 1;
        let path = self.path();
        let (method, body) = match &self.case.body {
            _ if self.case.method == "SUBSCRIBE" => return self.subscribe(&path).await,
            None => (&self.case.method, None),
            Some(body) => {
                let filled = self.filled(&body.to_string());
                (&self.case.method, Some(serde_json::from_str::<Value>(&filled).expect("JSON")))
            }
        };
        let (status, answer) = self.client.request(method, &path, body.as_ref()).await.expect("an answer");
        (status, answer["code"].as_u64().unwrap_or_default())
    }

    /// Subscribes for a moment: 200 when the object is watched then, else 404.
    async fn subscribe(&self, sid: &str) -> (u16, u64) {
        let object = Object::parse(sid).expect("an object");
        let request = |action: &str| {
            let entry = serde_json::json!({
                "object_sid": sid, "object_type": object.object_type().word(), "last_event_id": 0,
            });
            serde_json::json!({
                "event_protocol_version": 4, "action": action, "correlation_id": 1, "requests": [entry],
            })
        };
        let path = "/v4/Subscriptions";
        let (status, answer) = self.client.request("POST", path, Some(&request("establish"))).await.expect("an answer");
        assert_eq!(status, 200, "{answer}");
        let is_watched = self.house.world.app().hub().streams().contains(&stream_of(object));
        self.client.request("POST", path, Some(&request("cancel"))).await.expect("an answer");
        (if is_watched { 200 } else { 404 }, 0)
    }

    async fn state(&self) -> State {
        self.house.world.state(self.room.as_ref().expect("a room").sid).await
    }

    /// Takes the conversation away, if it is there still.
    async fn strike(&mut self) {
        let Some(room) = self.room.take() else { return };
        let delete = DeleteConversation { service: Some(self.house.service), key: room.sid.to_string() };
        let _ = self.house.outcome(&self.house.system, delete).await;
    }

    pub(crate) async fn end(self) {
        self.client.close().await;
    }
}
