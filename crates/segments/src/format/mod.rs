//! Parquet as far as a segment's files use it: footers, indexes, pages, encodings, encryption.
//!
//! The `parquet` crate writes the files; this reads one page of them by its place, which that
//! crate's readers do not do for less than the cost of setting up a reader, and it takes no byte
//! on trust: each length is held against what there is before anything is allocated.

pub(crate) mod bits;
pub(crate) mod cipher;
pub(crate) mod delta;
pub(crate) mod footer;
pub(crate) mod hybrid;
pub(crate) mod numbers;
pub(crate) mod packed;
pub(crate) mod page;
pub(crate) mod thrift;

pub(crate) use thrift::Malformed;
