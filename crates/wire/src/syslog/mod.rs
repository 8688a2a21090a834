//! Syslog: RFC 5424, and RFC 3164 as devices write it.
//!
//! ```text
//! stream ──▶ Frames (RFC 6587) ──▶ line ──▶ Message ──▶ dialect, or our own structured data
//!                                              └─▶ WrittenTime ──▶ Clock ──▶ Timestamp
//! ```
//!
//! A [`Message`] borrows from its line and allocates nothing. Its time is kept as it is written,
//! since only who receives it knows the device's zone and the year ([`Clock`]).
//!
//! ```
//! use portledger_wire::syslog::{Clock, Message};
//!
//! let line = b"<189>29: edge1: *Dec 31 23:59:58.250 UTC: %SYS-5-CONFIG_I: Configured";
//! let message = Message::parse(line);
//! assert_eq!(message.hostname, Some(&b"edge1"[..]));
//! assert_eq!((message.quality.synced, message.sequence), (Some(false), Some(29)));
//! let received = Clock::new("2027-01-01T00:00:00Z".parse()?);
//! let at = message.time.map(|time| time.instant(&received)).transpose()?;
//! assert_eq!(at.map(|at| at.to_string()).as_deref(), Some("2026-12-31T23:59:58.250Z"));
//! assert_eq!(message.body, b"%SYS-5-CONFIG_I: Configured");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod elements;
mod export;
mod framing;
mod message;
pub(crate) mod scan;
mod time;

pub(crate) use elements::closing_quote;
pub use elements::{Elements, Parameters, TimeQuality, Value};
pub use export::{EVENT_ID, Export, ExportError, Sequence, read_event};
pub use framing::{Frame, Frames, Framing};
pub use message::{Form, Message, Priority};
pub use time::{Clock, TimeError, WrittenTime};

#[cfg(test)]
mod tests;
