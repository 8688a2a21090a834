//! The proof that one tree is the beginning of another.

use crate::{
    Hash, OutOfRange, ProofError,
    inclusion::{border, inner, shift},
    node_hash,
};

/// The proof that a tree is the beginning of a larger one: that a log was only appended to.
///
/// It always has as many hashes as the two sizes ask for; none when the old tree is empty or the
/// new one is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    old: u64,
    new: u64,
    hashes: Vec<Hash>,
}

impl Consistency {
    /// A proof that came from elsewhere. It proves nothing before it is [verified](Self::verify).
    ///
    /// # Errors
    /// When `old` is more than `new`, or the proof between them has not as many hashes.
    pub fn new(old: u64, new: u64, hashes: Vec<Hash>) -> Result<Self, ProofError> {
        if old > new {
            return Err(OutOfRange::Older { old, new }.into());
        }
        let expected = length(old, new);
        if hashes.len() != expected {
            return Err(ProofError::Length {
                expected,
                found: hashes.len(),
            });
        }
        Ok(Self::unchecked(old, new, hashes))
    }

    pub(crate) fn unchecked(old: u64, new: u64, hashes: Vec<Hash>) -> Self {
        debug_assert_eq!(hashes.len(), length(old, new));
        Self { old, new, hashes }
    }

    /// How many leaves the old tree has.
    pub fn old_size(&self) -> u64 {
        self.old
    }

    /// How many leaves the new tree has.
    pub fn new_size(&self) -> u64 {
        self.new
    }

    /// The hashes, in the order of RFC 6962 §2.1.2.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Whether it proves that the tree with the old root is the beginning of that with the new
    /// (RFC 9162 §2.1.4.2). The roots' sizes have to be known as this proof's, from whoever
    /// signed them: hashes alone do not tell sizes apart.
    ///
    /// # Errors
    /// When it does not, telling which of the two roots is another.
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> Result<(), ProofError> {
        let (old, new) = self.roots(old_root, new_root);
        if old != *old_root {
            return Err(ProofError::OldRoot { size: self.old });
        }
        if new != *new_root {
            return Err(ProofError::NewRoot {
                old: self.old,
                new: self.new,
            });
        }
        Ok(())
    }

    /// The roots that this is a proof between, starting from the old one where the proof does.
    fn roots(&self, old_root: &Hash, new_root: &Hash) -> (Hash, Hash) {
        if self.old == 0 {
            let new_root = if self.new == 0 {
                Hash::EMPTY
            } else {
                *new_root
            };
            return (Hash::EMPTY, new_root);
        }
        if self.old == self.new {
            return (*old_root, *old_root);
        }
        // A complete old tree is a node of the new one; the proof leaves its hash out.
        let (start, rest) = match self.hashes.split_first() {
            Some((start, rest)) if !self.old.is_power_of_two() => (start, rest),
            _ => (old_root, &self.hashes[..]),
        };
        let passed = (self.old - 1).trailing_ones();
        let mut way = shift(self.old - 1, passed);
        let mut last = shift(self.new - 1, passed);
        let (mut old, mut new) = (*start, *start);
        for beside in rest {
            if way == last {
                let passed = way.trailing_zeros();
                (way, last) = (shift(way, passed), shift(last, passed));
            }
            if way & 1 == 1 {
                // Left of both.
                old = node_hash(beside, &old);
                new = node_hash(beside, &new);
            } else {
                // Right of the old tree's end.
                new = node_hash(&new, beside);
            }
            (way, last) = (way >> 1, last >> 1);
        }
        (old, new)
    }
}

/// How many hashes a proof between these sizes has.
fn length(old: u64, new: u64) -> usize {
    if old == 0 || old == new {
        return 0;
    }
    let start = u32::from(!old.is_power_of_two());
    let beside = inner(old - 1, new - 1) + border(old - 1, new - 1);
    // The proof starts at the largest complete subtree that ends where the old tree does.
    (start + beside - old.trailing_zeros()) as usize
}
