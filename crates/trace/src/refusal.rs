//! Questions that no ledger can answer.

use std::fmt;

use portledger_model::{Source, Timestamp};
use thiserror::Error;

/// A question that no ledger can answer, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refusal {
    /// The place of the sighting; `None` where a person asked.
    pub place: Option<Source>,
    /// Why it is refused, and what to do.
    pub reason: Reason,
}

/// Why a question is refused. No message holds an address: they may go into logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// The sighting's time has no zone, and none was given.
    #[error(
        "the time has no zone, so it may be any of two dozen instants; say which zone the server's clock was in with --zone, such as --zone UTC or --zone +01:00"
    )]
    NoTime,
    /// An IPv6 address: a NAT that shares IPv4 addresses never hands it out.
    #[error(
        "an IPv6 address is not shared by port: it belongs to one subscriber by itself; look it up in the records of prefix assignments (DHCPv6, RADIUS)"
    )]
    NotShared,
    /// All of the window lies after the moment of asking.
    #[error(
        "the time {at} has not come yet at {asked_at}, when this is asked; check the zone, or correct the clock that wrote it with --offset"
    )]
    NotYet {
        /// The time asked for.
        at: Timestamp,
        /// When it was asked.
        asked_at: Timestamp,
    },
}

impl Reason {
    /// A short name for programs: `no-time`, `not-shared`, `not-yet`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTime => "no-time",
            Self::NotShared => "not-shared",
            Self::NotYet { .. } => "not-yet",
        }
    }

    /// The refusal of what a person asked.
    pub(crate) const fn of_question(self) -> Refusal {
        Refusal {
            place: None,
            reason: self,
        }
    }
}

impl Refusal {
    /// The same refusal, of the sighting read at `place`.
    pub(crate) fn at(self, place: &Source) -> Self {
        Self {
            place: Some(place.clone()),
            reason: self.reason,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}, line {}: ", place.file, place.line)?;
        }
        self.reason.fmt(f)
    }
}
