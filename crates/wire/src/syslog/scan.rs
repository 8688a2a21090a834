//! Times at the start of a text, in every order in which devices write their parts.

use super::time::WrittenTime;

/// The order in which a date of three numbers is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateOrder {
    /// 2026-11-21, 2026/11/21, and with a name for the month.
    Year,
    /// The same without zeros before: 2026/1/2 3:4:5. What was cut off cannot be told from it, so it
    /// is for those who write it only.
    YearUnpadded,
    /// 11/21/2026.
    Month,
    /// 21/11/2026.
    Day,
}

/// The time at the start of `bytes` and its length.
///
/// `2026-11-21T08:00:00.123456Z`, the same with a space, an offset or none; `Nov 21 08:00:00`, with
/// the year in any of the places where devices put it, a weekday before it, or a zone after it.
pub(crate) fn scan(bytes: &[u8], order: DateOrder) -> Option<(WrittenTime, usize)> {
    let mut scan = Scan { bytes, at: 0 };
    let time = scan.time(order)?;
    Some((time, scan.at))
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn time(&mut self, order: DateOrder) -> Option<WrittenTime> {
        let mut time = WrittenTime {
            year: None,
            month: 0,
            day: 0,
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            offset: None,
        };
        self.weekday();
        let first = self.peek()?;
        let is_year_first = matches!(order, DateOrder::Year | DateOrder::YearUnpadded);
        if first.is_ascii_digit() && is_year_first {
            let year = self.number(4, 4)?;
            time.year = i16::try_from(year).ok();
            match self.peek()? {
                separator @ (b'-' | b'/') => {
                    self.at += 1;
                    time.month = self.month().or_else(|| self.part(order))?;
                    self.byte(separator)?;
                    time.day = self.part(order)?;
                }
                b' ' => {
                    self.spaces();
                    time.month = self.month()?;
                    self.spaces();
                    time.day = self.one_or_two()?;
                }
                _ => return None,
            }
            self.between()?;
        } else if first.is_ascii_digit() {
            let (a, _) = (self.one_or_two()?, self.any(b"/-.")?);
            let named = self.month();
            let b = named.map_or_else(|| self.one_or_two(), Some)?;
            self.any(b"/-.")?;
            time.year = i16::try_from(self.number(4, 4)?).ok();
            (time.month, time.day) = match order {
                DateOrder::Month if named.is_none() => (a, b),
                _ => (b, a),
            };
            self.between()?;
        } else {
            time.month = self.month()?;
            self.space()?;
            time.day = self.one_or_two()?;
            self.space()?;
            // "Nov 21 2026 08:00:00": a year has no colon after two digits.
            if self.bytes.get(self.at + 4) == Some(&b' ') {
                time.year = i16::try_from(self.number(4, 4)?).ok();
                self.space()?;
            }
        }
        self.time_of_day(&mut time, order)?;
        self.zone(&mut time);
        Some(time)
    }

    fn time_of_day(&mut self, time: &mut WrittenTime, order: DateOrder) -> Option<()> {
        time.hour = self.one_or_two()?;
        self.byte(b':')?;
        time.minute = self.part(order)?;
        self.byte(b':')?;
        time.second = self.part(order)?;
        // A comma is ISO 8601's; a full stop that no digit follows ends a sentence.
        if matches!(self.peek(), Some(b'.' | b','))
            && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit)
        {
            self.at += 1;
            time.micros = self.fraction();
        }
        if self.peek().is_some_and(|next| next.is_ascii_digit()) {
            return None;
        }
        self.half_of_day(time)
    }

    /// AM and PM: a header that writes them and is read without them is twelve hours wrong.
    fn half_of_day(&mut self, time: &mut WrittenTime) -> Option<()> {
        let start = self.at + usize::from(self.peek() == Some(b' '));
        let half = match self.bytes.get(start..start + 2) {
            Some(text) if text.eq_ignore_ascii_case(b"am") => 0,
            Some(text) if text.eq_ignore_ascii_case(b"pm") => 12,
            _ => return Some(()),
        };
        if self
            .bytes
            .get(start + 2)
            .is_some_and(|b| b.is_ascii_alphanumeric())
        {
            return Some(());
        }
        if !(1..=12).contains(&time.hour) {
            return None;
        }
        time.hour = time.hour % 12 + half;
        self.at = start + 2;
        Some(())
    }

    /// What follows a time of day: an offset, a name that is UTC's, or a year (`ctime`).
    fn zone(&mut self, time: &mut WrittenTime) {
        match self.peek() {
            Some(b'Z' | b'z') if !self.word_goes_on(1) => {
                self.at += 1;
                time.offset = Some(0);
            }
            Some(b'+' | b'-') => self.numeric_offset(time),
            Some(b' ') => {
                let start = self.at;
                self.at += 1;
                if matches!(self.peek(), Some(b'+' | b'-')) {
                    self.numeric_offset(time);
                } else if let Some(year) = self.year_alone().filter(|_| time.year.is_none()) {
                    time.year = Some(year);
                } else if self.names_utc() {
                    time.offset = Some(0);
                    self.at += 3;
                }
                if time.offset.is_none() && time.year.is_none() || self.at == start + 1 {
                    self.at = start;
                }
            }
            _ => {}
        }
    }

    fn year_alone(&mut self) -> Option<i16> {
        let start = self.at;
        let year = self
            .number(4, 4)
            .filter(|year| (1970..=2200).contains(year));
        let ends = self
            .peek()
            .is_none_or(|next| !next.is_ascii_alphanumeric() && next != b'.');
        match year
            .filter(|_| ends)
            .and_then(|year| i16::try_from(year).ok())
        {
            Some(year) => Some(year),
            None => {
                self.at = start;
                None
            }
        }
    }

    fn names_utc(&self) -> bool {
        let name = self.bytes.get(self.at..self.at + 3);
        name.is_some_and(|name| {
            name.eq_ignore_ascii_case(b"utc") || name.eq_ignore_ascii_case(b"gmt")
        }) && !self.word_goes_on(3)
    }

    fn numeric_offset(&mut self, time: &mut WrittenTime) {
        let start = self.at;
        let sign = if self.peek() == Some(b'-') { -1 } else { 1 };
        self.at += 1;
        let offset = self.two().and_then(|hours| {
            if self.peek() == Some(b':') {
                self.at += 1;
            }
            let minutes = self.two().unwrap_or(0);
            // No zone is more than 14 hours from UTC: more is a slip.
            (hours <= 14 && minutes < 60)
                .then(|| sign * (i32::from(hours) * 3_600 + i32::from(minutes) * 60))
        });
        match offset.filter(|_| !self.word_goes_on(0)) {
            Some(offset) => time.offset = Some(offset),
            None => self.at = start,
        }
    }

    fn weekday(&mut self) {
        const DAYS: [&[u8; 3]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];
        let name = self.bytes.get(..3).unwrap_or_default();
        if DAYS.iter().any(|day| name.eq_ignore_ascii_case(*day)) {
            let after = self.bytes.get(3..).unwrap_or_default();
            let skip = after.iter().take_while(|b| b", ".contains(b)).count();
            if skip > 0 {
                self.at = 3 + skip;
            }
        }
    }

    fn month(&mut self) -> Option<u8> {
        const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
        let name = self.bytes.get(self.at..self.at + 3)?;
        let month = MONTHS
            .chunks_exact(3)
            .position(|month| name.eq_ignore_ascii_case(month))?;
        self.at += 3;
        u8::try_from(month + 1).ok()
    }

    /// What stands between date and time of day.
    fn between(&mut self) -> Option<()> {
        match self.peek()? {
            b'T' | b't' | b':' | b'-' | b'_' => self.at += 1,
            b' ' | b'\t' => self.spaces(),
            b',' => {
                self.at += 1;
                self.spaces();
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let rest = self.bytes.get(self.at..)?;
        let digits = rest.iter().take(most).take_while(|b| b.is_ascii_digit());
        let (count, value) = digits.fold((0, 0_u32), |(count, value), digit| {
            (count + 1, value * 10 + u32::from(digit - b'0'))
        });
        self.at += count;
        (count >= least).then_some(value)
    }

    fn two(&mut self) -> Option<u8> {
        self.number(2, 2).and_then(|value| u8::try_from(value).ok())
    }

    /// A part of a date or a time, with the zero before it that most write.
    fn part(&mut self, order: DateOrder) -> Option<u8> {
        match order {
            DateOrder::YearUnpadded => self.one_or_two(),
            _ => self.two(),
        }
    }

    fn one_or_two(&mut self) -> Option<u8> {
        self.number(1, 2).and_then(|value| u8::try_from(value).ok())
    }

    /// Microseconds; finer digits are dropped.
    fn fraction(&mut self) -> u32 {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let mut micros = 0;
        for place in 0..6 {
            let digit = rest
                .get(place)
                .filter(|_| place < digits)
                .copied()
                .unwrap_or(b'0');
            micros = micros * 10 + u32::from(digit - b'0');
        }
        self.at += digits;
        micros
    }

    fn word_goes_on(&self, ahead: usize) -> bool {
        let next = self.bytes.get(self.at + ahead);
        next.is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_')
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn any(&mut self, bytes: &[u8]) -> Option<()> {
        bytes.contains(&self.peek()?).then(|| self.at += 1)
    }

    fn space(&mut self) -> Option<()> {
        self.byte(b' ')?;
        self.spaces();
        Some(())
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }
}
