//! Directories.

pub(super) mod slapd;
