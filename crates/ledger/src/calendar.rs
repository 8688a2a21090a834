//! Ledger days: the partitions of time in which records are sealed, encrypted and deleted.

use std::{fmt, str::FromStr, time::Duration};

use portledger_model::{Span, Timestamp};
use thiserror::Error;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// A ledger day, by the UTC date on which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// The day that begins so many days after 1970-01-01.
    pub(crate) const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// The day after.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The day before.
    pub(crate) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// The date, `2026-11-01`; days outside the years 0 to 9999 as a number of days.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match civil(self.0) {
            (year @ 0..=9_999, month, day) => write!(f, "{year:04}-{month:02}-{day:02}"),
            _ => write!(f, "day{}", self.0),
        }
    }
}

/// A text that is no ledger day.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a ledger day; write its date as 2026-11-01")]
pub struct DayError(String);

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let number = match text.strip_prefix("day") {
            Some(number) => number.parse().ok(),
            None => date(text),
        };
        // One spelling a day: names of files and keys are compared as text.
        number
            .map(Self)
            .filter(|day| day.to_string() == text)
            .ok_or_else(|| DayError(text.into()))
    }
}

fn date(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-').map(str::parse::<i32>);
    let mut next = || parts.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let sound = (0..=9_999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    sound.then(|| number(year, month, day))
}

/// Year, month and day of a day's number, in the proleptic Gregorian calendar.
pub(crate) fn civil(number: i32) -> (i64, u32, u32) {
    // Years begin in March here, so that the leap day is the last of its year; 146,097 days are
    // 400 years.
    let days = i64::from(number) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

fn number(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// When ledger days begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// After midnight, UTC; less than a day.
    starts: Duration,
}

/// A time that is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a time of day; write it in UTC as 05:00")]
pub struct TimeOfDayError(String);

impl Calendar {
    /// The day in which `at` lies.
    pub fn day_of(self, at: Timestamp) -> Day {
        let since = at.before(self.starts).as_micros();
        // The quotient of any 64-bit number of microseconds has 27 bits.
        Day(since.div_euclid(MICROS_A_DAY) as i32)
    }

    /// From a day's beginning until the next one's.
    pub fn span(self, day: Day) -> Span {
        Span::new(self.start(day), self.start(day.next()))
    }

    /// All days that `span` touches; none where it is empty.
    pub(crate) fn days(self, span: Span) -> Option<std::ops::RangeInclusive<Day>> {
        (!span.is_empty()).then(|| self.day_of(span.from)..=self.day_of(span.to.before(Span::TICK)))
    }

    fn start(self, day: Day) -> Timestamp {
        Timestamp::from_micros(i64::from(day.0).saturating_mul(MICROS_A_DAY)).after(self.starts)
    }
}

/// Days begin at 05:00 UTC: in Europe's and Africa's trough, when the fewest blocks are held and
/// so the fewest are written in both days.
impl Default for Calendar {
    fn default() -> Self {
        Self {
            starts: Duration::from_secs(5 * 3_600),
        }
    }
}

/// A time of day in UTC, `05:00`.
impl FromStr for Calendar {
    type Err = TimeOfDayError;

    fn from_str(text: &str) -> Result<Self, TimeOfDayError> {
        let parts = text.split_once(':').and_then(|(hours, minutes)| {
            let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            let fits = two(hours) && two(minutes);
            fits.then(|| Some((hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?)))?
        });
        match parts {
            Some((hours @ 0..24, minutes @ 0..60)) => Ok(Self {
                starts: Duration::from_secs(hours * 3_600 + minutes * 60),
            }),
            _ => Err(TimeOfDayError(text.into())),
        }
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.starts.as_secs() / 60;
        write!(f, "{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_begins_at_its_hour() {
        let calendar = Calendar::default();
        let day = |at: &str| calendar.day_of(at.parse().unwrap()).to_string();
        assert_eq!(day("2026-11-01T04:59:59.999999Z"), "2026-10-31");
        assert_eq!(day("2026-11-01T05:00:00Z"), "2026-11-01");
        assert_eq!(day("1969-12-31T12:00:00Z"), "1969-12-31");
        let span = calendar.span("2026-11-01".parse().unwrap());
        assert_eq!(span.from, "2026-11-01T05:00:00Z".parse().unwrap());
        assert_eq!(span.to, "2026-11-02T05:00:00Z".parse().unwrap());
    }

    #[test]
    fn what_is_no_day_or_hour_is_refused() {
        for text in ["2026-02-30", "2026-1-1", "day20000", "20261101", ""] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        for text in ["24:00", "5:00", "05:60", "05", "+5:00"] {
            assert!(text.parse::<Calendar>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_day_comes_back_from_its_name(number in any::<i32>()) {
            let day = Day(number);
            prop_assert_eq!(day.to_string().parse::<Day>(), Ok(day));
        }

        #[test]
        fn every_instant_is_in_its_day(micros in any::<i64>(), hour in 0..24_u64) {
            let calendar = Calendar { starts: Duration::from_secs(hour * 3_600) };
            let at = Timestamp::from_micros(micros);
            let span = calendar.span(calendar.day_of(at));
            prop_assert!(span.from <= at && (at < span.to || span.to == Timestamp::MAX));
        }
    }
}
