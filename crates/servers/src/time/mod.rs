//! Times as logs write them, and the instants they name.

pub(crate) mod parse;
pub(crate) mod simple_date;
pub(crate) mod strftime;

use std::time::Duration;

use jiff::{
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, Offset, TimeZone},
};
use portledger_model::{Timestamp, Zone};

use crate::{Options, Reason};

const MICROS: i64 = 1_000_000;

/// The parts of a time that a line gave so far, in whatever order it gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub(crate) year: Option<i16>,
    pub(crate) month: i8,
    pub(crate) day: i8,
    pub(crate) hour: i8,
    pub(crate) minute: i8,
    pub(crate) second: Option<i8>,
    pub(crate) fraction: Option<Fraction>,
    pub(crate) zone: Option<Written>,
    pub(crate) epoch: Option<Epoch>,
}

/// A part of a second, and the step in which it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction {
    pub(crate) micros: u32,
    pub(crate) step: Duration,
}

/// A zone that a line writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Utc,
    Offset { seconds: i32 },
}

/// Time since 1970, and the step in which it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) micros: i64,
    pub(crate) step: Duration,
}

/// Which parts of a time a format gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Supplies(u8);

impl Supplies {
    pub(crate) const NOTHING: Self = Self(0);
    pub(crate) const YEAR: Self = Self(1);
    pub(crate) const MONTH: Self = Self(2);
    pub(crate) const DAY: Self = Self(4);
    pub(crate) const HOUR: Self = Self(8);
    pub(crate) const MINUTE: Self = Self(16);
    pub(crate) const CIVIL: Self = Self(31);
    pub(crate) const EPOCH: Self = Self(32);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether an instant can be told, but for the zone.
    pub(crate) const fn is_complete(self) -> bool {
        self.0 & Self::CIVIL.0 == Self::CIVIL.0 || self.0 & Self::EPOCH.0 != 0
    }

    /// The first part of a civil time that is not given.
    pub(crate) const fn missing(self) -> &'static str {
        match (!self.0).trailing_zeros() {
            0 => "the year",
            1 => "the month",
            2 => "the day",
            3 => "the hour",
            _ => "the minute",
        }
    }
}

/// The instant (or the two, or none) that a written time names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) at: Option<Timestamp>,
    pub(crate) or_at: Option<Timestamp>,
    pub(crate) resolution: Duration,
    pub(crate) zone: Zone,
}

impl Instant {
    /// Of a line that writes no time.
    pub(crate) const NONE: Self = Self {
        at: None,
        or_at: None,
        resolution: Duration::ZERO,
        zone: Zone::Missing,
    };
}

impl Pieces {
    /// The instant that the pieces name.
    pub(crate) fn instant(&self, options: &Options) -> Result<Instant, Reason> {
        if let Some(epoch) = self.epoch {
            return Ok(self.of_epoch(epoch));
        }
        let resolution = match (self.second, self.fraction) {
            (None, _) => Duration::from_secs(60),
            (Some(_), None) => Duration::from_secs(1),
            (Some(_), Some(fraction)) => fraction.step,
        };
        let (at, or_at, zone) = match (self.zone, &options.zone) {
            (Some(Written::Utc), _) => (Some(self.at_offset(0)?), None, Zone::Utc),
            (Some(Written::Offset { seconds }), _) => {
                (Some(self.at_offset(seconds)?), None, Zone::Offset)
            }
            (None, Some(zone)) => {
                let (at, or_at) = self.in_zone(zone, options.reference)?;
                (Some(at), or_at, Zone::Given)
            }
            (None, None) => {
                // Nothing can be said of the instant, yet a 32nd of January is still no date.
                self.civil(self.year.unwrap_or(LEAP_YEAR))?;
                (None, None, Zone::Missing)
            }
        };
        Ok(Instant {
            at,
            or_at,
            resolution,
            zone,
        })
    }

    fn of_epoch(&self, epoch: Epoch) -> Instant {
        let fraction = self.fraction.filter(|fraction| fraction.step < epoch.step);
        Instant {
            at: Some(Timestamp::from_micros(epoch.micros.saturating_add(
                fraction.map_or(0, |fraction| i64::from(fraction.micros)),
            ))),
            or_at: None,
            resolution: fraction.map_or(epoch.step, |fraction| fraction.step),
            zone: Zone::Utc,
        }
    }

    fn at_offset(&self, seconds: i32) -> Result<Timestamp, Reason> {
        let year = self.year.ok_or(Reason::NoYear)?;
        let civil = self.civil(year)?;
        let offset = Offset::from_seconds(seconds).map_err(|_| Reason::NoSuchTime)?;
        self.instant_at(civil, offset)
    }

    /// The instants that the time names in `zone`. Where no year is written it is the latest that
    /// does not put the time more than a day after `reference`.
    fn in_zone(
        &self,
        zone: &TimeZone,
        reference: Option<Timestamp>,
    ) -> Result<(Timestamp, Option<Timestamp>), Reason> {
        if let Some(year) = self.year {
            return self.in_zone_and_year(zone, year);
        }
        let reference = reference.ok_or(Reason::NoYear)?;
        let latest = reference.after(A_DAY);
        let year = jiff::Timestamp::from_microsecond(latest.as_micros())
            .map_err(|_| Reason::NoYear)?
            .to_zoned(zone.clone())
            .year();
        // A 29th of February may be up to eight years back.
        (0..=8)
            .filter_map(|back| self.in_zone_and_year(zone, year.checked_sub(back)?).ok())
            .find(|(at, _)| *at <= latest)
            .ok_or(Reason::NoSuchTime)
    }

    fn in_zone_and_year(
        &self,
        zone: &TimeZone,
        year: i16,
    ) -> Result<(Timestamp, Option<Timestamp>), Reason> {
        let civil = self.civil(year)?;
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => Ok((self.instant_at(civil, offset)?, None)),
            AmbiguousOffset::Gap { .. } => Err(Reason::InGap),
            AmbiguousOffset::Fold { before, after } => Ok((
                self.instant_at(civil, before)?,
                Some(self.instant_at(civil, after)?),
            )),
        }
    }

    fn instant_at(&self, civil: DateTime, offset: Offset) -> Result<Timestamp, Reason> {
        let second = offset
            .to_timestamp(civil)
            .map_err(|_| Reason::NoSuchTime)?
            .as_second();
        // A leap second has no number of its own: it is the second after :59.
        let leap = i64::from(self.second == Some(60));
        let fraction = self
            .fraction
            .map_or(0, |fraction| i64::from(fraction.micros));
        Ok(Timestamp::from_micros((second + leap) * MICROS + fraction))
    }

    fn civil(&self, year: i16) -> Result<DateTime, Reason> {
        let second = self.second.unwrap_or(0);
        Date::new(year, self.month, self.day)
            .and_then(|date| {
                let second = if second == 60 { 59 } else { second };
                let time = jiff::civil::Time::new(self.hour, self.minute, second, 0)?;
                Ok(date.to_datetime(time))
            })
            .map_err(|_| Reason::NoSuchTime)
    }
}

const LEAP_YEAR: i16 = 2024;
const A_DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn eastern() -> Options {
        let mut options = Options::new("x");
        options.zone = Some(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap());
        options
    }

    fn pieces(year: Option<i16>, month: i8, day: i8, hour: i8, minute: i8) -> Pieces {
        Pieces {
            year,
            month,
            day,
            hour,
            minute,
            second: Some(0),
            ..Pieces::default()
        }
    }

    #[test]
    fn the_repeated_hour_names_two_instants() {
        let instant = pieces(Some(2026), 11, 1, 1, 30)
            .instant(&eastern())
            .unwrap();
        assert_eq!(instant.at.unwrap().to_string(), "2026-11-01T05:30:00.000Z");
        assert_eq!(
            instant.or_at.unwrap().to_string(),
            "2026-11-01T06:30:00.000Z"
        );
        assert_eq!(instant.zone, Zone::Given);
    }

    #[test]
    fn a_time_that_clocks_leapt_over_is_refused() {
        let error = pieces(Some(2026), 3, 8, 2, 30).instant(&eastern());
        assert_eq!(error, Err(Reason::InGap));
    }

    #[test]
    fn no_zone_is_no_instant() {
        let instant = pieces(Some(2026), 7, 1, 1, 30)
            .instant(&Options::new("x"))
            .unwrap();
        assert_eq!((instant.at, instant.zone), (None, Zone::Missing));
        let error = pieces(None, 2, 30, 1, 30).instant(&Options::new("x"));
        assert_eq!(error, Err(Reason::NoSuchTime));
    }

    #[test]
    fn the_year_comes_from_the_reference() {
        let mut options = eastern();
        let year = |options: &Options, month, day| {
            let instant = pieces(None, month, day, 12, 0).instant(options)?;
            Ok::<_, Reason>(instant.at.unwrap().to_string()[..4].to_owned())
        };
        assert_eq!(year(&options, 12, 31), Err(Reason::NoYear));
        options.reference = Some("2027-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(year(&options, 12, 31).unwrap(), "2026");
        assert_eq!(year(&options, 1, 1).unwrap(), "2027");
        assert_eq!(year(&options, 1, 3).unwrap(), "2026");
        assert_eq!(year(&options, 2, 29).unwrap(), "2024");
    }
}
