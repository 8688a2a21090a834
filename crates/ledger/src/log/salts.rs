//! The salts of a day's leaves: HMAC-SHA256 (RFC 2104) of a record's number, cut to 16 bytes.
//!
//! Both paddings of the key are hashed once a day; what is left of a salt are two blocks, and
//! those of many records take turns ([`portledger_proof::compress`]).

use portledger_model::RecordNumber;
use portledger_proof::{INITIAL_STATE, compress};

/// Bytes of a leaf's salt.
pub(crate) const SALT: usize = 16;

const BLOCK: usize = 64;

/// Makes the salts of one day.
pub(super) struct Salts {
    /// The hash's state after the key with `ipad`, and with `opad` (RFC 2104 §4).
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Salts {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let [inner, outer] = [0x36, 0x5c].map(|pad| {
            let mut block = [pad; BLOCK];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = INITIAL_STATE;
            compress(&mut state, &block);
            state
        });
        Self { inner, outer }
    }

    /// The salts of so many records from `first` on, in place of what `salts` held.
    pub(super) fn of(&self, first: RecordNumber, count: usize, salts: &mut Vec<[u8; SALT]>) {
        salts.clear();
        let mut number = first.0;
        let mut left = count;
        while left > 0 {
            let run = left.min(RUN);
            let mut states = [self.inner; RUN];
            for state in states.iter_mut().take(run) {
                compress(state, &inner_block(number));
                number = number.wrapping_add(1);
            }
            for inner in states.iter().take(run) {
                let mut outer = self.outer;
                compress(&mut outer, &outer_block(inner));
                salts.push(salt(&outer));
            }
            left -= run;
        }
    }
}

/// Salts whose states are held at once.
const RUN: usize = 16;

/// The number, after the block of the key.
fn inner_block(number: u64) -> [u8; BLOCK] {
    let mut block = padding::<8>();
    block[..8].copy_from_slice(&number.to_be_bytes());
    block
}

/// The inner hash, after the block of the key.
fn outer_block(inner: &[u32; 8]) -> [u8; BLOCK] {
    let mut block = padding::<32>();
    let (words, _) = block.as_chunks_mut::<4>();
    for (bytes, word) in words.iter_mut().zip(inner) {
        *bytes = word.to_be_bytes();
    }
    block
}

/// A last block that follows one of 64 bytes and holds `BYTES` (FIPS 180-4 §5.1.1).
const fn padding<const BYTES: usize>() -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[BYTES] = 0x80;
    let bits = ((BLOCK + BYTES) * 8) as u16;
    [block[BLOCK - 2], block[BLOCK - 1]] = bits.to_be_bytes();
    block
}

fn salt(state: &[u32; 8]) -> [u8; SALT] {
    let mut salt = [0; SALT];
    let (words, _) = salt.as_chunks_mut::<4>();
    for (bytes, word) in words.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    salt
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::hmac;

    proptest! {
        #[test]
        fn a_salt_is_the_hmac_of_its_number(key: [u8; 32], first: u64, count in 0..40_usize) {
            let mut salts = vec![[1; SALT]];
            Salts::new(&key).of(RecordNumber(first), count, &mut salts);
            prop_assert_eq!(salts.len(), count);
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            for (place, salt) in (0..).zip(salts) {
                let number = first.wrapping_add(place);
                let whole = hmac::sign(&key, &number.to_be_bytes());
                prop_assert_eq!(&salt, &whole.as_ref()[..SALT]);
            }
        }
    }
}
