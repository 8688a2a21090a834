//! Reads lines by a dialect.

use std::time::Duration;

use portledger_model::{Realm, Timestamp};

use super::{
    Dialect, NO_MESSAGE, Outcome, Reason, Rejection,
    fields::{Field, Found, FoundTime},
    message::{Body, Kind, Message},
    pattern::{Mismatch, Pattern},
    rules::{self, Verdict},
};
use crate::{
    event::{NatEvent, Phase},
    syslog::{self, Clock},
};

/// So many messages at most has a dialect whose lines hold several records.
pub(super) const SEVERAL: usize = 32;
/// 2000-01-08: no NAT's log is older, and clocks that begin with the century are a week on at most.
const EARLIEST: Timestamp = Timestamp::from_secs(947_289_600);
/// What a device's clock may be ahead of the receiver's.
const A_DAY: Duration = Duration::from_secs(86_400);
/// After so many records of a line that cannot be read the rest of it is given up: with it, the work
/// stays proportional to the line.
const FAILURES: usize = 16;
/// So many realms at most are kept apart; a device has fewer.
const REALMS: usize = 4_096;

/// Reads one device's lines by a dialect.
///
/// It keeps nothing between lines but the realms it has met.
#[derive(Debug)]
pub struct Reader<'d> {
    dialect: &'d Dialect,
    known: Known<'d>,
}

/// What the lines do not say, and the realms they have told.
#[derive(Debug)]
struct Known<'d> {
    dialect: &'d Dialect,
    clock: Clock,
    untimed: Untimed,
    realm: Realm,
    realms: Vec<(Box<[u8]>, Realm)>,
    /// Where in `realms` the one is that was met last: it is tried first.
    last_realm: usize,
}

/// What becomes of a line without any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untimed {
    /// It is rejected: of a file nobody knows when its lines were sent.
    Reject,
    /// It happened when it was received, or before: for lines that come as they are sent.
    Received,
}

impl<'d> Reader<'d> {
    /// Of a device whose clock is known so far.
    pub fn new(dialect: &'d Dialect, clock: Clock) -> Self {
        let clock = match (&clock.zone, &dialect.zone) {
            (None, Some(zone)) => clock.in_zone(zone.clone()),
            _ => clock,
        };
        Self {
            dialect,
            known: Known {
                dialect,
                clock,
                untimed: Untimed::Reject,
                realm: Realm::default(),
                realms: Vec::new(),
                last_realm: 0,
            },
        }
    }

    /// The same, with what becomes of lines without a time.
    #[must_use]
    pub const fn untimed(mut self, untimed: Untimed) -> Self {
        self.known.untimed = untimed;
        self
    }

    /// The same, with the realm of subscribers of whom no realm is told.
    #[must_use]
    pub fn in_realm(mut self, realm: Realm) -> Self {
        self.known.realm = realm;
        self.known.realms.clear();
        self
    }

    /// When the lines that come next were received.
    pub const fn received(&mut self, at: Timestamp) {
        self.known.clock.received = at;
    }

    /// The dialect.
    pub const fn dialect(&self) -> &'d Dialect {
        self.dialect
    }

    /// Reads a line, without its line feed, and appends its events.
    pub fn read(&mut self, line: &[u8], events: &mut Vec<NatEvent>) -> Outcome<'d> {
        let mut context = Context {
            line,
            header: None,
            known: &mut self.known,
        };
        if self.dialect.several {
            read_several(self.dialect, &mut context, events)
        } else {
            read_one(self.dialect, &mut context, events)
        }
    }
}

fn read_one<'d>(
    dialect: &'d Dialect,
    context: &mut Context<'_, '_>,
    events: &mut Vec<NatEvent>,
) -> Outcome<'d> {
    let line = context.line;
    let mut rejected = None;
    for message in &dialect.messages {
        if !message.is_in(line) {
            continue;
        }
        match record(message, context, None) {
            Ok((Verdict::Event(event), _)) => {
                events.push(event);
                return Outcome::Events(1);
            }
            Ok((Verdict::Nothing(why), _)) => return Outcome::Nothing(why),
            Err(Failure::Nothing(why)) => return Outcome::Nothing(why),
            Err(Failure::Departs(rejection)) => keep_furthest(&mut rejected, rejection),
            Err(Failure::Wrong(rejection)) => return Outcome::Rejected(rejection),
        }
    }
    rejected.map_or(Outcome::Nothing(NO_MESSAGE), Outcome::Rejected)
}

/// Lines that may hold several records: whichever message begins first is read, then what
/// follows it.
fn read_several<'d>(
    dialect: &'d Dialect,
    context: &mut Context<'_, '_>,
    events: &mut Vec<NatEvent>,
) -> Outcome<'d> {
    let line = context.line;
    let before = events.len();
    let mut rejected = None;
    let mut nothing = NO_MESSAGE;
    let mut at = 0;
    let mut starts = [Some(0); SEVERAL];
    let mut first = true;
    let mut failures = 0;
    while let Some(from) = next_record(dialect, line, at, first, &mut starts) {
        first = false;
        let mut behind = from + 1;
        let mut failure = None;
        for (message, start) in dialect.messages.iter().zip(starts) {
            if start != Some(from) {
                continue;
            }
            match record(message, context, Some(from)) {
                Ok((verdict, end)) => {
                    match verdict {
                        Verdict::Event(event) => events.push(event),
                        Verdict::Nothing(why) => nothing = why,
                    }
                    (behind, failure) = (end.max(from + 1), None);
                    break;
                }
                Err(Failure::Nothing(why)) => {
                    nothing = why;
                    failure = None;
                    break;
                }
                Err(Failure::Departs(next)) => keep_furthest(&mut failure, next),
                Err(Failure::Wrong(wrong)) => {
                    failure = Some(wrong);
                    break;
                }
            }
        }
        if let Some(failure) = failure {
            rejected = rejected.or(Some(failure));
            failures += 1;
            if failures == FAILURES {
                break;
            }
        }
        at = behind;
    }
    match (rejected, events.len() - before) {
        (Some(rejection), _) => Outcome::Rejected(rejection),
        (None, 0) => Outcome::Nothing(nothing),
        (None, count) => Outcome::Events(count),
    }
}

/// Reads one record, the one that begins at byte `here` or that of the whole line, and says
/// where it ends.
fn record<'d>(
    message: &'d Message,
    context: &mut Context<'_, '_>,
    here: Option<usize>,
) -> Result<(Verdict, usize), Failure<'d>> {
    let line = context.line;
    let from = here.unwrap_or(0);
    let words = &message.words;
    let mut found = Found::default();
    let pattern = |pattern: &Pattern, found: &mut _, context: &mut Context<'_, '_>| match here {
        Some(here) => pattern.read_here(found, line, here, words),
        None => pattern.read(found, line, context.start_of(pattern), words),
    };
    let end = match &message.body {
        Body::Pattern(text) => pattern(text, &mut found, context),
        Body::Pairs(pairs) => pairs.read(&mut found, line, from, words),
        Body::Both(text, pairs) => pattern(text, &mut found, context)
            .and_then(|end| pairs.read(&mut found, line, end, words)),
        Body::Nothing => Ok(from),
    }
    .map_err(|mismatch| Failure::departs(message, mismatch))?;
    let column = from + 1;
    let tells = match &message.kind {
        Kind::Event(tells) => *tells,
        Kind::Nothing(why) => return Err(Failure::Nothing(why)),
        Kind::Refused(why) => {
            let reason = Reason::Refused(why.clone());
            return Err(Failure::Wrong(Rejection { column, reason }));
        }
    };
    let phase = match found.phase.or(message.phase) {
        Some(phase) => phase,
        None if message.words.is_empty() => Phase::Begun,
        None => {
            let reason = Reason::Missing(Field::Phase.name());
            return Err(Failure::Wrong(Rejection { column, reason }));
        }
    };
    rules::event(tells, phase, &found, context)
        .map(|verdict| (verdict, end))
        .map_err(|reason| Failure::Wrong(Rejection { column, reason }))
}

enum Failure<'d> {
    /// Not this message after all; another may fit.
    Departs(Rejection),
    /// It is this message, and it cannot be an event.
    Wrong(Rejection),
    Nothing(&'d str),
}

impl Failure<'_> {
    fn departs(message: &Message, mismatch: Mismatch) -> Self {
        let name = message.name.clone();
        Self::Departs(Rejection {
            column: mismatch.at + 1,
            reason: mismatch.field.map(Field::name).map_or(
                Reason::Departs {
                    message: name.clone(),
                },
                |field| Reason::Unreadable {
                    message: name,
                    field,
                },
            ),
        })
    }
}

fn keep_furthest(kept: &mut Option<Rejection>, next: Rejection) {
    if kept.as_ref().is_none_or(|kept| kept.column < next.column) {
        *kept = Some(next);
    }
}

/// Where the next record begins from byte `at` on. `starts` keeps where each message begins next, so
/// that a line is searched once for each message, however many records it holds.
fn next_record(
    dialect: &Dialect,
    line: &[u8],
    at: usize,
    first: bool,
    starts: &mut [Option<usize>; SEVERAL],
) -> Option<usize> {
    for (message, start) in dialect.messages.iter().zip(starts.iter_mut()) {
        if first || start.is_some_and(|start| start < at) {
            *start = message.begins(line, at);
        }
    }
    let known = starts.iter().take(dialect.messages.len());
    known.filter_map(|start| *start).min()
}

/// A line while it is read: what rules may ask about it.
pub(crate) struct Context<'l, 'd> {
    line: &'l [u8],
    header: Option<syslog::Message<'l>>,
    known: &'l mut Known<'d>,
}

impl<'l> Context<'l, '_> {
    fn header(&mut self) -> syslog::Message<'l> {
        let line = self.line;
        *self
            .header
            .get_or_insert_with(|| syslog::Message::parse(line))
    }

    /// Where the message begins behind its header, for a pattern that asks for it.
    fn start_of(&mut self, pattern: &Pattern) -> usize {
        if pattern.is_anchored() {
            self.line.len() - self.header().body.len()
        } else {
            0
        }
    }

    /// The header's time.
    pub(crate) fn message_time(&mut self) -> Result<Timestamp, Reason> {
        match (self.header().time, self.known.untimed) {
            (Some(time), _) => self.likely(time.instant(&self.known.clock)?),
            (None, Untimed::Received) => Ok(self.known.clock.received),
            (None, Untimed::Reject) => Err(Reason::NoTime),
        }
    }

    pub(crate) fn instant(&self, time: FoundTime) -> Result<Timestamp, Reason> {
        match time {
            FoundTime::Instant(at) => self.likely(at),
            FoundTime::Written(time) => self.likely(time.instant(&self.known.clock)?),
        }
    }

    /// A device that does not know the time begins in 1970, 1993 or 2000; a stamp that was read
    /// wrongly is anywhere.
    fn likely(&self, at: Timestamp) -> Result<Timestamp, Reason> {
        let latest = self.known.clock.received.after(A_DAY);
        if (EARLIEST..=latest).contains(&at) {
            Ok(at)
        } else {
            Err(Reason::Unlikely)
        }
    }

    pub(crate) fn realm(&mut self, name: &[u8]) -> Result<Realm, Reason> {
        self.known.realm(name)
    }
}

impl Known<'_> {
    fn realm(&mut self, name: &[u8]) -> Result<Realm, Reason> {
        if name.is_empty() {
            return Ok(self.realm.clone());
        }
        if let Some((known, realm)) = self.realms.get(self.last_realm)
            && **known == *name
        {
            return Ok(realm.clone());
        }
        if let Some(index) = self.realms.iter().position(|(known, _)| **known == *name) {
            self.last_realm = index;
        } else {
            if self.realms.len() == REALMS {
                return Err(Reason::TooManyRealms(REALMS));
            }
            let realm = self.dialect.realm(name, &self.realm)?;
            self.last_realm = self.realms.len();
            self.realms.push((name.into(), realm));
        }
        let met = self.realms.get(self.last_realm);
        Ok(met.map_or_else(|| self.realm.clone(), |(_, realm)| realm.clone()))
    }
}
