//! Which objects a connection has: packed, since an app opens hundreds of them and a node holds the objects
//! of all its connections.
//!
//! A sorted list without gaps: 18 bytes an object where a hash set takes about 70, and looking one up takes
//! a handful of comparisons.

use tertulia_store::StreamId;

use super::hub::Watch;
use super::news::Part;

/// An object, or the server's own look at a user's list, in 18 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packed([u8; 18]);

/// The last byte of [`Watch::Own`]; those of [`Watch::Part`] are the parts' own numbers.
const OWN: u8 = u8::MAX;
/// The last byte of [`Watch::Rights`].
const RIGHTS: u8 = u8::MAX - 1;

impl Packed {
    /// Packs.
    pub fn new(stream: StreamId, watch: Watch) -> Self {
        let mut bytes = [0; 18];
        bytes[..16].copy_from_slice(&stream.key.to_le_bytes());
        bytes[16] = stream.kind;
        bytes[17] = match watch {
            Watch::Part(part) => part as u8,
            Watch::Own => OWN,
            Watch::Rights => RIGHTS,
        };
        Self(bytes)
    }

    /// What was packed.
    pub fn unpack(self) -> (StreamId, Watch) {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0[..16]);
        let stream = StreamId { kind: self.0[16], key: u128::from_le_bytes(key) };
        let watch = match self.0[17] {
            RIGHTS => Watch::Rights,
            part => Part::from_number(part).map_or(Watch::Own, Watch::Part),
        };
        (stream, watch)
    }
}

/// What the hub delivers to a mailbox.
#[derive(Debug, Default)]
pub struct Attachments(Sorted<()>);

impl Attachments {
    /// Adds one.
    pub fn insert(&mut self, stream: StreamId, watch: Watch) {
        self.0.insert(Packed::new(stream, watch), ());
    }

    /// Takes one away.
    pub fn remove(&mut self, stream: StreamId, watch: Watch) {
        self.0.remove(Packed::new(stream, watch));
    }

    /// Whether it is there.
    pub fn contains(&self, stream: StreamId, watch: Watch) -> bool {
        self.0.get(Packed::new(stream, watch)).is_some()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, Watch)> + '_ {
        self.0.entries.iter().map(|(packed, ())| packed.unpack())
    }
}

/// With each object that is subscribed to, the position of the user's own list at which the right to read
/// it was found.
#[derive(Debug, Default)]
pub struct Rights(Sorted<[u8; 8]>);

impl Rights {
    /// Notes an object.
    pub fn insert(&mut self, (stream, part): (StreamId, Part), own: i64) {
        self.0.insert(Packed::new(stream, Watch::Part(part)), own.to_le_bytes());
    }

    /// Whether it is subscribed to.
    pub fn contains(&self, object: &(StreamId, Part)) -> bool {
        self.get(object).is_some()
    }

    /// The position of its right.
    pub fn get(&self, (stream, part): &(StreamId, Part)) -> Option<i64> {
        self.0.get(Packed::new(*stream, Watch::Part(*part))).map(i64::from_le_bytes)
    }

    /// Forgets it, and gives the position of its right.
    pub fn remove(&mut self, (stream, part): &(StreamId, Part)) -> Option<i64> {
        self.0.remove(Packed::new(*stream, Watch::Part(*part))).map(i64::from_le_bytes)
    }
}

/// A small map that gives memory back.
#[derive(Debug, Default)]
struct Sorted<V> {
    entries: Vec<(Packed, V)>,
}

/// It grows by an eighth, and by so many at least.
const GROWTH_MIN: usize = 4;

impl<V: Copy> Sorted<V> {
    fn place(&self, key: Packed) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(&key))
    }

    fn get(&self, key: Packed) -> Option<V> {
        self.place(key).ok().map(|at| self.entries[at].1)
    }

    fn insert(&mut self, key: Packed, value: V) {
        match self.place(key) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => {
                let len = self.entries.len();
                if len == self.entries.capacity() {
                    self.entries.reserve_exact((len / 8).max(GROWTH_MIN));
                }
                self.entries.insert(at, (key, value));
            }
        }
    }

    fn remove(&mut self, key: Packed) -> Option<V> {
        let at = self.place(key).ok()?;
        let (_, value) = self.entries.remove(at);
        let len = self.entries.len();
        if self.entries.capacity() > 2 * len + 2 * GROWTH_MIN {
            self.entries.shrink_to(len + len / 8);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(key: u128) -> StreamId {
        StreamId { kind: 2, key }
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let watches = [Part::Document, Part::Messages, Part::Whole].map(Watch::Part);
        for watch in watches.into_iter().chain([Watch::Own, Watch::Rights]) {
            let id = StreamId { kind: 3, key: u128::MAX - 5 };
            assert_eq!(Packed::new(id, watch).unpack(), (id, watch));
        }
    }

    #[test]
    fn an_object_takes_18_bytes_and_its_right_8() {
        assert_eq!(size_of::<(Packed, ())>(), 18);
        assert_eq!(size_of::<(Packed, [u8; 8])>(), 26);
        let mut rights = Rights::default();
        for key in 0..300 {
            rights.insert((stream(key), Part::Whole), 1);
        }
        assert!(rights.0.entries.capacity() <= 300 + 300 / 7, "little more than what is there");
        for key in 0..300 {
            assert_eq!(rights.remove(&(stream(key), Part::Whole)), Some(1));
        }
        assert!(rights.0.entries.capacity() <= 2 * GROWTH_MIN, "memory is given back");
    }

    #[test]
    fn it_holds_what_a_map_holds() {
        let (mut rights, mut model) = (Rights::default(), std::collections::BTreeMap::new());
        let mut state = 7_u64;
        for own in 0..3000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let object = (stream(u128::from(state >> 58)), Part::Whole);
            if state >> 20 & 1 == 0 {
                rights.insert(object, own);
                model.insert(object.0.key, own);
            } else {
                assert_eq!(rights.remove(&object), model.remove(&object.0.key));
            }
            assert_eq!(rights.get(&object), model.get(&object.0.key).copied());
        }
    }
}
