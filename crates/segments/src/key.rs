//! The key of a segment.

use std::fmt;

use zeroize::Zeroizing;

use crate::Error;

/// The key that all files of a segment are encrypted with, and what the files call it.
///
/// `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    bytes: Zeroizing<Vec<u8>>,
    name: String,
}

impl Key {
    /// A key of AES-128 or AES-256 with a name, which stands readable in every file and tells
    /// whoever finds the file which key to ask for. A key is for one segment and never used again.
    ///
    /// # Errors
    /// When the key is not of 16 or 32 bytes.
    pub fn new(bytes: &[u8], name: &str) -> Result<Self, Error> {
        if !matches!(bytes.len(), 16 | 32) {
            return Err(Error::KeyLength(bytes.len()));
        }
        Ok(Self {
            bytes: bytes.to_vec().into(),
            name: name.to_owned(),
        })
    }

    /// What the files call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, redacted)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_aes_does_not_take_is_refused() {
        assert!(Key::new(&[0; 24], "k").is_err());
        assert!(Key::new(&[0; 16], "k").is_ok() && Key::new(&[0; 32], "k").is_ok());
    }

    #[test]
    fn debug_shows_no_key() {
        let key = Key::new(&[0xab; 16], "2026-11-01").unwrap();
        assert_eq!(format!("{key:?}"), "Key(2026-11-01, redacted)");
    }
}
