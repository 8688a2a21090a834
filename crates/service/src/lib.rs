//! What runs for long beside a ledger.
//!
//! ```text
//!  NATs ──▶ collect ──▶ ledger ──▶ export ──▶ the collectors that operators run
//! ```
//! - [`collect`] hears what NATs tell, on sockets, and makes it durable.
//! - [`accounting`] hears RADIUS accounting and keeps who the customers were.
//! - [`export`] sends what a device's ledger says to others.
//! - [`tls`] reads certificates and keys for both ends of a connection.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod collect;
pub mod export;
pub mod tls;
