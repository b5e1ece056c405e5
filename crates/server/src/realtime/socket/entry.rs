//! From a token to a connection that is somebody's.

use std::sync::Arc;

use super::Connection;
use crate::http::refuse;
use crate::platform::Surface;
use crate::presence::Visitor;
use crate::realtime::ends::{self, Holder};
use crate::realtime::hub::Post;
use crate::realtime::mailbox::Bounds;
use crate::realtime::session::Input;
use crate::tokens::{Admission, Refused};

impl Connection {
    pub(super) async fn admit(&mut self, id: String, token: String) -> Result<(), ()> {
        let result = self.let_in(&token).await.map(Box::new);
        if let Err(refused) = &result {
            ends::note_refused(&self.app, token, refused, self.address);
        }
        self.input(Input::Admitted { id, result }).await?;
        self.hold().await
    }

    /// A token for the same user later on keeps the place that the first one took.
    async fn let_in(&mut self, token: &str) -> Result<Admission, Refused> {
        let admission = self.app.admit(token).await?;
        if self.account_place.is_none() {
            self.account_place = Some(self.app.take_account_place(admission.caller.account)?);
        }
        Ok(admission)
    }

    /// The connection is somebody's now.
    pub(super) async fn enter(&mut self, wants_typing: bool) -> Result<(), ()> {
        let Some(admission) = self.session.admission() else { return Err(()) };
        let realtime = &self.app.config.realtime;
        let bounds = Bounds { packets_max: realtime.mailbox_packets_max, bytes_max: realtime.mailbox_bytes_max };
        self.mailbox = Some(self.app.mailroom.open(admission.user.sid, wants_typing, bounds));
        let Some(subscriber) = self.subscriber() else { return Err(()) };
        if let Err(error) = subscriber.watch_own().await {
            refuse(&error, Surface::Sdk, "");
            return Err(());
        }
        let (account, user) = (subscriber.caller.account, subscriber.caller.user());
        self.counted =
            user.map(|user| self.app.presence.enter(Visitor { account, user: user.sid, service: user.service }));
        Ok(())
    }

    /// Lets the hub know whose connection it is. A revocation may have come by since the token was looked at.
    async fn hold(&mut self) -> Result<(), ()> {
        let (Some(admission), Some(mailbox)) = (self.session.admission(), &self.mailbox) else { return Ok(()) };
        let bearer = Arc::clone(&admission.bearer);
        let holder = Holder { connection: self.number, address: self.address, since: self.since, bearer };
        if ends::hold(&self.app, mailbox, holder, admission.ended_count) {
            Box::pin(self.input(Input::Post(Post::Revoked))).await
        } else {
            Ok(())
        }
    }
}
