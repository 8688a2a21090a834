//! Keys from keys: HKDF-SHA256 (RFC 5869).

use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

/// Keeps our keys apart from those of any other program that is given the same secret
/// (RFC 5869 §3.1: a salt need not be secret).
const SALT: &[u8] = b"portledger keys 1";

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `N` bytes for `purpose`. Two purposes, or two lengths, never share bytes: the length is part
/// of what is asked, since HKDF's shorter outputs are beginnings of its longer ones.
#[expect(
    clippy::expect_used,
    reason = "HKDF fails beyond 8160 bytes only (RFC 5869 §2.3), and N is checked by the compiler; \
              going on without a key would be worse"
)]
pub(crate) fn derive<const N: usize>(secret: &[u8; 32], purpose: &str) -> [u8; N] {
    const { assert!(N >= 8 && N <= 32, "a derived key has 8 to 32 bytes") };
    let length = [N as u8];
    let info = [purpose.as_bytes(), &[0], &length];
    let mut key = [0; N];
    Salt::new(HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&info, Length(N))
        .and_then(|material| material.fill(&mut key))
        .expect("32 bytes are within what HKDF gives");
    key
}

/// The expanded AES-256-GCM key of 32 bytes.
#[expect(
    clippy::expect_used,
    reason = "ring refuses other lengths than 32 only, and the type says 32"
)]
pub(crate) fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::hmac;

    #[test]
    fn it_is_the_hkdf_of_rfc_5869() {
        // §2.2 and §2.3 by hand: one block is enough for 32 bytes.
        let pseudorandom = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SALT), &[7; 32]);
        let key = hmac::Key::new(hmac::HMAC_SHA256, pseudorandom.as_ref());
        let block = hmac::sign(&key, b"rows\x00\x20\x01");
        assert_eq!(derive::<32>(&[7; 32], "rows"), block.as_ref());
    }

    #[test]
    fn purposes_and_lengths_share_nothing() {
        let long = derive::<32>(&[7; 32], "rows");
        assert_ne!(long, derive::<32>(&[7; 32], "row"));
        assert_ne!(long, derive::<32>(&[8; 32], "rows"));
        assert_ne!(long[..16], derive::<16>(&[7; 32], "rows"));
    }
}
