//! Messages of a conversation, with the indexes 0, 1, 2, … in commit order, never used twice.
//!
//! A removed message keeps its index and an emptied row. Here are its facts and refusals; nothing in
//! this file does IO.

pub mod queries;
pub mod commands;
pub mod http;
pub mod sdk;
pub mod events;
#[cfg(test)]
mod tests;

use tertulia_protocol::sid::{Conversation, Message as MessageKind, Participant};
use tertulia_protocol::{Code, Sid, Timestamp};

use crate::platform::{AccountNumber, Error, Limits, Outcome, text};

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The owner.
    pub account: AccountNumber,
    /// The conversation.
    pub conversation: Sid<Conversation>,
    /// 0, 1, 2, … in commit order.
    pub index: i64,
    /// The message.
    pub sid: Sid<MessageKind>,
    /// Identity of the author, or `system`.
    pub author: String,
    /// The author's participant, if there was one.
    pub participant: Option<Sid<Participant>>,
    /// The text, byte for byte; `None` where nothing but attributes was sent.
    pub body: Option<String>,
    /// JSON text, byte for byte.
    pub attributes: String,
    /// E-mail subject; never part of REST answers.
    pub subject: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Identity of who changed it last.
    pub updated_by: Option<String>,
    /// Position in `talk` at which it came.
    pub created_pos: i64,
    /// Position in `talk` of its last change.
    pub changed_pos: i64,
    /// When it was removed; such a row is an emptied tombstone.
    pub removed: Option<Timestamp>,
}

/// What a create or an update says about a message; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Another author (REST only).
    pub author: Option<String>,
    /// The text.
    pub body: Option<String>,
    /// JSON text.
    pub attributes: Option<String>,
    /// E-mail subject.
    pub subject: Option<String>,
    /// An importer's own date.
    pub created: Option<Timestamp>,
    /// An importer's own date.
    pub updated: Option<Timestamp>,
    /// SIDs of files that a new message brings.
    pub media: Vec<String>,
}

impl Patch {
    /// Whether it says nothing; then nothing changes, and nobody is told.
    pub fn is_empty(&self) -> bool {
        let texts = [&self.author, &self.body, &self.attributes, &self.subject];
        texts.into_iter().all(Option::is_none) && self.created.is_none() && self.updated.is_none()
    }

    /// The patch without what is so already: text and attributes as they are stored.
    #[must_use]
    pub fn changing(&self, message: &Message) -> Self {
        let Self { body, attributes, subject, .. } = self.clone();
        Self {
            body: body.filter(|body| Some(body) != message.body.as_ref()),
            attributes: attributes.filter(|attributes| *attributes != message.attributes),
            subject: subject.filter(|subject| Some(subject) != message.subject.as_ref()),
            ..self.clone()
        }
    }

    /// Holds the patch against the limits; the refusals carry the documented codes.
    pub fn check(&self, limits: &Limits) -> Outcome<()> {
        if let Some(body) = &self.body {
            text::storable("Body", body)?;
            if body.len() > limits.body_bytes_max {
                let message = format!("Body has {} bytes; at most {} are allowed", body.len(), limits.body_bytes_max);
                return Err(Error::refused(Code::BodyTooLong, message));
            }
        }
        if let Some(attributes) = &self.attributes {
            text::attributes(attributes, limits.attributes_bytes_max)?;
        }
        if let Some(author) = &self.author {
            text::at_most("Author", author, 256, Code::AuthorTooLong)?;
        }
        if let Some(subject) = &self.subject {
            text::at_most("Subject", subject, 256, Code::ParameterInvalid)?;
        }
        Ok(())
    }
}

/// Why something about a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such message in this conversation.
    NotFound,
    /// Neither a body nor files.
    BodyMissing,
    /// A file that was never uploaded.
    MediaNotFound,
    /// A content template that was never created.
    ContentNotFound,
    /// Values for the variables of no content template.
    VariablesWithoutContent,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found(Code::MessageNotFound),
            Refusal::BodyMissing => Self::refused(Code::BodyMissing, "A message needs a Body"),
            Refusal::ContentNotFound => {
                Self::refused(Code::ContentSidInvalid, "There is no content template with this ContentSid")
            }
            Refusal::VariablesWithoutContent => {
                Self::refused(Code::ContentSidMissing, "ContentVariables goes with a ContentSid, which is missing")
            }
            Refusal::MediaNotFound => Self::refused(Code::MediaNotFound, "There is no media file with this SID"),
        }
    }
}
