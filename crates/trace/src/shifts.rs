//! Intervals of what is added to a clock's times to put them right.

use std::{fmt, time::Duration};

use portledger_model::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// An interval of shifts in microseconds, both ends included, never empty. A shift is what is
/// added to a clock's time to get the true one: negative where the clock was fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shifts {
    first: i64,
    last: i64,
}

impl Shifts {
    /// From `from` until just before `to`, in microseconds; `None` where that is empty.
    pub const fn new(from: i64, to: i64) -> Option<Self> {
        if from < to {
            Some(Self {
                first: from,
                last: to - 1,
            })
        } else {
            None
        }
    }

    /// The one shift of `micros` microseconds.
    pub const fn exactly(micros: i64) -> Self {
        Self {
            first: micros,
            last: micros,
        }
    }

    /// Every shift of up to `range`, either way.
    pub fn around_zero(range: Duration) -> Self {
        let last = i64::try_from(range.as_micros()).unwrap_or(i64::MAX);
        Self { first: -last, last }
    }

    /// The least, in microseconds.
    pub const fn first(self) -> i64 {
        self.first
    }

    /// The greatest, in microseconds.
    pub const fn last(self) -> i64 {
        self.last
    }

    /// Whether a shift of `micros` microseconds is inside.
    pub const fn contains(self, micros: i64) -> bool {
        self.first <= micros && micros <= self.last
    }

    /// The shifts that move `instant` to somewhere from `from` until just before `to`.
    pub(crate) fn from_to(instant: Timestamp, from: Timestamp, to: Timestamp) -> Option<Self> {
        let shift = |to: Timestamp| to.as_micros().saturating_sub(instant.as_micros());
        Self::new(shift(from), shift(to))
    }

    /// The shifts at both ends and all between them.
    pub(crate) const fn between(first: i64, last: i64) -> Option<Self> {
        if first <= last {
            Some(Self { first, last })
        } else {
            None
        }
    }

    /// These and all that are up to `by` microseconds away, each moved by `micros` microseconds.
    pub(crate) const fn moved_and_widened(self, micros: i64, by: i64) -> Self {
        Self {
            first: self.first.saturating_add(micros).saturating_sub(by),
            last: self.last.saturating_add(micros).saturating_add(by),
        }
    }

    /// Whether some shift is also in one of `others`.
    pub(crate) fn meets(self, others: &[Self]) -> bool {
        others.iter().any(|other| self.and(*other).is_some())
    }

    /// The least interval that holds both.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    /// The shifts in both.
    pub(crate) fn and(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }

    /// `instant` put right by the middle of the interval.
    pub(crate) fn move_to_middle(self, instant: Timestamp) -> Timestamp {
        Timestamp::from_micros(instant.as_micros().saturating_add(self.middle()))
    }

    /// How far the ends are from the middle, rounded up.
    pub(crate) fn half_width(self) -> Duration {
        let middle = self.middle();
        Duration::from_micros(middle.abs_diff(self.first).max(self.last.abs_diff(middle)))
    }

    pub(crate) const fn middle(self) -> i64 {
        self.first.midpoint(self.last)
    }
}

/// The union of `shifts`: ordered, and no two touch.
pub(crate) fn union(mut shifts: Vec<Shifts>) -> Vec<Shifts> {
    shifts.sort_unstable();
    let mut apart: Vec<Shifts> = Vec::with_capacity(shifts.len());
    for next in shifts {
        match apart.last_mut() {
            Some(last) if next.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(next.last);
            }
            _ => apart.push(next),
        }
    }
    apart
}

/// The shifts in both of two unions, each ordered and apart; the result is, too.
pub(crate) fn intersection(one: &[Shifts], other: &[Shifts]) -> Vec<Shifts> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        both.extend(a.and(**b));
        if a.last <= b.last {
            one.next();
        } else {
            other.next();
        }
    }
    both
}

/// What to add, in seconds: `-3.000000 s to +1.000000 s`.
impl fmt::Display for Shifts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |f: &mut fmt::Formatter<'_>, micros: i64| {
            let sign = if micros < 0 { '-' } else { '+' };
            let micros = micros.unsigned_abs();
            write!(
                f,
                "{sign}{}.{:06} s",
                micros / 1_000_000,
                micros % 1_000_000
            )
        };
        seconds(f, self.first)?;
        if self.first != self.last {
            f.write_str(" to ")?;
            seconds(f, self.last)?;
        }
        Ok(())
    }
}

/// `first_us` and `last_us`, both included: whole microseconds, so that nothing is rounded.
impl Serialize for Shifts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Shifts", 2)?;
        object.serialize_field("first_us", &self.first)?;
        object.serialize_field("last_us", &self.last)?;
        object.end()
    }
}
