//! Many short messages hashed side by side.
//!
//! ```text
//! one after the other   ■■■■ ■■■■ ■■■■ ■■■■    each block waits for the one before it
//! side by side          ■■■■                  blocks of four messages in turn: the processor
//!                       ■■■■                  works on two or more of them at once
//!                       ■■■■
//!                       ■■■■
//! ```
//! A processor's SHA instructions take four times as long to end as until the next can begin, and
//! within one message each needs the last one's result. Where blocks of several messages take
//! turns, what one waits for is the other's time.

use crate::{
    Hash,
    hash::{LEAF_PREFIX, NODE_PREFIX},
};

/// Bytes of a block (FIPS 180-4 §1).
const BLOCK: usize = 64;

/// What SHA-256 begins with (FIPS 180-4 §5.3.3).
const INITIAL_STATE: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Messages that take turns.
const LANES: usize = 4;

/// What SHA-256 makes of a state and one more block (FIPS 180-4 §6.2.2).
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    sha2::block_api::compress256(state, std::slice::from_ref(block));
}

/// The entries of leaves that are hashed together.
#[derive(Clone, Default)]
pub struct Entries {
    /// Each entry with its prefix and its padding, in whole blocks.
    bytes: Vec<u8>,
    /// Where each ends, in blocks.
    ends: Vec<usize>,
}

impl Entries {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds the entry that `write` appends to what it is given, which it must not shorten.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        self.bytes.push(LEAF_PREFIX);
        write(&mut self.bytes);
        debug_assert!(self.bytes.len() > begin, "an entry removed others");
        let length = self.bytes.len().saturating_sub(begin);
        // FIPS 180-4 §5.1.1: a bit, zeros, and the length in bits, so that blocks are whole.
        let padded = (length + 9).next_multiple_of(BLOCK);
        self.bytes.push(0x80);
        self.bytes.resize(begin + padded - 8, 0);
        self.bytes
            .extend_from_slice(&(length as u64 * 8).to_be_bytes());
        self.ends.push(self.bytes.len() / BLOCK);
    }

    /// Appends the hash of each ([`leaf_hash`](crate::leaf_hash)), in order.
    pub fn hashes(&self, out: &mut Vec<Hash>) {
        let (blocks, _) = self.bytes.as_chunks::<BLOCK>();
        let mut begin = 0;
        out.reserve(self.ends.len());
        for ends in self.ends.chunks(LANES) {
            let mut lanes: [&[[u8; BLOCK]]; LANES] = [&[]; LANES];
            for (lane, end) in lanes.iter_mut().zip(ends) {
                *lane = blocks.get(begin..*end).unwrap_or_default();
                begin = *end;
            }
            let mut states = [INITIAL_STATE; LANES];
            let most = lanes.iter().map(|lane| lane.len()).max().unwrap_or(0);
            for place in 0..most {
                for (state, lane) in states.iter_mut().zip(&lanes) {
                    if let Some(block) = lane.get(place) {
                        compress(state, block);
                    }
                }
            }
            out.extend(states.iter().take(ends.len()).map(hash));
        }
    }
}

/// Of entries, only how many: they may be of records.
impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entries({})", self.len())
    }
}

/// The hash over each two neighbours ([`node_hash`](crate::node_hash)); one that is left over has
/// no parent.
pub(crate) fn parents(children: &[Hash]) -> Vec<Hash> {
    let (pairs, _) = children.as_chunks::<2>();
    let mut parents = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(LANES) {
        let mut states = [INITIAL_STATE; LANES];
        for (state, [left, right]) in states.iter_mut().zip(pairs) {
            let mut block = [NODE_PREFIX; BLOCK];
            block[1..33].copy_from_slice(left.as_bytes());
            block[33..].copy_from_slice(&right.as_bytes()[..31]);
            compress(state, &block);
        }
        for (state, [_, right]) in states.iter_mut().zip(pairs) {
            compress(state, &last_of_node(right));
        }
        parents.extend(states.iter().take(pairs.len()).map(hash));
    }
    parents
}

/// The second block of a node's message: its last byte, and the padding of 65 bytes.
fn last_of_node(right: &Hash) -> [u8; BLOCK] {
    const BITS: [u8; 8] = (65_u64 * 8).to_be_bytes();
    let mut block = [0; BLOCK];
    block[0] = right.as_bytes()[31];
    block[1] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&BITS);
    block
}

fn hash(state: &[u32; 8]) -> Hash {
    let mut bytes = [0; Hash::LENGTH];
    let (words, _) = bytes.as_chunks_mut::<4>();
    for (bytes, word) in words.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    Hash::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{leaf_hash, node_hash};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn side_by_side_or_each_by_itself_the_hashes_are_the_same(
            all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let mut entries = Entries::new();
            for entry in &all {
                entries.push(|out| out.extend_from_slice(entry));
            }
            let mut hashes = Vec::new();
            entries.hashes(&mut hashes);
            let alone: Vec<_> = all.iter().map(|entry| leaf_hash(entry)).collect();
            prop_assert_eq!(&hashes, &alone);
            let nodes: Vec<_> = alone.chunks_exact(2).map(|two| node_hash(&two[0], &two[1])).collect();
            prop_assert_eq!(parents(&alone), nodes);
        }
    }

    #[test]
    fn every_length_of_padding_is_right() {
        let mut entries = Entries::new();
        let all: Vec<_> = (0..200).map(|length| vec![7; length]).collect();
        for entry in &all {
            entries.push(|out| out.extend_from_slice(entry));
        }
        let mut hashes = Vec::new();
        entries.hashes(&mut hashes);
        let alone: Vec<_> = all.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(hashes, alone);
    }
}
