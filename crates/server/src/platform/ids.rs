//! Randomness, passed in: SIDs, secrets and nonces are drawn from a seed.
//!
//! A change may run again; each run gets the `Ids` of the same seed and so draws the same SIDs.

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};
use tertulia_protocol::Sid;
use tertulia_protocol::sid::Kind;

/// A seed, drawn once for a change.
pub type Seed = [u8; 32];

/// Draws a seed from the operating system; the only place that does.
pub fn fresh_seed() -> Seed {
    let mut seed = Seed::default();
    SysRng.try_fill_bytes(&mut seed).expect("the operating system gives random bytes");
    seed
}

/// A source of SIDs, secrets and nonces.
#[derive(Debug)]
pub struct Ids(StdRng);

impl Ids {
    /// The source that a seed stands for.
    pub fn from_seed(seed: Seed) -> Self {
        Self(StdRng::from_seed(seed))
    }

    /// A new SID: 128 random bits.
    pub fn sid<K: Kind>(&mut self) -> Sid<K> {
        Sid::from_number(self.0.random())
    }

    /// `bytes` random bytes in hex: 16 make an auth token.
    pub fn hex(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| format!("{:02x}", self.0.random::<u8>())).collect()
    }

    /// A secret of 32 letters and digits, which is what HS256 wants: 190 bits.
    pub fn secret(&mut self) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..32).map(|_| char::from(LETTERS[self.0.random_range(0..LETTERS.len())])).collect()
    }

    /// Eight random bytes, which make the name of an Access Token unique.
    pub fn chance(&mut self) -> [u8; 8] {
        self.0.random()
    }

    /// A nonce for sealing.
    pub fn nonce(&mut self) -> [u8; 12] {
        self.0.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tertulia_protocol::sid::Conversation;

    #[test]
    fn one_seed_draws_the_same_again() {
        let draw = || Ids::from_seed([7; 32]).sid::<Conversation>();
        assert_eq!(draw(), draw());
        assert_ne!(fresh_seed(), fresh_seed());
    }
}
