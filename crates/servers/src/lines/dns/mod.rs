//! DNS servers.

pub(super) mod bind;
