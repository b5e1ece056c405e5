//! Replies, and pages among them: what a page shows has been told before it comes.

use bytes::Bytes;
use tertulia_protocol::realtime::http_reply;

use super::held::{Held, Receipts};
use super::{Answered, Connection, now};
use crate::platform::Reply;
use crate::realtime::hub::Watch;
use crate::realtime::mailbox::Mailbox;
use crate::realtime::news::{part_of, stream_of};
use crate::realtime::session::Input;

/// Requests that are read while a page waits for receipts.
const BEHIND_MAX: usize = 16;

impl Connection {
    /// Takes a packet in, and looks whether it is the receipt that a page waits for.
    pub(super) async fn packet(&mut self, bytes: Bytes) -> Result<(), ()> {
        let (_, before) = self.session.receipts();
        self.input(Input::Packet(bytes)).await?;
        if self.session.receipts().1 > before {
            self.heard_at = now();
            let receipts = self.receipts();
            if let Some(held) = &mut self.held {
                held.heard(receipts);
            }
        }
        Ok(())
    }

    fn receipts(&self) -> Receipts {
        let (told, heard) = self.session.receipts();
        Receipts { told, heard, heard_at: self.heard_at }
    }

    /// While a page waits, receipts are read, and requests up to a bound.
    pub(super) fn may_read(&self) -> bool {
        self.answering.is_none() && self.behind.len() < BEHIND_MAX
    }

    pub(super) async fn reply(&mut self, answered: Answered) -> Result<(), ()> {
        for object in &answered.cancelled {
            self.input(Input::Cancelled(stream_of(*object), part_of(*object))).await?;
        }
        let Some(mailbox) = self.mailbox.as_ref().filter(|mailbox| is_told(mailbox, &answered.reply)) else {
            return self.send_reply(answered).await;
        };
        // Posted before the page was answered, which may show it.
        let waiting = mailbox.waiting();
        Box::pin(self.take_in(waiting)).await?;
        match Held::new(answered, self.receipts(), now()) {
            Ok(held) => {
                self.held = Some(Box::new(held));
                Ok(())
            }
            Err(answered) => self.send_reply(answered).await,
        }
    }

    /// Sends a page that has waited long enough.
    pub(super) async fn release(&mut self) -> Result<(), ()> {
        match self.held.take_if(|held| held.until() <= now()) {
            Some(held) => self.send_reply(held.into_answer()).await,
            None => Ok(()),
        }
    }

    /// Sends a reply and turns to the next request.
    async fn send_reply(&mut self, answered: Answered) -> Result<(), ()> {
        if let Some((id, request)) = self.behind.pop_front() {
            self.answering = self.answer(id, request);
        }
        let packet = http_reply(&answered.id, answered.reply.status, &answered.reply.body);
        self.send(packet.into()).await
    }
}

/// Whether this is a page of something that the connection is told of.
fn is_told(mailbox: &Mailbox, reply: &Reply) -> bool {
    reply.shows.is_some_and(|(object, _)| mailbox.is_attached(stream_of(object), Watch::Part(part_of(object))))
}
