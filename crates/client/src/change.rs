//! What a subscription tells: one change of one object.

use bytes::Bytes;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which of the subscription's objects, in the order they were given.
    pub place: usize,
    /// The position of the change.
    pub id: i64,
    /// What happened.
    pub kind: ChangeKind,
    /// To which item.
    pub key: ItemKey,
    /// The new data, a JSON object; empty when there is none.
    pub data: Bytes,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// An item came.
    Added,
    /// An item changed, or the document did.
    Updated,
    /// An item went.
    Removed,
    /// The object is gone; nothing follows.
    Gone,
}

/// What an item is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKey {
    /// The whole object: a document, or the end of any.
    Whole,
    /// In a list.
    Index(i64),
    /// In a map.
    Key(Box<str>),
}
