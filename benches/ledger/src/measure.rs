//! What is measured, and which way is better.

use serde::{Deserialize, Serialize};

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Bytes on disk, main order.
    BytesMain,
    /// Bytes on disk, both orders.
    BytesBoth,
    /// Loading the main order.
    LoadMain,
    /// Loading both orders.
    LoadBoth,
    /// One point, median.
    WhoMedian,
    /// One point, 99th percentile.
    WhoHigh,
    /// Opening with nothing in the page cache.
    ColdOpen,
    /// The first point after that.
    ColdWho,
    /// Both.
    ColdBoth,
    /// A batch of one day.
    BatchOneDay,
    /// A batch of all days.
    BatchAllDays,
    /// Holders of an address in an hour, median.
    HourMedian,
    /// The same, 99th percentile.
    HourHigh,
    /// All a subscriber had, median.
    MonthMedian,
    /// The same, 99th percentile.
    MonthHigh,
    /// Dropping the oldest day.
    DropTime,
    /// How much of that day's share of the bytes came back.
    DropFreed,
    /// Durable ingest in batches of 1,000.
    Ingest,
    /// Memory while loading.
    MemoryLoading,
    /// Memory while asking.
    MemoryAsking,
}

/// A figure of one engine.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Value {
    /// Of what.
    pub measure: Measure,
    /// In [`Measure::unit`].
    pub value: f64,
}

impl Measure {
    /// All, in the order of the report.
    pub const ALL: [Self; 20] = [
        Self::BytesMain,
        Self::BytesBoth,
        Self::LoadMain,
        Self::LoadBoth,
        Self::WhoMedian,
        Self::WhoHigh,
        Self::ColdOpen,
        Self::ColdWho,
        Self::ColdBoth,
        Self::BatchOneDay,
        Self::BatchAllDays,
        Self::HourMedian,
        Self::HourHigh,
        Self::MonthMedian,
        Self::MonthHigh,
        Self::DropTime,
        Self::DropFreed,
        Self::Ingest,
        Self::MemoryLoading,
        Self::MemoryAsking,
    ];

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BytesMain => "on disk, main order",
            Self::BytesBoth => "on disk, with the way by subscriber",
            Self::LoadMain => "bulk load, main order",
            Self::LoadBoth => "bulk load, both orders",
            Self::WhoMedian => "who had a port, warm, median",
            Self::WhoHigh => "who had a port, warm, 99th percentile",
            Self::ColdOpen => "opening, cold, median",
            Self::ColdWho => "first question after that, median",
            Self::ColdBoth => "opening and first question, median",
            Self::BatchOneDay => "batch of one day, one core",
            Self::BatchAllDays => "batch spread over all days, one core",
            Self::HourMedian => "holders of an address in an hour, median",
            Self::HourHigh => "holders of an address in an hour, 99th percentile",
            Self::MonthMedian => "blocks of a subscriber in all days, median",
            Self::MonthHigh => "blocks of a subscriber in all days, 99th percentile",
            Self::DropTime => "dropping the oldest day",
            Self::DropFreed => "of its share of the disk given back",
            Self::Ingest => "durable ingest, 1,000 events a sync",
            Self::MemoryLoading => "memory, loading",
            Self::MemoryAsking => "memory, asking",
        }
    }

    /// What a value counts.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::BytesMain | Self::BytesBoth => "B/allocation",
            Self::LoadMain | Self::LoadBoth => "allocations/s",
            Self::WhoMedian
            | Self::WhoHigh
            | Self::HourMedian
            | Self::HourHigh
            | Self::MonthMedian
            | Self::MonthHigh => "µs",
            Self::ColdOpen | Self::ColdWho | Self::ColdBoth | Self::DropTime => "ms",
            Self::BatchOneDay | Self::BatchAllDays => "questions/s",
            Self::DropFreed => "%",
            Self::Ingest => "events/s",
            Self::MemoryLoading | Self::MemoryAsking => "MiB",
        }
    }

    /// Whether more is better.
    pub const fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::LoadMain
                | Self::LoadBoth
                | Self::BatchOneDay
                | Self::BatchAllDays
                | Self::DropFreed
                | Self::Ingest
        )
    }

    /// How many times worse `value` is than `other`; below 1 when it is better.
    pub fn times_worse(self, value: f64, other: f64) -> f64 {
        if self.more_is_better() {
            other / value
        } else {
            value / other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_bad_is_two_either_way() {
        assert_eq!(Measure::BytesMain.times_worse(20.0, 10.0), 2.0);
        assert_eq!(Measure::Ingest.times_worse(10.0, 20.0), 2.0);
    }
}
