//! Times as devices write them: with and without a year, with and without a zone.

use jiff::{
    civil,
    tz::{AmbiguousOffset, TimeZone},
};
use portledger_model::Timestamp;
use thiserror::Error;

const MICROS: i64 = 1_000_000;
/// How far ahead of the receiver's clock a device's may be before a time without a year is taken
/// for last year's: clocks are slow and fast, and zones are set wrongly by less than a day.
const AHEAD: i64 = 86_400 * MICROS;
/// In a repeated hour, how near the receive time has to be to say which of the two it was.
const FRESH: i64 = 1_200 * MICROS;

/// What a receiver knows that a line may not say.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The zone of times that are written without one: the device's. `None` refuses such times.
    pub zone: Option<TimeZone>,
    /// When the line was received, or when its file was last written: no time is more than a day
    /// later, and it tells the year where none is written.
    pub received: Timestamp,
}

impl Clock {
    /// For a device whose times have no zone of their own unless they say so.
    pub const fn new(received: Timestamp) -> Self {
        Self {
            zone: None,
            received,
        }
    }

    /// The same for a device in this zone.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = Some(zone);
        self
    }
}

/// A time as it is written: a date, perhaps without its year, and perhaps a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenTime {
    /// The year, where it is written.
    pub year: Option<i16>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
    /// Seconds east of UTC, where a zone is written that names an offset.
    pub offset: Option<i32>,
}

/// Why a written time is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimeError {
    /// No zone.
    #[error(
        "the time has no zone, so it may be any hour of the day: give the device's zone, such as UTC or +01:00"
    )]
    NoZone,
    /// A time between two offsets of the zone.
    #[error(
        "the device's zone leaps over this time when its clocks go forward: is the zone right?"
    )]
    InGap,
    /// A time that comes twice.
    #[error(
        "the device's zone has this time twice, when its clocks go back, and nothing says which it was: let the device log in UTC, or give a fixed offset"
    )]
    Repeated,
    /// No such date.
    #[error("there is no such date or time of day")]
    NoSuchTime,
}

impl WrittenTime {
    /// The instant, by what the line says and else by what the receiver knows.
    ///
    /// # Errors
    /// [`TimeError`]; a time is never guessed.
    pub fn instant(&self, clock: &Clock) -> Result<Timestamp, TimeError> {
        let fixed = self.offset.or_else(|| {
            let zone = clock.zone.as_ref()?;
            zone.to_fixed_offset().ok().map(|offset| offset.seconds())
        });
        match (fixed, &clock.zone) {
            (Some(offset), _) => self.with_year(clock, |year| self.at_offset(year, offset)),
            (None, Some(zone)) => {
                self.with_year(clock, |year| self.in_zone(year, zone, clock.received))
            }
            (None, None) => self
                .local(self.year.unwrap_or(2024))
                .and(Err(TimeError::NoZone)),
        }
    }

    /// RFC 3164 has no year: it is the latest that does not put the time more than a day after
    /// it was received, so a line of December that comes in January is last year's.
    fn with_year(
        &self,
        clock: &Clock,
        at: impl Fn(i16) -> Result<Timestamp, TimeError>,
    ) -> Result<Timestamp, TimeError> {
        if let Some(year) = self.year {
            return at(year);
        }
        let latest = clock.received.as_micros().saturating_add(AHEAD);
        let year = year_of(latest).ok_or(TimeError::NoSuchTime)?;
        let mut problem = TimeError::NoSuchTime;
        // A 29th of February may be eight years back.
        for back in -1..=8 {
            match at(year.saturating_sub(back)) {
                Ok(at) if at.as_micros() <= latest => return Ok(at),
                Ok(_) | Err(TimeError::NoSuchTime) => {}
                Err(TimeError::InGap | TimeError::Repeated) if back < 0 => {}
                Err(error) => {
                    problem = error;
                    break;
                }
            }
        }
        Err(problem)
    }

    fn at_offset(&self, year: i16, offset: i32) -> Result<Timestamp, TimeError> {
        Ok(Timestamp::from_micros(
            self.local(year)? - i64::from(offset) * MICROS,
        ))
    }

    fn in_zone(
        &self,
        year: i16,
        zone: &TimeZone,
        received: Timestamp,
    ) -> Result<Timestamp, TimeError> {
        self.local(year)?;
        let narrow = |part: u8| i8::try_from(part).map_err(|_| TimeError::NoSuchTime);
        // A leap second is told with the second before it, and added by `at_offset`.
        let time = civil::DateTime::new(
            year,
            narrow(self.month)?,
            narrow(self.day)?,
            narrow(self.hour)?,
            narrow(self.minute)?,
            narrow(self.second.min(59))?,
            0,
        )
        .map_err(|_| TimeError::NoSuchTime)?;
        match zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => self.at_offset(year, offset.seconds()),
            AmbiguousOffset::Gap { .. } => Err(TimeError::InGap),
            AmbiguousOffset::Fold { before, after } => {
                let first = self.at_offset(year, before.seconds())?;
                let second = self.at_offset(year, after.seconds())?;
                let distance = |at: Timestamp| at.as_micros().abs_diff(received.as_micros()) as i64;
                match (distance(first) <= FRESH, distance(second) <= FRESH) {
                    (true, false) => Ok(first),
                    (false, true) => Ok(second),
                    _ => Err(TimeError::Repeated),
                }
            }
        }
    }

    /// Microseconds since 1970 were it UTC.
    fn local(&self, year: i16) -> Result<i64, TimeError> {
        let in_range = (1..=12).contains(&self.month)
            && (1..=days_in_month(year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
            && self.micros < 1_000_000
            && (1..=9_999).contains(&year);
        if !in_range {
            return Err(TimeError::NoSuchTime);
        }
        let seconds = days_since_1970(year, self.month, self.day) * 86_400
            + i64::from(self.hour) * 3_600
            + i64::from(self.minute) * 60
            + i64::from(self.second);
        Ok(seconds * MICROS + i64::from(self.micros))
    }
}

const fn days_in_month(year: i16, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years are counted from March here, so that the leap day is the last of its year.
fn days_since_1970(year: i16, month: u8, day: u8) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - 719_468
}

fn year_of(micros: i64) -> Option<i16> {
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(at.to_zoned(TimeZone::UTC).year())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::scan::{DateOrder, scan},
        *,
    };

    fn clock(received: &str) -> Clock {
        Clock::new(received.parse().unwrap())
    }

    fn read(text: &str, clock: &Clock) -> Result<String, TimeError> {
        let (time, _) = scan(text.as_bytes(), DateOrder::Year).expect(text);
        time.instant(clock).map(|at| at.to_string())
    }

    #[test]
    fn every_way_to_write_the_same_instant() {
        let clock = clock("2026-11-21T09:00:00Z").in_zone(TimeZone::UTC);
        for text in [
            "2026-11-21T08:00:00.5Z",
            "2026-11-21 08:00:00,500",
            "2026-11-21T09:00:00.500+01:00",
            "2026-11-21T07:00:00.500-0100",
            "2026/11/21 08:00:00.5",
            "2026 Nov 21 08:00:00.5",
            "Nov 21 08:00:00.500 UTC",
            "Nov 21 08:00:00.500 gmt:",
            "Nov 21 2026 08:00:00.5",
            "Sat Nov 21 08:00:00.5 2026",
            "nov 21 08:00:00.5 AM",
        ] {
            assert_eq!(
                read(text, &clock).as_deref(),
                Ok("2026-11-21T08:00:00.500Z"),
                "{text}"
            );
        }
        let order = |text: &str, order| {
            let (time, length) = scan(text.as_bytes(), order).unwrap();
            assert_eq!(length, text.len());
            time.instant(&clock).unwrap().to_string()
        };
        let expected = "2026-11-02T08:00:00.000Z";
        assert_eq!(order("11/02/2026:08:00:00 GMT", DateOrder::Month), expected);
        assert_eq!(order("02/11/2026 08:00:00", DateOrder::Day), expected);
        assert_eq!(order("02-Nov-2026 08:00:00", DateOrder::Month), expected);
        assert_eq!(order("2026/11/2 8:0:0", DateOrder::YearUnpadded), expected);
        // Where zeros are written, one digit is what is left of two.
        assert_eq!(scan(b"2026-11-21 08:00:1", DateOrder::Year), None);
    }

    #[test]
    fn the_afternoon_is_not_read_as_the_morning() {
        let clock = clock("2026-11-21T23:00:00Z").in_zone(TimeZone::UTC);
        let at = |text| read(text, &clock).unwrap();
        assert_eq!(at("Nov 21 01:00:00 PM host"), "2026-11-21T13:00:00.000Z");
        assert_eq!(at("Nov 21 12:00:00 AM host"), "2026-11-21T00:00:00.000Z");
        assert_eq!(scan(b"Nov 21 13:00:00 PM", DateOrder::Year), None);
    }

    #[test]
    fn a_december_line_received_in_january_is_last_years() {
        let january = clock("2027-01-01T00:05:00Z").in_zone(TimeZone::UTC);
        let at = |text, clock: &Clock| read(text, clock).unwrap()[..4].to_owned();
        assert_eq!(at("Dec 31 23:59:59", &january), "2026");
        assert_eq!(at("Jan  1 00:09:00", &january), "2027");
        assert_eq!(at("Feb 29 12:00:00", &january), "2024");
        // A device whose clock is fast by a minute.
        let december = clock("2026-12-31T23:59:30Z").in_zone(TimeZone::UTC);
        assert_eq!(at("Jan  1 00:00:30", &december), "2027");
        // Where the new year began already, though not in UTC.
        let east = TimeZone::fixed(jiff::tz::offset(13));
        let east = clock("2026-12-31T11:30:00Z").in_zone(east);
        assert_eq!(
            read("Jan  1 00:30:00", &east).unwrap(),
            "2026-12-31T11:30:00.000Z"
        );
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        let clock = clock("2026-11-21T09:00:00Z");
        assert_eq!(read("Nov 21 08:00:00", &clock), Err(TimeError::NoZone));
        // A name that means many zones is none.
        assert_eq!(read("Nov 21 08:00:00 IST", &clock), Err(TimeError::NoZone));
        assert_eq!(read("Feb 30 08:00:00", &clock), Err(TimeError::NoSuchTime));
    }

    #[test]
    fn the_repeated_hour_is_told_by_the_receive_time_or_refused() {
        let eastern = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let at = |received, text| read(text, &clock(received).in_zone(eastern.clone()));
        let text = "Nov  1 01:30:00";
        assert_eq!(
            at("2026-11-01T05:30:02Z", text).unwrap(),
            "2026-11-01T05:30:00.000Z"
        );
        assert_eq!(
            at("2026-11-01T06:30:02Z", text).unwrap(),
            "2026-11-01T06:30:00.000Z"
        );
        assert_eq!(at("2026-11-05T00:00:00Z", text), Err(TimeError::Repeated));
        assert_eq!(
            at("2026-11-05T00:00:00Z", "Mar  8 02:30:00"),
            Err(TimeError::InGap)
        );
    }

    proptest! {
        #[test]
        fn the_calendar_is_jiffs(micros in -30_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            let text = at.to_string();
            let (time, length) = scan(text.as_bytes(), DateOrder::Year).unwrap();
            prop_assert_eq!(length, text.len());
            prop_assert_eq!(time.instant(&Clock::new(Timestamp::EPOCH)), Ok(at));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for order in [DateOrder::Year, DateOrder::YearUnpadded, DateOrder::Month, DateOrder::Day] {
                let _ = scan(&bytes, order);
            }
        }
    }
}
