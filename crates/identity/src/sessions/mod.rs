//! Sessions and leases become intervals: which customer had which address, and when.
//!
//! ```text
//! radius::Accounting ─┐                      ┌─▶ Interval ─▶ Store::insert
//!                     ├▶ Fact ─▶ Sessions ───┤
//! leases::Lease ──────┘    set of facts      └─▶ Interval, again: longer now, or ended
//! ```
//!
//! **What an interval covers is what was told, and never more**: a wrong name is worse than none.
//!
//! | told | covered |
//! |---|---|
//! | start and stop | from the one to the other |
//! | stop, no start | from the stop's Acct-Session-Time before it, or only the stop's instant |
//! | start, no stop | until the last packet that told of the session: others may have had the address since, and their packets been lost too |
//! | a NAS starts or stops accounting | none of its sessions goes past that |
//! | an address first told within a session | from then on, where the session's start is known and did not tell it |
//! | an address that later packets of the session no longer tell | until the last that did |
//! | a lease | from the client's transaction until the lease expires; the promised part ends where the lease is given back, or where somebody else's begins |
//! | two customers in one session, or at one time | both: the answer is ambiguous |
//! | one session id for two sessions | the last one, where its start is known; of the first only its start's instant |
//!
//! Facts may come in any order and several times: [`Sessions`] keeps earliest and latest times,
//! which no order and no repetition changes. An interval that was given out before and is longer
//! now, or ended, is given again with the same beginning, and the [`Store`](crate::Store) then
//! replaces the earlier one.
//!
//! ```
//! use portledger_identity::{Sessions, sessions::Reading};
//! use portledger_model::{Realm, Timestamp};
//! use portledger_wire::radius::DetailReader;
//!
//! let file = "x\n\tAcct-Status-Type = Stop\n\tAcct-Session-Id = \"7\"\n\tNAS-Identifier = \"bng1\"\n\
//!     \tUser-Name = \"nemo\"\n\tFramed-IP-Address = 100.64.3.9\n\tAcct-Session-Time = 60\n\
//!     \tTimestamp = 1000\n\n";
//! let mut reader = DetailReader::default();
//! let mut sessions = Sessions::default();
//! let reading = Reading::default();
//! for record in file.lines().filter_map(|line| reader.line(line.as_bytes())) {
//!     let record = record?;
//!     if let Some(fact) = reading.accounting(&record.accounting, record.received)? {
//!         sessions.take(fact);
//!     }
//! }
//! let intervals = sessions.drain();
//! assert_eq!(intervals[0].customer().id(), "nemo");
//! assert_eq!(intervals[0].from(), Timestamp::from_secs(940));
//! assert_eq!(intervals[0].to(), Some(Timestamp::from_secs(1_000)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fact;
mod lease;
mod reading;
mod session;
mod table;

pub use fact::Fact;
pub use reading::{Field, FieldError, Reading, Refusal};
pub use table::{Options, Sessions};

#[cfg(test)]
mod tests;
