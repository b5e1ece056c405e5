//! HMAC-SHA256 over the received bytes, and the comparison that takes the same time whatever it
//! finds.
//!
//! This module must never tell an unknown key from a known one by the work it does: without a key
//! it signs with a secret nobody has, and compares all the same.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Secret;

/// As long as real secrets are, and held by nobody: signing happens inside this crate only.
const NOBODYS_SECRET: &[u8] = b"no key was found: this is nobody";

/// The signature of `signed` (the first two parts and the dot between them).
pub(crate) fn sign(secret: &[u8], signed: &[u8]) -> [u8; 32] {
    #[cfg(test)]
    work::count(secret.len().div_ceil(64), signed.len());
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed);
    mac.finalize().into_bytes().into()
}

/// Whether `found` is the signature of `signed`. Without a secret the answer is no, after the same
/// work.
pub(crate) fn matches(secret: Option<&Secret>, signed: &[u8], found: &Received) -> bool {
    let known = Choice::from(u8::from(secret.is_some_and(|s| !s.bytes().is_empty())));
    let secret = secret.map_or(NOBODYS_SECRET, Secret::bytes);
    let right = sign(secret, signed);
    let length = Choice::from(u8::from(found.length == right.len()));
    #[cfg(test)]
    work::count(0, right.len());
    bool::from(right.ct_eq(&found.bytes) & length & known)
}

/// Whether this secret, which may be a wrong one, was the one used. For explanations only: it may
/// take its time.
pub(crate) fn fits(secret: &[u8], signed: &[u8], found: &Received) -> bool {
    found.length == 32 && bool::from(sign(secret, signed).ct_eq(&found.bytes))
}

/// The signature a token came with: 32 bytes to compare, and how many there really were.
#[derive(Clone)]
pub(crate) struct Received {
    bytes: [u8; 32],
    pub(crate) length: usize,
}

impl Received {
    pub(crate) fn new(decoded: &[u8]) -> Received {
        let mut bytes = [0; 32];
        let length = decoded.len().min(32);
        bytes[..length].copy_from_slice(&decoded[..length]);
        Received { bytes, length: decoded.len() }
    }
}

/// Counts the work, so that a test can assert that it is the same; a stopwatch would only guess.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::RefCell;

    thread_local! {
        static DONE: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn count(key_blocks: usize, bytes: usize) {
        DONE.with_borrow_mut(|done| done.push((key_blocks, bytes)));
    }

    /// What was done on this thread since the last call, in order.
    pub(crate) fn take() -> Vec<(usize, usize)> {
        DONE.take()
    }
}
