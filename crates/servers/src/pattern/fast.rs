//! Reading a line as nearly all are, once from left to right.
//!
//! This gives what [`super::scan`] gives or nothing, and decides nothing: where free text might end
//! in several places, or anything is not as it usually is, the scan has the word.

use std::ops::Range;

use super::{
    Field, Pattern, Step,
    scan::{Strict, behind_clock, spaces_end, token_end, value},
};
use crate::{
    Options,
    address::{self, Written},
    fields::{Fields, Found},
    time::{Instant, recent::Recent},
};

/// How many places are looked at in a line, at most. The scan looks at more.
const MOST_TRIED: usize = 64;

impl Pattern {
    /// What the line says, where that is plain.
    #[inline]
    pub(super) fn read_plainly(
        &self,
        line: &[u8],
        number: u64,
        options: &Options,
        recent: &mut Recent,
    ) -> Option<Found> {
        // What a proxy tells, and times that are in UTC without saying so, take more than one look.
        if options.trust.is_any() || self.traits.utc {
            return None;
        }
        let mut walk = Walk {
            pattern: self,
            line,
            recent,
            fields: Fields::over(self.traits.transport),
            instant: None,
            tried: 0,
        };
        walk.all()?;
        let found = match walk.instant {
            Some(instant) => walk
                .fields
                .sighting_at(self.times, instant, options, number),
            None => walk.fields.sighting(self.times, options, number),
        };
        let mut found = found.ok()?;
        behind_clock(&mut found.sighting, self.traits.clock);
        Some(found)
    }
}

/// Where free text ended.
enum Ended {
    /// There; what follows it was not looked at.
    At(usize),
    /// And the steps up to the next free text were read, up to here.
    Read(usize),
}

/// A line on its way through the steps of a pattern.
struct Walk<'a> {
    pattern: &'a Pattern,
    line: &'a [u8],
    recent: &'a mut Recent,
    fields: Fields,
    instant: Option<Instant>,
    tried: usize,
}

impl Walk<'_> {
    fn all(&mut self) -> Option<()> {
        // Up to which step an address decides where free text ended.
        let mut strict_to = 0;
        let (mut index, mut at) = (0, 0);
        while let Some(step) = self.pattern.steps.get(index) {
            index += 1;
            at = match step {
                Step::Open { until, next } => {
                    strict_to = *next;
                    match self.end_of_free_text(until.needle(), at, index..*next)? {
                        Ended::At(end) => end,
                        Ended::Read(end) => {
                            index = *next;
                            end
                        }
                    }
                }
                _ => self.step(step, at, strictness(index <= strict_to))?,
            };
            // The format's own text stands between any two fields: it needs no turn of its own.
            if let Some(Step::Literal(text)) = self.pattern.steps.get(index) {
                at = literal_end(self.line, at, text)?;
                index += 1;
            }
        }
        Some(())
    }

    #[inline(always)]
    fn step(&mut self, step: &Step, at: usize, strict: Strict) -> Option<usize> {
        let line = self.line;
        match step {
            Step::Literal(text) => literal_end(line, at, text),
            Step::Value(Field::Time(..), _) if self.pattern.is_common_log => {
                let (instant, end) = self.recent.common_log(line, at)?;
                self.instant = Some(instant);
                Some(end)
            }
            Step::Value(field, stop) => {
                if let Field::Address(side) = field
                    && let Some((address, end)) = ipv4(line, at, *stop)
                {
                    self.fields
                        .set_address(*side, Written::Ip(address.into()), at);
                    return Some(end);
                }
                match field {
                    Field::Token => Some(token_end(line, at, *stop)),
                    _ => value(field, *stop, line, at, &mut self.fields, strict).ok(),
                }
            }
            Step::Quoted => self.pattern.quote(line, at),
            Step::Spaces => Some(spaces_end(line, at)),
            // Only where a proxy is trusted.
            Step::Mark(..) => Some(at),
            Step::Rest => Some(line.len()),
            Step::End => (at == line.len()).then_some(at),
            Step::Open { .. } => None,
        }
    }

    /// The one place at which the free text that begins at `at` may end: where `until` stands, and
    /// the steps after it match. Nothing where there are several.
    fn end_of_free_text(&mut self, until: &[u8], at: usize, steps: Range<usize>) -> Option<Ended> {
        let last = self.pattern.region_end(self.line, at);
        let mut hits = hits(until, self.line, at, last)?;
        let first = hits.next()?;
        let Some(second) = hits.next() else {
            return Some(Ended::At(first));
        };
        let next = self.pattern.steps.get(steps.end);
        let steps = self.pattern.steps.get(steps)?;
        let before = self.fields.clone();
        let mut read = None;
        for hit in [first, second].into_iter().chain(hits) {
            self.tried += 1;
            if self.tried > MOST_TRIED {
                return None;
            }
            let matched = steps
                .iter()
                .try_fold(hit, |at, step| self.step(step, at, Strict::Yes));
            match (&read, matched) {
                (None, Some(end)) => read = Some((end, self.fields.clone(), self.instant)),
                // What a wrong place leaves in the fields is none of the line's.
                (None, None) => self.fields.clone_from(&before),
                (Some(_), Some(after)) if self.may_go_on(next, after) => return None,
                (Some(_), _) => {}
            }
        }
        let (end, fields, instant) = read?;
        (self.fields, self.instant) = (fields, instant);
        Some(Ended::Read(end))
    }

    /// Whether the free text that begins at `at`, if one begins there, ends anywhere.
    fn may_go_on(&self, step: Option<&Step>, at: usize) -> bool {
        let Some(Step::Open { until, .. }) = step else {
            return true;
        };
        let last = self.pattern.region_end(self.line, at);
        hits(until.needle(), self.line, at, last).is_some_and(|mut hits| hits.next().is_some())
    }
}

/// The end of the format's own text: two or three bytes, for which a call to compare them is long.
#[inline(always)]
fn literal_end(line: &[u8], at: usize, text: &[u8]) -> Option<usize> {
    let there = line.get(at..at + text.len())?;
    let same = there.iter().zip(text).all(|(one, other)| one == other);
    same.then_some(at + text.len())
}

const fn strictness(strict: bool) -> Strict {
    if strict { Strict::Yes } else { Strict::No }
}

/// The places from `at` to `last` at which `text` stands.
fn hits<'a>(
    text: &'a [u8],
    line: &'a [u8],
    at: usize,
    last: usize,
) -> Option<impl Iterator<Item = usize> + 'a> {
    // The free text ends at or before `last`, what follows it may reach further.
    let window = line.get(at..line.len().min(last + text.len()))?;
    // A space is a bad thing to look for in a log.
    let lead = text.iter().position(|byte| *byte != b' ').unwrap_or(0);
    let hits = memchr::memchr_iter(*text.get(lead)?, window)
        .filter_map(move |hit| hit.checked_sub(lead))
        .filter(move |hit| {
            window
                .get(*hit..)
                .is_some_and(|rest| rest.starts_with(text))
        })
        .map(move |hit| at + hit)
        .filter(move |hit| *hit <= last);
    Some(hits)
}

/// A dotted quad and its end, where what ends it cannot be of an address.
fn ipv4(line: &[u8], at: usize, stop: Option<u8>) -> Option<(std::net::Ipv4Addr, usize)> {
    if stop.is_some_and(address::is_address_byte) {
        return None;
    }
    let rest = line.get(at..)?;
    let (address, length) = address::leading_ipv4(rest)?;
    let ended = match rest.get(length) {
        None | Some(b' ' | b'"' | b'\t') => true,
        after => after.copied() == stop,
    };
    ended.then_some((address, at + length))
}
