//! An append-only log's hashes: tree, proofs, signed checkpoints.
#![forbid(unsafe_code)]
