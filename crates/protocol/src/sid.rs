//! SIDs: two capital letters that name a kind, then 32 hex digits.
//!
//! A `Sid<Conversation>` can only be made from text that begins with `CH`, so a message's SID never
//! reaches a query for conversations. SIDs are read in either letter case and printed in lower case
//! (REST facts §5); they are random and never derived from a name or an identity.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a SID names. Implemented by the marker types of this module only.
pub trait Kind: Copy + Eq + Ord + std::hash::Hash + Send + Sync + 'static {
    /// The two letters a SID of this kind begins with.
    const PREFIX: &'static str;
    /// The glossary's word for the kind, for messages.
    const NAME: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $prefix:literal, $name:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $kind;
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;
        }
    )*};
}

kinds! {
    /// An account, the owner of everything else.
    Account = "AC", "account";
    /// An API key, which signs Access Tokens and authenticates REST calls.
    Key = "SK", "API key";
    /// A chat service: users, roles and conversations of one application.
    Service = "IS", "chat service";
    /// A conversation.
    Conversation = "CH", "conversation";
    /// A participant of one conversation.
    Participant = "MB", "participant";
    /// A message of one conversation.
    Message = "IM", "message";
    /// A user of one chat service.
    User = "US", "user";
    /// A role: a named set of permissions.
    Role = "RL", "role";
    /// A media file.
    Media = "ME", "media";
    /// A delivery receipt.
    Receipt = "DY", "receipt";
    /// A webhook of one conversation.
    Webhook = "WH", "webhook";
    /// A push credential.
    Credential = "CR", "push credential";
    /// A push binding.
    Binding = "BS", "binding";
    /// An address configuration.
    Address = "IG", "address configuration";
    /// A messaging service, which Tertulia only stores the SID of.
    MessagingService = "MG", "messaging service";
    /// A revocation: what ends tokens before their time.
    Revocation = "RV", "revocation";
    /// An entry of the audit log.
    Audit = "AU", "audit entry";
    /// A content template.
    ContentTemplate = "HX", "content template";
}

const LENGTH: usize = 34;

/// The SID of one thing of kind `K`: 34 bytes, cheap to copy, always valid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid<K> {
    text: [u8; LENGTH],
    kind: PhantomData<K>,
}

/// Text that is not a SID of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the SID of a {name}: it must be {prefix} followed by 32 hex digits")]
pub struct SidError {
    /// The kind's word.
    pub name: &'static str,
    /// The two letters it must begin with.
    pub prefix: &'static str,
}

impl<K: Kind> Sid<K> {
    /// The SID whose 32 hex digits are `number`; where numbers come from is the caller's business.
    pub fn from_number(number: u128) -> Self {
        let mut text = [0; LENGTH];
        text[..2].copy_from_slice(K::PREFIX.as_bytes());
        for (place, byte) in text[2..].chunks_exact_mut(2).zip(number.to_be_bytes()) {
            place[0] = HEX[usize::from(byte >> 4)];
            place[1] = HEX[usize::from(byte & 15)];
        }
        Self { text, kind: PhantomData }
    }

    /// Reads a SID in either letter case.
    pub fn parse(text: &str) -> Result<Self, SidError> {
        let refusal = SidError { name: K::NAME, prefix: K::PREFIX };
        let bytes = text.as_bytes();
        if bytes.len() != LENGTH || !bytes[..2].eq_ignore_ascii_case(K::PREFIX.as_bytes()) {
            return Err(refusal);
        }
        number_of(&bytes[2..]).map(Self::from_number).ok_or(refusal)
    }

    /// The 34 characters, in lower case but for the prefix.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("a SID is ASCII")
    }

    /// The 32 hex digits as a number; computed names and streams are made from it.
    pub fn number(&self) -> u128 {
        number_of(&self.text[2..]).expect("a SID ends in hex digits")
    }

    /// The 32 hex digits.
    pub fn hex(&self) -> &str {
        &self.as_str()[2..]
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The number that 32 hex digits in either case stand for.
pub(crate) fn number_of(digits: &[u8]) -> Option<u128> {
    if digits.len() != 32 {
        return None;
    }
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = (*digit as char).to_digit(16)?;
        Some(number << 4 | u128::from(value))
    })
}

impl<K: Kind> fmt::Display for Sid<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<K: Kind> fmt::Debug for Sid<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<K: Kind> FromStr for Sid<K> {
    type Err = SidError;
    fn from_str(text: &str) -> Result<Self, SidError> {
        Self::parse(text)
    }
}

impl<K: Kind> Serialize for Sid<K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de, K: Kind> Deserialize<'de> for Sid<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_case_is_read_and_lower_case_is_printed() {
        let sid: Sid<Conversation> = "chABCDEF00000000000000000000000001".parse().unwrap();
        assert_eq!(sid.as_str(), "CHabcdef00000000000000000000000001");
        assert_eq!(Sid::<Conversation>::from_number(sid.number()), sid);
    }

    #[test]
    fn another_kind_or_length_is_refused_by_name() {
        let refusal = Sid::<Conversation>::parse("IM00000000000000000000000000000001").unwrap_err();
        assert!(refusal.to_string().contains("CH followed by 32 hex digits"));
        assert!(Sid::<Message>::parse("IM0000000000000000000000000000001").is_err());
        assert!(Sid::<Message>::parse("IM0000000000000000000000000000000g").is_err());
        assert!(Sid::<Message>::parse("IM000000000000000000000000000000é").is_err());
    }
}
