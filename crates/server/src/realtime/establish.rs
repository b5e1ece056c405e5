//! The procedure of subscribing, without IO: what [`super::subscribe`] does between its reads, and what
//! the simulation does between its own.
//!
//! The order is everything (docs/realtime.md): the topic is opened first, so that news are kept; then one
//! snapshot gives the right to read, the position and what was missed; then, under the hub's lock and
//! only if the topic can continue from that position, the replay, `subscription_established` and the
//! watcher go into place in one step. A right that may be out of date is read again.
//!
//! The user's own list goes first, and nothing else goes live while it is asked for and not yet live. A part of
//! a conversation ends when the user is taken out of it, and only the own list tells the client so: were the user out
//! and back between the two, the list's replay would tell of the return alone, and the part stay silent.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Number;
use tertulia_protocol::sid::{Conversation, User};
use tertulia_protocol::sync::{Object, SubscriptionAnswer, SubscriptionEntry, SubscriptionRequest};
use tertulia_protocol::{Code, Sid};
use tertulia_store::StreamId;

use super::hub::{Attached, Hub, Mail, Need, Post, Watch};
use super::mailbox::Mailbox;
use super::news::{Part, ended, mine, part_of, shared_in, stream_of};
use super::objects::{Right, Snapshot, Standing};
use crate::platform::AccountNumber;

/// How often a subscription is tried again when the snapshot was overtaken.
pub const TRIES_MAX: usize = 10;
/// Events that one request replays at most, over all its entries; whoever missed more asks again.
const REPLAY_EVENTS_MAX: usize = 2000;
/// Events of one entry that are replayed in any case.
const ENTRY_EVENTS_MIN: usize = 20;

/// The hub, as subscriptions use it.
type MailboxHub = Hub<Arc<Mailbox>>;

/// A request for subscriptions on its way to being answered.
#[derive(Debug)]
pub struct Establishing {
    account: AccountNumber,
    mailbox: Arc<Mailbox>,
    correlation: Number,
    entries: Vec<(SubscriptionEntry, Option<Object>)>,
    /// Entries without an answer.
    waiting: Vec<usize>,
    tries: usize,
    /// How often rights had changed before the last snapshot was asked for.
    rights_count: u64,
}

/// What a snapshot said of one entry.
#[derive(Debug)]
pub struct Answered {
    at: usize,
    answer: Result<Standing, Code>,
    own: i64,
}

/// The same, encoded.
#[derive(Debug)]
pub struct Encoded {
    at: usize,
    /// The position of the user's own list at which the right was found.
    pub own: i64,
    /// The replay and the answer; last, where it goes live, that it does.
    pub posts: Vec<Post>,
    /// What goes live with the posts, and from which position on.
    pub live: Option<(Object, i64)>,
    /// Conversations of which the replay tells that they are no longer the user's to read.
    ended: Vec<Sid<Conversation>>,
    /// By which right it is read.
    right: Right,
}

impl Establishing {
    /// Opens the topics: news of them are kept from now on. Must be followed by [`Establishing::end`],
    /// however it ends. What the hub needs done is returned.
    pub fn begin(
        hub: &mut MailboxHub,
        account: AccountNumber,
        mailbox: &Arc<Mailbox>,
        request: SubscriptionRequest,
    ) -> (Self, Vec<Need>) {
        let mut entries: Vec<_> = request
            .requests
            .into_iter()
            .map(|entry| {
                let object = Object::parse(&entry.object_sid);
                (entry, object)
            })
            .collect();
        let own = Object::MyConversations(mailbox.user());
        entries.sort_by_key(|(_, object)| *object != Some(own));
        if entries.first().is_some_and(|(_, object)| *object == Some(own)) {
            mailbox.awaits_own(true);
        }
        let objects = || entries.iter().filter_map(|(_, object)| *object);
        let needs = objects().filter_map(|object| hub.open(stream_of(object))).collect();
        // Asked for again, an object is replayed again: nothing may go on beside that.
        objects().for_each(|object| detach(hub, mailbox, object));
        let waiting = (0..entries.len()).collect();
        let mailbox = Arc::clone(mailbox);
        (
            Self { account, mailbox, correlation: request.correlation_id, entries, waiting, tries: 0, rights_count: 0 },
            needs,
        )
    }

    /// The streams that are open for it.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.entries.iter().filter_map(|(_, object)| object.map(stream_of))
    }

    /// What must be asked next, in one snapshot; nothing when every entry is answered.
    pub fn ask(&mut self) -> Option<Snapshot> {
        let waits_in_vain = self.waits_in_vain();
        if waits_in_vain {
            self.mailbox.own_did_not_come();
        }
        if self.tries == TRIES_MAX || waits_in_vain {
            // A stream that moves faster than it is read: the client comes again at once.
            for at in std::mem::take(&mut self.waiting) {
                let position = self.entries[at].0.last_event_id.unwrap_or(0);
                self.mailbox.post(self.say(at, &SubscriptionAnswer::Interrupted(position)));
            }
        }
        if self.waiting.is_empty() {
            return None;
        }
        self.tries += 1;
        self.rights_count = self.mailbox.rights_count();
        let events_max = (REPLAY_EVENTS_MAX / self.entries.len()).max(ENTRY_EVENTS_MIN);
        let entry = |at: &usize| (self.entries[*at].1, self.entries[*at].0.last_event_id);
        Some(Snapshot { entries: self.waiting.iter().map(entry).collect(), events_max })
    }

    /// Whether the own list comes first, and was asked for in another request, which could not establish it: the client
    /// asks for it again.
    fn waits_in_vain(&self) -> bool {
        let asks_own = self.waiting.iter().any(|at| self.is_own(*at));
        !self.waiting.is_empty() && !asks_own && self.mailbox.is_own_awaited()
    }

    fn is_own(&self, at: usize) -> bool {
        self.entries[at].1 == Some(Object::MyConversations(self.mailbox.user()))
    }

    /// Takes the snapshot's answers apart: each is to be encoded and then settled. `own` is the position of
    /// the user's own list in that snapshot.
    pub fn answered(&mut self, answers: Vec<Result<Standing, Code>>, own: i64) -> Vec<Answered> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.zip(answers).map(|(at, answer)| Answered { at, answer, own }).collect()
    }

    /// Encodes an answer, before the lock is taken for which everybody on this node waits.
    pub fn encode(&self, answered: Answered) -> Encoded {
        let Answered { at, answer, own } = answered;
        let standing = match answer {
            Ok(standing) => standing,
            Err(code) => {
                let (status, message) = (code.status(), code.title().to_owned());
                let failed = SubscriptionAnswer::Failed { status, code: code.number(), message };
                return Encoded {
                    at,
                    own,
                    posts: vec![self.say(at, &failed)],
                    live: None,
                    ended: Vec::new(),
                    right: Right::Own,
                };
            }
        };
        let replayed = standing.missed.iter().map(|event| {
            let packet = event.replay_packet(&format!("TMr{:x}", event.id), &self.correlation);
            Post::Answer(packet.into())
        });
        let mut posts: Vec<Post> = replayed.collect();
        let ended = standing.missed.iter().filter_map(ended).collect();
        if let Some(position) = standing.cut_at {
            posts.push(self.say(at, &SubscriptionAnswer::Interrupted(position)));
            return Encoded { at, own, posts, live: None, ended, right: Right::Own };
        }
        posts.push(self.say(at, &SubscriptionAnswer::Established(standing.position)));
        let (stream, part) = (stream_of(standing.object), part_of(standing.object));
        posts.push(Post::Subscribed { stream, part, own });
        Encoded { at, own, posts, live: Some((standing.object, standing.position)), ended, right: standing.right }
    }

    /// Answers one entry. If the snapshot was overtaken, the entry waits for the next one instead.
    pub fn settle(&mut self, hub: &mut MailboxHub, encoded: Encoded) -> Option<Need> {
        let Encoded { at, own, posts, live, ended, right } = encoded;
        // A refusal, too, may be out of date: the client would drop what it has just been let into.
        let is_overtaken = self.mailbox.own_position() > own;
        if is_overtaken || live.is_some_and(|(object, position)| !hub.reaches(stream_of(object), position)) {
            self.waiting.push(at);
            return None;
        }
        if self.is_own(at) {
            self.mailbox.awaits_own(false);
        } else if self.mailbox.is_own_awaited() {
            self.waiting.push(at);
            return None;
        }
        if let Right::Role(rights) = right
            && let Some(need) = self.check_rights(hub, rights)
        {
            self.waiting.push(at);
            return need;
        }
        // The client hears it now, and the server's own look perhaps later: its news may be on their way.
        for (stream, part) in ended.into_iter().flat_map(shared_in) {
            lose(hub, &self.mailbox, stream, part, own);
        }
        posts.into_iter().for_each(|post| self.mailbox.post(post));
        let (object, position) = live?;
        let (stream, watch) = (stream_of(object), Watch::Part(part_of(object)));
        self.mailbox.attached(stream, watch);
        if let Right::Role(_) = right {
            self.mailbox.leans_on_role(stream, part_of(object));
        }
        match hub.attach(stream, self.account, watch, &self.mailbox, position, own) {
            Attached::Live(need) => need,
            // It reaches, as was just asked.
            Attached::Behind => None,
        }
    }

    /// Whether a right of a role may be out of date, and what the hub needs done then: it may have changed since
    /// the snapshot was asked for, or before the connection began to hear of such changes, which is now.
    fn check_rights(&self, hub: &mut MailboxHub, rights: StreamId) -> Option<Option<Need>> {
        if self.mailbox.is_attached(rights, Watch::Rights) {
            return (self.mailbox.rights_count() != self.rights_count).then_some(None);
        }
        let need = hub.open(rights);
        self.mailbox.attached(rights, Watch::Rights);
        hub.attach(rights, self.account, Watch::Rights, &self.mailbox, 0, 0);
        hub.close(rights);
        Some(need)
    }

    /// Lets go of the topics; those that nobody watches are forgotten.
    pub fn end(&self, hub: &mut MailboxHub) {
        self.streams().for_each(|stream| hub.close(stream));
    }

    fn say(&self, at: usize, answer: &SubscriptionAnswer) -> Post {
        say(answer, &self.correlation, &self.entries[at].0)
    }
}

fn say(answer: &SubscriptionAnswer, correlation: &Number, entry: &SubscriptionEntry) -> Post {
    Post::Answer(Bytes::from(answer.packet("TMs0", correlation, entry)))
}

fn detach(hub: &mut MailboxHub, mailbox: &Arc<Mailbox>, object: Object) {
    let (stream, watch) = (stream_of(object), Watch::Part(part_of(object)));
    hub.detach(stream, watch, mailbox);
    mailbox.detached(stream, watch);
}

/// Ends subscriptions and gives which. Unknown objects are answered too: the client cancels what a 404
/// made it drop.
pub fn cancel(hub: &mut MailboxHub, mailbox: &Arc<Mailbox>, request: &SubscriptionRequest) -> Vec<Object> {
    let mut cancelled = Vec::new();
    for entry in &request.requests {
        if let Some(object) = Object::parse(&entry.object_sid) {
            detach(hub, mailbox, object);
            if object == Object::MyConversations(mailbox.user()) {
                mailbox.awaits_own(false);
            }
            cancelled.push(object);
        }
        mailbox.post(say(&SubscriptionAnswer::Canceled, &request.correlation_id, entry));
    }
    cancelled
}

/// Whether an answer to reading something refuses what is the user's to read by now: the own list has moved on from
/// where it stood before the read, and the client may have been told of the return already. It would drop
/// what it has just been let into.
pub fn is_refused_too_late(status: u16, mailbox: &Mailbox, own_before: i64) -> bool {
    matches!(status, 403 | 404) && mailbox.own_position() > own_before
}

/// Attaches the server's own look at a user's list, whose topic is open, from a position that was read
/// since. It is what ends subscriptions when the user can no longer read.
pub fn attach_own(
    hub: &mut MailboxHub,
    account: AccountNumber,
    user: Sid<User>,
    mailbox: &Arc<Mailbox>,
    position: i64,
) -> Attached {
    let stream = mine(user);
    mailbox.attached(stream, Watch::Own);
    hub.attach(stream, account, Watch::Own, mailbox, position, position)
}

/// Ends a subscription whose right is older than this position of the user's own list.
pub fn lose(hub: &mut MailboxHub, mailbox: &Arc<Mailbox>, stream: StreamId, part: Part, own: i64) {
    if hub.detach_older(stream, Watch::Part(part), mailbox, own) {
        mailbox.detached(stream, Watch::Part(part));
    }
}

/// Takes a connection that has ended out of the hub.
pub fn leave(hub: &mut MailboxHub, mailbox: &Arc<Mailbox>) {
    for (stream, watch) in mailbox.take_attached() {
        hub.detach(stream, watch, mailbox);
    }
}

#[cfg(test)]
mod tests;
