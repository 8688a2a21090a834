//! The proof that a leaf is in a tree.

use crate::{Hash, OutOfRange, ProofError, node_hash};

/// The proof that a leaf is in a tree: the hashes beside the way from the leaf to the root,
/// from below. It always has as many hashes as its place in the tree asks for.
///
/// ```text
///              root
///          ┌────┴────┐
///          ·         ■        leaf 2 of 7: the hashes ■
///      ┌───┴───┐   ┌─┴──┐
///      ■       ·   ·    ·
///    ┌─┴─┐   ┌─┴─┐
///    0   1   2   ■
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    index: u64,
    size: u64,
    hashes: Vec<Hash>,
}

impl Inclusion {
    /// A proof that came from elsewhere. It proves nothing before it is [verified](Self::verify).
    ///
    /// # Errors
    /// When a tree of `size` leaves has no leaf `index`, or the proof of it not as many hashes.
    pub fn new(index: u64, size: u64, hashes: Vec<Hash>) -> Result<Self, ProofError> {
        if index >= size {
            return Err(OutOfRange::Leaf { index, size }.into());
        }
        let expected = length(index, size);
        if hashes.len() != expected {
            return Err(ProofError::Length {
                expected,
                found: hashes.len(),
            });
        }
        Ok(Self::unchecked(index, size, hashes))
    }

    pub(crate) fn unchecked(index: u64, size: u64, hashes: Vec<Hash>) -> Self {
        debug_assert_eq!(hashes.len(), length(index, size));
        Self {
            index,
            size,
            hashes,
        }
    }

    /// Which leaf it is, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes, from below: the first is the leaf's neighbour.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root of the tree in which this proves that leaf (RFC 9162 §2.1.3.2).
    pub fn root(&self, leaf: Hash) -> Hash {
        let mut way = self.index;
        let mut last = self.size - 1;
        let mut hash = leaf;
        for beside in &self.hashes {
            // On the right edge there are levels where nothing is to the right: they are passed.
            if way == last {
                let passed = way.trailing_zeros();
                (way, last) = (shift(way, passed), shift(last, passed));
            }
            hash = if way & 1 == 1 {
                node_hash(beside, &hash)
            } else {
                node_hash(&hash, beside)
            };
            (way, last) = (way >> 1, last >> 1);
        }
        hash
    }

    /// Whether it proves that leaf in the tree with that root. The root's size has to be known
    /// as this proof's, from whoever signed both: hashes alone do not tell sizes apart.
    ///
    /// # Errors
    /// When it does not.
    pub fn verify(&self, leaf: Hash, root: &Hash) -> Result<(), ProofError> {
        if self.root(leaf) == *root {
            Ok(())
        } else {
            Err(ProofError::NotIncluded {
                index: self.index,
                size: self.size,
            })
        }
    }
}

/// How many hashes lie beside the way from a leaf to the root.
fn length(index: u64, size: u64) -> usize {
    (inner(index, size - 1) + border(index, size - 1)) as usize
}

/// The levels below the point where the ways of two leaves meet.
pub(crate) fn inner(leaf: u64, last: u64) -> u32 {
    u64::BITS - (leaf ^ last).leading_zeros()
}

/// The levels above that point at which something lies to the left.
pub(crate) fn border(leaf: u64, last: u64) -> u32 {
    shift(leaf, inner(leaf, last)).count_ones()
}

/// 0 when all bits are shifted out.
pub(crate) fn shift(number: u64, bits: u32) -> u64 {
    number.checked_shr(bits).unwrap_or(0)
}
