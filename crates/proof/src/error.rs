//! What a proof can be instead of right.

/// A proof of something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// The tree has no such leaf.
    #[error("there is no leaf {index} in a tree of {size} leaves, which are counted from 0")]
    Leaf {
        /// The leaf.
        index: u64,
        /// The leaves of the tree.
        size: u64,
    },
    /// The tree that should be the beginning is the larger one.
    #[error("a tree of {old} leaves cannot be the beginning of one of {new}")]
    Older {
        /// The leaves of the one.
        old: u64,
        /// The leaves of the other.
        new: u64,
    },
}

/// A proof that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is about something that cannot be.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// It has too few or too many hashes.
    #[error("the proof should have {expected} hashes and has {found}")]
    Length {
        /// How many the place in the tree asks for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// It leads to another root than the tree's.
    #[error(
        "the proof does not lead to the root: this is not leaf {index} of this tree of {size} \
         leaves, or the proof is of another tree"
    )]
    NotIncluded {
        /// The leaf.
        index: u64,
        /// The leaves of the tree.
        size: u64,
    },
    /// It leads to another old root.
    #[error(
        "the proof does not lead to the root of the old tree of {size} leaves: it is a proof of \
         another tree"
    )]
    OldRoot {
        /// The leaves of the old tree.
        size: u64,
    },
    /// It leads to the old root, and to another new one.
    #[error(
        "the tree of {new} leaves does not begin with that of {old}: the log was changed, or the \
         proof is of another tree"
    )]
    NewRoot {
        /// The leaves of the old tree.
        old: u64,
        /// The leaves of the new tree.
        new: u64,
    },
}
