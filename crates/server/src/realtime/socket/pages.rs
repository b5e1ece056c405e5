//! Requests and their answers: what [`Requests`] decides is done here.

use std::collections::VecDeque;

use axum::extract::ws::Message;
use bytes::Bytes;
use tertulia_protocol::realtime::{TunnelledRequest, http_reply};
use tertulia_protocol::sync::Object;

use super::{Answered, Connection, now};
use crate::realtime::bus::follow;
use crate::realtime::hub::Watch;
use crate::realtime::mailbox::Mailbox;
use crate::realtime::news::{part_of, stream_of};
use crate::realtime::requests::{Moment, RequestBounds, Shown, TooMuch};
use crate::realtime::session::{CloseReason, Input};

impl Connection {
    /// Takes a packet in, and looks whether it is a receipt that pages wait for.
    pub(super) async fn packet(&mut self, bytes: Bytes) -> Result<(), ()> {
        let before = self.session.receipts().heard;
        self.input(Input::Packet(bytes)).await?;
        let receipts = self.session.receipts();
        if receipts.heard > before {
            let moment = self.moment();
            self.requests.heard(receipts, moment);
        }
        Ok(())
    }

    pub(super) fn moment(&self) -> Moment {
        now().duration_since(self.opened)
    }

    /// A request waits for its turn.
    pub(super) async fn ask(&mut self, id: String, request: TunnelledRequest) -> Result<(), ()> {
        match self.requests.ask(id, request) {
            Ok(()) => Ok(()),
            Err(TooMuch) => Box::pin(self.too_much()).await,
        }
    }

    pub(super) async fn too_much(&mut self) -> Result<(), ()> {
        let bytes_max = self.app.config.realtime.requests_bytes_max;
        let identity = self.session.admission().map(|admission| admission.user.identity.as_str());
        tracing::warn!(
            connection = self.number, identity, address = %self.address, bytes_max,
            "a connection is closed: more of its requests wait than realtime.requests_bytes_max allows"
        );
        self.close(CloseReason::TooMuch).await
    }

    /// Begins with the next request. A server that goes away only ends what it has begun.
    pub(super) fn begin_next(&mut self) {
        if self.is_draining || self.answering.is_some() {
            return;
        }
        if let Some((id, request)) = self.requests.begin() {
            self.answering = self.answer(id, request);
        }
    }

    pub(super) async fn reply(&mut self, answered: Answered) -> Result<(), ()> {
        for object in &answered.cancelled {
            self.input(Input::Cancelled(stream_of(*object), part_of(*object))).await?;
        }
        let shown = |(object, position)| Shown { object, position };
        if let Some(opened) = answered.reply.opens.map(shown) {
            self.requests.opened(opened);
        }
        let (page, bytes) = (answered.reply.shows.map(shown), size_of::<Answered>() + answered.reply.body.len());
        let (mailbox, moment) = (self.mailbox.clone(), self.moment());
        let is_live = |object| mailbox.as_deref().is_some_and(|mailbox| is_live(mailbox, object));
        match self.requests.answered(answered, bytes, page, is_live, moment) {
            Some(answered) => self.send_reply(answered).await,
            None => Ok(()),
        }
    }

    /// Lets pages go out whose events the client has.
    pub(super) async fn let_pages_go(&mut self) -> Result<(), ()> {
        let moment = self.moment();
        if self.requests.due().is_none_or(|due| due > moment) {
            return Ok(());
        }
        self.look_for_news(moment);
        if self.requests.awaits_mailbox() {
            // Posted before the pages were looked at, and so before anything that came after they were read.
            let waiting = self.mailbox.as_ref().map_or(0, |mailbox| mailbox.waiting());
            self.take_in(waiting).await?;
            let (receipts, moment) = (self.session.receipts(), self.moment());
            self.requests.sent(receipts, moment);
        }
        let moment = self.moment();
        for answered in self.requests.release(moment) {
            self.send_reply(answered).await?;
        }
        Ok(())
    }

    fn look_for_news(&mut self, moment: Moment) {
        let Some(mailbox) = &self.mailbox else { return };
        let mut hub = self.app.hub();
        let posted = |object| hub.told(stream_of(object), Watch::Part(part_of(object)), mailbox);
        let lost = self.requests.look(moment, posted);
        let needs: Vec<_> = lost.into_iter().map(|object| hub.doubt(stream_of(object))).collect();
        drop(hub);
        needs.into_iter().for_each(|need| follow(&self.app, need));
    }

    async fn send_reply(&mut self, answered: Answered) -> Result<(), ()> {
        let packet = http_reply(&answered.id, answered.reply.status, &answered.reply.body);
        self.send(packet.into()).await
    }

    pub(super) fn request_bounds(app: &crate::App) -> RequestBounds {
        let realtime = &app.config.realtime;
        RequestBounds { waiting_bytes_max: realtime.requests_bytes_max, held_bytes_max: realtime.mailbox_bytes_max }
    }
}

/// Messages that were read while the socket was being written to.
#[derive(Debug, Default)]
pub(super) struct Unread {
    messages: VecDeque<Message>,
}

impl Unread {
    pub(super) fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front();
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        message
    }
}

/// What a message that is read ahead takes.
pub(super) fn size_of_message(message: &Message) -> usize {
    size_of::<Message>()
        + match message {
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
            Message::Text(text) => text.len(),
            Message::Close(_) => 0,
        }
}

/// Whether the connection is told of the object.
fn is_live(mailbox: &Mailbox, object: Object) -> bool {
    mailbox.is_attached(stream_of(object), Watch::Part(part_of(object)))
}
