//! `POST /v4/Subscriptions`: replay from the store, then live, with nothing lost in between.
//!
//! The order is everything (docs/realtime.md): the topic is opened first, so that news are kept; then one
//! snapshot gives the right to read, the position and what was missed; then, under the hub's lock and
//! only if the topic can continue from that position, the replay, `subscription_established` and the
//! watcher go into place in one step. A right that may be out of date is read again.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Number;
use tertulia_protocol::Code;
use tertulia_protocol::sync::{
    self, Object, SUBSCRIPTION_BATCH_MAX, SubscriptionAction, SubscriptionAnswer, SubscriptionEntry,
    SubscriptionRequest,
};
use tertulia_store::StreamId;

use super::bus::follow;
use super::hub::{Attached, Hub, Mail, Post, Watch};
use super::mailbox::Mailbox;
use super::news::{Part, mine, part_of, rights, stream_of};
use super::objects::{NoLongerReadable, Right, Snapshot, Standing};
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

/// Topics that are kept open while a subscription is being made, however that ends.
struct Opened {
    app: Arc<App>,
    streams: Vec<StreamId>,
}

impl Opened {
    fn new(app: &Arc<App>, streams: Vec<StreamId>) -> Self {
        let mut hub = app.hub();
        streams.iter().for_each(|stream| hub.open(*stream));
        drop(hub);
        Self { app: Arc::clone(app), streams }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut hub = self.app.hub();
        self.streams.iter().for_each(|stream| hub.close(*stream));
    }
}

/// Events that one request replays at most, over all its entries; whoever missed more asks again.
const REPLAY_EVENTS_MAX: usize = 2000;
/// Events of one entry that are replayed in any case.
const ENTRY_EVENTS_MIN: usize = 20;

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
                self.detach(object);
                cancelled.push(object);
            }
            self.say(&SubscriptionAnswer::Canceled, &request.correlation_id, entry);
        }
        cancelled
    }

    fn detach(&self, object: Object) {
        let (stream, watch) = (stream_of(object), Watch::Part(part_of(object)));
        self.app.hub().detach(stream, watch, &self.mailbox);
        self.mailbox.detached(stream, watch);
    }

    async fn establish(&self, request: &SubscriptionRequest) -> Outcome<()> {
        let objects: Vec<Option<Object>> =
            request.requests.iter().map(|entry| Object::parse(&entry.object_sid)).collect();
        let _opened = Opened::new(&self.app, objects.iter().flatten().map(|object| stream_of(*object)).collect());
        // Asked for again, an object is replayed again: nothing may go on beside that.
        objects.iter().flatten().for_each(|object| self.detach(*object));
        let events_max = (REPLAY_EVENTS_MAX / objects.len().max(1)).max(ENTRY_EVENTS_MIN);
        let mut waiting: Vec<usize> = (0..objects.len()).collect();
        for _ in 0..TRIES_MAX {
            if waiting.is_empty() {
                return Ok(());
            }
            let rights_count = self.mailbox.rights_count();
            let entries = waiting.iter().map(|at| (objects[*at], request.requests[*at].last_event_id)).collect();
            let (answers, own) = self.app.ask(&self.caller, Snapshot { entries, events_max }).await?;
            let mut overtaken = Vec::new();
            for (at, answer) in waiting.into_iter().zip(answers) {
                if !self.settle(&request.requests[at], &request.correlation_id, answer, (own, rights_count)) {
                    overtaken.push(at);
                }
            }
            waiting = overtaken;
        }
        for at in waiting {
            // A stream that moves faster than it is read: the client comes again at once.
            let entry = &request.requests[at];
            let answer = SubscriptionAnswer::Interrupted(entry.last_event_id.unwrap_or(0));
            self.say(&answer, &request.correlation_id, entry);
        }
        Ok(())
    }

    /// Answers one entry; `false` when the snapshot was overtaken and must be taken again. The position of the
    /// user's own list in it, and how often rights had changed before, say how old it is.
    fn settle(
        &self,
        entry: &SubscriptionEntry,
        correlation: &Number,
        answer: Result<Standing, Code>,
        (own, rights_count): (i64, u64),
    ) -> bool {
        let standing = match answer {
            Ok(standing) => standing,
            Err(code) => {
                self.fail(entry, correlation, code);
                return true;
            }
        };
        // Encoded before the lock is taken, which everybody on this node waits for.
        let replay = replay(&standing, correlation);
        if let Some(position) = standing.cut_at {
            replay.for_each(|post| self.mailbox.post(post));
            self.say(&SubscriptionAnswer::Interrupted(position), correlation, entry);
            return true;
        }
        let replay: Vec<Post> = replay.collect();
        let (stream, part) = (stream_of(standing.object), part_of(standing.object));
        let attached = {
            let mut hub = self.app.hub();
            if self.mailbox.own_position() > own || !hub.reaches(stream, standing.position) {
                return false;
            }
            if standing.right == Right::Role {
                if !self.watches_rights(&mut hub) || self.mailbox.rights_count() != rights_count {
                    return false;
                }
                self.mailbox.leans_on_role(stream);
            }
            replay.into_iter().for_each(|post| self.mailbox.post(post));
            self.say(&SubscriptionAnswer::Established(standing.position), correlation, entry);
            self.mailbox.post(Post::Subscribed { stream, part, own });
            self.mailbox.attached(stream, Watch::Part(part));
            hub.attach(stream, self.caller.account, Watch::Part(part), &self.mailbox, standing.position)
        };
        if let Attached::Live(need) = attached {
            follow(&self.app, need);
        }
        true
    }

    /// Whether the connection has heard of changed rights up to now. If not, it does from now on.
    fn watches_rights(&self, hub: &mut Hub<Arc<Mailbox>>) -> bool {
        let Some(user) = self.caller.user() else { return true };
        let stream = rights(user.service);
        if self.mailbox.is_attached(stream, Watch::Rights) {
            return true;
        }
        hub.open(stream);
        self.mailbox.attached(stream, Watch::Rights);
        hub.attach(stream, self.caller.account, Watch::Rights, &self.mailbox, 0);
        hub.close(stream);
        false
    }

    /// Reads again what was opened by the right of a role, and ends what is no longer the user's to read.
    /// Gives that; nothing when the user is gone.
    pub async fn look_again(&self) -> Outcome<Option<Vec<StreamId>>> {
        let lost = self.app.ask(&self.caller, NoLongerReadable(self.mailbox.leaning())).await?;
        for stream in lost.iter().flatten() {
            let watch = Watch::Part(Part::Document);
            self.app.hub().detach(*stream, watch, &self.mailbox);
            self.mailbox.detached(*stream, watch);
        }
        Ok(lost)
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
        let _opened = Opened::new(&self.app, vec![stream]);
        for _ in 0..TRIES_MAX {
            let position = self.app.ask(&self.caller, OwnPosition).await?;
            let account = self.caller.account;
            self.mailbox.attached(stream, Watch::Own);
            let attached = self.app.hub().attach(stream, account, Watch::Own, &self.mailbox, position);
            if let Attached::Live(need) = attached {
                follow(&self.app, need);
                return Ok(());
            }
        }
        Err(Error::plain(Code::Unavailable))
    }
}

fn replay<'a>(standing: &'a Standing, correlation: &'a Number) -> impl Iterator<Item = Post> + 'a {
    standing.missed.iter().map(move |event| {
        let packet = event.replay_packet(&format!("TMr{:x}", event.id), correlation);
        Post::Answer(packet.into())
    })
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
