//! Participants: who is in a conversation.
//!
//! A chat participant has an identity and stands for a user; one of another messenger has a messaging
//! binding instead. One row serves the roster, which everybody in the conversation sees,
//! and the user's own list. Here are its facts and refusals; nothing in this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod sdk;
pub mod events;

use serde::{Deserialize, Serialize};
use tertulia_protocol::sid::{Conversation, Participant as ParticipantKind, Role, Service, User};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Error, Outcome, text};

/// A participant.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The owner.
    pub account: AccountNumber,
    /// The conversation.
    pub conversation: Sid<Conversation>,
    /// The participant.
    pub sid: Sid<ParticipantKind>,
    /// The chat service.
    pub service: Sid<Service>,
    /// The app's own name for the user; `None` for another messenger's.
    pub identity: Option<String>,
    /// The user behind the identity.
    pub user: Option<Sid<User>>,
    /// How another messenger's participant is reached.
    pub binding: Option<Binding>,
    /// Role in the conversation.
    pub role: Option<Sid<Role>>,
    /// JSON text, byte for byte.
    pub attributes: String,
    /// Read horizon: index of the last message that was read.
    pub last_read_index: Option<i64>,
    /// When the horizon was set.
    pub last_read_at: Option<Timestamp>,
    /// Whether the user wants to be notified.
    pub notification_level: NotificationLevel,
    /// When the participant came.
    pub created: Timestamp,
    /// When the participant last changed.
    pub updated: Timestamp,
    /// Position in `roster` at which the participant came.
    pub roster_created_pos: i64,
    /// Position in `roster` of the last change.
    pub roster_changed_pos: i64,
    /// Position in the user's `mine` at which the conversation came.
    pub mine_created_pos: i64,
    /// Position in the user's `mine` of the last change.
    pub mine_changed_pos: i64,
    /// When the participant left or was removed; such a row is an emptied tombstone.
    pub removed: Option<Timestamp>,
}

/// Whether a user wants to be notified of a conversation's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotificationLevel {
    /// Yes.
    #[default]
    Default,
    /// No.
    Muted,
}

impl NotificationLevel {
    /// The word in the store and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Muted => "muted",
        }
    }

    /// The level with this word, in any letter case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Default, Self::Muted].into_iter().find(|level| level.word().eq_ignore_ascii_case(word))
    }
}

/// How a participant of another messenger is reached; stored as JSON with these names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `sms`, `whatsapp`, …; follows from the address.
    #[serde(rename = "type")]
    pub kind: String,
    /// The participant's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The address it talks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_address: Option<String>,
    /// The address others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_address: Option<String>,
}

impl Binding {
    /// A binding of what was given: an empty text is none.
    pub fn given(
        address: Option<String>,
        proxy_address: Option<String>,
        projected_address: Option<String>,
    ) -> Option<Self> {
        let [address, proxy_address, projected_address] =
            [address, proxy_address, projected_address].map(|text| text.filter(|text| !text.is_empty()));
        let any = address.as_deref().or(projected_address.as_deref()).or(proxy_address.as_deref())?;
        Some(Self { kind: Self::kind_of(any).to_owned(), address, proxy_address, projected_address })
    }

    /// Holds a binding against its rules; with an identity only a projected address makes one.
    pub fn check(&self, has_identity: bool) -> Outcome<()> {
        let projected = self.projected_address.as_deref();
        at_most("ProjectedAddress", projected.unwrap_or_default(), Code::AddressInvalid)?;
        at_most("ProxyAddress", self.proxy_address.as_deref().unwrap_or_default(), Code::ProxyAddressInvalid)?;
        if has_identity {
            let fits = self.address.is_none() && projected.is_some();
            return if fits { Ok(()) } else { Err(Refusal::IdentityWithAddress.into()) };
        }
        let address = self.address.as_deref().ok_or(Refusal::AddressMissing)?;
        let proxy = self.proxy_address.as_deref().ok_or(Refusal::ProxyAddressMissing)?;
        at_most("Address", address, Code::AddressInvalid)?;
        well_formed("Address", address, Code::AddressInvalid)?;
        well_formed("ProxyAddress", proxy, Code::ProxyAddressInvalid)?;
        if address == proxy {
            return Err(Refusal::AddressesEqual.into());
        }
        if Self::kind_of(address) != Self::kind_of(proxy) {
            return Err(Refusal::BindingTypesDiffer.into());
        }
        Ok(())
    }

    /// Whether its proxy address was removed.
    fn is_without_proxy(&self) -> bool {
        self.address.is_some() && self.proxy_address.is_none()
    }

    /// The type that an address is of: by its prefix, `sms` for a bare number.
    pub fn kind_of(address: &str) -> &str {
        match address.split_once(':') {
            Some((kind @ ("whatsapp" | "messenger" | "rcs" | "apple" | "gbm"), _)) => kind,
            _ if address.contains('@') => "email",
            _ => "sms",
        }
    }
}

fn at_most(name: &str, address: &str, code: Code) -> Outcome<()> {
    text::at_most(&format!("MessagingBinding.{name}"), address, 256, code)
}

/// An address without a messenger's prefix is a phone number or a short code; with one, it is not empty.
fn well_formed(name: &str, address: &str, code: Code) -> Outcome<()> {
    let fits = match Binding::kind_of(address) {
        "sms" => {
            let digits = address.strip_prefix('+').unwrap_or(address);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        "email" => true,
        kind => address.len() > kind.len() + 1,
    };
    if fits { Ok(()) } else { Err(Error::refused(code, format!("MessagingBinding.{name} is no address"))) }
}

/// What an add says about the new participant.
#[derive(Clone, Debug, Default)]
pub struct NewParticipant {
    /// A chat participant's identity.
    pub identity: Option<String>,
    /// Another messenger's addresses.
    pub binding: Option<Binding>,
    /// JSON text.
    pub attributes: Option<String>,
    /// A conversation role; the service's default otherwise.
    pub role: Option<Sid<Role>>,
    /// An importer's own date.
    pub created: Option<Timestamp>,
    /// An importer's own date.
    pub updated: Option<Timestamp>,
}

impl NewParticipant {
    fn check(&self, attributes_max: usize) -> Outcome<()> {
        if let Some(attributes) = &self.attributes {
            text::attributes(attributes, attributes_max)?;
        }
        if let Some(binding) = &self.binding {
            binding.check(self.identity.is_some())?;
        }
        match (&self.identity, &self.binding) {
            (Some(identity), _) => text::identity(identity),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Refusal::NobodyNamed.into()),
        }
    }
}

/// What an update says about a participant; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// JSON text.
    pub attributes: Option<String>,
    /// Another conversation role.
    pub role: Option<Sid<Role>>,
    /// The read horizon; `Some(None)` takes it away.
    pub last_read_index: Option<Option<i64>>,
    /// When it was read; now, unless given.
    pub last_read_at: Option<Timestamp>,
    /// Whether the user wants to be notified.
    pub notification_level: Option<NotificationLevel>,
    /// Another proxy address; `Some(None)` takes it away.
    pub proxy_address: Option<Option<String>>,
    /// Another projected address; `Some(None)` takes it away.
    pub projected_address: Option<Option<String>>,
    /// An identity.
    pub identity: Option<String>,
    /// An importer's own date.
    pub created: Option<Timestamp>,
    /// An importer's own date.
    pub updated: Option<Timestamp>,
}

impl Patch {
    fn check(&self, attributes_max: usize) -> Outcome<()> {
        if let Some(attributes) = &self.attributes {
            text::attributes(attributes, attributes_max)?;
        }
        if self.last_read_index.flatten().is_some_and(|index| index < 0) {
            return Err(Refusal::LastReadIndexInvalid.into());
        }
        Ok(())
    }

    /// The patch without what is so already: attributes, read horizon and notification level as they are stored.
    #[must_use]
    fn changing(&self, participant: &Participant) -> Self {
        let Self { attributes, last_read_index, notification_level, .. } = self.clone();
        Self {
            attributes: attributes.filter(|attributes| *attributes != participant.attributes),
            last_read_index: last_read_index.filter(|index| *index != participant.last_read_index),
            notification_level: notification_level.filter(|level| *level != participant.notification_level),
            ..self.clone()
        }
    }

    /// The roster shows everything but the notification level; the own list shows horizon and level.
    const fn touches(&self) -> (bool, bool) {
        let horizon = self.last_read_index.is_some() || self.last_read_at.is_some();
        (horizon || self.has_facts(), horizon || self.notification_level.is_some())
    }

    /// Whether it changes the participant as others know it, and not only how far it has read.
    const fn has_facts(&self) -> bool {
        self.attributes.is_some()
            || self.role.is_some()
            || self.has_binding()
            || self.created.is_some()
            || self.updated.is_some()
    }

    /// Whether it changes how the participant is reached.
    const fn has_binding(&self) -> bool {
        self.proxy_address.is_some() || self.projected_address.is_some()
    }

    /// The binding that a participant has after this patch, held against the rules: whoever has an address of another
    /// messenger may get another proxy address, a chat participant a projected one, and nobody another identity.
    fn binding(&self, participant: &Participant) -> Outcome<Option<Binding>> {
        if self.identity.as_ref().is_some_and(|identity| Some(identity) != participant.identity.as_ref()) {
            return Err(Refusal::IdentityFixed.into());
        }
        let mut binding = participant.binding.clone();
        if let Some(proxy) = &self.proxy_address {
            binding = Some(with_proxy(binding, proxy.clone())?);
        }
        if let Some(projected) = &self.projected_address {
            binding = with_projected(binding, projected.clone())?;
        }
        if let Some(binding) = binding.as_ref().filter(|binding| self.has_binding() && !binding.is_without_proxy()) {
            binding.check(participant.identity.is_some())?;
        }
        Ok(binding)
    }

    fn apply(&self, participant: &mut Participant, now: Timestamp) {
        if let Some(attributes) = &self.attributes {
            participant.attributes.clone_from(attributes);
        }
        participant.role = self.role.or(participant.role);
        if let Some(index) = self.last_read_index {
            participant.last_read_index = index;
            participant.last_read_at = index.and(Some(now));
        }
        participant.last_read_at = self.last_read_at.or(participant.last_read_at);
        participant.notification_level = self.notification_level.unwrap_or(participant.notification_level);
        participant.created = self.created.unwrap_or(participant.created);
        // A horizon says where somebody reads, not what somebody is: it is no change of the participant.
        if self.attributes.is_some() || self.role.is_some() || self.has_binding() || self.updated.is_some() {
            participant.updated = self.updated.unwrap_or(now);
        }
    }
}

/// A binding with another proxy address. A phone number may do without one, as in group MMS.
fn with_proxy(binding: Option<Binding>, proxy: Option<String>) -> Outcome<Binding> {
    let mut binding = binding.filter(|binding| binding.address.is_some()).ok_or(match proxy {
        Some(_) => Refusal::NoAddressForProxy,
        None => Refusal::ProxyAddressStays,
    })?;
    if proxy.is_none() && (binding.proxy_address.is_none() || binding.kind != "sms") {
        return Err(Refusal::ProxyAddressStays.into());
    }
    binding.proxy_address = proxy;
    Ok(binding)
}

/// A binding with another projected address; without one there is none, for nothing else goes with an identity.
fn with_projected(binding: Option<Binding>, projected: Option<String>) -> Outcome<Option<Binding>> {
    if binding.as_ref().is_some_and(|binding| binding.address.is_some()) {
        return Err(Refusal::BoundAlready.into());
    }
    if binding.is_none() && projected.is_none() {
        return Err(Refusal::NoProjectedAddress.into());
    }
    Ok(Binding::given(None, None, projected))
}

/// How a user last went out of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// When.
    pub at: Timestamp,
    /// Whether the user left; otherwise somebody else removed the user, or the conversation was deleted.
    pub has_left: bool,
}

/// A roster's position and the number of participants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roster {
    /// Position of the stream `roster`.
    pub position: i64,
    /// Participants now.
    pub participants_count: i64,
}

/// Why something about a participant is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such participant in this conversation.
    NotFound,
    /// The identity is in the conversation already.
    Exists,
    /// Neither an identity nor a binding.
    NobodyNamed,
    /// An identity together with a binding's address.
    IdentityWithAddress,
    /// The conversation has as many participants as it may have.
    TooMany,
    /// A binding without its address, or without its proxy address.
    AddressMissing,
    /// See [`Refusal::AddressMissing`].
    ProxyAddressMissing,
    /// Address and proxy address are the same.
    AddressesEqual,
    /// Address and proxy address belong to different messengers.
    BindingTypesDiffer,
    /// The conversation has as many participants of other messengers as it may have.
    TooManyNonChat,
    /// The pair of addresses is in use; applications parse the conversation out of the message.
    BindingTaken(Sid<Conversation>),
    /// A proxy address for a participant without an address.
    NoAddressForProxy,
    /// The removal of a proxy address that is not there, or that this messenger needs.
    ProxyAddressStays,
    /// The removal of a projected address that is not there.
    NoProjectedAddress,
    /// A projected address for a participant of another messenger.
    BoundAlready,
    /// Another identity for somebody who is a participant already.
    IdentityFixed,
    /// Not a number.
    LastReadIndexInvalid,
    /// Neither `default` nor `muted`.
    NotificationLevelInvalid,
    /// Conversations asked for by identity and address at once.
    IdentityAndAddress,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound => return Self::not_found(Code::ParticipantNotFound),
            Refusal::NobodyNamed => {
                return Self::parameter("A participant needs an Identity or a MessagingBinding.Address");
            }
            Refusal::BindingTaken(other) => {
                let message =
                    format!("A binding for this participant and proxy address already exists in Conversation {other}");
                return Self::refused(Code::BindingTaken, message);
            }
            Refusal::NoAddressForProxy => {
                let message = "MessagingBinding.ProxyAddress goes with a participant who was added with an Address";
                return Self::refused(Code::ProxyAddressUnexpected, message);
            }
            Refusal::ProxyAddressStays => {
                let message = "MessagingBinding.ProxyAddress can only be removed from an SMS participant who has one";
                return Self::refused(Code::ProxyAddressRemoval, message);
            }
            Refusal::NoProjectedAddress => {
                let message = "The participant has no MessagingBinding.ProjectedAddress to remove";
                return Self::refused(Code::ProjectedAddressRemoval, message);
            }
            Refusal::BoundAlready => {
                let message =
                    "MessagingBinding.ProjectedAddress goes with an Identity, and this participant has an Address";
                return Self::refused(Code::ProjectedAddressUnexpected, message);
            }
            Refusal::IdentityFixed => {
                let message = "The Identity of a participant cannot be changed; remove the participant and add another";
                return Self::refused(Code::IdentityUpdate, message);
            }
            Refusal::TooMany => {
                let message = "The conversation has as many participants as limits.participants_max allows";
                return Self::refused(Code::TooManyParticipants, message);
            }
            Refusal::TooManyNonChat => {
                let message = "The conversation has as many participants of other messengers as \
                               limits.non_chat_participants_max allows";
                return Self::refused(Code::TooManyNonChatParticipants, message);
            }
            Refusal::Exists => Code::ParticipantExists,
            Refusal::IdentityWithAddress => Code::IdentityNotAcceptable,
            Refusal::AddressMissing => Code::AddressMissing,
            Refusal::ProxyAddressMissing => Code::ProxyAddressMissing,
            Refusal::AddressesEqual => Code::AddressesEqual,
            Refusal::BindingTypesDiffer => Code::BindingTypesDiffer,
            Refusal::LastReadIndexInvalid => Code::LastReadIndexInvalid,
            Refusal::NotificationLevelInvalid => Code::NotificationLevelInvalid,
            Refusal::IdentityAndAddress => Code::IdentityAndAddress,
        };
        Self::plain(code)
    }
}
