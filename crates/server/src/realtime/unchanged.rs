//! Objects of which nothing was missed, all at once: most of what a client asks for that comes back.
//!
//! Two statements give where every object stands that the reader may read by taking part, or as a user of the
//! service, however many there are. What is not among them, or has moved on, is asked for by itself
//! ([`super::objects`]): this may say "nothing was missed", and never that something is not to be read.
//! Why it is not one counter: docs/decisions/0013-what-a-reconnect-reads.md.

use std::collections::HashMap;

use tertulia_protocol::sync::Object;
use tertulia_store::StreamId;

use super::news::{info, mine, roster, stream_of, talk};
use super::objects::{Right, Standing};
use crate::platform::{Cx, Outcome};
use crate::{conversations, users};

/// Where streams stand that the reader may read without anything else being asked.
#[derive(Debug, Default)]
pub(super) struct Unchanged {
    positions: HashMap<StreamId, i64>,
    /// The position of the reader's own list; 0 when there is none.
    pub(super) own: i64,
}

impl Unchanged {
    /// Reads where these objects stand. For a caller that is no user, nothing is known.
    pub(super) async fn read(cx: &mut Cx<'_, '_>, objects: impl Iterator<Item = Object>) -> Outcome<Self> {
        let Some((reader, service)) = cx.caller.user().map(|user| (user.sid, user.service)) else {
            return Ok(Self::default());
        };
        let account = cx.caller.account;
        let (mut rooms, mut people) = (Vec::new(), vec![reader]);
        for object in objects {
            match object {
                Object::Document(sid) | Object::Messages(sid) | Object::Roster(sid) => rooms.push(sid),
                Object::MyConversations(_) => {}
                Object::UserInfo(sid) => people.push(sid),
            }
        }
        let mut known = Self::default();
        for user in users::queries::positions(cx.tx, account, service, &distinct(people)).await? {
            known.positions.insert(info(user.sid), user.info);
            // Nobody reads the list of somebody else.
            if user.sid == reader {
                known.positions.insert(mine(user.sid), user.mine);
                known.own = user.mine;
            }
        }
        let rooms = distinct(rooms);
        if !rooms.is_empty() {
            for room in conversations::queries::positions(cx.tx, account, service, reader, &rooms).await? {
                known.positions.extend([(talk(room.sid), room.talk), (roster(room.sid), room.roster)]);
            }
        }
        Ok(known)
    }

    /// Where an object stands of which nothing was missed after this position.
    pub(super) fn standing(&self, object: Object, after: Option<i64>) -> Option<Standing> {
        let position = *self.positions.get(&stream_of(object))?;
        let is_unchanged = after.is_none_or(|after| after >= position);
        is_unchanged.then(|| Standing { object, position, right: Right::Own, missed: Vec::new(), cut_at: None })
    }
}

fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
