//! What users announce: their name, attributes and reachability, to whoever watches their info map.

use tertulia_protocol::Sid;
use tertulia_protocol::Timestamp;
use tertulia_protocol::sid::User as UserKind;
use tertulia_protocol::sync::{
    Event, Item, ItemKey, Object, ObjectChange, Reachability, UserInfoValue, data, user_info,
};
use tertulia_store::News;

use super::User;
use crate::platform::DomainEvent;
use crate::realtime::news;

/// A user's facts changed.
#[derive(Clone, Debug)]
pub struct Updated {
    /// As they were.
    pub before: User,
    /// As they are.
    pub after: User,
}

/// The items of a user's info map. Name and attributes are always there: a client that misses one
/// fails to load the user, and its own whole start (Sync facts §3.5).
pub fn items(user: &User) -> Vec<Item> {
    let item = |key: &str, last_event_id, data| Item {
        key: ItemKey::Key(key.to_owned()),
        last_event_id,
        data,
        created: user.created,
        updated: user.updated,
    };
    let name = UserInfoValue { value: user.friendly_name.clone() };
    let attributes = UserInfoValue { value: Some(user.attributes.clone()) };
    let mut items = vec![
        item(user_info::ATTRIBUTES, user.attributes_pos, data(&attributes)),
        item(user_info::FRIENDLY_NAME, user.friendly_name_pos, data(&name)),
    ];
    if let Some(online) = user.online {
        let reachability = Reachability { online, notifiable: false };
        items.push(item(user_info::REACHABILITY, user.online_pos, data(&reachability)));
    }
    items
}

/// What changed after a position, as events in the order of their positions.
pub fn changed_after(user: &User, position: i64) -> Vec<Event> {
    let object = Object::UserInfo(user.sid);
    let mut changed: Vec<Item> = items(user).into_iter().filter(|item| item.last_event_id > position).collect();
    changed.sort_by_key(|item| item.last_event_id);
    let event = |item: Item| Event {
        object,
        id: item.last_event_id,
        at: item.updated,
        change: ObjectChange::Updated(item.key, item.data),
    };
    changed.into_iter().map(event).collect()
}

impl DomainEvent for Updated {
    fn news(&self, _now: Timestamp) -> Vec<News> {
        let (after, upto) = (self.before.info_position, self.after.info_position);
        let events = changed_after(&self.after, after);
        let mut told = Vec::new();
        if !events.is_empty() {
            told.push(news::news(news::info(self.after.sid), after, upto, &events));
        }
        if self.after.role != self.before.role {
            // The change took a position of the user's own list, whose server-side watchers keep the rights.
            told.push(news::rights_changed(news::mine(self.after.sid), self.after.mine_position - 1));
        }
        told
    }
}

/// A user was deleted; its connections end.
#[derive(Clone, Copy, Debug)]
pub struct Deleted {
    /// Who.
    pub user: Sid<UserKind>,
    /// Position of `mine` before the deletion.
    pub after: i64,
}

impl DomainEvent for Deleted {
    fn news(&self, _now: Timestamp) -> Vec<News> {
        vec![news::rights_changed(news::mine(self.user), self.after)]
    }
}
