//! Conversations: where participants talk.
//!
//! A conversation is active, inactive or closed; closed is final. Its unique name is free again as soon
//! as it is deleted. Here are its facts, states, rules and refusals; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod sdk;
pub mod events;
#[cfg(test)]
mod tests;

use tertulia_protocol::sid::{Conversation as ConversationKind, MessagingService, Service, User};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::jobs;
use crate::platform::{AccountNumber, Error, Limits, Outcome, text};
use crate::roles::{Permission, Permissions};

/// Whether people may talk in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They do.
    Active,
    /// They may; the next message makes it active.
    Inactive,
    /// Never again. It can still be read and deleted.
    Closed,
}

impl State {
    /// The word in the store and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Closed => "closed",
        }
    }

    /// The state with this word, in any letter case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Closed].into_iter().find(|state| state.word().eq_ignore_ascii_case(word))
    }
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The owner.
    pub account: AccountNumber,
    /// The conversation.
    pub sid: Sid<ConversationKind>,
    /// The chat service.
    pub service: Sid<Service>,
    /// Name to show.
    pub friendly_name: Option<String>,
    /// Name to find it by, unique in the service.
    pub unique_name: Option<String>,
    /// JSON text, byte for byte.
    pub attributes: String,
    /// Stored, without further meaning here.
    pub messaging_service: Option<Sid<MessagingService>>,
    /// Whether people may talk.
    pub state: State,
    /// Since when.
    pub state_since: Timestamp,
    /// ISO 8601 duration without messages after which it becomes inactive.
    pub inactive_timer: Option<String>,
    /// ISO 8601 duration without messages after which it is closed.
    pub closed_timer: Option<String>,
    /// JSON text: bindings such as an e-mail address.
    pub bindings: Option<String>,
    /// Identity of the creator, or `system`.
    pub created_by: String,
    /// The user behind that identity, if it was one. An identity may be given to somebody new; a SID is not.
    pub created_by_user: Option<Sid<User>>,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Position of the stream `talk`.
    pub position: i64,
    /// Index of the newest message, -1 before the first.
    pub last_index: i64,
    /// The newest message's own date, which an importer may have set.
    pub last_message_at: Option<Timestamp>,
    /// What the timers count from: when a message last came, or somebody set state or timers.
    pub active_at: Timestamp,
    /// Messages that are not removed.
    pub messages_count: i64,
    /// When it was deleted; such a conversation is found by nobody but the purge and, for a minute, by
    /// clients that are just opening it.
    pub removed: Option<Timestamp>,
}

impl Conversation {
    /// What is left of it for somebody who was just taken out: nothing that anybody wrote, and no count.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self {
            friendly_name: None,
            unique_name: None,
            attributes: "{}".to_owned(),
            messaging_service: None,
            bindings: None,
            created_by: String::new(),
            created_by_user: None,
            state: State::Active,
            state_since: self.created,
            updated: self.created,
            active_at: self.created,
            position: 0,
            last_index: -1,
            last_message_at: None,
            messages_count: 0,
            ..self.clone()
        }
    }

    /// When its timers run out, counted from the last activity; only for timers that run.
    pub fn timer_dates(&self) -> [(&'static str, Option<Timestamp>); 2] {
        let [inactive, closed] = self.timers_in(self.state, self.active_at);
        [("date_inactive", inactive), ("date_closed", closed)]
    }

    /// Which state a timer brings next, and when.
    ///
    /// What is active becomes inactive first, if it can: a closed timer that runs out earlier closes it then.
    pub fn due(&self) -> Option<(State, Timestamp)> {
        let [inactive, closed] = self.timers_in(self.state, self.active_at);
        let inactive = inactive.map(|at| (State::Inactive, at));
        inactive.or_else(|| closed.map(|at| (State::Closed, at)))
    }

    fn timers_in(&self, state: State, active_at: Timestamp) -> [Option<Timestamp>; 2] {
        let runs_out = |timer: &Option<String>| {
            let seconds = text::duration_seconds(timer.as_deref()?)?;
            Some(active_at.plus_micros(seconds.saturating_mul(1_000_000)))
        };
        match state {
            State::Active => [runs_out(&self.inactive_timer), runs_out(&self.closed_timer)],
            State::Inactive => [None, runs_out(&self.closed_timer)],
            State::Closed => [None, None],
        }
    }
}

/// A part of a conversation that is read on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The shared facts: names, attributes, state, when the last message came.
    Facts,
    /// The messages.
    Messages,
    /// Who takes part.
    Roster,
}

impl View {
    /// Permissions of a service role that let somebody read this without taking part: whoever may change a thing
    /// must be able to open it. So `editAnyMessage` and its like mean reading the history of every conversation.
    pub fn reached_by(self) -> Permissions {
        use Permission as P;
        let messages = Permissions::of(&[P::EditAnyMessage, P::EditAnyMessageAttributes, P::DeleteAnyMessage]);
        let roster = Permissions::of(&[P::RemoveParticipant, P::EditAnyParticipantAttributes]);
        match self {
            Self::Messages => messages,
            Self::Roster => roster,
            Self::Facts => messages.and(roster).and(Permissions::of(&[
                P::AddParticipant,
                P::AddNonChatParticipant,
                P::DeleteConversation,
                P::EditConversationName,
                P::EditConversationAttributes,
            ])),
        }
    }
}

/// By which right somebody reads a part of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Taking part, having created it, or account credentials.
    Own,
    /// A service role, or a setting of the chat service: both may change at any time.
    Role,
}

/// How long a client may still open what its user was just taken out of: it may be in the middle of opening it, and
/// "not found" would be an unhandled rejection there.
pub const FADING_MICROS: i64 = 60_000_000;

/// The durable job that looks at a conversation's timers; its key is the SID. There may be one that comes too early: it
/// waits for the new moment.
pub const TIMER: jobs::Kind = jobs::Kind("conversation_timer");
/// The durable job that purges a deleted conversation; its key is the SID.
pub const PURGE: jobs::Kind = jobs::Kind("purge_conversation");

/// Why a conversation changed: what applications are told with a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it.
    Api,
    /// A message came.
    Event,
    /// A timer ran out.
    Timer,
}

impl Reason {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Event => "EVENT",
            Self::Timer => "TIMER",
        }
    }
}

/// What a create or an update says about a conversation; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// `Some(None)` takes the name away.
    pub friendly_name: Option<Option<String>>,
    /// `Some(None)` takes the name away.
    pub unique_name: Option<Option<String>>,
    /// JSON text.
    pub attributes: Option<String>,
    /// Stored only.
    pub messaging_service: Option<Sid<MessagingService>>,
    /// A new state.
    pub state: Option<State>,
    /// `Some(None)` takes the timer away.
    pub inactive_timer: Option<Option<String>>,
    /// `Some(None)` takes the timer away.
    pub closed_timer: Option<Option<String>>,
    /// The e-mail binding; what it does not say stays as it is.
    pub email: Email,
    /// An importer's own date.
    pub created: Option<Timestamp>,
    /// An importer's own date.
    pub updated: Option<Timestamp>,
}

/// What is said about the e-mail binding; an empty text takes a thing away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Email {
    /// The address.
    pub address: Option<Option<String>>,
    /// The name.
    pub name: Option<Option<String>>,
}

impl Email {
    fn check(&self) -> Outcome<()> {
        for (name, text) in [("Bindings.Email.Address", &self.address), ("Bindings.Email.Name", &self.name)] {
            if let Some(Some(text)) = text {
                text::at_most(name, text, 256, Code::ParameterInvalid)?;
            }
        }
        Ok(())
    }

    /// The stored bindings with this put over them.
    fn over(&self, bindings: Option<&str>) -> String {
        let mut all = bindings
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_else(|| serde_json::json!({"email": {"projected_address": null, "name": null}}));
        for (key, value) in [("projected_address", &self.address), ("name", &self.name)] {
            if let Some(value) = value {
                all["email"][key] = serde_json::json!(value);
            }
        }
        all.to_string()
    }
}

impl Patch {
    /// Whether it says nothing; then nothing changes, and nobody is told.
    pub fn is_empty(&self) -> bool {
        let names = self.friendly_name.is_some() || self.unique_name.is_some() || self.attributes.is_some();
        let dates = self.created.is_some() || self.updated.is_some();
        let others = self.messaging_service.is_some() || self.email != Email::default();
        !(names || dates || others || self.restarts_timers())
    }

    const fn restarts_timers(&self) -> bool {
        self.state.is_some() || self.inactive_timer.is_some() || self.closed_timer.is_some()
    }

    /// Holds the patch against the limits; the refusals carry the documented codes.
    pub fn check(&self, limits: &Limits) -> Outcome<()> {
        if let Some(Some(name)) = &self.friendly_name {
            text::at_most("FriendlyName", name, 256, Code::FriendlyNameTooLong)?;
        }
        if let Some(Some(name)) = &self.unique_name {
            text::at_most("UniqueName", name, 256, Code::UniqueNameTooLong)?;
            if text::looks_like_sid(name, "CH") {
                return Err(Refusal::NameLooksLikeSid.into());
            }
        }
        if let Some(attributes) = &self.attributes {
            text::attributes(attributes, limits.conversation_attributes_bytes_max)?;
        }
        self.email.check()?;
        check_timers(&self.inactive_timer, &self.closed_timer)
    }

    /// The patch without what is so already: names and attributes as they are stored.
    #[must_use]
    pub fn changing(&self, conversation: &Conversation) -> Self {
        let Self { friendly_name, unique_name, attributes, .. } = self.clone();
        Self {
            friendly_name: friendly_name.filter(|name| *name != conversation.friendly_name),
            unique_name: unique_name.filter(|name| *name != conversation.unique_name),
            attributes: attributes.filter(|attributes| *attributes != conversation.attributes),
            ..self.clone()
        }
    }

    /// Applies the patch; `now` is written where the patch brings no date of its own.
    pub fn apply(&self, conversation: &mut Conversation, now: Timestamp) {
        fn set<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        set(&mut conversation.friendly_name, &self.friendly_name);
        set(&mut conversation.unique_name, &self.unique_name);
        set(&mut conversation.attributes, &self.attributes);
        set(&mut conversation.inactive_timer, &self.inactive_timer);
        set(&mut conversation.closed_timer, &self.closed_timer);
        set(&mut conversation.created, &self.created);
        if self.email != Email::default() {
            conversation.bindings = Some(self.email.over(conversation.bindings.as_deref()));
        }
        if self.messaging_service.is_some() {
            conversation.messaging_service = self.messaging_service;
        }
        if let Some(state) = self.state.filter(|state| *state != conversation.state) {
            conversation.state = state;
            conversation.state_since = now;
        }
        if self.restarts_timers() {
            conversation.active_at = now;
        }
        conversation.updated = self.updated.unwrap_or(now);
    }
}

/// Seconds of the shortest timer there is.
pub const TIMER_SECONDS_MIN: i64 = 60;
/// Seconds of the shortest closed timer.
const CLOSED_TIMER_SECONDS_MIN: i64 = 600;

/// Holds both timers against their least lengths; an account's default timers obey the same rule.
pub fn check_timers(inactive: &Option<Option<String>>, closed: &Option<Option<String>>) -> Outcome<()> {
    check_timer(inactive, TIMER_SECONDS_MIN, Code::InactiveTimerTooShort, Code::InactiveTimerInvalid)?;
    check_timer(closed, CLOSED_TIMER_SECONDS_MIN, Code::ClosedTimerTooShort, Code::ClosedTimerInvalid)
}

/// A timer is an ISO 8601 duration; nothing, `""` and `PT0S` take it away.
fn check_timer(timer: &Option<Option<String>>, least: i64, too_short: Code, invalid: Code) -> Outcome<()> {
    let Some(Some(timer)) = timer else { return Ok(()) };
    match text::duration_seconds(timer) {
        None => Err(Error::refused(invalid, format!("\"{timer}\" is not an ISO 8601 duration such as PT10M"))),
        Some(seconds) if seconds < least => {
            Err(Error::refused(too_short, format!("\"{timer}\" is shorter than {least} seconds")))
        }
        Some(_) => Ok(()),
    }
}

/// Why something about a conversation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such conversation in this service.
    NotFound,
    /// Another conversation of the service has the unique name.
    NameTaken,
    /// The unique name looks like a conversation's SID.
    NameLooksLikeSid,
    /// Nothing may change in a closed conversation.
    Closed,
    /// Created closed.
    ClosedAtCreation,
    /// Not a state.
    StateInvalid,
    /// An empty state.
    StateEmpty,
    /// `EndDate` lies before `StartDate`.
    EndBeforeStart,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound => return Self::not_found(Code::ConversationNotFound),
            Refusal::NameTaken => Code::UniqueNameTaken,
            Refusal::NameLooksLikeSid => Code::UniqueNameLooksLikeSid,
            Refusal::Closed => Code::ConversationClosed,
            Refusal::ClosedAtCreation => Code::ClosedAtCreation,
            Refusal::StateInvalid => Code::StateInvalid,
            Refusal::StateEmpty => Code::StateEmpty,
            Refusal::EndBeforeStart => Code::EndBeforeStart,
        };
        Self::plain(code)
    }
}
