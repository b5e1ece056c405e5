//! What a client knows of message lists that it has not subscribed to: whether a page of one is worth holding.

use tertulia_protocol::sync::Object;

use super::Shown;

/// Lists that are remembered. A list is forgotten once it is subscribed to.
const LISTS_MAX: usize = 128;

/// For each list the position up to which a page tells the client nothing new; `i64::MAX` when a page has waited
/// in vain, since this client reads without a subscription.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<(Object, i64)>);

impl Known {
    pub(super) fn note(&mut self, Shown { object, position }: Shown) {
        if !is_list(object) {
            return;
        }
        self.0.retain(|(known, _)| *known != object);
        if self.0.len() == LISTS_MAX {
            self.0.remove(0);
        }
        self.0.push((object, position));
    }

    pub(super) fn waited_in_vain(&mut self, object: Object) {
        self.note(Shown { object, position: i64::MAX });
    }

    /// Whether a page of an object without a subscription may bring what an event should tell. Only messages:
    /// a client reads the other objects when it starts, and everything there would wait.
    pub(super) fn is_worth_waiting(&self, page: Shown) -> bool {
        let known = self.0.iter().find(|(known, _)| *known == page.object);
        is_list(page.object) && known.is_none_or(|(_, position)| *position < page.position)
    }

    pub(super) fn forget(&mut self, is_live: impl Fn(Object) -> bool) {
        self.0.retain(|(object, _)| !is_live(*object));
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }
}

fn is_list(object: Object) -> bool {
    matches!(object, Object::Messages(_))
}
