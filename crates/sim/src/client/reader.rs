//! What the reader of a core's queues makes of one object, and what no reader must ever be told.

use std::collections::{BTreeMap, BTreeSet};

use tertulia_client::{Change, ChangeKind, ItemKey};
use tertulia_protocol::client::OpenedObject;
use tertulia_protocol::sync::Object;

use super::{Claim, Fault, Held, Page, index_key};

/// An object that somebody reads.
#[derive(Debug)]
pub(super) struct Reading {
    object: Object,
    /// Where it was opened: what came later is told.
    pub(super) position: i64,
    opened_at: i64,
    pub(super) is_fetched: bool,
    /// The position of each item's last change, and its data unless that was its removal.
    items: BTreeMap<String, (i64, Option<String>)>,
    /// Messages that were told as new.
    told: BTreeSet<i64>,
    /// Messages whose removal was told.
    removed: BTreeSet<i64>,
}

impl Reading {
    /// An object that was opened with this answer.
    pub(super) fn new(object: Object, answer: &[u8]) -> Result<Self, Fault> {
        let opened: OpenedObject<'_> =
            serde_json::from_slice(answer).map_err(|cause| format!("{object} was opened as nonsense: {cause}"))?;
        let mut items = BTreeMap::new();
        if let Some(data) = opened.data {
            items.insert(String::new(), (opened.last_event_id, Some(data.get().to_owned())));
        }
        let position = opened.last_event_id;
        let is_fetched = matches!(object, Object::Document(_));
        let (told, removed) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { object, position, opened_at: position, is_fetched, items, told, removed })
    }

    /// All its items, as they stood at some moment; gives those that were not known.
    pub(super) fn page(&mut self, answer: &[u8]) -> Result<Vec<String>, Fault> {
        let object = self.object;
        let page: Page<'_> =
            serde_json::from_slice(answer).map_err(|cause| format!("{object} has a page of nonsense: {cause}"))?;
        self.is_fetched = true;
        let mut keys = Vec::new();
        for item in page.items {
            let key = item.key();
            if self.is_new(&key, item.last_event_id) {
                self.items.insert(key.clone(), (item.last_event_id, Some(item.data.get().to_owned())));
                keys.push(key);
            }
        }
        Ok(keys)
    }

    fn is_new(&self, key: &str, id: i64) -> bool {
        self.items.get(key).is_none_or(|(known, _)| *known < id)
    }

    /// Something happened; whether it was not known from a page.
    pub(super) fn change(&mut self, change: &Change, claims: &mut Vec<Claim>) -> Result<bool, Fault> {
        let (object, id, kind) = (self.object, change.id, change.kind);
        if id <= self.position {
            return Err(format!("{object} told {kind:?} {id} after {}", self.position));
        }
        self.position = id;
        if let (Object::Messages(_), ItemKey::Index(index)) = (object, &change.key) {
            claims.extend(self.message(*index, change)?);
        }
        let key = match &change.key {
            ItemKey::Index(index) => index_key(*index),
            ItemKey::Key(key) => key.to_string(),
            ItemKey::Whole => String::new(),
        };
        if !self.is_new(&key, id) {
            return Ok(false);
        }
        let data = (kind != ChangeKind::Removed).then(|| String::from_utf8_lossy(&change.data).into_owned());
        self.items.insert(key, (id, data));
        Ok(true)
    }

    /// A message comes once, after those before it, and goes once, for good.
    fn message(&mut self, index: i64, change: &Change) -> Result<Option<Claim>, Fault> {
        let Object::Messages(room) = self.object else { return Ok(None) };
        let wrong = |what: &str| Err(format!("{}: message {index} {what}, at {}", self.object, change.id));
        if self.removed.contains(&index) {
            return wrong("was told after its removal");
        }
        match change.kind {
            ChangeKind::Added if self.told.last().is_some_and(|last| *last >= index) => wrong("was told late as new"),
            ChangeKind::Added => {
                self.told.insert(index);
                Ok(None)
            }
            ChangeKind::Removed => {
                self.removed.insert(index);
                Ok(None)
            }
            _ if self.told.contains(&index) => Ok(None),
            _ => Ok(Some(Claim::WasThere { room, index, opened_at: self.opened_at })),
        }
    }

    /// It stands at this position.
    pub(super) fn at(&mut self, position: i64) -> Result<(), Fault> {
        if position < self.position {
            return Err(format!("{} stands at {position}, after {}", self.object, self.position));
        }
        self.position = position;
        Ok(())
    }

    /// Messages told as new.
    pub(super) fn told(&self) -> usize {
        self.told.len()
    }

    /// What it comes to.
    pub(super) fn held(&self) -> Held {
        let items = self.items.iter().filter_map(|(key, (_, data))| Some((key.clone(), data.clone()?)));
        Held { items: items.collect(), told: Some((self.opened_at, self.told.clone())) }
    }
}
