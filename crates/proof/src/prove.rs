//! Roots and proofs of any tree whose nodes are kept.

use crate::{Consistency, Hash, Inclusion, Nodes, OutOfRange, node::range_root};

/// The root of the tree of the first `size` leaves (RFC 6962 §2.1).
///
/// # Errors
/// Those of `nodes`.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    range_root(nodes, 0, size)
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// There cannot be one.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A hash it is made of could not be had.
    #[error(transparent)]
    Nodes(E),
}

/// Proves that leaf `index` is in the tree of the first `size` leaves (RFC 6962 §2.1.1).
///
/// # Errors
/// When the tree has no such leaf, and those of `nodes`.
pub fn prove_inclusion<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Inclusion, ProveError<N::Error>> {
    if index >= size {
        return Err(OutOfRange::Leaf { index, size }.into());
    }
    let mut hashes = Vec::new();
    let (mut from, mut to) = (0, size);
    // From the root down to the leaf: at each step one half is proven from, the other goes on.
    while let Some(middle) = cut(from, to) {
        let (sibling_from, sibling_to);
        if index < middle {
            (sibling_from, sibling_to) = (middle, to);
            to = middle;
        } else {
            (sibling_from, sibling_to) = (from, middle);
            from = middle;
        }
        let sibling = range_root(nodes, sibling_from, sibling_to).map_err(ProveError::Nodes)?;
        hashes.push(sibling);
    }
    hashes.reverse();
    Ok(Inclusion::unchecked(index, size, hashes))
}

/// Proves that the tree of the first `old` leaves is the beginning of that of the first `new`
/// (RFC 6962 §2.1.2).
///
/// # Errors
/// When `old` is more than `new`, and those of `nodes`.
pub fn prove_consistency<N: Nodes>(
    nodes: &N,
    old: u64,
    new: u64,
) -> Result<Consistency, ProveError<N::Error>> {
    if old > new {
        return Err(OutOfRange::Older { old, new }.into());
    }
    let mut hashes = Vec::new();
    let (mut from, mut to) = (0, new);
    // Nothing is a part of everything, and the same is the same.
    while old != 0 && old != to {
        let Some(middle) = cut(from, to) else { break };
        let (sibling_from, sibling_to);
        if old <= middle {
            (sibling_from, sibling_to) = (middle, to);
            to = middle;
        } else {
            (sibling_from, sibling_to) = (from, middle);
            from = middle;
        }
        let sibling = range_root(nodes, sibling_from, sibling_to).map_err(ProveError::Nodes)?;
        hashes.push(sibling);
    }
    // The old tree's last part, unless it is all of it: whoever checks has that root.
    if from > 0 {
        let last = range_root(nodes, from, to).map_err(ProveError::Nodes)?;
        hashes.push(last);
    }
    hashes.reverse();
    Ok(Consistency::unchecked(old, new, hashes))
}

/// Where RFC 6962 §2.1 cuts a range of leaves: at the largest power of two below its length. A
/// single leaf is not cut.
fn cut(from: u64, to: u64) -> Option<u64> {
    let level = (to - from).checked_sub(1)?.checked_ilog2()?;
    Some(from + (1 << level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Leaves, ProofError, leaf_hash, subtree_root};

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|leaf| leaf_hash(&leaf.to_be_bytes()))
            .collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven() {
        for size in 1..=70 {
            let leaves = leaves(size);
            let root = subtree_root(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let proof = prove_inclusion(&Leaves(&leaves), index as u64, size as u64).unwrap();
                assert_eq!(proof.verify(*leaf, &root), Ok(()), "{index} of {size}");
                let hashes = proof.hashes().to_vec();
                assert_eq!(Inclusion::new(index as u64, size as u64, hashes), Ok(proof));
            }
        }
    }

    #[test]
    fn every_small_tree_is_the_beginning_of_every_larger_one() {
        let leaves = leaves(70);
        let roots: Vec<Hash> = (0..=70).map(|size| subtree_root(&leaves[..size])).collect();
        for new in 0..=70 {
            for old in 0..=new {
                let proof = prove_consistency(&Leaves(&leaves), old as u64, new as u64).unwrap();
                let verified = proof.verify(&roots[old], &roots[new]);
                assert_eq!(verified, Ok(()), "{old} in {new}");
                let hashes = proof.hashes().to_vec();
                let again = Consistency::new(old as u64, new as u64, hashes);
                assert_eq!(again, Ok(proof), "{old} in {new}");
            }
        }
    }

    #[test]
    fn what_cannot_be_has_no_proof() {
        let leaves = leaves(3);
        let nodes = Leaves(&leaves);
        let beyond = OutOfRange::Leaf { index: 3, size: 3 };
        assert_eq!(
            prove_inclusion(&nodes, 3, 3),
            Err(ProveError::OutOfRange(beyond))
        );
        assert_eq!(
            Inclusion::new(3, 3, vec![]),
            Err(ProofError::OutOfRange(beyond))
        );
        let older = OutOfRange::Older { old: 3, new: 2 };
        assert_eq!(
            prove_consistency(&nodes, 3, 2),
            Err(ProveError::OutOfRange(older))
        );
        assert_eq!(
            Consistency::new(3, 2, vec![]),
            Err(ProofError::OutOfRange(older))
        );
        assert!(matches!(
            prove_inclusion(&nodes, 0, 4),
            Err(ProveError::Nodes(_))
        ));
    }
}
