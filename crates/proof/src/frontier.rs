//! The right edge of a tree.

use crate::{Hash, Node, lanes::parents, node::fold, node_hash};

/// The most leaves a log may have: what fits a signed 64-bit integer, as other implementations
/// count in those.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// The right edge of a tree: the roots of the complete subtrees that its leaves fall into, one
/// for each bit set in its size. Enough to append, and to know the root.
///
/// ```text
/// size 6 = 110₂        ■ level 2        kept: ■ ■
///                  ┌───┴───┐
///                  ·       ·       ■ level 1
///                ┌─┴─┐   ┌─┴─┐   ┌─┴─┐
///                0   1   2   3   4   5
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// From left to right, which is from large to small.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// That of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that was kept: the size of its tree, and what [`hashes`](Self::hashes) gave.
    ///
    /// # Errors
    /// When a tree of this size has not as many hashes, or is larger than [`MAX_SIZE`].
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierError> {
        if size > MAX_SIZE {
            return Err(FrontierError::TooLarge { size });
        }
        if hashes.len() != size.count_ones() as usize {
            return Err(FrontierError::Hashes {
                size,
                found: hashes.len(),
            });
        }
        Ok(Self { size, hashes })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its complete subtrees, those of [`covering`](crate::covering) from 0 to
    /// its size.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Adds a leaf. `completed` is told each node above the leaf that this leaf completes, from
    /// below: the first at level 1, with its hash.
    pub fn append(&mut self, leaf: Hash, mut completed: impl FnMut(Node, Hash)) {
        let mut node = Node::leaf(self.size);
        let mut hash = leaf;
        while node.index() & 1 == 1
            && let Some(parent) = node.parent()
            && let Some(left) = self.hashes.pop()
        {
            node = parent;
            hash = node_hash(&left, &hash);
            completed(node, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// Adds leaves, one after the other. `completed` is told each node that they complete, as by
    /// [`append`](Self::append), but level by level, and from left to right in each.
    ///
    /// The nodes of a level do not depend on each other, and are hashed side by side.
    pub fn extend(&mut self, leaves: &[Hash], mut completed: impl FnMut(Node, Hash)) {
        let mut row = leaves.to_vec();
        // From small to large.
        let mut left_over = Vec::new();
        for level in 0..Node::MAX_LEVEL {
            // The index of the row's first node.
            let mut first = self.size >> level;
            if row.is_empty() {
                break;
            }
            if first & 1 == 1
                && let Some(left) = self.hashes.pop()
            {
                row.insert(0, left);
                first -= 1;
            }
            if row.len() & 1 == 1 {
                left_over.extend(row.pop());
            }
            row = parents(&row);
            for (index, hash) in (first >> 1..).zip(&row) {
                if let Some(node) = Node::new(level + 1, index) {
                    completed(node, *hash);
                }
            }
        }
        self.hashes.extend(left_over.into_iter().rev());
        self.size += leaves.len() as u64;
    }

    /// The root of the tree (RFC 6962 §2.1).
    pub fn root(&self) -> Hash {
        fold(&self.hashes)
    }
}

/// Parts of which no frontier can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// More leaves than a log may have.
    #[error("a tree of {size} leaves is larger than any log may be ({MAX_SIZE})")]
    TooLarge {
        /// What was given.
        size: u64,
    },
    /// Not one hash for each bit of the size.
    #[error(
        "the right edge of a tree of {size} leaves has {} hashes, and {found} were given",
        .size.count_ones()
    )]
    Hashes {
        /// The size that was given.
        size: u64,
        /// How many hashes were given.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Leaves, Nodes, covering, leaf_hash};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count)
            .map(|leaf| leaf_hash(&leaf.to_be_bytes()))
            .collect()
    }

    #[test]
    fn each_node_is_told_once_when_its_last_leaf_comes() {
        let leaves = leaves(300);
        let mut frontier = Frontier::new();
        let mut told = Vec::new();
        for leaf in &leaves {
            let size = frontier.size();
            frontier.append(*leaf, |node, hash| {
                assert_eq!(node.last_leaf(), size);
                assert_eq!(Leaves(&leaves).node(node), Ok(hash));
                told.push(node);
            });
        }
        // 150 of two leaves, 75 of four, ...
        assert_eq!(told.len(), 150 + 75 + 37 + 18 + 9 + 4 + 2 + 1);
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), 296);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert_eq!(
            Frontier::from_parts(6, vec![Hash::EMPTY; 3]),
            Err(FrontierError::Hashes { size: 6, found: 3 })
        );
        assert_eq!(
            Frontier::from_parts(u64::MAX, vec![Hash::EMPTY; 64]),
            Err(FrontierError::TooLarge { size: u64::MAX })
        );
    }

    proptest! {
        #[test]
        fn leaves_at_once_are_leaves_one_by_one(first in 0..300_u64, more in 0..300_u64) {
            let leaves = leaves(first + more);
            let (before, after) = leaves.split_at(first as usize);
            let mut frontier = Frontier::new();
            frontier.extend(before, |_, _| ());
            let mut at_once = (frontier.clone(), Vec::new());
            at_once.0.extend(after, |node, hash| at_once.1.push((node, hash)));
            let mut one_by_one = (frontier, Vec::new());
            for leaf in after {
                one_by_one.0.append(*leaf, |node, hash| one_by_one.1.push((node, hash)));
            }
            prop_assert_eq!(at_once.0, one_by_one.0);
            // Nodes are ordered by level first.
            one_by_one.1.sort_unstable();
            prop_assert_eq!(at_once.1, one_by_one.1);
        }

        #[test]
        fn a_frontier_that_was_kept_goes_on_as_if_it_had_not(first in 0..200_u64, more in 0..200_u64) {
            let leaves = leaves(first + more);
            let (before, after) = leaves.split_at(first as usize);
            let mut whole = Frontier::new();
            before.iter().for_each(|leaf| whole.append(*leaf, |_, _| ()));
            let mut kept = Frontier::from_parts(whole.size(), whole.hashes().to_vec()).unwrap();
            for leaf in after {
                whole.append(*leaf, |_, _| ());
                kept.append(*leaf, |_, _| ());
            }
            prop_assert_eq!(&kept, &whole);
            prop_assert_eq!(kept.root(), whole.root());
            let nodes: Vec<Hash> = covering(0, whole.size())
                .map(|node| Leaves(&leaves).node(node).unwrap())
                .collect();
            prop_assert_eq!(whole.hashes(), nodes);
        }
    }
}
