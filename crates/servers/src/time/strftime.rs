//! Times in the form that a strftime text describes: Apache's `%{…}t`.

use std::time::Duration;

use super::{
    Fraction, Pieces, Supplies, Written,
    parse::{Cursor, fraction},
};
use crate::WrittenZone;

/// A compiled strftime text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strftime {
    items: Box<[Item]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Byte(u8),
    Year,
    YearOfCentury,
    Month,
    MonthName,
    MonthFullName,
    Day,
    PaddedDay,
    Hour,
    HalfDayHour,
    HalfDay,
    Minute,
    Second,
    Epoch,
    /// Three digits.
    Millis,
    /// So many digits of a fraction.
    Fraction(u8),
    Offset,
    ZoneName,
    Letters,
}

impl Strftime {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What in it cannot be read back.
    pub(crate) fn compile(text: &str) -> Result<Self, &'static str> {
        Self::compile_with(text, |_| None)
    }

    /// Compiles `text` with Envoy's digits of a fraction: `%3f`, and `%f` for nine.
    pub(crate) fn compile_with_fractions(text: &str) -> Result<Self, &'static str> {
        Self::compile_with(text, |bytes| match bytes {
            [b'f', ..] => Some((9, 1)),
            [places @ b'1'..=b'9', b'f', ..] => Some((places - b'0', 2)),
            _ => None,
        })
    }

    /// `fraction` tells of the bytes after a `%` how many digits they stand for, and how many
    /// bytes that are.
    fn compile_with(
        text: &str,
        fraction: fn(&[u8]) -> Option<(u8, usize)>,
    ) -> Result<Self, &'static str> {
        let mut items = Vec::new();
        let mut bytes = text.as_bytes().iter();
        while let Some(&byte) = bytes.next() {
            if byte == b'%' {
                if let Some((places, length)) = fraction(bytes.as_slice()) {
                    items.push(Item::Fraction(places));
                    bytes.nth(length - 1);
                    continue;
                }
                let directive = *bytes.next().ok_or("it ends in a lone '%'")?;
                add(&mut items, directive)?;
            } else {
                items.push(Item::Byte(byte));
            }
        }
        Self::of(items)
    }

    pub(super) fn of(items: Vec<Item>) -> Result<Self, &'static str> {
        if items.contains(&Item::HalfDayHour) != items.contains(&Item::HalfDay) {
            return Err(
                "a 12-hour time needs both %I and %p, or it may be the wrong half of the day",
            );
        }
        Ok(Self {
            items: items.into(),
        })
    }

    /// What of a time it gives.
    pub(crate) fn supplies(&self) -> Supplies {
        self.items.iter().fold(Supplies::NOTHING, |sum, item| {
            sum.and(match item {
                Item::Year | Item::YearOfCentury => Supplies::YEAR,
                Item::Month | Item::MonthName | Item::MonthFullName => Supplies::MONTH,
                Item::Day | Item::PaddedDay => Supplies::DAY,
                Item::Hour | Item::HalfDayHour => Supplies::HOUR,
                Item::Minute => Supplies::MINUTE,
                Item::Epoch => Supplies::EPOCH,
                _ => Supplies::NOTHING,
            })
        })
    }

    /// How it writes the zone. A name is no offset.
    pub(crate) fn zone(&self) -> WrittenZone {
        if self.items.contains(&Item::Epoch) {
            WrittenZone::Utc
        } else if self.items.contains(&Item::Offset) {
            WrittenZone::Offset
        } else {
            WrittenZone::Local
        }
    }

    /// Its step.
    pub(crate) fn step(&self) -> Duration {
        let is_to_the_second = [Item::Second, Item::Epoch]
            .iter()
            .any(|item| self.items.contains(item));
        let places = self.items.iter().filter_map(|item| match item {
            Item::Millis => Some(3),
            Item::Fraction(places) => Some(*places),
            _ => None,
        });
        match places.max() {
            Some(places) => Duration::from_nanos(10_u64.pow(9 - u32::from(places.min(9)))),
            None => Duration::from_secs(if is_to_the_second { 1 } else { 60 }),
        }
    }

    /// Reads a time in this form.
    pub(crate) fn read(&self, cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
        let mut afternoon = None;
        for item in &self.items {
            match *item {
                Item::Byte(byte) => cursor.byte(byte)?,
                Item::Year => pieces.year = Some(cursor.year()?),
                Item::YearOfCentury => pieces.year = Some(2_000 + i16::from(cursor.two()?)),
                Item::Month => pieces.month = cursor.two()?,
                Item::MonthName => pieces.month = cursor.month_name()?,
                Item::MonthFullName => {
                    pieces.month = cursor.month_name()?;
                    while cursor.peek().is_some_and(|byte| byte.is_ascii_lowercase()) {
                        cursor.at += 1;
                    }
                }
                Item::Day => pieces.day = cursor.two()?,
                Item::PaddedDay => pieces.day = cursor.padded_day()?,
                Item::Hour | Item::HalfDayHour => pieces.hour = cursor.two()?,
                Item::HalfDay => {
                    afternoon = Some(cursor.one_of(b"AaPp")?.eq_ignore_ascii_case(&b'p'));
                    cursor.one_of(b"Mm")?;
                }
                Item::Minute => pieces.minute = cursor.two()?,
                Item::Second => pieces.second = Some(cursor.two()?),
                Item::Epoch => pieces.epoch = Some(cursor.epoch_units(1_000_000)?),
                Item::Millis => pieces.fraction = Some(part(cursor, 3)?),
                Item::Fraction(places) => pieces.fraction = Some(part(cursor, places.into())?),
                Item::Offset => pieces.zone = Some(cursor.offset()?),
                Item::ZoneName => zone_name(cursor, pieces)?,
                Item::Letters => drop(letters(cursor)?),
            }
        }
        if let Some(afternoon) = afternoon {
            if !(1..=12).contains(&pieces.hour) {
                return None;
            }
            pieces.hour = pieces.hour % 12 + if afternoon { 12 } else { 0 };
        }
        Some(())
    }
}

/// So many digits of a fraction of a second.
fn part(cursor: &mut Cursor<'_>, places: usize) -> Option<Fraction> {
    let start = cursor.at;
    cursor.at += places;
    let digits = cursor.bytes.get(start..cursor.at)?;
    let value = Cursor::new(digits, 0).number()?;
    fraction(value, places).filter(|_| digits.iter().all(u8::is_ascii_digit))
}

fn add(items: &mut Vec<Item>, directive: u8) -> Result<(), &'static str> {
    let item = match directive {
        b'Y' => Item::Year,
        b'y' => Item::YearOfCentury,
        b'm' => Item::Month,
        b'b' | b'h' => Item::MonthName,
        b'B' => Item::MonthFullName,
        b'd' => Item::Day,
        b'e' => Item::PaddedDay,
        b'H' => Item::Hour,
        b'I' => Item::HalfDayHour,
        b'p' | b'P' => Item::HalfDay,
        b'M' => Item::Minute,
        b'S' => Item::Second,
        b's' => Item::Epoch,
        b'z' => Item::Offset,
        b'Z' => Item::ZoneName,
        b'a' | b'A' => Item::Letters,
        b'%' => Item::Byte(b'%'),
        b'n' => Item::Byte(b'\n'),
        b't' => Item::Byte(b'\t'),
        b'T' => return composed(items, "%H:%M:%S"),
        b'R' => return composed(items, "%H:%M"),
        b'F' => return composed(items, "%Y-%m-%d"),
        b'D' => return composed(items, "%m/%d/%y"),
        b'r' => return composed(items, "%I:%M:%S %p"),
        b'c' | b'x' | b'X' => return Err("%c, %x and %X depend on the server's locale"),
        _ => return Err("it has a directive that cannot be read back"),
    };
    items.push(item);
    Ok(())
}

fn composed(items: &mut Vec<Item>, text: &str) -> Result<(), &'static str> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => add(items, bytes.next().unwrap_or(b'%'))?,
            _ => items.push(Item::Byte(byte)),
        }
    }
    Ok(())
}

/// Only the names of UTC mean one offset the world over; `IST` is three. Others leave the zone
/// to whoever asks.
fn zone_name(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    if matches!(letters(cursor)?, b"UTC" | b"GMT") {
        pieces.zone = Some(Written::Utc);
    }
    Some(())
}

fn letters<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let rest = cursor.rest();
    let length = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    cursor.at += length;
    rest.get(..length).filter(|letters| !letters.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn at(format: &str, text: &str) -> String {
        let mut pieces = Pieces::default();
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        match Strftime::compile(format)
            .unwrap()
            .read(&mut cursor, &mut pieces)
        {
            Some(()) => pieces.instant(&Options::new("x")).map_or_else(
                |reason| reason.to_string(),
                |instant| format!("{:?}", instant.at.map(|at| at.to_string())),
            ),
            None => "refused".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let expected = r#"Some("2026-11-21T22:05:07.000Z")"#;
        for (format, text) in [
            ("%d/%b/%Y:%T %z", "21/Nov/2026:23:05:07 +0100"),
            ("%F %I:%M:%S %p %Z", "2026-11-21 10:05:07 PM UTC"),
            (
                "%A %e %B %y %H.%M.%S%%%z",
                "Saturday 21 November 26 22.05.07%+0000",
            ),
            ("%s", "1795298707"),
        ] {
            assert_eq!(at(format, text), expected, "{format}");
        }
        assert_eq!(at("%F %T %Z", "2026-11-21 10:05:07 IST"), "None");
        assert_eq!(at("%F %r %z", "2026-11-21 13:05:07 PM +0000"), "refused");
    }

    #[test]
    fn what_cannot_be_read_back_is_refused() {
        for format in ["%I:%M", "%c", "%", "%Q"] {
            assert!(Strftime::compile(format).is_err(), "{format}");
        }
    }
}
