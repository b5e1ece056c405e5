//! Participants of a conversation: who is in it, and who comes and goes.

use std::collections::BTreeMap;

use serde_json::json;
use tertulia_protocol::Sid;
use tertulia_protocol::client::{ReceivedPage, ReceivedParticipant};
use tertulia_protocol::sid::{Conversation, Participant as ParticipantKind};
use tertulia_protocol::sync::{Object, ObjectType};

use crate::change::{ChangeKind, ItemKey};
use crate::client::Client;
use crate::error::Error;
use crate::link::{encoded, unintelligible};
use crate::subscription::{Opened, Subscription};

/// Somebody in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The participant.
    pub sid: Sid<ParticipantKind>,
    /// Who; nobody's, if the participant comes from another messenger.
    pub identity: Option<String>,
    /// Its attributes, as JSON text.
    pub attributes: String,
    /// How far it has read.
    pub last_read_message_index: Option<i64>,
}

/// Who is in a conversation, kept up to date as its events are taken. One an object and client.
#[derive(Debug)]
pub struct Roster {
    subscription: Subscription,
    participants: BTreeMap<Sid<ParticipantKind>, Participant>,
}

/// Something that happened among the participants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterEvent {
    /// Somebody came.
    Joined(Participant),
    /// A participant changed, or has read on.
    Changed(Participant),
    /// Somebody went.
    Left(Participant),
}

impl Client {
    /// Opens the roster of a conversation.
    pub async fn roster(&self, conversation: Sid<Conversation>) -> Result<Roster, Error> {
        let opened = Opened::fetch(self, &Object::Roster(conversation).name(), ObjectType::Map).await?;
        let mut participants = BTreeMap::new();
        let mut path = format!("{}?PageSize=100", opened.items);
        loop {
            let body = self.link.call("GET", &path, None).await?;
            let page: ReceivedPage<'_> = serde_json::from_slice(&body).map_err(|cause| unintelligible(&path, cause))?;
            for item in &page.items {
                let participant = read(item.key.as_deref().unwrap_or_default(), item.data.get().as_bytes())?;
                participants.insert(participant.sid, participant);
            }
            match page.meta.next_token {
                Some(next) => path = format!("{}?PageToken={}", opened.items, encoded(&next)),
                None => break,
            }
        }
        // From before the pages: what happened meanwhile comes again, and changes nothing.
        let subscription = Subscription::begin(self, &[opened]).await?;
        Ok(Roster { subscription, participants })
    }

    /// Gives a participant other attributes, as JSON text.
    pub async fn set_participant_attributes(
        &self,
        conversation: Sid<Conversation>,
        participant: Sid<ParticipantKind>,
        attributes: &str,
    ) -> Result<(), Error> {
        let path = format!("{}/Participants/{participant}", self.path_of(conversation));
        self.link.call("POST", &path, Some(&json!({"attributes": attributes}))).await.map(drop)
    }
}

impl Roster {
    /// Who is in, as of the last event that was taken.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values()
    }

    /// Waits for the next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<RosterEvent, Error> {
        loop {
            let change = self.subscription.next().await?;
            let ItemKey::Key(key) = &change.key else { return Err(Error::Gone) };
            if change.kind == ChangeKind::Removed {
                let gone = key.parse().ok().and_then(|sid| self.participants.remove(&sid));
                match gone {
                    Some(participant) => return Ok(RosterEvent::Left(participant)),
                    None => continue,
                }
            }
            let participant = read(key, &change.data)?;
            match self.participants.insert(participant.sid, participant.clone()) {
                None => return Ok(RosterEvent::Joined(participant)),
                Some(before) if before != participant => return Ok(RosterEvent::Changed(participant)),
                Some(_) => {}
            }
        }
    }
}

fn read(key: &str, data: &[u8]) -> Result<Participant, Error> {
    let sid = key.parse().map_err(|_| unintelligible("a roster", "an item's key is no participant"))?;
    let read: Result<ReceivedParticipant, _> = serde_json::from_slice(data);
    let read = read.map_err(|cause| unintelligible("a participant's data", cause))?;
    let ReceivedParticipant { identity, attributes, last_read_message_index, .. } = read;
    Ok(Participant { sid, identity, attributes, last_read_message_index })
}
