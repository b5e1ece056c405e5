//! Requests that an SDK tunnels through its websocket: routed by path, whatever host they name.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use tertulia_protocol::realtime::TunnelledRequest;
use tertulia_protocol::{Code, Sid};

use crate::App;
use crate::http::{Line, refuse};
use crate::platform::{Call, Caller, Error, Form, Ids, Method, Outcome, Reply, Surface, ids};
use crate::router::{self, Found};

/// Answers one tunnelled request, and writes its log line.
pub async fn answer(app: &Arc<App>, caller: &Caller, origin: &str, request: TunnelledRequest) -> Reply {
    let began = app.db.clock.machine();
    let method = request.method.clone();
    let path = request.path.clone();
    let mut operation = String::from("none");
    let reply = match dispatch(app, caller, origin, request, &mut operation).await {
        Ok(reply) => reply,
        Err(error) => refuse(&error, Surface::Sdk, &path),
    };
    let request_id = format!("RQ{}", Ids::from_seed(ids::fresh_seed()).hex(16));
    Line {
        operation: &operation,
        method: &method,
        status: reply.status,
        duration_us: app.db.clock.machine().micros() - began.micros(),
        account: Some(caller.account_sid),
        request_id: &request_id,
        source: "sdk",
    }
    .write();
    reply
}

async fn dispatch(
    app: &Arc<App>,
    caller: &Caller,
    origin: &str,
    request: TunnelledRequest,
    operation: &mut String,
) -> Outcome<Reply> {
    let found = Method::parse(&request.method).map(|method| router::find_sdk(method, &request.path));
    let (mounted, params) = match found {
        Some(Found::Route(mounted, params)) => (mounted, params),
        Some(Found::Nothing) => return Err(Error::not_found(Code::NotFound)),
        Some(Found::OtherMethod) | None => {
            return Err(Error::refused(Code::MethodNotAllowed, format!("{} is not allowed here", request.method)));
        }
    };
    *operation = mounted.operation();
    let own = caller.user().map(|user| user.service);
    let named = params.iter().find(|(name, _)| *name == "ServiceSid");
    if named.is_some_and(|(_, sid)| Sid::parse(sid).ok() != own) {
        return Err(Error::not_found(Code::NotFound));
    }
    let call = Call {
        app: app.clone(),
        db: app.db.clone(),
        caller: caller.clone(),
        origin: origin.to_owned(),
        path: request.path,
        params,
        query: Form::from_pairs(decoded(&request.params)?)?,
        form: Form::default(),
        body: request.body,
        service: None,
    };
    (mounted.route.handler)(call).await
}

fn decoded(params: &[(String, String)]) -> Outcome<Vec<(String, String)>> {
    let decode = |text: &String| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(std::borrow::Cow::into_owned).map_err(|_| Error::parameter("The query is not UTF-8"))
    };
    params.iter().map(|(name, value)| Ok((decode(name)?, decode(value)?))).collect()
}
