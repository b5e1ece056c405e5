//! A user's calls as an SDK tunnels them, without the websocket around them.

use std::sync::Arc;

use serde_json::Value;
use tertulia_protocol::Sid;
use tertulia_protocol::realtime::TunnelledRequest;
use tertulia_server::platform::caller::{Caller, Source, UserRef, Who};
use tertulia_server::realtime::tunnel;

use super::{Answer, RUNTIME, World, sid};

/// A user whom a token has let in.
pub(crate) struct SdkUser<'w> {
    world: &'w World,
    caller: Caller,
    base: String,
}

impl World {
    /// The user with this identity in the default service, brought into being when there is none.
    pub(crate) fn user(&self, identity: &str) -> SdkUser<'_> {
        self.owner.post("/v1/Users", &[("Identity", identity)]);
        let user = self.owner.get(&format!("/v1/Users/{identity}")).is(200);
        let user = UserRef {
            service: Sid::parse(&self.service).expect("a SID"),
            sid: Sid::parse(&sid(&user)).expect("a SID"),
            identity: identity.to_owned(),
            role: None,
        };
        let caller = Caller { source: Source::Sdk, who: Who::User(Arc::new(user)), hooks: true, ..self.system() };
        SdkUser { world: self, caller, base: format!("/Client/v2/Services/{}", self.service) }
    }

    /// Gives a user the default role with this place in the list of roles: 0 is `service admin`.
    pub(crate) fn give_role(&self, identity: &str, index: usize) {
        let roles = self.owner.get("/v1/Roles").is(200);
        let role = roles["roles"][index]["sid"].as_str().expect("a role").to_owned();
        self.owner.post(&format!("/v1/Users/{identity}"), &[("RoleSid", &role)]).is(200);
    }
}

impl SdkUser<'_> {
    /// `path` below the service's own, with an optional query.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    /// The same user with a `deployment_role_sid` in the token.
    pub(crate) fn in_role(mut self, role: &str) -> Self {
        let user = self.caller.user().expect("a user").clone();
        let user = UserRef { role: Some(role.parse().expect("a SID")), ..user };
        self.caller.who = Who::User(Arc::new(user));
        self
    }

    /// Who it is to the server.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(method, &format!("{}{path}", self.base), body)
    }

    /// Any request, with its whole path.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = TunnelledRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            params: query.split('&').filter_map(pair).collect(),
            content_type: "application/json".to_owned(),
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let app = self.world.app();
        let reply = RUNTIME.block_on(tunnel::answer(app, &self.caller, &self.world.origin, request));
        let text = String::from_utf8(reply.body).expect("UTF-8");
        Answer {
            asked: format!("{method} {path}"),
            status: reply.status,
            headers: Vec::new(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }
}
