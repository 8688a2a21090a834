//! Points in time and the spans between them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A point in time: microseconds since the Unix epoch, UTC, leap seconds not counted.
///
/// Microseconds are finer than any log this program reads, and 64 bits of them reach past the
/// year 290,000, so that arithmetic on real times never overflows; it saturates all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// Later than any time that occurs: the end of a span that is still open.
    pub const MAX: Self = Self(i64::MAX);
    /// Earlier than any time that occurs.
    pub const MIN: Self = Self(i64::MIN);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch, saturating.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// From seconds since the Unix epoch, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This time moved later by `by`, saturating at [`Timestamp::MAX`].
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// This time moved earlier by `by`, saturating at [`Timestamp::MIN`].
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// How long after `earlier` this time is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC: milliseconds, or microseconds where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        match self.write(&mut text) {
            Some(length) => f.pad(str::from_utf8(&text[..length]).unwrap_or_default()),
            None => self.write_far(f),
        }
    }
}

impl Timestamp {
    /// Writes a time of the years 0 to 9999, and tells how long its text is. Logs are written line
    /// by line with it, for which formatting takes three times as long.
    fn write(self, text: &mut [u8; 27]) -> Option<usize> {
        let at = jiff::Timestamp::from_microsecond(self.0).ok()?;
        let civil = jiff::tz::Offset::UTC.to_datetime(at);
        let year = u32::try_from(civil.year()).ok()?;
        let micros = u32::try_from(self.0.rem_euclid(1_000_000)).ok()?;
        let mut put = |at: usize, digits: usize, number: u32| {
            let mut rest = number;
            for place in text[at..at + digits].iter_mut().rev() {
                *place = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, civil.month().unsigned_abs().into());
        put(8, 2, civil.day().unsigned_abs().into());
        put(11, 2, civil.hour().unsigned_abs().into());
        put(14, 2, civil.minute().unsigned_abs().into());
        put(17, 2, civil.second().unsigned_abs().into());
        put(20, 6, micros);
        if micros.is_multiple_of(1_000) {
            text[23] = b'Z';
            return Some(24);
        }
        Some(27)
    }

    /// Any other.
    #[cold]
    fn write_far(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = if self.0 % 1_000 == 0 { 3 } else { 6 };
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => f.pad(&format!("{at:.places$}")),
            // Outside the years -9999 to 9999 no calendar form exists.
            Err(_) => f.pad(&format!("{}us", self.0)),
        }
    }
}

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// Not RFC 3339 at all.
    #[error(
        "'{text}' is not a time: {reason}; write it as 2026-11-01T12:00:00.000Z or with an offset, 2026-11-01T13:00:00+01:00"
    )]
    Malformed {
        /// What was given.
        text: String,
        /// What the calendar library says.
        reason: String,
    },
    /// A civil time that may be any of two dozen instants.
    #[error(
        "'{text}' has no zone, so it may be any hour of the day elsewhere; add Z for UTC or an offset such as +01:00"
    )]
    NoZone {
        /// What was given.
        text: String,
    },
    /// A twelve-hour time that may be the wrong half of the day.
    #[error("'{text}' is a 12-hour time; write the hour as 00 to 23")]
    TwelveHour {
        /// What was given.
        text: String,
    },
}

/// RFC 3339 (or ISO 8601 with an offset). A time without a zone is refused: innocent people have
/// been searched because a time was read in the wrong zone or the wrong half of the day.
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let upper = text.to_ascii_uppercase();
        if upper.ends_with("AM") || upper.ends_with("PM") {
            return Err(TimestampError::TwelveHour {
                text: text.to_owned(),
            });
        }
        if let Some(offset) = far_offset(&upper) {
            let reason = format!("no zone is {offset} from UTC");
            return Err(TimestampError::Malformed {
                text: text.to_owned(),
                reason,
            });
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(at) => Ok(Self(at.as_microsecond())),
            Err(_) if text.parse::<jiff::civil::DateTime>().is_ok() => {
                Err(TimestampError::NoZone {
                    text: text.to_owned(),
                })
            }
            Err(error) => Err(TimestampError::Malformed {
                text: text.to_owned(),
                reason: error.to_string(),
            }),
        }
    }
}

/// An offset of more than 14 hours, which no zone has: a slip of the hand.
fn far_offset(text: &str) -> Option<&str> {
    let at = text.rfind(['+', '-'])?;
    let offset = text
        .get(at..)
        .filter(|_| text.get(..at).is_some_and(|time| time.contains(':')))?;
    let hours: u32 = offset.get(1..3)?.parse().ok()?;
    (hours > 14).then_some(offset)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A stretch of time: from `from` until just before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Span {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after it; [`Timestamp::MAX`] while it is open.
    pub to: Timestamp,
}

impl Span {
    /// The shortest time there is: one microsecond.
    pub const TICK: Duration = Duration::from_micros(1);

    /// From the first instant there is until just before the last.
    pub const ALWAYS: Self = Self::new(Timestamp::MIN, Timestamp::MAX);

    /// From `from` until just before `to`; empty where `to` is not after `from`.
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    /// Nothing is inside.
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Whether `at` is inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether some instant is inside both.
    pub fn overlaps(self, other: Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.from < other.to && other.from < self.to
    }
}

/// A duration in milliseconds: an integer in JSON, or a fraction where it is finer than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos().is_multiple_of(1_000_000) {
            serializer.serialize_u64(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
        } else {
            serializer.serialize_f64(self.0.as_secs_f64() * 1_000.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_without_a_zone_is_refused() {
        let error = "2026-11-01T12:00:00".parse::<Timestamp>().unwrap_err();
        assert!(matches!(error, TimestampError::NoZone { .. }));
        assert!(error.to_string().contains("has no zone"));
    }

    #[test]
    fn a_twelve_hour_time_is_refused() {
        let error = "2026-11-01 12:00:00 PM".parse::<Timestamp>().unwrap_err();
        assert!(matches!(error, TimestampError::TwelveHour { .. }));
    }

    #[test]
    fn an_offset_that_no_zone_has_is_refused() {
        let error = "2026-11-01T12:00:00+25:00"
            .parse::<Timestamp>()
            .unwrap_err();
        assert!(
            error.to_string().contains("no zone is +25:00 from UTC"),
            "{error}"
        );
        assert!("2026-11-01T12:00:00+14:00".parse::<Timestamp>().is_ok());
    }

    #[test]
    fn an_offset_is_applied() {
        let at: Timestamp = "2026-11-01T13:00:00.5+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-01T12:00:00.500Z");
    }

    proptest! {
        #[test]
        fn text_and_back(micros in 0_i64..4_102_444_800_000_000) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }

        #[test]
        fn a_time_is_written_as_others_write_it(micros: i64, small in -99_999_999_999_999_i64..=0) {
            for micros in [micros, micros / 1_000_000, micros / 32_768, micros / 1_000 * 1_000, small * 1_000] {
                if let Ok(at) = jiff::Timestamp::from_microsecond(micros) {
                    let places = if micros % 1_000 == 0 { 3 } else { 6 };
                    prop_assert_eq!(Timestamp(micros).to_string(), format!("{at:.places$}"));
                }
            }
        }

        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn spans_overlap_exactly_when_they_share_an_instant(a in 0_i64..20, b in 0_i64..20, c in 0_i64..20, d in 0_i64..20) {
            let (one, two) = (
                Span::new(Timestamp::from_micros(a), Timestamp::from_micros(b)),
                Span::new(Timestamp::from_micros(c), Timestamp::from_micros(d)),
            );
            let share = (0..20).map(Timestamp::from_micros).any(|at| one.contains(at) && two.contains(at));
            prop_assert_eq!(one.overlaps(two), share);
        }
    }
}
