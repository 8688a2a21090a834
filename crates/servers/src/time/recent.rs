//! The day that a log's lines are of: it is worked out once, and its seconds are counted from it.

use std::time::Duration;

use portledger_model::{Timestamp, Zone};

use super::{Instant, MICROS, Pieces, Written, parse::Cursor};

/// `21/Nov/2026:`, `10:53:22` and ` +0100`.
const DAY: usize = 12;
const CLOCK: usize = 8;
const ZONE: usize = 6;

/// The last day and offset that a log's lines had.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    known: Option<Known>,
}

#[derive(Debug, Clone)]
struct Known {
    day: [u8; DAY],
    zone: [u8; ZONE],
    /// Seconds since 1970 at which the day begins there.
    midnight: i64,
}

impl Recent {
    /// The instant that `21/Nov/2026:10:53:22 +0100` names, and its end. Nothing where it is
    /// written otherwise or no such time exists.
    pub(crate) fn common_log(&mut self, line: &[u8], at: usize) -> Option<(Instant, usize)> {
        let text = line.get(at..)?;
        let (day, text) = text.split_first_chunk::<DAY>()?;
        let (clock, text) = text.split_first_chunk::<CLOCK>()?;
        let zone = text.first_chunk::<ZONE>()?;
        let second = second_of_day(clock)?;
        let end = at + DAY + CLOCK + ZONE;
        let midnight = match &self.known {
            Some(known) if (&known.day, &known.zone) == (day, zone) => known.midnight,
            _ => {
                let midnight = midnight(line.get(at..end)?, second)?;
                self.known = Some(Known {
                    day: *day,
                    zone: *zone,
                    midnight,
                });
                midnight
            }
        };
        let instant = Instant {
            at: Some(Timestamp::from_micros((midnight + second) * MICROS)),
            or_at: None,
            resolution: Duration::from_secs(1),
            zone: Zone::Offset,
        };
        Some((instant, end))
    }
}

/// Seconds since 1970 at which the day begins whose `second` the text names.
fn midnight(text: &[u8], second: i64) -> Option<i64> {
    let (mut cursor, mut pieces) = (Cursor::new(text, 0), Pieces::default());
    cursor.common_log(&mut pieces)?;
    // Years near the end of what can be counted may lack a part of their last day.
    let year = pieces.year.filter(|year| (1970..3000).contains(year));
    let (Some(_), None, Some(Written::Offset { seconds }), true) =
        (year, pieces.fraction, pieces.zone, cursor.at == text.len())
    else {
        return None;
    };
    Some(pieces.at_offset(seconds).ok()?.as_micros() / MICROS - second)
}

/// The second that `10:53:22` is of its day. A leap second is the one after :59.
fn second_of_day(clock: &[u8; CLOCK]) -> Option<i64> {
    let [h, hour, b':', m, minute, b':', s, second] = *clock else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hour, minute, second) = (two(h, hour)?, two(m, minute)?, two(s, second)?);
    (hour < 24 && minute < 60 && second <= 60).then_some((hour * 60 + minute) * 60 + second)
}
