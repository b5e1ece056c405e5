//! `POST /v4/Subscriptions`: replay from the store, then live, with nothing lost in between.
//!
//! Here are the reads and the locks; the procedure itself is [`super::establish`], and what holds there
//! is simulated.

use std::sync::Arc;
use std::time::Duration;

use tertulia_protocol::Code;
use tertulia_protocol::realtime::TunnelledRequest;
use tertulia_protocol::sync::{self, Object, SUBSCRIPTION_BATCH_MAX, SubscriptionAction, SubscriptionRequest};
use tertulia_store::StreamId;

use super::bus::follow;
use super::establish::{Establishing, TRIES_MAX, attach_own, cancel, is_refused_too_late};
use super::hub::{Attached, Watch};
use super::mailbox::Mailbox;
use super::news::{Part, mine, part_of, stream_of};
use super::objects::NoLongerReadable;
use super::tunnel;
use crate::App;
use crate::http::refuse;
use crate::platform::{Caller, Error, Outcome, Question, Reply, Surface};
use crate::users;

/// How often a page looks whether what it shows has been told: after 1 ms, 2 ms more, 4 ms more, a second in all.
const PAGE_LOOKS: u32 = 10;
/// From this look on, after 31 ms, news are not on their way but lost.
const PAGE_LOOKS_PATIENT: u32 = 5;

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

impl Drop for Opened {
    fn drop(&mut self) {
        let mut hub = self.app.hub();
        self.streams.iter().for_each(|stream| hub.close(*stream));
    }
}

impl Subscriber {
    /// The answer to a tunnelled request, and what it cancelled.
    pub async fn perform(&self, origin: &str, request: TunnelledRequest) -> (Reply, Vec<Object>) {
        if request.path == "/v4/Subscriptions" && request.method == "POST" {
            let answer = self.answer(&request.body).await;
            return answer.unwrap_or_else(|error| (refuse(&error, Surface::Sdk, &request.path), Vec::new()));
        }
        let reply = if request.method == "GET" {
            self.read(origin, request).await
        } else {
            tunnel::answer(&self.app, &self.caller, origin, request).await
        };
        if let Some((object, position)) = reply.shows {
            self.until_told(object, position).await;
        }
        (reply, Vec::new())
    }

    /// Answers a request that reads. What is refused while the user comes back is read again.
    async fn read(&self, origin: &str, request: TunnelledRequest) -> Reply {
        let mut tries = 1;
        loop {
            let own = self.mailbox.own_position();
            let reply = tunnel::answer(&self.app, &self.caller, origin, request.clone()).await;
            if tries == TRIES_MAX || !is_refused_too_late(reply.status, &self.mailbox, own) {
                return reply;
            }
            tries += 1;
        }
    }

    /// Answers a subscription request. The real answers go through the mailbox, each before the events
    /// that follow it. Gives what was cancelled.
    async fn answer(&self, body: &[u8]) -> Outcome<(Reply, Vec<Object>)> {
        let request: SubscriptionRequest = serde_json::from_slice(body)
            .map_err(|cause| Error::parameter(format!("The body is not a subscription request: {cause}")))?;
        if request.requests.len() > SUBSCRIPTION_BATCH_MAX {
            let message = format!("A subscription request has at most {SUBSCRIPTION_BATCH_MAX} entries");
            return Err(Error::parameter(message));
        }
        let cancelled = match request.action {
            SubscriptionAction::Establish => {
                self.establish(request).await?;
                Vec::new()
            }
            SubscriptionAction::Cancel => cancel(&mut self.app.hub(), &self.mailbox, &request),
        };
        Ok((Reply::ok(&sync::subscription_accepted()), cancelled))
    }

    async fn establish(&self, request: SubscriptionRequest) -> Outcome<()> {
        let (mut establishing, needs) = {
            let mut hub = self.app.hub();
            Establishing::begin(&mut hub, self.caller.account, &self.mailbox, request)
        };
        let _opened = Opened { app: Arc::clone(&self.app), streams: establishing.streams().collect() };
        needs.into_iter().for_each(|need| follow(&self.app, Some(need)));
        while let Some(snapshot) = establishing.ask() {
            let (answers, own) = self.app.db.ask(&self.caller, snapshot).await?;
            for answered in establishing.answered(answers, own) {
                let encoded = establishing.encode(answered);
                let need = establishing.settle(&mut self.app.hub(), encoded);
                follow(&self.app, need);
            }
        }
        Ok(())
    }

    /// Waits until everything has been posted that a page of an object shows, if the connection is subscribed to
    /// it: what a page brought first, an SDK does not tell its app. News that do not come soon are read from the
    /// store; when that does not answer either, the page is not withheld for it.
    async fn until_told(&self, object: Object, position: i64) {
        let (stream, watch) = (stream_of(object), Watch::Part(part_of(object)));
        for look in 0..PAGE_LOOKS {
            let told = self.app.hub().told(stream, watch, &self.mailbox);
            if told.is_none_or(|told| told >= position) {
                return;
            }
            if look == PAGE_LOOKS_PATIENT {
                let need = self.app.hub().doubt(stream);
                follow(&self.app, need);
            }
            tokio::time::sleep(Duration::from_millis(1 << look)).await;
        }
    }

    /// Reads again what was opened by the right of a role, and ends what is no longer the user's to read.
    /// Gives that; nothing when the user is gone.
    pub async fn look_again(&self) -> Outcome<Option<Vec<StreamId>>> {
        let lost = self.app.db.ask(&self.caller, NoLongerReadable(self.mailbox.leaning())).await?;
        for stream in lost.iter().flatten() {
            let watch = Watch::Part(Part::Document);
            self.app.hub().detach(*stream, watch, &self.mailbox);
            self.mailbox.detached(*stream, watch);
        }
        Ok(lost)
    }

    /// Begins the server's own look at the user's list, whatever the client subscribes to: it is what
    /// ends subscriptions when the user can no longer read.
    pub async fn watch_own(&self) -> Outcome<()> {
        let Some(user) = self.caller.user() else { return Ok(()) };
        let need = self.app.hub().open(mine(user.sid));
        let _opened = Opened { app: Arc::clone(&self.app), streams: vec![mine(user.sid)] };
        follow(&self.app, need);
        for _ in 0..TRIES_MAX {
            let position = self.app.db.ask(&self.caller, OwnPosition).await?;
            let attached = attach_own(&mut self.app.hub(), self.caller.account, user.sid, &self.mailbox, position);
            if let Attached::Live(need) = attached {
                follow(&self.app, need);
                return Ok(());
            }
        }
        Err(Error::plain(Code::Unavailable))
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
