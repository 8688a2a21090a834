//! Sealing pieces of data: AES-256-GCM with random nonces.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use ring::{
    aead::{Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce},
    rand::{SecureRandom, SystemRandom},
};
use thiserror::Error;

use crate::{Error, derive};

/// How many bytes longer a sealed piece is than what is in it: 12 of nonce and 16 of tag.
pub const OVERHEAD: usize = NONCE_LEN + MAX_TAG_LEN;

/// Seals and opens pieces of data under one key; shared between threads as it is.
///
/// ```text
///  sealed piece:  nonce, 12 random bytes │ ciphertext │ tag, 16 bytes
/// ```
///
/// The *place* given to both ways is bound to the piece without being in it: what was sealed for
/// one place does not open at another.
pub struct Sealing {
    key: LessSafeKey,
    nonces: Mutex<Nonces>,
}

/// What is opened is not what was sealed, or not with this key, or not for this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sealed bytes are not those that were written here with this key")]
pub struct Unauthentic;

impl Sealing {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            key: derive::cipher(key),
            nonces: Mutex::new(Nonces::new()),
        }
    }

    /// Appends `plain`, sealed for `place`, to `out`: [`OVERHEAD`] bytes more than `plain` has.
    ///
    /// # Errors
    /// When the system gives no random bytes, when this key was used 2^32 times here, and when
    /// `plain` has more than 64 GiB. `out` is then as it was.
    pub fn seal(&self, place: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let nonce = self
            .nonces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .draw()?;
        let start = out.len();
        out.reserve(plain.len().saturating_add(OVERHEAD));
        out.extend_from_slice(&nonce);
        let body = out.len();
        out.extend_from_slice(plain);
        let (_, text) = out.split_at_mut(body);
        let sealed = self.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place),
            text,
        );
        match sealed {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(_) => {
                out.truncate(start);
                Err(Error::TooLong { bytes: plain.len() })
            }
        }
    }

    /// Opens a sealed piece where it lies, and gives what was in it.
    ///
    /// # Errors
    /// When a byte of it differs from what was sealed, when it was sealed with another key, and
    /// when it was sealed for another place. `sealed` then holds nothing of use.
    pub fn open<'a>(
        &self,
        place: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Unauthentic> {
        let (nonce, text) = sealed
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(Unauthentic)?;
        self.key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), text)
            .map_err(|_| Unauthentic)
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing(redacted)")
    }
}

/// Nonces ahead: one call to the system draws so many.
const BATCH: usize = 64;

/// NIST SP 800-38D §8.3: at most 2^32 seals under one key with random nonces, so that two are
/// equal with less than 2^-32.
const SEALS: u32 = u32::MAX;

/// Random nonces, drawn in bulk: a call to the system for each would cost as much as sealing.
struct Nonces {
    random: SystemRandom,
    drawn: [[u8; NONCE_LEN]; BATCH],
    used: usize,
    left: u32,
}

impl Nonces {
    fn new() -> Self {
        Self {
            random: SystemRandom::new(),
            drawn: [[0; NONCE_LEN]; BATCH],
            used: BATCH,
            left: SEALS,
        }
    }

    fn draw(&mut self) -> Result<[u8; NONCE_LEN], Error> {
        self.left = self.left.checked_sub(1).ok_or(Error::WornOut)?;
        if self.used >= BATCH {
            self.random
                .fill(self.drawn.as_flattened_mut())
                .map_err(|_| Error::NoRandomness)?;
            self.used = 0;
        }
        let nonce = self.drawn.get(self.used).ok_or(Error::NoRandomness)?;
        self.used += 1;
        Ok(*nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn sealing() -> Sealing {
        Sealing::new(&[7; 32])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(place in any::<Vec<u8>>(), plain in any::<Vec<u8>>(), before in any::<Vec<u8>>()) {
            let mut out = before.clone();
            sealing().seal(&place, &plain, &mut out).unwrap();
            prop_assert_eq!(&out[..before.len()], &before[..]);
            prop_assert_eq!(out.len(), before.len() + plain.len() + OVERHEAD);
            prop_assert_eq!(sealing().open(&place, &mut out[before.len()..]).unwrap(), &plain[..]);
        }

        #[test]
        fn a_flipped_bit_is_found(plain in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut sealed = Vec::new();
            sealing().seal(b"here", &plain, &mut sealed).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(sealing().open(b"here", &mut sealed), Err(Unauthentic));
        }

        #[test]
        fn any_bytes_are_refused_and_none_panics(mut bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(sealing().open(b"here", &mut bytes), Err(Unauthentic));
        }
    }

    #[test]
    fn another_place_another_key_and_a_cut_do_not_open() {
        let mut sealed = Vec::new();
        sealing().seal(b"here", b"text", &mut sealed).unwrap();
        assert!(sealing().open(b"there", &mut sealed.clone()).is_err());
        assert!(
            Sealing::new(&[8; 32])
                .open(b"here", &mut sealed.clone())
                .is_err()
        );
        for length in 0..sealed.len() {
            assert!(
                sealing()
                    .open(b"here", &mut sealed[..length].to_vec())
                    .is_err()
            );
        }
    }

    #[test]
    fn no_nonce_comes_twice() {
        let mut nonces = Nonces::new();
        let all: HashSet<_> = (0..1_000).map(|_| nonces.draw().unwrap()).collect();
        assert_eq!(all.len(), 1_000);
    }

    #[test]
    fn a_key_that_sealed_too_often_seals_no_more() {
        let sealing = sealing();
        sealing.nonces.lock().unwrap().left = 1;
        let mut out = Vec::new();
        sealing.seal(b"", b"last", &mut out).unwrap();
        let length = out.len();
        assert!(matches!(
            sealing.seal(b"", b"more", &mut out),
            Err(Error::WornOut)
        ));
        assert_eq!(out.len(), length);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", sealing()), "Sealing(redacted)");
    }
}
