//! What can be asked of a ledger: the one question, in the forms that an answer needs.

use std::{fmt, net::Ipv4Addr, time::Duration};

use serde::Serialize;

use crate::{Allocation, Device, Span, Timestamp, Transport};

/// An external endpoint, as far as it is known. What is not known matches all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct External {
    /// The shared address.
    pub address: Ipv4Addr,
    /// The external port.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Option<Transport>,
}

/// A source of evidence: the ledger, or a model of it in a test.
pub trait Evidence {
    /// Why the source could not be read.
    type Error: std::error::Error;

    /// Every allocation of the endpoint that overlaps `span`, by start.
    ///
    /// # Errors
    /// When the source cannot be read. Never a part of the answer.
    fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, Self::Error>;

    /// The allocations of the endpoint nearest to `at` that do not contain it: the last that
    /// ended at or before `at`, and the first that began after it.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Self::Error>;

    /// What the source knows of its own completeness for the endpoint within `span`. `asked_at` is
    /// when the question is put: nothing can have been seen after it.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn coverage(
        &self,
        external: External,
        span: Span,
        asked_at: Timestamp,
    ) -> Result<Coverage, Self::Error>;
}

/// The allocations on either side of a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nearest {
    /// The last that ended at or before it.
    pub before: Option<Allocation>,
    /// The first that began after it.
    pub after: Option<Allocation>,
}

/// What a source knows of its own completeness.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The parts of the span for which it is not complete, in order of time.
    pub gaps: Vec<Gap>,
    /// How far the clocks of the devices concerned may be off, either way: the largest.
    pub clock_error: Duration,
}

/// A time for which a device's log is not known to be complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The time.
    #[serde(flatten)]
    pub span: Span,
    /// The device, where one is known.
    pub device: Option<Device>,
    /// Why.
    pub reason: GapReason,
}

/// Why a time is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// No device has said anything yet.
    BeforeFirstRecord,
    /// The log begins in the middle of the device's life, and ports of which it tells nothing
    /// until then may be somebody's. Who is told of has them all the same.
    HeldBefore,
    /// The last record is older than this and the device may have gone on.
    AfterLastRecord,
    /// A crash may have cost the events of this time.
    LostInCrash,
    /// Events of this time were lost on their way to the ledger.
    LostOnTheWay,
    /// The device was silent for longer than it promised.
    Silence,
    /// What was known of this time was deleted when its retention ended.
    Deleted,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeFirstRecord => "before the ledger's first record of the device",
            Self::HeldBefore => "the log of the device begins while it runs, and nothing tells who had the port before",
            Self::AfterLastRecord => "after the ledger's last record of the device",
            Self::LostInCrash => "events of this time may have been lost in a crash",
            Self::LostOnTheWay => "events of this time were lost on their way to the ledger",
            Self::Silence => "the device was silent for longer than it promised",
            Self::Deleted => "deleted when its retention ended",
        })
    }
}
