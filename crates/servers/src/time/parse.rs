//! The forms of time that logs write, from bytes into [`Pieces`].

use std::time::Duration;

use super::{Epoch, Fraction, MICROS, Pieces, Written};

/// A place in a line that moves on as it is read. A read that fails gives `None`; the place is
/// then somewhere in what failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn byte(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    pub(crate) fn one_of(&mut self, expected: &[u8]) -> Option<u8> {
        let byte = self.peek()?;
        expected.contains(&byte).then(|| {
            self.at += 1;
            byte
        })
    }

    /// Exactly `count` digits.
    pub(crate) fn digits(&mut self, count: usize) -> Option<u32> {
        let mut value = 0_u32;
        for &byte in self.bytes.get(self.at..self.at + count)? {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u32::from(byte - b'0');
        }
        self.at += count;
        Some(value)
    }

    pub(crate) fn two(&mut self) -> Option<i8> {
        i8::try_from(self.digits(2)?).ok()
    }

    /// One or more digits, as many as there are.
    pub(crate) fn number(&mut self) -> Option<i64> {
        let start = self.at;
        let mut value = 0_i64;
        while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
            value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            self.at += 1;
        }
        (self.at > start).then_some(value)
    }

    pub(crate) fn year(&mut self) -> Option<i16> {
        i16::try_from(self.digits(4)?).ok()
    }

    /// `Jan` to `Dec`.
    pub(crate) fn month_name(&mut self) -> Option<i8> {
        const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let name = self.bytes.get(self.at..self.at + 3)?;
        let month = NAMES
            .chunks_exact(3)
            .zip(1..)
            .find(|(known, _)| *known == name)?;
        self.at += 3;
        Some(month.1)
    }

    pub(crate) fn weekday_name(&mut self) -> Option<()> {
        const NAMES: &[u8; 21] = b"MonTueWedThuFriSatSun";
        let name = self.bytes.get(self.at..self.at + 3)?;
        NAMES.chunks_exact(3).find(|known| *known == name)?;
        self.at += 3;
        Some(())
    }

    /// A day of one or two places: `05`, ` 5`, `5`.
    pub(crate) fn padded_day(&mut self) -> Option<i8> {
        let _ = self.byte(b' ');
        match self.bytes.get(self.at + 1) {
            Some(byte) if byte.is_ascii_digit() => self.two(),
            _ => i8::try_from(self.digits(1)?).ok(),
        }
    }

    /// `10:53:22`, with a fraction where one follows.
    pub(crate) fn clock(&mut self, pieces: &mut Pieces) -> Option<()> {
        pieces.hour = self.two()?;
        self.byte(b':')?;
        pieces.minute = self.two()?;
        self.byte(b':')?;
        pieces.second = Some(self.two()?);
        pieces.fraction = self.fraction()?;
        Some(())
    }

    /// Up to nine places after a dot or a comma; `Some(None)` where there is neither.
    fn fraction(&mut self) -> Option<Option<Fraction>> {
        if self.one_of(b".,").is_none() {
            return Some(None);
        }
        let start = self.at;
        let value = self.number()?;
        fraction(value, self.at - start).map(Some)
    }

    /// `+0100`, `+01:00`, `+01` or `Z`.
    pub(crate) fn offset(&mut self) -> Option<Written> {
        let sign = match self.one_of(b"Zz+-")? {
            b'-' => -1,
            b'+' => 1,
            _ => return Some(Written::Utc),
        };
        let hours = self.digits(2)?;
        let minutes = match self.peek() {
            Some(b':') => {
                self.at += 1;
                self.digits(2)?
            }
            Some(byte) if byte.is_ascii_digit() => self.digits(2)?,
            _ => 0,
        };
        // An hour of 24 or a minute of 60 is no offset but a line read at the wrong place.
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok()?;
        Some(Written::Offset {
            seconds: sign * seconds,
        })
    }

    /// `21/Nov/2026:10:53:22 +0100`: `$time_local` and what is inside the brackets of `%t`.
    pub(crate) fn common_log(&mut self, pieces: &mut Pieces) -> Option<()> {
        self.local_common_log(pieces)?;
        self.byte(b' ')?;
        pieces.zone = Some(self.offset()?);
        Some(())
    }

    /// `21/Nov/2026:10:53:22.123`, without the offset.
    pub(crate) fn local_common_log(&mut self, pieces: &mut Pieces) -> Option<()> {
        pieces.day = self.two()?;
        self.byte(b'/')?;
        pieces.month = self.month_name()?;
        self.byte(b'/')?;
        pieces.year = Some(self.year()?);
        self.byte(b':')?;
        self.clock(pieces)
    }

    /// `2026-11-21T10:53:22.123456+01:00`; the zone may be absent, the `T` a space.
    pub(crate) fn iso(&mut self, pieces: &mut Pieces) -> Option<()> {
        pieces.year = Some(self.year()?);
        self.byte(b'-')?;
        pieces.month = self.two()?;
        self.byte(b'-')?;
        pieces.day = self.two()?;
        self.one_of(b"Tt ")?;
        self.clock(pieces)?;
        if matches!(self.peek(), Some(b'Z' | b'z' | b'+' | b'-')) {
            pieces.zone = Some(self.offset()?);
        }
        Some(())
    }

    /// `2026/11/21 10:53:22.123`, without a zone.
    pub(crate) fn slashed(&mut self, pieces: &mut Pieces) -> Option<()> {
        pieces.year = Some(self.year()?);
        self.byte(b'/')?;
        pieces.month = self.two()?;
        self.byte(b'/')?;
        pieces.day = self.two()?;
        self.byte(b' ')?;
        self.clock(pieces)
    }

    /// `Nov 21 10:53:22`: syslog without year and zone (RFC 3164 §4.1.2).
    pub(crate) fn traditional(&mut self, pieces: &mut Pieces) -> Option<()> {
        pieces.month = self.month_name()?;
        self.byte(b' ')?;
        pieces.day = self.padded_day()?;
        self.byte(b' ')?;
        self.clock(pieces)
    }

    /// `Sat Nov 21 10:53:22.123456 2026`: Apache's error log.
    pub(crate) fn ctime(&mut self, pieces: &mut Pieces) -> Option<()> {
        self.weekday_name()?;
        self.byte(b' ')?;
        self.traditional(pieces)?;
        self.byte(b' ')?;
        pieces.year = Some(self.year()?);
        Some(())
    }

    /// Seconds since 1970, with a fraction where one follows.
    pub(crate) fn epoch_seconds(&mut self) -> Option<Epoch> {
        let seconds = self.number()?;
        let fraction = self.fraction()?;
        Some(Epoch {
            micros: seconds
                .checked_mul(MICROS)?
                .checked_add(fraction.map_or(0, |fraction| i64::from(fraction.micros)))?,
            step: fraction.map_or(Duration::from_secs(1), |fraction| fraction.step),
        })
    }

    /// Milliseconds since 1970, or seconds with a fraction of three digits: the same digits.
    pub(crate) fn epoch_millis_or_seconds(&mut self) -> Option<Epoch> {
        let start = self.at;
        let epoch = self.epoch_units(1_000)?;
        if self.peek() == Some(b'.') {
            self.at = start;
            return self.epoch_seconds();
        }
        Some(epoch)
    }

    /// Whole units since 1970, of `micros` microseconds each.
    pub(crate) fn epoch_units(&mut self, micros: u32) -> Option<Epoch> {
        Some(Epoch {
            micros: self.number()?.checked_mul(i64::from(micros))?,
            step: Duration::from_micros(micros.into()),
        })
    }

    /// Since 1970, in the unit that the number of digits tells: seconds, with or without a
    /// fraction, up to 11 digits; milliseconds up to 14; microseconds up to 17.
    pub(crate) fn epoch(&mut self) -> Option<Epoch> {
        let digits = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        match digits {
            ..=11 => self.epoch_seconds(),
            12..=14 => self.epoch_units(1_000),
            15..=17 => self.epoch_units(1),
            _ => None,
        }
    }
}

/// `value`, written with `places` digits, as a part of a second.
pub(crate) fn fraction(value: i64, places: usize) -> Option<Fraction> {
    let places = u32::try_from(places)
        .ok()
        .filter(|places| (1..=9).contains(places))?;
    let micros = if places <= 6 {
        value.checked_mul(10_i64.checked_pow(6 - places)?)?
    } else {
        value / 10_i64.checked_pow(places - 6)?
    };
    Some(Fraction {
        micros: u32::try_from(micros).ok()?,
        step: Duration::from_micros(10_u64.checked_pow(6_u32.saturating_sub(places))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use proptest::prelude::*;

    fn instant<'a>(
        read: impl FnOnce(&mut Cursor<'a>, &mut Pieces) -> Option<()>,
        text: &'a str,
    ) -> String {
        let mut pieces = Pieces::default();
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        match read(&mut cursor, &mut pieces) {
            None => format!("refused at {}", cursor.at),
            Some(()) => match pieces.instant(&Options::new("x")) {
                Ok(instant) => format!(
                    "{} {:?} {:?}",
                    instant.at.map_or("-".to_owned(), |at| at.to_string()),
                    instant.resolution,
                    instant.zone
                ),
                Err(reason) => reason.to_string(),
            },
        }
    }

    #[test]
    fn the_forms_servers_write() {
        let clf = "21/Nov/2026:10:53:22 +0100";
        assert_eq!(
            instant(Cursor::common_log, clf),
            "2026-11-21T09:53:22.000Z 1s Offset"
        );
        for (text, expected) in [
            (
                "2026-11-21T10:53:22-05:00",
                "2026-11-21T15:53:22.000Z 1s Offset",
            ),
            (
                "2026-11-21T10:53:22.123456+0000",
                "2026-11-21T10:53:22.123456Z 1µs Offset",
            ),
            (
                "2026-11-21T10:53:22.5Z",
                "2026-11-21T10:53:22.500Z 100ms Utc",
            ),
            ("2026-11-21 10:53:22,123", "- 1ms Missing"),
            ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000Z 1s Utc"),
        ] {
            assert_eq!(instant(Cursor::iso, text), expected, "{text}");
        }
        let error_log = "Sat Nov 21 10:53:22.123456 2026";
        assert_eq!(instant(Cursor::ctime, error_log), "- 1µs Missing");
        assert_eq!(
            instant(Cursor::traditional, "Nov  1 10:53:22"),
            "- 1s Missing"
        );
        assert_eq!(
            instant(Cursor::common_log, "21/Nov/2026:10:53"),
            "refused at 17"
        );
    }

    #[test]
    fn an_epoch_tells_its_unit_by_its_digits() {
        for text in [
            "1795258402",
            "1795258402.000",
            "1795258402000",
            "1795258402000000",
        ] {
            let epoch = Cursor::new(text.as_bytes(), 0).epoch().unwrap();
            assert_eq!(epoch.micros, 1_795_258_402_000_000, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text: Vec<u8>, at in 0_usize..40) {
            let cursor = Cursor::new(&text, at);
            for read in [Cursor::common_log, Cursor::iso, Cursor::ctime, Cursor::traditional] {
                let mut pieces = Pieces::default();
                let _ = read(&mut cursor.clone(), &mut pieces);
                let _ = pieces.instant(&Options::new("x"));
            }
            let _ = cursor.clone().epoch();
        }
    }
}
