//! A log: a folder of files of records, written by one, proven by its hashes.

pub(crate) mod chunk;
pub(crate) mod content;
pub(crate) mod disk;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod frame;
pub(crate) mod key_use;
pub(crate) mod keys;
pub(crate) mod last;
pub(crate) mod names;
pub(crate) mod payload;
mod salts;
pub(crate) mod tree;
pub(crate) mod v1;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
