//! The tree of eight leaves that the reference implementation of Certificate Transparency is
//! tested with, and many others after it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use portledger_proof::{
    Frontier, Hash, Leaves, leaf_hash, node_hash, prove_consistency, prove_inclusion, root,
};

const ENTRIES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// By size.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const LEAF_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const LEAF_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const LEAVES_2_3: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const LEAVES_4_5: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const LEAVES_6_7: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const LEAVES_4_7: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

fn leaves() -> Vec<Hash> {
    ENTRIES.iter().map(|entry| leaf_hash(entry)).collect()
}

fn hex(hash: &Hash) -> String {
    let bytes = hash.as_bytes().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn hexes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex).collect()
}

#[test]
fn the_roots_are_those_of_the_reference() {
    let leaves = leaves();
    let mut frontier = Frontier::new();
    for (size, expected) in ROOTS.iter().enumerate() {
        assert_eq!(hex(&frontier.root()), *expected, "size {size}");
        let same = root(&Leaves(&leaves), size as u64).unwrap();
        assert_eq!(same, frontier.root(), "size {size}");
        if let Some(leaf) = leaves.get(size) {
            frontier.append(*leaf, |_, _| ());
        }
    }
    assert_eq!(hex(&leaves[1]), LEAF_1);
    assert_eq!(hex(&node_hash(&leaves[2], &leaves[3])), LEAVES_2_3);
}

#[test]
fn the_ways_to_a_leaf_are_those_of_the_reference() {
    let leaves = leaves();
    for (index, size, expected) in [
        (0, 1, &[][..]),
        (0, 8, &[LEAF_1, LEAVES_2_3, LEAVES_4_7]),
        (5, 8, &[LEAF_4, LEAVES_6_7, ROOTS[4]]),
        (2, 3, &[ROOTS[2]]),
        (1, 5, &[ROOTS[1], LEAVES_2_3, LEAF_4]),
    ] {
        let proof = prove_inclusion(&Leaves(&leaves), index, size).unwrap();
        assert_eq!(hexes(proof.hashes()), expected, "{index} of {size}");
        let root = proof.root(leaves[index as usize]);
        assert_eq!(hex(&root), ROOTS[size as usize], "{index} of {size}");
    }
}

#[test]
fn the_ways_between_trees_are_those_of_the_reference() {
    let leaves = leaves();
    for (old, new, expected) in [
        (1, 1, &[][..]),
        (1, 8, &[LEAF_1, LEAVES_2_3, LEAVES_4_7]),
        (6, 8, &[LEAVES_4_5, LEAVES_6_7, ROOTS[4]]),
        (2, 5, &[LEAVES_2_3, LEAF_4]),
    ] {
        let proof = prove_consistency(&Leaves(&leaves), old, new).unwrap();
        assert_eq!(hexes(proof.hashes()), expected, "{old} in {new}");
    }
}
