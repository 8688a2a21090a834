//! Trees and proofs against two implementations of other hands, and against changed proofs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use portledger_proof::{
    Consistency, Hash, Inclusion, Leaves, Node, Nodes, leaf_hash, prove_consistency,
    prove_inclusion, root,
};
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::{HashReader, split_stored_hash_index};

/// Entries of a log, and an index into them.
fn log() -> impl Strategy<Value = (Vec<Vec<u8>>, usize)> {
    let entry = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(entry, 1..200).prop_flat_map(|entries| {
        let count = entries.len();
        (Just(entries), 0..count)
    })
}

fn leaves(entries: &[Vec<u8>]) -> Vec<Hash> {
    entries.iter().map(|entry| leaf_hash(entry)).collect()
}

fn ct_tree(entries: &[Vec<u8>]) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    entries.iter().for_each(|entry| tree.push(entry.clone()));
    tree
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

/// Our nodes, by their numbers.
struct Stored<'a>(Leaves<'a>);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| {
            let (level, index) = split_stored_hash_index(*index);
            let node = Node::new(level, index).unwrap();
            theirs(&self.0.node(node).unwrap())
        };
        Ok(indexes.iter().map(read).collect())
    }
}

proptest! {
    #[test]
    fn roots_and_ways_to_a_leaf_are_those_of_others((entries, index) in log()) {
        let leaves = leaves(&entries);
        let size = leaves.len() as u64;
        let ours = root(&Leaves(&leaves), size).unwrap();
        let tree = ct_tree(&entries);
        let same_root: [u8; 32] = (*tree.root().as_bytes()).into();
        prop_assert_eq!(ours.as_bytes(), &same_root);
        let stored = Stored(Leaves(&leaves));
        prop_assert_eq!(theirs(&ours), tlog_tiles::tree_hash(size, &stored).unwrap());

        let proof = prove_inclusion(&Leaves(&leaves), index as u64, size).unwrap();
        let way = bytes(proof.hashes());
        let same = tree.prove_inclusion(index);
        prop_assert_eq!(&way, same.as_bytes());
        let verified = tree.root().verify_inclusion(&entries[index], index as u64, &same);
        prop_assert!(verified.is_ok());
        prop_assert_eq!(proof.verify(leaves[index], &ours), Ok(()));
        let way: Vec<_> = proof.hashes().iter().map(theirs).collect();
        let way_of_tiles = tlog_tiles::prove_record(size, index as u64, &stored).unwrap();
        prop_assert_eq!(way, way_of_tiles);
    }

    #[test]
    fn ways_between_trees_are_those_of_others((entries, last) in log()) {
        let leaves = leaves(&entries);
        let (old, new) = (last as u64 + 1, leaves.len() as u64);
        let proof = prove_consistency(&Leaves(&leaves), old, new).unwrap();
        let tree = ct_tree(&entries);
        let same = tree.prove_consistency(entries.len() - last - 1);
        prop_assert_eq!(&bytes(proof.hashes())[..], same.as_bytes());
        let stored = Stored(Leaves(&leaves));
        let way: Vec<_> = proof.hashes().iter().map(theirs).collect();
        prop_assert_eq!(way, tlog_tiles::prove_tree(new, old, &stored).unwrap());

        let old_root = root(&Leaves(&leaves), old).unwrap();
        let new_root = root(&Leaves(&leaves), new).unwrap();
        prop_assert_eq!(proof.verify(&old_root, &new_root), Ok(()));
        let old_tree = ct_tree(&entries[..=last]);
        let same_root: [u8; 32] = (*old_tree.root().as_bytes()).into();
        prop_assert_eq!(old_root.as_bytes(), &same_root);
        prop_assert!(tree.root().verify_consistency(&old_tree.root(), &same).is_ok());
    }

    #[test]
    fn a_changed_way_to_a_leaf_is_found(
        (entries, index) in log(), place: prop::sample::Index, bit in 0..256_usize, other: u64,
    ) {
        let leaves = leaves(&entries);
        let (index, size) = (index as u64, leaves.len() as u64);
        let leaf = leaves[index as usize];
        let root = root(&Leaves(&leaves), size).unwrap();
        let proof = prove_inclusion(&Leaves(&leaves), index, size).unwrap();
        let with = |index, hashes| Inclusion::new(index, size, hashes);
        let verifies = |proof: Result<Inclusion, _>| {
            proof.and_then(|proof| proof.verify(leaf, &root)).is_ok()
        };
        prop_assert!(proof.verify(flipped(leaf, bit), &root).is_err(), "another leaf");
        prop_assert!(proof.verify(leaf, &flipped(root, bit)).is_err(), "another root");
        let other = other % (size + 1);
        if other != index {
            prop_assert!(!verifies(with(other, proof.hashes().to_vec())), "another index");
        }
        for hashes in damaged(proof.hashes(), &place, bit) {
            prop_assert!(!verifies(with(index, hashes)), "another hash");
        }
    }

    #[test]
    fn a_changed_way_between_trees_is_found(
        (entries, last) in log(), place: prop::sample::Index, bit in 0..256_usize,
    ) {
        let leaves = leaves(&entries);
        let (old, new) = (last as u64 + 1, leaves.len() as u64);
        let old_root = root(&Leaves(&leaves), old).unwrap();
        let new_root = root(&Leaves(&leaves), new).unwrap();
        let proof = prove_consistency(&Leaves(&leaves), old, new).unwrap();
        prop_assert!(proof.verify(&flipped(old_root, bit), &new_root).is_err(), "another old root");
        prop_assert!(proof.verify(&old_root, &flipped(new_root, bit)).is_err(), "another new root");
        for hashes in damaged(proof.hashes(), &place, bit) {
            let changed = Consistency::new(old, new, hashes);
            let verified = changed.and_then(|proof| proof.verify(&old_root, &new_root));
            prop_assert!(verified.is_err(), "another hash");
        }
    }

    #[test]
    fn a_log_whose_past_was_changed_cannot_prove_otherwise(
        (entries, last) in log(), place: prop::sample::Index, bit in 0..256_usize,
    ) {
        let mut leaves = leaves(&entries);
        let (old, new) = (last as u64 + 1, leaves.len() as u64);
        let old_root = root(&Leaves(&leaves), old).unwrap();
        let changed = place.index(last + 1);
        leaves[changed] = flipped(leaves[changed], bit);
        let new_root = root(&Leaves(&leaves), new).unwrap();
        let proof = prove_consistency(&Leaves(&leaves), old, new).unwrap();
        prop_assert!(proof.verify(&old_root, &new_root).is_err());
    }

    #[test]
    fn any_proof_of_any_size_is_held_against_its_roots_without_a_panic(
        index: u64, size: u64, count in 0..70_usize, hash: [u8; 32],
    ) {
        let hash = Hash::from_bytes(hash);
        for (index, size) in [(index, size), (size - size.min(1), size), (index % 64, size | 1 << 63)] {
            let hashes = vec![hash; count];
            if let Ok(proof) = Inclusion::new(index, size, hashes.clone()) {
                prop_assert!(proof.verify(hash, &hash).is_err() || count == 0);
            }
            if let Ok(proof) = Consistency::new(index, size, hashes) {
                let _ = proof.verify(&hash, &hash);
            }
        }
    }
}

#[test]
fn the_largest_trees_have_proofs_of_the_right_length() {
    let hash = leaf_hash(b"");
    for (index, size, length) in [
        (0, u64::MAX, 64),
        (u64::MAX - 1, u64::MAX, 63),
        (1 << 63, (1 << 63) + 1, 1),
        (0, 1 << 63, 63),
    ] {
        let proof = Inclusion::new(index, size, vec![hash; length]).unwrap();
        assert!(proof.verify(hash, &hash).is_err());
        assert!(Inclusion::new(index, size, vec![hash; length + 1]).is_err());
    }
    for (old, new, length) in [(1 << 63, u64::MAX, 1), (u64::MAX - 1, u64::MAX, 64)] {
        let proof = Consistency::new(old, new, vec![hash; length]).unwrap();
        assert!(proof.verify(&hash, &hash).is_err());
    }
}

#[test]
fn an_empty_tree_is_the_beginning_of_all_and_has_one_root() {
    let (one, other) = (leaf_hash(b"one"), leaf_hash(b"other"));
    let proof = Consistency::new(0, 1, vec![]).unwrap();
    assert_eq!(proof.verify(&Hash::EMPTY, &one), Ok(()));
    assert!(proof.verify(&other, &one).is_err());
    let proof = Consistency::new(0, 0, vec![]).unwrap();
    assert_eq!(proof.verify(&Hash::EMPTY, &Hash::EMPTY), Ok(()));
    assert!(proof.verify(&Hash::EMPTY, &one).is_err());
    let same = Consistency::new(3, 3, vec![]).unwrap();
    assert_eq!(same.verify(&one, &one), Ok(()));
    assert!(same.verify(&one, &other).is_err());
    assert!(Consistency::new(0, 3, vec![one]).is_err());
    assert!(Consistency::new(3, 3, vec![one]).is_err());
    assert!(Consistency::new(2, 3, vec![]).is_err());
}

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// One bit of one hash another; one hash gone; one twice; two exchanged.
fn damaged(hashes: &[Hash], place: &prop::sample::Index, bit: usize) -> Vec<Vec<Hash>> {
    if hashes.is_empty() {
        return vec![vec![Hash::EMPTY]];
    }
    let at = place.index(hashes.len());
    let mut all = vec![hashes.to_vec(); 4];
    all[0][at] = flipped(hashes[at], bit);
    all[1].remove(at);
    all[2].insert(at, hashes[at]);
    all[3].swap(at, 0);
    all.retain(|damaged| damaged != hashes);
    all
}
