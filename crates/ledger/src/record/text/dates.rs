//! Times, of which most that are written together have the same date.

use std::io::Write as _;

use portledger_model::Timestamp;

use super::digits::two;
use crate::calendar::civil;

const DAY: i64 = 86_400_000_000;

/// The date that was written last, as a text.
#[derive(Default)]
pub(super) struct Dates {
    /// Microseconds from 1970 on to its midnight, and its year, month and day as they are written.
    last: Option<(i64, [u8; 10])>,
}

impl Dates {
    /// RFC 3339 with six places; outside the years 0 to 9999 the number of microseconds.
    pub(super) fn write_time(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let micros = at.as_micros();
        let known = self
            .last
            .filter(|(midnight, _)| (0..DAY).contains(&micros.saturating_sub(*midnight)));
        let Some((midnight, date)) = known.or_else(|| date(micros)) else {
            drop(write!(out, "{micros}"));
            return;
        };
        self.last = Some((midnight, date));
        // Less than a day, which has 86,400 seconds.
        let of_day = (micros - midnight) as u64;
        let (seconds, fraction) = ((of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
        let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
        text[1..11].copy_from_slice(&date);
        text[12..14].copy_from_slice(two(seconds / 3_600));
        text[15..17].copy_from_slice(two(seconds / 60 % 60));
        text[18..20].copy_from_slice(two(seconds % 60));
        text[21..23].copy_from_slice(two(fraction / 10_000));
        text[23..25].copy_from_slice(two(fraction / 100 % 100));
        text[25..27].copy_from_slice(two(fraction % 100));
        out.extend_from_slice(&text);
    }
}

/// The midnight before a time, and its date as a text; `None` outside the years 0 to 9999.
fn date(micros: i64) -> Option<(i64, [u8; 10])> {
    let number = micros.div_euclid(DAY);
    let (year, month, day) = civil(number as i32);
    let year = u32::try_from(year).ok().filter(|year| *year <= 9_999)?;
    let mut text = *b"0000-00-00";
    text[..2].copy_from_slice(two(year / 100));
    text[2..4].copy_from_slice(two(year % 100));
    text[5..7].copy_from_slice(two(month));
    text[8..].copy_from_slice(two(day));
    Some((number * DAY, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_is_written_as_everywhere_else(
            micros in -62_000_000_000_000_000..250_000_000_000_000_000_i64,
            apart in -3 * DAY..3 * DAY,
        ) {
            let before = micros + apart;
            let at = Timestamp::from_micros(micros);
            let mut out = Vec::new();
            let mut dates = Dates::default();
            // Whatever was written before.
            dates.write_time(Timestamp::from_micros(before), &mut out);
            out.clear();
            dates.write_time(at, &mut out);
            let text = std::str::from_utf8(&out).unwrap().trim_matches('"');
            prop_assert_eq!(text.parse::<Timestamp>().unwrap(), at);
        }
    }
}
