//! The log: a folder of files of records.

pub(crate) mod disk;
pub(crate) mod folder;
pub(crate) mod frame;
pub(crate) mod image;
pub(crate) mod names;
pub(crate) mod payload;

#[cfg(test)]
mod tests;
