//! The engines.

pub mod cluster;
pub mod copy;
pub mod duckdb;
pub mod fjall;
pub mod ours;
pub mod postgres;
