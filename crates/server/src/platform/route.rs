//! The table of routes: one list, read by the router, the docs and the permission test.
//!
//! Each noun has its `ROUTES`; a route is a method, a path, the operation's name in the contract and a
//! function. REST and the SDK's tunnelled requests are routed by the same table.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use tertulia_protocol::sid::{Kind, Service};
use tertulia_protocol::sync::Object;
use tertulia_protocol::{Code, Sid};

use super::{Caller, Change, Db, Error, Form, Outcome, Question};
use crate::App;

/// The methods that the contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates and changes.
    Post,
    /// Removes.
    Delete,
}

impl Method {
    /// The method with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "GET" | "HEAD" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Where a route is mounted, and who may knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// REST v1 at `/v1` only.
    V1,
    /// REST v1 twice: at `/v1` for the default chat service and at `/v1/Services/{ChatServiceSid}`.
    Service,
    /// The 2010 API of accounts and keys, at `/2010-04-01`: for the auth token and Main keys.
    V2010,
    /// Keys and auth tokens in their newer form, at `/v1`: for the auth token and Main keys.
    Manage,
    /// Operations of Tertulia's own at `/tertulia/v1`, for an account's credentials but Restricted keys.
    Own,
    /// Operations of Tertulia's own at `/tertulia/v1`, for whoever runs the server.
    Operator,
    /// The SDK's requests, tunnelled, at their full path.
    Sdk,
}

/// A handler's future.
pub type Answering = Pin<Box<dyn Future<Output = Outcome<Reply>> + Send>>;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Where it is mounted.
    pub surface: Surface,
    /// The method.
    pub method: Method,
    /// The path below the mount point, with `{Name}` parameters.
    pub path: &'static str,
    /// The operation's name in the contract, such as `FetchConversation`.
    pub operation: &'static str,
    /// What answers it.
    pub handler: fn(Call) -> Answering,
}

impl Route {
    /// The permission that a Restricted key needs here; `None` where no Restricted key may come:
    /// `/twilio/conversations/{resource}/{create|list|read|update|delete}`. The resource is the last word of the
    /// path; what belongs to a user or a chat service itself has the owner before it.
    pub fn permission(&self) -> Option<String> {
        if !matches!(self.surface, Surface::V1 | Surface::Service) {
            return None;
        }
        let words = self.path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
        let resource = match *words.collect::<Vec<_>>().as_slice() {
            ["Users", own] => format!("User{own}"),
            ["Services", own] => format!("Service{own}"),
            [.., last] => last.to_owned(),
            [] => return None,
        };
        let action = match self.verb() {
            "Fetch" => "read".to_owned(),
            verb => verb.to_lowercase(),
        };
        Some(format!("/twilio/conversations/{}/{action}", kebab(&resource)))
    }

    /// The first word of the operation's name.
    pub fn verb(&self) -> &'static str {
        let letters = self.operation.char_indices().skip(1);
        let end = letters.into_iter().find(|(_, letter)| letter.is_ascii_uppercase()).map_or(0, |(at, _)| at);
        &self.operation[..end]
    }
}

fn kebab(words: &str) -> String {
    let mut out = String::new();
    for letter in words.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// Writes a noun's routes as a table: `routes![Service Get "/Conversations" ListConversation => list, …]`.
#[macro_export]
macro_rules! routes {
    ($($surface:ident $method:ident $path:literal $operation:ident => $handler:path;)*) => {
        &[$($crate::platform::Route {
            surface: $crate::platform::Surface::$surface,
            method: $crate::platform::Method::$method,
            path: $path,
            operation: stringify!($operation),
            handler: |call| Box::pin($handler(call)),
        },)*]
    };
}

/// One request, ready for its handler: routed, authenticated, decoded.
pub struct Call {
    /// The server.
    pub app: Arc<App>,
    /// Where changes and questions go.
    pub db: Db,
    /// Who asks.
    pub caller: Caller,
    /// Scheme and host that absolute URLs begin with.
    pub origin: String,
    /// The path below the mount point as it was asked for, decoded.
    pub path: String,
    /// Values of the path's parameters, decoded.
    pub params: Vec<(&'static str, String)>,
    /// The query.
    pub query: Form,
    /// The form of a REST write.
    pub form: Form,
    /// The body of an SDK write.
    pub body: Vec<u8>,
    /// The chat service named in the path; `None` on the short route.
    pub service: Option<Sid<Service>>,
}

impl Call {
    /// Performs a change for the caller; see [`Db::perform`].
    pub async fn perform<C: Change>(&self, change: C) -> Outcome<C::Out> {
        self.db.perform(&self.caller, change).await
    }

    /// Asks a question for the caller; see [`Db::ask`].
    pub async fn ask<Q: Question>(&self, question: Q) -> Outcome<Q::Out> {
        self.db.ask(&self.caller, question).await
    }

    /// A path parameter; the table guarantees that it is there.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value.as_str())
    }

    /// A path parameter that is a SID; a malformed one is not found.
    pub fn sid<K: Kind>(&self, name: &str) -> Outcome<Sid<K>> {
        Sid::parse(self.param(name)).map_err(|_| Error::not_found(Code::NotFound))
    }

    /// The JSON body of an SDK write; an empty one is an empty object.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Outcome<T> {
        let body = if self.body.is_empty() { b"{}" } else { self.body.as_slice() };
        serde_json::from_slice(body)
            .map_err(|cause| Error::parameter(format!("The body is not the expected JSON: {cause}")))
    }

    /// Where the URLs of this route's resources begin: the short or the service form, as it was asked.
    pub fn base(&self) -> String {
        match self.service {
            Some(service) => format!("{}/v1/Services/{service}", self.origin),
            None => format!("{}/v1", self.origin),
        }
    }

    /// `chat_service_sid` of bodies that have it on the service route only.
    pub fn service_form(&self, service: Sid<Service>) -> Option<Sid<Service>> {
        self.service.map(|_| service)
    }
}

/// An answer: a status and a JSON body, or none.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON, empty for 204.
    pub body: Vec<u8>,
    /// Seconds after which to ask again, where that is known.
    pub retry_after: Option<i64>,
    /// The object of which this is a page, and its position then. A connection that is told of the object is
    /// told up to there before it gets the page.
    pub shows: Option<(Object, i64)>,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: &impl Serialize) -> Self {
        Self::new(200, body)
    }

    /// 201 with a body.
    pub fn created(body: &impl Serialize) -> Self {
        Self::new(201, body)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::plain(204)
    }

    /// A status without a body.
    pub fn plain(status: u16) -> Self {
        Self { status, body: Vec::new(), retry_after: None, shows: None }
    }

    /// Any status with a body.
    pub fn new(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a body has string keys and no failing parts");
        Self { status, body, retry_after: None, shows: None }
    }

    /// The same, as a page of an object that stood at this position.
    #[must_use]
    pub fn showing(self, object: Object, position: i64) -> Self {
        Self { shows: Some((object, position)), ..self }
    }
}
