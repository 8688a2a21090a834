//! What runs beside the NAT and the ledger.
//!
//! ```text
//!  ledger ──▶ export ──▶ the collectors that operators run
//! ```
//! - [`export`] sends what a device's ledger says to others.
//! - [`tls`] reads certificates and keys for both ends of a connection.
#![forbid(unsafe_code)]

pub mod export;
pub mod tls;
