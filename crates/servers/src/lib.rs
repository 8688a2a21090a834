//! The server operator's half: what servers' logs say of who connected, from which port and when
//! (RFC 6302), as [`portledger_model::Sighting`]s.
//!
//! ```text
//!   a name, nginx:$remote_addr …, apache:%h …  ──┐
//!   config  the servers' own configuration  ─────┼──> Format ──┐
//!   guess   the first lines  ────────────────────┘             │
//!   lines of a log ─────────────────────────────────> Reader ──┴──> Reading
//!   packets of a capture ───────────────────────> Connections ────> Reading
//!                                                                    ├ Sighting
//!                                                                    ├ Skipped   not about a client
//!                                                                    └ Rejected  where and why
//!   Sighting ──> report ──> what a provider's abuse desk reads (ARF, X-ARF)
//! ```
//!
//! Nothing here opens a file or reads a clock: lines come in, values go out, and a line that
//! cannot be read never stops those after it. What a client wrote into a line (its user agent, its
//! user name) is never taken for what the server wrote: the `scan` module says how. A time is told
//! as exactly as the log has it, and not at all where its zone is unknown. Lines of a session that
//! is open may have the endpoint of its earlier lines (`lines/session.rs`); lines of one that is over
//! never have.
//!
//! ```
//! use portledger_servers::{Format, Options, Reader, Reading};
//!
//! let format = Format::parse("nginx-combined-port")?;
//! let mut reader = Reader::new(format, Options::new("access.log"));
//! let line = br#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0100] "GET / HTTP/1.1" 200 612 "-" "x" 49152"#;
//! let Reading::Sighting(sighting) = reader.line(line, 1) else { panic!() };
//! assert_eq!(sighting.port, Some(49152));
//! assert_eq!(sighting.at.unwrap().to_string(), "2026-11-21T09:53:22.000Z");
//! # Ok::<(), portledger_servers::FormatError>(())
//! ```
#![forbid(unsafe_code)]

mod address;
pub mod config;
mod connections;
mod fields;
mod format;
mod guess;
mod lines;
mod options;
mod packet;
mod pattern;
mod reader;
mod reading;
mod recorded;
pub mod report;
#[cfg(test)]
mod testing;
mod time;

pub use connections::{ConnectionOptions, Connections};
pub use format::{Format, FormatError, names};
pub use guess::{Guess, GuessError, guess};
pub use options::Options;
pub use reader::Reader;
pub use reading::{Counts, Reading, Reason, Rejection, Skip};
pub use recorded::{Recorded, WrittenZone};
