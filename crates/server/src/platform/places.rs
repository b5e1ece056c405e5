//! How many somebody has at the same time, by any name.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many places each name has. A name without one is forgotten.
#[derive(Debug)]
pub struct Places<K>(Mutex<HashMap<K, usize>>);

/// A place that somebody has taken; dropping it frees it.
#[derive(Debug)]
pub struct Place<K: Hash + Eq> {
    places: Arc<Places<K>>,
    name: K,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Copy> Places<K> {
    /// Takes a place, unless the name has `max` already (0: no bound).
    pub fn take(self: &Arc<Self>, name: K, max: usize) -> Option<Place<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_default();
        if max > 0 && *count >= max {
            return None;
        }
        *count += 1;
        Some(Place { places: Arc::clone(self), name })
    }
}

impl<K> Places<K> {
    /// Names that have a place.
    pub fn names(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}
