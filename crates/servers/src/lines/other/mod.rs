//! Servers with a log of their own whose connections stand in one line each.

pub(super) mod memcached;
pub(super) mod mosquitto;
pub(super) mod redis;
