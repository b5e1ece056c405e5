//! Pages of the items of a Sync list or map (Sync facts §2.2).
//!
//! The new SDK never sends a page's tokens back but takes their absence for the ends of the collection; the
//! old one sends them alone, and expects a page before a page to keep the listing's order.

use tertulia_protocol::Cursor;
use tertulia_protocol::sync::{Item, ItemKey, Object, PageEnds};

use super::objects::{Readable, not_found, position, readable};
use crate::platform::page::Direction;
use crate::platform::{Cx, Error, Form, Outcome, Question};
use crate::users::User;
use crate::{messages, participants, users};

/// Which side of an item a page lies on, in the direction of the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The page begins at the collection's beginning.
    Beginning,
    /// The page begins with this index or key.
    From(String),
    /// The page ends before this index or key.
    Before(String),
}

/// Which items are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemsQuery {
    /// Exactly this one.
    pub only: Option<String>,
    /// Where the page lies.
    pub edge: Edge,
    /// Which way the listing goes; pages before a page keep it.
    pub direction: Direction,
    /// How many at most.
    pub size: i64,
}

impl ItemsQuery {
    /// Reads the parameters. A page token, which the old SDK sends alone, carries all of them.
    pub fn read(query: &Form) -> Outcome<Self> {
        if let Some(token) = query.text("PageToken").filter(|token| !token.is_empty()) {
            return Self::from_token(token).ok_or_else(|| Error::parameter("Invalid PageToken."));
        }
        let size = match query.text("PageSize") {
            None => 50,
            Some(text) => {
                let size = text.parse::<i64>().ok().filter(|size| *size >= 1);
                size.ok_or_else(|| Error::parameter("Invalid PageSize."))?.min(100)
            }
        };
        let direction = match query.text("Order") {
            Some("desc") => Direction::Down,
            _ => Direction::Up,
        };
        let only = query.owned("Key").or_else(|| query.owned("Index"));
        let edge = query.owned("From").map_or(Edge::Beginning, Edge::From);
        Ok(Self { only, edge, direction, size })
    }

    fn from_token(token: &str) -> Option<Self> {
        let cursor = Cursor::parse(token)?;
        let direction = if cursor.text(0)? == "desc" { Direction::Down } else { Direction::Up };
        let size = cursor.number(1).filter(|size| (1..=100).contains(size))?;
        let key = cursor.text(3)?.to_owned();
        let edge = if cursor.text(2)? == "before" { Edge::Before(key) } else { Edge::From(key) };
        Some(Self { only: None, edge, direction, size })
    }

    fn token(&self, side: &str, key: &str) -> String {
        let order = if self.direction == Direction::Down { "desc" } else { "asc" };
        Cursor::new([order, &self.size.to_string(), side, key].map(str::to_owned)).token()
    }
}

fn key_text(key: &ItemKey) -> String {
    match key {
        ItemKey::Index(index) => index.to_string(),
        ItemKey::Key(key) => key.clone(),
    }
}

/// Reads items of a list or map.
pub struct ListItems {
    /// SID or name of the object.
    pub key: String,
    /// Which items.
    pub query: ItemsQuery,
}

/// A page, and the moment from which it is.
pub struct Page {
    /// Of what.
    pub object: Object,
    /// Where that stood.
    pub position: i64,
    /// The items.
    pub items: Vec<Item>,
    /// Whether there are more.
    pub ends: PageEnds,
    /// Whether the reader was just taken out of it, so that it shows nothing.
    pub is_emptied: bool,
}

impl Question for ListItems {
    type Out = Page;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Page> {
        let object = Object::parse(&self.key).ok_or_else(|| not_found(None))?;
        let readable = readable(cx, object).await?;
        let position = position(cx, object, &readable).await?;
        let (items, ends) = self.items(cx, object, &readable).await?;
        let is_emptied = matches!(readable, Readable::Fading(_));
        Ok(Page { object, position, items, ends, is_emptied })
    }
}

impl ListItems {
    async fn items(&self, cx: &mut Cx<'_, '_>, object: Object, readable: &Readable) -> Outcome<(Vec<Item>, PageEnds)> {
        let query = &self.query;
        if let Some(only) = &query.only {
            let found = items(cx, object, readable, Some(only), Direction::Up, 1).await?;
            let found = found.into_iter().filter(|item| key_text(&item.key) == *only).collect();
            return Ok((found, PageEnds::default()));
        }
        match &query.edge {
            Edge::Beginning => query.page(cx, object, readable, None).await,
            Edge::From(key) => query.page(cx, object, readable, Some(key)).await,
            Edge::Before(key) => query.page_before(cx, object, readable, key).await,
        }
    }
}

impl ItemsQuery {
    /// The page that begins at `from`. The client takes the absence of `previous_token` for the
    /// collection's beginning, and what lies before would be out of its reach for the whole session
    /// (Sync facts §2.2).
    async fn page(
        &self,
        cx: &mut Cx<'_, '_>,
        object: Object,
        readable: &Readable,
        from: Option<&str>,
    ) -> Outcome<(Vec<Item>, PageEnds)> {
        let mut found = items(cx, object, readable, from, self.direction, self.size + 1).await?;
        let next_token = if found.len() as i64 > self.size {
            found.pop().map(|item| self.token("from", &key_text(&item.key)))
        } else {
            None
        };
        let previous_token = match from {
            None => None,
            Some(from) => {
                let before = before(cx, object, readable, from, self.direction, 1).await?;
                (!before.is_empty()).then(|| self.token("before", from))
            }
        };
        Ok((found, PageEnds { previous_token, next_token }))
    }

    /// The page that ends before `key`, in the order of the listing.
    async fn page_before(
        &self,
        cx: &mut Cx<'_, '_>,
        object: Object,
        readable: &Readable,
        key: &str,
    ) -> Outcome<(Vec<Item>, PageEnds)> {
        let mut found = before(cx, object, readable, key, self.direction, self.size + 1).await?;
        let more = found.len() as i64 > self.size;
        found.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        found.reverse();
        let first = found.first().map(|item| key_text(&item.key));
        let previous_token = first.filter(|_| more).map(|first| self.token("before", &first));
        Ok((found, PageEnds { previous_token, next_token: Some(self.token("from", key)) }))
    }
}

/// Up to `limit` items before `key` in a listing that goes `direction`, the nearest first.
async fn before(
    cx: &mut Cx<'_, '_>,
    object: Object,
    readable: &Readable,
    key: &str,
    direction: Direction,
    limit: i64,
) -> Outcome<Vec<Item>> {
    let back = if direction == Direction::Up { Direction::Down } else { Direction::Up };
    // The item itself, if it is still there, comes first and is left out.
    let mut around = items(cx, object, readable, Some(key), back, limit + 1).await?;
    around.retain(|item| key_text(&item.key) != key);
    around.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(around)
}

async fn items(
    cx: &mut Cx<'_, '_>,
    object: Object,
    readable: &Readable,
    from: Option<&str>,
    direction: Direction,
    limit: i64,
) -> Outcome<Vec<Item>> {
    let account = cx.caller.account;
    if let Readable::Fading(_) = readable {
        return Ok(Vec::new());
    }
    match (object, readable) {
        (Object::Messages(sid), _) => {
            let wrong = || Error::parameter("From and Index must be message indexes");
            let from = from.map(|from| from.parse().map_err(|_| wrong())).transpose()?;
            let rows = messages::queries::from_index(cx.tx, account, sid, from, direction, limit).await?;
            Ok(rows.iter().map(messages::events::item).collect())
        }
        (Object::Roster(sid), _) => {
            let rows = participants::queries::by_sid(cx.tx, account, sid, from, direction, limit).await?;
            Ok(rows.iter().map(participants::events::roster_item).collect())
        }
        (Object::MyConversations(sid), _) => {
            let rows = participants::queries::of_user(cx.tx, account, sid, from, direction, limit).await?;
            Ok(rows.iter().map(participants::events::mine_item).collect())
        }
        (Object::UserInfo(_), Readable::User(user)) => Ok(info_items(user, from, direction, limit)),
        _ => Ok(Vec::new()),
    }
}

fn info_items(user: &User, from: Option<&str>, direction: Direction, limit: i64) -> Vec<Item> {
    let mut items = users::events::items(user);
    items.sort_by_key(|item| key_text(&item.key));
    if direction == Direction::Down {
        items.reverse();
    }
    let reached = |item: &Item| match (from, direction) {
        (None, _) => true,
        (Some(from), Direction::Up) => key_text(&item.key).as_str() >= from,
        (Some(from), Direction::Down) => key_text(&item.key).as_str() <= from,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    items.into_iter().filter(reached).take(limit).collect()
}
