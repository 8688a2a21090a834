//! Other people's collectors, exporters and relays: what we tell them they show right, and what they tell us names
//! the right subscriber.
//!
//! ```text
//! our ledger ──▶ export ──▶ nfcapd, nfacctd, rsyslog, syslog-ng ──▶ what they wrote
//! nfreplay, softflowd, pmacctd, rsyslog, conntrack ──▶ portledger serve, import ──▶ portledger who
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail by panicking, as tests do.

#[path = "collectors/accounting.rs"]
mod accounting;
#[path = "collectors/blocks.rs"]
mod blocks;
#[path = "collectors/certificates.rs"]
mod certificates;
#[path = "collectors/exporters.rs"]
mod exporters;
#[path = "collectors/flows.rs"]
mod flows;
#[path = "collectors/kernel.rs"]
mod kernel;
#[path = "collectors/peers.rs"]
mod peers;
#[path = "collectors/relays.rs"]
mod relays;
#[path = "collectors/serving.rs"]
mod serving;
#[path = "collectors/syslog.rs"]
mod syslog;
