//! The connection log beside servers that cannot write one: who connected, from which port, when.
//!
//! ```text
//!   driver: the kernel's copies of first packets ──> Watcher ──> entries ──> output: files, syslog
//!                                                   (flood, pending, repeats)
//!   connection logs ──> join::Builder ──> Join ──> the port of a line that has none
//! ```
//!
//! [`Watcher`] and [`join`] do no I/O and read no clock. [`driver`] has the kernel's side: a socket
//! whose filter passes first packets only, in a ring of memory shared with the kernel. [`output`]
//! has the log's side.
//!
//! A record is a connection *attempt*: a first packet on its way to a server. Whether the server
//! took it is the server's to say; the log is there to give the server's own lines what they lack.
// Only the driver's ring may have unsafe code, each block with its reason.
#![deny(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod driver;
pub mod filter;
pub mod flood;
pub mod join;
#[cfg(target_os = "linux")]
pub mod output;
mod pending;
mod repeats;
mod watcher;

pub use watcher::{Counts, Settings, Watcher};
