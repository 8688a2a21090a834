//! Complete subtrees: what a tree is stored as, and what its proofs are made of.

use std::iter::FusedIterator;

use crate::{Frontier, Hash, node_hash};

/// A complete subtree: the `index`-th of `2^level` leaves. Level 0 is a leaf.
///
/// ```text
/// level 2          0
///              ┌───┴───┐
/// level 1      0       1       2
///            ┌─┴─┐   ┌─┴─┐   ┌─┴─┐
/// level 0    0   1   2   3   4   5   6
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    level: u8,
    index: u64,
}

impl Node {
    /// The highest level there is.
    pub const MAX_LEVEL: u8 = 63;

    /// The subtree over leaves `index << level` to `(index + 1) << level`; `None` when these are
    /// not numbers of leaves.
    pub const fn new(level: u8, index: u64) -> Option<Self> {
        if level > Self::MAX_LEVEL || index > u64::MAX >> level {
            return None;
        }
        Some(Self { level, index })
    }

    /// One leaf.
    pub const fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// How far above the leaves, 0 to [`Self::MAX_LEVEL`].
    pub const fn level(self) -> u8 {
        self.level
    }

    /// How many nodes of this level are to the left of it.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The first leaf it covers.
    pub const fn first_leaf(self) -> u64 {
        self.index << self.level
    }

    /// The last leaf it covers.
    pub const fn last_leaf(self) -> u64 {
        self.first_leaf() + (self.leaf_count() - 1)
    }

    /// How many leaves it covers.
    pub const fn leaf_count(self) -> u64 {
        1 << self.level
    }

    /// The two nodes below it; a leaf has none.
    pub const fn children(self) -> Option<(Self, Self)> {
        let Some(level) = self.level.checked_sub(1) else {
            return None;
        };
        let index = self.index << 1;
        Some((
            Self { level, index },
            Self {
                level,
                index: index + 1,
            },
        ))
    }

    /// The node above it; the highest has none.
    pub const fn parent(self) -> Option<Self> {
        Self::new(self.level + 1, self.index >> 1)
    }
}

/// The hashes of complete subtrees, wherever they are kept.
pub trait Nodes {
    /// Why a hash cannot be had.
    type Error;

    /// The hash of a complete subtree. It is only asked for nodes within the size of the tree.
    ///
    /// # Errors
    /// Whatever keeps the hash from being read.
    fn node(&self, node: Node) -> Result<Hash, Self::Error>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Error = N::Error;

    fn node(&self, node: Node) -> Result<Hash, Self::Error> {
        (**self).node(node)
    }
}

/// A tree of which only the leaves are at hand: the rest is computed each time. For small trees.
#[derive(Clone, Copy, Debug)]
pub struct Leaves<'a>(pub &'a [Hash]);

/// A tree was asked for a node beyond its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "node {} of level {} covers leaf {}, and there are {leaves} leaves",
    .node.index, .node.level, .node.last_leaf()
)]
pub struct BeyondLeaves {
    /// The node.
    pub node: Node,
    /// How many leaves there are.
    pub leaves: u64,
}

impl Nodes for Leaves<'_> {
    type Error = BeyondLeaves;

    fn node(&self, node: Node) -> Result<Hash, BeyondLeaves> {
        let range = usize::try_from(node.first_leaf())
            .ok()
            .zip(usize::try_from(node.last_leaf()).ok());
        range
            .and_then(|(first, last)| self.0.get(first..=last))
            .map(subtree_root)
            .ok_or(BeyondLeaves {
                node,
                leaves: self.0.len() as u64,
            })
    }
}

/// The root over these leaves (RFC 6962 §2.1): with `2^n` of them, that of a complete subtree.
pub fn subtree_root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    frontier.extend(leaves, |_, _| ());
    frontier.root()
}

/// The fewest complete subtrees that cover leaves `from` up to, without, `to`, from left to right.
///
/// Whoever deletes these leaves keeps the hashes of these nodes, and can still prove every other
/// leaf. At most 126 for any range; none when it is empty.
pub fn covering(from: u64, to: u64) -> Covering {
    Covering { from, to }
}

/// The nodes [`covering`] gives.
#[derive(Clone, Debug)]
pub struct Covering {
    from: u64,
    to: u64,
}

impl Iterator for Covering {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        let left = self.to.checked_sub(self.from)?;
        // The largest that fits, and that may begin here.
        let level = left.checked_ilog2()?.min(self.from.trailing_zeros());
        let node = Node {
            level: u8::try_from(level).ok()?,
            index: self.from >> level,
        };
        self.from += node.leaf_count();
        Some(node)
    }
}

impl FusedIterator for Covering {}

/// The root over leaves `from` up to `to`, where `from` is a multiple of a power of two no less
/// than their count: as RFC 6962 §2.1 cuts them, always at the largest power of two.
pub(crate) fn range_root<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let mut hashes = Vec::with_capacity(64);
    for node in covering(from, to) {
        hashes.push(nodes.node(node)?);
    }
    Ok(fold(&hashes))
}

/// The root over complete subtrees of falling size.
pub(crate) fn fold(hashes: &[Hash]) -> Hash {
    let joined = hashes.iter().rev().copied();
    joined
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or(Hash::EMPTY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_covered_by_the_largest_subtrees_that_fit() {
        let nodes = |from, to| {
            covering(from, to)
                .map(|node| (node.level(), node.index()))
                .collect::<Vec<_>>()
        };
        assert_eq!(nodes(0, 7), [(2, 0), (1, 2), (0, 6)]);
        assert_eq!(nodes(3, 13), [(0, 3), (2, 1), (2, 2), (0, 12)]);
        assert_eq!(nodes(5, 5), []);
        assert_eq!(nodes(6, 5), []);
        assert_eq!(nodes(u64::MAX - 1, u64::MAX), [(0, u64::MAX - 1)]);
    }

    #[test]
    fn a_node_is_within_the_numbers_of_leaves() {
        assert_eq!(Node::new(64, 0), None);
        assert_eq!(Node::new(63, 2), None);
        assert_eq!(Node::new(63, 1).unwrap().last_leaf(), u64::MAX);
        assert_eq!(Node::new(63, 1).unwrap().parent(), None);
        assert_eq!(Node::leaf(5).children(), None);
    }

    #[test]
    fn leaves_that_are_not_there_have_no_node() {
        let leaves = [Hash::EMPTY; 3];
        let node = Node::new(1, 1).unwrap();
        let error = Leaves(&leaves).node(node).unwrap_err();
        assert_eq!(
            error.to_string(),
            "node 1 of level 1 covers leaf 3, and there are 3 leaves"
        );
    }

    proptest! {
        #[test]
        fn a_covering_is_without_gap_or_overlap_and_could_not_be_coarser(
            from: u64, length in 1..1_u64 << 40,
        ) {
            let to = from.saturating_add(length);
            let nodes: Vec<Node> = covering(from, to).collect();
            let mut next = from;
            for node in &nodes {
                prop_assert_eq!(node.first_leaf(), next);
                next += node.leaf_count();
                if let Some(parent) = node.parent() {
                    prop_assert!(parent.first_leaf() < from || parent.last_leaf() >= to);
                }
            }
            prop_assert_eq!(next, to);
            prop_assert!(nodes.len() <= 126);
        }

        #[test]
        fn a_parent_has_its_children(level in 0..63_u8, index in 0..1_u64 << 1) {
            let node = Node::new(level, index).unwrap();
            let (left, right) = node.parent().unwrap().children().unwrap();
            prop_assert!(node == left || node == right);
            prop_assert_eq!(left.last_leaf() + 1, right.first_leaf());
        }
    }
}
