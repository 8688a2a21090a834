//! Reading a line by a [`Pattern`].
//!
//! Every step but free text tells its own end. Free text in quotes ends at the first quote that
//! the server did not escape. Other free text ends at the first place where all that the format
//! has before the next free text matches, and, where the server escapes quotes, not behind the
//! next bare quote, which no client can write. As with the `*` of file names, the first such place
//! leads to a reading of the whole line if any place does, so nothing is tried twice. Where a
//! later place leads to a reading that says something else the line is refused: a client may have
//! chosen its text so that a stranger's address stands where its own should.

use std::{borrow::Cow, time::Duration};

use memchr::memmem::Finder;
use portledger_model::Sighting;

use super::{Edge, Escaping, Field, Pattern, Step, TimeForm, Unit};
use crate::{
    Header, Options, Reason,
    address::{self, Written},
    fields::{Fault, Fields, Found},
    forwarded::{Headers, unescaped},
    time::{
        Epoch, Fraction, Written as Zone,
        parse::{Cursor, fraction},
    },
};

impl Pattern {
    /// Reads a line without its end-of-line.
    pub(crate) fn read(&self, line: &[u8], number: u64, options: &Options) -> Result<Found, Fault> {
        let mut fields = Fields::over(self.traits.transport);
        fields.looks_behind = options.trust.is_any();
        let mut opened = Vec::new();
        self.matches(0, line, 0, &mut fields, &mut opened)?;
        let mut budget = Budget::default();
        if let Some(open) = opened.first()
            && self.has_other_reading(&opened, line, &fields, &mut budget)
        {
            return Err((open.at, Reason::Ambiguous));
        }
        if fields.looks_behind {
            fields.look_behind(&self.headers(line, &fields), &options.trust);
        }
        if self.traits.utc {
            for pieces in [&mut fields.start, &mut fields.end] {
                pieces.zone = pieces.zone.or(Some(Zone::Utc));
            }
        }
        let mut found = fields.sighting(self.times, options, number)?;
        behind_clock(&mut found.sighting, self.traits.clock);
        Ok(found)
    }

    /// The headers that name a client, as they were before the server wrote them.
    fn headers<'a>(&self, line: &'a [u8], fields: &Fields) -> Headers<'a> {
        let mut headers = Headers::default();
        for header in Header::ALL {
            if let Some(text) = fields
                .header(header)
                .and_then(|(from, to)| line.get(from..to))
            {
                headers.set(
                    header,
                    match self.traits.escaping {
                        Escaping::Backslash => unescaped(text),
                        Escaping::NoQuotes | Escaping::None => Cow::Borrowed(text),
                    },
                );
            }
        }
        headers
    }

    /// Reads all steps from `first` on. Notes the free texts that may end later than they were
    /// taken to.
    fn matches(
        &self,
        first: usize,
        line: &[u8],
        at: usize,
        fields: &mut Fields,
        opened: &mut Vec<Open>,
    ) -> Result<(), Fault> {
        let (mut step, mut at) = (first, at);
        while let Some(current) = self.steps.get(step) {
            if let Step::Open { until, next } = current {
                let mut open = Open {
                    first: step + 1,
                    next: *next,
                    at,
                    end: at,
                    region_end: self.region_end(line, at),
                };
                let end;
                (open.end, end) = self.first_match(&open, until, line, fields)?;
                if next_hit(until, line, open.end + 1, open.region_end).is_some() {
                    opened.push(open);
                }
                (step, at) = (*next, end);
            } else {
                at = self.step(current, line, at, fields, Strict::No)?;
                step += 1;
            }
        }
        Ok(())
    }

    /// The first place at which the steps after free text match, and where they end.
    fn first_match(
        &self,
        open: &Open,
        until: &Finder<'_>,
        line: &[u8],
        fields: &mut Fields,
    ) -> Result<(usize, usize), Fault> {
        let mut fault = None;
        let mut from = open.at;
        while let Some(hit) = next_hit(until, line, from, open.region_end) {
            match self.run(open, line, hit, fields) {
                Ok(end) => return Ok((hit, end)),
                Err(why) => fault = fault.or(Some(why)),
            }
            from = hit + 1;
        }
        Err(fault.unwrap_or_else(|| (open.at, self.expected(open.first))))
    }

    /// Whether the line can be read so that it says something else, some free text ending later.
    fn has_other_reading(
        &self,
        opened: &[Open],
        line: &[u8],
        fields: &Fields,
        budget: &mut Budget,
    ) -> bool {
        for open in opened {
            let Some(Step::Open { until, .. }) = self.steps.get(open.first - 1) else {
                continue;
            };
            let mut from = open.end + 1;
            while let Some(hit) = next_hit(until, line, from, open.region_end) {
                if !budget.has_a_try() {
                    return true;
                }
                from = hit + 1;
                let (mut other, mut again) = (*fields, Vec::new());
                let Ok(end) = self.run(open, line, hit, &mut other) else {
                    continue;
                };
                if !budget.has_a_reading() {
                    return true;
                }
                let read = self.matches(open.next, line, end, &mut other, &mut again);
                if read.is_ok()
                    && (!other.says_the_same(fields)
                        || self.has_other_reading(&again, line, fields, budget))
                {
                    return true;
                }
            }
        }
        false
    }

    /// Reads the steps between two free texts.
    fn run(
        &self,
        open: &Open,
        line: &[u8],
        at: usize,
        fields: &mut Fields,
    ) -> Result<usize, Fault> {
        let steps = self.steps.get(open.first..open.next).unwrap_or_default();
        steps.iter().try_fold(at, |at, step| {
            self.step(step, line, at, fields, Strict::Yes)
        })
    }

    fn step(
        &self,
        step: &Step,
        line: &[u8],
        at: usize,
        fields: &mut Fields,
        strict: Strict,
    ) -> Result<usize, Fault> {
        match step {
            Step::Literal(text) => {
                if line.get(at..).is_some_and(|rest| rest.starts_with(text)) {
                    Ok(at + text.len())
                } else {
                    Err((at, literal(text)))
                }
            }
            Step::Value(field, stop) => value(field, *stop, line, at, fields, strict),
            Step::Quoted => self
                .quote(line, at)
                .ok_or_else(|| (line.len(), literal(b"\""))),
            Step::Mark(header, edge) => {
                let begin = match edge {
                    Edge::Begin => at,
                    Edge::End => fields.header(*header).map_or(at, |(begin, _)| begin),
                };
                fields.set_header(*header, begin, at);
                Ok(at)
            }
            Step::Spaces => Ok(at
                + line
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|byte| **byte == b' ')
                    .count()),
            Step::Rest => Ok(line.len()),
            Step::End if at == line.len() => Ok(at),
            Step::End => Err((at, Reason::Trailing)),
            // Handled where the steps are walked; free text of no length otherwise.
            Step::Open { .. } => Ok(at),
        }
    }

    fn region_end(&self, line: &[u8], at: usize) -> usize {
        self.quote(line, at).unwrap_or(line.len())
    }

    /// The first quote at or after `at` that no client can have written, where there is such.
    fn quote(&self, line: &[u8], at: usize) -> Option<usize> {
        match self.traits.escaping {
            Escaping::Backslash => bare_quote(line, at),
            Escaping::NoQuotes => Some(at + memchr::memchr(b'"', line.get(at..)?)?),
            Escaping::None => None,
        }
    }

    fn expected(&self, step: usize) -> Reason {
        let mut steps = self.steps.iter().skip(step);
        match steps.find(|step| !matches!(step, Step::Mark(..))) {
            Some(Step::Literal(text)) => literal(text),
            _ => Reason::Trailing,
        }
    }
}

/// How many other ends of free text are looked at, and how many of these are read to the end of
/// the line, so that no line takes long: one with more is refused as if it said something else by
/// one of them.
struct Budget {
    tries: usize,
    readings: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tries: 4_096,
            readings: 64,
        }
    }
}

impl Budget {
    fn has_a_try(&mut self) -> bool {
        take_one(&mut self.tries)
    }

    fn has_a_reading(&mut self) -> bool {
        take_one(&mut self.readings)
    }
}

fn take_one(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

/// A time in whole seconds is of a clock that may be behind.
pub(crate) fn behind_clock(sighting: &mut Sighting, clock: Duration) {
    if sighting.resolution >= Duration::from_secs(1) {
        sighting.resolution = sighting.resolution.max(clock);
    }
}

/// Free text without quotes around it, from `at` to `end`, and the steps after it up to the next
/// free text.
struct Open {
    first: usize,
    next: usize,
    at: usize,
    end: usize,
    /// The last byte at which the text may end.
    region_end: usize,
}

/// Whether only an address will do for an address, since it decides where free text ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strict {
    Yes,
    No,
}

fn literal(text: &[u8]) -> Reason {
    Reason::Literal {
        expected: String::from_utf8_lossy(text).into_owned(),
    }
}

fn next_hit(until: &Finder<'_>, line: &[u8], from: usize, last: usize) -> Option<usize> {
    // The text ends at or before `last`, what follows it may reach further.
    let window_end = line.len().min(last + until.needle().len());
    let hit = from + until.find(line.get(from..window_end)?)?;
    (hit <= last).then_some(hit)
}

/// The first quote at or after `at` that no backslash escapes.
fn bare_quote(line: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        let hit = at + memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
        if line.get(hit) == Some(&b'"') {
            return Some(hit);
        }
        at = hit + 2;
    }
}

fn value(
    field: &Field,
    stop: Option<u8>,
    line: &[u8],
    at: usize,
    fields: &mut Fields,
    strict: Strict,
) -> Result<usize, Fault> {
    if let Field::Time(form, end) = field {
        let mut cursor = Cursor::new(line, at);
        fields.time_at = at;
        return match time(form, &mut cursor, fields.pieces(*end)) {
            Some(()) => Ok(cursor.at),
            None => Err((
                cursor.at.min(line.len()),
                Reason::Time {
                    expected: example(form),
                },
            )),
        };
    }
    let end = match field {
        Field::Address(_) | Field::ServerAddress => address_end(line, at, stop),
        _ => token_end(line, at, stop),
    };
    let text = line.get(at..end).unwrap_or_default();
    let bad = |expected| (at, Reason::Value { expected });
    match field {
        Field::Address(side) => {
            let written = Written::read(text);
            if strict == Strict::Yes && written == Written::Other {
                return Err((at, Reason::HostName));
            }
            fields.set_address(*side, written, at);
        }
        Field::Port(side) => fields.set_port(*side, port(text).ok_or((at, Reason::Port))?),
        Field::Endpoint(side) => match address::endpoint(text) {
            Some((address, port)) => {
                fields.set_address(*side, Written::Ip(address), at);
                fields.set_port(*side, Some(port));
            }
            None if text == b"-" => fields.set_address(*side, Written::Nothing, at),
            None => return Err(bad("an address and a port")),
        },
        Field::ServerEndpoint => {
            if let Some((address, port)) = address::endpoint(text) {
                fields.destination.address = Some(address);
                fields.destination.port = Some(port);
            }
        }
        Field::ServerAddress => match Written::read(text) {
            Written::Ip(address) => fields.destination.address = Some(address),
            Written::Nothing | Written::Unix => {}
            Written::Other => return Err(bad("the server's address")),
        },
        Field::ServerPort => fields.destination.port = port(text).ok_or((at, Reason::Port))?,
        Field::Duration(unit) => {
            let read = duration(text, *unit).ok_or(bad("a duration"))?;
            // Of several the finest.
            fields.duration = match (fields.duration, read) {
                (Some(one), Some(other)) if one.1 <= other.1 => Some(one),
                (one, other) => other.or(one),
            };
        }
        Field::Transport => {
            fields.transport = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok());
        }
        Field::Token | Field::Text | Field::Header(_) | Field::Time(..) => {}
    }
    Ok(end)
}

/// The end of text without spaces and quotes, or of the line.
fn token_end(line: &[u8], at: usize, stop: Option<u8>) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    let ends = |byte: &u8| matches!(*byte, b' ' | b'"' | b'\t') || Some(*byte) == stop;
    at + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The end of an address. A colon after it may be one of its own: then the last one ends it.
fn address_end(line: &[u8], at: usize, stop: Option<u8>) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    match stop {
        // Brackets may be the address's own: what is in them is nobody else's.
        Some(_) if rest.first() == Some(&b'[') => {
            at + memchr::memchr(b']', rest).map_or(rest.len(), |end| end + 1)
        }
        Some(stop) if address::is_address_byte(stop) => {
            let span = rest
                .iter()
                .position(|byte| !address::is_address_byte(*byte))
                .unwrap_or(rest.len());
            match memchr::memrchr(stop, rest.get(..span).unwrap_or_default()) {
                Some(last) => at + last,
                None => token_end(line, at, Some(stop)),
            }
        }
        stop => token_end(line, at, stop),
    }
}

/// A port; `Some(None)` where nothing is known of it.
fn port(text: &[u8]) -> Option<Option<u16>> {
    match text {
        b"" | b"-" => Some(None),
        _ => address::port(text).map(Some),
    }
}

/// A duration with its step; `Some(None)` where there is none, where a sign says that it never
/// came so far (`-1`) or that it went on (`+512`).
fn duration(text: &[u8], unit: Unit) -> Option<Option<(Duration, Duration)>> {
    if text.is_empty() || matches!(text, [b'-' | b'+', ..]) {
        return Some(None);
    }
    let mut cursor = Cursor::new(text, 0);
    let value = match unit {
        Unit::Seconds => {
            let Epoch { micros, step } = cursor.epoch_seconds()?;
            (micros, step)
        }
        Unit::Millis => (cursor.number()?.checked_mul(1_000)?, unit.step()),
        Unit::Micros => (cursor.number()?, unit.step()),
    };
    let whole = cursor.at == text.len();
    let duration = Duration::from_micros(u64::try_from(value.0).ok()?);
    whole.then_some(Some((duration, value.1)))
}

fn time(form: &TimeForm, cursor: &mut Cursor<'_>, pieces: &mut crate::time::Pieces) -> Option<()> {
    match form {
        TimeForm::CommonLog => cursor.common_log(pieces)?,
        TimeForm::LocalCommonLog => cursor.local_common_log(pieces)?,
        TimeForm::Iso => cursor.iso(pieces)?,
        TimeForm::EpochSeconds => pieces.epoch = Some(cursor.epoch_seconds()?),
        TimeForm::EpochMillis => pieces.epoch = Some(cursor.epoch_millis_or_seconds()?),
        TimeForm::MillisRoundedUp => {
            let mut epoch = cursor.epoch_units(1_000)?;
            epoch.micros = epoch.micros.saturating_sub(1_000);
            pieces.epoch = Some(epoch);
        }
        TimeForm::EpochUnits(micros) => pieces.epoch = Some(cursor.epoch_units(*micros)?),
        TimeForm::MillisOfSecond => pieces.fraction = Some(part(cursor, 3)?),
        TimeForm::MicrosOfSecond => pieces.fraction = Some(part(cursor, 6)?),
        TimeForm::Strftime(strftime) => strftime.read(cursor, pieces)?,
    }
    Some(())
}

fn part(cursor: &mut Cursor<'_>, places: usize) -> Option<Fraction> {
    fraction(cursor.digits(places)?.into(), places)
}

const fn example(form: &TimeForm) -> &'static str {
    match form {
        TimeForm::CommonLog => "21/Nov/2026:10:53:22 +0100",
        TimeForm::LocalCommonLog => "21/Nov/2026:10:53:22.123",
        TimeForm::Iso => "2026-11-21T10:53:22+01:00",
        TimeForm::EpochSeconds => "1795258402.000",
        TimeForm::EpochMillis | TimeForm::MillisRoundedUp => "1795258402000",
        TimeForm::EpochUnits(_) => "a whole number",
        TimeForm::MillisOfSecond => "3 digits",
        TimeForm::MicrosOfSecond => "6 digits",
        TimeForm::Strftime(_) => "the format's strftime text",
    }
}
