//! What the servers on a machine record of who connected, by the maturity model of
//! draft-daveor-cgn-logging, and the smallest change that makes them record the source port.
//!
//! ```text
//!   Machine (files, dumps) ──> Server::look ──> Instance ──> audit ──> Audited   table, JSON, SARIF
//!                        └───> Server::plan ──> fix ──> Change   a diff; the caller makes it
//!   data/servers ──> Facts    docs/servers ──> Server::guide
//! ```
//!
//! A file each server below `server/`; what holds for all of them (maturity, findings, what is
//! measured of a log) is said once beside it. Nothing here opens a file or starts a program: that is
//! the caller's [`Machine`], so that an image is audited like the machine itself, and a test needs
//! neither. A change is offered only when a look at its result finds port and certain time in every
//! log, or in one beside it.
//!
//! ```
//! use portledger_audit::{Maturity, server};
//!
//! let nginx = server::named("nginx").unwrap();
//! assert_eq!(nginx.facts().today.maturity(), Maturity::Feasible);
//! assert!(nginx.guide().starts_with("# nginx"));
//! ```
#![forbid(unsafe_code)]

mod audit;
mod change;
mod clock;
mod edits;
mod facts;
mod finding;
mod fix;
mod lines;
pub mod machine;
mod maturity;
pub mod measure;
mod overlay;
mod plan;
mod records;
pub mod report;
pub mod server;
mod syslog;
#[cfg(test)]
mod testing;
mod text;

pub use audit::{Audited, AuditedLog, audit};
pub use change::{Change, CommandLine, Edit};
pub use clock::Clock;
pub use facts::{Evidence, Facts, Verdict};
pub use finding::{Finding, Rule, Severity};
pub use fix::fix;
pub use machine::Machine;
pub use maturity::Maturity;
pub use portledger_servers::WrittenZone;
pub use records::Records;
pub use server::{FixError, Instance, Log, LookError, Promise, Server, Wish};
