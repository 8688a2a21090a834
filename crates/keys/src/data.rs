//! The key of one partition.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroize;

use crate::{Error, Sealing, Stream, derive};

/// The key of one partition: 32 bytes that never encrypt anything themselves. What encrypts is
/// derived from them, one key for each purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// A new key of the system's random bytes.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn random() -> Result<Self, Error> {
        let mut key = Self([0; 32]);
        SystemRandom::new()
            .fill(&mut key.0)
            .map_err(|_| Error::NoRandomness)?;
        Ok(key)
    }

    /// A key that is kept elsewhere: for golden files and for what was unwrapped.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `N` bytes (16 or 32) for `purpose`, always the same ones; HKDF-SHA256 (RFC 5869). Other
    /// purposes, and the same purpose at the other length, give unrelated bytes.
    pub fn derive<const N: usize>(&self, purpose: &str) -> [u8; N] {
        const { assert!(N == 16 || N == 32, "a derived key has 16 or 32 bytes") };
        derive::derive(&self.0, purpose)
    }

    /// What seals and opens pieces of data for `purpose`. Expanding the key costs some hundred
    /// nanoseconds: keep it.
    pub fn sealing(&self, purpose: &str) -> Sealing {
        let mut key = self.derive::<32>(purpose);
        let sealing = Sealing::new(&key);
        key.zeroize();
        sealing
    }

    /// What gives bytes for `purpose` by number, always the same ones. Keep it, as a [`Sealing`].
    pub fn stream(&self, purpose: &str) -> Stream {
        Stream::new(self.derive(purpose))
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for DataKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let key = DataKey::from_bytes([0xab; 32]);
        assert_eq!(format!("{key:?}"), "DataKey(redacted)");
    }

    #[test]
    fn two_random_keys_differ() {
        assert_ne!(DataKey::random().unwrap(), DataKey::random().unwrap());
    }

    #[test]
    fn what_is_derived_never_changes() {
        // A change of these would make every partition unreadable. Computed by another program.
        let key = DataKey::from_bytes([1; 32]);
        assert_eq!(
            hex(&key.derive::<16>("golden")),
            "003ff936a5ea56deae88271d3a51fc61"
        );
        assert_eq!(
            hex(&key.derive::<32>("golden")),
            "53539f60a0f5cfb7121661f7456c359219aef2d26fd00cb7f17d5fed12591f11"
        );
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
