//! Sealing: secrets in the database are encrypted, and bound to the place they stand in.
//!
//! A sealed value is `version, key id, nonce, AES-256-GCM(secret)`. Its associated data are the
//! table, the column and the SID of its row, so a value that was moved to another row, column or
//! table does not open. It is never a row number: a migration copies rows.
//!
//! Nothing here shows a key or a secret in `Debug`, in an error or in a log.

mod key_file;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use key_file::{KeyFileError, create_key_file, parse_keys, read_key_file, replace_key_file};

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;
const NONCE_LEN: usize = 12;
const HEAD_LEN: usize = 1 + KEY_ID_LEN;
const TAG_LEN: usize = 16;

/// Where a sealed value stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The SID of the row's noun.
    pub sid: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of {}", self.table, self.column, self.sid)
    }
}

/// The keys of a server, which may change while they are in use.
///
/// Nothing seals but a [`KeyRing`]: a change takes one when it is made, and holds it until its commit. So it is
/// known when the last value that an old key has sealed is in the database ([`Sealer::is_settled`]), and only
/// then may that key be given up.
pub struct Sealer {
    keys: RwLock<Arc<Keys>>,
    /// Those from before, which somebody may still hold.
    before: Mutex<Vec<Weak<Keys>>>,
}

type Keys = Vec<(KeyId, Aes256Gcm)>;

/// Keys as they were at one moment. The first one seals, all of them open.
#[derive(Clone)]
pub struct KeyRing(Arc<Keys>);

impl Sealer {
    /// The first key seals; the others only open what was sealed before the key was changed.
    ///
    /// # Panics
    /// Without any key: [`parse_keys`] never gives an empty list.
    #[must_use]
    pub fn new(keys: &[SealKey]) -> Self {
        assert!(!keys.is_empty(), "sealing needs a key");
        Self { keys: RwLock::new(Arc::new(keys.iter().map(ready).collect())), before: Mutex::default() }
    }

    /// From now on the first of these keys seals. Keys that were there before still open what they sealed.
    pub fn take_up(&self, keys: &[SealKey]) {
        let mut present = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut now: Keys = keys.iter().map(ready).collect();
        now.extend(present.iter().filter(|(id, _)| !keys.iter().any(|key| key.id() == *id)).cloned());
        let before = std::mem::replace(&mut *present, Arc::new(now));
        self.before.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&before));
    }

    /// Whether nobody holds keys from before the last [`take_up`](Self::take_up) any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.retain(|keys| keys.strong_count() > 0);
        before.is_empty()
    }

    /// The present keys, to be held until what they seal is committed.
    #[must_use]
    pub fn ring(&self) -> KeyRing {
        KeyRing(Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Opens with the present keys.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, SealError> {
        self.ring().open(place, sealed)
    }

    /// The key that seals.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.ring().id()
    }
}

impl KeyRing {
    /// The key that seals.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0[0].0
    }

    /// Seals `plain` for its place. The nonce must be drawn at random for every call.
    #[must_use]
    pub fn seal(&self, place: &Place<'_>, plain: &[u8], nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        let (id, cipher) = &self.0[0];
        let mut out = Vec::with_capacity(HEAD_LEN + NONCE_LEN + plain.len() + TAG_LEN);
        out.push(VERSION);
        out.extend_from_slice(&id.0);
        let aad = associated_data(&out, place);
        out.extend_from_slice(&nonce);
        let payload = Payload { msg: plain, aad: &aad };
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload);
        // It fails only for plain texts of 64 GiB.
        out.extend(sealed.expect("the secret is short enough to seal"));
        out
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, SealError> {
        let broken = || SealError::Broken { place: place.to_string() };
        let (head, rest) = sealed.split_at_checked(HEAD_LEN).ok_or_else(broken)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        if head[0] != VERSION {
            return Err(broken());
        }
        let id = key_id_of(head);
        let found = self.0.iter().find(|(known, _)| *known == id);
        let (_, cipher) = found.ok_or_else(|| SealError::UnknownKey {
            place: place.to_string(),
            sealed_with: id,
            given: self.key_ids(),
        })?;
        let payload = Payload { msg: text, aad: &associated_data(head, place) };
        let opened = cipher.decrypt(&Nonce::from(*nonce), payload);
        opened.map(Secret).map_err(|_| broken())
    }

    /// Whether the value was sealed with another key than the one that seals now, so that it
    /// should be sealed anew.
    #[must_use]
    pub fn is_old(&self, sealed: &[u8]) -> bool {
        sealed.len() < HEAD_LEN || key_id_of(sealed) != self.id()
    }

    fn key_ids(&self) -> String {
        let ids: Vec<String> = self.0.iter().map(|(id, _)| id.to_string()).collect();
        ids.join(", ")
    }
}

fn ready(key: &SealKey) -> (KeyId, Aes256Gcm) {
    (key.id(), Aes256Gcm::new((&key.0).into()))
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({})", self.ring().key_ids())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({})", self.key_ids())
    }
}

/// A key of 256 bits. It shows only its id.
#[derive(Clone)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// The key with these bits.
    #[must_use]
    pub fn new(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// What a sealed value remembers of its key: enough to find it, useless to guess it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update(b"tertulia seal key\0").chain_update(self.0).finalize();
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest[..KEY_ID_LEN]);
        KeyId(id)
    }

    /// Its bits. Whoever takes them keeps them out of logs.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id())
    }
}

impl Drop for SealKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// The name of a key, which may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl KeyId {
    /// Its bytes, as they stand in a sealed value.
    #[must_use]
    pub fn bytes(&self) -> [u8; KEY_ID_LEN] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// An opened secret. It shows nothing of itself, and its bytes are overwritten when it is dropped.
pub struct Secret(Vec<u8>);

impl Secret {
    /// Holds a secret, so that nothing shows it.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// The bytes. Whoever takes them keeps them out of logs.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, if they are text.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Why a sealed value did not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// It was sealed with a key that was not given.
    #[error(
        "the secret in {place} was sealed with key {sealed_with}, and the keys given are {given}; \
         give the key it was sealed with"
    )]
    UnknownKey {
        /// Where it stands.
        place: String,
        /// The key it needs.
        sealed_with: KeyId,
        /// The keys there are.
        given: String,
    },
    /// Its bytes were changed, or it was sealed for another place.
    #[error("the secret in {place} does not open: it was changed, or moved there from elsewhere")]
    Broken {
        /// Where it stands.
        place: String,
    },
}

fn key_id_of(head: &[u8]) -> KeyId {
    let mut id = [0; KEY_ID_LEN];
    id.copy_from_slice(&head[1..HEAD_LEN]);
    KeyId(id)
}

/// Head and place with the length before each part, so that no two places read alike.
fn associated_data(head: &[u8], place: &Place<'_>) -> Vec<u8> {
    let parts = [head, place.table.as_bytes(), place.column.as_bytes(), place.sid.as_bytes()];
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Overwrites as well as safe code can: the compiler is told that the zeros are looked at.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

#[cfg(test)]
mod tests;
