//! The key ring: data keys wrapped by a master key, and their destruction.
#![forbid(unsafe_code)]
