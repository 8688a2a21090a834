//! What runs for long beside a ledger.
//!
//! [`collect`] hears what NATs tell, on sockets, and makes it durable.
#![forbid(unsafe_code)]

pub mod collect;
