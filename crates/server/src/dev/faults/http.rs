//! `/tertulia/v1/Faults`: making, listing and deleting faults. Outside dev mode there is nothing here.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tertulia_protocol::sid::Conversation as ConversationKind;
use tertulia_protocol::{Code, Sid};

use super::{Act, Fault, Faults, HOLD_MAX, Kind, Which};
use crate::conversations::commands::enter;
use crate::conversations::queries::{Lock, take_position};
use crate::participants::queries::bump_roster;
use crate::platform::{Call, Change, Cx, Error, Form, Outcome, Reply, Route};
use crate::realtime::hub::{Post, Whose};
use crate::realtime::news::kind;
use crate::routes;
use crate::users::commands::FetchUser;
use crate::users::queries::bump_mine;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Own Post "/Faults" CreateFault => create;
    Own Get "/Faults" ListFault => list;
    Own Delete "/Faults" DeleteFaults => delete_all;
    Own Get "/Faults/{Id}" FetchFault => fetch;
    Own Delete "/Faults/{Id}" DeleteFault => delete;
];

const KINDS: &str = "refuse-upgrade, cut, delay-event, drop-event, duplicate-event, reorder-event, hole, answer, hold, \
                     stop";
/// News that are put behind the next ones come after this time in any case.
const REORDER: Duration = Duration::from_secs(1);
/// Positions that a hole skips at most.
const HOLE_MAX: u32 = 100;

#[derive(Serialize)]
struct Body {
    id: u64,
    kind: &'static str,
    identity: Option<String>,
    /// `null`: until it is deleted.
    times_left: Option<u32>,
    hits: u64,
    url: String,
}

fn faults(call: &Call) -> Outcome<&Arc<Faults>> {
    call.app.faults.as_ref().ok_or_else(|| Error::not_found(Code::NotFound))
}

async fn create(call: Call) -> Outcome<Reply> {
    let faults = Arc::clone(faults(&call)?);
    let form = &call.form;
    if form.required("Kind")? == "hole" {
        return hole(&call).await;
    }
    let identity = form.owned("Identity").filter(|identity| !identity.is_empty());
    let fault = Fault {
        kind: kind_of(form)?,
        account: call.caller.account,
        identity,
        times_left: Some(number(form, "Times")?.unwrap_or(1)).filter(|times| *times > 0),
        skip: number(form, "Skip")?.unwrap_or(0),
        hits: 0,
    };
    if fault.identity.is_some() && !knows_identities(&fault.kind) {
        let message = "Identity narrows cut, answer and hold; before that the server knows nobody";
        return Err(Error::parameter(message));
    }
    let acts_now = fault.kind == Kind::Cut { after_packets: 0 } && form.text("AfterPackets").is_none();
    let whose = match (&fault.identity, acts_now) {
        (Some(identity), true) => {
            let user = FetchUser { service: call.service, key: identity.clone() };
            Whose::User(call.ask(user).await?.sid)
        }
        _ => Whose::Account(call.caller.account),
    };
    let id = faults.add(fault)?;
    if acts_now {
        let count = call.app.hub().post(whose, &Post::Cut);
        faults.struck(id, count);
    }
    tracing::info!(fault = id, kind = form.text("Kind"), "a fault was asked for");
    one(&call, id).map(|body| Reply::created(&body))
}

fn knows_identities(kind: &Kind) -> bool {
    matches!(kind, Kind::Cut { .. } | Kind::Answer { .. } | Kind::Hold { .. })
}

fn kind_of(form: &Form) -> Outcome<Kind> {
    let event = |act| Ok(Kind::Event { act, stream: stream(form)? });
    match form.required("Kind")? {
        "refuse-upgrade" => Ok(Kind::RefuseUpgrade { status: status(form)?.unwrap_or(503) }),
        "cut" => Ok(Kind::Cut { after_packets: number(form, "AfterPackets")?.unwrap_or(0) }),
        "delay-event" => event(Act::Delay(time(form)?.unwrap_or(REORDER))),
        "drop-event" => event(Act::Drop),
        "duplicate-event" => event(Act::Duplicate),
        "reorder-event" => event(Act::Reorder(time(form)?.unwrap_or(REORDER))),
        "answer" => Ok(Kind::Answer {
            which: which(form),
            status: status(form)?.unwrap_or(503),
            code: number(form, "Code")?.unwrap_or(Code::Unavailable.number()),
            is_performed: match form.text("When") {
                None | Some("before") => false,
                Some("after") => true,
                Some(_) => return Err(Error::parameter("When is before (not performed) or after (performed)")),
            },
        }),
        "hold" => Ok(Kind::Hold { which: which(form), time: time(form)? }),
        "stop" => Ok(Kind::Stop { stream: stream(form)? }),
        other => Err(Error::parameter(format!("There is no fault {other}; there are {KINDS}"))),
    }
}

fn which(form: &Form) -> Which {
    let given = |name: &str| form.owned(name).filter(|text| !text.is_empty());
    Which { method: given("Method"), path: given("Path") }
}

fn number(form: &Form, name: &str) -> Outcome<Option<u32>> {
    let parse = |text: &str| text.parse().map_err(|_| Error::parameter(format!("{name} must be a number from 0 on")));
    form.text(name).map(parse).transpose()
}

fn status(form: &Form) -> Outcome<Option<u16>> {
    let wrong = || Error::parameter("Status must be an HTTP status between 200 and 599");
    let given = number(form, "Status")?;
    let fits = |number: u32| u16::try_from(number).ok().filter(|status| (200..600).contains(status));
    given.map(|number| fits(number).ok_or_else(wrong)).transpose()
}

fn time(form: &Form) -> Outcome<Option<Duration>> {
    let time = number(form, "Milliseconds")?.map(|millis| Duration::from_millis(millis.into()));
    if time.is_some_and(|time| time > HOLD_MAX) {
        return Err(Error::parameter(format!("Milliseconds must be at most {}", HOLD_MAX.as_millis())));
    }
    Ok(time)
}

fn stream(form: &Form) -> Outcome<Option<u8>> {
    match form.text("Stream") {
        None | Some("") => Ok(None),
        Some("talk") => Ok(Some(kind::TALK)),
        Some("roster") => Ok(Some(kind::ROSTER)),
        Some("mine") => Ok(Some(kind::MINE)),
        Some("info") => Ok(Some(kind::INFO)),
        Some(_) => Err(Error::parameter("Stream is talk, roster, mine or info")),
    }
}

/// Positions that nobody hears of: it happens at once, and is no entry of the list.
async fn hole(call: &Call) -> Outcome<Reply> {
    let conversation = call.form.required("ConversationSid")?;
    let skip = Skip {
        conversation: Sid::parse(conversation).map_err(|_| Error::parameter("ConversationSid is no SID"))?,
        stream: stream(&call.form)?.unwrap_or(kind::TALK),
        positions: number(&call.form, "Positions")?.unwrap_or(1).min(HOLE_MAX),
        identity: call.form.owned("Identity"),
    };
    call.perform(skip).await?;
    Ok(Reply::no_content())
}

/// Takes positions and tells of nothing.
#[derive(Clone)]
struct Skip {
    conversation: Sid<ConversationKind>,
    stream: u8,
    positions: u32,
    identity: Option<String>,
}

impl Change for Skip {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        let room = enter(cx, None, self.conversation.as_str(), Lock::Row).await.map_err(|error| match error {
            Error::Refused(_) => Error::parameter(format!("There is no conversation {}", self.conversation)),
            failure => failure,
        })?;
        let conversation = &room.conversation;
        for _ in 0..self.positions {
            match self.stream {
                kind::TALK => drop(take_position(cx.tx, conversation, 0).await?),
                kind::ROSTER => drop(bump_roster(cx.tx, conversation.account, conversation.sid, 0).await?),
                kind::MINE => {
                    let identity = self.identity.as_deref().unwrap_or_default();
                    let participant = room.get_participant(cx, identity).await?;
                    let user = participant.user.ok_or_else(|| Error::not_found(Code::NotFound))?;
                    bump_mine(cx.tx, conversation.account, user, 0).await?;
                }
                _ => return Err(Error::parameter("A hole is in the stream talk, roster or mine")),
            }
        }
        Ok(())
    }
}

async fn list(call: Call) -> Outcome<Reply> {
    let bodies: Vec<Body> =
        faults(&call)?.list(call.caller.account).iter().map(|(id, fault)| body(&call, *id, fault)).collect();
    Ok(Reply::ok(&serde_json::json!({"faults": bodies})))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    one(&call, id(&call)?).map(|body| Reply::ok(&body))
}

async fn delete(call: Call) -> Outcome<Reply> {
    match faults(&call)?.delete(call.caller.account, Some(id(&call)?)) {
        0 => Err(Error::not_found(Code::NotFound)),
        _ => Ok(Reply::no_content()),
    }
}

async fn delete_all(call: Call) -> Outcome<Reply> {
    faults(&call)?.delete(call.caller.account, None);
    Ok(Reply::no_content())
}

fn id(call: &Call) -> Outcome<u64> {
    call.param("Id").parse().map_err(|_| Error::not_found(Code::NotFound))
}

fn one(call: &Call, id: u64) -> Outcome<Body> {
    let fault = faults(call)?.find(call.caller.account, id).ok_or_else(|| Error::not_found(Code::NotFound))?;
    Ok(body(call, id, &fault))
}

fn body(call: &Call, id: u64, fault: &Fault) -> Body {
    Body {
        id,
        kind: word(&fault.kind),
        identity: fault.identity.clone(),
        times_left: fault.times_left,
        hits: fault.hits,
        url: format!("{}/tertulia/v1/Faults/{id}", call.origin),
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::RefuseUpgrade { .. } => "refuse-upgrade",
        Kind::Cut { .. } => "cut",
        Kind::Event { act: Act::Delay(_), .. } => "delay-event",
        Kind::Event { act: Act::Drop, .. } => "drop-event",
        Kind::Event { act: Act::Duplicate, .. } => "duplicate-event",
        Kind::Event { act: Act::Reorder(_), .. } => "reorder-event",
        Kind::Answer { .. } => "answer",
        Kind::Hold { .. } => "hold",
        Kind::Stop { .. } => "stop",
    }
}
