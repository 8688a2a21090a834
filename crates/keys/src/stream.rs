//! Bytes that look random to whoever lacks the key: AES-256 in counter mode.

use std::fmt;

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zeroize::Zeroize;

use crate::derive;

/// Gives the same bytes for the same number always. Without the key nobody can tell them from
/// random ones, nor learn from those of some numbers anything of the others'.
///
/// ```text
///  bytes of a number:  what AES-256-GCM makes of as many zeros, without its tag;
///                      nonce: 0 (4 bytes) │ number, big-endian (8 bytes)
/// ```
pub struct Stream(LessSafeKey);

impl Stream {
    pub(crate) fn new(mut key: [u8; 32]) -> Self {
        let stream = Self(derive::cipher(&key));
        key.zeroize();
        stream
    }

    /// Overwrites `out` with the first bytes of those of `number`.
    #[expect(
        clippy::expect_used,
        reason = "GCM refuses more than 64 GiB only, which no slice of anybody's is; going on with \
                  zeros would be worse"
    )]
    pub fn fill(&self, number: u64, out: &mut [u8]) {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
        out.fill(0);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let _tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::empty(), out)
            .expect("within what GCM takes");
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_never_change() {
        // A change would make every leaf of the proven log another one. Computed by another
        // program (AES-256-CTR, first counter block 0…0 │ number │ 2, as GCM has it).
        let mut bytes = [1; 32];
        Stream::new([1; 32]).fill(6302, &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "7ca6c7c6b41663e73e61b2be508fc87c6e5b2d9df7d5b4b380eb1b11c8421cfc"
        );
    }

    #[test]
    fn numbers_share_nothing_and_less_is_the_beginning_of_more() {
        let stream = Stream::new([1; 32]);
        let (mut short, mut long, mut next) = ([0; 16], [0; 48], [0; 48]);
        stream.fill(7, &mut short);
        stream.fill(7, &mut long);
        stream.fill(8, &mut next);
        assert_eq!(short, long[..16]);
        assert!(
            long.chunks(16)
                .all(|part| !next.chunks(16).any(|n| n == part))
        );
    }
}
