//! Sightings against the ledger: who held this shared address and port at that time, how sure is
//! that, and how wrong may the sighting's clock be before the answer is another.
//!
//! A [`Query`] (from a person, or from a [`Sighting`](portledger_model::Sighting)) is put to an
//! [`Evidence`](portledger_model::Evidence) by [`ask`]; the result is an [`Answer`], or a
//! [`Refusal`] where the question cannot be answered by any ledger. An answer never names one
//! subscriber when another could have held the endpoint within the window, and it says
//! [`Verdict::Unknown`] wherever the log is not known to be complete.
//!
//! ```text
//!              ┌─► trace_all ──► Outcome, Tally      an answer for each
//!  sightings ──┼─► Survey ─────► Offset              how far the clock that wrote them was off,
//!              │   DriftSearch ► Drift                  and how fast it ran; a Correction
//!              └─► SameActor                         who is left if all of them are one's
//! ```
//!
//! All of these take a log in one pass after the other, a [`CHUNK`] at a time, and hold no more of
//! it than that.
//!
//! This room does no I/O and reads no clock: when the question is put is an argument. Answers
//! print redacted through `Debug`; a subscriber's address leaves only by [`Answer::text`] and by
//! the JSON of an answer, and whoever calls those records the question first.
//!
//! ```
//! use std::time::Duration;
//! use portledger_model::Transport;
//! use portledger_trace::{Query, Verdict, ask};
//! # use portledger_model::*;
//! # struct Ledger(Vec<Allocation>);
//! # impl Evidence for Ledger {
//! #     type Error = std::convert::Infallible;
//! #     fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, Self::Error> {
//! #         Ok(self.0.iter().filter(|a| a.block.external == external.address
//! #             && a.block.covers(external.port, external.transport)
//! #             && a.span().overlaps(span)).cloned().collect())
//! #     }
//! #     fn nearest(&self, _: External, _: Timestamp) -> Result<Nearest, Self::Error> {
//! #         Ok(Nearest::default())
//! #     }
//! #     fn coverage(&self, _: External, _: Span, _: Timestamp) -> Result<Coverage, Self::Error> {
//! #         Ok(Coverage::default())
//! #     }
//! # }
//! # let ledger = Ledger(vec![Allocation {
//! #     block: Block {
//! #         subscriber: Subscriber::new(Realm::default(), "100.64.3.9".parse()?),
//! #         external: "203.0.113.7".parse()?,
//! #         ports: PortRange::new(39_936, 40_191)?,
//! #         transport: None,
//! #     },
//! #     from: "2026-11-01T09:12:44.120Z".parse()?,
//! #     to: None,
//! #     device: Device::new("cgn1")?,
//! #     record: RecordNumber(17),
//! #     by_rule: None,
//! # }]);
//!
//! let query = Query::new(
//!     "203.0.113.7".parse()?,
//!     Some(40_123),
//!     Some(Transport::Tcp),
//!     "2026-11-01T12:00:00Z".parse()?,
//!     Duration::from_secs(2),
//! )?;
//! let answer = ask(&ledger, &query, "2026-11-02T08:00:00Z".parse()?)?;
//! assert_eq!(answer.verdict, Verdict::Unique);
//! assert_eq!(answer.margin.earlier, Some(Duration::from_millis(10_035_880)));
//! assert_eq!(answer.margin.later, None);
//! assert!(answer.text().contains("100.64.3.9"));
//! assert!(!format!("{answer:?}").contains("100.64.3.9"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod answer;
mod ask;
mod batch;
mod correction;
mod joined;
mod json;
mod margin;
mod offset;
mod query;
mod refusal;
mod same_actor;
mod shifts;
mod tally;
#[cfg(test)]
mod testing;
mod text;

pub use answer::{Answer, Verdict};
pub use ask::{AskError, ask};
pub use batch::{CHUNK, Options, Outcome, trace, trace_all};
pub use correction::{Correction, Drifting};
pub use joined::Joined;
pub use margin::Margin;
pub use offset::{
    Offset, Survey,
    drift::{Drift, DriftSearch},
};
pub use query::Query;
pub use refusal::{Reason, Refusal};
pub use same_actor::SameActor;
pub use shifts::Shifts;
pub use tally::Tally;
