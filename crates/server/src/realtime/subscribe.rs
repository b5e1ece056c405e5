//! `POST /v4/Subscriptions`: replay from the store, then live, with nothing lost in between.
//!
//! The order is everything (docs/realtime.md): the topic is opened first, so that news are kept; then one
//! snapshot gives the right to read, the position and what was missed; then, under the hub's lock and
//! only if the topic can continue from that position, the replay, `subscription_established` and the
//! watcher go into place in one step. A right that may be out of date is read again.

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use serde_json::Number;
use tertulia_protocol::Code;
use tertulia_protocol::sync::{
    self, Object, SUBSCRIPTION_BATCH_MAX, SubscriptionAction, SubscriptionAnswer, SubscriptionEntry,
    SubscriptionRequest,
};

use super::bus::follow;
use super::hub::{Attached, Hub, Mail, Post, Watch};
use super::mailbox::Mailbox;
use super::news::{mine, part_of, stream_of};
use super::objects::{Snapshot, Standing};
use crate::App;
use crate::platform::{Caller, Error, Outcome, Question, Reply};
use crate::users;

/// How often a subscription is tried again when the snapshot was overtaken.
const TRIES_MAX: usize = 10;

/// A connection that is in, as far as subscribing needs it.
#[derive(Clone)]
pub struct Subscriber {
    /// The server.
    pub app: Arc<App>,
    /// Who.
    pub caller: Caller,
    /// Where answers and events go.
    pub mailbox: Arc<Mailbox>,
}

type Locked<'a> = MutexGuard<'a, Hub<Arc<Mailbox>>>;

impl Subscriber {
    /// Answers a subscription request. The real answers go through the mailbox, each before the events
    /// that follow it. Gives what was cancelled.
    pub async fn answer(&self, body: &[u8]) -> Outcome<(Reply, Vec<Object>)> {
        let request: SubscriptionRequest = serde_json::from_slice(body)
            .map_err(|cause| Error::parameter(format!("The body is not a subscription request: {cause}")))?;
        if request.requests.len() > SUBSCRIPTION_BATCH_MAX {
            let message = format!("A subscription request has at most {SUBSCRIPTION_BATCH_MAX} entries");
            return Err(Error::parameter(message));
        }
        let cancelled = match request.action {
            SubscriptionAction::Establish => {
                self.establish(&request).await?;
                Vec::new()
            }
            SubscriptionAction::Cancel => self.cancel(&request),
        };
        Ok((Reply::ok(&sync::subscription_accepted()), cancelled))
    }

    /// Answers for unknown objects too: the client cancels what a 404 made it drop.
    fn cancel(&self, request: &SubscriptionRequest) -> Vec<Object> {
        let mut cancelled = Vec::new();
        for entry in &request.requests {
            if let Some(object) = Object::parse(&entry.object_sid) {
                let watch = Watch::Part(part_of(object));
                self.app.hub().detach(stream_of(object), watch, &self.mailbox);
                cancelled.push(object);
            }
            self.say(&SubscriptionAnswer::Canceled, &request.correlation_id, entry);
        }
        cancelled
    }

    async fn establish(&self, request: &SubscriptionRequest) -> Outcome<()> {
        let objects: Vec<Option<Object>> =
            request.requests.iter().map(|entry| Object::parse(&entry.object_sid)).collect();
        for object in objects.iter().flatten() {
            self.app.hub().open(stream_of(*object), self.caller.account);
        }
        let outcome = self.establish_open(request, &objects).await;
        for object in objects.iter().flatten() {
            self.app.hub().close(stream_of(*object));
        }
        outcome
    }

    async fn establish_open(&self, request: &SubscriptionRequest, objects: &[Option<Object>]) -> Outcome<()> {
        let mut waiting: Vec<usize> = (0..objects.len()).collect();
        for _ in 0..TRIES_MAX {
            if waiting.is_empty() {
                return Ok(());
            }
            let entries = waiting.iter().map(|at| (objects[*at], request.requests[*at].last_event_id)).collect();
            let (answers, own) = self.app.ask(&self.caller, Snapshot { entries }).await?;
            let mut overtaken = Vec::new();
            for (at, answer) in waiting.into_iter().zip(answers) {
                if !self.settle(&request.requests[at], &request.correlation_id, answer, own) {
                    overtaken.push(at);
                }
            }
            waiting = overtaken;
        }
        for at in waiting {
            self.fail(&request.requests[at], &request.correlation_id, Code::Unavailable);
        }
        Ok(())
    }

    /// Answers one entry; `false` when the snapshot was overtaken and must be taken again.
    fn settle(
        &self,
        entry: &SubscriptionEntry,
        correlation: &Number,
        answer: Result<Standing, Code>,
        own: i64,
    ) -> bool {
        let standing = match answer {
            Ok(standing) => standing,
            Err(code) => {
                self.fail(entry, correlation, code);
                return true;
            }
        };
        let stream = stream_of(standing.object);
        let need = {
            let mut hub = self.app.hub();
            if self.mailbox.own_position() > own || !hub.reaches(stream, standing.position) {
                return false;
            }
            self.go_live(&mut hub, entry, correlation, &standing)
        };
        match need {
            Attached::Live(need) => follow(&self.app, need),
            Attached::Behind => return false,
        }
        true
    }

    fn go_live(
        &self,
        hub: &mut Locked<'_>,
        entry: &SubscriptionEntry,
        correlation: &Number,
        standing: &Standing,
    ) -> Attached {
        let (stream, part) = (stream_of(standing.object), part_of(standing.object));
        for event in &standing.missed {
            let packet = event.replay_packet(&format!("TMr{:x}", event.id), correlation);
            self.mailbox.post(Post::Answer(packet.into()));
        }
        self.say(&SubscriptionAnswer::Established(standing.position), correlation, entry);
        self.mailbox.post(Post::Subscribed(stream, part));
        hub.attach(stream, Watch::Part(part), &self.mailbox, standing.position)
    }

    fn fail(&self, entry: &SubscriptionEntry, correlation: &Number, code: Code) {
        let failed =
            SubscriptionAnswer::Failed { status: code.status(), code: code.number(), message: code.title().to_owned() };
        self.say(&failed, correlation, entry);
    }

    fn say(&self, answer: &SubscriptionAnswer, correlation: &Number, entry: &SubscriptionEntry) {
        let packet = answer.packet("TMs0", correlation, entry);
        self.mailbox.post(Post::Answer(Bytes::from(packet)));
    }

    /// Begins the server's own look at the user's list, whatever the client subscribes to: it is what
    /// ends subscriptions when the user can no longer read.
    pub async fn watch_own(&self) -> Outcome<()> {
        let Some(user) = self.caller.user() else { return Ok(()) };
        let stream = mine(user.sid);
        self.app.hub().open(stream, self.caller.account);
        let mut outcome = Err(Error::plain(Code::Unavailable));
        for _ in 0..TRIES_MAX {
            match self.app.ask(&self.caller, OwnPosition).await {
                Ok(position) => {
                    let attached = self.app.hub().attach(stream, Watch::Own, &self.mailbox, position);
                    if let Attached::Live(need) = attached {
                        follow(&self.app, need);
                        outcome = Ok(());
                        break;
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.app.hub().close(stream);
        outcome
    }
}

struct OwnPosition;

impl Question for OwnPosition {
    type Out = i64;

    async fn ask(&self, cx: &mut crate::platform::Cx<'_, '_>) -> Outcome<i64> {
        let Some(user) = cx.caller.user() else { return Ok(0) };
        let own = users::queries::find(cx.tx, cx.caller.account, user.sid).await?;
        own.map(|user| user.mine_position).ok_or_else(|| users::Refusal::NotFound.into())
    }
}
